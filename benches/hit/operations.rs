//! What is measured, each under a name: made once, run any number of times.

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use unsecret::broker::{Fresh, Minted};
use unsecret::clock::{Clock, SystemClock};
use unsecret::dialect::{self, Dialect};
use unsecret::guard::{Guard, MAX_BODY};
use unsecret::ids::{Door, Guid, Resource};
use unsecret::policy::{Ask, Policy, Selector};
use unsecret::secret::Secret;

use super::scripted::{self, KEY, TENANT};
use super::stream::Line;

pub(crate) const NAMES: [&str; 15] = [
    "read both clocks",
    "guard",
    "read imds",
    "read app-service",
    "read oauth",
    "decide, any local caller",
    "decide, local key",
    "look a slot up",
    "body, imds",
    "body, oauth",
    "make a request",
    "make a request and answer it, imds",
    "make a request and answer it, oauth",
    "bare hyper, in memory",
    "hyper and front, in memory",
];

const RESOURCE: &str = "https://vault.azure.net";
const IMDS: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
const APP_SERVICE: &str = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";

/// Everything that the operations use.
pub(crate) struct Operations {
    clock: Arc<dyn Clock>,
    parts: scripted::Parts,
    policy: Arc<unsecret::front::Wiring>,
    minted: Minted,
    imds: Parts,
    app_service: Parts,
    oauth: Parts,
    form: String,
    front_line: Line,
    bare_line: Line,
    runtime: Arc<Runtime>,
}

impl Operations {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let parts = scripted::parts(1, 0, &clock)?;
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
        let front_line = Line::to_front(&runtime, &parts.front);
        // The token is minted, and the connection's buffers grow to their size.
        let length = front_line.ask()?;
        let bare_line = Line::to_bare_hyper(&runtime, Bytes::from(vec![b'}'; length - 153]));
        let fresh = Fresh {
            access_token: Secret::new("t".repeat(1_800)),
            expires_in: std::time::Duration::from_secs(3_600),
            ext_expires_in: None,
            refresh_in: None,
        };
        let client_id = Guid::parse(&scripted::client_id(0))?;
        Ok(Self {
            minted: Minted::new(fresh, client_id, Resource::parse(RESOURCE)?, clock.now()),
            policy: parts.front.wiring(),
            parts,
            clock,
            imds: head(Request::get(IMDS).header("metadata", "true"))?,
            app_service: head(Request::get(APP_SERVICE).header("x-identity-header", KEY))?,
            oauth: head(Request::post(format!("/{TENANT}/oauth2/v2.0/token")).header("content-type", FORM))?,
            form: form(),
            front_line,
            bare_line,
            runtime,
        })
    }

    /// Does one operation so many times.
    pub(crate) fn run(&self, name: &str, rounds: u64) -> Result<(), Box<dyn Error>> {
        let many = |operation: &dyn Fn()| (0..rounds).for_each(|_| operation());
        let now = self.clock.now();
        match name {
            "read both clocks" => many(&|| {
                let _ = black_box(self.clock.now());
            }),
            "guard" => many(&|| drop(black_box(Guard::default().check(&scripted::peer(), &self.imds, MAX_BODY)))),
            "read imds" => many(&|| read(&self.imds, b"")),
            "read app-service" => many(&|| read(&self.app_service, b"")),
            "read oauth" => many(&|| read(&self.oauth, self.form.as_bytes())),
            "decide, any local caller" => many(&|| decide(&self.policy.policy, &ask(Door::Imds, None))),
            "decide, local key" => many(&|| decide(&self.policy.policy, &ask(Door::AppService, Some(KEY)))),
            "look a slot up" => {
                let asked = ask(Door::Imds, None);
                let grant = self.policy.policy.decide(&scripted::peer(), &asked)?;
                many(&|| drop(black_box(self.parts.broker.held(&grant, now))));
            }
            "body, imds" => many(&|| drop(black_box(door(&self.imds).render(&self.minted, now)))),
            "body, oauth" => many(&|| drop(black_box(door(&self.oauth).render(&self.minted, now)))),
            "make a request" => many(&|| drop(black_box(self.request(&self.imds, false)))),
            "make a request and answer it, imds" => many(&|| self.answer(&self.imds, false)),
            "make a request and answer it, oauth" => many(&|| self.answer(&self.oauth, true)),
            "bare hyper, in memory" => many(&|| drop(black_box(self.bare_line.ask()))),
            "hyper and front, in memory" => many(&|| drop(black_box(self.front_line.ask()))),
            unknown => return Err(format!("no operation `{unknown}`").into()),
        }
        Ok(())
    }

    fn request(&self, head: &Parts, form: bool) -> Request<Full<Bytes>> {
        let body = if form { Bytes::copy_from_slice(self.form.as_bytes()) } else { Bytes::new() };
        Request::from_parts(head.clone(), Full::new(body))
    }

    /// A held token is answered without waiting for anything.
    fn answer(&self, head: &Parts, form: bool) {
        // Reading a body sets a limit on its time.
        let _entered = self.runtime.enter();
        let mut answer = pin!(self.parts.front.answer(scripted::peer(), self.request(head, form)));
        let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("the token is held");
        };
        assert!(answer.status().is_success(), "{answer:?}");
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form() -> String {
    let client_id = scripted::client_id(0);
    format!(
        "grant_type=client_credentials&client_id={client_id}&client_secret={KEY}&scope=https%3A%2F%2Fvault.azure.net%2F.default"
    )
}

fn head(request: http::request::Builder) -> Result<Parts, http::Error> {
    Ok(request.header("host", "169.254.169.254").body(())?.into_parts().0)
}

fn door(head: &Parts) -> &'static dyn Dialect {
    #[expect(clippy::expect_used, reason = "every head here was made for a door")]
    dialect::route(head.uri.path()).expect("a door")
}

fn read(head: &Parts, body: &[u8]) {
    let request = dialect::Request {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body,
    };
    drop(black_box(door(head).read(black_box(&request))));
}

fn ask(door: Door, key: Option<&'static str>) -> Ask<'static> {
    Ask {
        door,
        selector: Selector::None,
        tenant: None,
        resource: RESOURCE.into(),
        key: key.map(Into::into),
        raw_key: None,
        capable: false,
        renew: None,
    }
}

fn decide(policy: &Policy, asked: &Ask<'_>) {
    drop(black_box(policy.decide(&scripted::peer(), black_box(asked))));
}
