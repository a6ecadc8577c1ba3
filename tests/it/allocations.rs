//! A held token costs few allocations: counted for exactly the request of contract B2.
//!
//! The client's side uses one buffer that it has from the start, so that what is counted is the broker's share: hyper,
//! the listener's code, guard, dialect, policy, broker and body. The stream in memory may count too; it is ours to pay.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::support::scripted;

/// Byte for byte, with the line ends of HTTP.
const B2: &str = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
                  Host: 169.254.169.254\r\n\
                  Metadata: true\r\n\
                  \r\n";
/// The budget of the architecture page, section 4.
const THROUGH_HYPER: u64 = 8;

/// The system's allocator, counting what each thread asks of it, new or grown.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be counted otherwise; every call goes on unchanged to the system's"
)]
// SAFETY: each method hands its arguments to `System` as they are, whose contract is the one we are asked to keep; the
// counter is a plain cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

fn counted() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// One request and its whole answer, without an allocation of our own.
async fn ask(stream: &mut DuplexStream, buffer: &mut [u8]) -> usize {
    stream.write_all(B2.as_bytes()).await.unwrap();
    let mut length = 0;
    loop {
        length += stream.read(&mut buffer[length..]).await.unwrap();
        if buffer[..length].ends_with(b"}") {
            return length;
        }
    }
}

// One thread, so that the counter of this thread sees both ends.
#[tokio::test(flavor = "current_thread")]
async fn a_held_token_costs_at_most_8_allocations_through_hyper() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(scripted::converse(scripted::front(), server));
    let mut buffer = vec![0; 64 * 1024];
    // The connection's buffers grow to their size, and the token is minted and rendered.
    for _ in 0..100 {
        let length = ask(&mut client, &mut buffer).await;
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let before = counted();
    let rounds = 100;
    for _ in 0..rounds {
        ask(&mut client, &mut buffer).await;
    }
    let total = counted() - before;
    println!("{total} allocations for {rounds} answers through hyper");
    assert!(total <= THROUGH_HYPER * rounds, "{total} allocations for {rounds} answers");
    assert!(total >= rounds, "each request has a resource to decode: the counter does not count");
}

/// What `front` alone asks for, given a request that hyper has read.
async fn core(resource: &str) -> u64 {
    let front = scripted::front();
    let request = || {
        let target = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}");
        let request = Request::get(target).header("host", "169.254.169.254").header("metadata", "true");
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    assert_eq!(front.answer(scripted::peer(), request()).await.status(), 200);
    let prepared = request();
    let before = counted();
    let answer = front.answer(scripted::peer(), prepared).await;
    let total = counted() - before;
    assert_eq!(answer.status(), 200);
    total
}

#[tokio::test(flavor = "current_thread")]
async fn in_the_core_a_held_token_costs_at_most_the_decoded_resource() {
    assert_eq!(core("https://vault.azure.net").await, 0, "the body of this second is there");
    assert_eq!(core("https%3A%2F%2Fvault.azure.net").await, 1, "the text without percent signs");
}
