//! Which resources will refuse an access token, with which status, and what to do about it.
//!
//! One function per rule. Says only what the token shows: a role assignment it does not show is a remark, no refusal. Easy
//! to get wrong: 401 is about the token, 403 about what its bearer may do; the remedies differ.

use super::issuer;
use super::jwt::Jwt;
use super::report::{Model, Proof, Refusal};
use super::resources::{self, Needs, Resource};
use super::{shown, time};

/// Template ids in `wids` that stand for no role: the default of service principals, and of users.
const NO_ROLES: [&str; 2] = ["0997a1d0-0d1d-4acb-b408-d5ca73121e90", "b79fbf4d-3ef9-4689-8143-76b194e85509"];
const EVERYBODY: &str = "every resource";
const OWN: &str = "an API of your own";

/// What the rules look at.
pub(super) struct Seen<'a> {
    pub(super) jwt: &'a Jwt,
    pub(super) model: Model,
    pub(super) proof: Proof,
    pub(super) audience: &'a str,
    pub(super) resource: Option<&'static Resource>,
    pub(super) now: i64,
}

impl Seen<'_> {
    fn at(&self, name: &str) -> bool {
        self.resource.is_some_and(|resource| resource.name == name)
    }

    /// Neither Microsoft's nor nearly so.
    fn is_own(&self) -> bool {
        self.resource.is_none() && resources::near(self.audience).is_none()
    }
}

