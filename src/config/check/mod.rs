//! Raw shape → [`Config`]: every rule that a type cannot say.
//!
//! One file per subject. Each check reports to [`Findings`] and goes on with a stand-in, so that all problems come out
//! at once; a stand-in never leaves, because `conclude` refuses when there is any problem. Easy to get wrong: reading
//! the configuration opens no signing key and asks nobody over the network. Local keys are read (and hashed) here, token
//! files are not: the platform may write them later.

mod assertion;
mod caller;
mod identity;
mod listen;
mod outbound;

use std::collections::BTreeMap;

use super::environment::Environment;
use super::file::{self, File};
use super::findings::Findings;
use super::problems::{ConfigProblems, Mistake};
use super::{Config, Identity, Log};
use crate::policy::CallerRule;

/// Judges every value.
pub(super) fn check(file: File, env: &Environment, mut findings: Findings) -> Result<Config, ConfigProblems> {
    let listen = listen::check(file.listen, env, &mut findings);
    let log = log(file.log, &mut findings);
    if file.identity.is_empty() && !findings.is_spoiled("identity") {
        let remedy = "write `[[identity]]` with name, tenant, client_id, scopes, assertion and a caller rule";
        findings.add(Mistake::Missing, "identity", "is missing: there is nothing to hand out", remedy);
    }
    let identities: Vec<Option<Identity>> = file
        .identity
        .into_iter()
        .enumerate()
        .map(|(n, raw)| identity::check(raw, &format!("identity[{n}]"), env, &mut findings))
        .collect();
    distinct(&identities, &mut findings);
    peers_need_a_socket(&identities, listen.unix.is_some() || env.value("LISTEN_FDS").is_some(), &mut findings);
    let warnings = findings.conclude()?;
    Ok(Config { listen, identities: identities.into_iter().flatten().collect(), log, warnings })
}

fn log(raw: file::Log, findings: &mut Findings) -> Log {
    let level = raw.level.unwrap_or_else(|| file::LEVEL.to_owned());
    // A filter takes any lone word for the name of a module: `inof` would switch everything off.
    let plain = |word: &str| word.contains('=') || word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let parses = tracing_subscriber::EnvFilter::builder().parse(&level).is_ok();
    if !parses || !level.split(',').all(|word| plain(word.trim())) {
        let why = "must be a level (error, warn, info, debug, trace) or a filter of module=level";
        findings.wrong("log.level", &level, why);
    }
    Log { level, json: raw.json.unwrap_or(false) }
}

/// Names, registrations and local keys must tell identities apart.
fn distinct(identities: &[Option<Identity>], findings: &mut Findings) {
    let mut names = BTreeMap::new();
    let mut registrations = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (n, identity) in identities.iter().enumerate() {
        let Some(identity) = identity else { continue };
        let (at, entry) = (format!("identity[{n}]"), &identity.entry);
        // Variables fold case and punctuation (`UNSECRET_IDENTITY_A_B_…`), so names must differ beyond those.
        let folded = entry.name.as_str().to_ascii_lowercase().replace(['.', '-'], "_");
        if let Some(other) = names.insert(folded, at.clone()) {
            let what = format!("is \"{}\", but {other} has that name, letter case and punctuation aside", entry.name);
            findings.add(Mistake::Duplicate, &format!("{at}.name"), what, "give each identity a name of its own");
        }
        let registration = (entry.tenant.as_str().to_owned(), entry.client_id.as_str().to_owned());
        if let Some(other) = registrations.insert(registration, at.clone()) {
            let what = format!("is \"{}\", but {other} has the same one in the same tenant", entry.client_id);
            let remedy = "make one identity of both, with the scopes and callers of both";
            findings.add(Mistake::Duplicate, &format!("{at}.client_id"), what, remedy);
        }
        for (m, rule) in entry.callers.iter().enumerate() {
            let CallerRule::Key(print) = rule else { continue };
            match keys.get(&print.hex()) {
                Some((other, path)) if *other != n => {
                    let what = format!("has the same key as {path}: a key must name one identity");
                    let remedy = "make another key with `unsecret caller add` for one of them";
                    findings.add(Mistake::Duplicate, &format!("{at}.caller[{m}]"), what, remedy);
                }
                _ => {
                    keys.insert(print.hex(), (n, format!("{at}.caller[{m}]")));
                }
            }
        }
    }
}

/// Over TCP nobody knows a caller's uid.
fn peers_need_a_socket(identities: &[Option<Identity>], socket: bool, findings: &mut Findings) {
    for (n, identity) in identities.iter().enumerate().filter(|_| !socket) {
        let rules = identity.iter().flat_map(|identity| &identity.entry.callers);
        for (m, _) in rules.enumerate().filter(|(_, rule)| !matches!(rule, CallerRule::Key(_))) {
            let path = format!("identity[{n}].caller[{m}]");
            findings.warn(&path, "can match nobody: a uid or gid is known only over `listen.unix`, which is not set");
        }
    }
}
