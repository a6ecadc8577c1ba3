//! What a pod is to have: its annotations, and the values where they are silent.
//!
//! Easy to get wrong: all mistakes of all annotations are told together, and only then what is missing; a pod is refused
//! for what it says, not one word at a time.

use super::annotations::{Found, Key};
use super::denial::{Denial, Missing};
use super::values::Values;
use super::words::{self, Intercept, Leftover, LogLevel, Native, Platform, Resources, RunAs};
use crate::authority::{Authority, Cloud};
use crate::ids::{Doors, Guid, Tenant};

/// An SDK that reads the token's file itself keeps what it read for ten minutes, and a token of ten minutes is replaced
/// two minutes before its end.
const SHORTEST_EXPOSED: u32 = 3_600;

/// Everything, checked.
pub(super) struct Settings {
    pub(super) client_id: Guid,
    pub(super) tenant: Tenant,
    pub(super) login: Login,
    pub(super) resources: Resources,
    pub(super) token: Token,
    pub(super) doors: Doors,
    pub(super) leftover: Leftover,
    pub(super) intercept: Intercept,
    pub(super) selection: Selection,
    pub(super) broker: Broker,
}

/// Where Entra is.
#[derive(Clone, Debug)]
pub(super) enum Login {
    Cloud(Cloud),
    /// A login host of one's own.
    Host(String),
}

impl Login {
    /// As `AZURE_AUTHORITY_HOST` has it.
    pub(super) fn host(&self, tenant: &Tenant) -> String {
        match self {
            Self::Cloud(cloud) => Authority::of_cloud(*cloud, tenant.clone()).host().to_string(),
            Self::Host(host) => host.clone(),
        }
    }
}

/// The service account's token.
pub(super) struct Token {
    pub(super) audience: String,
    pub(super) expiration: u32,
    /// Whether the containers have it, too.
    pub(super) is_exposed: bool,
}

/// Which containers get the variables.
pub(super) enum Selection {
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

/// The broker as a container.
pub(super) struct Broker {
    pub(super) run_as: RunAs,
    pub(super) native: Native,
    pub(super) ready_gate: bool,
    pub(super) config_map: Option<String>,
    pub(super) cpu_request: Option<String>,
    pub(super) memory_request: Option<String>,
    pub(super) memory_limit: Option<String>,
    pub(super) log_level: LogLevel,
}

impl Settings {
    /// # Errors
    /// When annotations are wrong, or something that no pod can do without is said nowhere.
    pub(super) fn of(found: &mut Found<'_>, values: &Values) -> Result<Self, Denial> {
        let defaults = &values.defaults;
        let client_id = found.judged_or_azures(Key::ClientId, "azure.workload.identity/client-id", Guid::parse);
        let tenant = found.judged_or_azures(Key::TenantId, "azure.workload.identity/tenant-id", Tenant::parse);
        let tenant = tenant.or_else(|| defaults.tenant.clone());
        let resources = found.judged(Key::Resources, Resources::parse).or_else(|| defaults.resources.clone());
        let login = login(found, values);
        let token = token(found, values, &login);
        let doors = found.judged(Key::Doors, words::doors).unwrap_or(defaults.doors);
        let leftover = found.judged(Key::LeftoverSecret, Leftover::parse).unwrap_or(Leftover::Deny);
        let intercept = found.judged(Key::Intercept, Intercept::parse).unwrap_or(defaults.intercept);
        let (selection, broker) = (selection(found), broker(found, values));
        if !found.wrong.is_empty() {
            return Err(Denial::Annotations(std::mem::take(&mut found.wrong)));
        }
        match (client_id, tenant, resources) {
            (Some(client_id), Some(tenant), Some(resources)) => {
                Ok(Self { client_id, tenant, login, resources, token, doors, leftover, intercept, selection, broker })
            }
            (client_id, tenant, resources) => {
                let missing = [
                    client_id.is_none().then_some(Missing::ClientId),
                    tenant.is_none().then_some(Missing::Tenant),
                    resources.is_none().then_some(Missing::Resources),
                ];
                Err(Denial::Missing(missing.into_iter().flatten().collect()))
            }
        }
    }
}

/// A cloud that is annotated stands before the operator's own login host: it is said of fewer pods.
fn login(found: &mut Found<'_>, values: &Values) -> Login {
    match (found.judged(Key::Cloud, words::cloud), &values.defaults.authority_host) {
        (Some(cloud), _) => Login::Cloud(cloud),
        (None, Some(host)) => Login::Host(host.clone()),
        (None, None) => Login::Cloud(values.defaults.cloud),
    }
}

fn token(found: &mut Found<'_>, values: &Values, login: &Login) -> Token {
    let is_exposed = found.judged(Key::ExposeTokenFile, words::boolean).unwrap_or(false);
    let said = found.judged(Key::TokenExpiration, words::expiration);
    if is_exposed && said.is_some_and(|seconds| seconds < SHORTEST_EXPOSED) {
        let rule =
            "write 3600 or more beside expose-token-file: SDKs that read the file keep what they read for ten minutes";
        found.refuse(Key::TokenExpiration, rule);
    }
    let usual = values.defaults.expiration;
    let usual = if is_exposed { usual.max(SHORTEST_EXPOSED) } else { usual };
    // The chart's default is what Entra suggests for the public cloud; the others have their own.
    let audience = match login {
        Login::Cloud(cloud) if values.defaults.audience == Cloud::Public.federation_audience() => {
            cloud.federation_audience().to_owned()
        }
        _ => values.defaults.audience.clone(),
    };
    Token { audience, expiration: said.unwrap_or(usual), is_exposed }
}

fn selection(found: &mut Found<'_>) -> Selection {
    let only = found.judged(Key::Containers, words::names);
    let except = found.judged(Key::SkipContainers, words::names);
    match (only, except) {
        (Some(_), Some(_)) => {
            found.refuse(Key::SkipContainers, "write either containers or skip-containers");
            Selection::All
        }
        (Some(only), None) => Selection::Only(only),
        (None, Some(except)) => Selection::Except(except),
        (None, None) => Selection::All,
    }
}

fn broker(found: &mut Found<'_>, values: &Values) -> Broker {
    let sidecar = &values.sidecar;
    // OpenShift's usual constraint gives every namespace user ids of its own and refuses ours.
    let usual = match (sidecar.run_as, values.platform) {
        (RunAs::Dedicated, Platform::OpenShift) => RunAs::Unset,
        (usual, _) => usual,
    };
    Broker {
        run_as: found.judged(Key::RunAs, RunAs::parse).unwrap_or(usual),
        native: found.judged(Key::NativeSidecar, Native::parse).unwrap_or(sidecar.native),
        ready_gate: found.judged(Key::ReadyGate, words::boolean).unwrap_or(false),
        config_map: found.judged(Key::ConfigMap, words::object_name),
        cpu_request: found.judged(Key::CpuRequest, words::quantity),
        memory_request: found.judged(Key::MemoryRequest, words::quantity),
        memory_limit: found.judged(Key::MemoryLimit, words::quantity),
        log_level: found.judged(Key::LogLevel, LogLevel::parse).unwrap_or(LogLevel::Info),
    }
}
