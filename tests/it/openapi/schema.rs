//! As much of JSON Schema as docs/openapi.json uses, and a failure for what it does not know.

use serde_json::Value;

use super::page::{document, resolved};

/// Panics where the value is not as the schema says.
pub(super) fn check(schema: &Value, value: &Value, at: &str) {
    let schema = resolved(&document(), schema);
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "description" | "minimum" | "maximum" | "properties" | "items" | "additionalProperties" => {}
            "type" => assert!(is_a(rule.as_str().unwrap(), value), "{at}: {value} is no {rule}"),
            "const" => assert_eq!(rule, value, "{at}"),
            "pattern" => assert!(fits(rule.as_str().unwrap(), value.as_str().unwrap()), "{at}: {value} is not {rule}"),
            "anyOf" => {
                let all = rule.as_array().unwrap();
                check(all.iter().find(|one| is_shaped(one, value)).unwrap_or(&all[0]), value, at);
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: {name} is missing");
                }
            }
            other => panic!("{at}: this reader does not know `{other}`"),
        }
    }
    if let (Some(low), Some(number)) = (schema["minimum"].as_u64(), value.as_u64()) {
        assert!(number >= low && number <= schema["maximum"].as_u64().unwrap_or(u64::MAX), "{at}: {number}");
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], item, at);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name);
        assert!(known.is_some() || schema["additionalProperties"] != false, "{at}: {name} is not on the page");
        if let Some(known) = known {
            check(known, field, &format!("{at} {name}"));
        }
    }
}

/// Whether the fields are those of this schema, so that it is the one to judge by.
fn is_shaped(schema: &Value, value: &Value) -> bool {
    let schema = resolved(&document(), schema);
    let open = schema["additionalProperties"] != false;
    let fields = value.as_object().unwrap();
    schema["required"].as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))
        && (open || fields.keys().all(|name| schema["properties"].get(name).is_some()))
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        other => panic!("this reader does not know the type `{other}`"),
    }
}

/// The two patterns that answers have.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[0-9]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        "^Bearer " => text.starts_with("Bearer "),
        other => panic!("this reader does not know the pattern `{other}`"),
    }
}
