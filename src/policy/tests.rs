//! Who gets which identity, and who does not.

use super::*;
use crate::problem::Problem as _;

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const VAULT: &str = "https://vault.azure.net";
const TCP: Peer = Peer::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000));
const KEY: &str = "key-key-key-key-key-key-key-key-1";

fn unix(uid: u32, gid: u32) -> Peer {
    Peer::Unix { uid, gid, pid: None }
}

fn guid(digit: &str) -> Guid {
    Guid::parse(&format!("{}-dddd-4eee-8fff-44444444444a", digit.repeat(8))).unwrap()
}

fn entry(name: &str, digit: &str, callers: Vec<CallerRule>) -> Entry {
    Entry {
        name: IdentityName::parse(name).unwrap(),
        tenant: Tenant::parse(TENANT).unwrap(),
        tenant_aliases: vec![Tenant::parse("contoso.example").unwrap()],
        client_id: guid(digit),
        object_id: Some(Guid::parse(&format!("{}-aaaa-4eee-8fff-444444444444", digit.repeat(8))).unwrap()),
        resource_id: Some(format!("/subscriptions/s/resourcegroups/g/providers/x/userAssignedIdentities/{name}")),
        cloud: Cloud::Public,
        allowed: Allowed::Listed(vec![Resource::parse(VAULT).unwrap()]),
        any_local_caller: callers.is_empty(),
        callers,
        relay: Relayable::Nothing,
    }
}

fn key(text: &str) -> CallerRule {
    CallerRule::Key(Fingerprint::of(text.as_bytes()))
}

fn ask(door: Door) -> Ask<'static> {
    Ask {
        door,
        selector: Selector::None,
        tenant: None,
        resource: VAULT.into(),
        key: None,
        raw_key: None,
        capable: false,
        renew: None,
    }
}

fn with_key(door: Door, key: &'static str) -> Ask<'static> {
    Ask { key: Some(key.into()), ..ask(door) }
}

/// The identity that is granted, by name.
fn decide(policy: &Policy, peer: &Peer, ask: &Ask<'_>) -> Result<String, Denied> {
    policy.decide(peer, ask).map(|grant| grant.identity().to_string())
}

#[test]
fn with_one_identity_nothing_has_to_be_named() {
    let policy = Policy::new(vec![entry("only", "1", vec![])]);
    assert_eq!(decide(&policy, &TCP, &ask(Door::Imds)).unwrap(), "only");
    let two = Policy::new(vec![entry("one", "1", vec![]), entry("two", "2", vec![])]);
    assert_eq!(decide(&two, &TCP, &ask(Door::Imds)), Err(Denied::Unnamed));
}

#[test]
fn an_identity_is_found_by_each_of_its_ids_in_any_case() {
    let policy = Policy::new(vec![entry("one", "a", vec![]), entry("two", "b", vec![])]);
    let two = entry("two", "b", vec![]);
    let resource_id = two.resource_id.unwrap().to_uppercase();
    let object_id = two.object_id.unwrap().to_string().to_uppercase();
    for selector in [
        Selector::ClientId(guid("B").as_str().to_uppercase().into()),
        Selector::ObjectId(object_id.into()),
        Selector::ResourceId(resource_id.into()),
    ] {
        assert_eq!(decide(&policy, &TCP, &Ask { selector, ..ask(Door::Imds) }).unwrap(), "two");
    }
    let unknown = Ask { selector: Selector::ClientId(guid("c").as_str().to_owned().into()), ..ask(Door::Imds) };
    assert!(matches!(decide(&policy, &TCP, &unknown), Err(Denied::UnknownIdentity { parameter: "client_id", .. })));
}

#[test]
fn a_key_names_its_identity_and_opens_no_other() {
    let other = "key-key-key-key-key-key-key-key-2";
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)]), entry("two", "2", vec![key(other)])]);
    assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, KEY)).unwrap(), "one");
    assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, other)).unwrap(), "two");
    assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, "neither")), Err(Denied::WrongKey));
    assert_eq!(decide(&policy, &TCP, &ask(Door::Imds)), Err(Denied::Unnamed));
    let crossed =
        Ask { selector: Selector::ClientId(guid("1").as_str().to_owned().into()), ..with_key(Door::Oauth, other) };
    assert_eq!(decide(&policy, &TCP, &crossed), Err(Denied::KeyOfAnother));
}

