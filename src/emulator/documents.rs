//! The documents an authority publishes: OIDC metadata, its keys, instance discovery (contract A1, B11).
//!
//! Easy to get wrong: MSAL for Go and JS refuse an `issuer` whose scheme, host and port are not the authority's, so these
//! documents speak of the emulator's own host and not of Microsoft's.

use http::{Response, StatusCode, Uri};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::answer::{self, Body};
use super::entra::Entra;
use super::rules::{self, Refusal};
use super::token_endpoint::refuse;
use super::tokens;
use crate::ids::Guid;

/// Answers a GET of a document; `None` when the path is none.
pub(super) fn answer(entra: &Entra, uri: &Uri) -> Option<Response<Body>> {
    let path: Vec<_> = uri.path().split('/').skip(1).collect();
    let document = match path.as_slice() {
        ["common", "discovery", "instance"] => instance(entra, uri.query().unwrap_or_default()),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => metadata(entra, tenant, "/v2.0"),
        [tenant, ".well-known", "openid-configuration"] => metadata(entra, tenant, ""),
        [tenant, "discovery", "v2.0", "keys"] | [tenant, "discovery", "keys"] => keys(entra, tenant),
        _ => return None,
    };
    let now = entra.clock.now().epoch().saturating_add_signed(entra.faults.common_offset());
    let mut response = match document {
        Ok(document) => answer::json(StatusCode::OK, &document),
        Err(refusal) => refuse(entra, &refusal, &Guid::random(), now),
    };
    answer::dated(&mut response, now);
    Some(response)
}

/// `common` and its like have metadata though they give no app-only tokens.
fn metadata(entra: &Entra, tenant: &str, version: &str) -> Result<Value, Refusal> {
    let shared = ["common", "organizations", "consumers"].contains(&tenant);
    let tenant = if shared { "{tenantid}" } else { entra.tenant(tenant)?.id.as_str() };
    let base = format!("{}/{tenant}", entra.authority_host());
    Ok(json!({
        "issuer": format!("{base}{version}"),
        "authorization_endpoint": format!("{base}/oauth2{version}/authorize"),
        "token_endpoint": format!("{base}/oauth2{version}/token"),
        "jwks_uri": format!("{base}/discovery{version}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
    }))
}

fn keys(entra: &Entra, tenant: &str) -> Result<Value, Refusal> {
    if tenant != "common" {
        entra.tenant(tenant)?;
    }
    Ok(tokens::jwks().unwrap_or_else(|_| json!({ "keys": [] })))
}

fn instance(entra: &Entra, query: &str) -> Result<Value, Refusal> {
    let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "authorization_endpoint");
    let endpoint = asked.and_then(|(_, value)| Url::parse(&value).ok()).filter(|url| entra.is_our_host(url));
    let Some(endpoint) = endpoint else {
        return Err(rules::INSTANCE.refuse("Unknown or invalid instance."));
    };
    let tenant = endpoint.path_segments().and_then(|mut segments| segments.next()).unwrap_or("common");
    let host = entra.authority_host();
    let network = host.trim_start_matches("https://");
    Ok(json!({
        "tenant_discovery_endpoint": format!("{host}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": network, "preferred_cache": network, "aliases": [network] }],
    }))
}
