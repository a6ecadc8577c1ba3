//! What an authority tells of itself: where its endpoints are, and by which keys its tokens are checked (contract B11).
//!
//! Public data of the tenants that the configuration knows; nobody has to prove anything for it. Easy to get wrong: an
//! OIDC client compares the issuer with the URL that it asked, so a document of this machine says what the client called
//! it, scheme, port and spelling of the tenant included; and a web application compares it with `iss` in what Entra signs.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::authority::{Authority, Cloud};
use crate::dialect::{Document, Refusal, Rejected, Version};
use crate::ids::{Guid, Tenant};
use crate::mint::TenantKeys;
use crate::policy::{Denied, Peer};
use crate::problem::{Blame, Problem};

/// The authorities that documents can be had of: one for each identity.
#[derive(Debug, Default)]
pub struct Authorities(Vec<Published>);

/// What the documents of one identity's tenant are made of.
#[derive(Debug)]
pub struct Published {
    /// The tenant, and its other spellings.
    pub tenants: Vec<Tenant>,
    pub authority: Authority,
    pub naming: Naming,
    pub keys: TenantKeys,
}

/// Whose addresses a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// This machine's everywhere.
    Local,
    /// Entra's, but for the token endpoint.
    Entra,
    /// Entra's everywhere: for a client that believes to be talking to Entra.
    Microsoft,
}

/// What stands for no single tenant. Entra gives no application a token of its own there, and nor do we.
const NO_TENANT: [&str; 3] = ["common", "organizations", "consumers"];

impl Authorities {
    #[must_use]
    pub fn new(published: Vec<Published>) -> Self {
        Self(published)
    }

    /// The first identity of the tenant, in any letter case; others of it name the same things.
    pub(super) fn of_tenant(&self, asked: &str) -> Option<&Published> {
        let is_it = |tenant: &Tenant| tenant.as_str().eq_ignore_ascii_case(asked);
        self.0.iter().find(|published| published.tenants.iter().any(is_it))
    }

    /// Whether the document is of a tenant, or of a cloud, that an identity has.
    pub(super) fn have(&self, asked: &Document<'_>) -> bool {
        match asked {
            Document::Metadata { tenant, .. } | Document::Keys { tenant } => self.of_tenant(tenant).is_some(),
            Document::Instance { host, tenant } => self.at_host(host).is_some() && self.of_tenant(tenant).is_some(),
        }
    }

    /// The first identity at that login host, or at another one of the same cloud.
    fn at_host(&self, host: &str) -> Option<&Published> {
        let cloud = Cloud::of_host(host);
        self.0.iter().find(|one| one.host() == host || (cloud.is_some() && one.cloud() == cloud))
    }
}

impl Published {
    fn host(&self) -> &str {
        self.authority.host().host_str().unwrap_or_default()
    }

    fn cloud(&self) -> Option<Cloud> {
        Cloud::of_host(self.host())
    }

    /// `https://{login host}`: a cloud names its own one, whichever was asked.
    fn origin(&self) -> String {
        match self.cloud() {
            Some(cloud) => format!("https://{}", cloud.login_host()),
            None => self.authority.host().origin().ascii_serialization(),
        }
    }

    /// As Entra's documents have it: by its GUID, where that is known.
    fn tenant(&self) -> &str {
        let by_number = self.tenants.iter().find(|tenant| Guid::parse(tenant.as_str()).is_ok());
        by_number.unwrap_or(self.authority.tenant()).as_str()
    }
}

