//! What is added to a pod: the broker's container, the volumes it reads, the step that gives it an address.
//!
//! JSON as the API server takes it, restricted by Pod Security's strictest level. Configured by variables alone
//! (`docs/configuration.md`), so that a pod can be read without a ConfigMap beside it. Easy to get wrong: kubelet and
//! Prometheus do not reach loopback, so probes and metrics have a listener of their own on the pod's address, and the
//! doors have not.

use serde_json::{Map, Value, json};

use super::pod::{BROKER, NET_SETUP};
use super::settings::{Login, Settings};
use super::values::{Values, merge};
use super::words::{Intercept, Resources};
use crate::ids::Door;

pub(super) const TOKEN_VOLUME: &str = "unsecret-token";
pub(super) const TOKEN_DIRECTORY: &str = "/var/run/secrets/unsecret";
const CONFIG_VOLUME: &str = "unsecret-config";
const CONFIG_DIRECTORY: &str = "/etc/unsecret";
const CA_VOLUME: &str = "unsecret-ca";
const CA_DIRECTORY: &str = "/etc/unsecret-ca";

/// Every volume that may be ours.
pub(super) const VOLUMES: [&str; 3] = [TOKEN_VOLUME, CONFIG_VOLUME, CA_VOLUME];

/// The user of our image.
pub(super) const DEDICATED: u64 = 65_532;

/// Not `metrics`, which many applications have: a Service finds a named port in the first container that has it, and as an
/// ordinary container the broker is the first.
const ADMIN_PORT: &str = "unsecret-admin";

/// Where Azure's metadata service is (contract B2).
const METADATA_SERVICE: &str = "169.254.169.254:80";

/// How long an ordinary container goes on answering after SIGTERM: the application gets it at the same moment.
const CLASSIC_DRAIN: &str = "10s";

pub(super) fn token_path() -> String {
    format!("{TOKEN_DIRECTORY}/token")
}

/// Whose process the broker is, once the pod is known.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
}

