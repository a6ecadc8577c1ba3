//! `[[identity.sink]]`: files that are kept fresh for clients that only read files.
//!
//! Names are compared, nothing is opened. Easy to get wrong: a sink replaces whatever stands at its path, so it must not
//! be another sink's nor anything that we read ourselves, however the path is spelled.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::{Mistake, shown};
use crate::config::{AssertionSettings, HardwareSettings, SinkContent, SinkSettings, TokenFormat};
use crate::ids::{Resource, same_resource};
use crate::policy::Allowed;

/// Room for our own temporary name, which is longer, in the 255 bytes of a file name.
const LONGEST_NAME: usize = 200;

pub(super) fn check(
    raw: Vec<file::Sink>,
    allowed: Option<&Allowed>,
    assertion: Option<&AssertionSettings>,
    path: &str,
    findings: &mut Findings,
) -> Vec<SinkSettings> {
    let each = raw.into_iter().enumerate();
    each.filter_map(|(n, raw)| sink(raw, allowed, assertion, &format!("{path}[{n}]"), findings)).collect()
}

fn sink(
    raw: file::Sink,
    allowed: Option<&Allowed>,
    assertion: Option<&AssertionSettings>,
    path: &str,
    findings: &mut Findings,
) -> Option<SinkSettings> {
    let at = |key: &str| format!("{path}.{key}");
    let file = place(raw.file.as_deref(), &at("file"), findings);
    let content = content(&raw, allowed, path, findings);
    if content == Some(SinkContent::Assertion) && matches!(assertion, Some(AssertionSettings::Github { .. })) {
        let text = "writes GitHub's tokens, which live five minutes: a client that keeps what it read for ten, as Azure \
                    SDKs do, presents expired ones in between (AADSTS700024)";
        findings.warn(&at("assertion"), text);
    }
    let private = matches!(&content, Some(SinkContent::Token { format: TokenFormat::Pgpass(_), .. }));
    let mode = mode(raw.mode.as_deref().unwrap_or(file::SINK_MODE), private, &at("mode"), findings);
    for (key, name) in [("owner", &raw.owner), ("group", &raw.group)] {
        if name.as_deref() == Some("") {
            findings.wrong(&at(key), "", "must be a name or a number");
        }
    }
    let reload = raw.reload.unwrap_or_default();
    if reload.first().is_some_and(String::is_empty) || reload.iter().any(|word| word.contains('\0')) {
        let remedy = findings.right(&at("reload"));
        findings.add(Mistake::WrongValue, &at("reload"), "names no program", remedy);
    }
    Some(SinkSettings { file: file?, content: content?, mode, owner: raw.owner, group: raw.group, reload })
}

fn place(text: Option<&str>, path: &str, findings: &mut Findings) -> Option<PathBuf> {
    let Some(text) = text else {
        findings.missing(path);
        return None;
    };
    let name = Path::new(text).file_name().map_or(0, OsStr::len);
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') || name == 0 || name > LONGEST_NAME {
        let why = format!("must be the absolute path of a file whose name has at most {LONGEST_NAME} bytes");
        findings.wrong(path, text, &why);
        return None;
    }
    Some(PathBuf::from(text))
}

fn content(raw: &file::Sink, allowed: Option<&Allowed>, path: &str, findings: &mut Findings) -> Option<SinkContent> {
    let at = |key: &str| format!("{path}.{key}");
    match (&raw.scope, raw.assertion.unwrap_or(false)) {
        (Some(_), true) => {
            let what = "has a `scope` and `assertion = true`, but writes one thing";
            findings.add(Mistake::Conflict, path, what, "delete one of them, or write two sinks");
            None
        }
        (None, false) => {
            if !findings.is_spoiled(&at("scope")) && !findings.is_spoiled(&at("assertion")) {
                let remedy =
                    "write `scope = \"https://graph.microsoft.com/.default\"`, for example, or `assertion = true`";
                findings.add(Mistake::Missing, path, "does not say what to write", remedy);
            }
            None
        }
        (None, true) => {
            for (key, set) in [("format", raw.format.is_some()), ("pgpass", raw.pgpass.is_some())] {
                if set {
                    let what = "is set, but an assertion is always written alone";
                    findings.add(Mistake::Conflict, &at(key), what, "delete it");
                }
            }
            Some(SinkContent::Assertion)
        }
        (Some(scope), false) => {
            let resource = resource(scope, allowed, &at("scope"), findings);
            let format = format(raw, path, findings);
            Some(SinkContent::Token { resource: resource?, format: format? })
        }
    }
}

fn resource(scope: &str, allowed: Option<&Allowed>, path: &str, findings: &mut Findings) -> Option<Resource> {
    let resource = Resource::from_scope(scope).map_err(|rule| findings.wrong(path, scope, rule.0)).ok()?;
    if let Some(Allowed::Listed(listed)) = allowed
        && !listed.iter().any(|other| same_resource(other.as_str(), resource.as_str()))
    {
        let remedy = format!("add `{scope}` to `scopes`, or delete the sink");
        findings.wrong_but(path, scope, "`scopes` does not allow that", remedy);
    }
    Some(resource)
}

