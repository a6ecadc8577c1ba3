//! What may be annotated, where, and what was: pod before namespace before service account.
//!
//! The table here is the one in `docs/kubernetes.md`; a test holds the page to it. Not for judging values (`settings`
//! does, with `words`). Easy to get wrong: a misspelt key is silently no key at all to Kubernetes, so every one of our
//! domain that is not known is warned of.

use std::fmt::Write as _;

use super::denial::Wrong;
use super::{Metadata, Surroundings, nearest};
use crate::ids::NotA;

/// What all our keys begin with.
const DOMAIN: &str = "unsecret.dev/";
/// What the keys begin with that are read of a pod's surroundings.
pub(super) const READ: &[&str] = &[DOMAIN, "azure.workload.identity/", "pod-security.kubernetes.io/"];

/// Written by us on a pod that has the broker: our version.
pub(super) const INJECTED: &str = "unsecret.dev/injected";
/// Written by us beside it: a digest of the settings it was injected with.
pub(super) const CONFIG_HASH: &str = "unsecret.dev/config-hash";

macro_rules! annotations {
    ($($key:ident $text:literal, $pod_only:literal, $value:literal, $default:literal, $meaning:literal;)+) => {
        /// A setting as an annotation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Key { $($key),+ }

        impl Key {
            const ALL: &[Self] = &[$(Self::$key),+];

            /// The whole key.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$key => concat!("unsecret.dev/", $text)),+ }
            }

            /// Names of containers mean something to one pod only.
            fn is_of_pods_only(self) -> bool {
                match self { $(Self::$key => $pod_only),+ }
            }

            /// What it may be, what holds without it, what it means: for the page.
            fn row(self) -> [&'static str; 3] {
                match self { $(Self::$key => [$value, $default, $meaning]),+ }
            }
        }
    };
}

annotations! {
    ClientId "client-id", false, "GUID", "the service account's `azure.workload.identity/client-id`; without it the pod is refused",
        "The application (client) id.";
    TenantId "tenant-id", false, "GUID or verified domain",
        "the service account's `azure.workload.identity/tenant-id`, then `defaults.tenantId`; without it the pod is refused", "The directory.";
    Cloud "cloud", false, "`public`, `usgov`, `china`", "`defaults.cloud`, or `defaults.authorityHost`", "Which Entra.";
    Resources "resources", false, "URIs and GUIDs with commas between, or `*`", "`defaults.allowedResources`; without it the pod is refused",
        "What tokens may be asked for. `*` is anything.";
    Doors "doors", false, "some of `app-service`, `imds`, `oauth`, `cloud-shell`, `plain`, `app-service-2017`", "`defaults.doors`",
        "Which doors are open; the variables of the containers follow from it.";
    LeftoverSecret "leftover-secret", false, "`deny`, `strip`, `warn`", "`deny`",
        "What becomes of a container that has `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE`.";
    ExposeTokenFile "expose-token-file", false, "`true`, `false`", "`false`",
        "Gives the containers the service account's token itself, for tools that exchange it without the broker.";
    Intercept "intercept", false, "`env`, `loopback-address`, `force-loopback-address`", "`defaults.intercept`",
        "Whether the broker also has 169.254.169.254 inside the pod, for clients that look nowhere else.";
    TokenExpiration "token-expiration-seconds", false, "600 to 86400; with `expose-token-file` from 3600", "`defaults.tokenExpirationSeconds`",
        "How long the service account's token lasts.";
    Containers "containers", true, "names with commas between", "all", "Only these containers get the variables.";
    SkipContainers "skip-containers", true, "names with commas between", "none",
        "These containers do not get them. Not together with `containers`.";
    RunAs "run-as", false, "`dedicated`, `same`, `unset`, a user id", "`sidecar.runAs`",
        "The broker's user: 65532, that of all other containers, whatever the cluster gives, or this one.";
    NativeSidecar "native-sidecar", false, "`auto`, `true`, `false`", "`sidecar.nativeSidecar`",
        "Whether the broker is a native sidecar, or an ordinary container.";
    ReadyGate "ready-gate", false, "`true`, `false`", "`false`",
        "Whether the pod is ready only while the broker holds a token for each of `resources`.";
    ConfigMap "config-map", false, "a name", "none",
        "A ConfigMap in the pod's namespace with a `config.toml` for the broker; annotations and values override it.";
    CpuRequest "resources-cpu-request", false, "an amount such as `5m`", "`sidecar.resources`", "What the broker asks for.";
    MemoryRequest "resources-memory-request", false, "an amount such as `16Mi`", "`sidecar.resources`", "What the broker asks for.";
    MemoryLimit "resources-memory-limit", false, "an amount such as `64Mi`", "`sidecar.resources`", "What the broker may use at most.";
    LogLevel "log-level", false, "`error`, `warn`, `info`, `debug`, `trace`", "`info`", "How much the broker writes.";
}

