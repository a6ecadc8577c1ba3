//! What is held of relayed grants, for whom and until when, with a scripted relay and a clock that is moved by hand.

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::*;
use crate::authority::{Cloud, Endpoint};
use crate::broker::{Fresh, Identity, Mint, Order};
use crate::claims::Claims;
use crate::clock::{Clock as _, ManualClock};
use crate::fault::Class;
use crate::ids::{Door, Guid, IdentityName, Tenant};
use crate::observe::Fanout;
use crate::policy::{Allowed, Entry, Peer, Policy, RelayAsk, Relayable, Selector};
use crate::secret::Fingerprint;

/// Answers with a token that is another one each time.
#[derive(Debug, Default)]
struct Scripted {
    /// Merged into each answer.
    extra: Mutex<Value>,
    asked: Mutex<Vec<String>>,
    fails: bool,
    gate: Option<Semaphore>,
}

impl Relay for Arc<Scripted> {
    fn relay(&self, form: Arc<Form>) -> BoxFuture<'static, Result<Relayed, MintError>> {
        let script = Arc::clone(self);
        Box::pin(async move {
            script.asked.lock().unwrap().push(form.grant.as_str().to_owned());
            if let Some(gate) = &script.gate {
                gate.acquire().await.unwrap().forget();
            }
            if script.fails {
                return Err(MintError::new(NoWay, Class::Transient));
            }
            let number = script.asked.lock().unwrap().len();
            let mut answer = json!({"token_type": "Bearer", "access_token": format!("t{number}"), "expires_in": 3600});
            let extra = script.extra.lock().unwrap().clone();
            answer.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
            let status = if answer.get("error").is_some() { 400 } else { 200 };
            Ok(Relayed { status, body: answer.to_string().into(), aadsts: None, held: false })
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("scripted")]
struct NoWay;

impl crate::problem::Problem for NoWay {
    fn code(&self) -> &'static str {
        "scripted"
    }
    fn blame(&self) -> crate::problem::Blame {
        crate::problem::Blame::Network
    }
}

#[derive(Debug)]
struct NoMint;

impl Mint for NoMint {
    fn mint(&self, _: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        Box::pin(std::future::pending())
    }
    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        Box::pin(std::future::pending())
    }
}

struct Desk {
    broker: Broker,
    policy: Policy,
    script: Arc<Scripted>,
    clock: Arc<ManualClock>,
}

fn entry(name: &str, client_id: &Guid) -> Entry {
    Entry {
        name: IdentityName::parse(name).unwrap(),
        tenant: Tenant::parse("contoso.example").unwrap(),
        tenant_aliases: vec![],
        client_id: client_id.clone(),
        cloud: Cloud::Public,
        object_id: None,
        resource_id: None,
        allowed: Allowed::Any,
        callers: vec![],
        any_local_caller: true,
        relay: Relayable::Any,
    }
}

impl Desk {
    fn of(script: Scripted) -> Self {
        let (script, clock) = (Arc::new(script), Arc::new(ManualClock::standing(1_800_000_000)));
        let entries: Vec<_> = ["one", "two"].map(|name| entry(name, &Guid::random())).into();
        let identities = entries.iter().map(|entry| Identity {
            name: entry.name.clone(),
            client_id: entry.client_id.clone(),
            mint: Arc::new(NoMint),
            relay: Some(Arc::new(Arc::clone(&script))),
            prefetch: vec![],
            required: false,
            allowed: Allowed::Any,
            mark: Fingerprint::of(b""),
        });
        let observer: Arc<dyn crate::observe::Observer> = Arc::new(Fanout::default());
        let broker = Broker::new(identities.collect(), Arc::clone(&clock) as _, &observer, Duration::from_secs(10));
        Self { broker, policy: Policy::new(entries), script, clock }
    }

    fn new() -> Self {
        Self::of(Scripted::default())
    }

    fn answering(extra: Value) -> Self {
        Self::of(Scripted { extra: Mutex::new(extra), ..Scripted::default() })
    }

    async fn relay_as(&self, who: usize, form: Form) -> Result<Relayed, MintError> {
        let client_id = self.policy.entries()[who].client_id.to_string();
        let ask = RelayAsk {
            door: Door::Oauth,
            selector: Selector::ClientId(client_id.into()),
            tenant: None,
            key: None,
            raw_key: None,
            grant: form.grant,
            scopes: vec![],
        };
        let peer = Peer::Unix { uid: 1, gid: 1, pid: None };
        let grant = self.policy.decide_relay(&peer, &ask).unwrap();
        self.broker.relay(&grant, form).await
    }

