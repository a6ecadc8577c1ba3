//! Holds `src/**` to `ARCHITECTURE.md`: who may import whom, how long a file may be, what belongs in one place only.
//!
//! Reads text, not syntax: comments are stripped, then paths are searched. Easy to get wrong: a rule that finds nothing
//! to check passes for ever, so every reader of a table or of the source fails when it comes back empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LINES: usize = 400;

/// One file of `src/`.
struct Source {
    path: PathBuf,
    /// The module of the first level it belongs to; `lib` and `main` for the two roots.
    module: String,
    text: String,
    /// The text without comments.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "found only {} files below src/", paths.len());
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn read(path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    let module = first.trim_end_matches(".rs").to_owned();
    let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    Source { path, module, text, code }
}

/// Cuts a line at `//`, unless that stands in a URL or in a string that starts so.
fn without_comment(line: &str) -> &str {
    match line.match_indices("//").find(|(at, _)| *at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace()) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

/// The cells of each row of the table whose heading row starts with `heading`.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = page
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .skip_while(|line| !line.starts_with(heading))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "no table with the heading `{heading}`");
    rows
}

/// The names between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Module → floor.
fn floors() -> BTreeMap<String, u8> {
    table(&architecture(), "| floor |")
        .iter()
        .flat_map(|row| {
            let floor = row[0].parse().unwrap();
            quoted(&row[1]).into_iter().map(move |module| (module.to_owned(), floor)).collect::<Vec<_>>()
        })
        .collect()
}

/// Module → the modules that the floor table lets it import.
fn permitted() -> BTreeMap<String, BTreeSet<String>> {
    let floors = floors();
    let mut permitted = BTreeMap::new();
    for row in table(&architecture(), "| floor |") {
        let (own, modules, may) = (row[0].parse::<u8>().unwrap(), quoted(&row[1]), row[2].as_str());
        for module in modules {
            let allowed = allowed(module, own, may, &floors);
            permitted.insert(module.to_owned(), allowed);
        }
    }
    permitted
}

/// Reads one cell of the third column: `everything below`, `floor 0`, backquoted names, and `x` also `y`.
fn allowed(module: &str, own: u8, may: &str, floors: &BTreeMap<String, u8>) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let (rule, exception) = may.split_once(';').unwrap_or((may, ""));
    allowed.extend(quoted(rule).into_iter().map(str::to_owned));
    for (name, &floor) in floors {
        let below = rule.contains("everything below") && floor < own;
        let ground = rule.contains("floor 0") && floor == 0;
        let peers = rule.contains("each other") && floor == own;
        if below || ground || peers {
            allowed.insert(name.clone());
        }
    }
    if let [whose, also] = quoted(exception)[..]
        && whose == module
    {
        allowed.insert(also.to_owned());
    }
    assert!(!allowed.is_empty(), "cannot read the cell `{may}`");
    allowed
}

/// The modules of this crate that a file names, with the line of the first mention.
fn imports(source: &Source) -> BTreeMap<String, usize> {
    let prefix = if source.module == "main" { "unsecret::" } else { "crate::" };
    let mut found = BTreeMap::new();
    for (at, _) in source.code.match_indices(prefix) {
        let line = source.code[..at].lines().count().max(1);
        let rest = &source.code[at + prefix.len()..];
        for name in names(rest) {
            found.entry(name.to_owned()).or_insert(line);
        }
    }
    found
}

/// `a::b` names `a`; `{a::b, c}` names `a` and `c`.
fn names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else { return vec![identifier(rest)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            letter if start && !letter.is_whitespace() => {
                names.push(identifier(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn relative(source: &Source) -> std::path::Display<'_> {
    source.path.strip_prefix(root()).unwrap().display()
}

/// Every file outside `rooms` in which one of `words` stands, as a sentence.
fn outside(rooms: &[&str], words: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !rooms.contains(&source.module.as_str())) {
        for (number, line) in source.code.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                let at = relative(source);
                problems.push(format!("{at}:{}: `{word}` belongs in {}", number + 1, rooms.join(" or ")));
            }
        }
    }
    problems
}

#[test]
fn every_module_has_a_floor_and_every_floor_its_modules() {
    let written: BTreeSet<String> = floors().into_keys().collect();
    let real: BTreeSet<String> = sources().into_iter().map(|source| source.module).collect();
    let real: BTreeSet<String> = real.into_iter().filter(|name| name != "lib" && name != "main").collect();
    assert_eq!(written, real, "left: ARCHITECTURE.md, right: src/");
}

#[test]
fn modules_import_only_what_the_floor_table_permits() {
    let (permitted, mut problems, mut seen) = (permitted(), Vec::new(), 0);
    for source in sources() {
        let own = BTreeSet::from(["cli".to_owned()]);
        let allowed = if source.module == "main" { &own } else { permitted.get(&source.module).unwrap_or(&own) };
        for (name, line) in imports(&source) {
            seen += 1;
            if name != source.module && !allowed.contains(&name) && permitted.contains_key(&name) {
                let at = relative(&source);
                problems.push(format!("{at}:{line}: `{}` may not import `{name}`", source.module));
            }
        }
    }
    assert!(seen > 10, "found only {seen} imports");
    complain(&problems);
}

#[test]
fn the_lowest_floor_has_no_circle() {
    let ground: BTreeSet<String> =
        floors().into_iter().filter(|(_, floor)| *floor == 0).map(|(name, _)| name).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| ground.contains(&source.module)) {
        let names = imports(source).into_keys().filter(|name| *name != source.module && ground.contains(name));
        edges.entry(source.module.clone()).or_default().extend(names);
    }
    // Takes away what imports nothing that is left, until nothing can be taken away.
    while let Some(leaf) = edges.keys().find(|name| edges[*name].iter().all(|to| !edges.contains_key(to))).cloned() {
        edges.remove(&leaf);
    }
    assert!(edges.is_empty(), "these import each other in a circle: {:?}", edges.keys());
}

