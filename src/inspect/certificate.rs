//! A certificate, described: what the portal shows of it, and whether Entra takes it for assertions (contract A6).
//!
//! Not a chain builder: Entra looks at the certificate that was registered and at nothing above it. Easy to get wrong: the
//! portal shows SHA-1 in hexadecimal, our log and `x5t#S256` show SHA-256 in base64url; all are over the DER.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::platform::entra;
use super::report::{Kind, Place, Refusal, Report, Row, Tone};
use super::{shown, time};
use crate::secret::Fingerprint;

/// The least that our signers take, and the least that anybody should.
const SMALLEST: usize = 2_048;

/// A certificate and those that came after it; `None` when the first cannot be parsed.
pub(super) fn describe(chain: &[Vec<u8>], now: i64) -> Option<Report> {
    let der = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let refusals = refusals(&parsed, now);
    let fit = if refusals.is_empty() { "fit" } else { "unfit" };
    let verdict =
        format!("certificate of {}, {fit} to prove an application to Entra", name(&parsed.subject().to_string()));
    let mut report = Report::new(Kind::Certificate, verdict);
    life(&mut report, &parsed, now);
    if chain.len() > 1 {
        let text = format!("{} certificates were given; this is the first, and Entra looks at no other", chain.len());
        report.say(Tone::Plain, text);
    }
    report.rows = rows(&parsed, der, now);
    report.refusals = refusals;
    Some(report)
}

fn life(report: &mut Report, parsed: &X509Certificate<'_>, now: i64) {
    let (start, end) = times(parsed);
    match (start > now, end < now) {
        (true, _) => report.say(Tone::Bad, format!("not yet valid: from {}", time::shown(start, now))),
        (_, true) => report.say(Tone::Bad, format!("expired {} ({})", time::relative(end, now), time::utc(end))),
        _ => report.say(Tone::Good, format!("expires {} ({})", time::relative(end, now), time::utc(end))),
    }
}

fn times(parsed: &X509Certificate<'_>) -> (i64, i64) {
    (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp())
}

fn refusals(parsed: &X509Certificate<'_>, now: i64) -> Vec<Refusal> {
    let mut all = Vec::new();
    match rsa_bits(parsed) {
        None => all.push(Refusal {
            remedy: Some("make a certificate with an RSA key of 2048 bits or more".to_owned()),
            ..entra(5_002_738, format!("its key is {}, not an RSA key", kind_of_key(parsed)))
        }),
        Some(bits) if bits < SMALLEST => all.push(Refusal {
            aadsts: None,
            remedy: Some("make a certificate with an RSA key of 2048 bits or more".to_owned()),
            by: "unsecret, and Entra below a size it does not tell".to_owned(),
            ..entra(50_027, format!("its RSA key has {bits} bits, not {SMALLEST} or more"))
        }),
        Some(_) => {}
    }
    let (start, end) = times(parsed);
    if start > now || end < now {
        let remedy = "make a new certificate, register it, and configure it beside the old one".to_owned();
        all.push(Refusal { remedy: Some(remedy), ..entra(700_027, "it is not valid now") });
    }
    all
}

fn rows(parsed: &X509Certificate<'_>, der: &[u8], now: i64) -> Vec<Row> {
    let (start, end) = times(parsed);
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    let sha256 = Fingerprint::of(der);
    let own = parsed.subject() == parsed.issuer();
    let (subject, issuer) = (name(&parsed.subject().to_string()), name(&parsed.issuer().to_string()));
    vec![
        row("subject", subject, "whom it names; Entra does not read it unless subject names are trusted"),
        row("issuer", issuer, if own { "itself: self-signed, which Entra takes" } else { "who signed it" }),
        row("serial", parsed.raw_serial_as_string(), "number that its issuer gave it"),
        row("not before", time::shown(start, now), "valid from"),
        row("not after", time::shown(end, now), "valid until; Entra refuses it afterwards"),
        row("key", kind_of_key(parsed), "what it proves the possession of"),
        row("usage", usage(parsed), "what it says it is for; Entra does not ask"),
        row("SHA-1", hex(sha1.as_ref()), "thumbprint as the portal shows it"),
        row("SHA-256", sha256.hex().to_uppercase(), "thumbprint as AADSTS700027 may show it"),
        row("x5t#S256", sha256.base64url(), "the same in base64url, as assertions and our log have it"),
        row("x5t", URL_SAFE_NO_PAD.encode(sha1), "SHA-1 in base64url, as assertions of older libraries have it"),
    ]
}

fn row(name: &str, text: String, meaning: &'static str) -> Row {
    let value = Some(serde_json::Value::String(text.clone()));
    Row { place: Place::Certificate, name: name.to_owned(), value, shown: text, meaning: Some(meaning) }
}

fn name(stranger: &str) -> String {
    if stranger.is_empty() { "nobody".to_owned() } else { shown::text(stranger) }
}

fn rsa_bits(parsed: &X509Certificate<'_>) -> Option<usize> {
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    }
}

fn kind_of_key(parsed: &X509Certificate<'_>) -> String {
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA, {} bits", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("an elliptic-curve key of {} bits", point.key_size()),
        _ => "a key of another kind".to_owned(),
    }
}

fn usage(parsed: &X509Certificate<'_>) -> String {
    let mut said = Vec::new();
    if let Ok(Some(usage)) = parsed.key_usage() {
        said.push(usage.value.to_string());
    }
    if let Ok(Some(extended)) = parsed.extended_key_usage() {
        let known = [
            (extended.value.client_auth, "client authentication"),
            (extended.value.server_auth, "server authentication"),
        ];
        said.extend(known.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()));
    }
    if parsed.is_ca() {
        said.push("CA".to_owned());
    }
    if said.is_empty() { "none named".to_owned() } else { shown::text(&said.join(", ")) }
}

/// Upper-case hexadecimal without separators, as the portal shows thumbprints.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
    text
}
