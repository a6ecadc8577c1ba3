//! `unsecret man`: the help as manual pages, one for each verb.
//!
//! Made from the same tree that prints `--help`. Easy to get wrong: what stands below the options there (`Examples:` and
//! the like) is laid out by hand, and roff would fill its lines; here it becomes sections of its own, unfilled.

use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Exit, command, complain, say};
use crate::problem::{Blame, Problem};

/// Print the manual page, or write one page for each verb.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Write unsecret.1, unsecret-run.1 and so on into this folder; without it the main page is printed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret man | man -l -                          read the main page now, on Debian and Fedora
  unsecret man --dir ~/.local/share/man/man1       for yourself; then `man unsecret-run`
  unsecret man --dir /usr/local/share/man/man1     for everybody, on Debian, Fedora and macOS";

/// A page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write manual page `{}`", path.display())]
struct Unwritable {
    path: PathBuf,
    source: io::Error,
}

impl Problem for Unwritable {
    fn code(&self) -> &'static str {
        "man-page-unwritable"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("name a folder that this user may write to with --dir".into())
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let pages = pages();
    let Some(dir) = &args.dir else {
        return say(&pages[0].text);
    };
    match write(dir, &pages) {
        Ok(()) => Exit::Done,
        Err(problem) => {
            complain(&problem);
            Exit::Failed
        }
    }
}

fn write(dir: &Path, pages: &[Page]) -> Result<(), Unwritable> {
    std::fs::create_dir_all(dir).map_err(|source| Unwritable { path: dir.to_owned(), source })?;
    for page in pages {
        let path = dir.join(&page.file);
        std::fs::write(&path, &page.text).map_err(|source| Unwritable { path, source })?;
    }
    Ok(())
}

/// One manual page.
struct Page {
    file: String,
    text: String,
}

/// The main page first, then those of the verbs and of their verbs.
fn pages() -> Vec<Page> {
    let mut tree = command().disable_help_subcommand(true).subcommand_value_name("COMMAND");
    tree.build();
    let mut pages = Vec::new();
    collect(&tree, None, &mut pages);
    pages
}

fn collect(command: &Command, above: Option<&str>, into: &mut Vec<Page>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    into.push(Page { file: format!("{name}.1"), text: page(command, above) });
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, Some(&name), into);
    }
}

fn page(command: &Command, above: Option<&str>) -> String {
    // No date: the same source must give the same page. An empty one would be dropped and move the rest to its place.
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"))
        .date(" ")
        .source(concat!("unsecret ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    // Writing into a vector does not fail.
    let _ = man.render_title(&mut text);
    let _ = man.render_name_section(&mut text);
    let _ = man.render_synopsis_section(&mut text);
    let _ = man.render_description_section(&mut text);
    let _ = man.render_options_section(&mut text);
    if command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut text);
    }
    let mut rest = Roff::new();
    if let Some(after) = command.get_after_help() {
        for (heading, lines) in sections(&after.to_string()) {
            unfilled(&mut rest, &heading, &lines);
        }
    }
    if let Some(above) = above {
        rest.control("SH", ["SEE ALSO"]).text([bold(above), roman("(1)")]);
    }
    let _ = rest.to_writer(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn unfilled(roff: &mut Roff, heading: &str, lines: &[String]) {
    roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
    for line in lines {
        roff.text([roman(line.as_str())]);
    }
    roff.control("fi", []);
}

/// What stands below the options, a section for each paragraph: `Examples:` alone on a line, `Exit status: 0 …`, or words
/// without a heading.
fn sections(after: &str) -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for paragraph in after.split("\n\n") {
        let is_heading =
            |text: &str| text.split(' ').count() <= 5 && text.chars().all(|c| c.is_alphabetic() || c == ' ');
        let (heading, text) = match paragraph.split_once(':') {
            Some((heading, text)) if is_heading(heading) => (heading, text.trim_start()),
            _ => ("Notes", paragraph),
        };
        let lines = text.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned());
        match sections.last_mut() {
            Some((last, before)) if last == heading => before.extend(std::iter::once(String::new()).chain(lines)),
            _ => sections.push((heading.to_owned(), lines.collect())),
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_the_options_is_cut_at_its_paragraphs() {
        let after = "Examples:\n  unsecret run\n    more\n\nSome words: these.\n\nWords of `exec`: others.\n\nMore of them.\n\n\
                     Exit status: 0 stopped,\n1 not";
        let cut = sections(after);
        let headings: Vec<_> = cut.iter().map(|(heading, lines)| (heading.as_str(), lines.join("|"))).collect();
        assert_eq!(
            headings,
            [
                ("Examples", "unsecret run|  more".to_owned()),
                ("Some words", "these.".to_owned()),
                ("Notes", "Words of `exec`: others.||More of them.".to_owned()),
                ("Exit status", "0 stopped,|1 not".to_owned())
            ]
        );
    }

    #[test]
    fn every_verb_has_a_page_that_leads_back() {
        let pages = pages();
        assert_eq!(pages[0].file, "unsecret.1");
        let add = pages.iter().find(|page| page.file == "unsecret-caller-add.1").unwrap();
        assert!(add.text.contains(".SH EXAMPLES\n.nf\n"), "{}", add.text);
        assert!(add.text.contains("\\fBunsecret\\-caller\\fR(1)"), "{}", add.text);
    }
}
