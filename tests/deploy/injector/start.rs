//! How it starts: command lines that do not do, what it waits for, and what it says of that.

use std::net::TcpListener;

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::Kind;
use super::process::{ended, unsecret};
use super::stage::{Stage, configuration};
use super::verdicts::pod;

const API: [&str; 3] = ["--api-server", "--api-ca-file", "--api-token-file"];

fn with(args: &[String], more: &[&str]) -> Vec<String> {
    args.iter().cloned().chain(more.iter().map(|&one| one.to_owned())).collect()
}

/// Without an option and its value.
fn without(args: &[String], option: &str) -> Vec<String> {
    let at = args.iter().position(|arg| arg == option).unwrap();
    [&args[..at], &args[at + 2..]].concat()
}

#[tokio::test]
async fn a_command_line_that_does_not_do_ends_it_with_2_and_a_remedy() {
    let stage = Stage::new().await;
    let (own, common) = (stage.args(), stage.common());
    for (args, why) in [
        (common.clone(), "--tls-dir"),
        (without(&own, "--secret"), "--secret"),
        (without(&own, "--namespace"), "--namespace"),
        (with(&own, &["--tls-dir", "/tmp"]), "--tls-dir"),
        (without(&own, "--values"), "--values"),
    ] {
        let ended = ended(unsecret(&args)).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
    }
    assert!(stage.api.journal().is_empty());
}

#[tokio::test]
async fn outside_a_cluster_it_says_what_to_do() {
    let stage = Stage::new().await;
    let args = API.iter().fold(stage.args(), |args, it| without(&args, it));
    let ended = ended(unsecret(&args)).await;
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("remedy: ") && ended.stderr.contains("KUBERNETES_SERVICE_HOST"), "{}", ended.stderr);
}

