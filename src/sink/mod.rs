//! Files that are kept fresh for clients that only read files: access tokens and assertions.
//!
//! One task per file: what it does is in sequence, so that neither writes nor commands of one file overlap, and a reload
//! hands the task its new order. Not a way past policy: the operator who wrote the sink granted it. Easy to get wrong: a
//! failure of any kind leaves the last good file as it is; only a sink that was withdrawn takes its file along.

mod command;
mod disk;
mod error;
mod file;
mod format;
mod rehearsal;
mod status;
mod supply;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::disk::Disk;
use self::status::Board;
use self::writer::{Tools, Writer};
use crate::assertion::AssertionSource;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::ids::{IdentityName, Resource};
use crate::observe::{Event, Observer};
use crate::secret::Fingerprint;

pub use self::command::find_program;
pub use self::error::SinkError;
pub use self::file::Target;
pub use self::format::Format;
pub use self::rehearsal::Standing;
pub use self::status::SinkStatus;

/// One file to keep fresh.
#[derive(Clone, Debug)]
pub struct Sink {
    pub identity: IdentityName,
    /// Readiness waits for the file.
    pub required: bool,
    pub target: Target,
    pub content: Content,
    /// Of everything that decides which tokens the identity has: where it is unchanged, a reload keeps the file.
    pub mark: Fingerprint,
    /// Run after each write, word by word; empty for none.
    pub reload: Vec<String>,
}

/// Where what is written comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// The broker has to hold this resource as a prefetch.
    Token { broker: Arc<Broker>, resource: Resource, format: Format },
    /// For who will post it to this token URL.
    Assertion { source: Arc<dyn AssertionSource>, token_url: String },
}

impl Sink {
    /// True when what stands in the file is right for the other too.
    fn writes_like(&self, other: &Self) -> bool {
        let content = match (&self.content, &other.content) {
            (
                Content::Token { resource, format, .. },
                Content::Token { resource: other_resource, format: other_format, .. },
            ) => resource == other_resource && format == other_format,
            (Content::Assertion { token_url, .. }, Content::Assertion { token_url: other_url, .. }) => {
                token_url == other_url
            }
            _ => false,
        };
        content && self.identity == other.identity && self.mark == other.mark && self.target == other.target
    }
}

/// Wakes the writers when a slot has news. An observer, because the broker tells of a landing only after it has stored.
#[derive(Debug)]
pub struct Bell(watch::Sender<()>);

impl Bell {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a bell is hung once, by who builds the observers")]
    pub fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Also for who has just moved a clock by hand.
    pub fn ring(&self) {
        self.0.send_replace(());
    }
}

impl Observer for Bell {
    fn on(&self, event: &Event<'_>) {
        if matches!(event, Event::Minted { .. } | Event::MintFailed { .. }) {
            self.ring();
        }
    }
}

/// Every running sink.
pub struct Sinks {
    tools: Tools,
    bell: Arc<Bell>,
    running: Mutex<BTreeMap<PathBuf, Running>>,
}

/// One task and what is said of it.
struct Running {
    order: watch::Sender<Option<Arc<Sink>>>,
    board: Arc<Board>,
    task: JoinHandle<()>,
}

impl Sinks {
    /// None yet. `tick` is the longest that a writer with something to do sleeps, since both clocks may jump.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>, bell: Arc<Bell>, tick: Duration) -> Self {
        let tools = Tools { clock, observer, tick, commands: Arc::default(), disk: Disk::default() };
        Self { tools, bell, running: Mutex::default() }
    }

    /// These from now on. One whose file stays goes on with what it has written, as far as that is still right; one that
    /// is not among them takes its file along.
    pub fn order(&self, wanted: Vec<Sink>) {
        let mut running = self.running();
        let mut before = std::mem::take(&mut *running);
        for sink in wanted {
            let (file, sink) = (sink.target.file.clone(), Arc::new(sink));
            let known = before.remove(&file).filter(|known| !known.task.is_finished());
            let known = known.unwrap_or_else(|| self.start());
            known.board.expect(&sink);
            known.order.send_replace(Some(sink));
            running.insert(file, known);
        }
        // Its task ends by itself.
        for withdrawn in before.into_values() {
            withdrawn.order.send_replace(None);
        }
    }

    fn start(&self) -> Running {
        let (order, orders) = watch::channel(None);
        let board = Arc::new(Board::default());
        let writer = Writer::new(self.tools.clone(), orders, self.bell.0.subscribe(), Arc::clone(&board));
        Running { order, board, task: tokio::spawn(writer.run()) }
    }

    /// What stands in each file and what last went wrong, in the order of the files.
    #[must_use]
    pub fn status(&self) -> Vec<SinkStatus> {
        let now = self.tools.clock.now();
        self.running().values().filter_map(|running| running.board.read(now)).collect()
    }

    /// True when every required sink's file has been written, and is good.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        let now = self.tools.clock.now();
        self.running().values().all(|running| running.board.lets_ready(now))
    }

    /// No more writing; a command under way is killed. The files stay: a restart must leave no gap.
    pub fn stop(&self) {
        for running in std::mem::take(&mut *self.running()).into_values() {
            running.task.abort();
        }
    }

    /// The map is whole at any time, so a poisoned lock is no reason to stop.
    fn running(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.running().keys()).finish()
    }
}

#[cfg(test)]
mod tests;
