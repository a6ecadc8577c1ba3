//! An access token or an id token of Entra's, described.
//!
//! Not verified here, and the report says so. Easy to get wrong: an id token is no access token, though some APIs take it.

use serde_json::Value;

use super::jwt::{Jwt, Signature};
use super::refusals::{Seen, refusals};
use super::report::{Kind, Model, Place, Report, Tone};
use super::resources::{self, Needs};
use super::{claims, issuer, model, shown, time};

/// What is said of a token that nobody verified.
pub(super) const NOT_VERIFIED: &str = "not verified: anyone can write these claims";

pub(super) fn describe(jwt: &Jwt, now: i64) -> Report {
    let audience = jwt.audiences().first().copied().unwrap_or_default();
    let resource = resources::of_audience(audience);
    let (model, why) = model::model(jwt);
    let proof = model::proof(jwt);
    let whom = resource.map_or_else(|| format!("`{}`", shown::text(audience)), |resource| resource.name.to_owned());
    let mut report = Report::new(
        Kind::AccessToken,
        format!("{} access token{} for {whom}, obtained {}", word(model), version(jwt), model::obtained(proof)),
    );
    (report.model, report.why, report.obtained_with) = (Some(model), why, Some(proof));
    life(&mut report, jwt, now);
    remarks(&mut report, jwt);
    if let (Some(resource), Model::AppOnly) = (resource, model) {
        remark_on_permission(&mut report, resource);
    }
    report.rows = rows(jwt, &["access"], now);
    report.refusals = refusals(&Seen { jwt, model, proof, audience, resource, now });
    report
}

pub(super) fn describe_id(jwt: &Jwt, now: i64) -> Report {
    let mut report =
        Report::new(Kind::IdToken, format!("id token{}: it tells an application who signed in", version(jwt)));
    life(&mut report, jwt, now);
    report.say(Tone::Doubtful, "no access token: no API should take it, and it is not worth sending one");
    report.rows = rows(jwt, &["id", "access"], now);
    report
}

fn word(model: Model) -> &'static str {
    match model {
        Model::AppOnly => "app-only",
        Model::Delegated => "delegated",
        Model::Unclear => "odd",
    }
}

fn version(jwt: &Jwt) -> String {
    jwt.claim("ver").map(|version| format!(" (version {})", shown::text(version))).unwrap_or_default()
}

/// How long it lives, that nobody verified it, and what became of its signature.
pub(super) fn life(report: &mut Report, jwt: &Jwt, now: i64) {
    match (jwt.time("nbf"), jwt.time("exp")) {
        (Some(start), _) if start > now => {
            report.say(Tone::Bad, format!("not yet valid: from {}", time::shown(start, now)));
        }
        (_, Some(end)) if end <= now => {
            report.say(Tone::Bad, format!("expired {} ({})", time::relative(end, now), time::utc(end)));
        }
        (_, Some(end)) => report.say(Tone::Good, format!("expires {} ({})", time::relative(end, now), time::utc(end))),
        (_, None) => report.say(Tone::Doubtful, "it does not say when it expires: `exp` is missing"),
    }
    report.say(Tone::Doubtful, NOT_VERIFIED);
    match jwt.signature {
        Signature::Present => {}
        Signature::Missing => report.say(Tone::Plain, "its signature was cut off, which makes it safe to pass around"),
        Signature::Damaged => report.say(Tone::Doubtful, "its signature is damaged: nobody will take it as it stands"),
    }
}

fn remarks(report: &mut Report, jwt: &Jwt) {
    if jwt.header.contains_key("nonce") {
        report.say(Tone::Plain, "its header has a `nonce`: only the resource it is for can verify its signature");
    }
    if jwt.has("xms_mirid") {
        report.say(Tone::Plain, "issued to a managed identity (`xms_mirid`)");
    }
    if takes_challenges(jwt) {
        let text = "the client takes claims challenges (`xms_cc`): the resource may answer 401 `insufficient_claims` \
                    before it expires, and the claims in that answer belong into the next token request";
        report.say(Tone::Plain, text);
    }
    let issuer = jwt.claim("iss").and_then(issuer::entra);
    if let (Some(issuer), Some(version)) = (issuer, jwt.claim("ver"))
        && version != format!("{}.0", issuer.version)
    {
        let text = format!("`ver` is `{}`, but the issuer is that of version {}", shown::text(version), issuer.version);
        report.say(Tone::Bad, text);
    }
    if let (Some(issuer), Some(tenant)) = (issuer, jwt.claim("tid"))
        && issuer.tenant != tenant
    {
        report.say(Tone::Bad, "`tid` is another tenant than the issuer's");
    }
    if issuer.is_none() {
        report.say(Tone::Bad, "the issuer is not Entra's");
    }
}

fn takes_challenges(jwt: &Jwt) -> bool {
    let can = |value: &Value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case("cp1"));
    match jwt.claims.get("xms_cc") {
        Some(Value::Array(all)) => all.iter().any(can),
        Some(one) => can(one),
        None => false,
    }
}

fn remark_on_permission(report: &mut Report, resource: &resources::Resource) {
    let without = match resource.forbidden {
        (Some(status), "") => format!("{status}"),
        (Some(status), words) => format!("{status} {words}"),
        (None, "") => "the login fails".to_owned(),
        (None, words) => words.to_owned(),
    };
    let decides = match resource.needs {
        Needs::Roles | Needs::Retired => return,
        Needs::Assignment => "a role assignment in Azure",
        Needs::Database => "a user in the database",
        Needs::Membership => "membership there",
    };
    let text = format!(
        "what it may do at {} is decided by {decides}, which no token shows; without: {without}",
        resource.name
    );
    report.say(Tone::Plain, text);
}

/// The rows of header and claims, unknown ones last.
pub(super) fn rows(jwt: &Jwt, places: &[&str], now: i64) -> Vec<super::report::Row> {
    let header = jwt.header.iter().map(|(name, value)| claims::row(Place::Header, &["header"], name, value, now));
    let claims = jwt.claims.iter().map(|(name, value)| claims::row(Place::Claim, places, name, value, now));
    let mut rows: Vec<_> = claims.chain(header).collect();
    rows.sort_by_key(|row| (row.place == Place::Header, row.meaning == Some(claims::UNKNOWN)));
    rows
}

/// True for what Entra says of a client: an id token has none of it.
pub(super) fn is_access(jwt: &Jwt) -> bool {
    ["appid", "azp", "appidacr", "azpacr", "scp", "idtyp"].iter().any(|name| jwt.has(name))
}
