//! The link `callers`: who may use an identity, and whether this key or this Host would be let in.
//!
//! The rules are judged here by the very policy that a broker uses, and then a running broker is asked, as an
//! application would. Easy to get wrong: the two may differ, because the broker was started with an older file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use zeroize::Zeroizing;

use super::chain::{Finding, Link};
use super::exchange::resource;
use super::knock::{self, Place};
use super::shown;
use crate::cli::check;
use crate::config::{Config, ConfigProblem, Identity};
use crate::guard::{Guard, MAX_BODY};
use crate::ids::{Door, Resource};
use crate::policy::{Ask, CallerRule, Peer, Policy, Selector};
use crate::problem::{Blame, Problem};
use crate::secret::local_key::{LocalKey, LocalKeyError};

/// More than any key needs; a larger file is some other file.
const LARGEST_KEY_FILE: u64 = 4_096;

/// How much longer than the broker itself waits for a token its answer may take.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// Codes by which guard and policy turn a caller away; any other answer comes after them.
const TURNED_AWAY: [&str; 10] = [
    "host-not-ours",
    "host-missing",
    "wrong-local-key",
    "local-key-missing",
    "key-of-another-identity",
    "entra-secret-presented",
    "caller-not-allowed",
    "identity-not-named",
    "unknown-identity",
    "unknown-tenant",
];

/// What an application would present, where the command line names it.
#[derive(Clone, Debug, Default)]
pub(super) struct Presented {
    pub(super) key_file: Option<PathBuf>,
    pub(super) host: Option<String>,
}

/// The problems of a configuration that has no other than callers.
pub(super) fn refused(problems: &[ConfigProblem]) -> Vec<Finding> {
    let tried = "read the caller rules and their key files";
    problems.iter().map(|problem| Finding::broken(Link::Callers, tried, problem)).collect()
}

pub(super) async fn look(config: &Config, presented: &Presented, door: Option<&Place>) -> Finding {
    let finding = match judge(config, presented, door).await {
        Ok(finding) => finding,
        Err((tried, problem)) => return Finding::broken(Link::Callers, tried, &*problem),
    };
    let rules = config.identities.iter().map(|one| format!("{}: {}", one.entry.name, check::callers(one)));
    rules.fold(finding, Finding::and)
}

type Broken = (String, Box<dyn Problem>);

async fn judge(config: &Config, presented: &Presented, door: Option<&Place>) -> Result<Finding, Broken> {
    let mut tried = "read the caller rules and their key files".to_owned();
    if presented.key_file.is_none() && presented.host.is_none() {
        return Ok(Finding::good(Link::Callers, tried, "every identity says who may use it"));
    }
    let key = match presented.key_file.as_deref().map(read).transpose() {
        Ok(key) => key,
        Err(problem) => return Err((tried, Box::new(problem))),
    };
    let caller = Caller { key: key.as_ref(), host: presented.host.as_deref(), config };
    let by_rules = caller.by_rules();
    let absent = match door {
        None => Some("no broker runs"),
        Some(_) if caller.key.is_some() && caller.way().is_none() => Some("no open door takes a key by GET"),
        Some(_) => None,
    };
    let (Some(place), None) = (door, absent) else {
        let _ = write!(tried, "; {}, so the rules were asked in its place", absent.unwrap_or_default());
        return match by_rules {
            Ok(()) => Ok(Finding::good(Link::Callers, tried, caller.accepted())),
            Err(problem) => Err((tried, problem)),
        };
    };
    tried = format!("asked the broker at {place} as an application would");
    match (by_rules, caller.at_door(place).await) {
        (Err(problem), Ok(Some(_)) | Err(_)) => Err((tried, problem)),
        (Ok(()), Ok(None)) => Ok(Finding::good(Link::Callers, tried, caller.accepted())),
        (Ok(()), Ok(Some(code))) => Err((tried, Box::new(CallerProblem::OldRules { code }))),
        (Ok(()), Err(source)) => Err((tried, Box::new(CallerProblem::Unanswered { place: place.to_string(), source }))),
        (Err(_), Ok(None)) => {
            let seen = "the running broker lets it in, and this configuration does not";
            Ok(Finding::doubtful(Link::Callers, tried, seen).remedied("reload the broker (SIGHUP) once this is meant"))
        }
    }
}

struct Caller<'a> {
    key: Option<&'a LocalKey>,
    host: Option<&'a str>,
    config: &'a Config,
}

