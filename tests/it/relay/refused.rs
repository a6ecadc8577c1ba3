//! Who is refused what: by Entra, whose words come back as they are, and by the broker, before Entra hears of it.

use serde_json::json;
use unsecret::emulator::Fault;

use super::{ADA, BOB, REDIRECT, SCOPE, SECRET, VERIFIER, Web, behalf, redemption, users_token, without_secret, world};
use crate::support::http::Answer;
use crate::support::world::{GRAPH, World};

/// Status, Entra's word and its number.
fn told(answer: &Answer) -> (u16, String, u64) {
    let number = answer.json()["error_codes"][0].as_u64().unwrap_or_default();
    (answer.status.as_u16(), answer.text("error"), number)
}

/// The broker's own refusal: status, word, and the code in the text. Entra has not heard of it.
fn assert_ours(world: &World, answer: &Answer, status: u16, error: &str, code: &str) {
    let text = answer.text("error_description");
    assert!(text.contains(&format!("(unsecret: {code})")), "{text}");
    assert_eq!((answer.status.as_u16(), answer.text("error").as_str()), (status, error), "{text}");
    assert_eq!(world.exchanges(), 0, "Entra heard of it");
}

#[tokio::test]
async fn what_entra_has_against_a_code_reaches_the_application_as_it_is() {
    let world = world().await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    let with = |name: &str, value: &'static str| {
        let mut fields = redemption(&code);
        fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value);
        fields
    };
    for fields in [
        with("code_verifier", "another-verifier-another-verifier-another-veri"),
        with("redirect_uri", "http://localhost:8080/elsewhere"),
        with("code", "1.unknown"),
    ] {
        let refused = web.ask(&fields).await;
        let entry = world.emulator.journal().pop().unwrap();
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert_eq!(refused.json()["error_codes"], json!([entry.number().unwrap()]));
        assert!(!refused.body.contains("unsecret:"), "nothing of ours in it: {}", refused.body);
        assert!(refused.text("error_uri").starts_with(&world.emulator.authority_host()));
    }
    assert_eq!(web.redeem(&code).await.status, 200, "what is refused uses nothing up");
    assert_eq!(told(&web.redeem(&code).await), (400, "invalid_grant".to_owned(), 54_005));
}

#[tokio::test]
async fn suberror_and_claims_reach_who_has_to_show_them_to_the_user() {
    let world = world().await;
    let web = Web::billing(&world);
    let token = users_token(&world, ADA);
    let mut mail = behalf(&token);
    mail[3].1 = "https://graph.microsoft.com/Mail.Send";
    let refused = web.ask(&mail).await;
    assert_eq!((told(&refused).2, refused.text("suberror")), (65_001, "consent_required".to_owned()));
    world.emulator.set_fault(None, Fault::Interact { number: 50_076 });
    let refused = web.behalf(&token).await;
    assert_eq!(told(&refused), (400, "interaction_required".to_owned(), 50_076));
    assert_eq!(refused.text("suberror"), "basic_action");
    assert!(refused.text("claims").contains("polids"));
    assert!(refused.headers.get("retry-after").is_none(), "asking again helps nobody");
}

#[tokio::test]
async fn what_entra_has_against_our_proof_is_ours_to_mend_and_says_so() {
    let world = world().await;
    let web = Web::billing(&world);
    world.emulator.set_fault(None, Fault::Refuse { number: 700_213, error: "invalid_client".into(), status: 401 });
    let code = web.code(ADA).await;
    let refused = web.redeem(&code).await;
    assert!(refused.text("error_description").contains("(unsecret: "), "{}", refused.body);
    assert_eq!(world.exchanges(), 1);
    world.emulator.clear_faults();
    assert_eq!(web.redeem(&code).await.status, 200, "the code is not lost");
}

