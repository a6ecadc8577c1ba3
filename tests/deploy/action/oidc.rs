//! GitHub's side when it gives no token, another one, or not yet; and Entra's no.

use super::endpoint::{Endpoint, Reply};
use super::*;

async fn against(replies: impl FnOnce(&Job) -> Vec<Reply>) -> Option<(Job, Endpoint)> {
    let mut job = Job::new().await?;
    let endpoint = Endpoint::start(replies(&job));
    job.set("ACTIONS_ID_TOKEN_REQUEST_URL", &endpoint.url("/token?api-version=2.0"));
    Some((job, endpoint))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_the_permission_is_told_so_in_one_sentence() {
    let Some(mut job) = Job::new().await else { return };
    job.variables.remove("ACTIONS_ID_TOKEN_REQUEST_URL");
    job.variables.remove("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    let main = job.main().await;
    main.failed("give it `permissions: id-token: write`, which a pull request from a fork does not get");
    assert!(main.said.starts_with("::add-mask::") && main.said.lines().count() == 2, "{}", main.said);
    assert!(job.written("ENV").is_empty() && job.left_behind().is_empty());
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_token_is_explained() {
    let Some((job, _endpoint)) = against(|_| vec![Reply::status(401)]).await else { return };
    let main = job.main().await;
    main.failed("(unsecret: github-refused)");
    main.failed("Remedy: give the job `permissions: id-token: write`");
    assert!(main.said.contains("::group::unsecret doctor"), "{}", main.said);
    assert!(job.written("ENV").is_empty(), "no step is led to a broker without tokens");
    job.post().await.succeeded();
    assert!(!job.broker_runs() && job.left_behind().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_failure_of_github_is_waited_out() {
    let replies = |job: &Job| vec![Reply::status(503), Reply::token(&job.oidc_token(AUDIENCE))];
    let Some((job, endpoint)) = against(replies).await else { return };
    job.main().await.succeeded();
    assert!(endpoint.asked() >= 2);
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_of_github_is_waited_out() {
    let replies = |job: &Job| {
        let token = job.oidc_token(AUDIENCE);
        vec![Reply::Slow(format!(r#"{{"value":"{token}"}}"#).into_bytes()), Reply::token(&token)]
    };
    let Some((mut job, endpoint)) = against(replies).await else { return };
    // A caller waits a second at most; the exchange behind it goes on, until its own limit.
    job.set("UNSECRET_LISTEN_WAIT", "1s");
    job.input("wait-seconds", "60");
    let (main, ()) = tokio::join!(job.main(), release(&endpoint));
    main.succeeded();
    job.post().await.succeeded();
}

/// Asks once more when the broker has asked, which lets the slow body go.
async fn release(endpoint: &Endpoint) {
    while endpoint.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut stream = tokio::net::TcpStream::connect(endpoint.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_audience_is_explained() {
    let replies = |job: &Job| vec![Reply::token(&job.oidc_token("https://github.com/contoso"))];
    let Some((job, _endpoint)) = against(replies).await else { return };
    job.main().await.failed("(unsecret: assertion-audience)");
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_entra_refuses_fails_the_step_with_its_number_and_a_remedy() {
    let Some(mut job) = Job::new().await else { return };
    job.input("client-id", "44444444-dddd-4eee-8fff-555555555555");
    let main = job.main().await;
    main.failed("AADSTS700016");
    main.failed("Remedy: check tenant and client id");
    assert!(main.said.contains(SUBJECT), "the subject for the federated credential: {}", main.said);
    job.post().await.succeeded();

    job.input("fail-fast", "false");
    job.main().await.succeeded();
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_token_that_dies_before_the_job_is_warned_of_and_exported() {
    let Some(mut job) = Job::new().await else { return };
    let quiet = job.main().await;
    assert!(!quiet.said.contains("::warning::"), "{}", quiet.said);
    job.post().await.succeeded();

    let short = request_token(600);
    let endpoint = Endpoint::start(vec![Reply::token(&job.oidc_token(AUDIENCE))]);
    job.set("ACTIONS_ID_TOKEN_REQUEST_URL", &endpoint.url("/token?api-version=2.0"));
    job.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &short);
    let main = job.main().await;
    main.succeeded();
    assert!(main.said.contains("::warning::GitHub gives this job OIDC tokens until 2"), "{}", main.said);
    let log = read(&job.written("OUTPUT")["log-file"]);
    assert!(log.contains("can get no new token"), "{log}");
    assert!(job.post().await.said.contains("OIDC tokens until 2"));
}
