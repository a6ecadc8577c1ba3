//! What is not ours on a taken-over host: sent on to the real host, and its answer handed back.
//!
//! Not a proxy: the hosts are the configuration's, the connection is ours and verified, and nothing is followed, kept or
//! changed but what belongs to a connection (`headers`). What is ours is `front`'s to say. Easy to get wrong: our own
//! mark must come off nothing else, and a sign-in page that cannot be had must not fill the log.

mod headers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outbound::{MARK, MARKED, Outbound, OutboundError, Passed, Settings};
use crate::problem::{Problem as _, chain};

/// The largest request that is sent on: far more than a sign-in form or a certificate chain.
pub const LARGEST_REQUEST: usize = 1 << 20;
/// Scripts and pictures of the sign-in pages come from other hosts.
const LARGEST_ANSWER: usize = 8 << 20;
/// As long as a browser waits for a page with patience.
const DEADLINE: Duration = Duration::from_secs(30);
/// Each may hold a request and an answer in memory.
const AT_ONCE: usize = 32;

/// The taken-over hosts.
#[derive(Debug)]
pub struct Passing {
    hosts: Vec<Arc<Host>>,
    room: Semaphore,
    /// Apart from the room, so that large requests that come slowly do not keep the others from going on.
    places: Semaphore,
}

/// One host, and the way to the real one.
#[derive(Debug)]
pub struct Host {
    name: String,
    outbound: Outbound,
    failures: AtomicU64,
}

impl Host {
    /// Reaches the host as `settings` say; they know it as [`Past`](crate::outbound::Past), or it would be found here.
    #[must_use]
    pub fn new(name: String, settings: Settings) -> Self {
        let outbound = Outbound::new(Settings { max_body: LARGEST_ANSWER, deadline: DEADLINE, ..settings });
        Self { name, outbound, failures: AtomicU64::new(0) }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request came here that we had sent to the real host: the name leads us here too.
    #[must_use]
    pub fn came_back(&self) -> OutboundError {
        let how = "a request that unsecret sent there came back to it".to_owned();
        let error = OutboundError::Loop { host: self.name.clone(), how };
        self.tell(&error);
        error
    }

    /// The 1st, 2nd, 4th, 8th … time: browsers ask again at once.
    fn tell(&self, error: &OutboundError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            let (code, remedy) = (error.code(), error.remedy().unwrap_or_default());
            tracing::warn!(host = self.name, code, failures, remedy = &*remedy, "not passed on: {}", chain(error));
        }
    }
}

impl Default for Passing {
    /// None.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Passing {
    #[must_use]
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts: hosts.into_iter().map(Arc::new).collect(),
            room: Semaphore::new(AT_ONCE),
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// The host of this name, in any letter case.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<Arc<Host>> {
        self.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name)).cloned()
    }

    /// Room in memory for a large request, to be held as long as it is there: a listener takes many more at once.
    pub async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.places.acquire().await.ok()
    }

    /// Sends a request on. A failure changes nothing; dropping it closes its connection.
    pub async fn pass(&self, host: &Host, head: &Parts, body: Bytes) -> Result<Response<Full<Bytes>>, OutboundError> {
        // Never closed; and whoever waits here too long leaves.
        let _room = self.room.acquire().await.map_err(|_| OutboundError::Stopped)?;
        let passed = Passed {
            host: &host.name,
            method: &head.method,
            target: &head.uri,
            headers: headers::of_request(&head.headers, body.len()),
            body,
        };
        let answer = host.outbound.pass(passed).await.inspect_err(|error| host.tell(error))?;
        tracing::debug!(method = %head.method, host = host.name, status = answer.status, "passed on");
        let mut response = Response::new(Full::new(Bytes::from_owner(answer.body)));
        // It was a status when it came.
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        *response.headers_mut() = headers::of_answer(&answer.headers);
        Ok(response)
    }
}

/// Says on the answer that the request it answers was ours.
pub fn mark(response: &mut Response<Full<Bytes>>) {
    response.headers_mut().insert(MARK, MARKED);
}

/// Whether a request is one that we sent past the host's name, and that came back.
#[must_use]
pub fn is_ours(head: &Parts) -> bool {
    head.headers.contains_key(MARK)
}
