//! A platform's token, fit or unfit to be an assertion: what Entra will refuse, with which number (contract A7, C).
//!
//! Whether a federated credential matches, only Entra knows: the report shows the three values to compare. Easy to get
//! wrong: the checks are `assertion::check`'s, so that `inspect` and the broker never differ in what they refuse.

use super::jwt::{Jwt, Signature};
use super::report::{Compared, Kind, Refusal, Report, Tone};
use super::{access, issuer, shown, time};
use crate::assertion::{self, EXCHANGE_APPLICATION, Flaw};
use crate::authority::Cloud;
use crate::facts::Facts;
use crate::fault;

/// The longest value that a federated credential can hold (contract A7).
const LONGEST: usize = 600;
/// Tokens of a day were seen to work; the maximum is not public (70023).
const LONG_LIFE: i64 = 24 * 3_600;
/// How far a clock may be ahead before `nbf` is worth a word; Entra's own leeway.
const LEEWAY: i64 = 300;

pub(super) fn describe(jwt: &Jwt, now: i64) -> Report {
    let issuer = jwt.claim("iss").unwrap_or_default();
    let platform = issuer::platform(issuer);
    let refusals = refusals(jwt, now);
    let fit = match refusals.len() {
        0 => "fit to be an assertion for Entra",
        _ => "unfit to be an assertion for Entra",
    };
    let mut report = Report::new(Kind::PlatformToken, format!("{}, {fit}", whose(jwt)));
    access::life(&mut report, jwt, now);
    if let Some(platform) = platform.filter(|platform| !platform.remark.is_empty()) {
        report.say(if platform.stable { Tone::Plain } else { Tone::Bad }, platform.remark);
    }
    remarks(&mut report, jwt);
    report.compare = compare(jwt);
    let key =
        platform.map_or_else(|| if jwt.claims.contains_key("kubernetes.io") { "kubernetes" } else { "" }, |it| it.key);
    report.rows = access::rows(jwt, &[key, "platform", "access"], now);
    report.refusals = refusals;
    report
}

fn whose(jwt: &Jwt) -> String {
    let issuer = jwt.claim("iss").unwrap_or_default();
    if let Some(platform) = issuer::platform(issuer) {
        return format!("token of {}", platform.name);
    }
    let spiffe = jwt.claim("sub").is_some_and(|subject| subject.starts_with("spiffe://"));
    if issuer::entra(issuer).is_some() {
        let pipelines = jwt.claim("sub").is_some_and(|subject| subject.starts_with("/eid1/"));
        return if pipelines { "token of Azure Pipelines" } else { "token of Entra for a managed identity" }.to_owned();
    }
    match issuer {
        _ if jwt.claims.contains_key("kubernetes.io") => "token of Kubernetes".to_owned(),
        _ if spiffe => "token of SPIFFE".to_owned(),
        "" => "token of an unnamed issuer".to_owned(),
        issuer => format!("token of `{}`", shown::text(issuer)),
    }
}

fn remarks(report: &mut Report, jwt: &Jwt) {
    if jwt.audiences().len() > 1 {
        report.say(Tone::Doubtful, "it has several audiences; whether Entra takes that is not known: ask for one");
    }
    if let (Some(start), Some(end)) = (jwt.time("iat").or(jwt.time("nbf")), jwt.time("exp"))
        && end.saturating_sub(start) > LONG_LIFE
    {
        let span = time::span(end.saturating_sub(start));
        let text =
            format!("it lives {span}; Entra has a maximum that is not public (AADSTS70023), a day was seen to work");
        report.say(Tone::Doubtful, text);
    }
    let entra = jwt.claim("iss").is_some_and(|issuer| issuer::entra(issuer).is_some());
    if entra && !jwt.has("xms_mirid") && !jwt.claim("sub").is_some_and(|subject| subject.starts_with("/eid1/")) {
        let text = "Entra takes its own tokens as assertions only from user-assigned managed identities (AADSTS700222), \
                    and none that was itself obtained by an assertion (AADSTS700231)";
        report.say(Tone::Doubtful, text);
    }
}

/// Issuer, subject and audience, with what the eye overlooks.
fn compare(jwt: &Jwt) -> Vec<Compared> {
    let mut compared: Vec<_> = [("issuer", "iss"), ("subject", "sub")]
        .into_iter()
        .map(|(name, claim)| of(name, jwt.claim(claim).unwrap_or_default()))
        .collect();
    compared.extend(jwt.audiences().into_iter().map(|audience| of("audience", audience)));
    compared
}

fn of(name: &'static str, value: &str) -> Compared {
    let mut hints = Vec::new();
    let mut hint = |applies: bool, text| {
        if applies {
            hints.push(text);
        }
    };
    hint(value.is_empty(), "it is missing");
    hint(name != "subject" && value.ends_with('/'), "it ends in a slash, which counts");
    hint(value.trim() != value, "it has white space at its edge, which counts");
    hint(value.trim().contains(char::is_whitespace), "it has white space inside");
    let own = Cloud::ALL.iter().any(|cloud| cloud.federation_audience() == value);
    hint(!own && value.chars().any(char::is_uppercase), "letter case counts");
    hint(!value.is_ascii(), "it has letters outside ASCII, which may only look alike");
    hint(value == EXCHANGE_APPLICATION, "write `api://AzureADTokenExchange` in the credential: Entra maps the two");
    Compared { name, value: shown::text(value), hints }
}

