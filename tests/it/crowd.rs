//! Many callers at once, through the real doors: one exchange, whatever becomes of the callers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use unsecret::emulator::Fault;

use crate::support::http::{Answer, Call, Place};
use crate::support::world::{GRAPH, Plan, World};

const CALLERS: usize = 1_000;

/// A connection that is open before the first request is sent.
enum Line {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Line {
    async fn open(place: &Place) -> Self {
        match place {
            Place::Tcp(address) => Self::Tcp(TcpStream::connect(address).await.unwrap()),
            Place::Unix(path) => Self::Unix(UnixStream::connect(path).await.unwrap()),
            Place::Tls(_) => unreachable!(),
        }
    }

    async fn ask(self, call: Call) -> Answer {
        match self {
            Self::Tcp(stream) => call.over(stream).await.unwrap(),
            Self::Unix(stream) => call.over(stream).await.unwrap(),
        }
    }
}

/// A world with two listeners, since one takes no more than 512 connections, whose Entra keeps every answer back.
async fn held_back() -> World {
    let listen = "wait = \"60s\"".to_owned();
    World::of(Plan { unix: true, listen, fault: Some(Fault::Hold), ..Plan::default() }).await
}

/// Both ends of every connection are in this process; the usual limit of 1,024 files is too low.
fn allow_open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).unwrap_or_else(|why| panic!("this test needs {wanted} open files: {why}"));
    }
}

/// How many asks started a flight, and how many joined one.
async fn flights(world: &World) -> (f64, f64) {
    let series = |result| format!("unsecret_cache_requests_total{{identity=\"billing\",result=\"{result}\"}}");
    (world.metric(&series("miss")).await, world.metric(&series("coalesced")).await)
}

async fn until_all_wait(world: &World, joined: f64) {
    world.until("all wait for one flight", async |world| (flights(world).await == (1.0, joined)).then_some(())).await;
}

fn impatient(world: &World, callers: usize) -> Vec<JoinHandle<()>> {
    let call = |_| {
        let call = world.imds(GRAPH);
        tokio::spawn(async move { drop(call.try_send().await) })
    };
    (0..callers).map(call).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_every_door_of_a_cold_slot_cause_exactly_one_exchange() {
    allow_open_files(4_000);
    let world = held_back().await;
    let places = [Place::Tcp(world.http()), world.unix()];
    let mut lines = Vec::with_capacity(CALLERS);
    for place in places.iter().cycle().take(CALLERS) {
        lines.push(Line::open(place).await);
    }
    let doors = world.every_door(GRAPH);
    // Both places are asked through every door.
    let calls = doors.iter().flat_map(|(_, call)| [call, call]).cycle();
    let callers: Vec<_> =
        lines.into_iter().zip(calls).map(|(line, call)| tokio::spawn(line.ask(call.clone()))).collect();
    until_all_wait(&world, 999.0).await;
    world.emulator.clear_faults();
    let mut tokens = Vec::with_capacity(CALLERS);
    for caller in callers {
        tokens.push(caller.await.unwrap().token());
    }
    assert_eq!(tokens.len(), CALLERS);
    assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.exchanges(), 1);
    assert!(world.emulator.journal()[0].is_token());
}

#[tokio::test]
async fn callers_who_hang_up_leave_the_exchange_to_those_who_wait() {
    let world = held_back().await;
    let impatient = impatient(&world, 20);
    until_all_wait(&world, 19.0).await;
    impatient.iter().for_each(JoinHandle::abort);
    let patient = tokio::spawn(world.imds(GRAPH).send());
    until_all_wait(&world, 20.0).await;
    world.emulator.clear_faults();
    patient.await.unwrap().token();
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn when_everybody_has_hung_up_the_exchange_still_brings_the_token() {
    let world = held_back().await;
    let impatient = impatient(&world, 20);
    until_all_wait(&world, 19.0).await;
    impatient.iter().for_each(JoinHandle::abort);
    world.emulator.clear_faults();
    let expiry = format!("unsecret_token_expiry_timestamp_seconds{{identity=\"billing\",resource=\"{GRAPH}\"}}");
    world.until("the token is held", async |world| (world.metric(&expiry).await > 0.0).then_some(())).await;
    world.imds(GRAPH).send().await.token();
    assert_eq!(world.exchanges(), 1);
    assert_eq!(flights(&world).await, (1.0, 19.0), "the last caller was served from the slot");
}