#[test]
fn the_map_in_the_library_page_is_the_table_of_the_architecture_page() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let strip = |rows: Vec<Vec<String>>| -> Vec<Vec<String>> {
        rows.into_iter().map(|row| row.into_iter().map(|cell| cell.replace(['[', ']'], "")).collect()).collect()
    };
    assert_eq!(strip(table(&library, "| floor |")), strip(table(&architecture(), "| floor |")));
}

#[test]
fn what_belongs_to_one_module_stands_in_no_other() {
    let mut problems = Vec::new();
    for row in table(&architecture(), "| only this module |") {
        let (module, words) = (quoted(&row[0])[0], quoted(&row[1]));
        let crate_path = format!("{}::", words[0]);
        let words = if row[1].contains("the crate") { vec![crate_path.as_str()] } else { words };
        if floors().contains_key(words[0]) {
            let importers = sources().into_iter().filter(|source| source.module != module && source.module != words[0]);
            let guilty = importers.filter(|source| imports(source).contains_key(words[0]));
            problems.extend(guilty.map(|source| format!("{}: only {module} imports {}", relative(&source), words[0])));
        } else {
            problems.extend(outside(&[module], &words));
        }
    }
    complain(&problems);
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let long = sources().into_iter().filter(|source| source.text.lines().count() > LINES);
    complain(&long.map(|it| format!("{}: {} lines", relative(&it), it.text.lines().count())).collect::<Vec<_>>());
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let mut silent = sources();
    silent.retain(|source| !source.path.ends_with("tests.rs") && !source.text.starts_with("//! "));
    let silent = silent.into_iter();
    complain(&silent.map(|source| format!("{}: no `//!` paragraph", relative(&source))).collect::<Vec<_>>());
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    const EMPTY: [&str; 7] = ["util", "utils", "types", "common", "helpers", "manager", "misc"];
    let guilty =
        sources().into_iter().filter(|it| it.path.file_stem().is_some_and(|stem| EMPTY.iter().any(|n| stem == *n)));
    complain(&guilty.map(|source| format!("{}: name it after its subject", relative(&source))).collect::<Vec<_>>());
}

#[test]
fn only_the_clock_knows_what_time_it_is() {
    complain(&outside(&["clock"], &["Instant::now", "SystemTime::now"]));
}

#[test]
fn only_configuration_and_verbs_read_the_environment() {
    complain(&outside(&["config", "cli", "main"], &["std::env", "env::var"]));
}

#[test]
fn only_verbs_print() {
    complain(&outside(&["cli"], &["println!(", "eprintln!(", " print!(", " eprint!("]));
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    const WORDS: [&str; 7] = ["todo!(", "unimplemented!(", "dbg!(", "#[allow(", "#![allow(", "TODO", "FIXME"];
    let mut problems = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            problems.extend(
                WORDS
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{}: {word}", relative(&source), number + 1)),
            );
        }
    }
    complain(&problems);
}

#[test]
fn every_remedy_is_a_clause_in_lower_case_without_a_full_stop() {
    let (mut problems, mut seen) = (Vec::new(), 0);
    for source in sources() {
        for (at, text) in remedies(&source.code) {
            seen += 1;
            // A second letter in upper case is a name, such as a variable's.
            let mut letters = text.chars();
            let capital =
                letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase);
            if capital || text.ends_with('.') {
                problems.push(format!("{}:{at}: `{text}`", relative(&source)));
            }
        }
    }
    assert!(seen > 100, "found only {seen} remedies");
    complain(&problems);
}

/// The texts in the bodies of functions named `remedy`, with their lines.
fn remedies(code: &str) -> Vec<(usize, String)> {
    let (mut found, mut end_of_body) = (Vec::new(), None);
    let mut pending = String::new();
    for (number, line) in (1..).zip(code.lines()) {
        if line.contains("fn remedy(") {
            end_of_body = Some(format!("{}}}", " ".repeat(line.len() - line.trim_start().len())));
        }
        if end_of_body.as_deref() == Some(line) {
            end_of_body = None;
        }
        if end_of_body.is_none() {
            continue;
        }
        // A text may go on in the next line.
        pending.push_str(line.trim().trim_end_matches('\\'));
        if line.ends_with('\\') {
            continue;
        }
        let line = std::mem::take(&mut pending).replace("\\\"", "'");
        found.extend(line.split('"').skip(1).step_by(2).map(|text| (number, text.to_owned())));
    }
    found
}

#[test]
fn the_reader_of_imports_sees_groups_and_skips_comments() {
    let source = Source {
        path: PathBuf::new(),
        module: "front".into(),
        text: String::new(),
        code: [
            "use crate::{policy::{Ask, Peer}, broker};",
            "// crate::cli",
            "let x = crate::ids::Guid::new();",
            "\"https://crate\"",
        ]
        .map(without_comment)
        .join("\n"),
    };
    let names: Vec<String> = imports(&source).into_keys().collect();
    assert_eq!(names, ["broker", "ids", "policy"]);
    assert!(source.code.ends_with("\"https://crate\""), "a URL is no comment");
}
