//! Completions and manual pages, judged by the programs that read them.

use std::path::Path;
use std::process::Command;

use super::{ended, exists, unsecret, verbs};
use crate::support::parts::{self, Level};

/// The script for a shell, in a file.
fn script(shell: &str, folder: &Path, name: &str) -> String {
    let made = ended(unsecret(&["completions", shell]), "");
    assert_eq!((made.status, made.stderr.as_str()), (Some(0), ""), "{shell}");
    let path = folder.join(name);
    std::fs::write(&path, made.stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a shell prints that reads no files of this machine's user.
fn said(shell: &str, arguments: &[&str], home: &Path) -> String {
    let mut command = Command::new(shell);
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home);
    command.env("TERM", "dumb");
    let ended = ended(command, "");
    assert_eq!(ended.status, Some(0), "{shell}: {}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "", "{shell}");
    ended.stdout
}

#[test]
fn bash_completes_verbs_and_options() {
    if !exists("bash") {
        return parts::missing(Level::Core, "bash");
    }
    let home = tempfile::tempdir().unwrap();
    let script = script("bash", home.path(), "unsecret");
    let complete = |words: &str, last: usize| {
        let program = format!(
            "source {script}; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _unsecret unsecret \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        said("bash", &["--norc", "--noprofile", "-c", &program], home.path())
    };
    assert_eq!(complete("unsecret chec", 1), "check\n");
    assert_eq!(complete("unsecret check --con", 2), "--config\n");
    assert_eq!(complete("unsecret caller ad", 2), "add\n");
    let all = complete("unsecret ''", 1);
    for verb in verbs().iter().filter(|verb| verb.words.len() == 1) {
        assert!(all.lines().any(|line| line == verb.words[0]), "{}: {all}", verb.words[0]);
    }
}

#[test]
fn fish_completes_verbs_and_options() {
    if !exists("fish") {
        return parts::missing(Level::Core, "fish");
    }
    let home = tempfile::tempdir().unwrap();
    let script = script("fish", home.path(), "unsecret.fish");
    let complete = |typed: &str| {
        said("fish", &["--no-config", "-c", &format!("source {script}; complete -C '{typed}'")], home.path())
    };
    assert!(complete("unsecret chec").starts_with("check\t"), "{}", complete("unsecret chec"));
    assert!(complete("unsecret check --con").starts_with("--config\t"));
}

#[test]
fn zsh_takes_the_script_for_its_own() {
    if !exists("zsh") {
        return parts::missing(Level::Core, "zsh");
    }
    let home = tempfile::tempdir().unwrap();
    script("zsh", home.path(), "_unsecret");
    let program = "fpath=(~ $fpath); autoload -U compinit; compinit -u -D; print $_comps[unsecret]; \
                   autoload -U +X _unsecret; functions _unsecret_commands >/dev/null || _unsecret 2>/dev/null; \
                   functions _unsecret_commands";
    let printed = said("zsh", &["-f", "-c", program], home.path());
    assert!(printed.starts_with("_unsecret\n"), "{printed}");
    for verb in verbs().iter().filter(|verb| verb.words.len() == 1) {
        assert!(printed.contains(&format!("'{}:", verb.words[0])), "{}: {printed}", verb.words[0]);
    }
}

#[test]
fn manual_pages_are_read_without_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("man1");
    let made = ended(unsecret(&["man", "--dir", folder.to_str().unwrap()]), "");
    assert_eq!((made.status, made.stdout.as_str(), made.stderr.as_str()), (Some(0), "", ""));
    let pages: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(pages.len(), verbs().len());
    if !exists("man") || !exists("groff") {
        return parts::missing(Level::Core, "man and groff");
    }
    for page in pages {
        let page = page.to_str().unwrap();
        let read = said("man", &["--warnings", "-E", "UTF-8", "-l", page], home.path());
        assert!(read.contains("EXAMPLES") && read.contains("SYNOPSIS"), "{page}: {read}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let made = ended(unsecret(&["man", "--dir", file.join("man1").to_str().unwrap()]), "");
    assert_eq!(made.status, Some(1));
    assert!(made.stderr.contains("code: man-page-unwritable"), "{}", made.stderr);
}
