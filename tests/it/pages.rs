//! Holds the pages to the program: what a page shows was run or is compared with what really comes out.
//!
//! The line above a fenced block says how it is held to the truth; a block without one fails. CONTRIBUTING.md lists the
//! forms. `UNSECRET_BLESS=1` writes real output into the pages instead of comparing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::staged;

/// A fenced block and the marker above it.
struct Block {
    page: PathBuf,
    /// Of its first line inside the fence, counted from 1.
    line: usize,
    /// `run`, `output: unsecret …`, … as CONTRIBUTING.md lists them; empty if there is none.
    marker: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [".", "docs"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    let examples = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path().join("README.md"));
    pages.extend(examples.filter(|path| path.exists()));
    assert!(pages.len() >= 8, "found only {} pages", pages.len());
    pages
}

fn blocks() -> Vec<Block> {
    let blocks: Vec<Block> = pages().into_iter().flat_map(|page| blocks_of(&page)).collect();
    assert!(blocks.len() >= 10, "found only {} blocks", blocks.len());
    blocks
}

fn blocks_of(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        if lines[at].starts_with("```") {
            let above = if at == 0 { "" } else { lines[at - 1] };
            let marker = above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).unwrap_or_default();
            let length = lines[at + 1..].iter().position(|line| *line == "```").unwrap_or(0);
            assert!(length > 0, "{}:{}: an empty block, or one without an end", page.display(), at + 1);
            let text = lines[at + 1..=at + length].join("\n") + "\n";
            blocks.push(Block { page: page.to_owned(), line: at + 2, marker: marker.to_owned(), text });
            at += length + 1;
        }
        at += 1;
    }
    blocks
}

/// The blocks whose marker is `form` or `form: argument`, with the argument.
fn marked(form: &str) -> Vec<(Block, String)> {
    let argument = |marker: &str| match marker.split_once(": ") {
        Some((name, argument)) => (name == form).then(|| argument.to_owned()),
        None => (marker == form).then(String::new),
    };
    let all = blocks().into_iter();
    all.filter_map(|block| argument(&block.marker).map(|argument| (block, argument))).collect()
}

fn place(block: &Block) -> String {
    format!("{}:{}", block.page.strip_prefix(root()).unwrap().display(), block.line)
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// What `unsecret` prints, stdout before stderr, with what differs between runs made the same.
fn output(command_line: &str) -> String {
    let arguments = command_line.split_whitespace().skip(1);
    let output = Command::new(env!("CARGO_BIN_EXE_unsecret")).args(arguments).current_dir(root()).output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

/// Digits and identifiers that differ from run to run, each run of them as one `#`: what is compared, not what is shown.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for letter in text.trim_end().chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !steady.ends_with('#') {
            steady.push(letter);
        }
    }
    steady
}

fn bless(block: &Block, real: &str) {
    let page = fs::read_to_string(&block.page).unwrap();
    let lines: Vec<&str> = page.lines().collect();
    let end = block.line - 1 + block.text.lines().count();
    let mut blessed = lines[..block.line - 1].join("\n");
    blessed.push('\n');
    blessed.push_str(real.trim_end());
    blessed.push('\n');
    blessed.push_str(&lines[end..].join("\n"));
    blessed.push('\n');
    fs::write(&block.page, blessed).unwrap();
}

#[test]
fn every_block_says_how_it_is_held_to_the_truth() {
    const FORMS: [&str; 9] = ["run", "gate", "output", "config", "file", "picture", "printed", "tested", "elsewhere"];
    let mut problems = Vec::new();
    for block in blocks() {
        let form = block.marker.split(':').next().unwrap();
        if !FORMS.contains(&form) {
            problems.push(format!(
                "{}: no marker above the block, or an unknown one: `{}`",
                place(&block),
                block.marker
            ));
        }
        if form == "elsewhere" && block.page.ends_with("README.md") && block.page.parent() == Some(root()) {
            problems.push(format!("{}: everything in the README is run or compared", place(&block)));
        }
    }
    complain(&problems);
}

/// A test cannot run the tests: the gate, which does, compares what they print.
#[test]
fn what_the_gate_compares_is_the_readmes_and_not_empty() {
    let gate = fs::read_to_string(root().join(".ci/run")).unwrap();
    for (block, command) in marked("printed") {
        assert!(gate.contains(&format!("<!-- printed: {command} -->")), "{}", place(&block));
        assert!(block.page.ends_with("README.md") && !block.text.trim().is_empty(), "{}", place(&block));
    }
}

