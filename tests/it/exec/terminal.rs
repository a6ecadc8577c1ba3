//! With a terminal: what is typed reaches the child once, and shells work as without us.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::signals::{LISTENER, has_python};
use super::{PATIENCE, put_config};
use crate::support::world::World;

/// How bash without settings begins its prompt.
const PROMPT: &str = "bash-";

/// Runs a program on a terminal of its own and plays a script of (what to wait for, what to type) with it. What is waited for
/// stands on the terminal, or behind a `>` in the file HEARD, a line: at a key that signals, the kernel throws away what is
/// about to come out of the terminal. It also loses a line now and then that is typed as soon as a shell's job has stopped:
/// nothing came of it for two seconds, and so it is typed once more.
const PLAYER: &str = r"
import json, os, pty, select, sys
heard, script, program = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvpe(program[0], program, {**os.environ, 'HEARD': heard})
seen, told, at, line = b'', 0, 0, b''
def read(patience):
    global seen
    if not select.select([terminal], [], [], patience)[0]:
        return None
    try:
        part = os.read(terminal, 65536)
    except OSError:
        part = b''
    seen += part
    return part
def type(text):
    try:
        os.write(terminal, text)
    except OSError:
        pass
def has_come(wanted):
    global at, told
    if wanted.startswith('>'):
        lines = open(heard).read().splitlines()[told:] if os.path.exists(heard) else []
        places = [place for place, line in enumerate(lines) if line.startswith(wanted[1:])]
        told += places[0] + 1 if places else 0
        return bool(places)
    place = seen.find(wanted.encode(), at)
    at = place + len(wanted) if place >= 0 else at
    return place >= 0
for wanted, typed in script:
    rounds = 0
    while not has_come(wanted):
        part, rounds = read(0.02), rounds + 1
        if part == b'' or rounds == 3000:
            sys.exit('%r does not come: %r' % (wanted, seen))
        # A shell shows what it reads; of a long line, its end.
        if rounds % 100 == 0 and line and line[-3:-1] not in seen[since:]:
            type(line)
    type(typed.encode())
    line, since = typed.encode() if typed.endswith('\n') else b'', at
while (part := read(30)):
    pass
if part is None:
    sys.exit('nothing more after: %r' % seen)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({'seen': seen.decode(), 'status': status}))
";

/// Plays, and gives what stood on the terminal and the status.
async fn play(program: &[&str], script: &[(&str, &str)]) -> (String, i64) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command.args(["-I", "-c", PLAYER]).arg(folder.path().join("heard"));
    command.arg(serde_json::to_string(script).unwrap()).args(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "dumb");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE * 2, command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    (json["seen"].as_str().unwrap().to_owned(), json["status"].as_i64().unwrap())
}

fn through<'a>(config: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    [&[env!("CARGO_BIN_EXE_unsecret"), "exec", "--config", config, "--"], command].concat()
}

#[tokio::test]
async fn ctrl_c_reaches_the_child_once_and_does_not_end_exec() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let config = put_config(&world);
    let program = through(&config, &["sh", "-c", "exec python3 -I -c \"$0\" >$HEARD", LISTENER]);
    // Ctrl-C twice, Ctrl-\ once, then the end of input.
    let script = [(">listening", "\x03"), (">SIGINT", "\x03"), (">SIGINT", "\x1c"), (">SIGQUIT", "\x04")];
    let (seen, status) = play(&program, &script).await;
    assert_eq!(status, 3, "each once: {seen}");
}

#[tokio::test]
async fn an_interactive_shell_works_as_without_us() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let config = put_config(&world);
    let program = through(&config, &["bash", "--norc", "--noprofile", "-i"]);
    let script = [
        (PROMPT, "echo $((6*7))\n"),
        ("\n42", ""),
        (PROMPT, "sh -c 'echo on; exec cat'\n"),
        ("\non", "\x03"),
        (PROMPT, "sh -c 'echo on; exec cat'\n"),
        ("\non", "\x1a"),
        ("Stopped", ""),
        (PROMPT, "test -n \"$IDENTITY_HEADER\" && exit 3\n"),
        ("stopped jobs", ""),
        (PROMPT, "exit 3\n"),
    ];
    let (seen, status) = play(&program, &script).await;
    assert_eq!(status, 3, "{seen}");
    assert!(!seen.contains("no job control"), "{seen}");
}

#[tokio::test]
async fn a_shell_stops_and_resumes_exec_and_child_together() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let config = put_config(&world);
    let listener = world.path("listener.py");
    std::fs::write(&listener, LISTENER).unwrap();
    let program = env!("CARGO_BIN_EXE_unsecret");
    let run = format!("{program} exec --config {config} -- python3 -I {} >$HEARD\n", listener.display());
    let script = [
        (PROMPT, run.as_str()),
        (">listening", "\x1a"),
        ("Stopped", ""),
        (PROMPT, "fg\n"),
        (">SIGCONT", "\x03"),
        (">SIGINT", "\x04"),
        (PROMPT, "exit $?\n"),
    ];
    let (seen, status) = play(&["bash", "--norc", "--noprofile", "-i"], &script).await;
    assert_eq!(status, 2, "each once: {seen}");
}

#[tokio::test]
async fn a_token_on_a_terminal_comes_with_a_word() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let config = put_config(&world);
    let program =
        [env!("CARGO_BIN_EXE_unsecret"), "token", "--config", &config, "--resource", "https://graph.microsoft.com"];
    let (seen, status) = play(&program, &[]).await;
    assert_eq!(status, 0);
    assert!(seen.contains("scrollback") && seen.contains("eyJ"), "the word or the token is missing");
}
