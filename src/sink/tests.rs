//! Writers over scripted sources and a clock that the test moves; the files are real.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use futures_core::future::BoxFuture;
use tempfile::TempDir;

use super::*;
use crate::assertion::{Assertion, AssertionError, Wanted};
use crate::clock::TokioClock;
use crate::facts::Facts;
use crate::secret::Secret;

const NOW: u64 = 1_800_000_000;
const MINUTE: u64 = 60;
/// What a client may go on with after it has read it (contract B10).
const CACHED: u64 = 10 * MINUTE;

/// When each file was replaced, and when what it had then was to expire.
#[derive(Debug, Default)]
struct Writes(Mutex<Vec<(u64, u64)>>);

impl Observer for Writes {
    fn on(&self, event: &Event<'_>) {
        if let Event::SinkWritten { at, expires: Some(expires), .. } = *event {
            self.0.lock().unwrap().push((at, expires));
        }
    }
}

/// The platform: a token that is renewed at a share of its life, and is down now and then.
#[derive(Debug)]
struct Platform {
    clock: Arc<dyn Clock>,
    /// Of one token; 0 where the life is the asker's to choose.
    life: u64,
    renewed_after: u64,
    /// From and until when it fails, in seconds after the start.
    outages: VecDeque<(u64, u64)>,
}

impl AssertionSource for Platform {
    fn assertion<'a>(&'a self, _: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(async { Ok(self.token(self.life)) })
    }

    fn lasting<'a>(&'a self, _: Wanted<'a>, life: Duration) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(async move {
            let since = self.clock.now().epoch() - NOW;
            if self.outages.iter().any(|&(from, until)| (from..until).contains(&since)) {
                return Err(AssertionError::FileMissing { path: "/platform/token".into() });
            }
            Ok(self.token(if self.life == 0 { life.as_secs() } else { self.life }))
        })
    }

    fn kind(&self) -> &'static str {
        "scripted"
    }
}

impl Platform {
    fn token(&self, life: u64) -> Assertion {
        let now = self.clock.now().epoch();
        let born = if self.renewed_after == 0 { now } else { now - (now - NOW) % self.renewed_after };
        let jwt = Secret::new(format!("token-born-{born}-lives-{life}"));
        let facts = Facts { expires: Some(born + life), ..Facts::default() };
        Assertion { mark: jwt.fingerprint(), jwt, facts }
    }
}

struct Stage {
    folder: TempDir,
    sinks: Sinks,
    writes: Arc<Writes>,
    clock: Arc<dyn Clock>,
}

impl Stage {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
        let writes = Arc::new(Writes::default());
        let tick = Duration::from_secs(15);
        let sinks = Sinks::new(Arc::clone(&clock), writes.clone(), Arc::new(Bell::new()), tick);
        Self { folder: tempfile::tempdir().unwrap(), sinks, writes, clock }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn platform(&self, life: u64, renewed_after: u64, outages: &[(u64, u64)]) -> Arc<Platform> {
        let clock = Arc::clone(&self.clock);
        Arc::new(Platform { clock, life, renewed_after, outages: outages.iter().copied().collect() })
    }

