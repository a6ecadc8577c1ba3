//! What each claim says, in plain words; the knowledge is in `claims.tsv`.
//!
//! Not a judgement of the claims (`model`, `refusals`). Easy to get wrong: the same name means different things in
//! different tokens (`aud` of an assertion is a URL to post to), so the kind of token comes before the name.

use std::sync::LazyLock;

use super::report::{Place, Row};
use super::{shown, time};

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Plain,
    Time,
    /// `appidacr`, `azpacr`.
    Proof,
    /// It means nothing to a reader.
    Opaque,
    /// Hidden by its name.
    Secret,
}

/// The meaning of what the table does not have.
pub(super) const UNKNOWN: &str = "not known here";

const NOT_SHOWN: &str = "(not shown)";

struct Known {
    place: &'static str,
    name: &'static str,
    show: Show,
    meaning: &'static str,
}

static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    include_str!("claims.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(known).collect()
});

fn known(line: &'static str) -> Option<Known> {
    let mut fields = line.split('\t');
    let (place, name) = (fields.next()?, fields.next()?);
    let show = match fields.next()? {
        "plain" => Show::Plain,
        "time" => Show::Time,
        "proof" => Show::Proof,
        "opaque" => Show::Opaque,
        "secret" => Show::Secret,
        _ => return None,
    };
    Some(Known { place, name, show, meaning: fields.next()? })
}

/// The row of one header field or claim. `places` are the tables of `claims.tsv` in the order in which they are asked.
pub(super) fn row(place: Place, places: &[&str], name: &str, value: &serde_json::Value, now: i64) -> Row {
    let known = places.iter().find_map(|place| TABLE.iter().find(|known| known.place == *place && known.name == name));
    let show = match known {
        _ if shown::is_secret_name(name) => Show::Secret,
        None => Show::Plain,
        Some(known) => known.show,
    };
    let (safe, text) = match show {
        Show::Opaque | Show::Secret => (None, NOT_SHOWN.to_owned()),
        Show::Time => {
            let text = time::seconds(value).map_or_else(
                || format!("{}, which is no time", shown::value(value)),
                |seconds| time::shown(seconds, now),
            );
            (Some(shown::safe(value)), text)
        }
        Show::Proof => (Some(shown::safe(value)), format!("{} ({})", shown::value(value), proof(value.as_str()))),
        Show::Plain => (Some(shown::safe(value)), shown::value(value)),
    };
    let meaning = known.map_or(UNKNOWN, |known| known.meaning);
    Row { place, name: shown::text(name), value: safe, shown: text, meaning: Some(meaning) }
}

/// A claim's value outside of a table: nothing of what a table would not show.
pub(super) fn shown(name: &str, value: &serde_json::Value) -> String {
    let hidden = shown::is_secret_name(name)
        || TABLE.iter().any(|known| known.name == name && matches!(known.show, Show::Opaque | Show::Secret));
    if hidden { NOT_SHOWN.to_owned() } else { shown::value(value) }
}

/// True for claims that are times in every kind of token.
pub(super) fn is_time(name: &str) -> bool {
    TABLE.iter().any(|known| known.name == name && known.show == Show::Time)
}

fn proof(digit: Option<&str>) -> &'static str {
    match digit {
        Some("0") => "a public client, which proves nothing",
        Some("1") => "a client secret",
        Some("2") => "a certificate or a federated assertion",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_of_the_table_parses_and_none_stands_twice() {
        let lines: Vec<_> = include_str!("claims.tsv").lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(TABLE.len(), lines.len());
        for (at, one) in TABLE.iter().enumerate() {
            assert!(!one.meaning.is_empty() && !one.meaning.ends_with('.'), "{}", one.name);
            let twice = TABLE[at + 1..].iter().any(|other| (other.place, other.name) == (one.place, one.name));
            assert!(!twice, "{} {}", one.place, one.name);
        }
    }

    #[test]
    fn the_kind_of_token_decides_what_a_name_means() {
        let of = |places: &[&str]| row(Place::Claim, places, "aud", &json!("x"), 0).meaning.unwrap();
        assert!(of(&["access"]).starts_with("the resource"));
        assert!(of(&["id", "access"]).starts_with("client id"));
        assert_eq!(row(Place::Claim, &["access"], "unheard_of", &json!(1), 0).meaning, Some(UNKNOWN));
    }

    #[test]
    fn opaque_and_secret_claims_are_named_and_not_shown() {
        for name in ["rh", "uti", "aio", "password", "refresh_token"] {
            let row = row(Place::Claim, &["access"], name, &json!("canary"), 0);
            assert_eq!((row.value, row.shown.as_str()), (None, "(not shown)"), "{name}");
        }
    }

    #[test]
    fn times_and_proofs_are_put_into_words() {
        let of = |name, value| row(Place::Claim, &["access"], name, &value, 1_000).shown;
        assert_eq!(of("exp", json!(1_180)), "1970-01-01 00:19:40 UTC, in 3 min");
        assert_eq!(of("exp", json!("soon")), "soon, which is no time");
        assert_eq!(of("appidacr", json!("1")), "1 (a client secret)");
        assert_eq!(of("azpacr", json!("9")), "9 (unknown)");
    }
}
