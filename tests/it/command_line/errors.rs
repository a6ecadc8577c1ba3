//! What a person reads who typed something wrong, or whose configuration is wrong: as somebody last read it.
//!
//! Every verb has at least the error of an option it does not know; the list below adds those that people really make.

use std::path::Path;

use tempfile::TempDir;

use super::{Ended, Verb, ended, unsecret, verbs};
use crate::support::snapshot;

/// What people get wrong, as they type it in a folder that has the files of [`scratch`].
const MISTAKES: &[&str] = &[
    "chekc",
    "check --config missing.toml",
    "check --config broken.toml",
    "check --config syntax.toml",
    "check --config secret.toml",
    "check",
    "run --config missing.toml",
    "doctor --config missing.toml",
    "doctor --config good.toml --identity bililng",
    "doctor --offline missing.jwt",
    "doctor --scope https://graph.microsoft.com",
    "explain",
    "inspect",
    "inspect missing.jwt",
    "inspect taken.caller",
    "inspect --expect roles taken.caller",
    "inspect --verify taken.caller",
    "inspect --quiet --require-secretless secret.caller",
    "token --config good.toml",
    "token --config missing.toml --scope https://graph.microsoft.com/.default",
    "token --config good.toml --scope https://graph.microsoft.com",
    "token --config good.toml --scope https://vault.azure.net/.default",
    "token --config good.toml --resource https://vault.azure.net/.default",
    "token --config good.toml --identity bililng --scope https://graph.microsoft.com/.default",
    "token --config good.toml --scope https://graph.microsoft.com/.default",
    "token --via no.sock --scope https://graph.microsoft.com/.default",
    "exec",
    "exec --config missing.toml -- true",
    "exec --config good.toml -- no-such-program",
    "exec --via no.sock --door oauth -- true",
    "env",
    "env --key-file missing.caller",
    "env --at localhost:4780 --key-file taken.caller",
    "config",
    "caller add",
    "caller add --file taken.caller",
    "caller add --file no/such/folder/billing.caller",
    "caller add --file new.caller --owner nobody-of-this-name",
    "caller hash",
    "trust --config missing.toml",
    "trust --config https.toml --dir taken.caller",
    "trust --config company.toml",
    "emulate --config missing.toml",
    "emulate --config syntax.toml",
    "health --admin 127.0.0.1:1",
    "health --admin localhost:9464",
    "completions tcsh",
    "explain it-does-not-work",
    "explain broken.toml",
    "man --dir taken.caller/man1",
];

const BROKEN: &str = r#"
[[identity]]
name = "billing"
tenant = "contoso"
client_id = "33333333-dddd-4eee-8fff"
scopes = ["https://graph.microsoft.com"]
asertion = { file = "/var/run/secrets/unsecret/token" }
"#;

/// An Entra secret where the local key belongs. It is made up, and has the shape of a real one.
const SECRET: &str = r#"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "/var/run/secrets/unsecret/token" }

[[identity.caller]]
key_file = "secret.caller"
"#;

/// Verbs whose output is a report: what they find wrong is no error but what was asked for.
const REPORTS: [&str; 2] = ["doctor", "inspect"];

/// Nothing is wrong with it, but its token file is not there.
const GOOD: &str = r#"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "token" }
any_local_caller = true
"#;

/// A folder with the files that the mistakes name.
pub fn scratch() -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(scratch.path().join(name), text).unwrap();
    put("broken.toml", BROKEN);
    put("good.toml", GOOD);
    let state = scratch.path().join("state").display().to_string();
    put("https.toml", &format!("state_dir = {state:?}\n[listen]\nhttps = \"127.0.0.1:4743\"\n{GOOD}"));
    let files = "https_certificate = \"missing.pem\"\nhttps_key = \"missing.key\"";
    put("company.toml", &format!("[listen]\nhttps = \"127.0.0.1:4743\"\n{files}\n{GOOD}"));
    put("token.jwt", &jwt());
    put("syntax.toml", "[[identity]\nname = billing\n");
    put("secret.toml", SECRET);
    put("secret.caller", &format!("abc8Q~{}", "x".repeat(34)));
    put("taken.caller", "a key that somebody uses");
    scratch
}

/// A token of a service account, whose signature nobody made.
fn jwt() -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = r#"{"iss":"https://issuer.example","sub":"system:serviceaccount:default:billing",
        "aud":["api://AzureADTokenExchange"],"iat":1795370000,"exp":4102444800}"#;
    format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"one"}"#), part(claims), part("no signature"))
}

/// Those of the list that belong to a verb, and an option that it does not know.
fn mistakes(verb: &Verb, all: &[Verb]) -> Vec<String> {
    let of_the_list = MISTAKES.iter().filter(|typed| closest(typed, all).words == verb.words);
    of_the_list.map(|typed| (*typed).to_owned()).chain([unknown_option(verb)]).collect()
}

/// The verb whose words all stand at the beginning of what is typed, and the most of them.
fn closest<'a>(typed: &str, all: &'a [Verb]) -> &'a Verb {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let begins = |verb: &&Verb| words.len() >= verb.words.len() && words.iter().zip(&verb.words).all(|(a, b)| a == b);
    all.iter().filter(begins).max_by_key(|verb| verb.words.len()).unwrap()
}

fn unknown_option(verb: &Verb) -> String {
    [verb.words.as_slice(), &["--no-such-option".to_owned()]].concat().join(" ")
}

/// What is typed, in that folder, as its reader sees it.
pub fn tried(typed: &str, folder: &Path) -> Ended {
    let mut command = unsecret(&typed.split_whitespace().collect::<Vec<_>>());
    command.current_dir(folder).env("HOME", folder);
    ended(command, "")
}

#[test]
fn errors_are_as_somebody_last_read_them() {
    let (verbs, scratch) = (verbs(), scratch());
    let held = verbs.iter().map(|verb| {
        let told = mistakes(verb, &verbs).iter().map(|typed| told(typed, scratch.path())).collect::<Vec<_>>();
        snapshot::compare(&format!("errors/{}.txt", verb.name()), &told.join("\n"))
    });
    snapshot::held(held);
    snapshot::no_others("errors", verbs.iter().map(|verb| format!("{}.txt", verb.name())));
}

fn told(typed: &str, folder: &Path) -> String {
    let ended = tried(typed, folder);
    let reports = REPORTS.iter().any(|verb| typed.starts_with(verb));
    assert!(reports || ended.stdout.is_empty(), "`unsecret {typed}` says its error where a program reads");
    assert!(matches!(ended.status, Some(1..)), "`unsecret {typed}` is no error");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let status = ended.status.unwrap();
    let said = (ended.stdout + &ended.stderr).replace(folder.to_str().unwrap(), "/scratch");
    format!("{} (exit status {status})\n{said}", format!("$ unsecret {typed}").trim_end())
}

#[test]
fn what_is_typed_wrong_is_a_matter_of_usage() {
    let scratch = scratch();
    for verb in verbs() {
        let typed = unknown_option(&verb);
        assert_eq!(tried(&typed, scratch.path()).status, Some(2), "unsecret {typed}");
    }
}

#[test]
fn an_unknown_verb_is_answered_with_the_one_that_was_meant() {
    let scratch = scratch();
    for (typed, meant) in [("chekc", "check"), ("halth", "health"), ("caller ad", "add")] {
        let ended = tried(typed, scratch.path());
        assert_eq!(ended.status, Some(2), "{typed}");
        assert!(ended.stderr.contains(&format!("'{meant}'")), "{typed}: {}", ended.stderr);
    }
}