#[tokio::test]
async fn only_listed_scopes_are_asked_for() {
    let world = without_secret(super::plan("[\"User.Read\", \"https://graph.microsoft.com/User.Read\"]")).await;
    let web = Web::billing(&world);
    let token = users_token(&world, ADA);
    for scope in
        [format!("{GRAPH}/Mail.Send"), format!("openid {GRAPH}/User.Read Mail.Send"), format!("{GRAPH}/.default")]
    {
        let mut fields = behalf(&token);
        fields[3].1 = &scope;
        let refused = web.ask(&fields).await;
        assert_ours(&world, &refused, 400, "invalid_scope", "relay-scope-not-allowed");
    }
    let code = web.code(ADA).await;
    let unscoped = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    assert_ours(&world, &web.ask(&unscoped).await, 400, "invalid_scope", "relay-scope-missing");
    assert_eq!(web.behalf(&token).await.status, 200);
    let refresh = web.redeem(&code).await.text("refresh_token");
    assert_eq!(web.refresh(&refresh).await.status, 200);
}

#[tokio::test]
async fn without_relay_scopes_nothing_is_passed_on() {
    let world = without_secret(super::plan("[]")).await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "1.r.x"), ("scope", SCOPE)];
    for refused in [web.redeem(&code).await, web.ask(&refresh).await, web.behalf(&users_token(&world, ADA)).await] {
        assert_ours(&world, &refused, 400, "unauthorized_client", "relay-not-allowed");
    }
    let other = [("grant_type", "password"), ("username", ADA), ("password", "canary"), ("scope", SCOPE)];
    assert_ours(&world, &web.ask(&other).await, 400, "unsupported_grant_type", "grant-type-unsupported");
}

#[tokio::test]
async fn a_caller_without_the_identitys_own_key_gets_nothing_passed_on() {
    let world = world().await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    let others = Web::orders(&world).key;
    for (key, code_of_ours) in [
        ("", "local-key-missing"),
        ("key-nobody-key-nobody-key-nobody", "wrong-local-key"),
        (SECRET, "entra-secret-presented"),
        (&others, "key-of-another-identity"),
    ] {
        let caller = web.clone().with_key(key);
        for refused in [caller.redeem(&code).await, caller.behalf(&users_token(&world, ADA)).await] {
            assert_ours(&world, &refused, 401, "invalid_client", code_of_ours);
            assert!(!refused.body.contains(&code) && (key.is_empty() || !refused.body.contains(key)));
        }
    }
    let stranger = Web { client_id: "99999999-dddd-4eee-8fff-999999999999", ..web.clone() };
    let refused = stranger.redeem(&code).await;
    assert_ours(&world, &refused, 400, "unauthorized_client", "unknown-identity");
    assert_eq!(web.redeem(&code).await.status, 200, "nobody used the code up");
}

#[tokio::test]
async fn what_belongs_to_one_identity_is_worth_nothing_to_the_other() {
    let world = world().await;
    let (billing, orders) = (Web::billing(&world), Web::orders(&world));
    let code = billing.code(ADA).await;
    let refused = orders.redeem(&code).await;
    assert_eq!((refused.status.as_u16(), refused.text("error")), (400, "invalid_grant".to_owned()));
    let refresh = billing.redeem(&code).await.text("refresh_token");
    assert_eq!(orders.refresh(&refresh).await.status, 400);
    let token = users_token(&world, BOB);
    billing.behalf(&token).await.token();
    let refused = orders.behalf(&token).await;
    assert_eq!(told(&refused).2, 500_131, "Entra was asked: what is held is billing's");
    let asked: Vec<_> = world.emulator.journal().into_iter().filter_map(|entry| entry.client_id).collect();
    let [first, second] = [billing.client_id, orders.client_id];
    assert_eq!(asked, [second, first, second, first, second]);
    let own = orders.redeem(&orders.code(BOB).await).await;
    let claims = world.claims(&own.token());
    assert_eq!((&claims["appid"], &claims["upn"]), (&json!(second), &json!(BOB)));
}