    fn sink(&self, name: &str, source: Arc<Platform>) -> Sink {
        Sink {
            identity: IdentityName::parse("billing").unwrap(),
            required: true,
            target: Target { file: self.path(name), mode: 0o600, owner: None, group: None },
            content: Content::Assertion { source, token_url: "https://login/token".to_owned() },
            mark: Fingerprint::of(b"one"),
            reload: Vec::new(),
        }
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("waited in vain: {what}")
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Every replaced assertion was good for ten minutes more, and something good was there all the time.
fn assert_no_gap(writes: &[(u64, u64)], at_least: usize) {
    assert!(writes.len() > at_least, "only {} writes", writes.len());
    for pair in writes.windows(2) {
        let ((_, expires), (replaced, _)) = (pair[0], pair[1]);
        assert!(expires >= replaced + CACHED, "replaced {} s before its end", expires.saturating_sub(replaced));
    }
}

#[tokio::test(start_paused = true)]
async fn what_we_sign_is_good_for_ten_minutes_after_it_was_replaced_even_if_the_signer_failed_for_nine() {
    let stage = Stage::new();
    // Down when the third and the sixth rewrite are due.
    let outages = [(29 * MINUTE, 38 * MINUTE), (66 * MINUTE, 75 * MINUTE)];
    let source = stage.platform(0, 0, &outages);
    stage.sinks.order(vec![stage.sink("a", source)]);
    stage.until("eleven rewrites", || stage.writes.0.lock().unwrap().len() > 11).await;
    let writes = stage.writes.0.lock().unwrap().clone();
    assert_no_gap(&writes, 11);
    assert_eq!(writes[1].0 - writes[0].0, 10 * MINUTE, "every ten minutes, and not more often");
    assert_eq!(writes[0].1 - writes[0].0, 30 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_kubelet_renews_is_good_for_ten_minutes_after_it_was_replaced() {
    let stage = Stage::new();
    // As the kubelet does it: an hour, renewed at 80 %.
    stage.sinks.order(vec![stage.sink("a", stage.platform(60 * MINUTE, 48 * MINUTE, &[]))]);
    for _ in 0..11 * 48 {
        tokio::time::sleep(Duration::from_secs(MINUTE)).await;
    }
    let writes = stage.writes.0.lock().unwrap().clone();
    assert_no_gap(&writes, 10);
    assert_eq!(writes.len(), 11, "one write for each token");
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_replaced_at_half_its_life() {
    let stage = Stage::new();
    stage.sinks.order(vec![stage.sink("a", stage.platform(5 * MINUTE, 0, &[]))]);
    stage.until("ten rewrites", || stage.writes.0.lock().unwrap().len() > 10).await;
    for pair in stage.writes.0.lock().unwrap().windows(2) {
        assert!(pair[0].1 >= pair[1].0 + 2 * MINUTE, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_the_file_to_its_end_and_readiness_ends_with_it() {
    let stage = Stage::new();
    let file = stage.path("a");
    stage.sinks.order(vec![stage.sink("a", stage.platform(0, 0, &[(MINUTE, 100 * MINUTE)]))]);
    assert!(!stage.sinks.are_ready(), "nothing is written yet");
    stage.until("written", || stage.sinks.are_ready()).await;
    let first = read(&file);
    tokio::time::sleep(Duration::from_secs(25 * MINUTE)).await;
    let status = stage.sinks.status().remove(0);
    let trouble = status.trouble.unwrap();
    assert_eq!((status.ready, trouble.code), (true, "token-file-missing"));
    assert!(trouble.consecutive > 10, "{trouble:?}");
    tokio::time::sleep(Duration::from_secs(10 * MINUTE)).await;
    assert!(!stage.sinks.are_ready(), "past");
    assert_eq!(read(&file), first, "never truncated, never removed");
    tokio::time::sleep(Duration::from_secs(70 * MINUTE)).await;
    assert!(stage.sinks.are_ready());
    assert_ne!(read(&file), first);
    assert_eq!(stage.sinks.status().remove(0).trouble, None);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_changes_nothing_writes_nothing_and_one_that_does_writes_at_once() {
    let stage = Stage::new();
    let sink = stage.sink("a", stage.platform(0, 0, &[]));
    let written = || stage.writes.0.lock().unwrap().len();
    stage.sinks.order(vec![sink.clone()]);
    stage.until("written", || written() == 1).await;
    stage.sinks.order(vec![Sink { reload: vec!["true".to_owned()], ..sink.clone() }]);
    tokio::time::sleep(Duration::from_secs(5 * MINUTE)).await;
    assert_eq!(written(), 1);
    let target = Target { mode: 0o640, ..sink.target.clone() };
    stage.sinks.order(vec![Sink { target, ..sink.clone() }]);
    stage.until("written with another mode", || written() == 2).await;
    stage.sinks.order(vec![Sink { mark: Fingerprint::of(b"two"), ..sink }]);
    stage.until("written for another identity", || written() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_sink_takes_its_file_along_and_a_stop_leaves_it() {
    let stage = Stage::new();
    let (gone, kept) = (stage.path("gone"), stage.path("kept"));
    let source = stage.platform(0, 0, &[]);
    let both = vec![stage.sink("gone", source.clone()), stage.sink("kept", source.clone())];
    stage.sinks.order(both);
    stage.until("both are written", || gone.exists() && kept.exists()).await;
    stage.sinks.order(vec![stage.sink("kept", source)]);
    stage.until("the withdrawn one is gone", || !gone.exists()).await;
    stage.sinks.stop();
    assert!(kept.exists() && stage.sinks.status().is_empty());
}
