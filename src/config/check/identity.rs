//! `[[identity]]`: names, ids, authority and scopes.
//!
//! Easy to get wrong: an empty list of scopes is an error and not "any"; and `prefetch` may hold nothing that a caller
//! may not ask for.

use super::{assertion, caller, outbound, sink};
use crate::authority::{Authority, Cloud};
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::{HIDDEN, Mistake, shown};
use crate::config::{Discovery, HardwareSettings, Identity};
use crate::ids::{DEFAULT_SUFFIX, Guid, IdentityName, NotA, Resource, Tenant, same_resource};
use crate::policy::{Allowed, Entry, Relayable};

pub(super) fn check(
    mut raw: file::Identity,
    path: &str,
    hardware: &HardwareSettings,
    env: &Environment,
    findings: &mut Findings,
) -> Option<Identity> {
    let at = |key: &str| format!("{path}.{key}");
    let name = required(&at("name"), raw.name.as_deref(), IdentityName::parse, findings);
    let tenant = required(&at("tenant"), raw.tenant.as_deref(), Tenant::parse, findings);
    let client_id = required(&at("client_id"), raw.client_id.as_deref(), Guid::parse, findings);
    let object_id = raw.object_id.and_then(|text| parsed(&at("object_id"), &text, Guid::parse, findings));
    if let Some(text) = raw.resource_id.as_deref().filter(|text| !text.starts_with("/subscriptions/")) {
        findings.wrong(&at("resource_id"), text, "an Azure resource id begins with /subscriptions/");
    }
    let tenant_aliases = each(&at("tenant_aliases"), raw.tenant_aliases.as_deref(), Tenant::parse, findings);
    let allowed = allowed(&at("scopes"), raw.scopes.as_deref(), findings);
    let prefetch = each(&at("prefetch"), raw.prefetch.as_deref(), Resource::from_scope, findings);
    prefetch_is_allowed(&at("prefetch"), raw.prefetch.as_deref(), allowed.as_ref(), findings);
    let any_local_caller = raw.any_local_caller.unwrap_or(false);
    // With a sink there is somebody to serve even where nobody may use a door.
    let nobody_needed = any_local_caller || !raw.sink.is_empty();
    let callers = caller::check(std::mem::take(&mut raw.caller), nobody_needed, path, env, findings);
    let (authority, cloud) = authority(raw.cloud, raw.authority_host, tenant.clone(), path, findings);
    let sinks = std::mem::take(&mut raw.sink);
    let assertion = assertion::check(raw.assertion, cloud, &at("assertion"), (hardware, env), findings);
    let sinks = sink::check(sinks, allowed.as_ref(), assertion.as_ref(), &at("sink"), findings);
    let reach = outbound::Reach { ca_file: raw.ca_file, proxy: raw.proxy, auth: raw.proxy_auth_file };
    let outbound = outbound::check(reach, authority.as_ref(), path, env, findings);
    let entry = Entry {
        name: name?,
        tenant: tenant?,
        tenant_aliases,
        client_id: client_id?,
        cloud,
        object_id,
        resource_id: raw.resource_id,
        allowed: allowed?,
        callers,
        any_local_caller,
        relay: relayable(&at("relay_scopes"), raw.relay_scopes, findings),
    };
    let discovery = raw.discovery.map_or(Discovery::Local, Discovery::from);
    issuer_is_known(discovery, &entry, path, findings);
    let required = raw.required.unwrap_or(true);
    let (authority, assertion) = (authority?, assertion?);
    Some(Identity { entry, authority, outbound, discovery, prefetch, required, assertion, sinks })
}

impl From<file::Discovery> for Discovery {
    fn from(raw: file::Discovery) -> Self {
        match raw {
            file::Discovery::Local => Self::Local,
            file::Discovery::Entra => Self::Entra,
        }
    }
}

/// Entra's issuer has the tenant's GUID, whatever the tenant was called.
fn issuer_is_known(discovery: Discovery, entry: &Entry, path: &str, findings: &mut Findings) {
    let mut tenants = std::iter::once(&entry.tenant).chain(&entry.tenant_aliases);
    if discovery == Discovery::Entra && !tenants.any(|tenant| Guid::parse(tenant.as_str()).is_ok()) {
        let what =
            format!("is \"entra\", but `{}` does not tell the tenant's GUID, which Entra's issuer has", entry.tenant);
        let remedy = "write the GUID as `tenant`, and the domain as one of `tenant_aliases`";
        findings.add(Mistake::Conflict, &format!("{path}.discovery"), what, remedy);
    }
}

fn relayable(path: &str, scopes: Option<Vec<String>>, findings: &mut Findings) -> Relayable {
    let scopes = scopes.unwrap_or_default();
    if scopes.is_empty() {
        return Relayable::Nothing;
    }
    if scopes == ["*"] {
        return Relayable::Any;
    }
    for (n, text) in scopes.iter().enumerate() {
        let one_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if text == "*" || !one_word {
            let remedy = "write one scope such as `https://graph.microsoft.com/User.Read`, or `[\"*\"]` alone for any";
            findings.wrong_but(&format!("{path}[{n}]"), text, "must be one scope", remedy);
        }
    }
    Relayable::Listed(scopes)
}

