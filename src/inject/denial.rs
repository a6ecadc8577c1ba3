//! Why a pod is refused, in words for who wrote it, or left as it is.
//!
//! The words stand in the answer to `kubectl apply`, or in an event of the ReplicaSet where nobody looks at first: each
//! must be understood alone. Easy to get wrong: the codes are metric labels and documented; they are added, never renamed.

use std::borrow::Cow;
use std::fmt;

use crate::problem::{Blame, Problem};
use crate::secret::local_key::is_entra_secret;

/// Why nothing is done to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not have the label.
    NotAsked,
    /// Its label says `false`.
    OptedOut,
    /// It has the broker already, and every container its variables.
    AlreadyInjected,
}

impl Reason {
    /// Every reason, for the documentation's sake.
    pub const ALL: [Self; 3] = [Self::NotAsked, Self::OptedOut, Self::AlreadyInjected];

    /// Stable, kebab-case: a metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::OptedOut => "opted-out",
            Self::AlreadyInjected => "already-injected",
        }
    }
}

/// An annotation whose value does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The whole key.
    pub(super) key: &'static str,
    /// Whose annotation: `the pod`, `namespace shop`, `service account shop/api`.
    pub(super) place: String,
    pub(super) value: String,
    /// What is right.
    pub(super) rule: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "annotation `{}` of {} is {}: {}", self.key, self.place, shown(&self.value), self.rule)
    }
}

/// A setting without which there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    ClientId,
    Tenant,
    Resources,
}

impl Missing {
    fn what(self) -> &'static str {
        match self {
            Self::ClientId => "which application it is",
            Self::Tenant => "in which tenant that is",
            Self::Resources => "what it may ask tokens for",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::ClientId => {
                "annotate the pod's service account with `unsecret.dev/client-id: GUID`, the application (client) id"
            }
            Self::Tenant => "set `defaults.tenantId` in the chart's values, or annotate with `unsecret.dev/tenant-id`",
            Self::Resources => {
                "annotate with `unsecret.dev/resources: https://vault.azure.net`, or `\"*\"` for any, or set \
                 `defaults.allowedResources` in the chart's values"
            }
        }
    }
}

/// A container that would go past the broker, and by which variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    pub(super) container: String,
    pub(super) variable: &'static str,
}

/// Why a pod that asks for the broker cannot have it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("the label `unsecret.dev/inject` is {}", shown(value))]
    Label { value: String },
    #[error("this is no pod: {0}")]
    NotAPod(&'static str),
    #[error("{}", joined(.0))]
    Annotations(Vec<Wrong>),
    #[error("nothing says {}", .0.iter().map(|one| one.what()).collect::<Vec<_>>().join(", or "))]
    Missing(Vec<Missing>),
    #[error("the pod has `hostNetwork: true`, so that every process of its node could ask the broker for tokens")]
    HostNetwork,
    #[error("the pod is for Windows, and the broker is not")]
    Windows,
    #[error("the pod has a {kind} named `{name}` already, which is not ours")]
    NameTaken { kind: &'static str, name: String },
    #[error("container `{container}` declares port {port}, which the broker needs for {what}")]
    PortTaken { port: u16, container: String, what: &'static str },
    #[error("{} past the broker", joined(.0))]
    Leftover(Vec<Bypass>),
    #[error("on {0} the address 169.254.169.254 is the platform's own, and taking it may break the pod's network")]
    InterceptPlatform(&'static str),
    #[error(
        "namespace `{namespace}` enforces the Pod Security level {level}, which refuses the NET_ADMIN of `intercept: loopback-address`"
    )]
    InterceptPodSecurity { namespace: String, level: String },
    #[error(
        "the pod sets the sysctl `net.ipv4.ip_unprivileged_port_start` to {}, so that the broker cannot have port 80",
        shown(value)
    )]
    PortStart { value: String },
    #[error("`run-as: same` needs one user for all containers, and the pod {0}")]
    NoCommonUser(&'static str),
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container `{}` has {}, which leads Azure SDKs", self.container, self.variable)
    }
}

impl Problem for Denial {
    fn code(&self) -> &'static str {
        match self {
            Self::Label { .. } => "inject-label",
            Self::NotAPod(_) => "inject-not-a-pod",
            Self::Annotations(_) => "inject-annotation",
            Self::Missing(_) => "inject-missing",
            Self::HostNetwork => "inject-host-network",
            Self::Windows => "inject-windows",
            Self::NameTaken { .. } => "inject-name-taken",
            Self::PortTaken { .. } => "inject-port-taken",
            Self::Leftover(_) => "inject-leftover-secret",
            Self::InterceptPlatform(_) => "inject-intercept-platform",
            Self::InterceptPodSecurity { .. } => "inject-intercept-pod-security",
            Self::PortStart { .. } => "inject-port-start",
            Self::NoCommonUser(_) => "inject-no-common-user",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let fixed = match self {
            Self::Missing(missing) => {
                let remedies: Vec<_> = missing.iter().map(|one| one.remedy()).collect();
                return Some(Cow::Owned(remedies.join("; ")));
            }
            Self::Leftover(bypasses) => return Some(leftover_remedy(bypasses)),
            Self::Label { .. } => "write `unsecret.dev/inject: \"true\"`, or `\"false\"` for a pod without the broker",
            Self::NotAPod(_) => "label a pod, or the pod template of a workload",
            Self::Annotations(_) => "correct it; docs/kubernetes.md lists the annotations",
            Self::HostNetwork => "run without hostNetwork, or run the broker on the node (docs/systemd.md)",
            Self::Windows => "remove the label `unsecret.dev/inject` from this pod",
            Self::NameTaken { .. } => "give it another name, or inject the manifest as it was before",
            Self::PortTaken { .. } => {
                "have the container use another port, or set `sidecar.ports` in the chart's values"
            }
            Self::InterceptPlatform(_) => {
                "use the doors that variables lead to (`intercept: env`), or write `force-loopback-address` if you are sure"
            }
            Self::InterceptPodSecurity { .. } => {
                "use `unsecret.dev/intercept: env`, or a namespace with the level privileged"
            }
            Self::PortStart { .. } => "leave the sysctl out, or use `unsecret.dev/intercept: env`",
            Self::NoCommonUser(_) => {
                "set `runAsUser` in the pod's securityContext and in none of its containers, or use `run-as: dedicated`"
            }
        };
        Some(Cow::Borrowed(fixed))
    }
}

fn leftover_remedy(bypasses: &[Bypass]) -> Cow<'static, str> {
    const SECRET: &str =
        "remove the variable from the container, or have it removed with `unsecret.dev/leftover-secret: strip`";
    const FILE: &str = "remove the variable, and the label `azure.workload.identity/use` that may have brought it, or have it \
                        removed with `unsecret.dev/leftover-secret: strip`";
    let file = bypasses.iter().any(|bypass| bypass.variable == super::leftover::TOKEN_FILE);
    Cow::Borrowed(if file { FILE } else { SECRET })
}

fn joined(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A value in quotes; `…` for what may be a secret that strayed there, and for what is too long to read.
pub(super) fn shown(text: &str) -> String {
    let strayed = is_entra_secret(text) || text.starts_with("uns_") || text.starts_with("eyJ");
    if strayed || text.len() > 100 || text.chars().any(char::is_control) {
        "\"…\"".to_owned()
    } else {
        format!("{text:?}")
    }
}
