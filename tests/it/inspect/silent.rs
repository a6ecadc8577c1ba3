//! Nothing that proves anything comes out of `inspect`: no token, signature, key or secret, whatever is asked for.

use serde_json::json;
use unsecret::secret::local_key::LocalKey;

use super::{access, assertion, inspect, put};
use crate::canaries::Hunt;
use crate::support::world::{GRAPH, World};

/// Inputs, each with what must not come out.
async fn inputs(world: &World) -> Vec<(&'static str, String, Vec<String>)> {
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap().trim().to_owned();
    let token = world.imds(GRAPH).send().await.token();
    let (platform, own, key) = (read("token"), assertion(world).await, read("billing.key"));
    let secret = format!("abc8Q~{}", "canary".repeat(5));
    let local = LocalKey::generate().unwrap().secret().expose().to_owned();
    let nested = access(&json!({
        "nonce": "canary-nonce-0123456789", "uti": "canary-uti-0123456789", "rh": "canary-rh-0123456789",
        "note": format!("see {token}"), "deep": {"client_secret": "canary-nested-0123456789", "list": [secret]},
        "aud": token,
    }));
    let hidden =
        ["canary-nonce-0123456789", "canary-uti-0123456789", "canary-rh-0123456789", "canary-nested-0123456789"];
    let hidden = hidden.into_iter().map(str::to_owned).chain([nested.clone(), token.clone(), secret.clone()]).collect();
    let cut = token[..token.len() / 2].to_owned();
    let lines = key.lines().filter(|line| line.len() > 20).map(str::to_owned).collect();
    vec![
        ("an access token", token.clone(), vec![token.clone()]),
        ("a token answer", json!({"access_token": token}).to_string(), vec![token.clone()]),
        ("a header line", format!("Authorization: Bearer {token}"), vec![token.clone()]),
        ("half a token", cut.clone(), vec![cut]),
        ("a token twice", format!("{token}{token}"), vec![token.clone()]),
        ("a platform token", platform.clone(), vec![platform]),
        ("an assertion", own.clone(), vec![own]),
        ("a token full of secrets", nested, hidden),
        ("a private key", key.clone(), lines),
        ("a client secret", secret.clone(), vec![secret.clone()]),
        ("a quoted client secret", format!("\"{secret}\""), vec![secret]),
        ("a local key", local.clone(), vec![local.clone()]),
        ("a local key cut short", local[..40].to_owned(), vec![local[..40].to_owned()]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_proves_anything_comes_out_whatever_is_asked() {
    let world = World::new().await;
    let keys = put(&world.path(""), "keys.json", r#"{"keys":[{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}]}"#);
    let verify = ["--verify", "--issuer", "https://i.example", "--audience", "a", "--jwks", &keys];
    let ways: [&[&str]; 6] = [
        &[],
        &["--json"],
        &["--require-secretless", "--expect", "aud=x", "--expect", "uti=x", "--expect", "note=x", "--expect", "deep=x"],
        &["--json", "--require-secretless", "--expect", "nonce=x", "--expect", "note=x"],
        &verify,
        &[verify.as_slice(), &["--json"]].concat(),
    ];
    for (name, text, secrets) in inputs(&world).await {
        let mut hunt = Hunt::default();
        for secret in &secrets {
            hunt.hide(name, secret);
        }
        hunt.hide("padding", "one more needle that is nowhere");
        if name == "an access token" {
            // In the wrong place: where a file or an expectation belongs.
            for args in [&[text.as_str()][..], &["--expect", &text], &["--diff", &text, &text]] {
                let ended = inspect(args, b"x");
                assert_eq!(ended.status, 2);
                hunt.search(&format!("{name} as an argument"), &(ended.stdout + &ended.stderr));
            }
        }
        for args in ways {
            let ended = inspect(args, text.as_bytes());
            assert!(!ended.stderr.contains("panicked"), "{name}: {args:?}");
            hunt.search(&format!("{name}, {args:?}"), &(ended.stdout + &ended.stderr));
        }
        let file = put(&world.path(""), "a", &text);
        let other = put(&world.path(""), "b", &access(&json!({})));
        for files in [[&file, &other], [&other, &file]] {
            let ended = inspect(&["--diff", files[0], files[1]], b"");
            hunt.search(&format!("{name}, --diff"), &(ended.stdout + &ended.stderr));
        }
    }
}
