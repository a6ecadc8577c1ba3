//! A configuration that stands on a page or in an example, made real in a scratch folder and shown to `unsecret check`.
//!
//! The paths it names exist on no machine but its reader's: each is moved below the scratch folder and given the content
//! that its key asks for. Easy to get wrong: nothing else is changed, so that what is checked is what is printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The value of a caller's key where a configuration takes it from a variable: any text of 32 characters or more.
const KEY: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// Runs `unsecret check` on `config`; what it said if it was not content.
pub fn check(config: &str) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("config.toml");
    fs::write(&file, moved(config, &scratch)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.env_clear().current_dir(&scratch).arg("check").arg("--config").arg(&file);
    // A credential is looked for when the token is, so that only its place has to be known.
    command.env("CREDENTIALS_DIRECTORY", scratch.path());
    if config.contains("github") {
        command.env("ACTIONS_ID_TOKEN_REQUEST_URL", "https://runner.example/token?api-version=2.0");
        command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a.runner.token");
    }
    for name in values(config, "key_env") {
        command.env(name, KEY);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The configuration with every file it reads moved below `scratch`, where the file now is.
fn moved(config: &str, scratch: &TempDir) -> String {
    let mut moved = config.to_owned();
    for key in ["key_file", "file", "certificate", "key", "ca_file", "proxy_auth_file"] {
        let in_hardware = |value: &&str| value.starts_with("pkcs11:") || value.starts_with("tpm:");
        for value in values(config, key).into_iter().filter(|value| !in_hardware(value)) {
            let path = value.trim_start_matches("file:");
            let real = scratch.path().join(path.trim_start_matches('/'));
            place(&real, key);
            let real = value.replacen(path, &real.display().to_string(), 1);
            moved = moved.replace(&format!("\"{value}\""), &format!("\"{real}\""));
        }
    }
    moved
}

fn place(path: &Path, key: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.exists() {
        return;
    }
    if key == "key_file" {
        let made =
            Command::new(env!("CARGO_BIN_EXE_unsecret")).args(["caller", "add", "--file"]).arg(path).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    } else {
        fs::write(path, "placed by a test\n").unwrap();
    }
}

/// The texts that `key` is set to, in inline tables too.
fn values<'a>(config: &'a str, key: &str) -> Vec<&'a str> {
    let opening = format!("{key} = \"");
    config
        .match_indices(&opening)
        .filter(|(at, _)| !config[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
        .filter_map(|(at, _)| config[at + opening.len()..].split('"').next())
        .collect()
}
