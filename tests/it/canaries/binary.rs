//! The real binary: what `run` at its noisiest and `check` print.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use super::logs::{planted, spoiled};
use crate::support::http::Call;
use crate::support::world::{CLIENT, GITHUB_BEARER, GRAPH, Plan, Source, VAULT, World};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(world: &World, plan: &Plan, verb: &str, level: &str) -> Command {
    let file = world.path("config.toml");
    let text = format!("{}\n[log]\nlevel = \"{level}\"\n", world.text_of(plan));
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.env_clear().arg(verb).arg("--config").arg(file).stdin(Stdio::null());
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", world.github_url());
    command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_BEARER);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Asks the binary that `world` describes, and gives back all that it printed.
async fn day(world: &World, level: &str) -> String {
    let mut child = Running(command(world, &world.plan, "run", level).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap());
    let mut printed = String::new();
    let address = loop {
        assert_ne!(lines.read_line(&mut printed).unwrap(), 0, "it does not listen: {printed}");
        let line = printed.lines().last().unwrap();
        if let Some((_, rest)) = line.split_once("door=http://") {
            break rest.split_whitespace().next().unwrap().parse::<std::net::SocketAddr>().unwrap();
        }
    };
    // It writes while we ask; nobody else empties the pipe.
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        rest
    });
    for (door, call) in world.every_door(GRAPH) {
        assert_eq!(call.at(address).send().await.status, 200, "{door}");
    }
    for call in [world.oauth_as(CLIENT, super::logs::ENTRA_SHAPED, GRAPH), Call::get(address, "/nothing")] {
        assert_ne!(call.at(address).send().await.status, 200);
    }
    world.put_token("eyJ.canary.broken");
    let _ = world.imds(VAULT).at(address).send().await;
    world.write_token();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child.0), rustix::process::Signal::TERM).unwrap();
    child.0.wait().unwrap();
    let mut stdout = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "", "stdout is nobody's log");
    printed + &reader.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_prints_no_secret_at_its_noisiest() {
    for (source, level) in
        [(Source::File, "trace"), (Source::Github, "trace,unsecret=trace"), (Source::Certificate, "trace,hyper=trace")]
    {
        let world = World::with_source(source).await;
        let printed = day(&world, level).await;
        assert!(printed.contains("INFO") && printed.contains("listening"), "{printed}");
        let mut hunt = planted(&world);
        hunt.hide("the broken token", "eyJ.canary.broken");
        hunt.search(&format!("the log of the binary ({source:?})"), &printed);
        assert!(!printed.contains("eyJ"), "the log of the binary holds a token");
    }
}

#[tokio::test]
async fn check_and_run_complain_without_repeating_a_secret() {
    let world = World::new().await;
    let hunt = planted(&world);
    for plan in spoiled(&world) {
        for verb in ["check", "run"] {
            let output = command(&world, &plan, verb, "trace").output().unwrap();
            assert_eq!(output.status.code(), Some(2));
            for bytes in [output.stdout, output.stderr] {
                hunt.search(verb, &String::from_utf8(bytes).unwrap());
            }
        }
    }
}
