//! `unsecret inspect` as a shell sees it: the real binary over tokens that the emulator and the broker really make.

mod page;
mod silent;
mod verifying;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use unsecret::assertion::{AssertionSource as _, CertificateSource, Credential, Wanted};
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::signer::Algorithm;

use crate::support::settled;
use crate::support::world::{AUDIENCE, GRAPH, ISSUER, SUBJECT, Source, TENANT, VAULT, World, client};

const SIGNATURE: &str = "canary signature of nobody, long enough to be hunted";

pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr))
    }
}

/// Runs the verb at its noisiest, with no variables of the machine's own.
pub fn inspect(args: &[&str], stdin: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unsecret"))
        .arg("inspect")
        .args(args)
        .env_clear()
        .env("RUST_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may be gone already: a file was named, or the input is too large.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: settled(&text(output.stderr)) }
}

/// A JWT that nobody signed.
pub fn token(header: &Value, claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(&header.to_string()), part(&claims.to_string()), part(SIGNATURE))
}

/// An app-only token for Microsoft Graph with these claims on top.
pub fn access(change: &Value) -> String {
    let now = SystemClock::new().now().epoch();
    let mut claims = json!({
        "aud": GRAPH, "iss": format!("https://sts.windows.net/{TENANT}/"), "iat": now, "nbf": now, "exp": now + 3_000,
        "appid": client().as_str(), "appidacr": "2", "idtyp": "app", "oid": "o", "sub": "o", "tid": TENANT, "ver": "1.0",
        "roles": ["Mail.Send"],
    });
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    token(&json!({"typ": "JWT", "alg": "RS256", "kid": "key-1"}), &claims)
}

/// A certificate assertion as the broker signs it.
pub async fn assertion(world: &World) -> String {
    let credential = Credential::from_files(&world.path("billing.pem"), &world.path("billing.key"), None).unwrap();
    let clock = Arc::new(SystemClock::new());
    let source = CertificateSource::open(client(), Algorithm::Ps256, vec![credential], clock).await.unwrap();
    let token_url = format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token");
    source.assertion(Wanted { token_url: &token_url, refused: &[] }).await.unwrap().jwt.expose().to_owned()
}