impl Caller<'_> {
    fn host(&self) -> &str {
        self.host.unwrap_or("localhost")
    }

    fn accepted(&self) -> String {
        match (self.key, self.host) {
            (Some(_), Some(host)) => format!("the key and Host `{host}` are accepted"),
            (Some(_), None) => "the key is accepted".to_owned(),
            (None, _) => format!("Host `{}` is accepted", self.host()),
        }
    }

    /// What guard and policy say, as this configuration has them.
    fn by_rules(&self) -> Result<(), Box<dyn Problem>> {
        let near = Peer::Tcp(([127, 0, 0, 1], 0).into());
        // Host was checked to be a text that fits a header when the command line was read.
        if let Ok(request) = Request::get("/msi/token").header(http::header::HOST, self.host()).body(()) {
            let guard = Guard::new(self.config.listen.hosts.clone());
            guard.check(&near, &request.into_parts().0, MAX_BODY).map_err(boxed)?;
        }
        let Some(key) = self.key else { return Ok(()) };
        let resource = self.resource(key);
        let ask = Ask {
            door: self.way().unwrap_or(Door::Oauth),
            selector: Selector::None,
            tenant: None,
            resource: Cow::Borrowed(resource.as_str()),
            key: Some(Cow::Borrowed(key.secret().expose())),
            raw_key: None,
            capable: false,
            renew: None,
        };
        let policy = Policy::new(self.config.identities.iter().map(|one| one.entry.clone()).collect());
        policy.decide(&near, &ask).map(drop).map_err(boxed)
    }

    /// The door to show the key at, which one GET can do; never a closed one.
    fn way(&self) -> Option<Door> {
        let ways = [Door::AppService, Door::Plain, Door::AppService2017, Door::CloudShell];
        ways.into_iter().find(|&door| self.config.listen.doors.has(door))
    }

    /// What an application asks there, and with which header.
    fn request(&self, door: Door, key: &LocalKey) -> (String, (&'static str, String)) {
        let resource = self.resource(key);
        let resource: String = url::form_urlencoded::byte_serialize(resource.as_str().as_bytes()).collect();
        let key = key.secret().expose();
        match door {
            Door::Plain => (format!("/token?resource={resource}"), ("X-IDENTITY-HEADER", key.to_owned())),
            Door::AppService2017 => {
                (format!("/msi/token?api-version=2017-09-01&resource={resource}"), ("secret", key.to_owned()))
            }
            Door::CloudShell => {
                let segment: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
                (format!("/cloud-shell/{segment}/oauth2/token?resource={resource}"), ("Metadata", "true".to_owned()))
            }
            _ => (
                format!("/msi/token?api-version=2019-08-01&resource={resource}"),
                ("X-IDENTITY-HEADER", key.to_owned()),
            ),
        }
    }

    /// The code of the broker's no, if it says one.
    async fn at_door(&self, place: &Place) -> io::Result<Option<String>> {
        let patience = self.config.listen.wait + ON_THE_WAY;
        let heard = if let Some((key, door)) = self.key.zip(self.way()) {
            let (target, (name, value)) = self.request(door, key);
            let (target, value) = (Zeroizing::new(target), Zeroizing::new(value));
            knock::ask(place, &target, &[("Host", self.host()), (name, &value)], patience).await?
        } else {
            // Without `Metadata: true`, at a door that may be closed: the guard has looked at it by then, and nothing is
            // handed out.
            let target = "/metadata/identity/oauth2/token";
            knock::ask(place, target, &[("Host", self.host())], patience).await?
        };
        Ok(heard.code().filter(|code| TURNED_AWAY.contains(code)).map(str::to_owned))
    }

    /// What the identity behind the key may ask for, so that only the key is judged.
    fn resource(&self, key: &LocalKey) -> Resource {
        let print = key.fingerprint();
        let holds = |one: &&Identity| one.entry.callers.contains(&CallerRule::Key(print));
        let identities = &self.config.identities;
        let identity = identities.iter().find(holds).or(identities.first());
        #[expect(clippy::expect_used, reason = "the configuration has checked that there is an identity")]
        resource(identity.expect("an identity"))
    }
}

fn boxed(problem: impl Problem) -> Box<dyn Problem> {
    Box::new(problem)
}

fn read(path: &Path) -> Result<LocalKey, CallerProblem> {
    let unreadable = |source| CallerProblem::Unreadable { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    File::open(path).map_err(unreadable)?.take(LARGEST_KEY_FILE).read_to_string(&mut text).map_err(unreadable)?;
    LocalKey::parse(&text).map_err(|source| CallerProblem::Unfit { path: path.to_owned(), source })
}

/// What is wrong with what the command line presents.
#[derive(Debug, thiserror::Error)]
enum CallerProblem {
    #[error("read the key file `{}`", shown(path))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read the key file `{}`", shown(path))]
    Unfit { path: PathBuf, source: LocalKeyError },
    /// This configuration would let it in.
    #[error("the running broker refuses with `{code}`, and this configuration would not")]
    OldRules { code: String },
    #[error("ask the broker at {place}")]
    Unanswered { place: String, source: io::Error },
}

impl Problem for CallerProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "presented-key-unreadable",
            Self::Unfit { .. } => "presented-key-unfit",
            Self::OldRules { .. } => "broker-has-other-rules",
            Self::Unanswered { .. } => "broker-unanswered",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Unreadable { .. } => {
                "name the file that the application reads its key from, as a user who may read it"
            }
            Self::Unfit { source, .. } => source.remedy(),
            Self::OldRules { .. } => "reload the broker (SIGHUP), or name the file that it runs with by --config",
            Self::Unanswered { .. } => "see in the broker's log what it is busy with",
        }))
    }
}