/// Where the client believes to be, which is what its documents must say. Over a Unix socket the header may be missing.
pub(super) fn here(peer: &Peer, headers: &HeaderMap) -> String {
    let scheme = if matches!(peer, Peer::Tls(_)) { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// The document. `here` is the origin that the client asked at; `naming` overrides what the identity has.
pub(super) async fn answer(
    authorities: &Authorities,
    asked: &Document<'_>,
    here: &str,
    naming: Option<Naming>,
) -> Result<Bytes, Refusal> {
    let published = |tenant: &str| authorities.of_tenant(tenant).ok_or_else(|| Denied::tenant(tenant));
    let unknown = |denied| Refusal::of_unknown_tenant(&denied);
    let document = match asked {
        Document::Metadata { tenant, version } => {
            let published = published(tenant).map_err(unknown)?;
            metadata(published, *version, naming.unwrap_or(published.naming), &format!("{here}/{tenant}"))
        }
        Document::Keys { tenant } => {
            let document = published(tenant).map_err(unknown)?.keys.document().await;
            return document.ok_or_else(|| Refusal::passing(&NoKeys));
        }
        Document::Instance { host, tenant } if naming == Some(Naming::Microsoft) => {
            let nobody = || Refusal::of_rejected(&Rejected::Authority);
            let at_host = authorities.at_host(host).ok_or_else(nobody)?;
            if !NO_TENANT.contains(&tenant.to_ascii_lowercase().as_str()) {
                published(tenant).map_err(unknown)?;
            }
            instances_of_microsoft(at_host, tenant)
        }
        Document::Instance { host, tenant } => {
            if !is_here(host, here) {
                return Err(Refusal::of_rejected(&Rejected::Authority));
            }
            published(tenant).map_err(unknown)?;
            let name = here.split_once("://").map_or(here, |(_, name)| name);
            instances(&format!("{here}/{tenant}"), &[instance(name, name, &[name])])
        }
    };
    Ok(document.to_string().into())
}

/// Python leaves the port out when it asks (contract B11).
fn is_here(host: &str, here: &str) -> bool {
    url::Url::parse(here).is_ok_and(|here| here.host_str().is_some_and(|name| name.eq_ignore_ascii_case(host)))
}

/// OIDC metadata of a tenant; `local` is the authority as the client called it.
fn metadata(published: &Published, version: Version, naming: Naming, local: &str) -> Value {
    let (origin, tenant) = (published.origin(), published.tenant());
    let entra = format!("{origin}/{tenant}");
    let (token, rest) = match naming {
        Naming::Local => (local, local),
        Naming::Entra => (local, entra.as_str()),
        Naming::Microsoft => (entra.as_str(), entra.as_str()),
    };
    let v = if version == Version::V2 { "/v2.0" } else { "" };
    let issuer = match published.cloud().filter(|_| naming != Naming::Local && version == Version::V1) {
        Some(cloud) => format!("{}{tenant}/", cloud.v1_issuer()),
        None => format!("{rest}{v}"),
    };
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{rest}/oauth2{v}/authorize"),
        "token_endpoint": format!("{token}/oauth2{v}/token"),
        "jwks_uri": format!("{rest}/discovery{v}/keys"),
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    });
    // Here are none of these.
    if naming != Naming::Local {
        document["end_session_endpoint"] = format!("{rest}/oauth2{v}/logout").into();
        document["device_authorization_endpoint"] = format!("{rest}/oauth2{v}/devicecode").into();
        if let Some(cloud) = published.cloud() {
            document["userinfo_endpoint"] = format!("{}/oidc/userinfo", cloud.graph()).into();
        }
    }
    document
}

/// What Entra says of itself, whichever of its clouds is asked about.
fn instances_of_microsoft(published: &Published, tenant: &str) -> Value {
    let authority = format!("{}/{tenant}", published.origin());
    if published.cloud().is_none() {
        let origin = published.origin();
        let name = origin.trim_start_matches("https://");
        return instances(&authority, &[instance(name, name, &[name])]);
    }
    let all = Cloud::ALL.map(|cloud| {
        // The name under which the oldest clients kept their tokens.
        let cache = if cloud == Cloud::Public { "login.windows.net" } else { cloud.login_host() };
        instance(cloud.login_host(), cache, cloud.login_hosts())
    });
    instances(&authority, &all)
}

fn instances(authority: &str, all: &[Value]) -> Value {
    json!({
        "tenant_discovery_endpoint": format!("{authority}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": all,
    })
}

fn instance(network: &str, cache: &str, aliases: &[&str]) -> Value {
    json!({ "preferred_network": network, "preferred_cache": cache, "aliases": aliases })
}

/// The keys of a tenant are not known yet.
#[derive(Debug, thiserror::Error)]
#[error("the keys of this tenant could not be had from Entra yet")]
struct NoKeys;

impl Problem for NoKeys {
    fn code(&self) -> &'static str {
        "tenant-keys-missing"
    }

    fn blame(&self) -> Blame {
        Blame::Network
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("look in unsecret's log for why, and check the way to Entra with `unsecret doctor`".into())
    }
}

#[cfg(test)]
mod tests;
