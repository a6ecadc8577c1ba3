//! The life of one sink: look, write, run the command, wait for news.
//!
//! All in sequence in one task. Easy to get wrong: the task must be safe to abort at any `await`, so a write happens whole
//! on a thread of its own; and every wait is bounded, since a clock may jump while nothing rings.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::command::{self, Commands};
use super::disk::Disk;
use super::error::SinkError;
use super::file::Mark;
use super::status::Board;
use super::supply::{self, Supplied};
use super::{Content, Format, Sink};
use crate::assertion::AssertionSource;
use crate::broker::{MintError, Prefetched};
use crate::clock::{Clock, Deadline, Now};
use crate::observe::{Event, Observer};
use crate::problem::{Problem, Trouble, chain};
use crate::secret::Fingerprint;

/// What every writer needs.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    /// The longest sleep while something is due.
    pub(super) tick: Duration,
    pub(super) commands: Arc<Commands>,
    pub(super) disk: Disk,
}

pub(super) struct Writer {
    tools: Tools,
    orders: watch::Receiver<Option<Arc<Sink>>>,
    bell: watch::Receiver<()>,
    board: Arc<Board>,
    kept: Option<Kept>,
    /// When to ask for the next assertion; at once while there is none.
    again: Option<Deadline>,
    trouble: Option<(u32, Deadline)>,
    warned: Warned,
}

/// What this process has put into the file.
struct Kept {
    mark: Mark,
    /// Of the token or assertion; `None` when it is not what is wanted any more.
    print: Option<Fingerprint>,
    expires: Option<Deadline>,
}

/// What was said once and need not be said again.
#[derive(Default)]
struct Warned {
    starved: bool,
    expired: bool,
    short: bool,
}

impl Writer {
    pub(super) fn new(
        tools: Tools,
        orders: watch::Receiver<Option<Arc<Sink>>>,
        bell: watch::Receiver<()>,
        board: Arc<Board>,
    ) -> Self {
        Self { tools, orders, bell, board, kept: None, again: None, trouble: None, warned: Warned::default() }
    }

    /// Until the sink is withdrawn.
    pub(super) async fn run(mut self) {
        let mut before: Option<Arc<Sink>> = None;
        loop {
            let order = self.orders.borrow_and_update().clone();
            let Some(sink) = order else { break };
            self.bell.borrow_and_update();
            if !before.as_ref().is_some_and(|old| Arc::ptr_eq(old, &sink)) {
                self.take_over(before.as_deref(), &sink).await;
                before = Some(Arc::clone(&sink));
            }
            let due = self.turn(&sink).await.map(|due| due.min(self.tools.tick));
            let due = timeout(due.unwrap_or(Duration::MAX), async {
                tokio::select! {
                    changed = self.orders.changed() => changed,
                    changed = self.bell.changed() => changed,
                }
            });
            // With both ends gone nobody wants anything.
            if matches!(due.await, Ok(Err(_))) {
                return;
            }
        }
        if let Some(sink) = before {
            self.withdraw(&sink).await;
        }
    }

    /// Decides what of the work for the old order is right for the new one.
    async fn take_over(&mut self, old: Option<&Sink>, new: &Sink) {
        let (target, mark) = (new.target.clone(), self.kept.as_ref().map(|kept| kept.mark));
        let Some(old) = old else {
            // What cannot be cleaned is no reason not to write.
            let _ = self.tools.disk.run(move || target.clean()).await;
            return;
        };
        // A file that somebody removed or replaced comes back with the reload.
        let is_there = self.tools.disk.run(move || mark.is_none_or(|mark| target.holds(mark))).await;
        if !old.writes_like(new) || is_there == Some(false) {
            self.forget();
        }
        if old.identity != new.identity {
            self.tell(&Event::SinkWithdrawn { identity: &old.identity, file: &old.target.file });
        }
    }

    /// Does what is due and says when to look again, if not at the next ring.
    async fn turn(&mut self, sink: &Sink) -> Option<Duration> {
        let now = self.tools.clock.now();
        if self.trouble.is_none_or(|(_, until)| until.is_past(now)) {
            match &sink.content {
                Content::Token { broker, resource, format } => {
                    self.look(sink, broker.prefetched(&sink.identity, resource), format).await;
                }
                Content::Assertion { source, token_url } if self.again.is_none_or(|again| again.is_past(now)) => {
                    self.ask(sink, source, token_url).await;
                }
                Content::Assertion { .. } => {}
            }
        }
        self.expire(sink);
        self.next(sink)
    }

