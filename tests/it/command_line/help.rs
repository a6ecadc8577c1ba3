//! `--help`: complete, in one style, and as it was when somebody last read it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Verb, help, verbs};
use crate::support::snapshot;

/// What a terminal shows without wrapping, on however wide a screen.
const WIDTH: usize = 100;

/// Options that mean the same in every verb. What others mean depends on the verb; only their values have one name.
const ONE_SENSE: [&str; 3] = ["client-id", "config", "identity"];

#[test]
fn the_help_is_as_somebody_last_read_it() {
    let verbs = verbs();
    let file = |verb: &Verb| format!("{}.txt", verb.name());
    snapshot::held(verbs.iter().map(|verb| snapshot::compare(&format!("help/{}", file(verb)), &help(verb).stdout)));
    snapshot::no_others("help", verbs.iter().map(file));
}

#[test]
fn every_verb_and_every_argument_says_what_it_is_for() {
    for verb in verbs() {
        assert!(verb.command.get_about().is_some(), "`{}` has no sentence about it", verb.typed());
        for argument in verb.arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "`{}`: `{}` is not explained", verb.typed(), argument.get_id());
            assert!(!help.ends_with('.'), "`{}`: `{}` ends with a full stop: {help}", verb.typed(), argument.get_id());
        }
    }
}

#[test]
fn the_help_fits_a_terminal() {
    for verb in verbs() {
        for line in help(&verb).stdout.lines().chain(verb.after_help().lines()) {
            assert!(line.chars().count() <= WIDTH, "`{}` prints a line wider than {WIDTH}:\n{line}", verb.typed());
            // clap indents the empty lines of its long form, which nobody sees.
            assert!(
                !line.ends_with(' ') || line.trim().is_empty(),
                "`{}` prints a space at the end of: {line}",
                verb.typed()
            );
        }
    }
}

#[test]
fn pages_that_the_help_names_are_there() {
    for verb in verbs() {
        for word in help(&verb).stdout.split(|letter: char| letter.is_whitespace() || ";,()`".contains(letter)) {
            let page = word.trim_end_matches('.');
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(page).exists();
            assert!(!page.starts_with("docs/") || there, "`{}` names {page}", verb.typed());
        }
    }
}

#[test]
fn examples_come_first_below_the_options_and_the_exit_status_last() {
    for verb in verbs() {
        let after = verb.after_help();
        let headings: Vec<&str> = after
            .lines()
            .filter(|line| line.starts_with(char::is_uppercase))
            .filter_map(|line| line.split_once(':').map(|(heading, _)| heading))
            .collect();
        assert_eq!(headings.first(), Some(&"Examples"), "`{}`", verb.typed());
        let crowded =
            after.lines().zip(after.lines().skip(1)).any(|(a, b)| !a.is_empty() && b.starts_with("Exit status:"));
        assert!(!crowded, "`{}`: an empty line belongs before the exit status", verb.typed());
        let status = headings.iter().position(|heading| *heading == "Exit status");
        assert!(status.is_none_or(|at| at == headings.len() - 1), "`{}`: {headings:?}", verb.typed());
    }
}

#[test]
fn an_option_is_explained_alike_wherever_it_appears() {
    let mut meanings: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for verb in verbs() {
        for argument in verb.arguments() {
            let Some(long) = argument.get_long().filter(|long| *long != "help") else { continue };
            // The emulator's settings are no configuration of a broker, and `inject` speaks of the pods' application.
            if [("emulate", "config"), ("inject", "client-id")].contains(&(verb.name().as_str(), long)) {
                continue;
            }
            let help = argument.get_help().filter(|_| ONE_SENSE.contains(&long)).map(ToString::to_string);
            let value =
                argument.get_num_args().filter(clap::builder::ValueRange::takes_values).and(argument.get_value_names());
            let meaning = format!("{value:?} {help:?}");
            meanings.entry(long.to_owned()).or_default().entry(meaning).or_default().push(verb.name());
        }
    }
    meanings.retain(|_, meanings| meanings.len() > 1);
    assert!(meanings.is_empty(), "explained in more than one way:\n{meanings:#?}");
}
