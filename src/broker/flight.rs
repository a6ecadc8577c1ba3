//! The single flight of one slot: many askers, one exchange.
//!
//! Only the protocol: who may start a flight, in which order it lands, how its waiters wake. It knows neither tokens
//! nor clocks nor tokio, so that the very same code is model-checked by loom (`--cfg unsecret_loom`; see CONTRIBUTING).
//! Easy to get wrong: the order on landing is store, clear the flight, then wake; and whoever wants to start a flight
//! looks again under the lock, since the one just missed may have landed in between. And a flight brings what its own askers
//! want: who wants something else waits for its end and boards again, so that there is never more than one in the air.

mod sync;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use self::sync::{Mutex, Shelf};

pub(super) use self::sync::Seen;

/// What is kept between flights (the last good value and the last failure) and the flight under way, if any.
pub(super) struct Berth<V, E> {
    current: Shelf<V>,
    trouble: Shelf<E>,
    flight: Mutex<Option<Arc<Flight<V, E>>>>,
}

/// What a flight is for; nobody joins one of another purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Any good value will do.
    Ordinary,
    /// The value that is there will not do.
    Forced,
}

/// How a flight ended.
pub(super) enum Landing<V, E> {
    Kept(Arc<V>),
    Failed(Arc<E>),
    /// The pilot was dropped before it landed: the runtime is going down, or a defect of ours.
    Lost,
}

impl<V, E> Clone for Landing<V, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Kept(value) => Self::Kept(Arc::clone(value)),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Lost => Self::Lost,
        }
    }
}

/// What came of asking for a flight.
pub(super) enum Boarding<V, E, R> {
    /// Not needed any more: what looking again found.
    Found(R),
    /// Somebody else's flight is under way.
    Joined(Ticket<V, E>),
    /// One of another purpose is: wait for its end, and board again.
    Behind(Ticket<V, E>),
    /// The caller has to fly; others may already be joining.
    Started(Pilot<V, E>, Ticket<V, E>),
}

impl<V, E> Berth<V, E> {
    pub(super) fn new() -> Self {
        Self { current: Shelf::empty(), trouble: Shelf::empty(), flight: Mutex::new(None) }
    }

    /// The last good value. Lock-free.
    pub(super) fn current(&self) -> Seen<V> {
        self.current.load()
    }

    /// The last failure, if nothing good has landed since. Lock-free.
    pub(super) fn trouble(&self) -> Seen<E> {
        self.trouble.load()
    }

    /// True while a flight is under way.
    pub(super) fn is_aloft(&self) -> bool {
        locked(&self.flight).is_some()
    }

    /// Joins the flight under way or starts one, unless `look_again` finds under the lock what the caller had missed.
    pub(super) fn board<R>(
        self: &Arc<Self>,
        purpose: Purpose,
        look_again: impl FnOnce() -> Option<R>,
    ) -> Boarding<V, E, R> {
        let mut flight = locked(&self.flight);
        if let Some(found) = look_again() {
            return Boarding::Found(found);
        }
        if let Some(under_way) = &*flight {
            let ticket = Ticket::for_(under_way);
            return if under_way.purpose == purpose { Boarding::Joined(ticket) } else { Boarding::Behind(ticket) };
        }
        let started = Arc::new(Flight { purpose, state: Mutex::new(State::Aloft(Vec::new())) });
        *flight = Some(Arc::clone(&started));
        let ticket = Ticket::for_(&started);
        Boarding::Started(Pilot { berth: Arc::clone(self), flight: Some(started) }, ticket)
    }

    /// Store, clear, wake: a waiter that wakes and asks again must find what has landed, and must not join what is over.
    fn land(&self, flight: &Flight<V, E>, landing: Landing<V, E>) {
        match &landing {
            Landing::Kept(value) => {
                self.current.store(Some(Arc::clone(value)));
                self.trouble.store(None);
            }
            // The last good value stays: a failure never touches it.
            Landing::Failed(error) => self.trouble.store(Some(Arc::clone(error))),
            Landing::Lost => {}
        }
        self.clear(flight, landing);
    }

    fn clear(&self, flight: &Flight<V, E>, landing: Landing<V, E>) {
        *locked(&self.flight) = None;
        flight.end(landing);
    }
}

/// The duty to land. Dropping it without landing frees the waiters all the same.
pub(super) struct Pilot<V, E> {
    berth: Arc<Berth<V, E>>,
    /// `None` once landed.
    flight: Option<Arc<Flight<V, E>>>,
}

impl<V, E> Pilot<V, E> {
    pub(super) fn land(mut self, outcome: Result<Arc<V>, Arc<E>>) {
        if let Some(flight) = self.flight.take() {
            self.berth.land(&flight, outcome.map_or_else(Landing::Failed, Landing::Kept));
        }
    }

    /// Fails for its waiters only: what they wanted was refused, which says nothing to those who want something else.
    pub(super) fn fail_alone(mut self, error: Arc<E>) {
        if let Some(flight) = self.flight.take() {
            self.berth.clear(&flight, Landing::Failed(error));
        }
    }
}

impl<V, E> Drop for Pilot<V, E> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.berth.land(&flight, Landing::Lost);
        }
    }
}

/// One flight, shared by its pilot and its waiters.
struct Flight<V, E> {
    purpose: Purpose,
    state: Mutex<State<V, E>>,
}

enum State<V, E> {
    /// One seat per waiter; a waiter that hung up leaves its seat empty.
    Aloft(Vec<Option<Waker>>),
    Landed(Landing<V, E>),
}

impl<V, E> Flight<V, E> {
    fn end(&self, landing: Landing<V, E>) {
        let before = mem::replace(&mut *locked(&self.state), State::Landed(landing));
        // Outside the lock: a woken waiter takes it at once.
        if let State::Aloft(seats) = before {
            seats.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

/// A waiter's place. Cancel-safe: dropping it neither stops nor restarts the flight.
pub(super) struct Ticket<V, E> {
    flight: Arc<Flight<V, E>>,
    seat: Option<usize>,
}

impl<V, E> Ticket<V, E> {
    fn for_(flight: &Arc<Flight<V, E>>) -> Self {
        Self { flight: Arc::clone(flight), seat: None }
    }
}

impl<V, E> Future for Ticket<V, E> {
    type Output = Landing<V, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = &mut *self;
        match &mut *locked(&ticket.flight.state) {
            State::Landed(landing) => Poll::Ready(landing.clone()),
            State::Aloft(seats) => {
                let seat = *ticket.seat.get_or_insert_with(|| {
                    seats.push(None);
                    seats.len() - 1
                });
                seats[seat] = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<V, E> Drop for Ticket<V, E> {
    fn drop(&mut self) {
        let Some(seat) = self.seat else { return };
        let waker = match &mut *locked(&self.flight.state) {
            State::Aloft(seats) => seats[seat].take(),
            State::Landed(_) => None,
        };
        // Dropped here, outside the lock: a waker may hold the last of a task, and that task another ticket.
        drop(waker);
    }
}

/// Nothing panics while one of these locks is held, so a poisoned one is still whole.
fn locked<T>(mutex: &Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Named so that the gate finds them by the word: `cargo test --lib loom`.
#[cfg(all(test, unsecret_loom))]
mod loom_tests;
