//! What a token is asked for: the scope of the v2 endpoint, the resource of the v1 endpoint (contract A2, A5).
//!
//! Easy to get wrong: everything before the suffix `/.default` is the resource, its own trailing slash included, and it
//! is compared byte for byte.

use super::directory::Directory;
use super::request::{Endpoint, TokenRequest};
use super::rules::{self, Refusal};
use crate::ids::{DEFAULT_SUFFIX, Resource};

/// The resource that the request names; not yet whether it exists.
pub(super) fn read(request: &TokenRequest) -> Result<String, Refusal> {
    match request.endpoint {
        Endpoint::V1 => request.required("resource", &rules::RESOURCE_MISSING).map(str::to_owned),
        Endpoint::V2 => {
            if request.field("resource").is_some() {
                return Err(rules::RESOURCE_ON_V2.refuse("The 'resource' request parameter isn't supported."));
            }
            from_scope(request.required("scope", &rules::SCOPE_MISSING)?)
        }
    }
}

/// Said to nobody's harm where there is no user: MSAL for Go sends them beside the one scope whenever the client proves itself
/// with an assertion (its `accesstokens.go`), and Entra serves all who use it.
const OPENID: [&str; 3] = ["openid", "offline_access", "profile"];

fn from_scope(scope: &str) -> Result<String, Refusal> {
    let mut resources = Vec::new();
    for part in scope.split_whitespace().filter(|part| !OPENID.contains(part)) {
        resources.push(part.strip_suffix(DEFAULT_SUFFIX).ok_or_else(|| {
            rules::SCOPE_NOT_DEFAULT.refuse(format!(
                "The provided value for scope {part} is not valid. Client credential flows must have a scope value with \
                 /.default suffixed to the resource identifier (application ID URI)."
            ))
        })?);
    }
    match resources.as_slice() {
        [resource] if Resource::check(resource).is_ok() => Ok((*resource).to_owned()),
        [] | [_] => Err(rules::SCOPE_MALFORMED.refuse(format!(
            "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
             'scope' is not valid. The scope {scope} is not valid."
        ))),
        _ => Err(rules::SCOPE_SEVERAL.refuse(format!(
            "Provided value for the input parameter scope is not valid because it contains more than one resource. \
             Scope {scope} is not valid."
        ))),
    }
}

/// That the resource is in the tenant.
pub(super) fn exists(resource: &str, tenant: &str, directory: &Directory) -> Result<(), Refusal> {
    if directory.has_resource(resource) {
        return Ok(());
    }
    Err(rules::RESOURCE_UNKNOWN.refuse(format!(
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You might have sent your authentication request to the wrong tenant."
    )))
}