    /// The answer's JSON.
    async fn ask(&self, form: Form) -> Value {
        serde_json::from_slice(&self.relay_as(0, form).await.unwrap().body).unwrap()
    }

    fn asked(&self) -> usize {
        self.script.asked.lock().unwrap().len()
    }
}

fn form(grant: GrantType, fields: &[(&str, &str)]) -> Form {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned()))).collect();
    Form { endpoint: Endpoint::V2, grant, claims: Claims::default(), fields }
}

fn of_user(token: &str) -> Form {
    form(GrantType::OnBehalfOf, &[("assertion", token), ("scope", "openid User.Read")])
}

fn with_claims(text: &str) -> Form {
    let mut form = of_user("u");
    form.fields.push(("claims".into(), Zeroizing::new(text.into())));
    form.claims = Claims::read(text).unwrap();
    form
}

#[tokio::test]
async fn only_on_behalf_of_is_held() {
    for (grant, asked) in [(GrantType::AuthorizationCode, 2), (GrantType::RefreshToken, 2), (GrantType::OnBehalfOf, 1)]
    {
        let desk = Desk::new();
        desk.ask(form(grant, &[("assertion", "u")])).await;
        let again = desk.relay_as(0, form(grant, &[("assertion", "u")])).await.unwrap();
        assert_eq!((desk.asked(), again.held), (asked, asked == 1), "{grant:?}");
    }
}

#[tokio::test]
async fn only_relative_times_of_a_held_answer_change() {
    let extra = json!({"ext_expires_in": 7200, "refresh_in": 1800, "expires_on": "1800003600", "not_before": "1799999700", "scope": "a  b"});
    let desk = Desk::answering(extra);
    let first = desk.relay_as(0, of_user("u")).await.unwrap().body;
    desk.clock.advance(Duration::from_secs(100));
    let second = desk.relay_as(0, of_user("u")).await.unwrap().body;
    let text = std::str::from_utf8(&first).unwrap();
    let wanted = text
        .replace(":3600", ":3500")
        .replace(":7200", ":7100")
        .replace(":1800}", ":1700}")
        .replace(":1800,", ":1700,");
    assert_eq!(std::str::from_utf8(&second).unwrap(), wanted);
    assert_ne!(first, second);
}

#[tokio::test]
async fn v1_times_stay_texts_and_the_end_follows_the_wall_clock() {
    let desk = Desk::answering(json!({"expires_in": "3600", "ext_expires_in": "3600", "expires_on": "1800003600"}));
    desk.ask(of_user("u")).await;
    desk.clock.advance(Duration::from_secs(60));
    let held = desk.ask(of_user("u")).await;
    assert_eq!((&held["expires_in"], &held["expires_on"]), (&json!("3540"), &json!("1800003600")));
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn an_answer_is_held_until_its_margin_and_not_longer() {
    let desk = Desk::new();
    desk.ask(of_user("u")).await;
    desk.clock.advance(Duration::from_secs(3_299));
    assert_eq!(desk.ask(of_user("u")).await["expires_in"], 301);
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.ask(of_user("u")).await["access_token"], "t2");
}

#[tokio::test]
async fn what_differs_in_anything_that_counts_is_asked_for_itself() {
    let desk = Desk::new();
    let mut v1 = of_user("u");
    v1.endpoint = Endpoint::V1;
    let scope = |text: &str| form(GrantType::OnBehalfOf, &[("assertion", "u"), ("scope", text)]);
    let more = form(GrantType::OnBehalfOf, &[("assertion", "u"), ("scope", "openid User.Read"), ("client_info", "1")]);
    for other in [of_user("u"), of_user("v"), v1, scope("User.Read"), scope("openid user.read"), more] {
        assert!(!desk.relay_as(0, other).await.unwrap().held);
    }
    assert!(!desk.relay_as(1, of_user("u")).await.unwrap().held, "another identity");
    assert!(desk.relay_as(0, scope(" User.Read  openid openid")).await.unwrap().held);
    let noisy =
        [("x-client-sku", "msal"), ("scope", "openid User.Read"), ("Client-Request-Id", "1"), ("assertion", "u")];
    assert!(desk.relay_as(0, form(GrantType::OnBehalfOf, &noisy)).await.unwrap().held);
}

