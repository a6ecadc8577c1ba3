//! What a scalar means to Kubernetes, whose reader (sigs.k8s.io/yaml) follows YAML 1.1: `yes`, `on` and `y` are true, and
//! `0777` is octal.
//!
//! Not YAML 1.2, in which all these are strings or decimal. Dates stay strings, as they do there.

use serde_json::{Number, Value};

/// A plain scalar without a tag. `None`: a number that JSON does not have.
pub(super) fn plain(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return None,
        _ if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF") && text.len() <= 5 => return None,
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if first == b'.' {
        return float(text);
    }
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-')) || is_date(text) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| float(&text))
}

/// As Go's `strconv.ParseInt` with base 0: `0x`, `0o`, `0b`, and a leading zero for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, base).ok()?);
    // Go reads an unsigned number where a signed one overflows, and takes no sign before that one.
    match i64::try_from(if negative { -value } else { value }) {
        Ok(value) => Some(value.into()),
        Err(_) if text.starts_with(['+', '-']) => None,
        Err(_) => u64::try_from(value).ok().map(Number::from),
    }
}

/// `1.`, `.5`, `1e3`; a number without a fraction is written without one, as Go's JSON has it.
fn float(text: &str) -> Option<Number> {
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1 || !digits.bytes().all(|c| c.is_ascii_digit() || b".eE+-".contains(&c)) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    if value.fract() == 0.0 && value.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and fits, as the line above says")]
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

/// Year, month and day: the reader takes these for times, and hands them on as strings.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(3, '-').collect();
    let [year, month, rest] = parts[..] else { return false };
    let day = rest.split(['T', 't', ' ']).next().unwrap_or_default();
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(day, 2)
}

/// A scalar with one of YAML's own tags, by its name after `!!`. `None`: they do not fit.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Value> {
    let value = match tag {
        "str" => return Some(Value::String(text.to_owned())),
        "bool" | "int" | "float" | "null" => plain(text)?,
        "timestamp" => return is_date(text).then(|| Value::String(text.to_owned())),
        _ => return None,
    };
    let fits = match tag {
        "bool" => value.is_boolean(),
        "null" => value.is_null(),
        "int" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    };
    fits.then_some(value)
}

/// Whether this text, unquoted, is this very string to any reader of YAML, 1.1 or 1.2.
pub(super) fn is_plainly_a_string(text: &str) -> bool {
    let wordy = |c: char| c.is_ascii_alphanumeric() || "_/.-+=@:, ".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '/');
    let ends = text.ends_with(|c: char| c.is_ascii_alphanumeric() || "_/.-+=@".contains(c));
    let digital = text.starts_with(|c: char| c.is_ascii_digit());
    // Times and numbers in base 60 (`12:30:45`), and numbers that some readers know and others do not.
    let odd =
        digital && (text.contains(':') || !text.contains(|c: char| c.is_ascii_alphabetic()) || text.contains('_'));
    begins
        && ends
        && !odd
        && text.chars().all(wordy)
        && !text.contains(": ")
        && plain(text) == Some(text.into())
        && !(digital && text.to_ascii_lowercase().parse::<f64>().is_ok())
}
