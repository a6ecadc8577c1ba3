//! Delegated scopes: what a user's token is asked for, and whether the application has consent for it (contract A14).
//!
//! Not the scope of client credentials (`target`). Easy to get wrong: a scope without a resource is Graph's, and the
//! four of OpenID Connect belong to no resource.

use super::directory::Application;
use super::request::{Endpoint, TokenRequest};
use super::rules::{self, Refusal, Rule};
use super::session::Session;
use crate::ids::Resource;

const GRAPH: &str = "https://graph.microsoft.com";
const OPENID_CONNECT: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// Stands for every scope with consent.
const DEFAULT: &str = ".default";

/// What is asked for.
pub(super) struct Wish {
    pub(super) resource: String,
    names: Vec<String>,
    openid_connect: Vec<String>,
}

impl Wish {
    /// Asks for an id token.
    pub(super) fn openid(&self) -> bool {
        self.openid_connect.iter().any(|name| name == "openid")
    }

    /// Asks for a refresh token.
    pub(super) fn offline(&self) -> bool {
        self.openid_connect.iter().any(|name| name == "offline_access")
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Scopes of OpenID Connect that are shown in an answer.
    pub(super) fn shown(&self) -> impl Iterator<Item = &str> {
        self.openid_connect.iter().map(String::as_str).filter(|name| *name != "offline_access")
    }

    /// The v1 endpoint asks for a resource and always gives an id token and a refresh token.
    fn v1(resource: &str) -> Self {
        let openid_connect = OPENID_CONNECT.map(str::to_owned).to_vec();
        Self { resource: resource.to_owned(), names: vec![DEFAULT.to_owned()], openid_connect }
    }
}

/// What a token request asks for; an earlier sign-in says it where the request does not.
pub(super) fn read(request: &TokenRequest, earlier: Option<&Session>) -> Result<Wish, Refusal> {
    match request.endpoint {
        Endpoint::V1 => {
            let named = request.field("resource").or_else(|| earlier.and_then(|session| session.resource.as_deref()));
            match named {
                Some(resource) => Ok(Wish::v1(resource)),
                None => request.required("resource", &rules::RESOURCE_MISSING).map(Wish::v1),
            }
        }
        Endpoint::V2 => {
            if request.field("resource").is_some() {
                return Err(rules::RESOURCE_ON_V2.refuse("The 'resource' request parameter isn't supported."));
            }
            let before = earlier.map(|session| session.scope.as_str()).filter(|scope| !scope.is_empty());
            match request.field("scope").or(before) {
                Some(scope) => from_scope(scope),
                None => request.required("scope", &rules::SCOPE_MISSING).and_then(from_scope),
            }
        }
    }
}

/// What an authorize request asks for.
pub(super) fn from_query(endpoint: Endpoint, scope: Option<&str>, resource: Option<&str>) -> Result<Wish, Refusal> {
    match (endpoint, scope, resource) {
        (Endpoint::V1, _, resource) => Ok(Wish::v1(resource.unwrap_or(GRAPH))),
        (Endpoint::V2, scope, _) => from_scope(scope.unwrap_or_default()),
    }
}

pub(super) fn from_scope(scope: &str) -> Result<Wish, Refusal> {
    let (mut found, mut names, mut openid_connect) = (None, Vec::new(), Vec::new());
    for part in scope.split_whitespace() {
        if OPENID_CONNECT.contains(&part) {
            openid_connect.push(part.to_owned());
            continue;
        }
        let (resource, name) = part.rsplit_once('/').unwrap_or((GRAPH, part));
        if name.is_empty() || Resource::check(resource).is_err() {
            return Err(malformed(&rules::SCOPE_MALFORMED, scope));
        }
        if found.is_some_and(|found| found != resource) {
            return Err(malformed(&rules::SCOPE_SEVERAL, scope));
        }
        found = Some(resource);
        names.push(name.to_owned());
    }
    if found.is_none() && openid_connect.is_empty() {
        return Err(malformed(&rules::SCOPE_MALFORMED, scope));
    }
    Ok(Wish { resource: found.unwrap_or(GRAPH).to_owned(), names, openid_connect })
}

fn malformed(rule: &'static Rule, scope: &str) -> Refusal {
    rule.refuse(format!(
        "The provided value for the input parameter 'scope' is not valid. The scope {} is not valid.",
        super::journal::cut(scope)
    ))
}

/// The names of the scopes that the application gets for the resource.
pub(super) fn check(wish: &Wish, application: &Application) -> Result<Vec<String>, Refusal> {
    let consents = application.settings.consents.iter().filter_map(|scope| scope.rsplit_once('/'));
    let given: Vec<_> = consents.filter(|(of, _)| *of == wish.resource).map(|(_, name)| name.to_owned()).collect();
    if wish.names.iter().any(|name| name == DEFAULT) && !given.is_empty() {
        return Ok(given);
    }
    if wish.names.iter().all(|name| given.contains(name)) {
        return Ok(wish.names.clone());
    }
    Err(rules::CONSENT.refuse(format!(
        "The user or administrator has not consented to use the application with ID '{}'. Send an interactive \
         authorization request for this user and resource.",
        application.settings.client_id
    )))
}

/// The `suberror` with which the rule refuses.
pub(super) fn suberror(rule: &Rule) -> Option<&'static str> {
    (*rule == rules::CONSENT).then_some("consent_required")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(scope: &str) -> Result<String, u32> {
        from_scope(scope).map(|wish| wish.resource).map_err(|refusal| refusal.rule.number)
    }

    #[test]
    fn a_scope_without_a_resource_is_graphs_and_all_scopes_have_one_resource() {
        assert_eq!(resource("openid User.Read").as_deref(), Ok(GRAPH));
        assert_eq!(resource("openid").as_deref(), Ok(GRAPH));
        assert_eq!(resource("api://a/b.c offline_access").as_deref(), Ok("api://a"));
        assert_eq!(resource("https://database.windows.net//.default").as_deref(), Ok("https://database.windows.net/"));
        assert_eq!(resource("api://a/b User.Read"), Err(28_000));
        assert_eq!(resource(" "), Err(70_011));
        assert_eq!(resource("api://a/"), Err(70_011));
    }
}
