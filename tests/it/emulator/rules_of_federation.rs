//! The cases of the rules about federated assertions and issuers' documents.

use serde_json::{Value, json};

use super::ask::Key;
use super::rules::{Case, document, request};
use super::world::{DEAD_ISSUER, NOW, OTHER_CLIENT, OTHER_ISSUER, SUBJECT, TENANT, World};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let good = || world.federated();
    vec![
        request("federation-none", good(), |ask| ask.form("client_id", OTHER_CLIENT)),
        request("federated-type", good(), |ask| ask.header("typ", "at+jwt")),
        request("federated-algorithm", good(), |ask| ask.header("alg", "PS256")),
        request("issuer-url", good(), |ask| ask.claim("iss", "https://127.0.0.1:8443/issuer")),
        request("entra-token", good(), |ask| ask.claim("iss", format!("https://sts.windows.net/{TENANT}/"))),
        request("federated-issuer", good(), |ask| ask.claim("iss", "https://issuer.example/")),
        request("federated-subject-missing", good(), |ask| ask.claim("sub", Value::Null)),
        request("federated-subject-case", good(), |ask| ask.claim("sub", SUBJECT.to_lowercase())),
        request("federated-subject", good(), |ask| ask.claim("sub", format!("{SUBJECT} "))),
        request("federated-audience-missing", good(), |ask| ask.claim("aud", Value::Null)),
        request("federated-audience-guid", good(), |ask| ask.claim("sub", "guid-audience")),
        request("federated-audience", good(), |ask| ask.claim("aud", "api://azureadtokenexchange")),
        request("federated-end-missing", good(), |ask| ask.claim("exp", Value::Null)),
        request("federated-expired", good(), |ask| ask.claim("exp", NOW)),
        request("federated-early", good(), |ask| ask.claim("nbf", NOW + 1)),
        request("federated-life", good(), |ask| ask.claim("exp", NOW + 90_001)),
        request("metadata-unreadable", good(), |ask| ask.claim("iss", DEAD_ISSUER)),
        document("metadata-field", good(), "response_types_supported", Value::Null),
        document("metadata-empty", good(), "subject_types_supported", json!([])),
        document("metadata-issuer", good(), "issuer", json!("https://issuer.example/")),
        document("keys-unreadable", good(), "jwks_uri", json!("https://nowhere.example/keys")),
        request("federated-key", good(), |ask| ask.header("kid", "unknown")),
        request("federated-signature", good(), |ask| ask.signed_by(Key::Issuer(OTHER_ISSUER))),
    ]
}
