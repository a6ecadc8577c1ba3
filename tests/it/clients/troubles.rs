//! Failures as applications see them: for each class of contract B17, what is raised, how long that takes, how often the
//! client asked us and how often we asked Entra.
//!
//! Each trouble lasts: a client comes back only when it has given up. What would be wrong is a block of a minute, a storm of
//! requests, and an error that does not say what to do.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use unsecret::emulator::Fault;
use unsecret::secret::local_key::LocalKey;

use super::doors::Door;
use super::page;
use super::program::{Program, Runtime, Said};
use super::table::received;
use crate::support::world::{Plan, TokenFile, VAULT, World};

const PAGE: &str = "docs/client-errors.md";

/// Most of the time is spent waiting.
const TOGETHER: usize = 6;

/// How long a client waited, as the page says it, and until how many seconds. Nobody waits longer than the last.
const WAITS: [(&str, f64); 4] = [("at once", 2.0), ("under 5 s", 5.0), ("under 20 s", 20.0), ("under 55 s", 55.0)];

/// More than this many requests to us or to Entra, for one call of an application, are a storm.
const STORM: usize = 13;

/// MSAL for Go gives up after 30 s in all, which is when our third wait of 10 s ends: whether it asks once more would be chance.
const IMPATIENT: Asker = ("azidentity", "ClientSecretCredential", Door::OauthHttps);

/// Which client stands for a runtime at a door.
pub type Asker = (&'static str, &'static str, Door);

