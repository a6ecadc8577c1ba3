//! docs/openapi.json, read.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

/// One path with one method.
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) id: String,
    responses: Value,
}

pub(super) fn document() -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What a `$ref` stands for, or the value itself.
pub(super) fn resolved(document: &Value, value: &Value) -> Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.strip_prefix('#').unwrap());
            found.unwrap_or_else(|| panic!("{reference} leads nowhere")).clone()
        }
        None => value.clone(),
    }
}

/// Paths that have a server of their own are the admin listener's.
fn is_admin(item: &Value) -> bool {
    !item["servers"].is_null()
}

/// Every operation of the doors.
pub(super) fn operations() -> Vec<Operation> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths.iter().filter(|(_, item)| !is_admin(item)) {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
            let operation = &item[method.as_str().to_lowercase()];
            if let Some(id) = operation["operationId"].as_str() {
                let (path, id, responses) = (path.clone(), id.to_owned(), operation["responses"].clone());
                operations.push(Operation { path, method, id, responses });
            }
        }
    }
    assert!(operations.len() >= 10, "found only {} operations", operations.len());
    operations
}

pub(super) fn admin_pages() -> Vec<String> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let pages: Vec<_> = paths.iter().filter(|(_, item)| is_admin(item)).map(|(path, _)| path.clone()).collect();
    assert_eq!(pages.len(), 4);
    pages
}

impl Operation {
    /// What tells of an authority, and hands out nothing.
    pub(super) fn is_document(&self) -> bool {
        ["/.well-known/", "/discovery/"].iter().any(|part| self.path.contains(part))
    }

    /// A form that the page shows.
    pub(super) fn example(&self, name: &str) -> Value {
        let body = &document()["paths"][&self.path][self.method.as_str().to_lowercase()]["requestBody"];
        body["content"]["application/x-www-form-urlencoded"]["examples"][name]["value"].clone()
    }

    pub(super) fn statuses(&self) -> BTreeSet<u16> {
        self.responses.as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect()
    }

    /// The response with its headers, without references at its top.
    pub(super) fn answer(&self, status: u16) -> Value {
        let document = document();
        let mut answer = resolved(&document, &self.responses[status.to_string()]);
        let headers = answer["headers"].as_object_mut().unwrap();
        for header in headers.values_mut() {
            *header = resolved(&document, header);
        }
        answer
    }
}
