//! The links `exchange` and `token`: one real token request, what Entra said to it, and what the token is.
//!
//! One request for each identity; a second one only where Entra does not know the newest of several certificates, as the
//! broker would ask. Easy to get wrong: the token is looked at and dropped, never shown.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::chain::{Finding, Link};
use crate::app::{Opened, Parts};
use crate::assertion::{Assertion, Wanted};
use crate::authority::Cloud;
use crate::claims::Claims;
use crate::config::Identity;
use crate::entra::{EntraError, Exchanged, Granted, TokenRequest};
use crate::explain;
use crate::facts::Facts;
use crate::ids::Resource;
use crate::policy::Allowed;
use crate::problem::{Blame, Problem};

/// Entra does not know the certificate (contract A11).
const CERTIFICATE_UNKNOWN: u32 = 700_027;

/// What the identity's first token is for: what is held from the start, else what may be asked for, else Graph.
pub(super) fn resource(identity: &Identity) -> Resource {
    let allowed = match &identity.entry.allowed {
        Allowed::Listed(listed) => listed.first(),
        Allowed::Any => None,
    };
    identity.prefetch.first().or(allowed).cloned().unwrap_or_else(|| {
        let cloud = identity.authority.host().host_str().and_then(Cloud::of_host).unwrap_or_default();
        #[expect(clippy::expect_used, reason = "three constants, each parsed in a test")]
        Resource::parse(graph(cloud)).expect("a constant resource")
    })
}

/// Microsoft Graph, which every tenant has.
pub(super) fn graph(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public => "https://graph.microsoft.com",
        Cloud::UsGov => "https://graph.microsoft.us",
        Cloud::China => "https://microsoftgraph.chinacloudapi.cn",
    }
}

/// How the exchange ended.
pub(super) struct Outcome {
    pub(super) finding: Finding,
    pub(super) granted: Option<Granted>,
    /// Entra's numbers, when it refused.
    pub(super) numbers: Vec<u32>,
}

pub(super) async fn attempt(
    identity: &Identity,
    parts: &Parts,
    opened: &Opened,
    mut assertion: Assertion,
    resource: &Resource,
) -> Outcome {
    let token_url = identity.authority.token_url();
    let tried = format!("POST {token_url} for {}", resource.scope());
    let mut refused = Vec::new();
    loop {
        let ask = TokenRequest {
            authority: &identity.authority,
            client_id: &identity.entry.client_id,
            resource,
            claims: &Claims::default(),
            assertion: &assertion.jwt,
            presented: &assertion.facts,
        };
        let problem = match parts.entra.exchange(ask).await {
            Ok(Exchanged { granted, .. }) => return taken(tried, granted, refused.len()),
            Err(problem) => problem,
        };
        if numbers(&problem).contains(&CERTIFICATE_UNKNOWN) && refused.len() + 1 < opened.leaves().len() {
            refused.push(assertion.mark);
            let wanted = Wanted { token_url: token_url.as_str(), refused: &refused };
            if let Ok(next) = opened.source.assertion(wanted).await {
                assertion = next;
                continue;
            }
        }
        return refusal(identity, tried, &problem, &assertion.facts);
    }
}

fn numbers(problem: &EntraError) -> &[u32] {
    problem.fault().map_or(&[], |fault| &fault.numbers)
}

fn taken(tried: String, granted: Granted, unknown: usize) -> Outcome {
    let finding = if unknown == 0 {
        Finding::good(Link::Exchange, tried, "Entra gave a token")
    } else {
        let seen = format!("Entra gave a token for an older certificate; {unknown} newer it does not know");
        let remedy = "upload the newest certificate to the application, or wait: a new one may take minutes to spread";
        Finding::doubtful(Link::Exchange, tried, seen).remedied(remedy)
    };
    Outcome { finding, granted: Some(granted), numbers: Vec::new() }
}

fn refusal(identity: &Identity, tried: String, problem: &EntraError, presented: &Facts) -> Outcome {
    let numbers = numbers(problem).to_vec();
    let mut finding = Finding::broken(Link::Exchange, tried, problem);
    if let Some(near_miss) = numbers.iter().find_map(|&number| near_miss(number, presented)) {
        finding = finding.and(near_miss);
    }
    let wait = problem.marks().and_then(|marks| marks.retry_after);
    if let Some(wait) = wait {
        finding = finding.and(format!("Entra asks to be left alone for {} s", wait.as_secs()));
    }
    if let Some(id) = problem.correlation_id().filter(|_| problem.marks().is_some()) {
        finding = finding.and(format!("correlation id {id}, for the tenant's sign-in logs"));
    }
    if finding.remedy.is_none() {
        finding = finding.remedied("wait and try again; what the broker holds it hands out meanwhile");
    }
    if let Some(&number) = numbers.first() {
        let explained = explain::number(number);
        let about = |line: &&String| !line.starts_with("unsecret doctor");
        let named = |line: &String| line.replace("CLIENT_ID", identity.entry.client_id.as_str());
        finding.perhaps = explained.causes.to_vec();
        finding.look_at = explained.checks.iter().filter(about).map(named).collect();
    }
    Outcome { finding, granted: None, numbers }
}