#[tokio::test]
async fn values_that_do_not_do_end_it_with_2_and_a_word_on_each() {
    let stage = Stage::new().await;
    for (text, why) in
        [("defaults: {tenantID: billing}", "tenantId"), ("platform: azure", "platform"), ("defaults: [", "values.yaml")]
    {
        stage.write("values.yaml", text);
        let ended = ended(unsecret(&stage.args())).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(why) && ended.stderr.contains("remedy: "), "{text}: {}", ended.stderr);
    }
    std::fs::remove_file(stage.path("values.yaml")).unwrap();
    let ended = ended(unsecret(&stage.args())).await;
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("values.yaml"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_address_that_is_taken_ends_it_with_1() {
    let stage = Stage::new().await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin"] {
        let args = with(&without(&stage.args(), option), &[option, &taken]);
        let ended = ended(unsecret(&args)).await;
        assert_eq!(ended.status, Some(1), "{option}: {}", ended.stderr);
        assert!(ended.stderr.contains(&taken), "{option}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn it_is_alive_at_once_and_says_what_it_still_waits_for() {
    for (verb, kind, fault, word) in [
        (Verb::List, Kind::Accounts, Fault::Hang, "account"),
        (Verb::List, Kind::Namespaces, Fault::Status(500), "namespace"),
        (Verb::Watch, Kind::Secrets, Fault::Hang, "certificate"),
        (Verb::Update, Kind::Secrets, Fault::Status(500), "certificate"),
        (Verb::Patch, Kind::Configurations, Fault::Status(500), "cabundle"),
        (Verb::Watch, Kind::Configurations, Fault::Hang, "cabundle"),
    ] {
        let stage = Stage::new().await;
        stage.api.fault(verb, kind, fault);
        let injector = stage.start().await;
        assert_eq!(injector.page("/livez").await.status, 200);
        // All else that it says it waits for comes after a moment.
        let others = ["account", "namespace"].map(|other| if other == word { "never said" } else { other });
        injector
            .until(&format!("`{word}` is missing"), async |it| {
                let page = it.page("/readyz").await;
                assert_eq!(page.status, 503, "{verb:?} {kind:?}");
                let said = page.body.to_lowercase();
                (said.contains(word) && !others.iter().any(|one| said.contains(one))).then_some(())
            })
            .await;
        stage.api.mend();
        injector.until_ready().await;
        stage.api.assert_nothing_was_refused();
    }
}

#[tokio::test]
async fn it_stays_ready_and_answers_whatever_becomes_of_the_api_server() {
    let (stage, injector) = Stage::ready().await;
    for kind in [Kind::Accounts, Kind::Namespaces, Kind::Secrets, Kind::Configurations] {
        for verb in [Verb::Get, Verb::List, Verb::Watch, Verb::Update, Verb::Patch] {
            stage.api.fault(verb, kind, Fault::Status(500));
        }
        stage.api.store(|store| store.cut(kind));
    }
    injector
        .until("the watches are tried again", async |_| {
            let tried = stage.api.calls(Verb::Watch, Kind::Accounts).iter().any(|call| call.status == 500);
            tried.then_some(())
        })
        .await;
    assert_eq!(injector.page("/readyz").await.status, 200);
    injector.review(&pod()).await.patch();
}

#[tokio::test]
async fn it_waits_for_a_configuration_that_is_not_there_yet() {
    let stage = Stage::new().await;
    stage.api.store(|store| store.delete(Kind::Configurations, "", super::CONFIGURATION));
    let injector = stage.start().await;
    injector
        .until("only the caBundle is missing", async |it| {
            let said = it.page("/readyz").await.body.to_lowercase();
            (said.contains("cabundle") && !said.contains("namespace")).then_some(())
        })
        .await;
    stage.api.store(|store| store.put(Kind::Configurations, configuration()));
    injector.until_ready().await;
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn a_token_that_the_kubelet_has_replaced_is_used_from_then_on() {
    let (stage, injector) = Stage::ready().await;
    let fresh = "canary-of-the-next-token";
    stage.api.accept(&[super::stage::TOKEN, fresh]);
    stage.write("token", &format!("{fresh}\n"));
    stage.api.accept(&[fresh]);
    let before = stage.api.calls(Verb::Watch, Kind::Accounts).len();
    stage.api.store(|store| store.cut(Kind::Accounts));
    injector
        .until("watched with the new token", async |_| {
            let watches = stage.api.calls(Verb::Watch, Kind::Accounts);
            watches[before..].iter().any(|call| call.status == 200).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_said_and_the_right_one_taken_up() {
    let stage = Stage::new().await;
    stage.write("token", "canary-of-a-wrong-token");
    let injector = stage.start().await;
    injector.until("the refusal is said", async |it| it.said().contains("cluster-token-refused").then_some(())).await;
    assert_eq!(injector.page("/readyz").await.status, 503);
    stage.write("token", super::stage::TOKEN);
    injector.until_ready().await;
    assert!(!injector.said().contains("canary"), "{}", injector.said());
}

#[tokio::test]
async fn names_that_no_object_has_end_it_with_2() {
    let stage = Stage::new().await;
    let own = stage.args();
    let long = "a".repeat(64);
    for (option, name) in [
        ("--service", "unsecret_injector"),
        ("--service", "unsecret-injector.unsecret.svc"),
        ("--service", "Unsecret"),
        ("--namespace", "unsecret-"),
        ("--namespace", ""),
        ("--namespace", &long),
        ("--secret", "../../../secrets/other"),
        ("--secret", "a..b"),
        ("--webhook", "a/b"),
    ] {
        let ended = ended(unsecret(&with(&without(&own, option), &[option, name]))).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{option} {name}: {}", ended.stderr);
        for part in [option, &format!("{name:?}"), "DNS", "remedy: ", "injector-name"] {
            assert!(ended.stderr.contains(part), "{option} {name} lacks {part}: {}", ended.stderr);
        }
    }
    assert!(stage.api.journal().is_empty());
}

#[tokio::test]
async fn a_secret_that_nobody_can_write_is_said_with_what_to_do() {
    let stage = Stage::new().await;
    stage
        .api
        .store(|store| store.edit(Kind::Secrets, super::NAMESPACE, super::SECRET, |it| it["immutable"] = true.into()));
    let injector = stage.start().await;
    injector.until("said", async |it| it.said().contains("delete that object").then_some(())).await;
    assert_eq!(injector.page("/readyz").await.status, 503);
}
