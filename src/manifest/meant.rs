//! What operations make of a JSON value (RFC 6902), and when two values are the same.

use serde_json::Value;

use crate::patch::{Operation, Pointer};

use super::ManifestError;

pub(super) fn apply(value: &mut Value, operation: &Operation) -> Result<(), ManifestError> {
    let place = operation.path();
    let fail = |why| ManifestError::Place { place: place.to_string(), why };
    match operation {
        Operation::Test { value: expected, .. } => match find(value, place.steps()) {
            Some(found) if same(found, expected) => Ok(()),
            Some(_) => Err(fail("there is another value than the one expected")),
            None => Err(fail("nothing is there")),
        },
        Operation::Replace { value: new, .. } => {
            *find(value, place.steps()).ok_or_else(|| fail("nothing is there to replace"))? = new.clone();
            Ok(())
        }
        Operation::Add { value: new, .. } => add(value, place, new).ok_or_else(|| fail("nothing can be added there")),
        Operation::Remove { .. } => remove(value, place).ok_or_else(|| fail("nothing is there to remove")),
    }
}

fn add(value: &mut Value, place: &Pointer, new: &Value) -> Option<()> {
    let Some((last, above)) = place.steps().split_last() else {
        *value = new.clone();
        return Some(());
    };
    match find(value, above)? {
        Value::Object(members) => {
            members.insert(last.clone(), new.clone());
        }
        Value::Array(items) => {
            let at = if last == "-" { items.len() } else { index(last).filter(|at| *at <= items.len())? };
            items.insert(at, new.clone());
        }
        _ => return None,
    }
    Some(())
}

fn remove(value: &mut Value, place: &Pointer) -> Option<()> {
    let (last, above) = place.steps().split_last()?;
    match find(value, above)? {
        Value::Object(members) => members.remove(last).map(drop),
        Value::Array(items) => {
            items.remove(index(last).filter(|at| *at < items.len())?);
            Some(())
        }
        _ => None,
    }
}

fn find<'v>(value: &'v mut Value, steps: &[String]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match value {
        Value::Object(members) => members.get_mut(step),
        Value::Array(items) => items.get_mut(index(step)?),
        _ => None,
    })
}

/// RFC 6901 4: no leading zeros, no sign.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|c| c.is_ascii_digit()));
    plain.then(|| step.parse().ok()).flatten()
}

/// Equal, where `1.0` is 1: a text does not keep the difference.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}
