//! docs/keys.md from top to bottom, as its reader follows it: the commands in its order, and the output it shows.
//!
//! Other than on the reader's machine, Entra is the emulator and `/etc/unsecret` lies in a scratch folder.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Desk, entra};
use crate::walk::{are_shown, typed};

/// The blocks of the page that are typed or written, in their order: marker and lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let marked = page.split("<!-- ").skip(1).filter_map(|rest| rest.split_once(" -->\n"));
    let blocks =
        marked.map(|(marker, rest)| (marker, rest.lines().skip(1).take_while(|line| *line != "```").collect()));
    blocks.filter(|(marker, _)| ["config", "tested: key/walk"].contains(marker)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_follows_the_page_from_no_key_to_a_token() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md")).unwrap();
    let desk = Desk::new();
    let entra = entra(&desk).await;
    let here = |text: &str| {
        text.replace("/etc/unsecret", desk.0.path().to_str().unwrap())
            .replace("127.0.0.1:4791", &entra.admin_address().unwrap().to_string())
    };
    let mut commands = 0;
    for (marker, lines) in blocks(&page) {
        if marker == "config" {
            desk.put("config.toml", &here(&lines.join("\n")));
            continue;
        }
        for step in typed(lines.into_iter()) {
            let mut shell = shell(&desk, &here(&step.command));
            shell.env("UNSECRET_AUTHORITY_HOST", entra.authority_host());
            let output = shell.env("UNSECRET_CA_FILE", desk.path("entra-ca.pem")).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}: {}\n{said}", step.command, output.status);
            let shown: Vec<String> = step.shown.iter().map(|line| here(line)).collect();
            let fits = shown.is_empty() || are_shown(&shown, &said.lines().collect::<Vec<_>>());
            assert!(fits, "{}\ndocs/keys.md shows:\n{}\nbut it printed:\n{said}", step.command, shown.join("\n"));
            commands += 1;
        }
    }
    assert!(commands >= 8, "docs/keys.md has only {commands} commands to type");
    entra.stop().await;
}

fn shell(desk: &Desk, command: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_unsecret")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binary).chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("bash");
    // What is said to people comes first, as on a terminal.
    shell.args(["-euo", "pipefail", "-c", &format!("exec 2>&1; {command}")]).env_clear().env("PATH", path);
    shell.env("STATE_DIRECTORY", desk.path("state")).current_dir(desk.0.path()).stdin(Stdio::null());
    shell
}