fn put(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_broker_hands_out_is_app_only_and_came_without_a_secret() {
    for source in [Source::File, Source::Certificate] {
        let world = World::with_source(source).await;
        let answer = world.imds(GRAPH).send().await;
        // The whole answer, as `curl` leaves it.
        let expectations = ["--require-secretless", "--expect", "idtyp=app", "--expect", "roles=Data.Read"];
        let ended = inspect(&expectations, answer.json().to_string().as_bytes());
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
        let first = ended.stdout.lines().next().unwrap();
        assert!(
            first.starts_with("app-only access token (version 1.0) for Microsoft Graph, obtained with a cert"),
            "{first}"
        );
        assert!(ended.stdout.contains("not verified: anyone can write these claims"));
        assert!(
            !ended.stdout.contains("not known here"),
            "a claim of the emulator's is not explained: {}",
            ended.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_assertions_that_prove_the_broker_are_fit_and_another_audience_is_not() {
    let world = World::new().await;
    let platform = std::fs::read(world.path("token")).unwrap();
    let ended = inspect(&["--json"], &platform);
    let report = ended.json();
    assert_eq!((ended.status, &report["kind"], &report["refusals"]), (0, &json!("platform-token"), &json!([])));
    let values: Vec<_> =
        report["compare"].as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!(values, [ISSUER, SUBJECT, AUDIENCE]);

    let own = inspect(&["--json"], assertion(&world).await.as_bytes()).json();
    assert_eq!((&own["kind"], &own["refusals"]), (&json!("certificate-assertion"), &json!([])));

    let wrong = unsecret::emulator::PlatformToken::new(SUBJECT, "sts.amazonaws.com");
    let wrong = world.emulator.platform_token(ISSUER, &wrong).unwrap();
    let refused = inspect(&["--json"], wrong.expose().as_bytes()).json();
    assert_eq!(refused["refusals"][0]["aadsts"], 700_212);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_thumbprints_of_a_certificate_are_those_of_its_assertions() {
    let world = World::new().await;
    let file = world.path("billing.pem");
    let report = inspect(&["--json", file.to_str().unwrap()], b"").json();
    let row = |name: &str| {
        report["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()["shown"].clone()
    };
    let own = inspect(&["--json"], assertion(&world).await.as_bytes()).json();
    let header = own["rows"].as_array().unwrap().iter().find(|row| row["name"] == "x5t#S256").unwrap();
    assert_eq!(row("x5t#S256"), header["value"]);
    assert!(own["notes"].to_string().contains(row("SHA-256").as_str().unwrap()));
}

#[test]
fn a_check_that_fails_ends_with_1_and_shows_wrong_and_right() {
    let ended = inspect(&["--quiet", "--require-secretless"], access(&json!({"appidacr": "1"})).as_bytes());
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("client secret (appidacr is 1)") && ended.stderr.contains("code: inspect-client-secret")
    );

    let ended = inspect(&["--expect", "tid=other", "--expect", "roles=Mail.Send"], access(&json!({})).as_bytes());
    assert_eq!(ended.status, 1);
    let wanted = format!("error: check claim `tid`: it is `{TENANT}`, not `other`\n");
    assert!(ended.stderr.starts_with(&wanted), "{}", ended.stderr);
    assert!(ended.stdout.contains("ok roles is or contains `Mail.Send`"), "{}", ended.stdout);

    let unknown = inspect(&["--json", "--require-secretless"], access(&json!({"appidacr": null})).as_bytes());
    assert_eq!((unknown.status, &unknown.json()["checks"][0]["code"]), (1, &json!("inspect-proof-unknown")));
    assert_eq!(inspect(&["--quiet", "--require-secretless"], access(&json!({})).as_bytes()).status, 0);
}

#[test]
fn the_exit_status_tells_described_from_nothing_to_describe_from_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let status = |args: &[&str], stdin: &[u8]| inspect(args, stdin).status;
    assert_eq!(status(&[], access(&json!({})).as_bytes()), 0);
    assert_eq!(status(&["-"], access(&json!({"exp": 1})).as_bytes()), 0);
    assert_eq!(status(&[], b"-----BEGIN PRIVATE KEY-----"), 1);
    assert_eq!(status(&[], b"hello"), 1);
    assert_eq!(status(&[folder.path().join("none").to_str().unwrap()], b""), 2);
    assert_eq!(status(&["--expect", "x"], b""), 2);
    assert_eq!(status(&["--verify", "--issuer", "x", "--audience", "y"], b""), 2);
    let large = inspect(&[], &vec![b'a'; 1024 * 1024 + 1]);
    assert_eq!(large.status, 2);
    assert!(large.stderr.contains("code: inspect-too-large"), "{}", large.stderr);
    assert_eq!(status(&[], &vec![b'a'; 1024 * 1024]), 1);
}

#[test]
fn what_differs_between_two_tokens_is_shown_with_times_as_times() {
    let folder = tempfile::tempdir().unwrap();
    let a = put(folder.path(), "a", &access(&json!({"aud": VAULT, "exp": 1_800_000_000})));
    let b = put(folder.path(), "b", &access(&json!({"exp": 1_800_000_060, "iat": 1, "nbf": 1})));
    let ended = inspect(&["--diff", &a, &b], b"");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.starts_with(&format!("aud\n  A  {VAULT}\n  B  {GRAPH}\nexp\n  A  2027-01-15 08:00:00 UTC")),
        "{}",
        ended.stdout
    );
    let all = inspect(&["--json", "--diff", &a, &b], b"").json();
    assert_eq!(all["differences"].as_array().unwrap().len(), 4);
    let none = inspect(&["--diff", &a, &a], b"");
    assert_eq!((none.status, none.stdout.as_str()), (0, "no claim differs\n"));
    let nothing = put(folder.path(), "c", "hello");
    assert_eq!(inspect(&["--diff", &a, &nothing], b"").status, 1);
}

#[test]
fn values_of_strangers_cannot_write_to_the_terminal() {
    let text = access(&json!({"name": "\u{1b}[2J\u{9b}31m\u{202e}evil", "\u{1b}]0;x\u{7}": "y"}));
    for args in [&[][..], &["--json"], &["--expect", "name=x"], &["--expect", "\u{1b}[2J=x"]] {
        let ended = inspect(args, text.as_bytes());
        let said = ended.stdout + &ended.stderr;
        let escape = said.chars().find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
        assert_eq!(escape, None, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_is_left_is_counted_by_our_clock() {
    let world = World::new().await;
    let mut short = unsecret::emulator::PlatformToken::new(SUBJECT, AUDIENCE);
    short.life = Duration::from_secs(2_000);
    let short = world.emulator.platform_token(ISSUER, &short).unwrap();
    let ended = inspect(&[], short.expose().as_bytes());
    assert!(
        ended.stdout.contains("expires in 33 min") || ended.stdout.contains("expires in 32 min"),
        "{}",
        ended.stdout
    );
}