/// The broker.
pub(super) fn container(settings: &Settings, values: &Values, user: User, is_native: bool) -> Value {
    let mut broker = json!({
        "name": BROKER,
        "image": values.image.reference,
        "imagePullPolicy": values.image.pull_policy.as_str(),
        "args": ["run"],
        "ports": [{"name": ADMIN_PORT, "containerPort": values.sidecar.metrics_port, "protocol": "TCP"}],
        "env": env(settings, values, is_native),
        // Needs no Entra: a mesh may not be up yet, and an outage must not stop a rollout.
        "startupProbe": {"httpGet": {"path": "/startupz", "port": ADMIN_PORT}, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": ADMIN_PORT}, "periodSeconds": 10, "timeoutSeconds": 2},
        "resources": amounts(settings, values),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security_context(values, user),
        "volumeMounts": mounts(settings, values),
    });
    if is_native {
        broker["restartPolicy"] = "Always".into();
    }
    if settings.broker.ready_gate {
        broker["readinessProbe"] =
            json!({"httpGet": {"path": "/readyz", "port": ADMIN_PORT}, "periodSeconds": 5, "timeoutSeconds": 2});
    }
    broker
}

/// The step before it that adds an address to the pod's loopback: one message to the kernel, as root with that one
/// capability and nothing else.
pub(super) fn net_setup(settings: &Settings, values: &Values) -> Value {
    json!({
        "name": NET_SETUP,
        "image": values.image.reference,
        "imagePullPolicy": values.image.pull_policy.as_str(),
        "args": ["net-setup"],
        "resources": amounts(settings, values),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            // Else the pod's own `runAsNonRoot` would hold for this step, too.
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

pub(super) fn volumes(settings: &Settings, values: &Values) -> Vec<Value> {
    let token = json!({
        "path": "token",
        "audience": settings.token.audience,
        "expirationSeconds": settings.token.expiration,
    });
    let mut volumes = vec![json!({"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}})];
    if let Some(name) = &settings.broker.config_map {
        volumes.push(json!({"name": CONFIG_VOLUME, "configMap": {"name": name}}));
    }
    if let Some(name) = &values.defaults.extra_ca_config_map {
        volumes.push(json!({"name": CA_VOLUME, "configMap": {"name": name}}));
    }
    volumes
}

fn mounts(settings: &Settings, values: &Values) -> Vec<Value> {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let mut mounts = vec![mount(TOKEN_VOLUME, TOKEN_DIRECTORY)];
    if settings.broker.config_map.is_some() {
        mounts.push(mount(CONFIG_VOLUME, CONFIG_DIRECTORY));
    }
    if values.defaults.extra_ca_config_map.is_some() {
        mounts.push(mount(CA_VOLUME, CA_DIRECTORY));
    }
    mounts
}

fn env(settings: &Settings, values: &Values, is_native: bool) -> Vec<Value> {
    let sidecar = &values.sidecar;
    let mut all = vec![json!({"name": "UNSECRET_POD_KEY", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}})];
    let mut put = |name: &str, value: &str| all.push(json!({"name": name, "value": value}));
    put("UNSECRET_TENANT", settings.tenant.as_str());
    put("UNSECRET_CLIENT_ID", settings.client_id.as_str());
    match &settings.login {
        Login::Cloud(cloud) => put("UNSECRET_CLOUD", cloud.as_str()),
        Login::Host(host) => put("UNSECRET_AUTHORITY_HOST", host),
    }
    put("UNSECRET_SCOPES", &settings.resources.scopes());
    put("UNSECRET_ASSERTION_FILE", &token_path());
    put("UNSECRET_ASSERTION_AUDIENCE", &settings.token.audience);
    put("UNSECRET_CALLER_KEY_ENV", "UNSECRET_POD_KEY");
    // Clients of that door know no key, and the pod's loopback is the pod's alone.
    put("UNSECRET_ANY_LOCAL_CALLER", if settings.doors.has(Door::Imds) { "true" } else { "false" });
    put("UNSECRET_LISTEN_DOORS", &settings.doors.to_string().replace(", ", ","));
    let mut http = format!("127.0.0.1:{}", sidecar.token_port);
    if settings.intercept != Intercept::Env {
        http += ",";
        http += METADATA_SERVICE;
    }
    put("UNSECRET_LISTEN_HTTP", &http);
    put("UNSECRET_LISTEN_ADMIN", &format!("0.0.0.0:{}", sidecar.metrics_port));
    // A native sidecar gets SIGTERM after the application has ended.
    if !is_native {
        put("UNSECRET_LISTEN_DRAIN", CLASSIC_DRAIN);
    }
    if let (true, Resources::Only(_)) = (settings.broker.ready_gate, &settings.resources) {
        put("UNSECRET_PREFETCH", &settings.resources.scopes());
    }
    if settings.broker.config_map.is_some() {
        put("UNSECRET_CONFIG", &format!("{CONFIG_DIRECTORY}/config.toml"));
    }
    if values.defaults.extra_ca_config_map.is_some() {
        put("UNSECRET_CA_FILE", &format!("{CA_DIRECTORY}/ca.crt"));
    }
    let proxies = [("HTTPS_PROXY", &values.defaults.https_proxy), ("NO_PROXY", &values.defaults.no_proxy)];
    for (name, value) in proxies.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
        put(name, value);
    }
    put("UNSECRET_LOG_JSON", "true");
    put("UNSECRET_LOG_LEVEL", settings.broker.log_level.as_str());
    // The operator's last word: of ours only what it does not say.
    let extra = &sidecar.extra_env;
    all.retain(|ours| extra.iter().all(|theirs| theirs["name"] != ours["name"]));
    all.extend(extra.iter().cloned());
    all
}

fn amounts(settings: &Settings, values: &Values) -> Value {
    let broker = &settings.broker;
    let over = json!({
        "requests": said([("cpu", &broker.cpu_request), ("memory", &broker.memory_request)]),
        "limits": said([("memory", &broker.memory_limit)]),
    });
    let mut amounts = Value::Object(values.sidecar.resources.clone());
    merge(&mut amounts, &over);
    amounts
}

fn said<const N: usize>(pairs: [(&str, &Option<String>); N]) -> Map<String, Value> {
    pairs.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), amount.clone()?.into()))).collect()
}

fn security_context(values: &Values, user: User) -> Value {
    let mut context = json!({
        "runAsNonRoot": true,
        "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let Some(uid) = user.uid {
        context["runAsUser"] = uid.into();
    }
    if let Some(gid) = user.gid {
        context["runAsGroup"] = gid.into();
    }
    merge(&mut context, &Value::Object(values.sidecar.security_context.clone()));
    context
}
