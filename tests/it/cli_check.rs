//! The verbs about configuration, as a shell sees them: status, stdout and stderr of the real binary.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

const GOOD: &str = r#"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "/var/run/secrets/unsecret/token" }
"#;

struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

/// Runs the binary with no variables but these: the machine's own must not leak in.
fn unsecret(args: &[&str], variables: &[(&str, &str)], stdin: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unsecret"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that reads no stdin may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("config.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_ends_with_0_and_a_summary_when_all_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &format!("{GOOD}any_local_caller = true\n"));
    let ended = unsecret(&["check", "--config", &path], &[("UNSECRET_SCOPE", "x")], "");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("the configuration is good\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("billing"));
    assert!(ended.stderr.starts_with("warning: variable UNSECRET_SCOPE is not known"), "{}", ended.stderr);
}

#[test]
fn check_shows_the_sinks_and_warns_of_a_directory_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().display();
    let text = format!(
        "{GOOD}[[identity.sink]]\nfile = \"{there}/a\"\nassertion = true\n[[identity.sink]]\nfile = \"{there}/none/b\"\n\
         scope = \"https://graph.microsoft.com/.default\"\n[[identity.sink]]\nfile = \"{there}/none/c\"\nassertion = true\n"
    );
    let ended = unsecret(&["check", "--config", &file(dir.path(), &text)], &[], "");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let warning = format!("identity `billing`: directory of a sink `{there}/none` is not there now");
    assert_eq!(ended.stderr.lines().filter(|line| line.contains("directory of a sink")).count(), 1, "once");
    assert!(ended.stderr.contains(&warning), "{}", ended.stderr);
    assert!(ended.stdout.contains("callers  none: only its sinks are served"), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("sink     {there}/a: an assertion (mode 0600)")), "{}", ended.stdout);
}

#[test]
fn check_warns_of_a_named_file_that_is_not_there_and_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("ca.pem");
    std::fs::write(&there, "").unwrap();
    let identity = GOOD.replace("/var/run/secrets/unsecret/token", "/no/such/token");
    let path = file(dir.path(), &format!("{identity}ca_file = \"{}\"\nany_local_caller = true\n", there.display()));
    let ended = unsecret(&["check", "--config", &path], &[], "");
    assert_eq!(ended.status, 0);
    assert_eq!(ended.stderr, "warning: identity `billing`: token file `/no/such/token` is not there now\n");
}

#[test]
fn check_ends_with_2_and_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), &format!("wiat = \"1s\"\n{GOOD}required = 3\n"));
    let ended = unsecret(&["check"], &[("UNSECRET_CONFIG", &path)], "");
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    let expected = format!(
        "\
error: {path}, line 1: `wiat` is not a known key
remedy: delete it; the keys here are `identity`, `listen`, `log`, `pkcs11`, `state_dir`, `tpm`
code: config-unknown-key

error: {path}, line 3: `identity[0]` does not say who may use it
remedy: add `[[identity.caller]]` with `key_file = …` (`unsecret caller add` makes the key), or, if every local process \
         may have its tokens, write `any_local_caller = true`
code: config-no-caller

error: {path}, line 9: `identity[0].required` is the number 3, but must be true or false
remedy: write `required = false`, for example
code: config-wrong-type

3 problems in the configuration
"
    );
    assert_eq!(ended.stderr, expected);
}

#[test]
fn a_key_that_caller_add_makes_is_taken_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("billing.caller");
    let key = key.to_str().unwrap();
    let made = unsecret(&["caller", "add", "--file", key], &[], "");
    assert_eq!(made.status, 0, "{}", made.stderr);
    let text = std::fs::read_to_string(key).unwrap();
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!made.stdout.contains(text.trim()) && !made.stderr.contains(text.trim()), "the key is not printed");

    let hashed = unsecret(&["caller", "hash"], &[], &text);
    assert!(made.stdout.contains(&format!("# key_sha256 = \"{}\"", hashed.stdout.trim())), "{}", made.stdout);

    let path = file(dir.path(), &format!("{GOOD}{}", made.stdout));
    let ended = unsecret(&["check", "--config", &path], &[], "");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("callers  1 local key\n"), "{}", ended.stdout);

    let again = unsecret(&["caller", "add", "--file", key], &[], "");
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("code: caller-file-exists"), "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(key).unwrap(), text);
}

#[test]
fn a_key_file_is_given_to_the_owner_and_group_that_were_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = std::fs::metadata(dir.path()).unwrap();
    // Only root may give a file to somebody else.
    let (uid, gid) = if data.uid() == 0 { (4_711, 4_712) } else { (data.uid(), data.gid()) };
    let (owner, group) = (uid.to_string(), gid.to_string());
    let path = dir.path().join("billing.caller");
    let file = path.to_str().unwrap();
    let made = unsecret(&["caller", "add", "--file", file, "--owner", &owner, "--group", &group], &[], "");
    assert_eq!(made.status, 0, "{}", made.stderr);
    let data = std::fs::metadata(&path).unwrap();
    assert_eq!((data.uid(), data.gid(), data.permissions().mode() & 0o777), (uid, gid, 0o640));

    let unknown = unsecret(&["caller", "add", "--file", file, "--force", "--owner", "no such user"], &[], "");
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("find user `no such user`: /etc/passwd does not list it"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("code: caller-owner-unknown"), "{}", unknown.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn a_key_for_a_secret_store_goes_to_stdout_alone() {
    let made = unsecret(&["caller", "add", "--stdout"], &[], "");
    assert!(made.stdout.starts_with("uns_") && made.stdout.len() == 53, "{}", made.stdout.len());
    let hashed = unsecret(&["caller", "hash"], &[], &made.stdout);
    assert!(made.stderr.contains(&format!("key_sha256 = \"{}\"", hashed.stdout.trim())));
}

#[test]
fn caller_hash_refuses_a_real_entra_secret_without_repeating_it() {
    let ended = unsecret(&["caller", "hash"], &[], &format!("abc8Q~{}", "canary".repeat(5)));
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("revoke the secret in Entra") && !ended.stderr.contains("canary"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_schema_is_json_and_version_tells_the_build() {
    let schema: serde_json::Value = serde_json::from_str(&unsecret(&["config", "--schema"], &[], "").stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let version: serde_json::Value = serde_json::from_str(&unsecret(&["version", "--json"], &[], "").stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let features: &[&str] = if cfg!(feature = "tpm") { &["tpm"] } else { &[] };
    assert_eq!(version["features"], serde_json::json!(features));
    assert_eq!(unsecret(&["config"], &[], "").status, 2, "one of --schema and --reference is needed");
}