/// The table of the page.
#[must_use]
pub fn annotation_table() -> String {
    let mut table = "| annotation | value | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for key in Key::ALL {
        let [value, default, meaning] = key.row();
        let _ = writeln!(table, "| `{}` | {value} | {default} | {meaning} |", key.as_str());
    }
    table
}

/// One place where annotations stand.
struct Source<'a> {
    /// As messages name it.
    place: String,
    metadata: &'a Metadata,
}

/// The annotations of a pod, its namespace and its service account, and what is wrong with them.
pub(super) struct Found<'a> {
    /// The strongest first.
    sources: Vec<Source<'a>>,
    service_account: Option<&'a Metadata>,
    pub(super) wrong: Vec<Wrong>,
}

impl<'a> Found<'a> {
    pub(super) fn new(own: &'a Metadata, around: &Surroundings<'a>, account: &str) -> Self {
        let namespace = around.namespace;
        let mut sources = vec![
            Source { place: "the pod".to_owned(), metadata: own },
            Source { place: format!("namespace `{namespace}`"), metadata: around.namespace_metadata },
        ];
        if let Some(metadata) = around.service_account {
            sources.push(Source { place: format!("service account `{namespace}/{account}`"), metadata });
        }
        Self { sources, service_account: around.service_account, wrong: vec![] }
    }

    /// The strongest value, judged. `None` where nobody says it, and where it is wrong.
    pub(super) fn judged<T>(&mut self, key: Key, judge: impl Fn(&str) -> Result<T, NotA>) -> Option<T> {
        self.judged_as(key, key.as_str(), judge)
    }

    /// As [`Found::judged`]; where nobody says it, what the service account has for Azure's own webhook.
    pub(super) fn judged_or_azures<T>(
        &mut self,
        key: Key,
        azures: &'static str,
        judge: impl Fn(&str) -> Result<T, NotA>,
    ) -> Option<T> {
        let is_ours = self.sources.iter().any(|source| source.metadata.annotations.contains_key(key.as_str()));
        let is_theirs = self.service_account.is_some_and(|account| account.annotations.contains_key(azures));
        self.judged_as(key, if !is_ours && is_theirs { azures } else { key.as_str() }, judge)
    }

    fn judged_as<T>(&mut self, key: Key, text: &'static str, judge: impl Fn(&str) -> Result<T, NotA>) -> Option<T> {
        let reach = if key.is_of_pods_only() { 1 } else { self.sources.len() };
        let mut sources = self.sources[..reach].iter();
        let (place, value) =
            sources.find_map(|source| Some((&source.place, source.metadata.annotations.get(text)?.trim())))?;
        match judge(value) {
            Ok(right) => Some(right),
            Err(NotA(rule)) => {
                let (place, value) = (place.clone(), value.to_owned());
                self.wrong.push(Wrong { key: text, place, value, rule });
                None
            }
        }
    }

    /// What is wrong with a pod's annotation only in view of another.
    pub(super) fn refuse(&mut self, key: Key, rule: &'static str) {
        let mut sources = self.sources.iter();
        let said = sources.find_map(|source| Some((&source.place, source.metadata.annotations.get(key.as_str())?)));
        if let Some((place, value)) = said {
            self.wrong.push(Wrong { key: key.as_str(), place: place.clone(), value: value.clone(), rule });
        }
    }

    /// Keys of our domain that mean nothing where they stand.
    pub(super) fn warn_of_unknown(&self, warnings: &mut Vec<String>) {
        for (n, Source { place, metadata }) in self.sources.iter().enumerate() {
            for key in metadata.annotations.keys().filter(|key| key.starts_with(DOMAIN)) {
                match Key::ALL.iter().find(|known| known.as_str() == key) {
                    Some(known) if n > 0 && known.is_of_pods_only() => {
                        warnings.push(format!("annotation `{key}` of {place} has no effect: only a pod can say it"));
                    }
                    None if ![INJECTED, CONFIG_HASH].contains(&key.as_str()) => warnings.push(unknown(key, place)),
                    _ => {}
                }
            }
        }
    }
}

fn unknown(key: &str, place: &str) -> String {
    let near = nearest(key, Key::ALL.iter().map(|known| known.as_str()));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("annotation `{key}` of {place} is not known and has no effect{near}")
}