#[test]
fn commands_that_the_gate_runs_stand_in_it() {
    let gate = fs::read_to_string(root().join(".ci/run")).unwrap();
    for (block, _) in marked("gate") {
        for line in block.text.lines().filter(|line| !line.is_empty()) {
            let command = line.trim_start_matches("$ ").split(" #").next().unwrap().trim();
            assert!(gate.contains(command), "{}: .ci/run does not run `{command}`", place(&block));
        }
    }
}

#[test]
fn printed_output_is_what_the_program_prints() {
    let shown = marked("output");
    for (block, command_line) in &shown {
        let real = output(command_line);
        if std::env::var_os("UNSECRET_BLESS").is_some() {
            bless(block, &real);
        } else {
            assert_eq!(steady(&block.text), steady(&real), "{}: run with UNSECRET_BLESS=1", place(block));
        }
    }
    assert!(!shown.is_empty());
}

#[test]
fn printed_configurations_pass_the_check() {
    for (block, _) in marked("config") {
        if let Err(said) = staged::check(&block.text) {
            panic!("{}:\n{said}", place(&block));
        }
    }
}

#[test]
fn tests_that_hold_a_block_are_there() {
    for (block, module) in marked("tested") {
        let file = fs::read_to_string(root().join(format!("tests/it/{module}.rs"))).unwrap();
        let page = block.page.file_name().unwrap().to_str().unwrap();
        assert!(file.contains(page), "{}: tests/it/{module}.rs does not read {page}", place(&block));
    }
}

#[test]
fn quoted_files_are_quoted_right() {
    for (block, path) in marked("file") {
        let file = fs::read_to_string(root().join(&path)).unwrap();
        assert!(file.contains(block.text.trim_end()), "{}: not in {path}", place(&block));
    }
}

#[test]
fn printed_commands_run() {
    let programs = Path::new(env!("CARGO_BIN_EXE_unsecret")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    for (block, _) in marked("run") {
        let scratch = tempfile::tempdir().unwrap();
        let script = block.text.lines().map(|line| line.trim_start_matches("$ ")).collect::<Vec<_>>().join("\n");
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(root());
        let output = bash.env("PATH", &path).env("SCRATCH", scratch.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}\n{said}", place(&block), output.status);
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            let outside = target.contains("://") || path.is_empty();
            if !outside && !page.parent().unwrap().join(path).exists() {
                problems.push(format!("{}: {target}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    complain(&problems);
}

/// The first cells of the rows of every table in a page whose heading starts with `heading`, without backquotes.
fn listed(page: &str, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut inside = false;
    let mut cells = Vec::new();
    for line in text.lines() {
        inside = line.starts_with('|') && (inside || line.starts_with(heading));
        if inside && !line.starts_with(heading) && !line.starts_with("| ---") {
            cells.push(line.split('|').nth(1).unwrap().trim().trim_matches('`').to_owned());
        }
    }
    cells
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            into.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The texts between quotes in the body of every `fn code(…) -> &'static str`, tests left out.
fn codes() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut codes = BTreeSet::new();
    for file in files {
        let file = file.split("#[cfg(test)]\nmod ").next().unwrap();
        for rest in file.split("fn code(").skip(1).filter(|rest| rest.contains("&'static str {")) {
            let end = rest.find("\n    }").unwrap_or(rest.len());
            codes.extend(rest[..end].split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    codes
}

#[test]
fn every_error_code_has_a_line_and_every_line_its_code() {
    let listed = listed("docs/errors.md", "| code |");
    let mut sorted = listed.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(listed, sorted, "docs/errors.md is in alphabetical order, each code once");
    let (listed, codes) = (listed.into_iter().collect::<BTreeSet<_>>(), codes());
    let missing: Vec<_> = codes.difference(&listed).collect();
    let left_over: Vec<_> = listed.difference(&codes).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "not in docs/errors.md: {missing:?}; only there: {left_over:?}"
    );
}

#[test]
fn the_comparison_overlooks_numbers_and_nothing_else() {
    assert_eq!(steady("held 3540 s\n"), steady("held 12 s"));
    assert_ne!(steady("client_secret"), steady("client_assertion"));
}
