//! `docs/verbs.md` is the help as a page. `UNSECRET_BLESS=1` writes it.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ArgAction;

use super::{Verb, verbs};

const HEAD: &str = "\
# Verbs

What programs read goes to stdout, what people read to stderr. Colour appears on terminals only, and not where `NO_COLOR` is set. Exit status: 0 done, 1 what was
asked failed, 2 bad usage or configuration, 3 a defect of ours; `doctor` and `exec` have numbers of their own.

This page is written by `UNSECRET_BLESS=1 cargo test --test it command_line` from what `--help` prints. `unsecret man --dir DIR` writes the same as
manual pages, `unsecret completions SHELL` a script by which a shell completes it.
";

#[test]
fn the_page_of_the_verbs_is_what_the_help_says() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/verbs.md");
    let wanted = written(&verbs());
    if std::env::var_os("UNSECRET_BLESS").is_some() {
        std::fs::write(page, wanted).unwrap();
    } else {
        let held = std::fs::read_to_string(page).unwrap_or_default();
        assert!(held == wanted, "docs/verbs.md is out of date: UNSECRET_BLESS=1 cargo test --test it command_line");
    }
}

fn written(verbs: &[Verb]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| verb | |\n| --- | --- |\n");
    for verb in verbs.iter().filter(|verb| verb.words.len() == 1) {
        let _ = writeln!(page, "| [`{0}`](#unsecret-{0}) | {1} |", verb.words[0], about(verb));
    }
    for verb in verbs.iter().filter(|verb| !verb.words.is_empty()) {
        section(verb, &mut page);
    }
    page
}

fn about(verb: &Verb) -> String {
    cell(&verb.command.get_about().unwrap().to_string())
}

fn section(verb: &Verb, page: &mut String) {
    let long = verb.command.get_long_about().map_or_else(|| about(verb) + ".", ToString::to_string);
    let _ = writeln!(page, "\n{} `{}`\n\n{long}", "#".repeat(verb.words.len() + 1), verb.typed());
    let mut rows: Vec<String> = verb.arguments().filter(|argument| argument.get_id() != "help").map(row).collect();
    if !rows.is_empty() {
        rows.insert(0, "\n| argument | |\n| --- | --- |".to_owned());
        let _ = writeln!(page, "{}", rows.join("\n"));
    }
    let usage = verb.command.clone().render_usage();
    let _ = writeln!(
        page,
        "\n<!-- tested: command_line/page -->\n```text\n{usage}\n\n{}\n```",
        verb.after_help().trim_end()
    );
}

fn row(argument: &clap::Arg) -> String {
    let mut said = argument.get_help().unwrap().to_string();
    let possible = argument.get_possible_values();
    let takes_values = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_values && !possible.is_empty() {
        let names: Vec<_> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(said, ": {}", names.join(", "));
    }
    if let Some(default) = argument.get_default_values().first().filter(|_| takes_values) {
        let _ = write!(said, "; default `{}`", default.to_string_lossy());
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(said, "; variable `{}`", variable.to_string_lossy());
    }
    format!("| `{}` | {} |", typed(argument), cell(&said))
}

/// `--config <FILE>`, `<SHELL>`.
fn typed(argument: &clap::Arg) -> String {
    argument.to_string()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