    /// Writes the token that the broker holds, unless the file has it.
    async fn look(&mut self, sink: &Sink, seen: Prefetched, format: &Format) {
        let Prefetched { held, failure } = seen;
        if let Some(minted) = held.filter(|minted| !self.has(minted.access_token.fingerprint())) {
            self.write(sink, Supplied::token(&minted, format)).await;
        } else {
            // There is nothing to try again.
            self.trouble = None;
            self.starve(sink, failure.as_ref());
        }
    }

    async fn ask(&mut self, sink: &Sink, source: &Arc<dyn AssertionSource>, token_url: &str) {
        let Tools { clock, observer, .. } = self.tools.clone();
        match supply::ask(source, token_url, &sink.identity, (&*clock, &*observer)).await {
            Ok(assertion) => self.replace(sink, Supplied::assertion(&assertion, &*clock)).await,
            Err(problem) => self.fail(sink, &*problem),
        }
    }

    /// The earliest of what this sink waits for by the clock.
    fn next(&self, sink: &Sink) -> Option<Duration> {
        let now = self.tools.clock.now();
        let again = self.again.filter(|_| matches!(sink.content, Content::Assertion { .. }));
        let end = self.kept.as_ref().and_then(|kept| kept.expires).filter(|_| !self.warned.expired);
        let pause = self.trouble.map(|(_, until)| until);
        // Nothing is done before the pause is over.
        let earliest = pause.or(again).into_iter().chain(end).map(|deadline| deadline.remaining(now)).min();
        earliest.map(|wait| wait.max(Duration::from_millis(1)))
    }

