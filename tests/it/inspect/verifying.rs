//! `--verify`: with keys from a file and by discovery, over real TLS with a private CA.

use std::path::Path;

use serde_json::{Value, json};
use unsecret::outbound::{Outbound, Request, Settings};

use super::{Ended, access, inspect, put};
use crate::support::far_end::{FarEnd, Reply, ca};
use crate::support::world::{GRAPH, TENANT, World};

fn issuer() -> String {
    format!("https://sts.windows.net/{TENANT}/")
}

/// The keys with which the emulator signs access tokens.
async fn keys(world: &World) -> String {
    let settings = Settings { ca_file: Some(world.path("ca.pem")), ..Settings::default() };
    let url = format!("{}/{TENANT}/discovery/v2.0/keys", world.emulator.authority_host());
    let answer = Outbound::new(settings).send(Request::get(url.parse().unwrap())).await.unwrap();
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn verify(token: &str, issuer: &str, audience: &str, more: &[&str]) -> Ended {
    inspect(&[&["--verify", "--issuer", issuer, "--audience", audience], more].concat(), token.as_bytes())
}

fn codes(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().filter_map(|line| line.strip_prefix("code: ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_verifies_with_the_keys_of_its_issuer_and_not_for_another_api() {
    let world = World::new().await;
    let token = world.imds(GRAPH).send().await.token();
    let file = put(&world.path(""), "keys.json", &keys(&world).await);
    let good = verify(&token, &issuer(), GRAPH, &["--jwks", &file]);
    assert_eq!((good.status, good.stderr.as_str()), (0, ""), "{}", good.stdout);
    assert!(good.stdout.contains("\n  verified: signature, issuer, audience and times\n"), "{}", good.stdout);
    assert!(!good.stdout.contains("not verified"));
    assert_eq!(inspect_json(&token, &file, GRAPH)["verified"], true);

    let other = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let wrong = verify(&token, &other, "api://shop", &["--jwks", &file]);
    assert_eq!((wrong.status, codes(&wrong)), (1, vec!["verify-issuer", "verify-audience"]));
    assert!(wrong.stderr.contains(&format!("it is `{}`, not `{other}`", issuer())), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("requestedAccessTokenVersion"));
    let report = inspect_json(&token, &file, "api://shop");
    assert_eq!((&report["verified"], &report["checks"][2]["code"]), (&json!(false), &json!("verify-audience")));

    let (unsigned, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{unsigned}.{}", access(&json!({})).rsplit_once('.').unwrap().1);
    assert_eq!(codes(&verify(&forged, &issuer(), GRAPH, &["--jwks", &file])), ["verify-signature"]);
    let foreign = verify(&access(&json!({})), &issuer(), GRAPH, &["--jwks", &file]);
    assert_eq!(codes(&foreign), ["verify-key-unknown"]);
    assert!(foreign.stderr.contains("`key-1` is not among"), "{}", foreign.stderr);
}

fn inspect_json(token: &str, file: &str, audience: &str) -> Value {
    verify(token, &issuer(), audience, &["--jwks", file, "--json"]).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_discovered_over_tls_with_a_private_ca() {
    let world = World::new().await;
    let token = world.imds(GRAPH).send().await.token();
    let (issuer, ca) = (format!("{}/{TENANT}/v2.0", world.emulator.authority_host()), world.path("ca.pem"));
    let discover = ["--discover", "--ca-file", ca.to_str().unwrap()];
    let found = verify(&token, &issuer, GRAPH, &discover);
    // The emulator's documents speak of its own host, its tokens of Entra's: only the issuer differs.
    assert_eq!(codes(&found), ["verify-issuer"], "{}", found.stderr);
    assert!(found.stdout.contains("ok signature verifies with the key"), "{}", found.stdout);
    let untrusted = verify(&token, &issuer, GRAPH, &["--discover"]);
    assert_eq!((untrusted.status, codes(&untrusted)), (1, vec!["tls-untrusted-issuer"]), "{}", untrusted.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_a_stranger_bring_no_keys() {
    let folder = tempfile::tempdir().unwrap();
    let authority = ca("a test");
    let trusted = put(folder.path(), "ca.pem", authority.certificate_pem());
    let far = FarEnd::start(&authority, [Reply::Reset]).await;
    let host = far.host();
    let answers = async |replies: Vec<Reply>| {
        far.then(replies);
        let ended = verify(&access(&json!({})), &host, GRAPH, &["--discover", "--ca-file", &trusted]);
        (ended.status, codes(&ended).join(" "))
    };
    let ok = |body: Value| Reply::http(200, &[], &body.to_string());
    let named = |issuer: &str, keys: &str| ok(json!({"issuer": issuer, "jwks_uri": keys}));
    let wrong = |code: &str, status| (status, code.to_owned());
    let stranger = named("https://stranger.example", &format!("{host}/keys"));
    assert_eq!(answers(vec![stranger]).await, wrong("verify-discovery-issuer", 1));
    assert_eq!(answers(vec![Reply::http(404, &[], "")]).await, wrong("verify-discovery-failed", 1));
    assert_eq!(answers(vec![ok(json!({}))]).await, wrong("verify-discovery-failed", 1));
    assert_eq!(answers(vec![named(&host, "http://localhost/keys")]).await, wrong("verify-discovery-failed", 2));
    let keyless = vec![named(&host, &format!("{host}/keys")), ok(json!({"keys": []}))];
    assert_eq!(answers(keyless).await, wrong("verify-keys-unreadable", 2));
    assert!(far.seen().last().unwrap().head.starts_with("GET /keys "));
}

#[test]
fn what_is_no_token_or_no_jwks_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let empty = put(folder.path(), "keys.json", "{}");
    let unread = verify(&access(&json!({})), "https://i.example", "a", &["--jwks", &empty]);
    assert_eq!((unread.status, codes(&unread)), (2, vec!["verify-keys-unreadable"]));
    let missing = Path::new(&empty).with_extension("none");
    let missing = verify(&access(&json!({})), "https://i.example", "a", &["--jwks", missing.to_str().unwrap()]);
    assert_eq!((missing.status, codes(&missing)), (2, vec!["inspect-unreadable"]));
    let no_token = verify("hello", "https://i.example", "a", &["--jwks", &empty]);
    assert_eq!((no_token.status, codes(&no_token)), (1, vec!["inspect-not-verifiable"]));
}
