//! Looks into a JWT that somebody else signed, without verifying it.
//!
//! For facts and for what Entra is sure to refuse (contract A7), so that the operator hears of it here and in our words.
//! Nothing is decided on these claims. Easy to get wrong: Entra judges by its own clock and list; what is doubtful passes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::facts::Facts;

/// The audience that Entra writes into tokens for `api://AzureADTokenExchange` (contract A7, audience spelling).
pub const EXCHANGE_APPLICATION: &str = "fb60f99c-7a34-4190-8149-302f77469936";
/// A token this long dead is refused here; below it the clocks may disagree and Entra is asked.
const LEEWAY: u64 = 60;

/// What is wrong with an assertion that the platform gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    #[error("it is not a complete JWT: {parts} parts, not 3")]
    Parts { parts: usize },
    #[error("it is not a complete JWT: its {part} cannot be decoded")]
    Damaged { part: &'static str },
    #[error("it expired: `exp` is {expired}, now is {now}")]
    Expired { expired: u64, now: u64 },
    #[error("it is signed with `{found}`, not with `RS256`")]
    Algorithm { found: String },
    #[error("its header says `typ` `{found}`, not `JWT`")]
    Kind { found: String },
    #[error("its audience is `{found}`, not `{wanted}`")]
    Audience { found: String, wanted: String },
}

impl Flaw {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Parts { .. } | Self::Damaged { .. } => "assertion-incomplete",
            Self::Expired { .. } => "assertion-expired",
            Self::Algorithm { .. } => "assertion-algorithm",
            Self::Kind { .. } => "assertion-type",
            Self::Audience { .. } => "assertion-audience",
        }
    }

    pub fn remedy(&self) -> String {
        match self {
            Self::Parts { .. } | Self::Damaged { .. } => "let the writer replace the token whole, by rename".to_owned(),
            Self::Expired { .. } => "check that the platform renews the token, and this machine's clock".to_owned(),
            Self::Algorithm { .. } => "have the issuer sign with RS256, the only algorithm Entra takes".to_owned(),
            Self::Kind { .. } => "use an identity token; Entra refuses other types, such as at+jwt".to_owned(),
            Self::Audience { wanted, .. } => {
                format!("have the platform issue the token for `{wanted}`, or set `audience` to what it issues")
            }
        }
    }

    /// True when the platform's next token may well be better without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Parts { .. } | Self::Damaged { .. } | Self::Expired { .. })
    }
}

/// The claims of a token, or how it is not one.
pub fn facts(jwt: &str) -> Result<Facts, Flaw> {
    let parts: Vec<_> = jwt.split('.').collect();
    let &[header, claims, signature] = parts.as_slice() else {
        return Err(Flaw::Parts { parts: parts.len() });
    };
    let header = object(header).ok_or(Flaw::Damaged { part: "header" })?;
    let claims = object(claims).ok_or(Flaw::Damaged { part: "payload" })?;
    if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
        // `alg` `none` has an empty signature and deserves its own word.
        let unsigned = text(&header, "alg").filter(|algorithm| algorithm == "none");
        return Err(unsigned.map_or(Flaw::Damaged { part: "signature" }, |found| Flaw::Algorithm { found }));
    }
    Ok(Facts {
        issuer: text(&claims, "iss"),
        subject: text(&claims, "sub"),
        audience: audience(&claims),
        expires: expires(&claims),
        key_id: text(&header, "kid"),
        algorithm: text(&header, "alg"),
        kind: text(&header, "typ"),
    })
}

/// Refuses what Entra is sure to refuse.
pub fn check(facts: &Facts, audience: &str, now: u64) -> Result<(), Flaw> {
    if let Some(found) = facts.algorithm.as_ref().filter(|found| !found.starts_with("RS")) {
        return Err(Flaw::Algorithm { found: found.clone() });
    }
    let allowed = |kind: &str| kind == "JWT" || kind == "http://openid.net/specs/jwt/1.0";
    if let Some(found) = facts.kind.as_ref().filter(|kind| !allowed(kind)) {
        return Err(Flaw::Kind { found: found.clone() });
    }
    if let Some(expired) = facts.expires.filter(|expires| expires.saturating_add(LEEWAY) <= now) {
        return Err(Flaw::Expired { expired, now });
    }
    let found = facts.audience.clone().unwrap_or_default();
    if !found.split(' ').any(|one| one == audience || one == EXCHANGE_APPLICATION) {
        return Err(Flaw::Audience { found, wanted: audience.to_owned() });
    }
    Ok(())
}

