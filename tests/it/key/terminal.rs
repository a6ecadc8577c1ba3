//! A PIN that a person types: asked for on a terminal, shown nowhere, tried once.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use super::token::{PIN, Token};
use crate::support::parts::{self, Level};

/// What appears on a terminal of its own, where `typed` is typed once `question` has been asked.
fn on_a_terminal(token: &Token, args: &[&str], question: &str, typed: &str) -> Option<String> {
    if !crate::support::softhsm::installed("script") {
        parts::missing(Level::Core, "script (of bsdutils)");
        return None;
    }
    let words = [&[env!("CARGO_BIN_EXE_unsecret"), "key"], args].concat();
    let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    script.env("PATH", std::env::var_os("PATH").unwrap()).env("SHELL", "/bin/sh").env("TERM", "dumb");
    script.env("STATE_DIRECTORY", token.desk.path("state")).current_dir(token.desk.0.path());
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut shown = until(&mut child, question);
    child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
    child.stdout.as_mut().unwrap().read_to_string(&mut shown).unwrap();
    child.wait().unwrap();
    Some(shown)
}

/// What is shown up to and with the question.
fn until(child: &mut Child, question: &str) -> String {
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&shown).contains(question) {
        let read = child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
        assert_eq!(read, 1, "never asked: {}", String::from_utf8_lossy(&shown));
        shown.extend(byte);
    }
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_pin_is_asked_for_without_showing_it_and_used() {
    let Some(token) = Token::new() else { return };
    let uri = token.uri_without_pin("billing");
    let question = "PIN of `prod`: ";
    let create = token.args(&["create", &uri]);
    let Some(shown) = on_a_terminal(&token, &create, question, &format!("{PIN}\r")) else { return };
    assert!(shown.contains("which cannot leave the device") && !shown.contains(PIN), "{shown}");
    let test = token.args(&["test", &uri]);
    let mended = format!("wrong\u{15}x\u{7f}{PIN}\r");
    let shown = on_a_terminal(&token, &test, question, &mended).unwrap();
    assert!(shown.contains("PS256") && !shown.contains(PIN) && !shown.contains("wrong"), "{shown}");
}

#[test]
fn a_wrong_pin_that_is_typed_counts_like_one_from_a_file() {
    let Some(token) = Token::new() else { return };
    let uri = token.uri_without_pin("billing");
    let wrong = "canary-typed-pin-8642";
    token.hsm.key("prod", "billing", "01", 2_048);
    let test = token.args(&["test", &uri]);
    for _twice in 0..2 {
        let Some(shown) = on_a_terminal(&token, &test, "PIN of `prod`: ", &format!("{wrong}\r")) else { return };
        assert!(shown.contains("code: pin-refused") && !shown.contains(wrong), "{shown}");
        assert!(token.hsm.pin_count_low("prod"));
    }
    // From a file the same PIN is not tried either: the token would count it.
    let path = token.desk.put("wrong", wrong);
    let said = token.key(&["test", &format!("{uri}&pin-source=file:{path}")]).refused("pin-refused").stderr;
    assert!(!said.contains(wrong), "{said}");
}

#[test]
fn who_gives_up_at_the_question_is_told_so() {
    let Some(token) = Token::new() else { return };
    let uri = token.uri_without_pin("billing");
    let create = token.args(&["create", &uri]);
    let Some(shown) = on_a_terminal(&token, &create, "PIN of `prod`: ", "12\u{3}") else { return };
    assert!(shown.contains("given up with Ctrl-C") && shown.contains("code: pin-not-typed"), "{shown}");
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let Some(token) = Token::new() else { return };
    let said = token.key(&["create", &token.uri_without_pin("billing")]).refused("pin-missing").stderr;
    assert!(!said.contains("PIN of"), "{said}");
}
