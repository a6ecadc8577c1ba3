//! The way to Entra: roots and proxy.
//!
//! The identity's own `proxy` wins; without it `HTTPS_PROXY` and `NO_PROXY` are honoured, as operators expect. Easy to
//! get wrong: a proxy URL with a password in it must not be taken, because URLs are logged; the password belongs into
//! `proxy_auth_file`.

use std::path::PathBuf;

use url::Url;

use super::is_loopback;
use crate::authority::Authority;
use crate::config::environment::Environment;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{OutboundSettings, Takeover};

pub(super) struct Reach {
    pub(super) ca_file: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) auth: Option<String>,
}

pub(super) fn check(
    raw: Reach,
    authority: Option<&Authority>,
    path: &str,
    env: &Environment,
    findings: &mut Findings,
) -> OutboundSettings {
    let at = format!("{path}.proxy");
    let proxy = match raw.proxy.as_deref() {
        Some("direct") => None,
        Some(text) => parse(text, &at, "", findings),
        None => authority.and_then(|authority| inherited(authority.host(), env)).and_then(|(name, text)| {
            let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            parse(&with_scheme, &at, &format!("(from {name}) "), findings)
        }),
    };
    let unwanted = raw.proxy.as_deref().is_none_or(|text| text == "direct") && !findings.is_spoiled(&at);
    if raw.auth.is_some() && proxy.is_none() && unwanted && authority.is_some() {
        let remedy = "write `proxy = \"http://proxy.internal:3128\"`, or delete it";
        findings.add(Mistake::Conflict, &format!("{path}.proxy_auth_file"), "is set, but no proxy is", remedy);
    }
    for (key, value) in [("ca_file", &raw.ca_file), ("proxy_auth_file", &raw.auth)] {
        if value.as_deref() == Some("") {
            findings.wrong(&format!("{path}.{key}"), "", "must be a path");
        }
    }
    OutboundSettings {
        ca_file: raw.ca_file.map(PathBuf::from),
        proxy,
        proxy_auth_file: raw.auth.map(PathBuf::from),
        takeover: Takeover::default(),
    }
}

fn parse(text: &str, path: &str, source: &str, findings: &mut Findings) -> Option<Url> {
    let right = "write `http://proxy.internal:3128`";
    let Ok(url) = Url::parse(text) else {
        findings.add(Mistake::WrongValue, path, format!("{source}must be an http URL"), right);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "set `proxy` to the URL without them, write `user:password` into a file and name that in \
                      `proxy_auth_file`";
        findings.add(Mistake::WrongValue, path, format!("{source}must not hold a user or password"), remedy);
        return None;
    }
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !bare || url.host().is_none() {
        findings.add(
            Mistake::WrongValue,
            path,
            format!("{source}is {text:?}, but must be an http URL without a path"),
            right,
        );
        return None;
    }
    Some(url)
}

/// The environment's proxy for this host, with the name of its variable.
fn inherited<'a>(host: &Url, env: &'a Environment) -> Option<(&'static str, &'a str)> {
    let (name, proxy) = ["HTTPS_PROXY", "https_proxy"].into_iter().find_map(|name| Some((name, env.value(name)?)))?;
    let excluded = env.value("NO_PROXY").or_else(|| env.value("no_proxy")).unwrap_or_default();
    (!is_direct(host, excluded)).then_some((name, proxy))
}

/// Loopback, or listed: `*`, a name and all below it, with or without a leading dot; ports are not looked at.
fn is_direct(url: &Url, excluded: &str) -> bool {
    let host = url.host_str().unwrap_or_default();
    let listed = |entry: &str| {
        let name = entry.trim().trim_start_matches('.').to_ascii_lowercase();
        let name =
            name.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(&*name, |(name, _)| name);
        name == "*"
            || !name.is_empty() && host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    is_loopback(url) || excluded.split(',').any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_matches_names_and_what_is_below_them() {
        let url = Url::parse("https://login.microsoftonline.com/").unwrap();
        for entry in ["*", "login.microsoftonline.com", ".microsoftonline.com", "a.b, microsoftonline.com:443", "COM"] {
            assert!(is_direct(&url, entry), "{entry}");
        }
        for entry in ["", "crosoftonline.com", "microsoftonline.co", "x.login.microsoftonline.com", ","] {
            assert!(!is_direct(&url, entry), "{entry}");
        }
        assert!(is_direct(&Url::parse("https://127.0.0.1:8443/").unwrap(), ""));
    }
}