#[test]
fn a_final_newline_and_the_encoding_of_http_basic_do_not_matter() {
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    assert!(decide(&policy, &TCP, &with_key(Door::Oauth, "key-key-key-key-key-key-key-key-1\r\n")).is_ok());
    let raw = Ask { raw_key: Some(KEY.into()), ..with_key(Door::Oauth, "decoded to something else") };
    assert!(decide(&policy, &TCP, &raw).is_ok());
}

#[test]
fn wrong_missing_and_real_secrets_are_told_apart_without_being_shown() {
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    let secret = "abc8Q~canarycanarycanarycanarycanarycan.";
    assert_eq!(decide(&policy, &TCP, &with_key(Door::Oauth, "wrong")), Err(Denied::WrongKey));
    assert_eq!(decide(&policy, &TCP, &ask(Door::Oauth)), Err(Denied::KeyMissing));
    for callers in [vec![key(KEY)], vec![key(secret)], vec![]] {
        let policy = Policy::new(vec![entry("one", "1", callers)]);
        assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, secret)), Err(Denied::EntraSecret));
    }
    let misplaced = Ask { selector: Selector::ClientId(secret.into()), ..ask(Door::Oauth) };
    let denied = decide(&policy, &TCP, &misplaced).unwrap_err();
    assert!(!denied.to_string().contains("canary"), "{denied}");
    let token = Ask { selector: Selector::ClientId("eyJhbGciOiJSUzI1NiJ9.canary.sig".into()), ..ask(Door::Imds) };
    let denied = decide(&policy, &TCP, &token).unwrap_err();
    assert!(!denied.to_string().contains("canary"), "{denied}");
    assert!(!format!("{:?}", with_key(Door::Oauth, secret)).contains("canary"));
}

#[test]
fn doors_without_a_key_serve_open_identities_and_known_socket_callers_only() {
    let keyed = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    assert_eq!(decide(&keyed, &TCP, &ask(Door::Imds)), Err(Denied::Peer { door: Door::Imds }));
    assert_eq!(decide(&keyed, &unix(0, 0), &ask(Door::Imds)), Err(Denied::Peer { door: Door::Imds }));
    let known = Policy::new(vec![entry("one", "1", vec![CallerRule::Uid(1_000), CallerRule::Gid(50), key(KEY)])]);
    assert!(decide(&known, &unix(1_000, 1), &ask(Door::Imds)).is_ok());
    assert!(decide(&known, &unix(1, 50), &ask(Door::Imds)).is_ok());
    for stranger in [unix(50, 1_000), unix(0, 0), TCP] {
        assert_eq!(decide(&known, &stranger, &ask(Door::Imds)), Err(Denied::Peer { door: Door::Imds }));
    }
}

#[test]
fn a_door_that_carries_a_key_demands_it_where_the_identity_has_one() {
    let both = Policy::new(vec![entry("one", "1", vec![CallerRule::Uid(1_000), key(KEY)])]);
    assert_eq!(decide(&both, &unix(1_000, 1), &with_key(Door::Oauth, "wrong")), Err(Denied::WrongKey));
    assert!(decide(&both, &unix(1_000, 1), &with_key(Door::Oauth, KEY)).is_ok());
    let by_uid = Policy::new(vec![entry("one", "1", vec![CallerRule::Uid(1_000)])]);
    assert!(decide(&by_uid, &unix(1_000, 1), &with_key(Door::Oauth, "any")).is_ok());
    assert_eq!(decide(&by_uid, &unix(1, 1), &with_key(Door::Oauth, "any")), Err(Denied::Peer { door: Door::Oauth }));
    let open = Policy::new(vec![entry("one", "1", vec![])]);
    assert!(decide(&open, &TCP, &with_key(Door::Oauth, "any")).is_ok());
    assert!(decide(&open, &TCP, &ask(Door::Oauth)).is_ok());
}

