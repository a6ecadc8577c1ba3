//! The link `issuer`: its discovery document and keys, read as Entra reads them (contract A7).
//!
//! Judges only what Entra is known to refuse. Easy to get wrong: an issuer that cannot be read from here may well be
//! read by Entra, from the internet and out of its cache; that is no fault of this machine's.

use std::borrow::Cow;

use serde_json::{Map, Value};
use url::{Host, Url};

use super::chain::{Finding, Link};
use crate::assertion::Assertion;
use crate::inspect::{Jwt, verify};
use crate::outbound::{Outbound, OutboundError, Request};
use crate::problem::{Blame, Problem, chain};

/// Without `authorization_endpoint`: Azure Pipelines leaves it out and is accepted (contract C3).
const REQUIRED: [&str; 5] = [
    "issuer",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];

const ONLY_ENTRA: &str =
    "only Entra can tell whether it reaches them from the internet, and what it has cached of them";

/// Why the documents do not stand up.
enum Trouble {
    Unread(OutboundError),
    Flawed(IssuerFlaw),
}

impl From<IssuerFlaw> for Trouble {
    fn from(flaw: IssuerFlaw) -> Self {
        Self::Flawed(flaw)
    }
}

/// Asks the issuer of an assertion.
pub(super) async fn look(assertion: &Assertion, outbound: &Outbound) -> Finding {
    let issuer = assertion.facts.issuer.as_deref().unwrap_or_default();
    let tried = format!("GET {}, then the keys it names", document_url(issuer));
    match examine(assertion, issuer, outbound).await {
        Ok(keys) => {
            Finding::good(Link::Issuer, tried, format!("its documents are as Entra wants them; {keys}")).and(ONLY_ENTRA)
        }
        Err(Trouble::Flawed(flaw)) => Finding::broken(Link::Issuer, tried, &flaw),
        Err(Trouble::Unread(problem)) => {
            let seen = format!("cannot be read from here: {}", chain(&problem));
            Finding::doubtful(Link::Issuer, tried, seen).and(ONLY_ENTRA)
        }
    }
}

