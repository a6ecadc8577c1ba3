//! The door that a workload identity finds in place of Entra (contract B10): its token file holds the local key.

use http::StatusCode;
use serde_json::json;

use super::{Authority, assert_unknown_tenant, text, world_of};
use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A world with the door, whose identity is for who shows the local key.
async fn opened() -> World {
    let listen = "doors = [\"oauth\", \"token-proxy\"]".to_owned();
    world_of(Plan { listen, identity: String::new(), ..Plan::default() }).await
}

/// The client assertion request of contract A2, where the proxy is.
async fn present(authority: &Authority, assertion: &str) -> Answer {
    let scope = format!("{GRAPH}/.default");
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", &scope),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
        ("client_info", "1"),
    ];
    authority.post(&format!("{}/token-proxy/{TENANT}/oauth2/v2.0/token", authority.origin), &fields, &[]).await
}

#[tokio::test]
async fn the_local_key_in_the_token_file_is_as_good_as_an_assertion() {
    let world = opened().await;
    let key = world.key.secret().expose();
    for authority in Authority::of(&world) {
        for content in [key.to_owned(), format!("{key}\n"), format!("{key}\r\n")] {
            let claims = world.claims(&present(&authority, &content).await.token());
            assert_eq!(claims["appid"], CLIENT);
        }
    }
    let journal = world.emulator.journal();
    assert_eq!((journal.len(), journal[0].assertion), (1, Some("federated")), "Entra sees our own assertion");
    assert!(world.metric("unsecret_http_requests_total{code=\"200\",dialect=\"token-proxy\"}").await >= 3.0);
}

#[tokio::test]
async fn documents_behind_the_proxy_are_entras_own() {
    let world = opened().await;
    let entra = world.emulator.authority_host();
    for authority in Authority::of(&world) {
        let base = format!("{}/token-proxy", authority.origin);
        let document = authority.document(&format!("{base}/{TENANT}/v2.0/.well-known/openid-configuration")).await;
        for (field, rest) in [
            ("issuer", "v2.0"),
            ("authorization_endpoint", "oauth2/v2.0/authorize"),
            ("token_endpoint", "oauth2/v2.0/token"),
            ("jwks_uri", "discovery/v2.0/keys"),
        ] {
            assert_eq!(text(&document, field), format!("{entra}/{TENANT}/{rest}"));
        }
        // Go asks about its own tenant, Python about `common`.
        for tenant in [TENANT, "common"] {
            let asked = format!(
                "{base}/common/discovery/instance?authorization_endpoint={entra}/{tenant}/oauth2/v2.0/authorize"
            );
            let instance = authority.document(&asked).await;
            let wanted = format!("{entra}/{tenant}/v2.0/.well-known/openid-configuration");
            assert_eq!(text(&instance, "tenant_discovery_endpoint"), wanted);
        }
        assert!(authority.document(&format!("{base}/{TENANT}/discovery/v2.0/keys")).await["keys"].is_array());
        assert_unknown_tenant(&authority.get(&format!("{base}/fabrikam.example/discovery/keys")).await);
    }
}

#[tokio::test]
async fn the_platforms_own_token_sent_by_mistake_is_refused_and_told_where_the_key_goes() {
    // Even where any local caller is welcome: who sends it believes that Entra has seen it.
    for identity in ["", "any_local_caller = true\n"] {
        let listen = "doors = [\"token-proxy\"]".to_owned();
        let world = world_of(Plan { listen, identity: identity.to_owned(), ..Plan::default() }).await;
        let token = std::fs::read_to_string(world.path("token")).unwrap();
        for authority in Authority::of(&world) {
            let answer = present(&authority, &token).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert_eq!(
                (answer.text("error"), &answer.json()["error_codes"]),
                ("invalid_client".into(), &json!([7_000_215]))
            );
            let text = answer.text("error_description");
            assert!(text.contains("token-presented-as-key") && text.contains("AZURE_FEDERATED_TOKEN_FILE"), "{text}");
            assert!(!answer.body.contains("eyJ"), "the token is not repeated");
        }
        assert_eq!(world.exchanges(), 0);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_as_at_the_oauth_door() {
    let world = opened().await;
    for authority in Authority::of(&world) {
        let answer = present(&authority, "key-nobody-key-nobody-key-nobody").await;
        assert_eq!((answer.status, answer.text("error")), (StatusCode::UNAUTHORIZED, "invalid_client".into()));
        assert!(answer.text("error_description").contains("(unsecret: wrong-local-key)"));
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"unsecret\"");
        let answer = authority.post(&format!("{}/token-proxy/{TENANT}/oauth2/token", authority.origin), &[], &[]).await;
        assert_eq!((answer.status.as_u16(), answer.text("error")), (400, "invalid_request".into()));
    }
}

#[tokio::test]
async fn the_door_is_closed_unless_it_is_opened() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        let answers = [
            present(&authority, world.key.secret().expose()).await,
            authority
                .get(&format!("{}/token-proxy/{TENANT}/v2.0/.well-known/openid-configuration", authority.origin))
                .await,
        ];
        for answer in answers {
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert!(answer.text("error_description").contains("(unsecret: door-closed)"), "{}", answer.body);
        }
    }
    let answer = Call::get(world.http(), "/token-proxy/msi/token").send().await;
    assert!(answer.text("error_description").contains("(unsecret: no-such-path)"), "{}", answer.body);
}