#[test]
fn where_a_key_may_be_left_out_the_socket_says_who_it_is() {
    let both = Policy::new(vec![entry("one", "1", vec![CallerRule::Uid(1_000), key(KEY)])]);
    let by_uid = Policy::new(vec![entry("one", "1", vec![CallerRule::Uid(1_000)])]);
    for door in [Door::Plain, Door::CloudShell] {
        assert!(decide(&both, &unix(1_000, 1), &ask(door)).is_ok());
        assert!(decide(&both, &TCP, &with_key(door, KEY)).is_ok());
        assert_eq!(decide(&both, &unix(1_000, 1), &with_key(door, "wrong")), Err(Denied::WrongKey));
        assert_eq!(decide(&both, &unix(1, 1), &ask(door)), Err(Denied::KeyMissing));
        assert_eq!(decide(&both, &TCP, &ask(door)), Err(Denied::KeyMissing));
        assert_eq!(decide(&by_uid, &TCP, &ask(door)), Err(Denied::Peer { door }));
    }
    assert_eq!(decide(&both, &unix(1_000, 1), &ask(Door::AppService2017)), Err(Denied::KeyMissing));
}

#[test]
fn an_open_identity_with_keys_takes_no_key_or_a_right_one() {
    let mut open = entry("one", "1", vec![key(KEY)]);
    open.any_local_caller = true;
    let policy = Policy::new(vec![open]);
    for door in [Door::Oauth, Door::AppService] {
        assert!(decide(&policy, &TCP, &ask(door)).is_ok());
        assert!(decide(&policy, &TCP, &with_key(door, KEY)).is_ok());
        assert_eq!(decide(&policy, &TCP, &with_key(door, "wrong")), Err(Denied::WrongKey));
        for nothing in ["", "\n"] {
            assert!(decide(&policy, &TCP, &with_key(door, nothing)).is_ok());
        }
    }
    assert!(decide(&policy, &TCP, &ask(Door::Imds)).is_ok());
}

#[test]
fn an_empty_key_is_a_missing_one() {
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    assert_eq!(decide(&policy, &TCP, &with_key(Door::Oauth, "")), Err(Denied::KeyMissing));
    let two = Policy::new(vec![entry("one", "1", vec![key(KEY)]), entry("two", "2", vec![])]);
    assert_eq!(decide(&two, &TCP, &with_key(Door::Oauth, "")), Err(Denied::Unnamed));
}

#[test]
fn the_tenant_of_the_path_must_be_the_identitys_or_an_alias() {
    let policy = Policy::new(vec![entry("one", "1", vec![])]);
    let at = |tenant: &'static str| Ask { tenant: Some(tenant.into()), ..ask(Door::Oauth) };
    for good in [TENANT, "11111111-AAAA-4BBB-8CCC-222222222222", "Contoso.Example"] {
        assert!(decide(&policy, &TCP, &at(good)).is_ok(), "{good}");
    }
    assert_eq!(decide(&policy, &TCP, &at("common")), Err(Denied::Tenant { asked: "`common`".into() }));
}

#[test]
fn one_client_id_in_two_tenants_is_told_apart_by_tenant_then_key() {
    let mut other = entry("two", "1", vec![key(KEY)]);
    other.tenant = Tenant::parse("fabrikam.example").unwrap();
    other.tenant_aliases.clear();
    let policy = Policy::new(vec![entry("one", "1", vec![]), other]);
    let id = || Selector::ClientId(guid("1").as_str().to_owned().into());
    let at = |tenant: &'static str| Ask { selector: id(), tenant: Some(tenant.into()), ..with_key(Door::Oauth, KEY) };
    assert_eq!(decide(&policy, &TCP, &at("fabrikam.example")).unwrap(), "two");
    assert_eq!(decide(&policy, &TCP, &at(TENANT)), Err(Denied::KeyOfAnother));
    assert_eq!(decide(&policy, &TCP, &Ask { selector: id(), ..with_key(Door::AppService, KEY) }).unwrap(), "two");
    assert_eq!(decide(&policy, &TCP, &Ask { selector: id(), ..ask(Door::Imds) }), Err(Denied::Unnamed));
}

#[test]
fn a_resource_is_allowed_when_listed_and_strangers_do_not_learn_which() {
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    let of = |resource: &'static str, key| Ask { resource: resource.into(), ..with_key(Door::Oauth, key) };
    assert_eq!(
        policy.decide(&TCP, &of("https://vault.azure.net/", KEY)).unwrap().resource(),
        "https://vault.azure.net/"
    );
    for wrong in ["https://vault.azure.net//", "https://graph.microsoft.com", "https://VAULT.azure.net"] {
        assert!(matches!(decide(&policy, &TCP, &of(wrong, KEY)), Err(Denied::Resource { .. })), "{wrong}");
        assert_eq!(decide(&policy, &TCP, &of(wrong, "wrong")), Err(Denied::WrongKey));
    }
    let mut any = entry("one", "1", vec![]);
    any.allowed = Allowed::Any;
    assert!(decide(&Policy::new(vec![any]), &TCP, &of("https://graph.microsoft.com", KEY)).is_ok());
}

