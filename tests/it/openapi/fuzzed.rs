//! schemathesis, which makes requests from docs/openapi.json and judges the answers of a running broker by it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::page;
use crate::support::parts::{Level, missing};
use crate::support::world::{Plan, World};

/// Enough to try each field alone, and a run of some seconds.
const EXAMPLES: &str = "10";

/// A Python that has it.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("UNSECRET_TEST_PYTHON").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci/venv/bin/python");
    for python in named.into_iter().chain([built, PathBuf::from("python3")]) {
        let mut look = std::process::Command::new(&python);
        look.args(["-c", "import schemathesis"]).stdout(Stdio::null()).stderr(Stdio::null());
        if look.status().is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    missing(Level::Core, "the Python package schemathesis");
    None
}

/// One run over the operations that the filter leaves.
async fn judged(python: &Path, world: &World, url: &str, filter: [&str; 2]) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    // Not its check of other methods: a door looks for the header that keeps strangers out before it looks at the method.
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance,allow_header_conformance";
    let mut command = tokio::process::Command::new(python);
    command.args(["-m", "schemathesis.cli", "run", page, "--url", url, "--seed", "5", "--max-examples", EXAMPLES]);
    command.args(["--phases", "examples,coverage,fuzzing", "--checks", checks, "--warnings", "off", "--no-color"]);
    command.args(["--request-timeout", "30", "--suppress-health-check", "all", "--generation-database", "none"]);
    command.args(filter).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_PROXY", "*");
    // It looks for a configuration in its working directory, and writes reports there.
    command.current_dir(world.path("")).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_from_the_page_are_answered_as_the_page_says() {
    let Some(python) = python() else { return };
    // Without keys a generated one is as good as any, so that requests come through to a token.
    let world = World::of(Plan { callers: Some(String::new()), standing: true, ..super::open() }).await;
    let admin = page::admin_pages().join("|");
    judged(&python, &world, &format!("http://{}", world.http()), ["--exclude-path-regex", &admin]).await;
    judged(&python, &world, &format!("http://{}", world.admin()), ["--include-path-regex", &admin]).await;
    // The token, the one for `cp1`, and for each a forced refresh.
    assert!((1..=4).contains(&world.exchanges()), "a generated resource was asked of Entra: {}", world.exchanges());
}