fn askers(runtime: Runtime) -> &'static [Asker] {
    match runtime {
        Runtime::Python => &[
            ("azure-identity", "ManagedIdentityCredential", Door::AppService),
            ("azure-identity", "ManagedIdentityCredential", Door::Imds),
            ("azure-identity", "aio.ClientSecretCredential", Door::OauthHttps),
            ("Authlib", "OAuth2Session", Door::OauthHttp),
        ],
        Runtime::Node => &[
            ("@azure/identity", "ManagedIdentityCredential", Door::AppService),
            ("@azure/identity", "ManagedIdentityCredential", Door::Imds),
            ("@azure/identity", "ClientSecretCredential", Door::OauthHttps),
            ("simple-oauth2", "ClientCredentials", Door::OauthHttp),
        ],
        Runtime::Go => &[
            ("azidentity", "ManagedIdentityCredential", Door::AppService),
            ("azidentity", "ClientSecretCredential", Door::OauthHttps),
            ("golang.org/x/oauth2", "clientcredentials.Config", Door::OauthHttp),
        ],
        Runtime::Java => &[
            ("azure-identity", "ManagedIdentityCredential", Door::AppService),
            ("azure-identity", "ManagedIdentityCredential", Door::Imds),
            ("azure-identity", "ClientSecretCredential", Door::OauthHttps),
            ("spring-security-oauth2-client", "RestClientClientCredentialsTokenResponseClient", Door::OauthHttp),
        ],
        Runtime::Rust => &[],
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// As the page names it.
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Entra refuses with this number.
    Refused(u32, &'static str),
    Propagation,
    Throttled,
    Unavailable,
    Unreachable,
    Silent,
    /// The platform's token is not there yet.
    NoSource,
    /// A resource that the identity may not ask for.
    NotAllowed,
    /// A local key that is not ours, where the door carries one.
    WrongKey,
}

const TROUBLES: [Trouble; 12] = [
    Trouble { name: "client: Entra finds the scope malformed (70011)", kind: Kind::Refused(70011, "invalid_scope") },
    Trouble {
        name: "configuration: Entra does not know the application (700016)",
        kind: Kind::Refused(700_016, "unauthorized_client"),
    },
    Trouble {
        name: "configuration: Entra does not know the resource (500011)",
        kind: Kind::Refused(500_011, "invalid_resource"),
    },
    Trouble { name: "policy: conditional access blocks (53003)", kind: Kind::Refused(53003, "access_denied") },
    Trouble { name: "propagation: a new credential has not spread (700213)", kind: Kind::Propagation },
    Trouble { name: "passing: Entra throttles for an hour", kind: Kind::Throttled },
    Trouble { name: "passing: Entra answers 503", kind: Kind::Unavailable },
    Trouble { name: "passing: Entra cannot be reached", kind: Kind::Unreachable },
    Trouble { name: "passing: Entra does not answer", kind: Kind::Silent },
    Trouble { name: "start: the platform's token is not there yet", kind: Kind::NoSource },
    Trouble { name: "ours: the identity may not ask for the resource", kind: Kind::NotAllowed },
    Trouble { name: "ours: the local key is wrong, or missing", kind: Kind::WrongKey },
];

impl Trouble {
    fn plan(self, door: Door) -> Plan {
        let plan = door.plan();
        match self.kind {
            Kind::NoSource => Plan { token_file: TokenFile::Missing, ..plan },
            Kind::NotAllowed => Plan { scopes: vec![VAULT], ..plan },
            // At a door without keys it is the identity that wants one.
            Kind::WrongKey => Plan { identity: String::new(), ..plan },
            _ => plan,
        }
    }

    fn fault(self) -> Option<Fault> {
        match self.kind {
            Kind::Refused(number, error) => Some(Fault::Refuse { number, error: error.to_owned(), status: 400 }),
            Kind::Propagation => Some(Fault::Propagation),
            Kind::Throttled => Some(Fault::Throttle { retry_after: Some(3_600) }),
            Kind::Unavailable => Some(Fault::Status { status: 503, retry_after: None }),
            Kind::Unreachable => Some(Fault::Outage),
            Kind::Silent => Some(Fault::Hang),
            Kind::NoSource | Kind::NotAllowed | Kind::WrongKey => None,
        }
    }
}

/// Tries every trouble with a runtime's clients and holds the page to what came of it.
pub async fn hold(runtime: Runtime) {
    let Some(program) = runtime.program() else { return };
    let (program, together) = (Arc::new(program), Arc::new(Semaphore::new(TOGETHER)));
    let mut running = JoinSet::new();
    let all = TROUBLES.iter().flat_map(|trouble| askers(runtime).iter().map(move |asker| (*trouble, *asker)));
    for (place, (trouble, asker)) in all.enumerate() {
        let (program, together) = (program.clone(), together.clone());
        running.spawn(async move {
            let _turn = together.acquire_owned().await.unwrap();
            (place, tried(runtime, &program, trouble, asker).await)
        });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|(place, _)| *place);
    let heading = "| what is wrong | door | client | raised | waited | we were asked | Entra was asked |\n\
        | --- | --- | --- | --- | --- | --- | --- |\n";
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    page::hold(PAGE, runtime.name(), &format!("{heading}{rows}"));
}

async fn tried(runtime: Runtime, program: &Program, trouble: Trouble, (client, with, door): Asker) -> String {
    let mut plan = trouble.plan(door);
    if matches!(trouble.kind, Kind::Silent) && (client, with, door) == IMPATIENT {
        plan.listen.push_str("\nwait = \"5s\"\n");
    }
    let mut world = World::of(plan).await;
    if let Some(fault) = trouble.fault() {
        world.emulator.set_fault(None, fault);
    }
    if let Kind::WrongKey = trouble.kind {
        world.key = LocalKey::generate().unwrap();
    }
    let mut asked = door.configuration(&world);
    asked.insert("client".to_owned(), client.into());
    asked.insert("with".to_owned(), with.into());
    // Which clients need it stands in `table`.
    asked.insert("option".to_owned(), true.into());
    let trust = door.roots(&world).map(|roots| runtime.trust(&roots)).unwrap_or_default();
    let said = program.ask(&[door.environment(&world), trust].concat(), &asked).await;
    let (received, exchanges) = (received(&world).await, world.exchanges());
    assert!(exchanges < STORM, "{}: Entra was asked {exchanges} times", trouble.name);
    let before = format!("| {} | {} | {client} | {} |", trouble.name, door.title(), raised(trouble, &said));
    let waited = waited(&before, said.waited);
    format!("{before} {waited} | {received} | {} |\n", ["never", "once", "2 to 12 times"][exchanges.min(2)])
}

/// The page's word for a wait. A machine under load may make much of a moment (a JVM that starts beside five others: 7 s), so
/// the page's own word stands until twice its time and 20 s more; a retry that was not there shows in what we were asked.
/// Nobody ever waits for two minutes, and when the page is written, for one.
fn waited(row: &str, seconds: f64) -> &'static str {
    let (_, longest) = WAITS[WAITS.len() - 1];
    let most = if page::blessing() { longest } else { longest * 2.0 };
    assert!(seconds < most, "{row}: a block of {seconds} s");
    let held = |(word, until): &&(&str, f64)| {
        seconds < until.mul_add(2.0, 20.0) && page::has(PAGE, &format!("{row} {word} |"))
    };
    let found = |(_, until): &&(&str, f64)| seconds < *until;
    let word =
        if page::blessing() { WAITS.iter().find(found) } else { WAITS.iter().find(held).or(WAITS.iter().find(found)) };
    word.or(WAITS.last()).unwrap().0
}

/// The class and the first line, as far as our code; no two runs agree about what stands behind it.
fn raised(trouble: Trouble, said: &Said) -> String {
    let Some(raised) = &said.error else { return "nothing: a token".to_owned() };
    let line = raised.text.lines().next().unwrap_or_default();
    let code = line.find("(unsecret: ");
    // Whether the exchange is given up or still running when the client looks for the last time is chance.
    let end = code
        .and_then(|at| if let Kind::Silent = trouble.kind { Some(at) } else { Some(at + line[at..].find(')')? + 1) });
    let line = page::steady(&line[..end.unwrap_or(line.len())]);
    format!("`{}`: {line}", raised.class)
}
