//! A job from its first step to its last.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// Asks as the next step's process does, with what stands in its environment.
async fn ask(job: &Job) -> String {
    let env = job.written("ENV");
    let (host, path) = env["IDENTITY_ENDPOINT"].strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let query = "api-version=2019-08-01&resource=https://management.azure.com";
    let key = &env["IDENTITY_HEADER"];
    let head = format!(
        "GET /{path}?{query} HTTP/1.1\r\nHost: {host}\r\nX-IDENTITY-HEADER: {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn later_steps_have_tokens_and_after_the_job_nothing_is_left() {
    let Some(job) = Job::new().await else { return };
    let main = job.main().await;
    main.succeeded();
    let (env, output, state) = (job.written("ENV"), job.written("OUTPUT"), job.written("STATE"));
    let key = &env["IDENTITY_HEADER"];
    assert_eq!(main.said.lines().next(), Some(&*format!("::add-mask::{key}")), "masked before anything else");
    assert_eq!(main.said.matches(key.as_str()).count(), 1, "{}", main.said);
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));

    assert!(ask(&job).await.contains(r#""access_token":"eyJ"#));
    assert_eq!(output["endpoint"], env["IDENTITY_ENDPOINT"]);
    assert_eq!([mode(&state["folder"]), mode(&output["socket"]), mode(&output["log-file"])], [0o700, 0o600, 0o600]);
    let environ = read(format!("/proc/{}/environ", output["pid"]));
    assert!(environ.contains("RUNNER_TRACKING_ID=github_tracked"), "the runner's own net must hold it");
    assert!(!environ.contains(key.as_str()) && !environ.contains("INPUT_"));

    let log = read(&output["log-file"]);
    assert!(log.contains("token minted"), "{log}");
    let summary = read(job.file("STEP_SUMMARY"));
    assert!(summary.contains(SUBJECT) && summary.contains("https://management.azure.com/.default"), "{summary}");
    let post = job.post().await;
    post.succeeded();
    assert!(post.said.contains("times a token was asked for\n1 came from Entra"), "{}", post.said);
    assert!(!job.broker_runs() && job.left_behind().is_empty(), "{:?}", job.left_behind());

    let files = ["ENV", "OUTPUT", "STATE", "STEP_SUMMARY"].map(|name| read(job.file(name)));
    for text in files.iter().chain([&main.said, &post.said, &log]) {
        assert!(!text.contains("eyJ") && !text.contains(CANARY), "a token was written down: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_are_those_of_the_open_doors_and_keep_what_was_chosen() {
    let Some(mut job) = Job::new().await else { return };
    job.set("no_proxy", "internal.example,localhost");
    job.set("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential");
    job.input("export-arm", "true");
    job.main().await.succeeded();
    let env = job.written("ENV");
    let base = env["AZURE_POD_IDENTITY_AUTHORITY_HOST"].clone();
    assert_eq!(env["IDENTITY_ENDPOINT"], format!("{base}/msi/token"));
    assert_eq!(env["ARM_MSI_ENDPOINT"], format!("{base}/metadata/identity/oauth2/token"));
    assert_eq!([&*env["AZURE_CLIENT_ID"], &*env["ARM_USE_MSI"]], [CLIENT, "true"]);
    assert_eq!(env["AZURE_TOKEN_CREDENTIALS"], "ManagedIdentityCredential");
    assert_eq!(env["NO_PROXY"], "internal.example,localhost,127.0.0.1,::1,169.254.169.254");
    job.post().await.succeeded();

    let Some(mut job) = Job::new().await else { return };
    job.input("doors", "app-service");
    job.main().await.succeeded();
    let set: BTreeSet<_> = job.written("ENV").into_keys().collect();
    assert!(set.contains("IDENTITY_HEADER") && !set.contains("AZURE_POD_IDENTITY_AUTHORITY_HOST"), "{set:?}");
    assert!(!set.iter().any(|name| name.starts_with("ARM_")), "{set:?}");
    assert_eq!(job.written("ENV")["AZURE_TOKEN_CREDENTIALS"], "prod");
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_killed_and_one_that_has_died_is_no_failure() {
    let Some(job) = Job::new().await else { return };
    job.main().await.succeeded();
    job.signal(Signal::STOP);
    job.post().await.succeeded();
    assert!(!job.broker_runs() && job.left_behind().is_empty());

    let Some(job) = Job::new().await else { return };
    job.main().await.succeeded();
    job.signal(Signal::KILL);
    let post = job.post().await;
    post.succeeded();
    assert!(post.said.contains("::warning::unsecret was no longer running"), "{}", post.said);
    assert!(job.left_behind().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_past_the_broker_is_warned_of() {
    let Some(mut job) = Job::new().await else { return };
    job.set("AZURE_CLIENT_SECRET", "not-a-real-secret");
    let main = job.main().await;
    main.succeeded();
    assert!(main.said.contains("::warning::AZURE_CLIENT_SECRET is set"), "{}", main.said);
    assert!(!main.said.contains("not-a-real-secret"));
    job.post().await.succeeded();
}
