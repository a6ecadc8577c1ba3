//! The platform's token is late, wrong or gone: the right error, and no restart afterwards.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use unsecret::clock::Clock as _;

use crate::support::http::Call;
use crate::support::unavailable::{assert_served, assert_unavailable, code, failure, failures};
use crate::support::world::{GITHUB, GRAPH, ISSUER, Plan, Source, TokenFile, World, platform_token};

const PREFETCH: &str = "any_local_caller = true\nprefetch = [\"https://graph.microsoft.com/.default\"]\n";
/// Longer than any pause after a failure.
const PAUSE: Duration = Duration::from_secs(61);

/// What may become of the file, and what that is called.
const STATES: [(&str, &str); 5] = [
    ("vanished", "token-file-missing"),
    ("empty", "token-file-empty"),
    ("a line end", "token-file-empty"),
    ("half-written", "assertion-incomplete"),
    ("expired", "assertion-expired"),
];

fn prefetching(source: Source) -> Plan {
    Plan { source, standing: true, identity: PREFETCH.to_owned(), ..Plan::default() }
}

fn spoil(world: &World, state: &str) {
    match state {
        "vanished" => fs::remove_file(world.path("token")).unwrap(),
        "empty" => world.put_token(""),
        "a line end" => world.put_token("\n"),
        "half-written" => {
            world.write_token();
            let whole = fs::read_to_string(world.path("token")).unwrap();
            world.put_token(&whole[..whole.len() / 2]);
        }
        _ => {
            let past = world.clock.now().epoch() - 3_600;
            let token = platform_token().claim("exp", past);
            world.put_token(world.emulator.platform_token(ISSUER, &token).unwrap().expose());
        }
    }
}

async fn outcomes(world: &World, source: &str, outcome: &str) -> f64 {
    let labels = format!("identity=\"billing\",outcome=\"{outcome}\",source=\"{source}\"");
    world.metric(&format!("unsecret_assertions_total{{{labels}}}")).await
}

#[tokio::test]
async fn each_state_of_the_file_is_named_everywhere_and_mended_by_the_next_good_token() {
    let world = World::of(prefetching(Source::File)).await;
    world.until_ready().await;
    for (state, wanted) in STATES {
        println!("{state}");
        spoil(&world, state);
        let before = (outcomes(&world, "file", wanted).await, world.exchanges());
        // The held token is dead, too.
        world.pass(Duration::from_secs(7_200)).await;
        let (line, named) = failure(&world).await;
        assert_eq!(named, wanted);
        assert!(line.starts_with("billing: not ready; ") && line.contains(", remedy: "), "{line}");
        assert_unavailable(&world, wanted).await;
        assert_eq!((outcomes(&world, "file", wanted).await, world.exchanges()), (before.0 + 1.0, before.1));
        world.write_token();
        world.pass(PAUSE).await;
        world.until_ready().await;
        let token = world.imds(GRAPH).send().await.token();
        assert_served(&world, &token).await;
    }
}

#[tokio::test]
async fn whatever_becomes_of_the_file_the_held_token_stays() {
    let world = World::of(prefetching(Source::File)).await;
    world.until_ready().await;
    for (state, wanted) in STATES {
        println!("{state}");
        let token = world.imds(GRAPH).send().await.token();
        spoil(&world, state);
        world.pass(Duration::from_secs(2_600)).await;
        assert_eq!(failure(&world).await.1, wanted);
        assert_served(&world, &token).await;
        assert_eq!(Call::get(world.admin(), "/readyz").send().await.status, 200);
        world.write_token();
        world.pass(PAUSE).await;
        let renewed = async |world: &World| (world.imds(GRAPH).send().await.token() != token).then_some(());
        world.until("the next try brings a new token", renewed).await;
        assert!(failures(&world).await == 0.0);
    }
}

