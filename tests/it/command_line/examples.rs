//! The examples in the help, read as a shell reads them, so far as our examples go: pipes, redirections, quotes,
//! variables before the command, substitutions, and the remark that stands behind two spaces.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use clap::error::ErrorKind;

use super::{Verb, verbs};

/// The lines below `Examples:`, continued lines joined.
pub fn lines(verb: &Verb) -> Vec<String> {
    let after = joined(&verb.after_help());
    let below = after.lines().skip_while(|line| *line != "Examples:").skip(1);
    below.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
}

/// With each line that a backslash continues in one.
fn joined(text: &str) -> String {
    text.split("\\\n").map(str::trim_start).collect::<Vec<_>>().join("")
}

/// The words of every call of `unsecret` in a line.
pub fn calls(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    read(&mut line.chars().peekable(), &mut commands);
    let assigns = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    let mut calls = Vec::new();
    for command in commands {
        let words: Vec<String> = command
            .into_iter()
            .skip_while(|word| assigns(word) || ["sudo", "eval", "exec"].contains(&&**word))
            .collect();
        if words.first().is_some_and(|word| word == "unsecret") {
            calls.push(words);
        }
    }
    calls
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

/// Cuts a line into commands and these into words.
fn read(letters: &mut Peekable<Chars<'_>>, commands: &mut Vec<Vec<String>>) {
    let (mut word, mut in_word, mut aside) = (String::new(), false, false);
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '|' | ';' | '&' | '(' | ')' | '<' | '>' => {
                if in_word && !aside {
                    commands.last_mut().unwrap().push(std::mem::take(&mut word));
                }
                // Where output goes is no argument.
                aside = matches!(letter, '<' | '>') || (aside && !in_word);
                (word, in_word) = (String::new(), false);
                match letter {
                    ' ' if letters.peek().is_some_and(|next| *next == ' ' || *next == '#') => return,
                    ' ' | '<' | '>' => {}
                    _ => {
                        commands.push(Vec::new());
                        aside = false;
                    }
                }
            }
            '"' | '\'' => {
                let quoted: String = letters.by_ref().take_while(|next| *next != letter).collect();
                if letter == '"' && quoted.contains("$(") {
                    let mut inside = vec![Vec::new()];
                    read(&mut quoted.chars().peekable(), &mut inside);
                    commands.splice(..0, inside);
                }
                word.push_str(&quoted);
                in_word = true;
            }
            '$' if letters.peek() == Some(&'(') => {}
            _ => {
                word.push(letter);
                in_word = true;
            }
        }
    }
    if in_word && !aside {
        commands.last_mut().unwrap().push(word);
    }
}

#[test]
fn every_example_in_the_help_is_taken_by_the_parser() {
    let mut problems = Vec::new();
    for verb in verbs() {
        for line in lines(&verb) {
            for words in calls(&line) {
                match unsecret::cli::command().try_get_matches_from(&words) {
                    Err(refusal) if refusal.use_stderr() => problems.push(format!("{line}\n{refusal}")),
                    _ => {}
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_verb_is_called_in_its_own_examples() {
    for verb in verbs() {
        let called = lines(&verb).iter().flat_map(|line| calls(line)).any(|words| words[1..].starts_with(&verb.words));
        assert!(called, "`{}` has no example of itself below `Examples:`", verb.typed());
    }
}

/// The pages, and what stands in them between backquotes or in a block of commands.
fn written() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = [root.to_owned(), root.join("docs")].into_iter().chain(examples).collect();
    let mut written = Vec::new();
    for path in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = path.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = joined(&std::fs::read_to_string(&path).unwrap());
            let (blocks, prose): (Vec<_>, Vec<_>) = text.split("```").enumerate().partition(|(at, _)| at % 2 == 1);
            let typed = blocks.iter().filter(|(_, block)| block.starts_with("sh\n") || block.starts_with("console\n"));
            let typed = typed.flat_map(|(_, block)| block.lines().map(|line| line.trim_start_matches("$ ").trim()));
            let spans = prose.iter().flat_map(|(_, prose)| prose.split('`').skip(1).step_by(2));
            written.extend(typed.chain(spans).map(|line| (name.clone(), line.to_owned())));
        }
    }
    written
}

#[test]
fn what_the_pages_call_is_there_to_be_called() {
    let (mut problems, mut seen) = (Vec::new(), 0);
    for (page, line) in written() {
        for words in calls(&line) {
            seen += 1;
            // A page may leave out what a call needs; it may not name what is not there.
            let refusal = unsecret::cli::command().try_get_matches_from(&words).err();
            let unknown = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument];
            if let Some(refusal) = refusal.filter(|refusal| unknown.contains(&refusal.kind())) {
                problems.push(format!("{page}: {line}\n{refusal}"));
            }
        }
    }
    assert!(seen > 20, "found only {seen} calls in the pages");
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn examples_are_cut_as_a_shell_would() {
    let words = |line| calls(line).into_iter().map(|words| words.join(" ")).collect::<Vec<_>>();
    assert_eq!(words("A=b C_2='d e' unsecret run --config f   remark unsecret x"), ["unsecret run --config f"]);
    assert_eq!(
        words("unsecret caller hash < k | unsecret check >> f # unsecret x"),
        ["unsecret caller hash", "unsecret check"]
    );
    assert_eq!(words("eval \"$(unsecret env --door imds)\""), ["unsecret env --door imds"]);
    assert_eq!(words("curl -H \"A: $(unsecret token -q)\" http://x"), ["unsecret token -q"]);
    assert_eq!(words("source <(unsecret completions bash)"), ["unsecret completions bash"]);
    assert_eq!(words("cat unsecret.toml"), [""; 0]);
    assert_eq!(calls("unsecret exec -- sh -c 'a | b'")[0][5], "a | b");
}
