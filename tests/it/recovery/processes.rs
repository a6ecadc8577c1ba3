//! The real process: what it logs, and that no child of it stays behind.

use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

use super::*;
use crate::support::world::until;

/// The binary with this one identity, at an Entra that knows nothing of it.
async fn run(parts: &Parts, member: Member) -> (World, Child) {
    let world = World::new().await;
    let plan = parts.plan(&[member], "limit = \"300s\"\n");
    for (name, text) in &plan.files {
        fs::write(world.path(name), text).unwrap();
    }
    let config = world.path("run.toml");
    fs::write(&config, world.text_of(&plan)).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.env_clear().envs(plan.environment).args(["run", "--config"]).arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    (world, command.spawn().unwrap())
}

#[tokio::test]
async fn a_child_ends_with_a_parent_that_is_killed_while_a_signature_hangs() {
    let Some(parts) = Parts::new() else { return };
    parts.modules[0].hang("C_Sign");
    let member = parts.member("prod", 0, "object=billing", "01");
    let (_world, mut parent) = run(&parts, member).await;
    let hanging = until("a signature hangs", async || {
        parts.modules[0].calls("C_Sign").last().map(|call| (call.result.clone(), call.pid))
    })
    .await;
    assert_eq!(hanging.0, "hang");
    assert!(alive(hanging.1));
    // SIGKILL: nobody says goodbye.
    parent.kill().await.unwrap();
    until("the child ends", async || (!alive(hanging.1)).then_some(())).await;
}

#[tokio::test]
async fn the_log_says_that_a_key_signs_with_rs256_because_it_cannot_do_better() {
    let Some(parts) = Parts::new() else { return };
    parts.modules[0].no_pss();
    let member = parts.member("prod", 0, "object=billing", "01");
    let (_world, mut process) = run(&parts, member).await;
    let mut stderr = process.stderr.take().unwrap();
    let mut said = Vec::new();
    let listening = async {
        while !String::from_utf8_lossy(&said).lines().any(|line| line.contains("RS256")) {
            assert_ne!(stderr.read_buf(&mut said).await.unwrap(), 0, "it ended: {}", String::from_utf8_lossy(&said));
        }
    };
    let listened = tokio::time::timeout(Duration::from_secs(30), listening).await;
    let said = String::from_utf8_lossy(&said);
    assert!(listened.is_ok(), "{said}");
    let line = said.lines().find(|line| line.contains("RS256")).unwrap();
    assert!(line.contains("the key cannot do PSS with a 32-byte salt") && line.contains("billing"), "{line}");
    process.kill().await.unwrap();
}