/// How close the presented value usually is, for the mistakes that the eye passes over.
fn near_miss(number: u32, presented: &Facts) -> Option<String> {
    let slash = |issuer: &str| match issuer.strip_suffix('/') {
        Some(bare) => format!("the issuer ends in a slash, and `{bare}` without it is another issuer to Entra"),
        None => format!("the issuer has no slash at its end, and `{issuer}/` with one is another issuer to Entra"),
    };
    match number {
        700_211 | 70_021 => presented.issuer.as_deref().map(slash),
        7_002_137 | 7_002_138 => {
            let subject = presented.subject.as_deref()?;
            Some(format!("nothing but letter case differs; the subject is `{subject}`, capital letters and all"))
        }
        700_213 => Some("letter case counts in a subject, and so does every character".to_owned()),
        700_212 => {
            Some("a federated credential has one audience, and the token must be issued for exactly that".to_owned())
        }
        90_002 | 900_023 => Some("Entra looks for the tenant first: nothing else was judged yet".to_owned()),
        700_016 => Some("the tenant is there, and it does not know this client id".to_owned()),
        500_011 => Some("the identity is in order: Entra has judged it before it looks for the resource".to_owned()),
        53_003 => Some("the identity is in order, and a policy of the tenant says no".to_owned()),
        _ => None,
    }
}

/// The link `token`.
pub(super) fn token(identity: &Identity, resource: &Resource, granted: &Granted) -> Finding {
    let tried = "read the token's claims, and dropped it";
    let life = granted.expires_in.as_secs() / 60;
    let Some(claims) = claims(granted.access_token.expose()) else {
        let seen = format!("it is for its resource's eyes only; it lives {life} min");
        return Finding::good(Link::Token, tried, seen);
    };
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let client = [text("azp"), text("appid")].concat();
    let problem = if claims["scp"].is_string() {
        Some(TokenProblem::Delegated)
    } else if [&claims["appidacr"], &claims["azpacr"]].iter().any(|acr| **acr == "1") {
        Some(TokenProblem::WithSecret)
    } else if !client.is_empty() && !client.eq_ignore_ascii_case(identity.entry.client_id.as_str()) {
        Some(TokenProblem::AnothersToken { found: plain(&client), wanted: identity.entry.client_id.to_string() })
    } else {
        None
    };
    if let Some(problem) = problem {
        return Finding::broken(Link::Token, tried, &problem);
    }
    let audience = plain(claims["aud"].as_str().unwrap_or(resource.as_str()));
    let roles: Vec<_> = claims["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let roles = if roles.is_empty() { "no roles".to_owned() } else { format!("roles {}", plain(&roles.join(", "))) };
    Finding::good(Link::Token, tried, format!("app-only, obtained without a secret, for `{audience}`"))
        .and(format!("lives {life} min; {roles}"))
}

/// The claims of a token, if it is one that can be read.
fn claims(token: &str) -> Option<Value> {
    let part = Zeroizing::new(URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?);
    serde_json::from_slice(&part).ok().filter(Value::is_object)
}

/// Fit for a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// What a token should not be.
#[derive(Debug, thiserror::Error)]
enum TokenProblem {
    #[error("the token is a user's (it has `scp`), not the application's")]
    Delegated,
    #[error("the token says that it was obtained with a client secret (`appidacr` is 1)")]
    WithSecret,
    #[error("the token is for the application `{found}`, not `{wanted}`")]
    AnothersToken { found: String, wanted: String },
}

impl Problem for TokenProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Delegated => "token-delegated",
            Self::WithSecret => "token-obtained-with-secret",
            Self::AnothersToken { .. } => "token-of-another-application",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Entra
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("find out who answers in Entra's place: it does not issue such a token for this request".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clouds_graph_is_a_resource() {
        for cloud in Cloud::ALL {
            assert!(Resource::parse(graph(cloud)).is_ok());
        }
    }

    #[test]
    fn a_slash_too_many_or_too_few_is_said() {
        let says = |issuer: &str| {
            let facts = Facts { issuer: Some(issuer.to_owned()), ..Facts::default() };
            near_miss(700_211, &facts).unwrap()
        };
        assert!(says("https://i/").contains("ends in a slash, and `https://i` without it"));
        assert!(says("https://i").contains("`https://i/` with one"));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for text in ["", "a", "a.b.c", "a.W10.c", "opaque-token"] {
            assert!(claims(text).is_none(), "{text}");
        }
    }
}
