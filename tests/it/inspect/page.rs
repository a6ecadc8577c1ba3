//! The page about `inspect`, held to what the program prints.

use serde_json::json;

use super::{inspect, put, token};
use crate::support::world::{GRAPH, TENANT, client};

/// Digits aside, since times pass.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for letter in text.trim_end().chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !steady.ends_with('#') {
            steady.push(letter);
        }
    }
    steady
}

#[test]
fn the_page_shows_what_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let claims = json!({
        "aud": GRAPH, "iss": format!("https://sts.windows.net/{TENANT}/"), "exp": 1_700_000_000, "appid": client().as_str(),
        "appidacr": "1", "idtyp": "app", "tid": TENANT, "ver": "1.0", "uti": "x",
    });
    let file = put(folder.path(), "token.txt", &token(&json!({"typ": "JWT", "alg": "RS256", "kid": "k"}), &claims));
    let real = inspect(&[&file], b"");
    let page = std::fs::read_to_string([env!("CARGO_MANIFEST_DIR"), "docs", "inspect.md"].join("/")).unwrap();
    let block = page.split("<!-- tested: inspect/page -->\n```text\n").nth(1).unwrap().split("\n```\n").next().unwrap();
    let shown = block.strip_prefix("$ unsecret inspect token.txt\n").unwrap();
    assert_eq!(steady(shown), steady(&real.stdout), "docs/inspect.md; real output:\n{}", real.stdout);
}
