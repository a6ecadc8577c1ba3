//! `[listen]`: the doors over TLS, and the login hosts that clients find here.
//!
//! The files are not read here: a certificate is replaced while we run. Easy to get wrong: clients come to a login host
//! at port 443 whatever we listen at.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{Https, HttpsFiles, Takeover};

const HTTPS: u16 = 443;

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

/// `takeover` and `takeover_addresses`.
pub(super) fn takeover(raw: &mut file::Listen, https: bool, findings: &mut Findings) -> Takeover {
    let (hosts, addresses) = (raw.takeover.take().unwrap_or_default(), raw.takeover_addresses.take());
    if !hosts.is_empty() && !https && !findings.is_spoiled("listen.https") {
        let remedy = "write `https = \"127.0.0.1:443\"`, where a client finds a login host";
        findings.add(Mistake::Conflict, "listen.takeover", "is set, but `listen.https` is not", remedy);
    }
    for (n, host) in hosts.iter().enumerate() {
        let label = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_name = host.len() <= 253 && host.contains('.') && host.split('.').all(label);
        if !is_name || host.parse::<IpAddr>().is_ok() {
            let why = "must be the host name of a login service, without scheme, port or path";
            findings.wrong_but(&format!("listen.takeover[{n}]"), host, why, "write `login.microsoftonline.com`");
        }
    }
    if addresses.is_some() && hosts.is_empty() {
        let remedy = "write `takeover = [\"login.microsoftonline.com\"]`, or delete it";
        findings.add(Mistake::Conflict, "listen.takeover_addresses", "is set, but `listen.takeover` is not", remedy);
    }
    let addresses = addresses.unwrap_or_default();
    let parsed = addresses.iter().enumerate().filter_map(|(n, text)| real(text, n, findings)).collect();
    Takeover { hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(), addresses: parsed }
}

fn real(text: &str, n: usize, findings: &mut Findings) -> Option<SocketAddr> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, HTTPS));
    let parsed = alone.or_else(|_| text.parse::<SocketAddr>());
    let path = format!("listen.takeover_addresses[{n}]");
    let why = "must be an address, with a port unless it is 443";
    parsed.map_err(|_| findings.wrong_but(&path, text, why, "write `203.0.113.10`")).ok()
}
