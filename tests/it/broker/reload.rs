//! A reload keeps the slots of unchanged identities, as far as they are still allowed.

use std::sync::Arc;

use unsecret::ids::Resource;
use unsecret::policy::Allowed;

use super::{Desk, GRAPH, VAULT, ask, pass, seconds, slot, tell};

#[tokio::test(start_paused = true)]
async fn an_unchanged_identity_keeps_its_tokens_and_counters() {
    let desk = Desk::new([]);
    desk.told(GRAPH).await;
    let counted = desk.answered();
    let new = desk.reloaded("mark");
    new.adopt(&desk.broker);
    assert_eq!(new.status().identities[0].answered, counted);
    assert_eq!(tell(ask(&new, &desk.policy, GRAPH).await), "token 1");
    assert_eq!(desk.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_under_way_lands_in_the_new_broker() {
    let desk = Desk::new([]);
    let caller = desk.send(GRAPH);
    pass(seconds(1) / 20).await;
    let new = desk.reloaded("mark");
    new.adopt(&desk.broker);
    assert_eq!(tell(ask(&new, &desk.policy, GRAPH).await), "token 1");
    assert_eq!(caller.await.unwrap(), "token 1");
    assert_eq!(desk.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_identity_starts_anew() {
    let desk = Desk::new([]);
    desk.told(GRAPH).await;
    let new = desk.reloaded("another assertion source");
    new.adopt(&desk.broker);
    assert!(slot(new.status(), GRAPH).is_none());
    assert_eq!(desk.heard().last().unwrap(), &format!("dropped {GRAPH}"));
    assert_eq!(tell(ask(&new, &desk.policy, GRAPH).await), "token 2");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_resource_is_dropped_and_a_new_prefetch_is_filled() {
    let mut desk = Desk::new([]);
    desk.told(GRAPH).await;
    desk.told(VAULT).await;
    let vault = Resource::parse(VAULT).unwrap();
    desk.allowed = Allowed::Listed(vec![vault.clone()]);
    desk.prefetch = vec![vault];
    let new = desk.reloaded("mark");
    new.adopt(&desk.broker);
    assert!(slot(new.status(), GRAPH).is_none());
    assert_eq!(desk.heard().last().unwrap(), &format!("dropped {GRAPH}"));
    let kept = slot(new.status(), VAULT).unwrap();
    assert!(kept.prefetch && kept.listed && kept.held.is_some());
    assert!(new.is_ready());
    let keeper = tokio::spawn(Arc::clone(&new).keep(seconds(30)));
    pass(seconds(60)).await;
    assert_eq!(desk.exchanges(), 2, "the adopted token is not fetched again");
    keeper.abort();
}
