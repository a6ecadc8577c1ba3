//! How a start succeeds or ends, and what a running process looks like.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::emulator::Fault;
use unsecret::local_ca::ClientCertificate;
use unsecret::secret::Fingerprint;

use super::{Ended, PATIENCE, PREFETCH, Running, config, ended, put, unsecret};
use crate::support::world::{CLIENT, GITHUB, GITHUB_BEARER, GITHUB_SUBJECT, GRAPH, Plan, Source, TENANT, World};

async fn run(config: &str) -> Ended {
    let ended = ended(unsecret(&["run", "--config", config])).await;
    assert_eq!(ended.stdout, "");
    ended
}

#[tokio::test]
async fn a_wrong_configuration_ends_with_2_and_all_its_problems() {
    let world = World::new().await;
    let text = r#"
        [listen]
        http = ["0.0.0.0:4780"]
        [[identity]]
        name = "billing"
        tenant = "no tenant"
        client_id = "33333333-dddd-4eee-8fff-444444444444"
        scops = ["https://graph.microsoft.com/.default"]
        assertion = { file = "/token" }
    "#;
    let ended = run(&put(&world, "wrong.toml", text)).await;
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    let problems = [
        ("`listen.http[0]`", "0.0.0.0:4780", "config-wrong-value"),
        ("`identity[0].tenant`", "no tenant", "config-wrong-value"),
        ("`identity[0].scops`", "scopes", "config-unknown-key"),
        ("`identity[0]", "any_local_caller = true", "config-no-caller"),
    ];
    for (path, value, code) in problems {
        for part in [path, value, code] {
            assert!(ended.stderr.contains(part), "{part} is not in\n{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_port_in_use_ends_with_1_and_a_remedy() {
    let world = World::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = world.config_text().replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{address}\"]"), 1);
    let ended = run(&put(&world, "config.toml", &text)).await;
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    for part in ["listen.http", &address, "remedy: ", "code: listen-port-in-use"] {
        assert!(ended.stderr.contains(part), "{part} is not in\n{}", ended.stderr);
    }
    // The admin address is bound after the doors; it has its own name.
    let text = world.config_text().replacen("admin = \"127.0.0.1:0\"", &format!("admin = \"{address}\""), 1);
    let ended = run(&put(&world, "config.toml", &text)).await;
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("listen.admin"), "{}", ended.stderr);
}

/// The SHA-256 of a PEM block's content.
fn thumbprint(pem: &str) -> String {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Fingerprint::of(&STANDARD.decode(text).unwrap()).hex()
}

fn is_hash(word: &&str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn a_key_of_another_certificate_ends_with_2_and_names_both() {
    let world = World::with_source(Source::Certificate).await;
    let other = ClientCertificate::create("other", SystemClock::new().now(), PATIENCE).unwrap();
    put(&world, "billing.key", other.key_pem.expose());
    let ended = run(&config(&world)).await;
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("code: key-certificate-mismatch"), "{}", ended.stderr);
    let pem = std::fs::read_to_string(world.path("billing.pem")).unwrap();
    let words = ended.stderr.split(|letter: char| !letter.is_ascii_alphanumeric());
    let hashes: Vec<_> = words.filter(is_hash).collect();
    assert_eq!(hashes.len(), 3, "{}", ended.stderr);
    assert_eq!(hashes[0], thumbprint(&pem));
    assert_ne!(hashes[1], hashes[2]);
}

#[tokio::test]
async fn with_entra_down_the_process_is_alive_and_becomes_ready_by_itself() {
    let plan = Plan { fault: Some(Fault::Outage), identity: PREFETCH.to_owned(), ..Plan::default() };
    let world = World::of(plan).await;
    let broker = Running::of(&world).await;
    let admin = broker.admin.to_string();
    let health = async |args: &[&str]| ended(unsecret(&[&["health", "--admin", &admin], args].concat())).await;
    assert_eq!(health(&[]).await.status, Some(0));
    let unready = health(&["--ready"]).await;
    assert_eq!((unready.status, unready.stdout.as_str()), (Some(1), ""));
    assert!(unready.stderr.starts_with("/readyz answered 503: not ready"), "{}", unready.stderr);
    assert_eq!(broker.imds(GRAPH).send().await.status, 503);
    world.emulator.clear_faults();
    broker.until_ready().await;
    assert_eq!(health(&["--ready"]).await.status, Some(0));
    broker.imds(GRAPH).send().await.token();
    broker.stop().await;
    let gone = health(&[]).await;
    assert_eq!(gone.status, Some(1));
    assert!(gone.stderr.contains("remedy: "), "{}", gone.stderr);
}

#[tokio::test]
async fn a_running_process_leaves_no_core_file() {
    let world = World::new().await;
    let broker = Running::of(&world).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.child.id().unwrap())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    broker.stop().await;
}

#[tokio::test]
async fn logs_that_are_no_terminal_have_no_colours() {
    let world = World::new().await;
    let broker = Running::of(&world).await;
    assert!(!broker.said().contains('\u{1b}'), "{}", broker.said());
    broker.stop().await;
}

/// Without a file: what every platform has to say, and `own`, by which it proves who we are.
async fn from_variables(world: &World, own: &[(&str, &str)]) -> Running {
    let mut command = unsecret(&["run"]);
    command.envs(own.iter().copied()).envs([
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_AUTHORITY_HOST", &world.emulator.authority_host()),
        ("UNSECRET_CA_FILE", world.path("ca.pem").to_str().unwrap()),
        ("UNSECRET_SCOPES", "https://graph.microsoft.com/.default"),
        ("UNSECRET_ANY_LOCAL_CALLER", "true"),
        ("UNSECRET_LISTEN_HTTP", "127.0.0.1:0"),
        ("UNSECRET_LISTEN_ADMIN", "127.0.0.1:0"),
    ]);
    Running::start(command).await
}

#[tokio::test]
async fn without_a_file_the_platforms_variables_are_enough() {
    let world = World::new().await;
    let token = world.path("token");
    let broker = from_variables(&world, &[("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap())]).await;
    broker.until_ready().await;
    let claims = world.claims(&broker.imds(GRAPH).send().await.token());
    assert_eq!((&claims["aud"], &claims["appid"]), (&GRAPH.into(), &CLIENT.into()));
    broker.stop().await;
}

#[tokio::test]
async fn in_a_github_job_its_two_variables_take_the_place_of_the_token_file() {
    let world = World::new().await;
    let url = world.emulator.github_request_url(GITHUB).unwrap();
    let job = [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_BEARER)];
    let broker = from_variables(&world, &job).await;
    world.claims(&broker.imds(GRAPH).send().await.token());
    assert_eq!(world.emulator.journal()[0].subject.as_deref(), Some(GITHUB_SUBJECT));
    broker.stop().await;
}
