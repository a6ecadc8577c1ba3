//! Raw shape → [`Config`]: every rule that a type cannot say.
//!
//! One file per subject. Each check reports to [`Findings`] and goes on with a stand-in, so that all problems come out
//! at once; a stand-in never leaves, because `conclude` refuses when there is any problem. Easy to get wrong: reading
//! the configuration opens no signing key and asks nobody over the network. Local keys are read (and hashed) here, token
//! files are not: the platform may write them later.

mod assertion;
mod caller;
mod distinct;
mod doors;
mod hardware;
mod https;
mod identity;
mod key;
mod listen;
mod outbound;
mod sink;
mod takeover;

use std::time::Duration;

use url::{Host, Url};

use super::environment::Environment;
use super::file::{self, File};
use super::findings::Findings;
use super::problems::{ConfigProblems, Mistake};
use super::{Config, HardwareSettings, Identity, Listen, Log};
use crate::policy::CallerRule;

/// Judges every value.
pub(super) fn check(
    mut file: File,
    key_variables: Vec<String>,
    env: &Environment,
    mut findings: Findings,
) -> Result<Config, ConfigProblems> {
    let (pkcs11, tpm) = (std::mem::take(&mut file.pkcs11), std::mem::take(&mut file.tpm));
    let withheld = withheld(&file, env);
    let hardware = hardware::check(file.state_dir.take(), pkcs11, tpm, withheld, env, &mut findings);
    sink::distinct(&file, &hardware, &mut findings);
    let names_doors = file.listen.doors.is_some();
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
        .map(|(n, raw)| identity::check(raw, &format!("identity[{n}]"), &hardware, env, &mut findings))
        .collect();
    distinct::check(&identities, &mut findings);
    let socket = listen.unix.is_some() || env.value("LISTEN_FDS").is_some();
    peers_need_a_socket(&identities, socket, &mut findings);
    if names_doors {
        doors::admit_somebody(&identities, &listen, socket, &mut findings);
    }
    strangers_are_no_local_callers(&identities, &listen, &mut findings);
    takeover::somebody_is_served(&listen.takeover, &identities, &mut findings);
    let warnings = findings.conclude()?;
    let identities =
        identities.into_iter().flatten().map(|identity| takeover::past(identity, &listen.takeover)).collect();
    Ok(Config { listen, identities, log, hardware, warnings, key_variables })
}

/// What a PKCS#11 module, which is somebody else's code, has no business to read.
fn withheld(file: &File, env: &Environment) -> Vec<String> {
    let callers = file.identity.iter().flat_map(|identity| identity.caller.iter());
    let keys = callers.filter_map(|caller| caller.key_env.clone());
    keys.chain(env.secrets().map(str::to_owned)).collect()
}

/// Judges what is said of hardware, and nothing else.
pub(super) fn hardware(
    file: File,
    key_variables: Vec<String>,
    env: &Environment,
    mut findings: Findings,
) -> Result<HardwareSettings, ConfigProblems> {
    let withheld = key_variables.into_iter().chain(env.secrets().map(str::to_owned)).collect();
    let hardware = hardware::check(file.state_dir, file.pkcs11, file.tpm, withheld, env, &mut findings);
    findings.conclude()?;
    Ok(hardware)
}

fn log(raw: file::Log, findings: &mut Findings) -> Log {
    let level = raw.level.unwrap_or_else(|| file::LEVEL.to_owned());
    // A filter takes any lone word for the name of a module: `inof` would switch everything off.
    let plain = |word: &str| word.contains('=') || word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let parses = level.replace(' ', "").parse::<tracing_subscriber::filter::Targets>().is_ok();
    if !parses || !level.split(',').all(|word| plain(word.trim())) {
        let why = "must be a level (error, warn, info, debug, trace) or a filter of module=level";
        findings.wrong("log.level", &level, why);
    }
    Log { level, json: raw.json.unwrap_or(false) }
}

/// A time within these bounds, in seconds.
fn duration(path: &str, text: &str, (shortest, longest): (u64, u64), findings: &mut Findings) -> Duration {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    match parsed {
        Some(duration) if (Duration::from_secs(shortest)..=Duration::from_secs(longest)).contains(&duration) => {
            duration
        }
        _ => {
            findings.wrong(path, text, &format!("must be a time from {shortest}s to {longest}s"));
            Duration::from_secs(shortest)
        }
    }
}

/// A door open to other machines makes `any_local_caller` mean more than its name.
fn strangers_are_no_local_callers(identities: &[Option<Identity>], listen: &Listen, findings: &mut Findings) {
    // The link-local address is this machine's own, where `listen::check` lets it pass.
    let Some(open) = listen.http.iter().find(|at| listen.unsafe_any_address && !at.ip().is_loopback()) else { return };
    for (n, _) in
        identities.iter().enumerate().filter(|(_, one)| one.as_ref().is_some_and(|one| one.entry.any_local_caller))
    {
        let text = format!("hands tokens to everybody who reaches {open}, other machines included");
        findings.warn(&format!("identity[{n}].any_local_caller"), &text);
    }
}

/// True for what never leaves this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
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
