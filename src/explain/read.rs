//! Recognising what we know in pasted text: an error body, a log line, an HTTP answer, an exception.
//!
//! The order of what is found is the order of how much it tells: Entra's numbers, our own codes, a resource's words; and
//! what only a status or a common word suggests counts where nothing else does.

use super::knowledge::{self, Entry};
use super::layer::Layer;
use super::seen::Seen;
use super::text::{Pasted, digits, ending};
use super::{Explanation, code, number, number_beside, sign};
use crate::fault;

/// More than this is a whole log, whose reader wants the first few.
const MANY: usize = 12;
/// What stands before Entra's numbers.
const BEFORE_NUMBERS: &[&str] = &["error_codes", "error?code", "errorcode", "sign-in error code", "aadsts"];
/// Before the code in every refusal of our doors.
const MARK: &str = "(unsecret: ";
/// Entra's words beside an unknown number that tell its family.
const WORDS: &[&str] = &[
    "invalid_client",
    "unauthorized_client",
    "invalid_resource",
    "invalid_scope",
    "unsupported_grant_type",
    "access_denied",
    "interaction_required",
    "temporarily_unavailable",
    "server_error",
];

/// What was pasted, read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The most telling first; empty when nothing was recognised.
    pub found: Vec<Explanation>,
    /// The facts beside it.
    pub seen: Seen,
}

/// Reads pasted text of any kind.
#[must_use]
pub fn read(text: &str) -> Reading {
    let pasted = Pasted::new(text);
    let seen = Seen::of(&pasted);
    let borrowed = borrowed(&pasted);
    let (known, unknown): (Vec<u32>, Vec<u32>) = numbers(&pasted)
        .into_iter()
        .filter(|number| !borrowed.contains(number))
        .partition(|&number| fault::known(number).is_some());
    let mut found: Vec<Explanation> = known.into_iter().map(number).collect();
    found.extend(codes(&pasted).into_iter().filter(|code| !is_vague(code)).filter_map(code));
    // What a client library says around the answer of Entra or of a resource tells nothing more.
    let (answers, attempts): (Vec<&Entry>, Vec<&Entry>) =
        signs(&pasted).into_iter().partition(|entry| entry.layer > Layer::Network);
    found.extend(answers.into_iter().map(sign));
    found.extend(unknown.into_iter().map(|number| beside(number, &pasted, &seen)));
    if found.is_empty() {
        found.extend(attempts.into_iter().map(sign));
    }
    if found.is_empty() {
        found.extend(vaguely(&pasted, &seen));
    }
    found.truncate(MANY);
    Reading { found, seen }
}

/// Entra's numbers, each once, in the order in which the surest places name them.
fn numbers(pasted: &Pasted) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut add = |found: Option<u32>| {
        if let Some(number) = found.filter(|number| !numbers.contains(number) && numbers.len() < MANY) {
            numbers.push(number);
        }
    };
    for rest in pasted.all().match_indices("aadsts").map(|(at, word)| &pasted.all()[at + word.len()..]) {
        add(entra_number(rest));
    }
    for rest in BEFORE_NUMBERS.iter().flat_map(|name| pasted.values(name)) {
        // `error_codes` is a list; the numbers may stand in quotes.
        for item in rest.split(']').next().unwrap_or_default().split(',').take(MANY) {
            let found = entra_number(item.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\\')));
            if found.is_none() {
                break;
            }
            add(found);
        }
    }
    numbers
}

fn entra_number(text: &str) -> Option<u32> {
    digits(text, 5, 8)
}

/// Numbers that a door of ours put before a refusal of its own, since clients look for Entra's: Entra was never asked, and
/// what the number says of it would lead astray.
fn borrowed(pasted: &Pasted) -> Vec<u32> {
    let all = pasted.all();
    let of_mark = |(at, _): (usize, &str)| {
        let code = all[at + MARK.len()..].split(')').next()?;
        let ours = knowledge::rows().iter().find(|row| row.code == code)?;
        knowledge::of_code(ours.code).filter(|entry| entry.layer < Layer::Request)?;
        // The number begins the message that the mark ends; a message of Entra's ends in its ids.
        let (_, message) = ending(&all[..at]).rsplit_once("aadsts")?;
        entra_number(message).filter(|_| !message.contains(" id: ") && !message.contains('\n'))
    };
    all.match_indices(MARK).take(MANY).filter_map(of_mark).collect()
}

fn beside(number: u32, pasted: &Pasted, seen: &Seen) -> Explanation {
    let word = WORDS.iter().find(|word| pasted.has(word)).copied().unwrap_or_default();
    number_beside(number, word, seen.status.unwrap_or(400))
}

/// Codes of our own that stand there as whole words, each once.
fn codes(pasted: &Pasted) -> Vec<&'static str> {
    let words = pasted.all().split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let mut codes = Vec::new();
    for word in words.filter(|word| word.contains('-')) {
        if let Some(row) =
            knowledge::rows().iter().find(|row| row.code == word).filter(|row| !codes.contains(&row.code))
        {
            codes.push(row.code);
        }
        if codes.len() == MANY {
            break;
        }
    }
    codes
}

fn is_vague(code: &&'static str) -> bool {
    knowledge::of_code(code).is_some_and(|entry| entry.vague)
}

/// Signs that are not vague, of each family (what stands before the colon of the name) the most telling.
fn signs(pasted: &Pasted) -> Vec<&'static Entry> {
    let mut found: Vec<&Entry> = Vec::new();
    for entry in knowledge::signs().iter().filter(|entry| !entry.vague && stands(entry, pasted)) {
        if !found.iter().any(|earlier| family(earlier) == family(entry)) {
            found.push(entry);
        }
    }
    found
}

fn family(entry: &Entry) -> &str {
    entry.name.split(':').next().unwrap_or_default()
}

fn stands(entry: &Entry, pasted: &Pasted) -> bool {
    entry.any.iter().any(|group| group.iter().all(|words| pasted.has(words)))
}

/// The one thing that a status or a common word suggests.
fn vaguely(pasted: &Pasted, seen: &Seen) -> Option<Explanation> {
    if let Some(code) = codes(pasted).into_iter().find_map(code) {
        return Some(code);
    }
    let status = |entry: &&Entry| seen.status.is_some_and(|status| entry.statuses.contains(&status));
    knowledge::signs().iter().find(|entry| status(entry) || entry.vague && stands(entry, pasted)).map(sign)
}

/// Something named: a number with or without `AADSTS`, a code of ours, a sign by its name or word, an HTTP status.
#[must_use]
pub fn look_up(name: &str) -> Option<Explanation> {
    let lower = name.trim().to_ascii_lowercase();
    if let Some(entra) = entra_number(lower.trim_start_matches("aadsts")) {
        return Some(number(entra));
    }
    if let Some(status) = digits(&lower, 3, 3).and_then(|status| u16::try_from(status).ok()) {
        return knowledge::signs().iter().find(|entry| entry.statuses.contains(&status)).map(sign);
    }
    code(&lower).or_else(|| knowledge::signs().iter().find(|entry| entry.name.to_ascii_lowercase() == lower).map(sign))
}
