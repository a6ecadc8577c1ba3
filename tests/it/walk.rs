//! The README from top to bottom, as a newcomer follows it: its commands, typed in its order, and the output it shows.
//!
//! Everything typed stands in README.md and only there. What is different from the newcomer's machine: Entra is the
//! emulator, the ports are our own, and the folders of the system lie below a scratch folder. Easy to get wrong: the
//! commands run in a fresh copy of what is committed, with an empty home, so that nothing of this machine helps them.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::http::Call;
use crate::support::world::{World, until};

/// For one command, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A part of the page that a newcomer does something with.
enum Part {
    /// Put this into the configuration file.
    Config(String),
    /// Type these.
    Console(Vec<Typed>),
}

/// A command, and what the page shows of its output; nothing where it shows nothing.
pub struct Typed {
    pub command: String,
    pub shown: Vec<String>,
}

/// The page's parts in their order, by the markers above its blocks.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for rest in page.split("<!-- ").skip(1) {
        let (marker, rest) = rest.split_once(" -->\n").unwrap();
        let mut lines = rest.lines().skip(1).take_while(|line| *line != "```");
        match marker {
            "config" => parts.push(Part::Config(lines.collect::<Vec<_>>().join("\n"))),
            "tested: walk" => parts.push(Part::Console(typed(lines))),
            // This test is a part of the other command that stands there.
            "gate" => parts.extend(
                lines
                    .find_map(|line| line.strip_prefix("cargo run --release -- "))
                    .map(|verb| Part::Console(vec![Typed { command: format!("unsecret {verb}"), shown: Vec::new() }])),
            ),
            _ => {}
        }
    }
    parts
}

/// `$ command`, continued after a backslash, and the lines below it.
pub fn typed<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Typed { command: command.to_owned(), shown: Vec::new() }),
            (None, Some(last)) if last.command.ends_with('\\') => {
                last.command.pop();
                last.command.push_str(line.trim_start());
            }
            (None, Some(last)) => last.shown.push(line.to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    all
}

/// Whether these lines are what the page shows: `…` alone on a line stands for any number of them.
pub fn are_shown(shown: &[String], real: &[&str]) -> bool {
    match shown.split_first() {
        None => real.is_empty(),
        Some((line, rest)) if line == "…" => (0..=real.len()).any(|skipped| are_shown(rest, &real[skipped..])),
        Some((line, rest)) => real.first().is_some_and(|first| is_shown(line, first)) && are_shown(rest, &real[1..]),
    }
}

/// Whether a line is what the page shows: `…` stands for anything, and numbers may differ.
fn is_shown(shown: &str, real: &str) -> bool {
    let (shown, real) = (numberless(shown), numberless(real));
    let mut rest = real.as_str();
    let mut pieces = shown.split('…');
    let first = pieces.next().unwrap();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

fn numberless(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !out.ends_with('#') {
            out.push(letter);
        }
    }
    out
}

/// Where the newcomer is.
struct Walk {
    world: World,
    /// What is committed, and nothing else.
    clone: TempDir,
    http: SocketAddr,
    admin: SocketAddr,
    /// What was started with `&`.
    running: Vec<Child>,
}

impl Walk {
    async fn begin() -> Self {
        let clone = tempfile::tempdir().unwrap();
        copy_committed(clone.path());
        for folder in ["home", "etc/unsecret", "run"] {
            std::fs::create_dir_all(clone.path().join(".machine").join(folder)).unwrap();
        }
        let held = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let [http, admin] = held.map(|listener| listener.local_addr().unwrap());
        Self { world: World::new().await, clone, http, admin, running: Vec::new() }
    }

    fn machine(&self, path: &str) -> PathBuf {
        self.clone.path().join(".machine").join(path)
    }

    /// The page's text with the folders and ports of this walk.
    fn here(&self, text: &str) -> String {
        text.replace("/etc/unsecret", self.machine("etc/unsecret").to_str().unwrap())
            .replace("/run/unsecret", self.machine("run").to_str().unwrap())
            .replace("/var/run/secrets/unsecret/token", self.world.path("token").to_str().unwrap())
            .replace("127.0.0.1:4780", &self.http.to_string())
            .replace("127.0.0.1:9464", &self.admin.to_string())
    }

    fn shell(&self, command: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_unsecret")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(binary).chain(std::env::split_paths(&path))).unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &format!("exec 2>&1; {}", self.here(command))]);
        shell.current_dir(self.clone.path()).env_clear().env("PATH", path).env("HOME", self.machine("home"));
        shell.env("UNSECRET_AUTHORITY_HOST", self.world.emulator.authority_host());
        shell.env("UNSECRET_CA_FILE", self.world.path("ca.pem"));
        shell.env("UNSECRET_LISTEN_HTTP", self.http.to_string()).env("UNSECRET_LISTEN_ADMIN", self.admin.to_string());
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        shell
    }

    async fn types(&mut self, typed: &Typed) {
        if let Some(command) = typed.command.strip_suffix(" &") {
            self.running.push(self.shell(&format!("exec {command}")).spawn().unwrap());
            let admin = self.admin;
            return until("the broker is ready", async || {
                tokio::net::TcpStream::connect(admin).await.ok()?;
                (Call::get(admin, "/readyz").send().await.status == 200).then_some(())
            })
            .await;
        }
        let output = tokio::time::timeout(PATIENCE, self.shell(&typed.command).output()).await;
        let output = output.unwrap_or_else(|_| panic!("does not end: {}", typed.command)).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}: {}\n{said}", typed.command, output.status);
        if typed.shown.is_empty() {
            return;
        }
        let shown: Vec<String> = typed.shown.iter().map(|line| self.here(line)).collect();
        let real: Vec<&str> = said.lines().collect();
        assert!(
            are_shown(&shown, &real),
            "{}\nREADME.md shows:\n{}\nbut it printed:\n{said}",
            typed.command,
            shown.join("\n")
        );
    }
}

/// The files that a clone of this repository has, as they are now.
fn copy_committed(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listing = std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listing = listing.ok().filter(|listing| listing.status.success()).map(|listing| listing.stdout);
    // An archive of the sources has no history to ask; the commands then run in an empty folder.
    let Some(listing) = listing else { return };
    for name in String::from_utf8(listing).unwrap().split_terminator('\0').filter(|name| root.join(name).is_file()) {
        let to = into.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(name), to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_follows_the_readme_from_top_to_bottom() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut walk = Walk::begin().await;
    let mut commands = 0;
    for part in parts(&page) {
        match part {
            Part::Config(text) => {
                std::fs::write(walk.machine("etc/unsecret/config.toml"), walk.here(&text)).unwrap();
            }
            Part::Console(typed) => {
                for typed in &typed {
                    walk.types(typed).await;
                    commands += 1;
                }
            }
        }
    }
    assert!(commands >= 5, "README.md has only {commands} commands to type");
}

#[test]
fn what_the_page_shows_is_compared_but_for_numbers_and_dots() {
    assert!(is_shown(r#"{"expires_in":3599,"access_token":"eyJ…"}"#, r#"{"expires_in":12,"access_token":"eyJh.b.c"}"#));
    assert!(is_shown("… and on", "so far and on") && is_shown("open …", "open end"));
    let shown = ["…", "good", "…"].map(str::to_owned);
    assert!(are_shown(&shown, &["a", "good", "b", "c"]) && are_shown(&shown, &["good"]) && !are_shown(&shown, &["a"]));
    assert!(!is_shown("ready", "not ready") && !is_shown("ready", "ready not") && !is_shown("a … b", "a c"));
}
