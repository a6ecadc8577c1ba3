//! `state_dir`, `[pkcs11]` and `[tpm]`.
//!
//! Nothing is opened: a module or TPM that is not there is an error of use, since it may come. Easy to get wrong: a
//! relative path would mean another file under systemd than in a shell.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::duration;
use crate::config::HardwareSettings;
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;

/// Set by systemd for `StateDirectory=`: one path, or several with colons between them.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// Set by systemd for `LoadCredential=` and its kin.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Below a second a healthy HSM counts as hung; an RSA key of 4096 bits takes a small TPM minutes.
const LIMITS: (u64, u64) = (1, 300);
/// Those that the TSS library of this program knows by name.
const DRIVERS: [&str; 4] = ["device", "mssim", "swtpm", "tabrmd"];

pub(super) fn check(
    state_dir: Option<String>,
    pkcs11: file::Pkcs11,
    tpm: file::Tpm,
    withheld: Vec<String>,
    env: &Environment,
    findings: &mut Findings,
) -> HardwareSettings {
    let modules = pkcs11.modules.map(|paths| modules(&paths, findings));
    let environment = pkcs11.environment.unwrap_or_default();
    names(&environment, findings);
    HardwareSettings {
        state_dir: state_directory(state_dir, env, findings),
        modules,
        environment,
        withheld,
        limit: duration("pkcs11.limit", pkcs11.limit.as_deref().unwrap_or(file::LIMIT), LIMITS, findings),
        tcti: tcti(tpm.tcti, findings),
        credentials: env.value(CREDENTIALS_DIRECTORY).map(PathBuf::from),
    }
}

fn state_directory(configured: Option<String>, env: &Environment, findings: &mut Findings) -> PathBuf {
    let given = env.value(STATE_DIRECTORY).and_then(|paths| paths.split(':').next()).filter(|path| !path.is_empty());
    let text = configured.unwrap_or_else(|| given.unwrap_or(file::STATE_DIR).to_owned());
    if !is_absolute(&text) {
        findings.wrong("state_dir", &text, "must be an absolute path");
    }
    PathBuf::from(text)
}

fn modules(paths: &[String], findings: &mut Findings) -> Vec<PathBuf> {
    if paths.is_empty() && !findings.is_spoiled("pkcs11.modules") {
        let remedy = format!("{}, or delete it to allow any", findings.right("pkcs11.modules"));
        findings.add(Mistake::WrongValue, "pkcs11.modules", "is [], which allows no module", remedy);
    }
    for (n, text) in paths.iter().enumerate().filter(|(_, text)| !is_absolute(text)) {
        findings.wrong(&format!("pkcs11.modules[{n}]"), text, "must be the absolute path of a module");
    }
    paths.iter().map(PathBuf::from).collect()
}

fn is_absolute(text: &str) -> bool {
    text.starts_with('/') && !text.contains('\0')
}

fn names(environment: &BTreeMap<String, String>, findings: &mut Findings) {
    for (name, value) in environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let remedy = findings.right("pkcs11.environment");
            let what = format!("has {name:?}, which no variable can be named");
            findings.add(Mistake::WrongValue, "pkcs11.environment", what, remedy);
        }
    }
}

fn tcti(configured: Option<String>, findings: &mut Findings) -> String {
    let text = configured.unwrap_or_else(|| file::TCTI.to_owned());
    let driver = text.split(':').next().unwrap_or_default();
    if !DRIVERS.contains(&driver) || text.contains('\0') {
        let why = format!("must begin with one of {}, and go on with a colon", DRIVERS.join(", "));
        findings.wrong("tpm.tcti", &text, &why);
    } else if matches!(driver, "mssim" | "swtpm") && !by_host_and_port(&text) {
        // The library would pass over the rest, and knock at localhost:2321.
        findings.wrong("tpm.tcti", &text, &format!("must be `{driver}:host=…,port=…`; nothing else is read there"));
    }
    text
}

fn by_host_and_port(tcti: &str) -> bool {
    let fields = tcti.split_once(':').map_or("", |(_, fields)| fields);
    fields.is_empty() || fields.split(',').all(|field| field.starts_with("host=") || field.starts_with("port="))
}