/// What needs no network: Entra's rules for the URL itself (70022).
pub(super) fn check_url(issuer: &str) -> Result<Url, IssuerFlaw> {
    let unfit = |why| IssuerFlaw::Url { issuer: issuer.to_owned(), why };
    let url = Url::parse(issuer).map_err(|_| unfit("it is no URL"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(unfit("it has no host")),
    };
    match () {
        () if url.scheme() != "https" => Err(unfit("it is not https")),
        () if loopback => Err(unfit("it is a loopback address, which Entra cannot reach")),
        () if url.query().is_some() || url.fragment().is_some() => Err(unfit("it has a query or a fragment")),
        () => Ok(url),
    }
}

fn document_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

async fn examine(assertion: &Assertion, issuer: &str, outbound: &Outbound) -> Result<String, Trouble> {
    check_url(issuer)?;
    let document = read(&document_url(issuer), outbound).await?;
    check_document(&document, issuer)?;
    let keys = read(keys_url(&document)?, outbound).await?;
    let seen = check_keys(&keys, assertion.facts.key_id.as_deref())?;
    check_signature(assertion.jwt.expose(), keys)?;
    Ok(format!("{seen}, and the signature verifies with it"))
}

async fn read(url: &str, outbound: &Outbound) -> Result<Map<String, Value>, Trouble> {
    let unread = |why: String| IssuerFlaw::Unreadable { url: plain(url), why };
    let target = Url::parse(url).map_err(|_| unread("it is no URL".to_owned()))?;
    let answer = outbound.send(Request::document(target)).await.map_err(Trouble::Unread)?;
    if answer.status != 200 {
        return Err(unread(format!("status {}, not 200", answer.status)).into());
    }
    let object = serde_json::from_slice(&answer.body);
    object.map_err(|_| unread("it is not a JSON object".to_owned()).into())
}

fn check_document(document: &Map<String, Value>, issuer: &str) -> Result<(), IssuerFlaw> {
    if let Some(&field) = REQUIRED.iter().find(|&&field| document.get(field).is_none_or(Value::is_null)) {
        return Err(IssuerFlaw::FieldMissing { field });
    }
    let empty = |field: &&str| match document.get(*field) {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => false,
    };
    if let Some(field) = REQUIRED.iter().chain(&["authorization_endpoint"]).copied().find(|field| empty(field)) {
        return Err(IssuerFlaw::FieldEmpty { field });
    }
    let own = document["issuer"].as_str().unwrap_or_default();
    if own != issuer {
        return Err(IssuerFlaw::Mismatch { own: plain(own), issuer: issuer.to_owned() });
    }
    Ok(())
}

/// A stranger's document must not have us ask whatever this machine reaches in the clear, a metadata address above all.
fn keys_url(document: &Map<String, Value>) -> Result<&str, IssuerFlaw> {
    let found = document["jwks_uri"].as_str().unwrap_or_default();
    let https = Url::parse(found).is_ok_and(|url| url.scheme() == "https");
    if https { Ok(found) } else { Err(IssuerFlaw::KeysUrl { found: plain(found) }) }
}

fn check_keys(keys: &Map<String, Value>, key_id: Option<&str>) -> Result<String, IssuerFlaw> {
    let Some(keys) = keys.get("keys").and_then(Value::as_array) else {
        return Err(IssuerFlaw::FieldMissing { field: "keys" });
    };
    let wanted = key_id.unwrap_or_default();
    let Some(key) = keys.iter().find(|key| key["kid"] == wanted) else {
        let published = keys.iter().filter_map(|key| key["kid"].as_str()).map(plain).collect::<Vec<_>>().join("`, `");
        return Err(IssuerFlaw::KeyMissing { wanted: wanted.to_owned(), published });
    };
    let unless = |field: &'static str, right: &'static str| match key[field].as_str() {
        Some(found) if found != right => {
            Err(IssuerFlaw::KeyUnfit { key: wanted.to_owned(), field, found: plain(found), right })
        }
        _ => Ok(()),
    };
    unless("kty", "RSA")?;
    unless("use", "sig")?;
    unless("alg", "RS256")?;
    Ok(format!("key `{wanted}` is published"))
}

/// Entra refuses with 7000274 what the published key did not sign: an issuer that kept the `kid` of a key it replaced, or a
/// token that was altered on its way.
fn check_signature(token: &str, keys: Map<String, Value>) -> Result<(), IssuerFlaw> {
    let keys = verify::Keys::parse(Value::Object(keys).to_string().as_bytes()).ok();
    let verified = Jwt::parse(token).zip(keys).is_some_and(|(jwt, keys)| verify::signature(&jwt, &keys).is_ok());
    if verified { Ok(()) } else { Err(IssuerFlaw::Signature) }
}

/// Strangers' text, fit for a terminal; Entra compares at most 600 characters.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(600).collect()
}