    fn has(&self, print: Fingerprint) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.print == Some(print))
    }

    /// Writes an assertion, unless it is the one that the file has, and plans the next.
    async fn replace(&mut self, sink: &Sink, supplied: Supplied) {
        let now = self.tools.clock.now();
        let left = supplied.expires.map(|expires| expires.remaining(now));
        if self.has(supplied.print) {
            self.trouble = None;
            self.board.failed(None);
        } else {
            self.warn_of_short_life(sink, left);
            self.write(sink, supplied).await;
        }
        if self.trouble.is_none() {
            self.again = Some(Deadline::after(now, supply::pause(left)));
        }
    }

    async fn write(&mut self, sink: &Sink, supplied: Supplied) {
        let Supplied { text, print, expires } = supplied;
        let target = sink.target.clone();
        let written = self.tools.disk.run(move || target.write(text.as_bytes())).await;
        let written = written.unwrap_or_else(|| Err(SinkError::Stopped { file: sink.target.file.clone() }));
        match written {
            Ok(mark) => {
                self.kept = Some(Kept { mark, print: Some(print), expires });
                self.trouble = None;
                self.warned.starved = false;
                self.warned.expired = false;
                self.board.written(expires);
                let at = self.tools.clock.now().epoch();
                self.tell(&Event::SinkWritten {
                    identity: &sink.identity,
                    file: &sink.target.file,
                    at,
                    expires: expires.map(|expires| expires.epoch()),
                });
                self.reload(sink).await;
            }
            Err(problem) => self.fail(sink, &problem),
        }
    }

    /// The last good file stays; the next try comes after a pause.
    fn fail(&mut self, sink: &Sink, problem: &dyn Problem) {
        let now = self.tools.clock.now();
        let consecutive = self.trouble.map_or(0, |(count, _)| count).saturating_add(1);
        let retry_in = backoff(consecutive);
        self.trouble = Some((consecutive, Deadline::after(now, retry_in)));
        let (chain, remedy) = (chain(as_error(problem)), problem.remedy());
        self.tell(&Event::SinkFailed {
            identity: &sink.identity,
            file: &sink.target.file,
            code: problem.code(),
            chain: &chain,
            remedy: remedy.as_deref(),
            consecutive,
            retry_in,
            lasts: self.lasts(now),
        });
        let remedy = remedy.map(Into::into);
        self.board.failed(Some(Trouble { code: problem.code(), chain, remedy, consecutive }));
    }

    /// How long what stands in the file is still good.
    fn lasts(&self, now: Now) -> Option<Duration> {
        let left = self.kept.as_ref()?.expires?.remaining(now);
        Some(left).filter(|left| !left.is_zero())
    }

    async fn reload(&self, sink: &Sink) {
        if sink.reload.is_empty() {
            return;
        }
        let ended = self.tools.commands.run(&sink.reload, command::LIMIT).await;
        let problem = ended.as_ref().err();
        self.tell(&Event::SinkReloaded {
            identity: &sink.identity,
            file: &sink.target.file,
            code: problem.map(Problem::code),
            chain: problem.map(|problem| chain(problem)).as_deref(),
            remedy: problem.and_then(Problem::remedy).as_deref(),
        });
    }

    /// Says once that the broker gets no new token, and for how long the file is still good.
    fn starve(&mut self, sink: &Sink, failure: Option<&MintError>) {
        let Some(error) = failure else {
            self.warned.starved = false;
            return;
        };
        if !std::mem::replace(&mut self.warned.starved, true) {
            let good_for_s = self.lasts(self.tools.clock.now()).map(|left| left.as_secs());
            let (identity, file, code) = (&sink.identity, sink.target.file.display(), error.problem.code());
            tracing::warn!(%identity, %file, code, good_for_s, "no new token for a sink; its file stays as it is");
        }
    }

    /// Says once that what stands in the file is past. It stays: clients read that from the token, and a missing or empty
    /// file would tell them less.
    fn expire(&mut self, sink: &Sink) {
        let now = self.tools.clock.now();
        let is_past = self.kept.as_ref().and_then(|kept| kept.expires).is_some_and(|expires| expires.is_past(now));
        if is_past && !std::mem::replace(&mut self.warned.expired, true) {
            let (identity, file) = (&sink.identity, sink.target.file.display());
            tracing::error!(%identity, %file, "what a sink's file holds has expired; the file stays as it is");
        }
    }

    fn warn_of_short_life(&mut self, sink: &Sink, left: Option<Duration>) {
        let Some(left) = left.filter(|left| *left <= supply::CACHED) else { return };
        if !std::mem::replace(&mut self.warned.short, true) {
            let (identity, file, good_for_s) = (&sink.identity, sink.target.file.display(), left.as_secs());
            tracing::warn!(
                %identity,
                %file,
                good_for_s,
                "the platform's token is short-lived: a client that keeps what it read for ten minutes, as Azure SDKs do, \
                 presents an expired one in between (AADSTS700024)"
            );
        }
    }

    /// What stands in the file is not what is wanted any more; it stays until there is something better.
    fn forget(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.print = None;
        }
        self.again = None;
        self.trouble = None;
        self.warned = Warned::default();
        self.board.outdated();
    }

    /// Nobody keeps the file any more, so a token would stay in it until it ends: it goes, if it is still ours.
    async fn withdraw(self, sink: &Sink) {
        let (target, kept) = (sink.target.clone(), self.kept.as_ref().map(|kept| kept.mark));
        let removed = self.tools.disk.run(move || kept.map_or(Ok(()), |mark| target.remove(mark))).await;
        if let Some(Err(problem)) = removed {
            tell_left(sink, &problem);
        }
        self.tell(&Event::SinkWithdrawn { identity: &sink.identity, file: &sink.target.file });
    }

    fn tell(&self, event: &Event<'_>) {
        self.tools.observer.on(event);
    }
}

/// 1 s, 2 s, 4 s … one minute: a full disk or a missing directory is mended by hand.
fn backoff(consecutive: u32) -> Duration {
    Duration::from_secs(1 << consecutive.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

fn tell_left(sink: &Sink, problem: &SinkError) {
    let (identity, file) = (&sink.identity, sink.target.file.display());
    let (code, remedy) = (problem.code(), problem.remedy());
    let remedy = remedy.as_deref();
    tracing::error!(%identity, %file, code, remedy, "the file of a withdrawn sink is left: {}", chain(problem));
}

fn as_error(problem: &dyn Problem) -> &(dyn std::error::Error + 'static) {
    problem
}
