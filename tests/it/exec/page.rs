//! docs/exec.md: what it shows is run, with a broker behind.

use crate::support::world::{Plan, World};

/// The blocks of docs/exec.md that this file holds, in their order.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/exec.md")).unwrap();
    let parts = page.split("<!-- tested: exec/page -->\n```sh\n").skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_block_of_the_page_runs() {
    let world = World::of(Plan { unix: true, ..Plan::default() }).await;
    let crate::support::http::Place::Unix(socket) = world.unix() else { unreachable!() };
    let config = super::put_config(&world);
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_unsecret")).parent().unwrap();
    let mut path = programs.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let blocks = blocks();
    assert!(blocks.len() >= 4, "found only {} blocks", blocks.len());
    for block in blocks {
        let script = block
            .replace("/etc/unsecret/config.toml", &config)
            .replace("/etc/unsecret/billing.caller", world.path("caller.key").to_str().unwrap())
            .replace("/run/unsecret/unsecret.sock", socket.to_str().unwrap())
            .replace("127.0.0.1:4780", &world.http().to_string());
        let mut command = tokio::process::Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &script]).env_clear().env("PATH", &path);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let ended = super::ended(command).await;
        assert_eq!(ended.status, Some(0), "{block}\n{}", ended.stderr);
    }
}
