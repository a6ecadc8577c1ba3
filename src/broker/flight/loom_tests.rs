//! Every interleaving of two threads (`--cfg unsecret_loom`).

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::future::block_on;
use loom::thread;

use super::*;

type Tried = Berth<u32, &'static str>;

fn good(berth: &Tried) -> Option<u32> {
    berth.current().as_ref().map(|value| **value)
}

/// Asks as a slot does: held? else board, and fly if it falls to us. Counts the exchanges. A slot flies in a task of
/// its own; here the asker flies before it waits, which leaves loom two threads and thus every interleaving of them.
fn ask(berth: &Arc<Tried>, exchanges: &AtomicUsize, outcome: Result<u32, &'static str>) -> Result<u32, &'static str> {
    if let Some(held) = good(berth) {
        return Ok(held);
    }
    let settled = || good(berth).map(Ok).or_else(|| berth.trouble().as_ref().map(|error| Err(**error)));
    let ticket = match berth.board(Purpose::Ordinary, settled) {
        Boarding::Found(found) => return found,
        Boarding::Joined(ticket) | Boarding::Behind(ticket) => ticket,
        Boarding::Started(pilot, ticket) => {
            exchanges.fetch_add(1, Ordering::Relaxed);
            pilot.land(outcome.map(Arc::new).map_err(Arc::new));
            ticket
        }
    };
    match block_on(ticket) {
        Landing::Kept(value) => Ok(*value),
        Landing::Failed(error) => Err(*error),
        Landing::Lost => Err("lost"),
    }
}

#[test]
fn two_askers_of_a_cold_slot_cause_one_exchange_and_both_wake() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let exchanges = Arc::new(AtomicUsize::new(0));
        let other = {
            let (berth, exchanges) = (Arc::clone(&berth), Arc::clone(&exchanges));
            thread::spawn(move || ask(&berth, &exchanges, Ok(7)))
        };
        assert_eq!(ask(&berth, &exchanges, Ok(7)), Ok(7));
        assert_eq!(good(&berth), Some(7), "who was woken finds what has landed");
        assert_eq!(other.join().unwrap(), Ok(7));
        assert_eq!(exchanges.load(Ordering::Relaxed), 1);
        assert!(!berth.is_aloft());
    });
}

#[test]
fn a_failed_flight_wakes_its_waiters_once_and_is_not_restarted_while_cooling() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let exchanges = Arc::new(AtomicUsize::new(0));
        let other = {
            let (berth, exchanges) = (Arc::clone(&berth), Arc::clone(&exchanges));
            thread::spawn(move || ask(&berth, &exchanges, Err("down")))
        };
        assert_eq!(ask(&berth, &exchanges, Err("down")), Err("down"));
        assert_eq!(other.join().unwrap(), Err("down"));
        assert_eq!(exchanges.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_failed_refresh_never_hides_the_good_value_from_a_reader() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let Boarding::Started(first, _) = berth.board(Purpose::Ordinary, || None::<()>) else {
            panic!("the berth is empty")
        };
        first.land(Ok(Arc::new(1)));
        let Boarding::Started(second, ticket) = berth.board(Purpose::Ordinary, || None::<()>) else {
            panic!("nothing is aloft")
        };
        let flying = thread::spawn(move || second.land(Err(Arc::new("down"))));
        assert_eq!(good(&berth), Some(1));
        assert!(matches!(block_on(ticket), Landing::Failed(_)));
        assert_eq!(good(&berth), Some(1));
        assert_eq!(berth.trouble().as_ref().map(|error| **error), Some("down"));
        flying.join().unwrap();
    });
}

#[test]
fn a_lost_pilot_frees_its_waiters_and_the_next_asker_may_fly() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let Boarding::Started(pilot, ticket) = berth.board(Purpose::Ordinary, || None::<()>) else {
            panic!("the berth is empty")
        };
        let dying = thread::spawn(move || drop(pilot));
        assert!(matches!(block_on(ticket), Landing::Lost));
        assert!(matches!(berth.board(Purpose::Ordinary, || None::<()>), Boarding::Started(..)));
        dying.join().unwrap();
    });
}

#[test]
fn a_waiter_who_hangs_up_neither_stops_the_flight_nor_takes_the_others_wake() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let Boarding::Started(pilot, ticket) = berth.board(Purpose::Ordinary, || None::<()>) else {
            panic!("the berth is empty")
        };
        let flying = thread::spawn(move || pilot.land(Ok(Arc::new(1))));
        let Boarding::Joined(mut leaving) = berth.board(Purpose::Ordinary, || good(&berth)) else {
            flying.join().unwrap();
            return;
        };
        let left = thread::spawn(move || {
            let _ = Pin::new(&mut leaving).poll(&mut Context::from_waker(Waker::noop()));
        });
        assert!(matches!(block_on(ticket), Landing::Kept(_)));
        left.join().unwrap();
        flying.join().unwrap();
    });
}

/// Forces a value newer than the first one, as a slot does: waits for the end of what will not do, and boards again.
fn force(berth: &Arc<Tried>, exchanges: &AtomicUsize) -> u32 {
    loop {
        let ticket = match berth.board(Purpose::Forced, || good(berth).filter(|value| *value > 1)) {
            Boarding::Found(value) => return value,
            Boarding::Behind(ticket) => {
                block_on(ticket);
                continue;
            }
            Boarding::Joined(ticket) => ticket,
            Boarding::Started(pilot, ticket) => {
                exchanges.fetch_add(1, Ordering::Relaxed);
                pilot.land(Ok(Arc::new(2)));
                ticket
            }
        };
        if let Landing::Kept(value) = block_on(ticket) {
            return *value;
        }
    }
}

#[test]
fn who_forces_a_flight_waits_for_the_ordinary_one_and_never_takes_what_it_brings() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let exchanges = Arc::new(AtomicUsize::new(0));
        let Boarding::Started(ordinary, _) = berth.board(Purpose::Ordinary, || None::<()>) else {
            panic!("the berth is empty")
        };
        let landing = thread::spawn(move || ordinary.land(Ok(Arc::new(1))));
        assert_eq!(force(&berth, &exchanges), 2);
        assert_eq!(good(&berth), Some(2), "the ordinary one has landed before, not over it");
        assert_eq!(exchanges.load(Ordering::Relaxed), 1);
        landing.join().unwrap();
    });
}

#[test]
fn two_who_force_share_one_flight_or_the_second_finds_its_value() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let exchanges = Arc::new(AtomicUsize::new(0));
        let other = {
            let (berth, exchanges) = (Arc::clone(&berth), Arc::clone(&exchanges));
            thread::spawn(move || force(&berth, &exchanges))
        };
        assert_eq!(force(&berth, &exchanges), 2);
        assert_eq!(other.join().unwrap(), 2);
        assert_eq!(exchanges.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_flight_that_fails_alone_frees_its_waiters_and_leaves_no_trouble_behind() {
    loom::model(|| {
        let berth = Arc::new(Tried::new());
        let Boarding::Started(pilot, ticket) = berth.board(Purpose::Forced, || None::<()>) else {
            panic!("the berth is empty")
        };
        let flying = thread::spawn(move || pilot.fail_alone(Arc::new("refused")));
        assert!(matches!(block_on(ticket), Landing::Failed(_)));
        assert_eq!(berth.trouble().as_ref().map(|error| **error), None);
        assert!(!berth.is_aloft());
        flying.join().unwrap();
    });
}
