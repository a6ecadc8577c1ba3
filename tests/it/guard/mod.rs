//! What is refused before anything is decided, in the shape that each door's clients parse, over real sockets.

mod raw;
mod rules;
mod slow;

use serde_json::Value;

use crate::support::http::Answer;

/// Checks status, content type and every field of a refusal, and that it names our code.
fn assert_refused(door: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{door}: {}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/json", "{door}");
    assert_eq!(answer.headers["cache-control"], "no-store", "{door}");
    let (text, id) = match door {
        "cloud-shell" | "cloud-shell with a key" => cloud_shell(answer),
        "app-service" | "app-service-2017" => app_service(answer),
        _ => entra(answer),
    };
    assert!(text.contains(&format!("(unsecret: {code})")), "{door}: {text}");
    assert!(text.contains(&id), "{door}: the id of the log is in the text: {text}");
}

/// Contract B3: `statusCode`, `message`, `correlationId`.
fn app_service(answer: &Answer) -> (String, String) {
    let Value::Object(fields) = answer.json() else { panic!("no object") };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["correlationId", "message", "statusCode"]);
    assert_eq!(fields["statusCode"], answer.status.as_u16());
    (answer.text("message"), answer.text("correlationId"))
}

/// Contract B5: code and message below `error`. The id is in the message alone.
fn cloud_shell(answer: &Answer) -> (String, String) {
    let Value::Object(fields) = answer.json() else { panic!("no object") };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["error"]);
    let error = fields["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message"]);
    let text = error["message"].as_str().unwrap().to_owned();
    let id = text.rsplit_once("Correlation ID: ").unwrap().1.to_owned();
    assert_eq!(id.len(), 36, "{text}");
    (text, id)
}

/// Contract A11: Entra's error object. JS tells errors from successes by these fields, Go wants integers.
fn entra(answer: &Answer) -> (String, String) {
    let Value::Object(fields) = answer.json() else { panic!("no object") };
    let names = ["correlation_id", "error", "error_codes", "error_description", "timestamp", "trace_id"];
    assert_eq!(fields.keys().collect::<Vec<_>>(), names);
    assert!(fields["error_codes"].as_array().unwrap().iter().all(Value::is_u64));
    assert!(!answer.text("error").is_empty() && !answer.text("trace_id").is_empty());
    assert_eq!(answer.text("timestamp").len(), "2026-03-15 10:11:12Z".len());
    (answer.text("error_description"), answer.text("correlation_id"))
}
