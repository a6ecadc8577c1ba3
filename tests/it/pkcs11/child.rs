//! The child process itself: what it is given, and what it does when nobody wants it.

use std::process::{Command, Stdio};

use super::*;

#[tokio::test]
async fn a_child_gets_its_variables_less_the_withheld_ones_and_prints_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (program, seen) = (folder.path().join("child"), folder.path().join("seen"));
    let script =
        "#!/bin/sh\n{ /usr/bin/env; echo \"args=$*\"; /usr/bin/readlink /proc/$$/fd/1 /proc/$$/fd/2; } >SEEN\n";
    let draft = folder.path().join("draft");
    fs::write(&draft, script.replace("SEEN", seen.to_str().unwrap())).unwrap();
    // Written by a process of its own: one that another test starts just now could hold ours open, and then it cannot be run.
    assert!(Command::new("install").args(["-m", "700"]).args([&draft, &program]).status().unwrap().success());
    let settings = Settings {
        program,
        environment: BTreeMap::from([("VENDOR_CONF".to_owned(), "/etc/vendor.conf".to_owned())]),
        state: folder.path().join("state"),
        limit: Duration::from_secs(60),
        withheld: vec!["CARGO_MANIFEST_DIR".to_owned()],
        tcti: String::new(),
        force: false,
    };
    // The test itself has it, or nothing is shown by its absence.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && std::env::var_os("PATH").is_some());
    let signers = Signers::new(settings, Arc::new(ManualClock::standing(1_800_000_000)));
    let signer = signers.open(&parse("pkcs11:token=prod?module-path=/vendor.so"), None).unwrap();
    assert_eq!(refusal(&*signer).await, "signer-died");
    let seen = fs::read_to_string(seen).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines.contains(&"VENDOR_CONF=/etc/vendor.conf") && lines.contains(&"args=pkcs11-module /vendor.so"));
    assert!(lines.iter().any(|line| line.starts_with("PATH=")), "{seen}");
    assert!(!seen.contains("CARGO_MANIFEST_DIR"), "{seen}");
    // Of the two, the script itself has moved the first.
    assert_eq!(lines.last(), Some(&"/dev/null"), "{seen}");
}

#[test]
fn the_hidden_verb_tells_people_that_it_is_not_for_them() {
    for args in [&["pkcs11-module"][..], &["pkcs11-module", "/usr/lib/module.so"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
        let output = command.env_clear().args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("is started by unsecret itself"), "{text}");
    }
}
