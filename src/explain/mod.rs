//! What a failure means, where it stands, what usually causes it and what to look at.
//!
//! Knowledge is data: `numbers.toml`, `codes.toml` and `signs.toml` beside this file, `fault/aadsts.tsv` and
//! `docs/errors.md`. Not for deciding anything: the exchange branches on `fault::Class`, this is for people. Easy to get
//! wrong: an explanation consists of our own words only, so that pasted text with a token in it can never come back out.

mod knowledge;
mod layer;
mod read;
mod retry;
mod seen;
mod text;

use self::knowledge::{Entry, Row};
pub use self::layer::{Layer, Mark};
pub use self::read::{Reading, look_up, read};
pub use self::retry::Retry;
pub use self::seen::{Seen, Validity};
use crate::fault::{self, Class};

/// One thing, explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// `AADSTS700213`, `assertion-expired`, `Key Vault: ForbiddenByRbac`.
    pub name: String,
    /// False for a number that this version does not know: the rest is then what its family suggests.
    pub known: bool,
    /// In plain words, without a full stop.
    pub meaning: &'static str,
    /// Where it failed.
    pub layer: Layer,
    /// The layers that are known to be in order.
    pub passed: &'static [Layer],
    /// What usually leads to it, the likeliest first.
    pub causes: &'static [String],
    /// What to look at: a page, a command, a file, a field of a log.
    pub checks: &'static [String],
    /// A thing to do; `None` where there is nothing to do but wait.
    pub remedy: Option<&'static str>,
    /// Whether to ask again.
    pub retry: Retry,
}

impl Explanation {
    /// Every layer in order, with what is known of it.
    #[must_use]
    pub fn walk(&self) -> [(Layer, Mark); 10] {
        layer::walk(self.layer, self.passed, self.known)
    }

    fn new(name: String, entry: &'static Entry, meaning: &'static str, remedy: &'static str, retry: Retry) -> Self {
        Self {
            name,
            known: true,
            meaning,
            layer: entry.layer,
            passed: entry.passed.map_or_else(|| entry.layer.passed(), Layer::up_to),
            causes: &entry.causes,
            checks: &entry.checks,
            remedy: (!remedy.is_empty()).then_some(remedy),
            retry: entry.retry.unwrap_or(retry),
        }
    }
}

/// Entra's number, known or not.
#[must_use]
pub fn number(number: u32) -> Explanation {
    number_beside(number, "", 400)
}

/// Entra's number; of an unknown one the `error` word and the status beside it tell the family.
fn number_beside(number: u32, error: &str, status: u16) -> Explanation {
    let name = format!("AADSTS{number}");
    match (fault::known(number), knowledge::of_number(number)) {
        (Some(known), Some(entry)) => {
            Explanation::new(name, entry, known.meaning, known.remedy, Retry::of(known.class))
        }
        _ => unknown(name, fault::classify(&[number], error, status), error),
    }
}

fn unknown(name: String, class: Class, error: &str) -> Explanation {
    let entry = knowledge::of_class(class, error);
    Explanation { known: false, ..Explanation::new(name, entry, &entry.meaning, &entry.remedy, Retry::of(class)) }
}

/// A code of our own, as `docs/errors.md` lists it.
#[must_use]
pub fn code(code: &str) -> Option<Explanation> {
    let Row { code, meaning, remedy } = knowledge::rows().iter().find(|row| row.code == code)?;
    let entry = knowledge::of_code(code)?;
    Some(Explanation::new((*code).to_owned(), entry, meaning, remedy, Retry::AfterChange))
}

/// All that is known by name: numbers, codes, signs.
#[must_use]
pub fn all() -> Vec<Explanation> {
    let numbers = fault::table().iter().map(|known| number(known.number));
    let codes = knowledge::rows().iter().filter_map(|row| code(row.code));
    numbers.chain(codes).chain(knowledge::signs().iter().map(sign)).collect()
}

fn sign(entry: &'static Entry) -> Explanation {
    Explanation::new(entry.name.clone(), entry, &entry.meaning, &entry.remedy, Retry::AfterChange)
}

#[cfg(test)]
mod tests;
