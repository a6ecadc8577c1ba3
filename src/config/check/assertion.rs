//! `assertion = { … }`: exactly one source of what proves who we are.
//!
//! Nothing is opened: a token file may appear later, and signing keys are opened at start. Easy to get wrong: GitHub's
//! variables exist only inside a job that has `id-token: write`, and their absence must say so.

use std::path::PathBuf;

use url::Url;

use super::{duration, is_loopback, key};
use crate::authority::Cloud;
use crate::config::environment::{Environment, GITHUB_TOKEN, GITHUB_URL};
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{AssertionSettings, CertificateSettings, GithubToken, HardwareSettings};
use crate::secret::Secret;
use crate::signer::Algorithm;

/// How often a test signature makes sense, in seconds: an HSM has other work too.
const TESTS: (u64, u64) = (10, 86_400);

pub(super) fn check(
    raw: file::Assertion,
    cloud: Cloud,
    path: &str,
    (hardware, env): (&HardwareSettings, &Environment),
    findings: &mut Findings,
) -> Option<AssertionSettings> {
    let sources: Vec<_> =
        [("file", raw.file.is_some()), ("github", raw.github.is_some()), ("certificates", raw.certificates.is_some())]
            .into_iter()
            .filter_map(|(name, set)| set.then_some(name))
            .collect();
    one_source(&sources, path, findings)?;
    belonging(&raw, &sources, path, findings);
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
    let at = format!("{path}.certificates");
    let certificates = certificates(&raw.certificates.unwrap_or_default(), &at, hardware, findings);
    let algorithm = raw.algorithm.map(|algorithm| match algorithm {
        file::Algorithm::Ps256 => Algorithm::Ps256,
        file::Algorithm::Rs256 => Algorithm::Rs256,
    });
    let at = format!("{path}.test_every");
    let test_every = raw.test_every.map(|text| duration(&at, &text, TESTS, findings));
    Some(AssertionSettings::Certificates { certificates, algorithm, test_every })
}

/// Settings that mean something only beside one of the sources.
fn belonging(raw: &file::Assertion, sources: &[&str], path: &str, findings: &mut Findings) {
    let belongs = [
        ("audience", "file", raw.audience.is_some()),
        ("algorithm", "certificates", raw.algorithm.is_some()),
        ("test_every", "certificates", raw.test_every.is_some()),
    ];
    for (key, source, set) in belongs {
        if set && !sources.contains(&source) {
            let what = format!("is set, but belongs to `{source}`");
            let remedy = match (key, sources) {
                ("audience", ["github"]) => "write `github = { audience = \"…\" }`",
                _ => "delete it",
            };
            findings.add(Mistake::Conflict, &format!("{path}.{key}"), what, remedy);
        }
    }
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
    path: &str,
    hardware: &HardwareSettings,
    findings: &mut Findings,
) -> Vec<CertificateSettings> {
    if raw.is_empty() && !findings.is_spoiled(path) {
        let remedy =
            "write `[{ certificate = \"/etc/unsecret/billing.pem\", key = \"file:/etc/unsecret/billing.key\" }]`";
        findings.add(Mistake::WrongValue, path, "is [], but must hold a certificate and its key", remedy);
    }
    let mut certificates = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let (certificate, at) = (format!("{path}[{n}].certificate"), format!("{path}[{n}].key"));
        if raw.certificate.as_deref().is_none_or(str::is_empty) {
            findings.missing(&certificate);
        }
        let Some(text) = &raw.key else {
            findings.missing(&at);
            continue;
        };
        let key = key::check(text, &at, hardware, findings);
        if let (Some(file), Some(key)) = (&raw.certificate, key) {
            certificates.push(CertificateSettings { certificate: PathBuf::from(file), key });
        }
    }
    certificates
}