type Parse<T> = fn(&str) -> Result<T, NotA>;

fn required<T>(path: &str, text: Option<&str>, parse: Parse<T>, findings: &mut Findings) -> Option<T> {
    if text.is_none() {
        findings.missing(path);
    }
    parsed(path, text?, parse, findings)
}

fn parsed<T>(path: &str, text: &str, parse: Parse<T>, findings: &mut Findings) -> Option<T> {
    parse(text).map_err(|rule| findings.wrong(path, text, rule.0)).ok()
}

fn each<T>(path: &str, texts: Option<&[String]>, parse: Parse<T>, findings: &mut Findings) -> Vec<T> {
    let texts = texts.unwrap_or_default().iter().enumerate();
    texts.filter_map(|(n, text)| parsed(&format!("{path}[{n}]"), text, parse, findings)).collect()
}

fn allowed(path: &str, scopes: Option<&[String]>, findings: &mut Findings) -> Option<Allowed> {
    let Some(scopes) = scopes else {
        findings.missing(path);
        return None;
    };
    if scopes.is_empty() {
        let remedy = format!("{}, or `[\"*\"]` for any", findings.right(path));
        findings.add(Mistake::WrongValue, path, "is [], but must name what may be asked for", remedy);
        return None;
    }
    if scopes == ["*"] {
        return Some(Allowed::Any);
    }
    let mut listed = Vec::new();
    for (n, text) in scopes.iter().enumerate() {
        let at = format!("{path}[{n}]");
        if text == "*" {
            let remedy = "write `scopes = [\"*\"]` alone, or delete the `*`";
            findings.wrong_but(&at, text, "`*` must stand alone", remedy);
            continue;
        }
        match Resource::from_scope(text) {
            Ok(resource) => listed.push(resource),
            Err(rule) => findings.wrong_but(&at, text, rule.0, right_scope(text)),
        }
    }
    Some(Allowed::Listed(listed))
}

/// `/.default` of the resource that the text names: as a whole, or before one permission of its own.
fn right_scope(text: &str) -> String {
    let url = url::Url::parse(text).ok().filter(|_| Resource::check(text).is_ok());
    let resource = match &url {
        Some(url) if !matches!(url.path(), "" | "/") => text.rsplit_once('/').map(|(resource, _)| resource),
        Some(_) => Some(text),
        None => Some(text).filter(|text| Guid::parse(text).is_ok()),
    };
    match resource {
        Some(resource) => format!("write `{resource}{DEFAULT_SUFFIX}`"),
        None => format!("write `https://graph.microsoft.com{DEFAULT_SUFFIX}`, for example"),
    }
}

/// The same host over https and without a path; the example where the text names no host.
fn right_host(text: &str) -> Option<String> {
    if shown(text) == HIDDEN {
        return None;
    }
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let url = url::Url::parse(&format!("https://{bare}")).ok()?;
    // A user or password is not among it.
    Some(format!("write `{}`", url.origin().ascii_serialization()))
}

fn prefetch_is_allowed(path: &str, prefetch: Option<&[String]>, allowed: Option<&Allowed>, findings: &mut Findings) {
    let Some(Allowed::Listed(listed)) = allowed else { return };
    for (n, scope) in prefetch.unwrap_or_default().iter().enumerate() {
        let Ok(resource) = Resource::from_scope(scope) else { continue };
        if !listed.iter().any(|other| same_resource(other.as_str(), resource.as_str())) {
            let remedy = format!("add `{scope}` to `scopes`, or delete it here");
            findings.wrong_but(&format!("{path}[{n}]"), scope, "`scopes` does not allow that", remedy);
        }
    }
}

/// The authority, and the cloud whose audience is the default.
fn authority(
    cloud: Option<file::Cloud>,
    host: Option<String>,
    tenant: Option<Tenant>,
    path: &str,
    findings: &mut Findings,
) -> (Option<Authority>, Cloud) {
    let named = match cloud {
        None | Some(file::Cloud::Public) => Cloud::Public,
        Some(file::Cloud::UsGov) => Cloud::UsGov,
        Some(file::Cloud::China) => Cloud::China,
    };
    let Some(host) = host else { return (tenant.map(|tenant| Authority::of_cloud(named, tenant)), named) };
    let at = format!("{path}.authority_host");
    if cloud.is_some() {
        findings.add(Mistake::Conflict, &at, "is set together with `cloud`", "delete one of them");
    }
    // Judged with a stand-in where the tenant is wrong, so that both are reported.
    let Ok(stand_in) = Tenant::parse("contoso.onmicrosoft.com") else { return (None, named) };
    match Authority::at_host(&host, tenant.clone().unwrap_or(stand_in)) {
        Err(rule) => {
            let remedy = right_host(&host).unwrap_or_else(|| findings.right(&at));
            findings.wrong_but(&at, &host, rule.0, remedy);
            (None, named)
        }
        Ok(authority) => {
            // A cloud's own host, as platforms put it into AZURE_AUTHORITY_HOST, means that cloud.
            let login = authority.host().host_str().unwrap_or_default();
            let known = Cloud::of_host(login);
            (tenant.map(|_| authority), known.unwrap_or(named))
        }
    }
}
