//! Whether a pod can have the broker, and what its author should know.
//!
//! Refused is what would let strangers ask, could not start, or would be refused later with a worse message. Easy to get
//! wrong: a pod that has the broker already is not judged again; later webhooks may have made of it what they like.

use super::Surroundings;
use super::broker::{self, User};
use super::denial::Denial;
use super::pod::Pod;
use super::settings::Settings;
use super::values::Values;
use super::words::{Intercept, Platform, RunAs};

/// What Pod Security Admission enforces in a namespace.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

pub(super) const PORT_START: &str = "net.ipv4.ip_unprivileged_port_start";

/// The port that clients expect at 169.254.169.254.
const METADATA_PORT: u16 = 80;

pub(super) fn judge(
    pod: &Pod<'_>,
    settings: &Settings,
    around: &Surroundings<'_>,
    values: &Values,
) -> Result<(), Denial> {
    if pod.is("hostNetwork") {
        return Err(Denial::HostNetwork);
    }
    let os = [&pod.field("os")["name"], &pod.field("nodeSelector")["kubernetes.io/os"]];
    if os.into_iter().any(|os| os == "windows") {
        return Err(Denial::Windows);
    }
    names(pod)?;
    ports(pod, settings, values)?;
    if settings.intercept != Intercept::Env {
        intercept(pod, settings, around, values)?;
    }
    Ok(())
}

fn names(pod: &Pod<'_>) -> Result<(), Denial> {
    let taken = |kind, name: &str| Err(Denial::NameTaken { kind, name: name.to_owned() });
    if let Some(container) = pod.all().find(|container| container.is_ours()) {
        return taken("container", container.name);
    }
    let names = pod.volumes().filter_map(|volume| volume["name"].as_str());
    match names.into_iter().find(|name| broker::VOLUMES.contains(name)) {
        Some(name) => taken("volume", name),
        None => Ok(()),
    }
}

fn ports(pod: &Pod<'_>, settings: &Settings, values: &Values) -> Result<(), Denial> {
    let mut needed =
        vec![(values.sidecar.token_port, "its doors"), (values.sidecar.metrics_port, "probes and metrics")];
    if settings.intercept != Intercept::Env {
        // Who listens on all addresses listens on this one, too.
        needed.push((METADATA_PORT, "169.254.169.254"));
    }
    for container in pod.all() {
        for (port, what) in &needed {
            if container.ports().any(|declared| declared == u64::from(*port)) {
                return Err(Denial::PortTaken { port: *port, container: container.name.to_owned(), what });
            }
        }
    }
    Ok(())
}

fn intercept(pod: &Pod<'_>, settings: &Settings, around: &Surroundings<'_>, values: &Values) -> Result<(), Denial> {
    let is_forced = settings.intercept == Intercept::ForceLoopbackAddress;
    if !is_forced && matches!(values.platform, Platform::Eks | Platform::Gke) {
        return Err(Denial::InterceptPlatform(values.platform.as_str()));
    }
    // Forcing helps nothing here: the API server would refuse the pod.
    if let Some(level) = around.namespace_metadata.labels.get(POD_SECURITY).filter(|level| *level != "privileged") {
        let namespace = around.namespace.to_owned();
        return Err(Denial::InterceptPodSecurity { namespace, level: level.clone() });
    }
    let set = pod.sysctls().into_iter().flatten().find(|sysctl| sysctl["name"] == PORT_START);
    match set.and_then(|sysctl| sysctl["value"].as_str()) {
        Some(value) if value.parse().is_ok_and(|start: u16| start <= METADATA_PORT) => Ok(()),
        Some(value) => Err(Denial::PortStart { value: value.to_owned() }),
        None => Ok(()),
    }
}

/// Whose process the broker will be.
///
/// # Errors
/// When it is to be that of the other containers, and there is no such.
pub(super) fn user(pod: &Pod<'_>, run_as: RunAs) -> Result<User, Denial> {
    let both = |id: u64| User { uid: Some(id), gid: Some(id) };
    match run_as {
        RunAs::Dedicated => Ok(both(broker::DEDICATED)),
        RunAs::Uid(uid) => Ok(both(uid.into())),
        RunAs::Unset => Ok(User { uid: None, gid: None }),
        RunAs::Same => match pod.common_user() {
            Ok(0) => Err(Denial::NoCommonUser("runs as root")),
            // The group stays the pod's.
            Ok(uid) => Ok(User { uid: Some(uid), gid: None }),
            Err(why) => Err(Denial::NoCommonUser(why)),
        },
    }
}

/// What is no reason to refuse a pod.
pub(super) fn warn(pod: &Pod<'_>, user: User, is_native: bool, warnings: &mut Vec<String>) {
    for field in ["shareProcessNamespace", "hostPID"] {
        if pod.is(field) {
            warnings.push(format!(
                "`{field}: true` lets processes of other containers look into the broker's, if their user may"
            ));
        }
    }
    let ends = pod.field("restartPolicy").as_str().is_some_and(|policy| policy != "Always");
    if ends && !is_native {
        let text = "the broker is an ordinary container here and does not end by itself, so this pod never completes; \
                    use `unsecret.dev/native-sidecar: \"true\"` from Kubernetes 1.29 on";
        warnings.push(text.to_owned());
    }
    if loosens_tokens(pod, user) {
        let text = "the broker's user differs from the pod's, so that the kubelet gives other projected tokens the mode 0644 \
                    in place of 0600; set `unsecret.dev/run-as: same` or the pod's `fsGroup` if that matters";
        warnings.push(text.to_owned());
    }
}

/// The kubelet lets only its user read a projected token, if the pod has only one (docs/kubernetes.md). The token that
/// every pod has for the API server is not counted: it would be a warning for every pod.
fn loosens_tokens(pod: &Pod<'_>, user: User) -> bool {
    let is_token = |volume: &serde_json::Value| {
        let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
        let usual = volume["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
        !usual && sources.into_iter().any(|source| source["serviceAccountToken"].is_object())
    };
    let keeps = pod.common_user().is_err() || pod.common_user().ok() == user.uid;
    !keeps && pod.field("securityContext")["fsGroup"].is_null() && pod.volumes().any(is_token)
}
