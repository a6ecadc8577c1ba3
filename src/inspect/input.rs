//! Recognises what was pasted: a token in any of its wrappings, a certificate, a key, a secret.
//!
//! Forgives white space, quotes, `Bearer`, a token answer around the token, UTF-16 from PowerShell. Easy to get wrong: a file
//! with a certificate often holds its private key too, and then the key is what matters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::jwt::Jwt;
use crate::secret::local_key::{LocalKey, is_entra_secret};

/// Where answers and files carry a token, the most telling first: Entra, `az account get-access-token`, GitHub, Azure
/// Pipelines, Kubernetes, Vault.
const FIELDS: [&str; 9] =
    ["access_token", "accessToken", "id_token", "oidcToken", "value", "token", "client_assertion", "status", "data"];

/// What it is.
pub(super) enum Input {
    Jwt(Box<Jwt>),
    Encrypted(Map<String, Value>),
    /// DER, in the order in which they came.
    Certificates(Vec<Vec<u8>>),
    PrivateKey,
    Pkcs12,
    ClientSecret,
    RefreshToken,
    LocalKey {
        whole: bool,
    },
    /// What was found instead, or why it is nothing.
    Nothing(&'static str),
}

pub(super) fn recognise(bytes: &[u8]) -> Input {
    if let Some(input) = der(bytes) {
        return input;
    }
    match text(bytes) {
        Some(text) => of_text(&text),
        None => Input::Nothing("it is neither text nor a certificate"),
    }
}

fn of_text(text: &str) -> Input {
    let text = bare(text);
    if text.is_empty() {
        return Input::Nothing("it is empty");
    }
    if text.contains("-----BEGIN ") {
        return pem(text);
    }
    if text.starts_with('{') {
        return match serde_json::from_str(text) {
            Ok(json) => of_json(&json, 0).unwrap_or(Input::Nothing("it is JSON without a token in it")),
            Err(_) => Input::Nothing("it begins as JSON and is none"),
        };
    }
    word(unwrapped(text))
}

/// Without white space, quotes and the mark that some editors put first.
fn bare(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | ',' | '\u{feff}'))
}

/// The token of a header line, or of a form.
fn unwrapped(text: &str) -> &str {
    // As bytes: lower-casing text may move what follows.
    let find =
        |needle: &str| text.as_bytes().windows(needle.len()).position(|at| at.eq_ignore_ascii_case(needle.as_bytes()));
    for mark in ["bearer ", "client_assertion=", "access_token=", "assertion="] {
        if let Some(at) = find(mark) {
            let rest = text.get(at + mark.len()..).unwrap_or_default().trim_start();
            return bare(rest.split(|c: char| c.is_whitespace() || c == '&').next().unwrap_or_default());
        }
    }
    text
}

fn word(word: &str) -> Input {
    if word.starts_with("uns_") {
        return Input::LocalKey { whole: LocalKey::parse(word).is_ok() };
    }
    if is_entra_secret(word) {
        return Input::ClientSecret;
    }
    if let Some(header) = Jwt::encrypted(word) {
        return Input::Encrypted(header);
    }
    if let Some(jwt) = Jwt::parse(word) {
        return Input::Jwt(Box::new(jwt));
    }
    if ["0.A", "1.A"].iter().any(|start| word.starts_with(start)) && word.len() > 100 {
        return Input::RefreshToken;
    }
    // A certificate or a PKCS#12 file as `x5c` and secret stores hold them.
    let packed: String = word.split_whitespace().collect();
    if let Some(input) = STANDARD.decode(packed).ok().and_then(|bytes| der(&bytes)) {
        return input;
    }
    if word.starts_with("eyJ") {
        return Input::Nothing("it begins as a JWT, but header or claims cannot be decoded: it was cut or altered");
    }
    Input::Nothing("it is no JWT, no certificate and no key that is known here")
}

/// Looks through the fields that carry tokens, a few levels deep (`status.token` of Kubernetes, `data.token` of Vault).
fn of_json(json: &Value, depth: u8) -> Option<Input> {
    match json {
        Value::String(text) => match word(unwrapped(bare(text))) {
            Input::Nothing(_) => None,
            input => Some(input),
        },
        Value::Object(fields) if depth < 4 => {
            if fields.contains_key("kty") && fields.contains_key("d") {
                return Some(Input::PrivateKey);
            }
            let secret = ["secretText", "client_secret", "password"].iter().filter_map(|name| fields.get(*name));
            if { secret }.any(|secret| secret.as_str().is_some_and(is_entra_secret)) {
                return Some(Input::ClientSecret);
            }
            FIELDS.iter().filter_map(|name| fields.get(*name)).find_map(|value| of_json(value, depth + 1))
        }
        _ => None,
    }
}

fn pem(text: &str) -> Input {
    if text.contains("PRIVATE KEY-----") {
        return Input::PrivateKey;
    }
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).flatten().map(|der| der.to_vec()).collect();
    match certificates.first() {
        Some(_) => Input::Certificates(certificates),
        None if text.contains("CERTIFICATE REQUEST") => {
            Input::Nothing("it is a certificate request: no certificate yet")
        }
        None if text.contains("PUBLIC KEY") => Input::Nothing("it is a public key: no certificate"),
        None => Input::Nothing("it is PEM without a certificate in it"),
    }
}

/// DER by what stands first in its outermost sequence.
fn der(bytes: &[u8]) -> Option<Input> {
    let content = content(bytes)?;
    if X509Certificate::from_der(bytes).is_ok() {
        return Some(Input::Certificates(vec![bytes.to_vec()]));
    }
    // PKCS#12 is version 3; PKCS#1 and PKCS#8 keys are version 0 or 1, SEC1 ones version 1.
    match content {
        [2, 1, 3, 0x30, ..] => Some(Input::Pkcs12),
        [2, 1, 0 | 1, 2 | 4 | 0x30, ..] => Some(Input::PrivateKey),
        _ => None,
    }
}

/// What is inside an ASN.1 sequence, in either form of its length.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (&[0x30, length], rest) = bytes.split_first_chunk::<2>()? else { return None };
    match length {
        0x81..=0x84 => rest.get(usize::from(length - 0x80)..),
        0x85.. => None,
        _ => Some(rest),
    }
}

/// PowerShell's `>` writes UTF-16.
fn text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let wide = |of: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<_> = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest)?,
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest)?,
        bytes => std::str::from_utf8(bytes).ok()?.to_owned(),
    };
    Some(Zeroizing::new(text))
}
