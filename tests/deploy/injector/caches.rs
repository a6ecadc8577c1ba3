//! Service accounts and namespaces, read once and kept up to date by watches.
//!
//! Easy to get wrong: an account that the cache does not know is fetched, so a test of the cache must make fetching fail.

use serde_json::{Value, json};

use super::api::Fault;
use super::api::request::{Call, Verb};
use super::api::store::{Gone, Kind};
use super::process::Injector;
use super::stage::{Stage, account};
use super::verdicts::{pod, pod_of};
use crate::inject::{CLIENT, variable};

const NEXT_CLIENT: &str = "77777777-dddd-4eee-8fff-888888888888";

/// With a webhook that cannot fetch single objects.
async fn without_fetching() -> (Stage, Injector) {
    let (stage, injector) = Stage::ready().await;
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    stage.api.fault(Verb::Get, Kind::Namespaces, Fault::Status(500));
    (stage, injector)
}

/// The application of an account's pods, once the cache knows one.
async fn client(injector: &Injector, account: &str) -> Option<String> {
    let pod = pod_of(account);
    let answer = injector.review(&pod).await;
    if answer.status != 200 {
        assert_eq!(answer.status, 503, "{}", answer.body);
        return None;
    }
    variable(&answer.applied(&pod), "api", "AZURE_CLIENT_ID")
}

async fn until_client(injector: &Injector, account: &str, wanted: Option<&str>) {
    let what = format!("{account} belongs to {wanted:?}");
    let is_so = async |it: &Injector| (client(it, account).await.as_deref() == wanted).then_some(());
    injector.until(&what, is_so).await;
}

fn versions(calls: &[Call]) -> Vec<Option<String>> {
    calls.iter().map(|call| call.query.get("resourceVersion").cloned()).collect()
}

#[tokio::test]
async fn all_accounts_are_listed_in_pages() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        for n in 0..1_203 {
            store.put(Kind::Accounts, account(&format!("z{n:04}"), NEXT_CLIENT));
        }
    });
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    let injector = stage.start().await;
    injector.until_ready().await;
    let pages = stage.api.calls(Verb::List, Kind::Accounts);
    assert_eq!(pages.len(), 3, "{pages:#?}");
    assert!(pages.iter().all(|page| page.query["limit"] == "500" && page.status == 200), "{pages:#?}");
    let goes_on: Vec<_> = pages.iter().map(|page| page.query.contains_key("continue")).collect();
    assert_eq!(goes_on, [false, true, true]);
    for name in ["api", "z0000", "z0499", "z0500", "z1202"] {
        assert!(client(&injector, name).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn watches_go_on_from_the_list_and_end_by_themselves() {
    let (stage, injector) = Stage::ready().await;
    for kind in [Kind::Accounts, Kind::Namespaces] {
        let watch = injector.until("watched", async |_| stage.api.calls(Verb::Watch, kind).first().cloned()).await;
        let version: u64 = watch.query["resourceVersion"].parse().unwrap();
        assert!(version > 0, "{watch:?}");
        assert_eq!(watch.query["allowWatchBookmarks"], "true", "{watch:?}");
        assert!((60..=600).contains(&watch.query["timeoutSeconds"].parse::<u64>().unwrap()), "{watch:?}");
    }
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn an_account_is_known_as_it_is_now() {
    let (stage, injector) = without_fetching().await;
    stage.api.store(|store| store.put(Kind::Accounts, account("next", CLIENT)));
    until_client(&injector, "next", Some(CLIENT)).await;
    stage.api.store(|store| store.put(Kind::Accounts, account("next", NEXT_CLIENT)));
    until_client(&injector, "next", Some(NEXT_CLIENT)).await;
    stage.api.store(|store| store.delete(Kind::Accounts, "shop", "next"));
    // What is gone is unknown, and would have to be fetched.
    until_client(&injector, "next", None).await;
    until_client(&injector, "api", Some(CLIENT)).await;
}

#[tokio::test]
async fn an_account_made_between_the_list_and_the_watch_is_known() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        for n in 0..600 {
            store.put(Kind::Accounts, account(&format!("z{n:04}"), CLIENT));
        }
    });
    stage.api.fault(Verb::Watch, Kind::Accounts, Fault::Hang);
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    let injector = stage.start().await;
    injector.until("listed", async |_| stage.api.calls(Verb::Watch, Kind::Accounts).first().map(|_| ())).await;
    // Behind the list, and before the first word of the watch.
    stage.api.store(|store| store.put(Kind::Accounts, account("aaa", NEXT_CLIENT)));
    stage.api.mend();
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    injector.until_ready().await;
    until_client(&injector, "aaa", Some(NEXT_CLIENT)).await;
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let (stage, injector) = without_fetching().await;
    stage.api.store(|store| store.put(Kind::Accounts, account("one", CLIENT)));
    until_client(&injector, "one", Some(CLIENT)).await;
    let seen = stage.api.store(|store| store.version.to_string());
    stage.api.store(|store| {
        // The end comes before the news, which only the next watch tells.
        store.cut(Kind::Accounts);
        store.put(Kind::Accounts, account("two", NEXT_CLIENT));
    });
    until_client(&injector, "two", Some(NEXT_CLIENT)).await;
    let watches = stage.api.calls(Verb::Watch, Kind::Accounts);
    assert_eq!(versions(&watches[1..]), [Some(seen)], "{watches:#?}");
    assert_eq!(stage.api.calls(Verb::List, Kind::Accounts).len(), 1);
}

