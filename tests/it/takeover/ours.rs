//! What is answered here, with the emulator as the real host.

use http::StatusCode;

use super::{HOST, plan, taken};
use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, TENANT, World, platform_token};

const STRANGERS: &str = "99999999-aaaa-4bbb-8ccc-222222222222";

async fn world() -> World {
    World::of(plan("{emulator}")).await
}

async fn ask(world: &World, tenant: &str, fields: &[(&str, &str)]) -> Answer {
    let scope = format!("{GRAPH}/.default");
    let fields = [fields, &[("grant_type", "client_credentials"), ("scope", &scope)]].concat();
    Call::form(taken(world), format!("/{tenant}/oauth2/v2.0/token"), &fields).passed_on().send().await
}

#[tokio::test]
async fn a_token_request_of_a_configured_identity_is_answered() {
    let world = world().await;
    let key = world.key.secret().expose();
    for tenant in [TENANT, "Contoso.OnMicrosoft.com"] {
        let answer = ask(&world, tenant, &[("client_id", CLIENT), ("client_secret", key)]).await;
        assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
    }
    let v1 = world.oauth_v1(GRAPH).at(taken(&world)).send().await;
    assert_eq!(world.claims(&v1.token())["appid"], CLIENT);
    // Asked of the real host once, past its name.
    let journal = world.emulator.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].credential, "client_assertion");
    assert!(journal[0].headers.contains(&"unsecret-past".to_owned()));
    assert_eq!(world.metric(&passed("200")).await.to_bits(), 0.0_f64.to_bits());
}

fn passed(code: &str) -> String {
    format!("unsecret_passed_through_total{{code=\"{code}\",host=\"{HOST}\"}}")
}

#[tokio::test]
async fn requests_of_others_arrive_at_the_real_host_with_what_they_carry() {
    let world = world().await;
    // As Entra made secrets before 2021, and as it makes them now.
    for (tenant, client, secret) in [
        (STRANGERS, CLIENT, "pT0bWcU1dEzHh2e5Xq9vKyRfLm3nGsJaZi8oBt7wQ4k="),
        (TENANT, OTHER_CLIENT, "Ab18Q~dEfGhIjKlMnOpQrStUvWxYz0123456789a"),
    ] {
        let answer = ask(&world, tenant, &[("client_id", client), ("client_secret", secret)]).await;
        assert!(answer.status.is_client_error());
        let entry = world.emulator.journal().pop().unwrap();
        assert_eq!((entry.tenant.as_str(), entry.client_id.as_deref()), (tenant, Some(client)));
        assert_eq!(entry.credential, "client_secret");
    }
    assert_eq!(world.emulator.journal().len(), 2);
}

#[tokio::test]
async fn an_assertion_of_its_own_is_for_entra_to_judge() {
    let world = world().await;
    let own = world.emulator.platform_token(crate::support::world::ISSUER, &platform_token()).unwrap();
    let bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let fields = [("client_id", CLIENT), ("client_assertion", own.expose()), ("client_assertion_type", bearer)];
    let answer = ask(&world, TENANT, &fields).await;
    assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
    assert!((world.metric(&passed("200")).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_real_secret_of_a_configured_identity_is_refused_and_goes_no_further() {
    let world = world().await;
    let secret = "Ab18Q~dEfGhIjKlMnOpQrStUvWxYz0123456789a";
    let answer = ask(&world, TENANT, &[("client_id", CLIENT), ("client_secret", secret)]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("entra-secret-presented"), "{}", answer.body);
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_local_key_never_leaves_wherever_it_points() {
    let world = world().await;
    let key = world.key.secret().expose();
    let answer = ask(&world, STRANGERS, &[("client_id", CLIENT), ("client_secret", key)]).await;
    assert!(answer.body.contains("unknown-tenant"), "{}", answer.body);
    let twice = [("client_id", CLIENT), ("client_secret", key), ("client_secret", "x")];
    let answer = ask(&world, TENANT, &twice).await;
    assert!(answer.body.contains("parameter-twice"), "{}", answer.body);
    for path in ["/common/oauth2/v2.0/%74oken", "/common/oauth2/v2.0/devicecode", "/token-proxy/t/oauth2/v2.0/token"] {
        let answer = Call::form(taken(&world), path, &[("client_secret", key)]).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.body.contains("local-key-astray"), "{path}: {}", answer.body);
    }
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_page_gets_no_token_here_either() {
    let world = world().await;
    let answer = world.oauth(GRAPH).at(taken(&world)).header("origin", "https://evil.example").send().await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("request-from-browser"), "{}", answer.body);
}

#[tokio::test]
async fn documents_of_a_tenant_of_ours_have_microsofts_own_values() {
    let world = world().await;
    let path = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
    let document = Call::get(taken(&world), &path).send().await.json();
    assert_eq!(document["issuer"], format!("https://{HOST}/{TENANT}/v2.0"));
    assert_eq!(document["token_endpoint"], format!("https://{HOST}/{TENANT}/oauth2/v2.0/token"));
    let theirs = Call::get(taken(&world), path.replace(TENANT, STRANGERS)).passed_on().send().await;
    assert_eq!(theirs.status, StatusCode::BAD_REQUEST, "the emulator does not know that tenant");
}

#[tokio::test]
async fn other_doors_are_none_there() {
    let world = world().await;
    let resource = "resource=https%3A%2F%2Fgraph.microsoft.com";
    for target in ["/metadata/identity/oauth2/token?api-version=2018-02-01&", "/token?", "/msi/token?"] {
        let call = Call::get(taken(&world), format!("{target}{resource}")).header("metadata", "true");
        let answer = call.passed_on().send().await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
        assert!(answer.body.contains("no such path on the emulator"), "{target}: {}", answer.body);
    }
}

#[tokio::test]
async fn without_tls_nobody_is_that_host() {
    let world = world().await;
    let answer = world.oauth(GRAPH).header("host", HOST).send().await;
    assert!(answer.body.contains("host-not-ours"), "{}", answer.body);
}
