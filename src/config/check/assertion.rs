//! `assertion = { … }`: exactly one source of what proves who we are.
//!
//! Nothing is opened: a token file may appear later, and signing keys are opened at start. Easy to get wrong: GitHub's
//! variables exist only inside a job that has `id-token: write`, and their absence must say so.

use std::path::PathBuf;

use url::Url;

use super::is_loopback;
use crate::authority::Cloud;
use crate::config::environment::{Environment, GITHUB_TOKEN, GITHUB_URL};
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{AssertionSettings, CertificateSettings, GithubToken, KeySettings};
use crate::secret::Secret;
use crate::signer::Algorithm;

pub(super) fn check(
    raw: file::Assertion,
    cloud: Cloud,
    path: &str,
    env: &Environment,
    findings: &mut Findings,
) -> Option<AssertionSettings> {
    let sources: Vec<_> =
        [("file", raw.file.is_some()), ("github", raw.github.is_some()), ("certificates", raw.certificates.is_some())]
            .into_iter()
            .filter_map(|(name, set)| set.then_some(name))
            .collect();
    one_source(&sources, path, findings)?;
    let belongs =
        [("audience", "file", raw.audience.is_some()), ("algorithm", "certificates", raw.algorithm.is_some())];
    for (key, source, set) in belongs {
        if set && !sources.contains(&source) {
            let what = format!("is set, but belongs to `{source}`");
            let remedy = match (key, sources.as_slice()) {
                ("audience", ["github"]) => "write `github = { audience = \"…\" }`",
                _ => "delete it",
            };
            findings.add(Mistake::Conflict, &format!("{path}.{key}"), what, remedy);
        }
    }
    let default = || cloud.federation_audience().to_owned();
    if let Some(file) = raw.file {
        let token = nonempty(file, &format!("{path}.file"), findings);
        let audience = raw.audience.map_or_else(default, |text| nonempty(text, &format!("{path}.audience"), findings));
        return Some(AssertionSettings::File { path: PathBuf::from(token), audience });
    }
    if let Some(raw) = raw.github {
        let at = format!("{path}.github");
        let audience = raw.audience.map_or_else(default, |text| nonempty(text, &format!("{at}.audience"), findings));
        return github(audience, &at, env, findings);
    }
    let pairs = raw.certificates.unwrap_or_default();
    Some(certificates(&pairs, raw.algorithm, &format!("{path}.certificates"), findings))
}

fn one_source(sources: &[&str], path: &str, findings: &mut Findings) -> Option<()> {
    match sources {
        [_] => Some(()),
        [] => {
            let mistaken = |source: &str| findings.is_spoiled(&format!("{path}.{source}"));
            if !["file", "github", "certificates"].into_iter().any(mistaken) {
                let remedy = if findings.has_file() {
                    "write `assertion = { file = \"/var/run/secrets/unsecret/token\" }`, `{ github = {} }` or \
                     `{ certificates = […] }`"
                } else {
                    "set AZURE_FEDERATED_TOKEN_FILE to the platform's token file (or UNSECRET_ASSERTION_FILE); in GitHub \
                     Actions give the job `permissions: id-token: write`"
                };
                findings.add(Mistake::Missing, path, "is missing: nothing proves who we are", remedy);
            }
            None
        }
        several => {
            let what = format!("has {} sources ({}), but must have one", several.len(), several.join(", "));
            findings.add(Mistake::Conflict, path, what, format!("keep one, for example `{}`", several[0]));
            None
        }
    }
}

fn nonempty(text: String, path: &str, findings: &mut Findings) -> String {
    if text.is_empty() {
        findings.wrong(path, &text, "must not be empty");
    }
    text
}

fn github(audience: String, path: &str, env: &Environment, findings: &mut Findings) -> Option<AssertionSettings> {
    let remedy = "give the job `permissions: id-token: write`, and start this process inside one of its steps";
    let mut variable = |name: &str| {
        let value = env.value(name);
        if value.is_none() {
            findings.add(Mistake::Missing, path, format!("needs the variable {name}, which is not set"), remedy);
        }
        value
    };
    let (url, token) = (variable(GITHUB_URL), variable(GITHUB_TOKEN));
    let (url, token) = (url?, token?);
    // Not shown: the runner's URL names the job.
    let Some(request_url) = Url::parse(url).ok().filter(is_private) else {
        findings.add(Mistake::WrongValue, path, format!("needs an https URL in the variable {GITHUB_URL}"), remedy);
        return None;
    };
    Some(AssertionSettings::Github { audience, request_url, request_token: GithubToken(Secret::new(token)) })
}

/// The runner's bearer goes there. Plain http only to this machine, as stand-ins for the runner use it.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

fn certificates(
    raw: &[file::Certificate],
    algorithm: Option<file::Algorithm>,
    path: &str,
    findings: &mut Findings,
) -> AssertionSettings {
    if raw.is_empty() && !findings.is_spoiled(path) {
        let remedy =
            "write `[{ certificate = \"/etc/unsecret/billing.pem\", key = \"file:/etc/unsecret/billing.key\" }]`";
        findings.add(Mistake::WrongValue, path, "is [], but must hold a certificate and its key", remedy);
    }
    let mut certificates = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let (certificate, key) = (format!("{path}[{n}].certificate"), format!("{path}[{n}].key"));
        if raw.certificate.as_deref().is_none_or(str::is_empty) {
            findings.missing(&certificate);
        }
        let Some(text) = &raw.key else {
            findings.missing(&key);
            continue;
        };
        let settings = key_settings(text, &key, findings);
        if let (Some(file), Some(settings)) = (&raw.certificate, settings) {
            certificates.push(CertificateSettings { certificate: PathBuf::from(file), key: settings });
        }
    }
    let algorithm = match algorithm {
        None | Some(file::Algorithm::Ps256) => Algorithm::Ps256,
        Some(file::Algorithm::Rs256) => Algorithm::Rs256,
    };
    AssertionSettings::Certificates { certificates, algorithm }
}

/// `file:/x.key`, `file:/x.pfx?password-source=file:/x.password`.
fn key_settings(text: &str, path: &str, findings: &mut Findings) -> Option<KeySettings> {
    let Some(rest) = text.strip_prefix("file:") else {
        let is_path = text.starts_with('/') && !text.contains(char::is_whitespace);
        let remedy = if is_path { format!("write `file:{text}`") } else { findings.right(path) };
        findings.wrong_but(path, text, "must begin with `file:`", remedy);
        return None;
    };
    let (file, query) = rest.split_once('?').map_or((rest, None), |(file, query)| (file, Some(query)));
    let password = match query {
        None => None,
        Some(query) => {
            let source = query.strip_prefix("password-source=file:").filter(|source| !source.is_empty());
            if source.is_none() {
                // Not shown: it may be the password.
                let remedy = "write `file:/etc/unsecret/a.pfx?password-source=file:/etc/unsecret/a.password`";
                findings.add(Mistake::WrongValue, path, "may have only `?password-source=file:PATH`", remedy);
            }
            source
        }
    };
    if file.is_empty() {
        findings.wrong(path, text, "names no file");
        return None;
    }
    Some(KeySettings::File { path: PathBuf::from(file), password_file: password.map(PathBuf::from) })
}
