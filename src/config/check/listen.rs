//! `[listen]`: addresses, the Unix socket, times.
//!
//! Easy to get wrong: everyone who reaches a door may try for a token, so anything but loopback must be asked for by the
//! name that says so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use super::{duration, https, takeover};
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{Listen, Unix};
use crate::ids::{Door, Doors};

/// Where Azure machines find IMDS; SDKs without an override variable ask nowhere else (contract B2).
const IMDS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// A caller that waited longer has given up: SDK timeouts lie between 10 and 60 s.
const LONGEST_WAIT: u64 = 60;
const LONGEST_DRAIN: u64 = 3_600;
/// `sun_path` holds 108 bytes with the final zero.
const LONGEST_SOCKET_PATH: usize = 107;

pub(super) fn check(mut raw: file::Listen, env: &Environment, findings: &mut Findings) -> Listen {
    let any = raw.unsafe_any_address.unwrap_or(false);
    let no_http = raw.http.as_ref().is_some_and(Vec::is_empty);
    let http = addresses(raw.http.take(), any, findings);
    let admin = admin(raw.admin.as_deref().unwrap_or(file::ADMIN), &http, findings);
    let unix = unix(raw.unix.take(), raw.unix_mode.as_deref(), raw.unix_group.take(), findings);
    let activated = env.value("LISTEN_FDS").is_some();
    if no_http && unix.is_none() && raw.https.is_none() && !activated && !findings.is_spoiled("listen.unix") {
        let remedy = "write `http = [\"127.0.0.1:4780\"]`, or set `unix` or `https` (sockets that systemd hands over count where \
                      LISTEN_FDS says so)";
        findings.add(
            Mistake::Missing,
            "listen.http",
            "is empty, and neither `listen.unix` nor `listen.https` is set: no door is open",
            remedy,
        );
    }
    let https = https::check(&mut raw, any, findings);
    let doors = doors(raw.doors.take(), findings);
    let takeover = takeover::check(&mut raw, https.as_ref(), doors, findings);
    Listen {
        http,
        https,
        doors,
        takeover,
        unix,
        hosts: hosts(raw.hosts.unwrap_or_default(), findings),
        admin,
        wait: duration("listen.wait", raw.wait.as_deref().unwrap_or(file::WAIT), (0, LONGEST_WAIT), findings),
        drain: duration("listen.drain", raw.drain.as_deref().unwrap_or(file::DRAIN), (0, LONGEST_DRAIN), findings),
        unsafe_any_address: any,
    }
}

fn addresses(raw: Option<Vec<String>>, any: bool, findings: &mut Findings) -> Vec<SocketAddr> {
    let raw = raw.unwrap_or_else(|| file::HTTP.map(str::to_owned).to_vec());
    let mut out = Vec::new();
    for (n, text) in raw.iter().enumerate() {
        let path = format!("listen.http[{n}]");
        let Ok(address) = text.parse::<SocketAddr>() else {
            findings.wrong_but(&path, text, "must be an address and a port", "write `127.0.0.1:4780`");
            continue;
        };
        if address == IMDS && !any {
            if !is_local(address.ip()) {
                let remedy = "add 169.254.169.254 to an interface first, or write `127.0.0.1:4780`";
                findings.wrong_but(&path, text, "this machine does not have that address", remedy);
            }
        } else if !address.ip().is_loopback() && !any {
            let remedy = "write `127.0.0.1:4780`, or, if all who reach that address may ask for tokens, set \
                          `unsafe_any_address = true`";
            findings.wrong_but(&path, text, "must be a loopback address", remedy);
        }
        // Port 0 is whatever is free, so two of them differ.
        if out.contains(&address) && address.port() != 0 {
            findings.add(Mistake::Duplicate, &path, format!("is {text:?} a second time"), "delete one of them");
        }
        out.push(address);
    }
    out
}

/// Binding works only to addresses of this machine; nothing is sent.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

fn doors(raw: Option<Vec<String>>, findings: &mut Findings) -> Doors {
    let Some(raw) = raw else { return Door::USUAL.into_iter().collect() };
    if raw.is_empty() {
        let remedy = "write `doors = [\"app-service\", \"oauth\"]`, or delete it for the usual ones";
        findings.add(Mistake::WrongValue, "listen.doors", "is []: no application could ask", remedy);
    }
    let named = raw.iter().enumerate().filter_map(|(n, text)| {
        let parsed = Door::parse(text);
        parsed
            .map_err(|rule| findings.wrong_but(&format!("listen.doors[{n}]"), text, rule.0, "write one of these"))
            .ok()
    });
    named.collect()
}

fn admin(text: &str, http: &[SocketAddr], findings: &mut Findings) -> Option<SocketAddr> {
    if text == "off" {
        return None;
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        let remedy = "write `127.0.0.1:9464`, or `off`";
        findings.wrong_but("listen.admin", text, "must be an address and a port, or `off`", remedy);
        return None;
    };
    if http.contains(&address) && address.port() != 0 {
        let what = format!("is {text:?}, but `listen.http` has that address");
        findings.add(Mistake::Conflict, "listen.admin", what, "write `127.0.0.1:9464`");
    }
    Some(address)
}

fn unix(path: Option<String>, mode: Option<&str>, group: Option<String>, findings: &mut Findings) -> Option<Unix> {
    let bits = socket_mode(mode.unwrap_or(file::UNIX_MODE), findings);
    if group.as_deref() == Some("") {
        findings.wrong("listen.unix_group", "", "must be the name or number of a group");
    }
    let Some(path) = path else {
        for (key, set) in [("listen.unix_mode", mode.is_some()), ("listen.unix_group", group.is_some())] {
            if set && !findings.is_spoiled("listen.unix") {
                let remedy = "write `unix = \"/run/unsecret/unsecret.sock\"`, or delete it";
                findings.add(Mistake::Conflict, key, "is set, but `listen.unix` is not", remedy);
            }
        }
        return None;
    };
    if !path.starts_with('/') || path.len() > LONGEST_SOCKET_PATH || path.contains('\0') {
        let why = format!("must be an absolute path of at most {LONGEST_SOCKET_PATH} bytes");
        findings.wrong("listen.unix", &path, &why);
    }
    Some(Unix { path: PathBuf::from(path), mode: bits, group })
}

fn socket_mode(text: &str, findings: &mut Findings) -> u32 {
    match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8) {
        Ok(bits) if bits <= 0o777 && !text.starts_with('+') => {
            if bits & 0o002 != 0 {
                findings.warn("listen.unix_mode", "lets every user of this machine connect");
            }
            bits
        }
        _ => {
            findings.wrong("listen.unix_mode", text, "must be permission bits in octal");
            0
        }
    }
}

fn hosts(raw: Vec<String>, findings: &mut Findings) -> Vec<String> {
    for (n, host) in raw.iter().enumerate() {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(fits) {
            let why = "must be a host name without scheme, port or path";
            findings.wrong_but(&format!("listen.hosts[{n}]"), host, why, "write a name such as `unsecret.internal`");
        }
    }
    raw.into_iter().map(|host| host.to_ascii_lowercase()).collect()
}