fn format(raw: &file::Sink, path: &str, findings: &mut Findings) -> Option<TokenFormat> {
    let at = format!("{path}.pgpass");
    let format = raw.format.unwrap_or(file::SinkFormat::Raw);
    match (format, &raw.pgpass) {
        (file::SinkFormat::Pgpass, None) => {
            findings.missing(&at);
            None
        }
        (file::SinkFormat::Pgpass, Some(fields)) => {
            if !is_pgpass(fields) {
                let why = "must be four fields with a `:` between them: host, port, database, user";
                findings.wrong(&at, fields, why);
            }
            Some(TokenFormat::Pgpass(fields.clone()))
        }
        (_, Some(_)) => {
            let remedy = "write `format = \"pgpass\"`, or delete it";
            findings.add(Mistake::Conflict, &at, "is set, but `format` is not \"pgpass\"", remedy);
            None
        }
        (file::SinkFormat::Raw, None) => Some(TokenFormat::Raw),
        (file::SinkFormat::Json, None) => Some(TokenFormat::Json),
        (file::SinkFormat::Header, None) => Some(TokenFormat::Header),
    }
}

/// Four fields, none of them empty, as the file itself writes them: `\:` and `\\` are letters of a field.
fn is_pgpass(fields: &str) -> bool {
    let (mut lengths, mut letters) = (vec![0], fields.chars());
    while let Some(letter) = letters.next() {
        match letter {
            ':' => lengths.push(0),
            '\\' if !matches!(letters.next(), Some(':' | '\\')) => return false,
            _ => *lengths.last_mut().unwrap_or(&mut 0) += 1,
        }
    }
    // A line that begins with # is a comment.
    lengths.len() == 4 && !lengths.contains(&0) && !fields.starts_with('#') && !fields.chars().any(char::is_control)
}

fn mode(text: &str, private: bool, path: &str, findings: &mut Findings) -> u32 {
    let bits = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8);
    match bits {
        Ok(bits) if bits & !0o770 == 0 && !text.starts_with('+') => {
            if private && bits & 0o070 != 0 {
                let why = "PostgreSQL's clients ignore a password file that its group may read";
                findings.wrong_but(path, text, why, "write `mode = \"0600\"`");
            }
            bits
        }
        Ok(_) => {
            let why = "whoever reads the file has the token: others may not";
            findings.wrong_but(path, text, why, "write `mode = \"0640\"`, and a `group` for those who shall read it");
            0
        }
        Err(_) => {
            findings.wrong(path, text, "must be permission bits in octal");
            0
        }
    }
}

/// Compares each sink's file with those before it and with every file that the configuration names for reading.
pub(super) fn distinct(file: &file::File, hardware: &HardwareSettings, findings: &mut Findings) {
    let mut taken = read_by_us(file, hardware);
    taken.extend(findings.file().map(|name| ("--config".to_owned(), resolved(name))));
    for (n, identity) in file.identity.iter().enumerate() {
        for (m, sink) in identity.sink.iter().enumerate() {
            let Some(text) = &sink.file else { continue };
            let (path, place) = (format!("identity[{n}].sink[{m}].file"), resolved(text));
            match taken.iter().find(|(_, other)| *other == place) {
                Some((other, _)) => {
                    let what = format!("is {}, but so is `{other}`", shown(text));
                    findings.add(Mistake::Duplicate, &path, what, "give the sink a file of its own");
                }
                None => taken.push((path, place)),
            }
        }
    }
}

/// What we read, or answer at, by the path of the setting.
fn read_by_us(file: &file::File, hardware: &HardwareSettings) -> Vec<(String, PathBuf)> {
    let mut read = Vec::new();
    let mut add = |path: String, text: Option<&str>| read.extend(text.map(|text| (path, resolved(text))));
    add("listen.unix".to_owned(), file.listen.unix.as_deref());
    for (n, identity) in file.identity.iter().enumerate() {
        let at = |key: &str| format!("identity[{n}].{key}");
        add(at("ca_file"), identity.ca_file.as_deref());
        add(at("proxy_auth_file"), identity.proxy_auth_file.as_deref());
        add(at("assertion.file"), identity.assertion.file.as_deref());
        for (m, pair) in identity.assertion.certificates.iter().flatten().enumerate() {
            let at = |key: &str| format!("identity[{n}].assertion.certificates[{m}].{key}");
            add(at("certificate"), pair.certificate.as_deref());
            // A key that is wrong is reported elsewhere.
            for key in pair.key.iter().filter_map(|text| hardware.key(text).ok()) {
                key.files().for_each(|(_, path)| add(at("key"), path.to_str()));
            }
        }
        for (m, caller) in identity.caller.iter().enumerate() {
            add(at(&format!("caller[{m}].key_file")), caller.key_file.as_deref());
        }
    }
    read
}

/// The path with its directory's links followed, as far as it is there: `/var/run` is `/run` on most machines. The file
/// itself may be a link, which a sink replaces.
fn resolved(text: &str) -> PathBuf {
    let path = std::path::absolute(text).unwrap_or_else(|_| text.into());
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path };
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(name)
}