/// When a token expires, for tokens of which nothing else is known; `None` for what is no JWT.
pub fn peek_expiry(jwt: &str) -> Option<u64> {
    expires(&object(jwt.split('.').nth(1)?)?)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn expires(claims: &Map<String, Value>) -> Option<u64> {
    let value = claims.get("exp")?;
    // RFC 7519 2: a NumericDate may have a fraction.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
    value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))
}

/// One audience, or several separated by blanks (no audience has a blank in it).
fn audience(claims: &Map<String, Value>) -> Option<String> {
    match claims.get("aud")? {
        Value::String(one) => Some(plain(one)),
        Value::Array(all) => Some(all.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(plain)
}

/// Fit for a log line; Entra compares at most 600 characters (contract A7).
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AUDIENCE: &str = "api://AzureADTokenExchange";

    fn jwt(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), part("signature"))
    }

    fn judge(header: &str, claims: &str) -> Result<(), Flaw> {
        check(&facts(&jwt(header, claims))?, AUDIENCE, 1_000)
    }

    #[test]
    fn a_kubernetes_token_passes_and_gives_its_facts() {
        let claims =
            r#"{"iss":"https://i","sub":"system:serviceaccount:a:b","aud":["api://AzureADTokenExchange"],"exp":2000}"#;
        let facts = facts(&jwt(r#"{"alg":"RS256","kid":"k"}"#, claims)).unwrap();
        assert_eq!(facts.audience.as_deref(), Some(AUDIENCE));
        assert_eq!((facts.expires, facts.kind.as_deref(), facts.key_id.as_deref()), (Some(2_000), None, Some("k")));
        assert_eq!(check(&facts, AUDIENCE, 1_000), Ok(()));
    }

    #[test]
    fn the_audience_as_entra_spells_it_passes() {
        let claims = r#"{"aud":"fb60f99c-7a34-4190-8149-302f77469936"}"#;
        assert_eq!(judge(r#"{"alg":"RS256","typ":"JWT"}"#, claims), Ok(()));
    }

    #[test]
    fn what_entra_surely_refuses_is_refused_here() {
        let good = r#"{"aud":"api://AzureADTokenExchange","exp":2000}"#;
        let code = |header, claims| judge(header, claims).unwrap_err().code();
        assert_eq!(code(r#"{"alg":"ES256"}"#, good), "assertion-algorithm");
        assert_eq!(code(r#"{"alg":"RS256","typ":"at+jwt"}"#, good), "assertion-type");
        assert_eq!(code(r#"{"alg":"RS256"}"#, r#"{"aud":"api://azureadtokenexchange"}"#), "assertion-audience");
        assert_eq!(
            code(r#"{"alg":"RS256"}"#, r#"{"aud":"api://AzureADTokenExchange","exp":900}"#),
            "assertion-expired"
        );
    }

    #[test]
    fn a_token_that_died_this_minute_is_left_to_entras_clock() {
        assert_eq!(judge(r#"{"alg":"RS256"}"#, r#"{"aud":"api://AzureADTokenExchange","exp":990}"#), Ok(()));
    }

    #[test]
    fn half_a_token_is_told_from_a_whole_one() {
        let whole = jwt(r#"{"alg":"RS256"}"#, r#"{"aud":"x"}"#);
        for end in 0..whole.rfind('.').unwrap() {
            assert_eq!(facts(&whole[..end]).unwrap_err().code(), "assertion-incomplete", "{end}");
        }
        assert_eq!(facts("a.b.c.d"), Err(Flaw::Parts { parts: 4 }));
    }

    #[test]
    fn an_unsigned_token_is_named_so() {
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode("{}"));
        assert_eq!(facts(&unsigned), Err(Flaw::Algorithm { found: "none".to_owned() }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", header in ".*", claims in ".*") {
            let _ = facts(&text);
            let _ = peek_expiry(&text);
            let _ = judge(&header, &claims);
        }
    }
}
