//! `[listen]`: the doors over TLS.
//!
//! Easy to get wrong: the files are not read here, since a certificate is replaced while we run.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{Https, HttpsFiles};

/// `https`, `https_certificate` and `https_key`.
pub(super) fn check(raw: &mut file::Listen, any: bool, findings: &mut Findings) -> Option<Https> {
    let files = files(raw.https_certificate.take(), raw.https_key.take(), raw.https.is_some(), findings);
    let text = raw.https.take()?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        findings.wrong_but("listen.https", &text, "must be an address and a port", "write `127.0.0.1:4743`");
        return None;
    };
    if !address.ip().is_loopback() && !any {
        let remedy = "write `127.0.0.1:4743`, or, if all who reach that address may ask for tokens, set \
                      `unsafe_any_address = true`";
        findings.wrong_but("listen.https", &text, "must be a loopback address", remedy);
    }
    Some(Https { address, files })
}

fn files(certificate: Option<String>, key: Option<String>, https: bool, findings: &mut Findings) -> Option<HttpsFiles> {
    let (one, other) = match (&certificate, &key) {
        (None, None) => return None,
        (Some(_), _) => ("listen.https_certificate", "listen.https_key"),
        (None, Some(_)) => ("listen.https_key", "listen.https_certificate"),
    };
    if !https && !findings.is_spoiled("listen.https") {
        let remedy = "write `https = \"127.0.0.1:4743\"`, or delete it";
        findings.add(Mistake::Conflict, one, "is set, but `listen.https` is not", remedy);
    }
    let (Some(certificate), Some(key)) = (certificate, key) else {
        let what = format!("is missing: `{one}` is set");
        let remedy = format!("name both PEM files, or delete `{one}` for a certificate of the local CA");
        findings.add(Mistake::Missing, other, what, remedy);
        return None;
    };
    Some(HttpsFiles { certificate: PathBuf::from(certificate), key: PathBuf::from(key) })
}
