//! `unsecret explain`: what a failure means, where it stands and what to do.
//!
//! Takes a name or pasted text and answers from the room `explain`. Easy to get wrong: pasted text holds tokens, so it is
//! never repeated, not even in an error; what is printed is our own words and facts whose shape leaves no room for more.

mod page;

use std::io::{self, IsTerminal as _, Read as _};

use serde_json::json;
use zeroize::Zeroizing;

use super::terminal::Paint;
use super::{Exit, hardening, note, say};
use crate::explain::{self, Explanation, Mark, Reading, Seen};

/// No answer and no log line is longer; a whole log is cut here.
const LARGEST: u64 = 1024 * 1024;

/// Explain an error: what it means, on which layer it stands, what causes it, what to do.
///
/// Knows Entra's numbers, every code of this program, and the words of common resources (Microsoft Graph, Exchange,
/// SharePoint, Azure Resource Manager, Key Vault, Storage, SQL, Service Bus). Reads stdin where no name is given: an error
/// body, a log line, an HTTP answer with its headers, an exception. Nothing of it is repeated but numbers, times and
/// identifiers of the request; nothing leaves this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// AADSTS700213, 700213, assertion-expired, 403, or any text; `-` or nothing reads stdin
    #[arg(value_name = "WHAT", conflicts_with = "list")]
    what: Vec<String>,
    /// Everything it knows, a line each
    #[arg(long)]
    list: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret explain AADSTS700213                     a number of Entra's
  unsecret explain assertion-expired                a code of ours
  unsecret explain < body.json                      an answer, with or without its headers
  journalctl -u billing -n 20 | unsecret explain    what an application logged
  unsecret explain --list | grep -i vault           what it knows of

Exit status: 0 it knew something, 1 it did not, 2 there was nothing to explain.";

pub(super) fn run(args: &Args) -> Exit {
    // What is pasted holds tokens. A sandbox that forbids this is no reason not to explain.
    let _ = hardening::forbid_core_dumps();
    if args.list {
        let all = explain::all();
        return say(&if args.json { object(&all, None) } else { page::list(&all, Paint::stdout()) });
    }
    let reading = match args.what.as_slice() {
        [] if io::stdin().is_terminal() => {
            note("error: nothing to explain\nremedy: name it (unsecret explain 700213), or paste it into stdin\n");
            return Exit::Usage;
        }
        [] => from_stdin(),
        [only] if only == "-" => from_stdin(),
        words => Ok(from_words(words)),
    };
    match reading {
        Ok(reading) => answer(&reading, args),
        Err(error) => {
            note(&format!("error: read stdin: {error}\n"));
            Exit::Failed
        }
    }
}

fn answer(reading: &Reading, args: &Args) -> Exit {
    let Reading { found, seen } = reading;
    let said = if args.json {
        say(&object(found, Some(seen)))
    } else if found.is_empty() {
        note(&page::nothing(&args.what));
        say(&page::seen(seen, page::ENTRAS_LOG, Paint::stdout()))
    } else {
        say(&page::all(reading, Paint::stdout()))
    };
    match said {
        Exit::Done if !found.iter().any(|one| one.known) => Exit::Failed,
        other => other,
    }
}

/// Each word by its name, or all of them as pasted text.
fn from_words(words: &[String]) -> Reading {
    let named: Option<Vec<Explanation>> = words.iter().map(|word| explain::look_up(word)).collect();
    let whole = words.join(" ");
    match named.or_else(|| explain::look_up(&whole).map(|one| vec![one])) {
        Some(found) => Reading { found, seen: Seen::default() },
        None => explain::read(&whole),
    }
}

fn from_stdin() -> io::Result<Reading> {
    let mut bytes = Zeroizing::new(Vec::new());
    io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        note("warning: only the first 1 MiB is read\n");
        bytes.truncate(usize::try_from(LARGEST).unwrap_or(usize::MAX));
    }
    Ok(explain::read(&decoded(&bytes)))
}

/// Text out of bytes that need not be UTF-8. Windows PowerShell redirects as UTF-16.
fn decoded(bytes: &[u8]) -> Zeroizing<String> {
    let text = match bytes.strip_prefix(&[0xff, 0xfe]) {
        Some(wide) => {
            let units = wide.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    Zeroizing::new(text)
}

/// The form for programs.
fn object(found: &[Explanation], seen: Option<&Seen>) -> String {
    let found: Vec<_> = found.iter().map(one).collect();
    let mut object = json!({ "found": found });
    if let Some(seen) = seen {
        object["seen"] = json!({
            "status": seen.status,
            "retry_after": seen.retry_after,
            "correlation_id": seen.correlation_id.as_ref().map(crate::ids::Guid::as_str),
            "trace_id": seen.trace_id.as_ref().map(crate::ids::Guid::as_str),
            "timestamp": seen.timestamp.map(|at| at.to_string()),
            "clock": seen.validity.and_then(|validity| validity.verdict()),
        });
    }
    format!("{object:#}\n")
}

fn one(explanation: &Explanation) -> serde_json::Value {
    let walk = explanation.walk();
    let walk: Vec<_> = walk.iter().map(|(layer, mark)| json!({ "layer": layer, "mark": mark })).collect();
    json!({
        "name": explanation.name,
        "known": explanation.known,
        "meaning": explanation.meaning,
        "layer": explanation.layer,
        "walk": walk,
        "causes": explanation.causes,
        "checks": explanation.checks,
        "remedy": explanation.remedy,
        "retry": explanation.retry,
        "retry_advice": explanation.retry.advice(),
    })
}

/// A mark as a sign and a word: either suffices.
fn told(mark: Mark) -> (&'static str, &'static str) {
    match mark {
        Mark::Passed => ("✓", "passed"),
        Mark::Here => ("✗", "here"),
        Mark::Probably => ("✗", "probably"),
        Mark::Untold => ("?", "not told"),
        Mark::NotReached => ("·", "not reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_looked_up_and_other_text_is_read() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(from_words(&words("700213 700024")).found.len(), 2);
        assert_eq!(from_words(&words("Key Vault: ForbiddenByRbac")).found.len(), 1);
        assert_eq!(from_words(&words("it says AADSTS700213: No matching")).found[0].name, "AADSTS700213");
        assert!(from_words(&words("who knows")).found.is_empty());
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_read_all_the_same() {
        assert!(decoded(b"AADSTS700213 \xff\xfe").contains("AADSTS700213"));
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("AADSTS700213".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decoded(&wide).as_str(), "AADSTS700213");
        assert!(!decoded(&[0xff, 0xfe, 0x00, 0xd8, 0x41]).is_empty(), "half a letter, half a pair");
    }
}
