//! Golden bodies, field by field and type by type, and the times in them.

use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, Deadline, ManualClock};
use crate::ids::{Guid, Resource};
use crate::secret::Secret;

const EPOCH: u64 = 1_798_761_832;
const EVERY: [Shape; Shape::COUNT] =
    [Shape::ManagedIdentity, Shape::OauthV2, Shape::OauthV1, Shape::PlainToken, Shape::PlainHeader];

fn minted(clock: &dyn Clock, refresh: Option<u64>, ext: Option<u64>) -> Minted {
    let now = clock.now();
    let after = |seconds| Deadline::after(now, Duration::from_secs(seconds));
    Minted {
        access_token: Secret::new("eyJ0.eyJh.c2ln"),
        client_id: Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap(),
        resource: Resource::parse("https://Vault.azure.net/").unwrap(),
        received: now,
        expires: after(3_600),
        ext_expires: ext.map(after),
        refresh: refresh.map(after),
        bodies: Default::default(),
    }
}

fn read(minted: &Minted, shape: Shape, now: Now) -> Value {
    serde_json::from_slice(&write(minted, shape, now)).unwrap()
}

#[test]
fn the_managed_identity_body_is_all_texts() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, Some(1_800), Some(7_200));
    clock.advance(Duration::from_secs(60));
    let wanted = json!({
        "access_token": "eyJ0.eyJh.c2ln", "refresh_token": "", "client_id": "33333333-dddd-4eee-8fff-444444444444",
        "expires_in": "3540", "expires_on": "1798765432", "ext_expires_in": "7140", "not_before": "1798761832",
        "resource": "https://Vault.azure.net/", "token_type": "Bearer",
    });
    assert_eq!(read(&minted, Shape::ManagedIdentity, clock.now()), wanted);
}

#[test]
fn the_v2_body_has_numbers_and_no_more_than_entra_sends() {
    let clock = ManualClock::standing(EPOCH);
    let wanted =
        json!({"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": "eyJ0.eyJh.c2ln"});
    assert_eq!(read(&minted(&clock, None, None), Shape::OauthV2, clock.now()), wanted);
    let refreshed = read(&minted(&clock, Some(1_800), None), Shape::OauthV2, clock.now());
    assert_eq!(refreshed["refresh_in"], 1_800);
}

#[test]
fn the_v1_body_has_texts_an_instant_and_the_resource() {
    let clock = ManualClock::standing(EPOCH);
    let wanted = json!({
        "token_type": "Bearer", "expires_in": "3600", "ext_expires_in": "3600", "expires_on": "1798765432",
        "not_before": "1798761832", "resource": "https://Vault.azure.net/", "access_token": "eyJ0.eyJh.c2ln",
    });
    assert_eq!(read(&minted(&clock, Some(1_800), None), Shape::OauthV1, clock.now()), wanted);
}

#[test]
fn the_bodies_for_scripts_have_numbers_and_name_what_the_token_is_for() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, Some(1_800), Some(7_200));
    clock.advance(Duration::from_secs(60));
    let wanted = json!({
        "access_token": "eyJ0.eyJh.c2ln", "token_type": "Bearer", "expires_in": 3_540, "expires_on": 1_798_765_432,
        "resource": "https://Vault.azure.net/", "scope": "https://Vault.azure.net//.default",
    });
    assert_eq!(read(&minted, Shape::PlainToken, clock.now()), wanted);
    let wanted = json!({"authorization": "Bearer eyJ0.eyJh.c2ln", "expires_on": 1_798_765_432});
    assert_eq!(read(&minted, Shape::PlainHeader, clock.now()), wanted);
}

#[test]
fn relative_times_fall_with_the_clock_though_the_body_was_rendered_before() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, Some(500), None);
    for (shape, start, later) in [
        (Shape::ManagedIdentity, json!("3600"), json!("2600")),
        (Shape::OauthV1, json!("3600"), json!("2600")),
        (Shape::OauthV2, json!(3_600), json!(2_600)),
        (Shape::PlainToken, json!(3_600), json!(2_600)),
    ] {
        let first = clock.now();
        assert_eq!(read(&minted, shape, first)["expires_in"], start);
        let then = Now { mono: first.mono + Duration::from_secs(1_000), wall: first.wall + Duration::from_secs(1_000) };
        assert_eq!(read(&minted, shape, then)["expires_in"], later);
        if shape == Shape::OauthV2 {
            assert_eq!(read(&minted, shape, then)["refresh_in"], 1);
        }
    }
}

#[test]
fn both_ways_to_say_the_end_agree_after_the_wall_clock_was_set_back() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, None, None);
    clock.advance(Duration::from_secs(600));
    clock.set_wall_back(Duration::from_secs(1_800));
    let now = clock.now();
    let body = read(&minted, Shape::ManagedIdentity, now);
    assert_eq!(body["expires_in"], "3000");
    assert_eq!(body["expires_on"], (now.epoch() + 3_000).to_string());
}

#[test]
fn an_expired_token_has_no_negative_life() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, None, None);
    clock.advance(Duration::from_secs(4_000));
    assert_eq!(read(&minted, Shape::ManagedIdentity, clock.now())["expires_in"], "0");
}

#[test]
fn who_asks_in_the_same_second_is_handed_the_same_body() {
    let clock = ManualClock::standing(EPOCH);
    let minted = minted(&clock, Some(9), None);
    for shape in EVERY {
        let first = write(&minted, shape, clock.now());
        assert_eq!(first.as_ptr(), write(&minted, shape, clock.now()).as_ptr(), "{shape:?}");
    }
    let first = write(&minted, Shape::OauthV2, clock.now());
    clock.advance(Duration::from_secs(1));
    assert_ne!(first, write(&minted, Shape::OauthV2, clock.now()));
}

#[test]
fn what_stands_in_a_body_is_quoted_as_json_is() {
    let clock = ManualClock::standing(EPOCH);
    let mut minted = minted(&clock, None, None);
    minted.resource = Resource::parse(r#"api://"odd"\\é"#).unwrap();
    minted.access_token = Secret::new(r#"a"b\\c"#);
    for shape in [Shape::ManagedIdentity, Shape::OauthV1, Shape::PlainToken] {
        let body = read(&minted, shape, clock.now());
        assert_eq!(body["resource"], minted.resource.as_str());
        assert_eq!(body["access_token"], minted.access_token.expose());
    }
    let header = read(&minted, Shape::PlainHeader, clock.now());
    assert_eq!(header["authorization"], format!("Bearer {}", minted.access_token.expose()));
}

#[test]
fn a_body_never_outgrows_what_was_reserved() {
    let clock = ManualClock::standing(EPOCH);
    let longest = u64::from(u32::MAX);
    let minted = minted(&clock, Some(longest), Some(longest));
    let reserved = "\"eyJ0.eyJh.c2ln\"".len() + 2 * "\"https://Vault.azure.net/\"".len() + 512;
    for shape in EVERY {
        assert_eq!(render(&minted, shape, times(&minted, clock.now())).capacity(), reserved, "{shape:?}");
    }
}
