//! Searching pasted text for what we know: whole words, and what stands behind a word.
//!
//! Not a parser: the same failure comes as JSON, as JSON inside JSON, as a log line or as an exception, cut anywhere. Easy
//! to get wrong: nothing found here may be printed unless its shape leaves no room for a secret (digits, a GUID, a time).

use zeroize::Zeroizing;

/// Between a word and its value: `Trace ID: …`, `"trace_id":"…"`, `error_codes=[…`, `\"status\": …`.
const BETWEEN: &[char] = &[' ', '\t', ':', '=', '"', '\'', '\\', '[', '('];

/// A value that we read is shorter. Looking for its end in all that follows would take a flood of names, each without a
/// value, in square time.
const LONGEST: usize = 256;

/// Pasted text, in lower case. It may hold tokens and is wiped on drop.
pub(super) struct Pasted(Zeroizing<String>);

impl Pasted {
    pub(super) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_ascii_lowercase()))
    }

    /// The text as a whole.
    pub(super) fn all(&self) -> &str {
        &self.0
    }

    /// True if `words` stand there and no letter, digit or underscore goes on from either end.
    pub(super) fn has(&self, words: &str) -> bool {
        self.behind(words).next().is_some()
    }

    /// What follows each place where `words` stand as in [`Pasted::has`].
    pub(super) fn behind(&self, words: &str) -> impl Iterator<Item = &str> {
        let words = words.to_ascii_lowercase();
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let start = from + self.0[from..].find(&words).filter(|_| !words.is_empty())?;
                let (before, rest) = (&self.0[..start], &self.0[start + words.len()..]);
                from = start + words.len();
                if !goes_on(before.chars().next_back(), words.chars().next())
                    && !goes_on(rest.chars().next(), words.chars().next_back())
                {
                    return Some(rest);
                }
            }
        })
    }

    /// What follows each place where `name` stands, past colon, quotes and the like; no more than a value may take.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.behind(name).map(|rest| beginning(rest).trim_start_matches(BETWEEN))
    }
}

fn beginning(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// The last part of a text, no longer than one message of ours.
pub(super) fn ending(text: &str) -> &str {
    let start = text.len().saturating_sub(4 * LONGEST);
    let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    &text[start..]
}

fn goes_on(beside: Option<char>, end: Option<char>) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    word(beside) && word(end)
}

/// The digits at the start of a text, if there are at least `least` and at most `most` of them and no letter goes on.
pub(super) fn digits(text: &str, least: usize, most: usize) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let ends = !text[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if (least..=most).contains(&end) && ends { text[..end].parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_and_in_any_letter_case() {
        let pasted = Pasted::new("LinkedAuthorizationFailed: [RAOP] : no; status=403");
        assert!(!pasted.has("AuthorizationFailed") && pasted.has("linkedauthorizationfailed"));
        assert!(pasted.has("[raop]"), "no letter stands at its ends");
        assert!(pasted.has("status") && !pasted.has("stat") && !pasted.has(""));
        assert!(Pasted::new("xForbidden Forbidden").has("forbidden"), "the second one counts");
    }

    #[test]
    fn a_value_stands_behind_any_punctuation() {
        for text in ["Status: 403", "\"status\":403", "status=403", "{\\\"status\\\": 403}", "status (403)"] {
            assert_eq!(Pasted::new(text).values("status").find_map(|rest| digits(rest, 3, 3)), Some(403), "{text}");
        }
    }

    #[test]
    fn what_is_far_behind_a_name_is_no_value_of_it() {
        let far = format!("status {} 403", " ".repeat(2 * LONGEST));
        assert_eq!(Pasted::new(&far).values("status").find_map(|rest| digits(rest, 3, 3)), None);
        let long = format!("status {}", "é".repeat(LONGEST));
        assert!(Pasted::new(&long).values("status").all(|rest| rest.len() <= LONGEST));
    }

    #[test]
    fn digits_end_where_they_seem_to() {
        assert_eq!(digits("700213: No", 5, 8), Some(700_213));
        assert_eq!(digits("40100", 3, 3), None);
        assert_eq!(digits("403a", 3, 3), None);
        assert_eq!(digits("99999999999", 5, 20), None, "more than fits");
    }
}
