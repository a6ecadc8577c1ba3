//! Covers: src/manifest/change.rs src/manifest/meant.rs src/manifest/read.rs src/manifest/scalar.rs src/manifest/seat.rs src/manifest/tree.rs src/manifest/write.rs
//!
//! A stream of YAML. What is read is given back byte for byte, and says the same to who reads it again; a change is refused, or
//! makes a text that says what was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use unsecret::manifest::Manifest;
use unsecret::patch::{Operation, Pointer};
use unsecret::problem::Problem as _;

/// So many places are changed at most: a long input shall not take long.
const MOST: usize = 40;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut manifest = match Manifest::read(text) {
        Ok(manifest) => manifest,
        Err(wrong) => {
            assert!(!wrong.to_string().is_empty() && wrong.remedy().is_some_and(|remedy| !remedy.is_empty()));
            return;
        }
    };
    assert_eq!(manifest.text(), text);
    let documents: Vec<Value> = manifest.documents().cloned().collect();
    for (index, document) in documents.iter().enumerate().take(4) {
        let mut places = Vec::new();
        collect(document, &Pointer::root(), &mut places);
        for path in places {
            for operation in operations(path) {
                let mut changed = manifest.clone();
                if changed.apply(index, std::slice::from_ref(&operation)).is_ok() {
                    let others = changed.documents().enumerate().filter(|(at, _)| *at != index);
                    assert!(others.zip(0..).all(|((at, value), _)| documents[at] == *value));
                } else {
                    assert_eq!(changed.text(), text, "{operation:?}");
                }
            }
        }
    }
    let label = Operation::Add { path: Pointer::root().below("new"), value: json!({"a": ["b", 1]}) };
    let _ = manifest.apply(0, &[label]);
});

fn collect(value: &Value, here: &Pointer, places: &mut Vec<Pointer>) {
    if places.len() >= MOST {
        return;
    }
    places.push(here.clone());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| collect(item, &here.below(at), places)),
        Value::Object(members) => members.iter().for_each(|(name, value)| collect(value, &here.below(name), places)),
        _ => {}
    }
}

fn operations(path: Pointer) -> [Operation; 6] {
    let element = json!({"name": "unsecret", "args": ["run"], "odd": "yes: #\u{7f}"});
    [
        Operation::Add { path: path.below("0"), value: element.clone() },
        Operation::Add { path: path.below("-"), value: element.clone() },
        Operation::Replace { path: path.clone(), value: element },
        Operation::Replace { path: path.clone(), value: json!(1.5) },
        Operation::Test { path: path.clone(), value: json!([1]) },
        Operation::Remove { path },
    ]
}
