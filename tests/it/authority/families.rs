//! What each family of clients sends before and with its token request, as the contract lists it (B11): the sequence over
//! real sockets, and the checks that the client itself makes.

use serde_json::json;

use super::{Authority, assert_unknown_tenant, form, head, origin, text, world_of};
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, Plan, TENANT, VAULT, World};

/// A token that Entra signed for this world's application.
fn assert_token(world: &World, answer: &crate::support::http::Answer, resource: &str) {
    let claims = world.claims(&answer.token());
    assert_eq!((claims["appid"].as_str(), claims["aud"].as_str()), (Some(CLIENT), Some(resource)));
}

fn scope() -> String {
    format!("{GRAPH}/.default")
}

#[tokio::test]
async fn msal_for_python_reads_the_metadata_and_posts_where_it_says() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        let base = format!("{}/{TENANT}", authority.origin);
        let document = authority.document(&format!("{base}/v2.0/.well-known/openid-configuration")).await;
        // Both must be there; the tenant is taken from the first segment of the token endpoint.
        assert_eq!(text(&document, "authorization_endpoint"), format!("{base}/oauth2/v2.0/authorize"));
        let token_endpoint = text(&document, "token_endpoint");
        assert_eq!(authority.path(token_endpoint).split('/').nth(1), Some(TENANT));
        let (key, scope) = (world.key.secret().expose(), scope());
        let mut fields = form(key, &scope);
        fields.push(("client_info", "1"));
        let headers = [("accept", "application/json"), ("x-client-sku", "MSAL.Python"), ("x-client-ver", "1.39.0")];
        let answer = authority.post(token_endpoint, &fields, &headers).await;
        assert_token(&world, &answer, GRAPH);
        assert!(answer.json().get("client_info").is_none() && answer.json()["expires_in"].is_u64());
    }
}

#[tokio::test]
async fn msal_for_node_lowers_the_whole_authority_and_compares_the_issuers_origin() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        let base = format!("{}/{}", authority.origin, TENANT.to_lowercase());
        let document = authority.document(&format!("{base}/v2.0/.well-known/openid-configuration")).await;
        for field in ["authorization_endpoint", "token_endpoint", "issuer", "jwks_uri"] {
            assert_eq!(origin(text(&document, field)), authority.origin, "{field}");
        }
        let (key, scope) = (world.key.secret().expose(), scope());
        let endpoint = format!("{}?client-request-id=1", text(&document, "token_endpoint"));
        let answer = authority.post(&endpoint, &form(key, &scope), &[("x-client-sku", "msal.js.node")]).await;
        assert_token(&world, &answer, GRAPH);
    }
}

#[tokio::test]
async fn msal_for_go_follows_instance_discovery_to_the_metadata() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        let asked = format!("{}/{TENANT}/oauth2/v2.0/authorize", authority.origin);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("api-version", "1.1"), ("authorization_endpoint", asked.as_str())])
            .finish();
        let instance = authority.document(&format!("{}/common/discovery/instance?{query}", authority.origin)).await;
        let name = authority.origin.split_once("://").unwrap().1;
        assert_eq!(instance["metadata"][0]["aliases"], json!([name]));
        let document = authority.document(text(&instance, "tenant_discovery_endpoint")).await;
        assert_eq!(origin(text(&document, "issuer")), authority.origin);
        let (key, scope) = (world.key.secret().expose(), scope());
        let answer = authority.post(text(&document, "token_endpoint"), &form(key, &scope), &[]).await;
        assert_token(&world, &answer, GRAPH);
    }
}

#[tokio::test]
async fn clients_that_build_the_token_url_themselves_need_no_document() {
    let world = world_of(Plan::default()).await;
    let key = world.key.secret().expose();
    for authority in Authority::of(&world) {
        // Python's async client, Java, .NET and Rust; Java doubles no slash here, and .NET lets the case stand.
        for tenant in [TENANT, "contoso.onmicrosoft.com", "CONTOSO.OnMicrosoft.com"] {
            let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.origin);
            assert_token(&world, &authority.post(&url, &form(key, &scope()), &[]).await, GRAPH);
        }
        // ADAL and go-autorest, v1: `expires_in` is integer text.
        let url = format!("{}/{TENANT}/oauth2/token", authority.origin);
        let fields =
            [("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", key), ("resource", VAULT)];
        let answer = authority.post(&url, &fields, &[("x-client-cpu", "x64")]).await;
        assert_token(&world, &answer, VAULT);
        assert!(answer.text("expires_in").parse::<u32>().is_ok());
    }
}

#[tokio::test]
async fn an_oidc_client_finds_its_issuer_to_the_letter() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        for issuer in [
            format!("{}/{TENANT}/v2.0", authority.origin),
            format!("{}/Contoso.onmicrosoft.com/v2.0", authority.origin),
            format!("{}/{TENANT}", authority.origin),
        ] {
            let url = format!("{issuer}/.well-known/openid-configuration");
            let document = authority.document(&url).await;
            assert_eq!(text(&document, "issuer"), issuer);
            let answer = head(&authority, &url).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        }
    }
}

#[tokio::test]
async fn a_web_app_that_checks_who_signed_is_told_of_entra_and_sends_only_its_token_requests_here() {
    let identity = "any_local_caller = true\ndiscovery = \"entra\"\n".to_owned();
    let world = world_of(Plan { identity, ..Plan::default() }).await;
    let entra = format!("{}/{TENANT}", world.emulator.authority_host());
    for authority in Authority::of(&world) {
        let url = format!("{}/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration", authority.origin);
        let document = authority.document(&url).await;
        assert_eq!(text(&document, "issuer"), format!("{entra}/v2.0"));
        for (field, rest) in [
            ("authorization_endpoint", "oauth2/v2.0/authorize"),
            ("end_session_endpoint", "oauth2/v2.0/logout"),
            ("jwks_uri", "discovery/v2.0/keys"),
        ] {
            assert_eq!(text(&document, field), format!("{entra}/{rest}"));
        }
        let (key, scope) = (world.key.secret().expose(), scope());
        assert_token(&world, &authority.post(text(&document, "token_endpoint"), &form(key, &scope), &[]).await, GRAPH);
    }
}

#[tokio::test]
async fn tenants_of_nobody_here_have_no_documents_and_a_closed_door_shows_none() {
    let world = world_of(Plan::default()).await;
    for authority in Authority::of(&world) {
        for tenant in ["common", "organizations", "fabrikam.example", OTHER_CLIENT] {
            for rest in ["v2.0/.well-known/openid-configuration", ".well-known/openid-configuration", "discovery/keys"]
            {
                assert_unknown_tenant(&authority.get(&format!("{}/{tenant}/{rest}", authority.origin)).await);
            }
        }
        for rest in
            ["common/discovery/instance", "common/discovery/instance?authorization_endpoint=https://evil.example/t"]
        {
            assert_eq!(authority.get(&format!("{}/{rest}", authority.origin)).await.status, 400, "{rest}");
        }
    }
    let world = world_of(Plan { listen: "doors = [\"imds\"]".to_owned(), ..Plan::default() }).await;
    for authority in Authority::of(&world) {
        let url = format!("{}/{TENANT}/v2.0/.well-known/openid-configuration", authority.origin);
        let answer = authority.get(&url).await;
        assert_eq!(answer.status, 404);
        assert!(answer.text("error_description").contains("door-closed"), "{}", answer.body);
    }
    assert_eq!(world.exchanges(), 0);
}
