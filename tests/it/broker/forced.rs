//! Callers for whom the held token will not do: challenges, refused tokens, and who asks for no held one (contract A10, B8).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use unsecret::claims::{Challenge, Claims};
use unsecret::fault::Class;
use unsecret::ids::Door;
use unsecret::policy::{Ask, Renew};
use unsecret::secret::Fingerprint;

use super::{Desk, GRAPH, ROUND_TRIP, Step, VAULT, WAIT, ask_as, asking, pass, seconds, tell};

const CAPABILITY: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
const MERGED: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}"#;
const CHALLENGE: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
/// How often one slot is refreshed by force at most.
const PAUSE: Duration = seconds(30);

fn challenge() -> Challenge {
    Claims::read(CHALLENGE).unwrap().challenge.unwrap()
}

/// What an application asks that declares `cp1` on the OAuth door.
fn capable() -> Ask<'static> {
    Ask { door: Door::Oauth, capable: true, ..asking(GRAPH) }
}

/// The same, with the answer to a challenge.
fn challenged() -> Ask<'static> {
    Ask { renew: Some(Renew::Claims(challenge())), ..capable() }
}

/// What a managed-identity client asks whose token was refused.
fn refused(token: &str) -> Ask<'static> {
    Ask { renew: Some(Renew::Refused(Fingerprint::of(token.as_bytes()))), ..asking(GRAPH) }
}

fn bypass() -> Ask<'static> {
    Ask { renew: Some(Renew::Bypass), ..asking(GRAPH) }
}

impl Desk {
    /// The text of the token, or the code of the failure.
    async fn told_as(&self, asked: Ask<'_>) -> String {
        tell(ask_as(&self.broker, &self.policy, asked).await)
    }

    fn claims(&self) -> Vec<Option<String>> {
        self.mint.claims.lock().unwrap().clone()
    }

    fn forced(&self) -> usize {
        self.heard().iter().filter(|line| line.starts_with("forced ")).count()
    }
}

#[tokio::test(start_paused = true)]
async fn capable_callers_have_a_slot_of_their_own_for_graph_and_share_every_other() {
    let desk = Desk::new([]);
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.told_as(capable()).await, "token 2");
    assert_eq!((desk.told(GRAPH).await, desk.told_as(capable()).await), ("token 1".into(), "token 2".into()));
    assert_eq!(desk.claims(), [None, Some(CAPABILITY.into())]);
    assert_eq!(desk.told_as(Ask { resource: VAULT.into(), ..capable() }).await, "token 3");
    assert_eq!(desk.told(VAULT).await, "token 3", "for anything but Graph the ordinary token, as Entra gives it");
    assert_eq!(desk.claims()[2], None);
}