#[tokio::test]
async fn an_answer_with_a_refresh_token_and_a_refusal_are_not_held() {
    for extra in [
        json!({"refresh_token": "r"}),
        json!({"error": "invalid_grant"}),
        json!({"expires_in": 0}),
        json!({"expires_in": "soon"}),
        json!({"expires_in": -5}),
        json!({"padding": "x".repeat(LARGEST_HELD)}),
    ] {
        let desk = Desk::answering(extra.clone());
        desk.ask(of_user("u")).await;
        desk.ask(of_user("u")).await;
        assert_eq!(desk.asked(), 2, "{:.80}", extra.to_string());
    }
}

#[tokio::test]
async fn a_challenge_passes_by_what_is_held_and_replaces_it() {
    let capable = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let challenge = r#"{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}"#;
    let desk = Desk::new();
    assert_eq!(desk.ask(with_claims(capable)).await["access_token"], "t1");
    assert_eq!(desk.ask(with_claims(capable)).await["access_token"], "t1");
    assert_eq!(desk.ask(with_claims(challenge)).await["access_token"], "t2");
    assert_eq!(desk.ask(with_claims(challenge)).await["access_token"], "t3");
    assert_eq!(desk.ask(with_claims(capable)).await["access_token"], "t3");
    assert_eq!(desk.ask(of_user("u")).await["access_token"], "t4", "not for who cannot take a challenge");
}

#[tokio::test]
async fn a_challenge_that_is_refused_leaves_what_is_held() {
    let desk = Desk::new();
    desk.ask(of_user("u")).await;
    *desk.script.extra.lock().unwrap() = json!({"error": "interaction_required"});
    desk.ask(with_claims(r#"{"access_token":{"acrs":{"value":"c1"}}}"#)).await;
    assert_eq!(desk.ask(of_user("u")).await["access_token"], "t1");
}

#[tokio::test]
async fn the_least_recently_used_goes_when_there_are_too_many() {
    let desk = Desk::new();
    for user in 0..MOST_HELD {
        desk.ask(of_user(&user.to_string())).await;
    }
    assert!(desk.relay_as(0, of_user("0")).await.unwrap().held);
    desk.ask(of_user("one more")).await;
    assert!(desk.relay_as(0, of_user("0")).await.unwrap().held, "used since");
    assert!(!desk.relay_as(0, of_user("1")).await.unwrap().held, "the least recently used");
    assert_eq!(format!("{:?}", desk.broker.answers), format!("Answers {{ held: {MOST_HELD} }}"));
}

#[tokio::test]
async fn what_has_passed_is_swept_away_though_nobody_asks() {
    let desk = Desk::new();
    desk.ask(of_user("u")).await;
    desk.clock.advance(Duration::from_secs(3_600));
    desk.broker.answers.sweep(desk.clock.now());
    assert_eq!(format!("{:?}", desk.broker.answers), "Answers { held: 0 }");
}

#[tokio::test]
async fn many_requests_of_one_user_share_one_question() {
    let desk = Arc::new(Desk::of(Scripted { gate: Some(Semaphore::new(0)), ..Scripted::default() }));
    let ask = || {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.ask(of_user("u")).await })
    };
    let asking: Vec<_> = (0..50).map(|_| ask()).collect();
    // One permit: a second question would wait for ever.
    desk.script.gate.as_ref().unwrap().add_permits(1);
    for answer in asking {
        assert_eq!(answer.await.unwrap()["access_token"], "t1");
    }
}

#[tokio::test]
async fn after_a_failure_those_who_waited_ask_side_by_side() {
    let gate = Some(Semaphore::new(0));
    let desk = Arc::new(Desk::of(Scripted { gate, fails: true, ..Scripted::default() }));
    let ask = || {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { desk.relay_as(0, of_user("u")).await.is_err() })
    };
    let asking: Vec<_> = (0..3).map(|_| ask()).collect();
    // Each has run once by then: one is at the gate, and the others wait for it.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.asked(), 1);
    desk.script.gate.as_ref().unwrap().add_permits(1);
    // Nobody lets the other two through one by one: both must be at the gate before it opens again.
    while desk.asked() < 3 {
        tokio::task::yield_now().await;
    }
    desk.script.gate.as_ref().unwrap().add_permits(2);
    for answer in asking {
        assert!(answer.await.unwrap());
    }
}

#[test]
fn nothing_prints_what_is_passed_on() {
    let relayed = Relayed { status: 200, body: "canary".into(), aadsts: None, held: false };
    assert!(!format!("{:?} {relayed:?}", of_user("canary")).contains("canary"));
}