/// Writes a token that ends `life` from now as the kubelet does: a new folder, and one symlink swapped.
fn project(world: &World, folder: &str, life: Duration) -> u64 {
    let mut token = platform_token();
    token.life = life;
    fs::create_dir(world.path(folder)).unwrap();
    let text = world.emulator.platform_token(ISSUER, &token).unwrap();
    fs::write(world.path(folder).join("token"), text.expose()).unwrap();
    symlink(folder, world.path("..data_tmp")).unwrap();
    fs::rename(world.path("..data_tmp"), world.path("..data")).unwrap();
    world.clock.now().epoch() + life.as_secs()
}

#[tokio::test]
async fn every_exchange_uses_the_token_that_the_kubelet_swapped_in_last() {
    let world = World::of(Plan { standing: true, token_file: TokenFile::Missing, ..Plan::default() }).await;
    symlink("..data/token", world.path("token")).unwrap();
    for (folder, life) in [("..one", 4_000), ("..two", 5_000), ("..three", 6_000)] {
        let end = project(&world, folder, Duration::from_secs(life));
        world.imds(GRAPH).send().await.token();
        let journal = world.emulator.journal();
        let last = journal.last().unwrap();
        assert!(last.is_token());
        assert_eq!(last.expires, Some(end), "{folder}");
        world.pass(Duration::from_secs(3_700)).await;
    }
    assert_eq!(world.exchanges(), 3);
}

#[tokio::test]
async fn a_wrong_request_token_is_githubs_refusal_and_mended_by_a_reload() {
    let bearer = "canary-of-another-job".to_owned();
    let mut world = World::of(Plan { github_bearer: bearer.clone(), ..prefetching(Source::Github) }).await;
    let (line, named) = failure(&world).await;
    assert_eq!(named, "github-refused");
    assert!(line.contains("id-token: write") && !line.contains(&bearer), "{line}");
    for (door, call) in world.every_door(GRAPH) {
        let answer = call.send().await;
        // Asking again cannot mend it, so not 503 (contract B17).
        assert_eq!(answer.status, if door.starts_with("oauth") { 400 } else { 403 }, "{door}");
        assert_eq!(code(&answer), "github-refused", "{door}");
    }
    assert!(outcomes(&world, "github", "github-refused").await >= 1.0);
    assert_eq!(world.exchanges(), 0);
    world.plan.github_bearer = Plan::default().github_bearer;
    world.reload().await.unwrap();
    world.until_ready().await;
    world.imds(GRAPH).send().await.token();
}

/// A way to GitHub's endpoint that can be closed.
struct Way {
    address: SocketAddr,
    open: Arc<AtomicBool>,
}

impl Way {
    async fn closed_to(world: &World) -> Self {
        let target = world.emulator.issuer_address(GITHUB).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Self { address: listener.local_addr().unwrap(), open: Arc::default() };
        let open = Arc::clone(&way.open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if open.load(Ordering::Relaxed) {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                }
            }
        });
        way
    }
}

#[tokio::test]
async fn githubs_endpoint_may_go_down_and_come_back() {
    let mut world = World::of(prefetching(Source::Github)).await;
    world.until_ready().await;
    let way = Way::closed_to(&world).await;
    let url = world.emulator.github_request_url(GITHUB).unwrap();
    let real = world.emulator.issuer_address(GITHUB).unwrap().to_string();
    world.plan.github_url = Some(url.replace(&real, &way.address.to_string()));
    world.reload().await.unwrap();
    let (line, named) = failure(&world).await;
    assert!(line.starts_with("billing: not ready; ") && line.contains("ask GitHub for an identity token"), "{line}");
    assert_unavailable(&world, &named).await;
    assert!(outcomes(&world, "github", &named).await >= 1.0);
    way.open.store(true, Ordering::Relaxed);
    world.pass(PAUSE).await;
    world.until_ready().await;
    let token = world.imds(GRAPH).send().await.token();
    way.open.store(false, Ordering::Relaxed);
    world.pass(Duration::from_secs(2_600)).await;
    failure(&world).await;
    assert_served(&world, &token).await;
    way.open.store(true, Ordering::Relaxed);
    world.pass(PAUSE).await;
    let renewed = async |world: &World| (world.imds(GRAPH).send().await.token() != token).then_some(());
    world.until("the next try brings a new token", renewed).await;
}