#[test]
fn what_is_quoted_is_short() {
    let policy = Policy::new(vec![entry("one", "1", vec![])]);
    let long = Ask { selector: Selector::ClientId("ü".repeat(5_000).into()), ..ask(Door::Oauth) };
    assert!(decide(&policy, &TCP, &long).unwrap_err().to_string().chars().count() < 200);
}

#[test]
fn a_key_that_can_be_guessed_opens_nothing_though_its_hash_is_configured() {
    const SHORT: &str = "31 characters are one too few..";
    const LONG: &str = "32 characters are as many as it.";
    let policy = Policy::new(vec![entry("one", "1", vec![key(SHORT), key(LONG)])]);
    assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, SHORT)), Err(Denied::WrongKey));
    assert_eq!(decide(&policy, &TCP, &with_key(Door::AppService, LONG)).unwrap(), "one");
}

#[test]
fn the_remedy_of_a_refused_resource_is_the_scope_to_add() {
    let denied = |asked: &str| Denied::Resource {
        asked: denied::quoted(asked),
        identity: IdentityName::parse("billing").unwrap(),
    };
    let remedy = |asked: &str| denied(asked).remedy().unwrap().into_owned();
    let added = "add `https://database.windows.net//.default` to the scopes of identity `billing`";
    assert_eq!(remedy("https://database.windows.net/"), added);
    assert!(remedy(&"x".repeat(500)).starts_with("add it to the scopes"));
}

fn challenge() -> Option<Renew> {
    crate::claims::Claims::read(r#"{"access_token":{"acrs":null}}"#).unwrap().challenge.map(Renew::Claims)
}

#[test]
fn revocable_tokens_are_for_graph_and_for_clients_that_can_answer_a_challenge() {
    let mut any = entry("one", "1", vec![]);
    any.allowed = Allowed::Any;
    let policy = Policy::new(vec![any]);
    let graph = Cloud::Public.graph();
    let of = |door, resource: &'static str| Ask { capable: true, resource: resource.into(), ..ask(door) };
    for door in Door::ALL {
        let wanted = matches!(door, Door::Oauth | Door::TokenProxy);
        assert_eq!(policy.decide(&TCP, &of(door, graph)).unwrap().capable(), wanted, "{door}");
        assert!(!policy.decide(&TCP, &of(door, VAULT)).unwrap().capable(), "{door}");
        assert!(!policy.decide(&TCP, &Ask { capable: false, ..of(door, graph) }).unwrap().capable(), "{door}");
        let other_cloud = of(door, Cloud::China.graph());
        assert!(!policy.decide(&TCP, &other_cloud).unwrap().capable(), "{door}");
        let answered = Ask { renew: challenge(), ..of(door, graph) };
        assert_eq!(policy.decide(&TCP, &answered).is_ok(), wanted, "{door}");
        let elsewhere = Ask { renew: challenge(), ..of(door, VAULT) };
        assert!(matches!(policy.decide(&TCP, &elsewhere), Err(Denied::Challenge { .. })), "{door}");
        let bypass = Ask { renew: Some(Renew::Bypass), ..of(door, VAULT) };
        assert_eq!(policy.decide(&TCP, &bypass).unwrap().renew(), Some(&Renew::Bypass), "{door}");
    }
}

#[test]
fn a_stranger_does_not_learn_from_a_challenge_what_an_identity_may_ask_for() {
    let policy = Policy::new(vec![entry("one", "1", vec![key(KEY)])]);
    let stranger = Ask { renew: challenge(), ..with_key(Door::Oauth, "wrong") };
    assert_eq!(decide(&policy, &TCP, &stranger), Err(Denied::WrongKey));
    let withheld = Ask { renew: challenge(), resource: "https://x.example".into(), ..with_key(Door::Oauth, KEY) };
    assert!(matches!(decide(&policy, &TCP, &withheld), Err(Denied::Resource { .. })));
}
