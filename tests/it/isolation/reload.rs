//! What a reload withdraws is refused from the next request on, though its token is held; what stays is not asked anew.

use unsecret::problem::Problem as _;
use unsecret::secret::local_key::LocalKey;

use super::{Door, Key, Named, Pair, Rules, Who, outcome};
use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, Plan, VAULT, World, encoded};

fn code(answer: &Answer) -> (u16, String) {
    let code = answer.body.split_once("(unsecret: ").and_then(|(_, rest)| rest.split_once(')'));
    (answer.status.as_u16(), code.map_or("no refusal", |(code, _)| code).to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_withdrawn_scope_is_refused_at_every_door_though_its_token_is_held() {
    let mut world = World::new().await;
    let held = world.imds(GRAPH).send().await.token();
    world.imds(VAULT).send().await.token();
    world.plan.scopes = vec![VAULT];
    world.reload().await.unwrap();
    for (door, call) in world.every_door(GRAPH) {
        assert_eq!(code(&call.send().await), refused(403, "resource-not-allowed"), "{door}");
    }
    for (door, call) in world.every_door(VAULT) {
        assert_eq!(call.send().await.status, 200, "{door}");
    }
    assert_eq!(world.exchanges(), 2, "what stays is not asked for anew");
    world.plan.scopes = vec![GRAPH, VAULT];
    world.reload().await.unwrap();
    assert_ne!(world.imds(GRAPH).send().await.token(), held, "what was withdrawn was let go");
}

/// Every door that carries a key, with this one.
fn keyed(world: &World, client_id: &str, key: &str) -> [Call; 2] {
    let target = format!("/msi/token?api-version=2019-08-01&client_id={client_id}&resource={}", encoded(GRAPH));
    [world.oauth_as(client_id, key, GRAPH), Call::get(world.http(), target).header("x-identity-header", key)]
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_at_once_and_the_other_one_goes_on() {
    let second = LocalKey::generate().unwrap();
    let second_rule = "[[identity.caller]]\nkey_file = \"{folder}/second\"\n";
    let plan = Plan {
        identity: String::new(),
        callers: Some(format!("[[identity.caller]]\nkey_file = \"{{folder}}/caller.key\"\n{second_rule}")),
        files: vec![("second", second.secret().expose().to_owned())],
        ..Plan::default()
    };
    let mut world = World::of(plan).await;
    let (first, second) = (world.key.secret().expose().to_owned(), second.secret().expose().to_owned());
    for call in [&first, &second].into_iter().flat_map(|key| keyed(&world, CLIENT, key)) {
        call.send().await.token();
    }
    world.plan.callers = Some(second_rule.to_owned());
    world.reload().await.unwrap();
    for call in keyed(&world, CLIENT, &first) {
        assert_eq!(code(&call.send().await), refused(401, "wrong-local-key"));
    }
    for call in keyed(&world, CLIENT, &second) {
        call.send().await.token();
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn an_identity_that_is_closed_or_whose_uid_is_withdrawn_refuses_at_once() {
    let own = rustix::process::geteuid().as_raw();
    let open = Rules { open: [true, false], uid: [None, Some(own)], ..Rules::CLOSED };
    let mut pair = Pair::of(open).await;
    let ask = async |pair: &Pair, who| {
        let place = if who == Who::A { pair.world.http().into() } else { pair.world.unix() };
        outcome(&pair.world, &pair.call(place, Door::Imds, Named::Client(who), Key::None).send().await)
    };
    assert_eq!(ask(&pair, Who::A).await, Ok(Who::A));
    assert_eq!(ask(&pair, Who::B).await, Ok(Who::B));
    pair.reload(Rules { uid: [None, Some(own + 1)], ..Rules::CLOSED }).await;
    for who in [Who::A, Who::B] {
        assert_eq!(ask(&pair, who).await, Err((403, "caller-not-allowed".to_owned())));
    }
    pair.reload(open).await;
    assert_eq!(ask(&pair, Who::A).await, Ok(Who::A));
    assert_eq!(ask(&pair, Who::B).await, Ok(Who::B));
    assert_eq!(pair.world.exchanges(), 2, "the tokens were held all the while");
}

#[tokio::test]
async fn an_identity_that_comes_is_served_and_one_that_goes_is_unknown() {
    let mut pair = Pair::of(Rules::CLOSED).await;
    let both = pair.world.plan.clone();
    let (first, second) = (pair.world.key.secret().expose().to_owned(), pair.other.secret().expose().to_owned());
    let alone = Plan { more: String::new(), ..both.clone() };
    let held = keyed(&pair.world, CLIENT, &first)[0].clone().send().await.token();
    pair.world.oauth_as(OTHER_CLIENT, &second, GRAPH).send().await.token();

    pair.world.plan = alone;
    pair.world.reload().await.unwrap();
    for call in keyed(&pair.world, OTHER_CLIENT, &second) {
        assert_eq!(code(&call.send().await), refused(400, "unknown-identity"));
    }
    for call in keyed(&pair.world, CLIENT, &second) {
        assert_eq!(code(&call.send().await), refused(401, "wrong-local-key"), "its key opens nothing any more");
    }
    pair.world.plan = both;
    pair.world.reload().await.unwrap();
    pair.world.oauth_as(OTHER_CLIENT, &second, GRAPH).send().await.token();
    assert_eq!(pair.world.oauth_as(CLIENT, &first, GRAPH).send().await.token(), held);
    assert_eq!(pair.world.exchanges(), 3, "one of the neighbour anew, none of the other");
}

#[tokio::test]
async fn a_reload_that_fails_leaves_everything_as_it_was() {
    let mut pair = Pair::of(Rules { open: [true, false], ..Rules::CLOSED }).await;
    let good = pair.world.plan.clone();
    let before = pair.world.imds(GRAPH).query(&format!("client_id={CLIENT}")).send().await.token();
    let wrong = [
        ("no scopes", Plan { scopes: vec![], ..good.clone() }),
        ("an unknown setting", Plan { identity: format!("{}colour = 1\n", good.identity), ..good.clone() }),
        ("a key file that is gone", Plan { callers: Some(gone()), ..good.clone() }),
        ("one key for two", Plan { callers: Some(shared()), ..good.clone() }),
        ("nobody may", Plan { identity: String::new(), callers: Some(String::new()), ..good.clone() }),
        ("another listener", Plan { unix: false, ..good.clone() }),
    ];
    for (what, plan) in wrong {
        pair.world.plan = plan;
        let error = pair.world.reload().await.unwrap_err();
        assert!(!error.code().is_empty(), "{what}");
        let named = pair.world.imds(GRAPH).query(&format!("client_id={CLIENT}"));
        assert_eq!(named.send().await.token(), before, "{what}");
        for who in [Who::A, Who::B] {
            let answer =
                pair.call(pair.world.http().into(), Door::AppService, Named::Nothing, Key::Of(who)).send().await;
            assert_eq!(outcome(&pair.world, &answer), Ok(who), "{what}");
            let answer =
                pair.call(pair.world.http().into(), Door::OauthV2, Named::Client(who), Key::Wrong).send().await;
            assert_eq!(outcome(&pair.world, &answer), Err((401, "wrong-local-key".to_owned())), "{what}");
        }
    }
    assert_eq!(pair.world.exchanges(), 2);
    assert!(pair.world.metric("unsecret_config_last_reload_successful").await.abs() < f64::EPSILON);
}

fn gone() -> String {
    "[[identity.caller]]\nkey_file = \"{folder}/gone\"\n".to_owned()
}

fn shared() -> String {
    "[[identity.caller]]\nkey_file = \"{folder}/other.key\"\n".to_owned()
}
