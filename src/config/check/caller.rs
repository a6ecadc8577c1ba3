//! `[[identity.caller]]`: who may use an identity.
//!
//! Local keys are read and hashed here; their text goes no further. Easy to get wrong: a key pasted where a path, a
//! variable's name or a hash belongs must not be repeated in the message, so these texts are shown only where they
//! cannot be one.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::environment::Environment;
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::{Mistake, shown};
use crate::policy::CallerRule;
use crate::secret::Fingerprint;
use crate::secret::local_key::{LocalKey, LocalKeyError, is_entra_secret};

/// More than any key needs; a larger file is some other file.
const LARGEST_KEY_FILE: u64 = 4_096;
/// `/proc/sys/kernel/overflowuid`: what `SO_PEERCRED` shows where our user namespace has no number for the caller.
const OVERFLOW_ID: u32 = 65_534;

pub(super) fn check(
    raw: Vec<file::Caller>,
    may_be_empty: bool,
    path: &str,
    env: &Environment,
    findings: &mut Findings,
) -> Vec<CallerRule> {
    let list = format!("{path}.caller");
    if raw.is_empty() && !may_be_empty {
        nobody(path, &list, findings);
    }
    let rules = raw.into_iter().enumerate();
    rules.filter_map(|(n, raw)| rule(&raw, &format!("{list}[{n}]"), env, findings)).collect()
}

fn nobody(path: &str, list: &str, findings: &mut Findings) {
    if findings.is_spoiled(list) || findings.is_spoiled(&format!("{path}.any_local_caller")) {
        return;
    }
    let remedy = if findings.has_file() {
        "add `[[identity.caller]]` with `key_file = …` (`unsecret caller add` makes the key), or, if every local process \
         may have its tokens, write `any_local_caller = true`"
    } else {
        "set UNSECRET_CALLER_KEY_FILE to a file made by `unsecret caller add` (or UNSECRET_CALLER_KEY_ENV, \
         UNSECRET_CALLER_KEY_SHA256), or, if every local process may have its tokens, set UNSECRET_ANY_LOCAL_CALLER=true"
    };
    findings.add(Mistake::NoCaller, path, "does not say who may use it", remedy);
}

fn rule(raw: &file::Caller, path: &str, env: &Environment, findings: &mut Findings) -> Option<CallerRule> {
    let set =
        [raw.key_file.is_some(), raw.key_env.is_some(), raw.key_sha256.is_some(), raw.uid.is_some(), raw.gid.is_some()];
    let count = set.into_iter().filter(|set| *set).count();
    if count > 1 {
        let what = format!("has {count} keys, but a rule has one");
        findings.add(Mistake::Conflict, path, what, "write one `[[identity.caller]]` for each");
        return None;
    }
    if let Some(file) = &raw.key_file {
        return key_in_file(file, &format!("{path}.key_file"), findings);
    }
    if let Some(name) = &raw.key_env {
        return key_in_variable(name, &format!("{path}.key_env"), env, findings);
    }
    if let Some(digits) = &raw.key_sha256 {
        return key_by_hash(digits, &format!("{path}.key_sha256"), findings);
    }
    for (key, id) in [("uid", raw.uid), ("gid", raw.gid)] {
        if id == Some(OVERFLOW_ID) {
            let text = "is also what the kernel says of everybody from another user namespace; give the caller its own";
            findings.warn(&format!("{path}.{key}"), text);
        }
    }
    if let Some(rule) = raw.uid.map(CallerRule::Uid).or(raw.gid.map(CallerRule::Gid)) {
        return Some(rule);
    }
    if !findings.is_spoiled(path) {
        let remedy = "write one of `key_file`, `key_env`, `key_sha256`, `uid` and `gid`";
        findings.add(Mistake::Missing, path, "is empty", remedy);
    }
    None
}

fn key_in_file(file: &str, at: &str, findings: &mut Findings) -> Option<CallerRule> {
    if is_entra_secret(file) {
        refuse(LocalKeyError::EntraSecret, at, "is the key itself", findings);
        return None;
    }
    match read(Path::new(file)) {
        Ok((text, mode)) => {
            if mode & 0o004 != 0 {
                findings.warn(at, "can be read by every user of this machine; 0600 or 0640 would do");
            }
            key(&text, at, &format!("is {}", shown(file)), findings)
        }
        Err(error) => {
            let what = format!("is {}, which cannot be read: {error}", shown(file));
            let remedy = "make it with `unsecret caller add --file PATH`, or let this user read it";
            findings.add(Mistake::LocalKey, at, what, remedy);
            None
        }
    }
}

fn read(path: &Path) -> std::io::Result<(Zeroizing<String>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST_KEY_FILE).read_to_string(&mut text)?;
    Ok((text, mode))
}

fn key_in_variable(name: &str, at: &str, env: &Environment, findings: &mut Findings) -> Option<CallerRule> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        let mistake = if is_entra_secret(name) { Mistake::EntraSecret } else { Mistake::WrongValue };
        findings.add(mistake, at, "must be the name of a variable, not a key", "write `key_env = \"POD_UID\"`");
        return None;
    }
    // A name of 32 letters and digits may be a key that was pasted here.
    let word = if name.len() < 32 { name } else { "a variable" };
    let Some(text) = env.value(name) else {
        let what = format!("names {word}, which is not set");
        findings.add(Mistake::LocalKey, at, what, "set the variable to a key of 32 characters or more");
        return None;
    };
    key(text, at, &format!("names {word}"), findings)
}

fn key_by_hash(digits: &str, at: &str, findings: &mut Findings) -> Option<CallerRule> {
    if let Some(print) = Fingerprint::from_hex(digits) {
        return Some(CallerRule::Key(print));
    }
    let mistake = if is_entra_secret(digits) { Mistake::EntraSecret } else { Mistake::WrongValue };
    let what = format!("has {} characters, but must be 64 hexadecimal digits", digits.chars().count());
    findings.add(mistake, at, what, "write what `unsecret caller hash` prints for the key");
    None
}

fn key(text: &str, at: &str, subject: &str, findings: &mut Findings) -> Option<CallerRule> {
    match LocalKey::parse(text) {
        Ok(key) => Some(CallerRule::Key(key.fingerprint())),
        Err(error) => {
            refuse(error, at, subject, findings);
            None
        }
    }
}

fn refuse(error: LocalKeyError, at: &str, subject: &str, findings: &mut Findings) {
    let mistake = if error == LocalKeyError::EntraSecret { Mistake::EntraSecret } else { Mistake::LocalKey };
    findings.add(mistake, at, format!("{subject}, but {error}"), error.remedy());
}
