//! Variables as shells and files of variables write them.
//!
//! Pure. Easy to get wrong: a value is text and never code, whatever is in it; the only one that we did not make
//! ourselves is `NO_PROXY`, and it comes from wherever the machine's environment does.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::cli::variables::Change;
use crate::ids::Guid;

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    Sh,
    Powershell,
    Dotenv,
    Github,
}

/// The whole output for stdout.
pub(super) fn script(format: Format, change: &Change) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2_048));
    for (name, value) in &change.set {
        let value = value.expose();
        let _ = match format {
            Format::Sh => writeln!(text, "export {name}={}", sh(value)),
            Format::Powershell => writeln!(text, "$Env:{name} = {}", powershell(value)),
            Format::Dotenv | Format::Github => writeln!(text, "{name}={}", dotenv(value)),
        };
    }
    if change.unset.is_empty() {
        return text;
    }
    let _ = match format {
        Format::Sh => writeln!(text, "unset {}", change.unset.join(" ")),
        Format::Powershell => {
            let items: Vec<_> = change.unset.iter().map(|name| format!("Env:{name}")).collect();
            writeln!(text, "Remove-Item -ErrorAction SilentlyContinue {}", items.join(", "))
        }
        // An empty variable is not an absent one: msal looks only whether IDENTITY_SERVER_THUMBPRINT is there.
        Format::Dotenv | Format::Github => writeln!(text, "# must not be set beside these: {}", change.unset.join(" ")),
    };
    text
}

/// Lines for `GITHUB_ENV`, where `emptied` are given an empty value. The delimiter is random: no value can end early.
pub(super) fn github(change: &Change, emptied: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2_048));
    let end = format!("unsecret_{}", Guid::random());
    let set = change.set.iter().map(|(name, value)| (*name, value.expose()));
    for (name, value) in set.chain(emptied.iter().map(|name| (*name, ""))) {
        let _ = writeln!(text, "{name}<<{end}\n{value}\n{end}");
    }
    text
}

fn sh(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// PowerShell takes typographic quotes for quotes; each is doubled.
fn powershell(value: &str) -> String {
    let mut text = String::from("'");
    for letter in value.chars() {
        text.push(letter);
        if matches!(letter, '\'' | '\u{2018}'..='\u{201b}') {
            text.push(letter);
        }
    }
    text + "'"
}

/// Bare where that is possible: Docker's `--env-file` takes quotes for part of the value.
fn dotenv(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+=*~[]".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\n', '\r', '\\']) {
        return format!("'{value}'");
    }
    let mut text = String::from("\"");
    for letter in value.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '"' | '\\' | '$' => text.extend(['\\', letter]),
            other => text.push(other),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn no_value_leaves_its_quotes() {
        assert_eq!(sh("a'b; $(c)"), r"'a'\''b; $(c)'");
        assert_eq!(powershell("a'b $(c)"), "'a''b $(c)'");
        assert_eq!(powershell("\u{2019}; rm"), "'\u{2019}\u{2019}; rm'");
        assert_eq!(dotenv("localhost,127.0.0.1,::1"), "localhost,127.0.0.1,::1");
        assert_eq!(dotenv("a b#c$d"), "'a b#c$d'");
        assert_eq!(dotenv("a'b\n\"$c\\"), r#""a'b\n\"\$c\\""#);
    }

    #[test]
    fn powershell_sets_and_removes() {
        let change = Change { set: vec![("A", Secret::new("b"))], unset: vec!["C", "D"] };
        let text = script(Format::Powershell, &change);
        assert_eq!(*text, "$Env:A = 'b'\nRemove-Item -ErrorAction SilentlyContinue Env:C, Env:D\n");
    }

    #[test]
    fn a_value_cannot_end_its_heredoc() {
        let change = Change { set: vec![("A", Secret::new("x\nunsecret_\nB<<y"))], unset: vec![] };
        let (one, two) = (github(&change, &["C"]), github(&change, &["C"]));
        assert_ne!(*one, *two, "the delimiter is not known beforehand");
        let end = one.lines().next().unwrap().strip_prefix("A<<").unwrap();
        assert_eq!(*one, format!("A<<{end}\nx\nunsecret_\nB<<y\n{end}\nC<<{end}\n\n{end}\n"));
    }
}