/// Everything for which Entra is sure to refuse it as an assertion.
pub(super) fn refusals(jwt: &Jwt, now: i64) -> Vec<Refusal> {
    let mut all: Vec<_> = flaws(jwt, now).iter().map(of_flaw).collect();
    for claim in ["iss", "sub", "aud", "exp"] {
        if !jwt.has(claim) {
            all.push(entra(90_014, format!("`{claim}` is missing")));
        }
    }
    if ["kid", "x5t", "x5t#S256"].iter().all(|name| jwt.header(name).is_none()) {
        all.push(entra(5_002_723, "its header names no key: `kid` is missing"));
    }
    let issuer = jwt.claim("iss").unwrap_or_default();
    if !issuer.is_empty() && !issuer::is_fetchable(issuer) {
        let why = format!("the issuer is `{}`, not a public https URL without query and fragment", shown::text(issuer));
        all.push(entra(70_022, why));
    }
    for (claim, number) in [("iss", 700_211), ("sub", 700_213)] {
        if jwt.claim(claim).is_some_and(|value| value.chars().count() > LONGEST) {
            all.push(entra(number, format!("`{claim}` is longer than the 600 characters of a federated credential")));
        }
    }
    all.extend(too_early(jwt, now));
    all
}

pub(super) fn too_early(jwt: &Jwt, now: i64) -> Option<Refusal> {
    let start = jwt.time("nbf").filter(|start| *start > now.saturating_add(LEEWAY))?;
    Some(entra(700_024, format!("it becomes valid {}", time::relative(start, now))))
}

/// Every flaw that the broker's own check finds: it stops at the first, so what was found is taken away and it is asked again.
fn flaws(jwt: &Jwt, now: i64) -> Vec<Flaw> {
    let mut facts = match facts(jwt) {
        Ok(facts) => facts,
        Err(flaw) => return vec![flaw],
    };
    let wanted = wanted_audience(&facts);
    let now = u64::try_from(now).unwrap_or_default();
    let mut flaws = Vec::new();
    while let Err(flaw) = assertion::check(&facts, wanted, now) {
        match &flaw {
            Flaw::Algorithm { .. } => facts.algorithm = None,
            Flaw::Kind { .. } => facts.kind = None,
            Flaw::Expired { .. } => facts.expires = None,
            _ => facts.audience = Some(wanted.to_owned()),
        }
        flaws.push(flaw);
    }
    flaws
}

/// A signature that was cut off on purpose is no flaw of header and claims.
fn facts(jwt: &Jwt) -> Result<Facts, Flaw> {
    match jwt.signature {
        Signature::Present => assertion::facts(jwt.text()),
        Signature::Missing | Signature::Damaged => {
            let parts: Vec<_> = jwt.text().split('.').take(2).collect();
            assertion::facts(&format!("{}.AA", parts.join(".")))
        }
    }
}

/// The federation audience of the cloud that it seems to be for; the public one unless it names another.
fn wanted_audience(facts: &Facts) -> &'static str {
    let said = facts.audience.as_deref().unwrap_or_default();
    Cloud::ALL
        .iter()
        .map(|cloud| cloud.federation_audience())
        .find(|own| *own == said)
        .unwrap_or("api://AzureADTokenExchange")
}

fn of_flaw(flaw: &Flaw) -> Refusal {
    let (number, why) = match flaw {
        Flaw::Expired { expired, now } => {
            let left = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
            (700_024, format!("it expired {}", time::relative(left(*expired), left(*now))))
        }
        Flaw::Algorithm { found } => {
            (5_002_738, format!("it is signed with `{}`, not with `RS256`", shown::text(found)))
        }
        Flaw::Kind { found } => (5_002_727, format!("its header says `typ` `{}`, not `JWT`", shown::text(found))),
        Flaw::Audience { found, wanted } => (
            700_212,
            format!("its audience is `{}`, not `{wanted}`, unless the credential names it", shown::text(found)),
        ),
        other => (50_027, other.to_string()),
    };
    Refusal { remedy: Some(flaw.remedy()), ..entra(number, why) }
}

/// Entra's refusal with this number; the remedy is the one that the log would give.
pub(super) fn entra(number: u32, why: impl Into<String>) -> Refusal {
    let remedy = fault::known(number).map(|known| known.remedy).filter(|remedy| !remedy.is_empty());
    Refusal {
        by: "Entra".to_owned(),
        status: None,
        aadsts: Some(number),
        sign: None,
        why: why.into(),
        remedy: remedy.map(str::to_owned),
    }
}
