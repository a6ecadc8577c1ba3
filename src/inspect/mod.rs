//! What a token, an assertion or a certificate says, in plain words: reads, explains, judges, and repeats no secret.
//!
//! Pure: bytes and a time come in, a [`Report`] goes out; `cli::inspect` reads files and prints. It verifies nothing unless
//! [`verify`] is asked. Easy to get wrong: nothing that proves anything (signature, key, secret) may cross into a report.

mod access;
mod certificate;
mod checks;
mod claims;
mod client;
mod input;
mod issuer;
mod jwt;
mod model;
mod platform;
mod refusals;
mod report;
mod resources;
mod shown;
mod time;
pub mod verify;

#[cfg(test)]
mod tests;

pub use checks::{Difference, Unmet, differences, expect, require_secretless};
pub use jwt::Jwt;
pub use report::{Compared, Kind, Model, Note, Place, Proof, Refusal, Report, Row, Tone};
pub use shown::{escaped, is_unsafe, text as safe_text};

use crate::assertion::EXCHANGE_APPLICATION;
use crate::authority::Cloud;
use input::Input;

/// More than any token or chain has; what is larger is no token but a mistake.
pub const LIMIT: usize = 1024 * 1024;

/// What is known about these bytes. `now` is in seconds since 1970.
#[must_use]
pub fn describe(bytes: &[u8], now: u64) -> Report {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if bytes.len() > LIMIT {
        return Report::new(Kind::Unrecognised, "nothing that is known here: it is larger than 1 MiB");
    }
    match input::recognise(bytes) {
        Input::Jwt(jwt) => {
            let report = of_token(&jwt, now);
            Report { jwt: Some(*jwt), ..report }
        }
        Input::Encrypted(header) => encrypted(&header, now),
        Input::Certificates(chain) => certificate::describe(&chain, now)
            .unwrap_or_else(|| Report::new(Kind::Unrecognised, "a certificate that cannot be parsed: it is damaged")),
        Input::PrivateKey => secret(
            Kind::PrivateKey,
            "a private key: nothing of it is shown",
            "keep it where only its owner reads it, and inspect the certificate alone",
        ),
        Input::Pkcs12 => secret(
            Kind::Pkcs12,
            "a PKCS#12 file: it holds a private key, so it is not opened",
            "take the certificate out: openssl pkcs12 -in FILE -nokeys -clcerts | unsecret inspect",
        ),
        Input::ClientSecret => secret(
            Kind::ClientSecret,
            "a client secret of Entra's, by its shape: nothing of it is shown",
            "it should be gone: give the application a federated credential or a certificate, then delete it in Entra",
        ),
        Input::RefreshToken => secret(
            Kind::RefreshToken,
            "a refresh token of Entra's, by its shape: opaque to everybody else, and nothing of it is shown",
            "it acts for a user for weeks: sign the user out if it was seen by others",
        ),
        Input::LocalKey { whole } => local_key(whole),
        Input::Nothing(why) => Report::new(Kind::Unrecognised, format!("nothing that is known here: {why}")),
    }
}

/// Everything for which Entra is sure to refuse a platform's token as an assertion.
#[must_use]
pub fn refusals_by_entra(jwt: &Jwt, now: u64) -> Vec<Refusal> {
    platform::refusals(jwt, i64::try_from(now).unwrap_or(i64::MAX))
}

/// Why a federated credential that fits this issuer's token would not fit its next one; `None` where it would.
#[must_use]
pub fn unsteady_subject(issuer: &str) -> Option<&'static str> {
    issuer::platform(issuer).filter(|platform| !platform.stable).map(|platform| platform.remark)
}

fn secret(kind: Kind, verdict: &str, advice: &str) -> Report {
    Report::new(kind, verdict).note(Tone::Bad, advice)
}

fn local_key(whole: bool) -> Report {
    let report =
        Report::new(Kind::LocalKey, "a local key of unsecret: it proves a caller to the broker, and nothing elsewhere");
    if whole {
        return report.note(Tone::Good, "it is whole: its checksum is right");
    }
    report.note(Tone::Bad, "its checksum is wrong: it was cut short or mistyped; copy it again")
}

fn of_token(jwt: &Jwt, now: i64) -> Report {
    let issued_by_entra = jwt.claim("iss").is_some_and(|issuer| issuer::entra(issuer).is_some());
    if is_for_exchange(jwt) {
        platform::describe(jwt, now)
    } else if !issued_by_entra && client::is_assertion(jwt) {
        client::describe(jwt, now)
    } else if access::is_access(jwt) && (issued_by_entra || jwt.has("tid") || jwt.has("appid")) {
        access::describe(jwt, now)
    } else if issued_by_entra {
        access::describe_id(jwt, now)
    } else {
        platform::describe(jwt, now)
    }
}

/// Issued to be exchanged at Entra, perhaps by Entra itself.
fn is_for_exchange(jwt: &Jwt) -> bool {
    let own = |audience: &str| Cloud::ALL.iter().any(|cloud| cloud.federation_audience() == audience);
    jwt.audiences().into_iter().any(|audience| audience == EXCHANGE_APPLICATION || own(audience))
}

fn encrypted(header: &serde_json::Map<String, serde_json::Value>, now: i64) -> Report {
    let mut report = Report::new(Kind::EncryptedToken, "an encrypted token: only the one it is for can read it");
    let row = |(name, value): (&String, &serde_json::Value)| claims::row(Place::Header, &["header"], name, value, now);
    report.rows = header.iter().map(row).collect();
    report
}