#[tokio::test]
async fn a_bookmark_moves_the_place_from_which_a_watch_goes_on() {
    let (stage, injector) = Stage::ready().await;
    injector.until("watched", async |_| stage.api.calls(Verb::Watch, Kind::Accounts).first().map(|_| ())).await;
    let before = stage.api.store(|store| store.version);
    // Nothing else happens, so only a bookmark can tell a later version. One that the end overtakes is not told at all.
    injector
        .until("a watch from a bookmark on", async |it| {
            stage.api.store(super::api::store::Store::bookmark);
            it.page("/livez").await;
            stage.api.store(|store| store.cut(Kind::Accounts));
            let watches = stage.api.calls(Verb::Watch, Kind::Accounts);
            let last: u64 = watches.last()?.query["resourceVersion"].parse().unwrap();
            (last > before).then_some(())
        })
        .await;
    assert_eq!(stage.api.calls(Verb::List, Kind::Accounts).len(), 1);
    injector.review(&pod()).await.patch();
}

#[tokio::test]
async fn a_place_that_is_forgotten_makes_it_list_anew() {
    for gone in [Gone::Status, Gone::Event] {
        let (stage, injector) = without_fetching().await;
        stage.api.store(|store| {
            store.put(Kind::Accounts, account("old", CLIENT));
        });
        until_client(&injector, "old", Some(CLIENT)).await;
        stage.api.store(|store| {
            store.delete(Kind::Accounts, "shop", "old");
            store.put(Kind::Accounts, account("new", NEXT_CLIENT));
            store.forget(Kind::Accounts, gone);
        });
        until_client(&injector, "new", Some(NEXT_CLIENT)).await;
        assert_eq!(client(&injector, "old").await, None, "{gone:?}: what was deleted meanwhile is gone");
        assert_eq!(stage.api.calls(Verb::List, Kind::Accounts).len(), 2, "{gone:?}");
        assert_eq!(stage.api.calls(Verb::List, Kind::Namespaces).len(), 1, "{gone:?}");
        stage.api.assert_nothing_was_refused();
    }
}

#[tokio::test]
async fn namespaces_are_listed_anew_as_well() {
    let (stage, injector) = without_fetching().await;
    stage.api.store(|store| {
        let annotated = |it: &mut Value| it["metadata"]["annotations"] = json!({"unsecret.dev/client-id": NEXT_CLIENT});
        store.edit(Kind::Namespaces, "", "shop", annotated);
        store.forget(Kind::Namespaces, Gone::Event);
    });
    until_client(&injector, "api", Some(NEXT_CLIENT)).await;
}

#[tokio::test]
async fn a_list_that_expires_or_fails_is_begun_again() {
    for status in [410, 429, 500] {
        let stage = Stage::new().await;
        stage.api.fault(Verb::List, Kind::Accounts, Fault::Status(status));
        let injector = stage.start().await;
        injector
            .until("tried", async |_| {
                stage.api.calls(Verb::List, Kind::Accounts).iter().any(|call| call.status == status).then_some(())
            })
            .await;
        stage.api.mend();
        injector.until_ready().await;
    }
}

#[tokio::test]
async fn a_list_whose_next_page_has_expired_is_begun_anew() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        for n in 0..1_203 {
            store.put(Kind::Accounts, account(&format!("z{n:04}"), NEXT_CLIENT));
        }
        store.next_page_expires = true;
    });
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    let injector = stage.start().await;
    injector.until_ready().await;
    let pages = stage.api.calls(Verb::List, Kind::Accounts);
    let of: Vec<_> = pages.iter().map(|page| (page.query.contains_key("continue"), page.status)).collect();
    assert_eq!(of, [(false, 200), (true, 410), (false, 200), (true, 200), (true, 200)]);
    for name in ["api", "z0000", "z0499", "z0500", "z1202"] {
        assert!(client(&injector, name).await.is_some(), "{name}");
    }
    stage.api.assert_nothing_was_refused();
}
