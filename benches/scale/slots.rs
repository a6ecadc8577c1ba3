//! The same answers with more and more slots beside them, and what keeping those fresh costs.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use unsecret::clock::{Clock, ManualClock};

use crate::scripted::{self, Parts};
use crate::support::figures::{self, Median};
use crate::support::stage::now;
use crate::support::{Outcome, process};

/// Slots of one identity, at most.
const EACH: usize = 1_000;
/// How often the keeper looks, as in `unsecret run`.
const TICK: Duration = Duration::from_secs(15);

pub(crate) const NAMES: [&str; 3] = ["1 slot", "100 slots", "10000 slots"];

/// Slots that are all held, and the clock that they follow.
struct Shelf {
    parts: Parts,
    identities: usize,
    each: usize,
    clock: Arc<ManualClock>,
}

impl Shelf {
    async fn fill(slots: usize) -> Outcome<Self> {
        let (identities, each) = (slots.div_ceil(EACH), slots.min(EACH));
        let clock = Arc::new(ManualClock::standing(1_798_761_832));
        let parts = scripted::parts(identities, each, &(clock.clone() as Arc<dyn Clock>))?;
        let shelf = Self { parts, identities, each, clock };
        tokio::task::spawn_local(shelf.parts.broker.clone().keep(TICK));
        while shelf.held() < identities * each {
            // Looking goes over all slots, so not after every step of every flight.
            for _ in 0..EACH {
                tokio::task::yield_now().await;
            }
        }
        Ok(shelf)
    }

    fn held(&self) -> usize {
        let status = self.parts.broker.status();
        status.identities.iter().flat_map(|identity| &identity.slots).filter(|slot| slot.held.is_some()).count()
    }

    /// A request for some slot; `number` walks over all of them, far apart.
    fn request(&self, number: usize) -> Outcome<Request<Empty<Bytes>>> {
        let slot = number.wrapping_mul(7_919) % (self.identities * self.each);
        let (client_id, resource) = (scripted::client_id(slot / self.each), scripted::resource(slot % self.each));
        let target = format!(
            "/metadata/identity/oauth2/token?api-version=2018-02-01&client_id={client_id}&resource={}",
            resource.replace(':', "%3A").replace('/', "%2F")
        );
        let request = Request::get(target).header("host", "localhost").header("metadata", "true");
        Ok(request.body(Empty::new())?)
    }

    /// A held token is answered without waiting for anything.
    fn answer(&self, request: Request<Empty<Bytes>>) -> Outcome<()> {
        let mut answer = pin!(self.parts.front.answer(scripted::peer(), request));
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) if answer.status().is_success() => Ok(()),
            _ => Err("not answered from a held token".into()),
        }
    }
}

/// For valgrind: so many answers with so many slots.
pub(crate) async fn answer(name: &str, rounds: usize) -> Outcome<()> {
    let slots = name.split(' ').next().unwrap_or_default().parse()?;
    let shelf = Shelf::fill(slots).await?;
    // Every body is rendered before; so what is counted grows with the rounds alone.
    (0..slots + rounds).try_for_each(|number| shelf.answer(shelf.request(number)?))
}

pub(crate) async fn table(quick: bool) -> Outcome<()> {
    figures::say("Slots; an answer is one request through the front, without sockets, at slots far apart:\n");
    figures::head(&[
        "slots",
        "ns/answer",
        "ns/answer, one slot",
        "KiB/slot",
        "refreshes in 1 h",
        "keeper's CPU ms in 1 h",
    ]);
    for slots in if quick { [1, 10, 100] } else { [1, 100, 10_000] } {
        let before = process::resident(std::process::id())?;
        let shelf = Shelf::fill(slots).await?;
        // Every body has been rendered once.
        (0..slots).try_for_each(|number| shelf.answer(shelf.request(number)?))?;
        let grown = process::resident(std::process::id())?.saturating_sub(before);
        let everywhere = time(&shelf, |number| number)?;
        let at_one = time(&shelf, |_| 0)?;
        let (refreshes, cpu) = keep_for_an_hour(&shelf).await?;
        let memory =
            if slots < 1_000 { "–".to_owned() } else { format!("{:.1}", figures::share(grown, slots as u64)) };
        figures::row(&[
            slots.to_string(),
            format!("{everywhere:.0}"),
            format!("{at_one:.0}"),
            memory,
            refreshes.to_string(),
            format!("{:.1}", cpu.as_secs_f64() * 1e3),
        ]);
    }
    figures::say("");
    Ok(())
}

/// Nanoseconds per answer, in batches whose requests were made before.
fn time(shelf: &Shelf, which: impl Fn(usize) -> usize) -> Outcome<Median> {
    const BATCH: usize = 2_000;
    let mut batches = Vec::new();
    for batch in 0..15 {
        let numbers = (0..BATCH).map(|number| which(batch * BATCH + number));
        let requests = numbers.map(|number| shelf.request(number)).collect::<Outcome<Vec<_>>>()?;
        let start = now();
        requests.into_iter().try_for_each(|request| shelf.answer(request))?;
        batches.push(start.elapsed().as_secs_f64() * 1e9 / figures::share(BATCH as u64, 1));
    }
    Ok(Median::of(batches))
}

/// Moves the clock through an hour, a tick at a time, and lets the keeper do what is due at each.
async fn keep_for_an_hour(shelf: &Shelf) -> Outcome<(u64, Duration)> {
    let issued = |shelf: &Shelf| {
        let status = shelf.parts.broker.status();
        let slots = status.identities.into_iter().flat_map(|identity| identity.slots);
        slots.filter_map(|slot| slot.held).map(|held| held.received).collect::<Vec<_>>()
    };
    let mut cpu = Duration::ZERO;
    let (mut refreshes, mut before) = (0, issued(shelf));
    for _ in 0..240 {
        shelf.clock.advance(TICK);
        let start = process::cpu(std::process::id())?;
        shelf.parts.broker.poke();
        // Scripted exchanges need a few turns of the runtime, not time.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        cpu += process::cpu(std::process::id())?.saturating_sub(start);
        let after = issued(shelf);
        refreshes += u64::try_from(after.iter().zip(&before).filter(|(new, old)| new != old).count())?;
        before = after;
    }
    Ok((refreshes, cpu))
}