/// Every refusal, those about this token first, those by other resources last.
pub(super) fn refusals(seen: &Seen<'_>) -> Vec<Refusal> {
    type Rule = fn(&Seen<'_>) -> Option<Refusal>;
    const RULES: [Rule; 10] = [
        expired,
        early,
        bound,
        no_audience,
        near_miss,
        retired,
        secret_at_sharepoint,
        no_roles,
        own_roles,
        other_version,
    ];
    let mut all: Vec<_> = RULES.iter().filter_map(|rule| rule(seen)).collect();
    all.extend(foreign(seen));
    all
}

fn refusal(by: &str, status: u16, why: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    let (why, remedy) = (why.into(), Some(remedy.into()));
    Refusal { by: by.to_owned(), status: Some(status), aadsts: None, sign: None, why, remedy }
}

fn expired(seen: &Seen<'_>) -> Option<Refusal> {
    let end = seen.jwt.time("exp").filter(|end| *end <= seen.now)?;
    let why = format!("it expired {}", time::relative(end, seen.now));
    Some(refusal(EVERYBODY, 401, why, "get a new token; if this one was just issued, check this machine's clock"))
}

fn early(seen: &Seen<'_>) -> Option<Refusal> {
    let start = seen.jwt.time("nbf").filter(|start| *start > seen.now)?;
    let why = format!("it becomes valid {}", time::relative(start, seen.now));
    Some(refusal(EVERYBODY, 401, why, "check this machine's clock: Entra dates its tokens five minutes back"))
}

fn bound(seen: &Seen<'_>) -> Option<Refusal> {
    seen.jwt.claims.get("cnf")?;
    let why = "it is bound to a key (`cnf`), so it is worth nothing as a bearer token";
    Some(refusal(EVERYBODY, 401, why, "send it with the proof that it asks for, or ask for a bearer token"))
}

fn no_audience(seen: &Seen<'_>) -> Option<Refusal> {
    seen.audience.is_empty().then(|| refusal(EVERYBODY, 401, "it is for nobody: `aud` is missing", "get a new token"))
}

fn near_miss(seen: &Seen<'_>) -> Option<Refusal> {
    let (resource, right) = resources::near(seen.audience).filter(|_| seen.resource.is_none())?;
    let why = format!("the audience is `{}`, not `{right}`", shown::text(seen.audience));
    let mut refusal = refusal(resource.name, 401, why, format!("ask for `{right}/.default`"));
    (refusal.status, refusal.sign) = (resource.foreign.0, words(resource.foreign.1));
    Some(refusal)
}

fn retired(seen: &Seen<'_>) -> Option<Refusal> {
    let resource = seen.resource.filter(|resource| resource.needs == Needs::Retired)?;
    let mut refusal = refusal(resource.name, 403, "it has been switched off", "call Microsoft Graph");
    (refusal.status, refusal.sign) = (resource.forbidden.0, words(resource.forbidden.1));
    Some(refusal)
}

fn secret_at_sharepoint(seen: &Seen<'_>) -> Option<Refusal> {
    let concerned = seen.at("SharePoint Online") && seen.model == Model::AppOnly && seen.proof == Proof::Secret;
    concerned.then(|| Refusal {
        sign: Some("Unsupported app only token".to_owned()),
        ..refusal(
            "SharePoint Online",
            401,
            "it was obtained with a client secret, and SharePoint takes app-only tokens only from certificates and \
             assertions",
            "obtain it with a certificate or a federated credential",
        )
    })
}

/// Microsoft Graph, SharePoint and Exchange look for application permissions in the token.
fn no_roles(seen: &Seen<'_>) -> Option<Refusal> {
    let resource = seen.resource.filter(|resource| resource.needs == Needs::Roles)?;
    if seen.model != Model::AppOnly || seen.jwt.has("roles") || has_directory_role(seen.jwt) {
        return None;
    }
    let why = "it has no `roles`: no application permission was granted for this resource";
    let remedy = "grant application permissions, with an administrator's consent, then get a new token: this one stays \
                  as it is";
    let mut refusal = refusal(resource.name, 403, why, remedy);
    (refusal.status, refusal.sign) = (resource.forbidden.0, words(resource.forbidden.1));
    Some(refusal)
}

fn has_directory_role(jwt: &Jwt) -> bool {
    let wids = jwt.claims.get("wids").and_then(|wids| wids.as_array());
    wids.is_some_and(|wids| wids.iter().filter_map(|id| id.as_str()).any(|id| !NO_ROLES.contains(&id)))
}

fn own_roles(seen: &Seen<'_>) -> Option<Refusal> {
    let concerned =
        seen.is_own() && seen.model == Model::AppOnly && !seen.jwt.has("roles") && !seen.audience.is_empty();
    let remedy = "assign the application an app role of that API, then get a new token";
    concerned.then(|| refusal("an API of your own that checks roles", 403, "it has no `roles`", remedy))
}

/// An API validates one form of the issuer; which version it gets is set in its own registration.
fn other_version(seen: &Seen<'_>) -> Option<Refusal> {
    if !seen.is_own() {
        return None;
    }
    let issuer = issuer::entra(seen.jwt.claim("iss")?)?;
    let (wanted, other) = match issuer.version {
        1 => (2, format!("https://login.microsoftonline.com/{}/v2.0", shown::text(issuer.tenant))),
        _ => (1, format!("https://sts.windows.net/{}/", shown::text(issuer.tenant))),
    };
    let setting = if wanted == 2 { "2" } else { "1 or null" };
    let why = format!("the issuer is `{}`, not `{other}`", shown::text(seen.jwt.claim("iss")?));
    let remedy = format!(
        "set `requestedAccessTokenVersion` to {setting} in that API's registration, or let the API take both issuers"
    );
    Some(refusal(&format!("{OWN} that validates version {wanted} tokens"), 401, why, remedy))
}

/// Everybody else: the audience is not theirs.
fn foreign<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = Refusal> + 'a {
    let others = resources::table().iter().filter(|other| other.is_example);
    let others = others.filter(|other| !seen.at(other.name) && !seen.audience.is_empty());
    let why = format!("the audience is `{}`", shown::text(seen.audience));
    others.map(move |other| Refusal {
        by: other.name.to_owned(),
        status: other.foreign.0,
        aadsts: None,
        sign: words(other.foreign.1),
        why: why.clone(),
        remedy: Some("get a token for that resource: one token is for one resource".to_owned()),
    })
}

fn words(sign: &str) -> Option<String> {
    (!sign.is_empty()).then(|| sign.to_owned())
}