#[tokio::test(start_paused = true)]
async fn managed_identity_callers_never_get_a_token_that_only_a_challenge_ends() {
    let desk = Desk::new([]);
    desk.told_as(capable()).await;
    for door in [Door::Imds, Door::AppService, Door::AppService2017, Door::CloudShell, Door::Plain] {
        assert_eq!(desk.told_as(Ask { door, ..capable() }).await, "token 2", "{door}");
    }
    assert_eq!(desk.claims(), [Some(CAPABILITY.into()), None]);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_skips_the_held_token_and_goes_upstream_with_the_capability() {
    let desk = Desk::new([]);
    assert_eq!(desk.told_as(capable()).await, "token 1");
    assert_eq!(desk.told_as(challenged()).await, "token 2");
    assert_eq!(desk.told_as(capable()).await, "token 2", "the new one replaces the revoked one");
    assert_eq!(desk.claims(), [Some(CAPABILITY.into()), Some(MERGED.into())]);
    assert!(desk.heard().contains(&format!("forced {GRAPH} true claims")));
}

#[tokio::test(start_paused = true)]
async fn a_challenge_of_a_caller_that_declares_nothing_skips_the_held_token_too() {
    let desk = Desk::new([]);
    let plain = || Ask { capable: false, ..challenged() };
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.told_as(plain()).await, "token 2");
    assert_eq!(desk.claims(), [None, Some(CHALLENGE.into())]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_challenges_at_once_cause_one_exchange() {
    let desk = Desk::new([]);
    desk.told_as(capable()).await;
    let callers: Vec<_> = (0..100).map(|_| desk.send_as(challenged())).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "token 2");
    }
    assert_eq!((desk.exchanges(), desk.forced()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn others_go_on_getting_the_held_token_until_the_new_one_is_in_hand() {
    let gate = Arc::new(Semaphore::new(0));
    let desk = Desk::new([Step::Good, Step::Gated(Arc::clone(&gate))]);
    desk.told_as(capable()).await;
    let caller = desk.send_as(challenged());
    pass(seconds(1)).await;
    assert_eq!(desk.exchanges(), 2);
    assert_eq!(desk.told_as(capable()).await, "token 1");
    gate.add_permits(1);
    assert_eq!(caller.await.unwrap(), "token 2");
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_that_fails_leaves_the_held_token_to_the_others() {
    let desk = Desk::new([Step::Good, Step::Fail(Class::Transient, None, 0)]);
    desk.told_as(capable()).await;
    assert_eq!(desk.told_as(challenged()).await, "scripted");
    assert_eq!(desk.told_as(capable()).await, "token 1");
    assert_eq!(desk.told_as(challenged()).await, "scripted", "not asked again within the pause");
    assert_eq!(desk.exchanges(), 2);
    pass(PAUSE).await;
    assert_eq!(desk.told_as(challenged()).await, "token 3");
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_entra_refuses_is_no_trouble_of_those_who_send_none() {
    let desk = Desk::new([Step::Fail(Class::Client, None, 0)]);
    assert_eq!(desk.told_as(challenged()).await, "scripted");
    assert_eq!(desk.told_as(capable()).await, "token 2", "the slot was empty, and this caller asks for nothing odd");
    assert!(desk.slot(GRAPH).unwrap().trouble.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_odd_does_not_share_the_refusal_of_a_challenge() {
    let desk = Desk::new([Step::Fail(Class::Client, None, 0)]);
    let odd = desk.send_as(challenged());
    pass(ROUND_TRIP / 2).await;
    let ordinary = desk.send_as(capable());
    assert_eq!(odd.await.unwrap(), "scripted");
    assert_eq!(ordinary.await.unwrap(), "token 2");
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_refresh_under_way_answers_no_challenge() {
    let gate = Arc::new(Semaphore::new(0));
    let desk = Desk::new([Step::Gated(Arc::clone(&gate))]);
    let ordinary = desk.send_as(capable());
    pass(ROUND_TRIP).await;
    let callers: Vec<_> = (0..10).map(|_| desk.send_as(challenged())).collect();
    pass(ROUND_TRIP).await;
    assert_eq!(desk.exchanges(), 1, "never two at once for one slot");
    gate.add_permits(1);
    assert_eq!(ordinary.await.unwrap(), "token 1");
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "token 2");
    }
    assert_eq!(desk.claims(), [Some(CAPABILITY.into()), Some(MERGED.into())]);
}

#[tokio::test(start_paused = true)]
async fn within_half_a_minute_later_challenges_get_the_newest_token() {
    let desk = Desk::new([]);
    desk.told_as(capable()).await;
    assert_eq!(desk.told_as(challenged()).await, "token 2");
    for _ in 0..5 {
        pass(PAUSE / 6).await;
        assert_eq!(desk.told_as(challenged()).await, "token 2");
    }
    pass(PAUSE / 6).await;
    assert_eq!(desk.told_as(challenged()).await, "token 3");
    assert_eq!(desk.forced(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_entra_has_us_wait_a_challenge_is_answered_at_once_with_that() {
    let desk = Desk::new([Step::Good, Step::Fail(Class::Transient, Some(seconds(600)), 0)]);
    desk.told_as(capable()).await;
    desk.told_as(challenged()).await;
    pass(seconds(300)).await;
    let before = desk.mono();
    let error = ask_as(&desk.broker, &desk.policy, challenged()).await.unwrap_err();
    assert!(error.class.is_passing() && error.retry_in > Some(seconds(200)), "{:?}", error.retry_in);
    assert_eq!((desk.since(before), desk.exchanges()), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn a_forced_caller_waits_no_longer_than_any_other_and_the_exchange_goes_on() {
    let desk = Desk::new([Step::Good, Step::Slow(seconds(15))]);
    desk.told_as(capable()).await;
    let before = desk.mono();
    assert_eq!(desk.told_as(challenged()).await, "mint-still-running");
    assert_eq!(desk.since(before), WAIT);
    assert_eq!(desk.told_as(challenged()).await, "token 2", "joins the same flight");
    assert_eq!(desk.exchanges(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_pause_counts_from_the_landing_of_a_slow_exchange() {
    let desk = Desk::new([Step::Good, Step::Slow(PAUSE + WAIT)]);
    desk.told_as(capable()).await;
    desk.told_as(challenged()).await;
    pass(PAUSE + seconds(1)).await;
    assert_eq!(desk.told_as(challenged()).await, "token 2");
    assert_eq!(desk.forced(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_who_was_refused_an_older_one_gets_the_held_one() {
    let desk = Desk::new([]);
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.told_as(refused("token 1")).await, "token 2");
    assert_eq!(desk.told_as(refused("token 1")).await, "token 2");
    assert_eq!(desk.told_as(refused("never seen")).await, "token 2");
    assert_eq!(desk.claims(), [None, None], "nothing more is asked of the token");
    assert_eq!((desk.exchanges(), desk.forced()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_just_replaced_is_not_replaced_again_at_once() {
    let desk = Desk::new([]);
    desk.told(GRAPH).await;
    desk.told_as(refused("token 1")).await;
    pass(seconds(5)).await;
    let error = ask_as(&desk.broker, &desk.policy, refused("token 2")).await.unwrap_err();
    assert_eq!((error.problem.code(), error.class.is_passing()), ("token-just-replaced", true));
    assert_eq!(error.retry_in, Some(seconds(25)));
    assert_eq!(desk.told(GRAPH).await, "token 2", "others may well have no trouble with it");
    pass(PAUSE).await;
    assert_eq!(desk.told_as(refused("token 2")).await, "token 3");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_is_enough_for_who_was_refused_the_token_before() {
    let gate = Arc::new(Semaphore::new(0));
    let desk = Desk::with([Step::Good, Step::Gated(Arc::clone(&gate))], &[GRAPH]);
    let keeper = desk.keep();
    while desk.exchanges() < 2 {
        pass(seconds(10)).await;
    }
    let caller = desk.send_as(refused("token 1"));
    pass(ROUND_TRIP).await;
    gate.add_permits(1);
    assert_eq!(caller.await.unwrap(), "token 2");
    assert_eq!((desk.exchanges(), desk.forced()), (2, 0));
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_held_token_gets_a_new_one_at_most_twice_a_minute() {
    let desk = Desk::new([]);
    desk.told(GRAPH).await;
    assert_eq!(desk.told_as(bypass()).await, "token 2");
    for _ in 0..100 {
        assert_eq!(desk.told_as(bypass()).await, "token 2");
    }
    pass(PAUSE).await;
    assert_eq!(desk.told_as(bypass()).await, "token 3");
    assert_eq!(desk.forced(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_a_forced_exchange_bars_nobody_from_the_next() {
    let desk = Desk::new([Step::Good, Step::Panic]);
    desk.told_as(capable()).await;
    assert_eq!(desk.told_as(challenged()).await, "mint-crashed");
    assert_eq!(desk.told_as(capable()).await, "token 1");
    pass(PAUSE).await;
    assert_eq!(desk.told_as(challenged()).await, "token 3");
}

#[tokio::test(start_paused = true)]
async fn prefetch_is_ordinary_and_a_reload_keeps_both_slots_of_a_resource() {
    let desk = Desk::with([], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(1)).await;
    assert_eq!(desk.claims(), [None]);
    assert_eq!(desk.told_as(capable()).await, "token 2");
    keeper.abort();
    let next = desk.reloaded("mark");
    next.adopt(&desk.broker);
    let slots = next.status().identities.remove(0).slots;
    let told: Vec<_> = slots.iter().map(|slot| (slot.capable, slot.prefetch, slot.held.is_some())).collect();
    assert_eq!(told, [(false, true, true), (true, false, true)]);
    assert!(!desk.heard().iter().any(|line| line.starts_with("dropped")));
}
