//! What the API answers to each verb, as a kube-apiserver does; stricter where a kube-apiserver forgives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::request::Call;
use super::store::{Gone, Kind, Store};

/// A status and an object.
pub type Said = (u16, Value);

pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    })
}

fn refused(code: u16, reason: &str, message: &str) -> Said {
    (code, status(code, reason, message))
}

/// As `PartialObjectMetadata`.
pub fn only_metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

pub fn get(store: &Store, call: &Call, kind: Kind) -> Said {
    let found = store.object(kind, &call.namespace, call.name.as_deref().unwrap());
    found.map_or_else(|| refused(404, "NotFound", "not found"), |object| (200, only_metadata(object)))
}

/// By the field selector, if there is one.
fn is_named(call: &Call, object: &Value) -> bool {
    call.name.as_ref().is_none_or(|name| object["metadata"]["name"] == **name)
}

/// As an element of a list, which has neither kind nor version of its own.
fn listed(kind: Kind, object: &Value) -> Value {
    if matches!(kind, Kind::Accounts | Kind::Namespaces) {
        return only_metadata(object);
    }
    let mut object = object.clone();
    for key in ["apiVersion", "kind"] {
        object.as_object_mut().unwrap().remove(key);
    }
    object
}

/// One page.
pub fn list(store: &mut Store, call: &Call, kind: Kind) -> Said {
    let Some(limit) = call.query.get("limit").and_then(|limit| limit.parse::<usize>().ok()) else {
        return refused(400, "BadRequest", "all at once may be too much: set limit");
    };
    let (version, mut items) = match call.query.get("continue") {
        None => (
            store.version,
            store.all(kind).iter().filter(|object| is_named(call, object)).map(|object| listed(kind, object)).collect(),
        ),
        Some(token) => match store.lists.remove(token) {
            Some(rest) if !std::mem::take(&mut store.next_page_expires) => rest,
            _ => return refused(410, "Expired", "the provided continue parameter is too old"),
        },
    };
    let rest = items.split_off(limit.min(items.len()));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        let token = STANDARD.encode(format!("{kind:?}+{}/{}=", store.lists.len(), rest.len()));
        metadata["continue"] = json!(token);
        metadata["remainingItemCount"] = json!(rest.len());
        store.lists.insert(token, (version, rest));
    }
    let page = json!({
        "kind": "List", "metadata": metadata, "items": items,
    });
    (200, page)
}

/// What stands against beginning a watch.
pub fn against_watch(store: &Store, call: &Call, kind: Kind) -> Option<Said> {
    if call.query.get("timeoutSeconds").is_none_or(|seconds| seconds.parse::<u64>().is_err()) {
        return Some(refused(400, "BadRequest", "set timeoutSeconds, or a watch may never end"));
    }
    let Some(version) = call.query.get("resourceVersion").filter(|version| *version != "0") else {
        // As a server with an older etcd says it.
        return Some(refused(
            500,
            "InternalError",
            "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled",
        ));
    };
    let Ok(version) = version.parse::<u64>() else {
        return Some(refused(400, "BadRequest", "resourceVersion is no version"));
    };
    let forgotten = store.forgotten.get(&kind);
    let is_gone = forgotten.is_some_and(|(first, gone)| version < *first && *gone == Some(Gone::Status));
    is_gone.then(|| refused(410, "Expired", "too old resource version"))
}

/// A Secret in the place of the one that was seen.
pub fn update(store: &mut Store, call: &Call) -> Said {
    if call.content_type != "application/json" {
        return refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
    }
    let (new, name) = (&call.body, call.name.as_deref().unwrap());
    let metadata = &new["metadata"];
    if new["kind"] != "Secret" || new["apiVersion"] != "v1" || metadata["name"] != name {
        return refused(400, "BadRequest", "this is another object than the URL's");
    }
    let Some(old) = store.object(Kind::Secrets, &call.namespace, name) else {
        return refused(404, "NotFound", "there is no such Secret, and you may not create it");
    };
    if metadata["resourceVersion"].is_null() {
        return refused(400, "BadRequest", "without a resourceVersion it would overwrite what nobody has seen");
    }
    if metadata["resourceVersion"] != old["metadata"]["resourceVersion"] {
        return refused(
            409,
            "Conflict",
            "the object has been modified; please apply your changes to the latest version",
        );
    }
    if old["immutable"] == true && new["data"] != old["data"] {
        return refused(422, "Invalid", "data: field is immutable when `immutable` is set");
    }
    if new["type"] != old["type"] {
        return refused(422, "Invalid", "type: field is immutable");
    }
    let is_base64 = |value: &Value| value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok());
    if !new["data"].as_object().is_some_and(|data| data.values().all(is_base64)) {
        return refused(400, "BadRequest", "data: illegal base64 data");
    }
    store.put(Kind::Secrets, new.clone());
    if store.secrets_are_emptied {
        store.edit(Kind::Secrets, &call.namespace, name, |it| drop(it.as_object_mut().unwrap().remove("data")));
    }
    (200, store.object(Kind::Secrets, &call.namespace, name).unwrap().clone())
}

pub fn patch(store: &mut Store, call: &Call) -> Said {
    if call.content_type != "application/json-patch+json" {
        return refused(415, "UnsupportedMediaType", "another kind of patch than JSON Patch");
    }
    let Ok(patch) = serde_json::from_value::<json_patch::Patch>(call.body.clone()) else {
        return refused(400, "BadRequest", "this is no JSON Patch");
    };
    let name = call.name.as_deref().unwrap();
    let Some(old) = store.object(Kind::Configurations, "", name) else {
        return refused(404, "NotFound", "not found");
    };
    let mut new = old.clone();
    if let Err(error) = json_patch::patch(&mut new, &patch) {
        return refused(422, "Invalid", &error.to_string());
    }
    if !new["webhooks"].as_array().unwrap().iter().all(|webhook| is_bundle(&webhook["clientConfig"]["caBundle"])) {
        return refused(422, "Invalid", "webhooks.clientConfig.caBundle: unable to load root certificates");
    }
    store.put(Kind::Configurations, new);
    if store.bundles_are_taken_away {
        store.edit(Kind::Configurations, "", name, |it| {
            for webhook in it["webhooks"].as_array_mut().unwrap() {
                webhook["clientConfig"].as_object_mut().unwrap().remove("caBundle");
            }
        });
    }
    (200, store.object(Kind::Configurations, "", name).unwrap().clone())
}

fn is_bundle(bundle: &Value) -> bool {
    let Some(text) = bundle.as_str() else { return bundle.is_null() };
    let Ok(pem) = STANDARD.decode(text) else { return false };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    all.is_ok_and(|all| !all.is_empty())
}