/// What Entra refuses about an issuer.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerFlaw {
    #[error("the issuer `{issuer}` cannot be one for Entra: {why}")]
    Url { issuer: String, why: &'static str },
    #[error("read `{url}`: {why}")]
    Unreadable { url: String, why: String },
    #[error("the issuer's document lacks `{field}`")]
    FieldMissing { field: &'static str },
    #[error("the issuer's document has an empty `{field}`")]
    FieldEmpty { field: &'static str },
    #[error("the issuer's document has `{found}` as `jwks_uri`, not an https URL")]
    KeysUrl { found: String },
    #[error("the token's `iss` is `{issuer}`, and its issuer's document says `{own}`")]
    Mismatch { own: String, issuer: String },
    #[error("the token is signed with key `{wanted}`, and the issuer publishes `{published}`")]
    KeyMissing { wanted: String, published: String },
    #[error("key `{key}` has `{field}` `{found}`, not `{right}`")]
    KeyUnfit { key: String, field: &'static str, found: String, right: &'static str },
    #[error("the token's signature does not verify with the key that the issuer publishes under its `kid`")]
    Signature,
}

impl Problem for IssuerFlaw {
    fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } | Self::KeysUrl { .. } => "issuer-url-unfit",
            Self::Unreadable { .. } => "issuer-document-unreadable",
            Self::FieldMissing { .. } | Self::FieldEmpty { .. } => "issuer-document-incomplete",
            Self::Mismatch { .. } => "issuer-mismatch",
            Self::KeyMissing { .. } => "issuer-key-missing",
            Self::KeyUnfit { .. } => "issuer-key-unfit",
            Self::Signature => "issuer-signature-mismatch",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Platform
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Url { .. } => "give the issuer a public https URL without query and fragment".into(),
            Self::KeysUrl { .. } => "have the issuer publish its keys at a public https URL".into(),
            Self::Unreadable { .. } => "have the issuer publish this document to everybody, without a login".into(),
            Self::FieldMissing { field } => format!("have the issuer's discovery document name `{field}`").into(),
            Self::FieldEmpty { field } => {
                format!("have the issuer fill `{field}` in, or leave it out where it is optional: Entra's reader trips over an empty one").into()
            }
            Self::Mismatch { .. } => "make the two the same to the letter, the slash at the end included".into(),
            Self::KeyMissing { .. } => {
                "have the issuer publish the key it signs with, and wait: Entra caches keys for half an hour".into()
            }
            Self::Signature => {
                "have the issuer publish each key under a `kid` of its own, and the token arrive as it was issued".into()
            }
            Self::KeyUnfit { right, .. } => format!("have the issuer sign with an RSA key for RS256 (`{right}`)").into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://issuer.example";

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn document() -> Value {
        json!({
            "issuer": ISSUER, "jwks_uri": "https://issuer.example/keys", "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    fn with(field: &str, value: Value) -> Result<(), &'static str> {
        let mut document = document();
        document[field] = value;
        check_document(&object(&document), ISSUER).map_err(|flaw| flaw.code())
    }

    #[test]
    fn a_document_is_judged_as_entra_judges_it() {
        assert_eq!(with("scopes_supported", json!([])), Ok(()));
        assert_eq!(with("authorization_endpoint", json!("")), Err("issuer-document-incomplete"));
        assert_eq!(with("subject_types_supported", json!([])), Err("issuer-document-incomplete"));
        assert_eq!(with("jwks_uri", Value::Null), Err("issuer-document-incomplete"));
        assert_eq!(with("issuer", json!("https://issuer.example/")), Err("issuer-mismatch"));
    }

    #[test]
    fn keys_are_asked_for_over_tls_only() {
        let of = |url: &str| {
            let document = object(&json!({ "jwks_uri": url }));
            keys_url(&document).map(str::to_owned).map_err(|flaw| flaw.code())
        };
        assert_eq!(of("https://issuer.example/keys"), Ok("https://issuer.example/keys".to_owned()));
        for url in ["http://169.254.169.254/latest", "file:///etc/passwd", ""] {
            assert_eq!(of(url), Err("issuer-url-unfit"));
        }
    }

    #[test]
    fn a_url_that_entra_cannot_dial_is_none() {
        assert!(check_url("https://issuer.example/a/").is_ok());
        for wrong in ["http://issuer.example", "https://localhost/x", "https://[::1]", "https://a?b", "kubernetes", ""]
        {
            assert_eq!(check_url(wrong).map_err(|flaw| flaw.code()), Err("issuer-url-unfit"), "{wrong}");
        }
    }

    #[test]
    fn the_key_must_be_published_and_fit_for_rs256() {
        let keys = |key: &Value| check_keys(&object(&json!({ "keys": [key] })), Some("k")).map_err(|flaw| flaw.code());
        assert!(keys(&json!({"kid": "k", "kty": "RSA", "use": "sig", "alg": "RS256"})).is_ok());
        assert!(keys(&json!({"kid": "k", "kty": "RSA"})).is_ok());
        assert_eq!(keys(&json!({"kid": "other", "kty": "RSA"})), Err("issuer-key-missing"));
        for unfit in [json!({"kid": "k", "kty": "EC"}), json!({"kid": "k", "kty": "RSA", "use": "enc"})] {
            assert_eq!(keys(&unfit), Err("issuer-key-unfit"));
        }
    }
}
