//! `unsecret env`: the variables that lead a client to a running broker's door, for whoever sets variables.
//!
//! Prints, and for GitHub Actions writes; it asks nobody. Not `exec`, which sets them for one command and opens a door of
//! its own. Easy to get wrong: the local key is in the output on purpose, so nothing else here may be a secret.

mod format;

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

pub(super) use self::format::Format;
use super::health::reachable;
use super::private::Which;
use super::terminal::Paint;
use super::variables::{Aim, Change};
use super::{Exit, complain, hardening, note, say};
use crate::config::Config;
use crate::ids::Door;
use crate::problem::{Blame, Problem};
use crate::secret::Secret;
use crate::secret::local_key::{LocalKey, LocalKeyError};

/// Print the variables that lead an application to a broker's door.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Which door the application knows how to ask at
    #[arg(long, value_name = "DOOR", default_value = "app-service")]
    door: Kind,
    /// Where the broker listens; without it `listen.http` of the configuration, else http://127.0.0.1:4780
    #[arg(long, value_name = "URL", value_parser = place)]
    at: Option<Url>,
    /// File with the caller's local key; imds takes none, cloud-shell goes without where the broker lets it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Who is to read it
    #[arg(long, value_name = "FORMAT", default_value = "sh")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    AppService,
    #[value(name = "app-service-2017")]
    AppService2017,
    CloudShell,
    Imds,
    Oauth,
}

impl Kind {
    fn door(self) -> Door {
        match self {
            Self::AppService => Door::AppService,
            Self::AppService2017 => Door::AppService2017,
            Self::CloudShell => Door::CloudShell,
            Self::Imds => Door::Imds,
            Self::Oauth => Door::Oauth,
        }
    }
}

/// Where a broker listens that was told nothing.
const USUAL: &str = "127.0.0.1:4780";

const AFTER_HELP: &str = "\
Examples:
  eval \"$(unsecret env --key-file /etc/unsecret/billing.caller)\"
  unsecret env --key-file billing.caller --format powershell | Invoke-Expression
  unsecret env --key-file billing.caller --format dotenv > .env
  unsecret env --key-file billing.caller --format github    appends to $GITHUB_ENV, masks the key
  unsecret env --door oauth --config /etc/unsecret/config.toml --key-file billing.caller

The output holds the caller's local key, on purpose: it is what the application needs, and worth
nothing elsewhere.

AZURE_TOKEN_CREDENTIALS=prod is printed too, but for oauth, and unless you chose another value: a
denial then sends DefaultAzureCredential to no developer's login.

NO_PROXY keeps what it has and gets this machine's own addresses. What would lead the application
past the door is unset; where a format cannot unset, it says so. With --config or --identity,
AZURE_CLIENT_ID names the identity, but for cloud-shell, whose clients must not name one.

app-service-2017 and cloud-shell are closed unless the broker's `listen.doors` names them.

Exit status: 0 done, 1 failed, 2 the configuration is wrong.";

fn place(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
    url.ok_or("write the broker's address as http://127.0.0.1:4780")
}

/// Why there are no variables.
#[derive(Debug, thiserror::Error)]
enum EnvError {
    #[error("set the variables of the door: it wants a local key, and no --key-file was given")]
    NoKey,
    #[error("read key file `{}`", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("take the key of `{}`", path.display())]
    Unfit { path: PathBuf, source: LocalKeyError },
    #[error("find the broker's door: the configuration has no `listen.http`")]
    NoPlace,
    #[error("append to GITHUB_ENV: the variable is not set")]
    NoGithub,
    #[error("append to GITHUB_ENV `{}`", path.display())]
    Github { path: PathBuf, source: io::Error },
}

impl Problem for EnvError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "env-key-missing",
            Self::KeyFile { .. } => "env-key-unreadable",
            Self::Unfit { .. } => "env-key-unfit",
            Self::NoPlace => "env-door-missing",
            Self::NoGithub => "env-github-missing",
            Self::Github { .. } => "env-github-unwritable",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoKey => "name the file that `unsecret caller add --file FILE` made, or use --door imds",
            Self::KeyFile { .. } => "name the key file of this caller, and let this user read it",
            Self::Unfit { source, .. } => source.remedy(),
            Self::NoPlace => "name where it can be reached with --at, or use `unsecret exec --via SOCKET`",
            Self::NoGithub => "run it in a step of GitHub Actions, or choose another --format",
            Self::Github { .. } => "let this user write to the file that GITHUB_ENV names",
        }))
    }
}

pub(super) fn run(args: &Args) -> Exit {
    if let Err(error) = hardening::forbid_core_dumps() {
        note(&format!("warning: core dumps could not be switched off: {error}\n"));
    }
    let key = match args.key() {
        Ok(key) => key,
        Err(error) => {
            complain(&error);
            return Exit::Failed;
        }
    };
    let change = match args.change(key.as_ref()) {
        Ok(change) => change,
        Err(exit) => return exit,
    };
    hand_over(args.format, &change, key.as_ref())
}

/// Variables for whoever is to read them. `key` is what must not show in a log of GitHub's.
pub(super) fn hand_over(format: Format, change: &Change, key: Option<&Secret>) -> Exit {
    if format != Format::Github {
        return say(&format::script(format, change));
    }
    append(change, key).unwrap_or_else(|error| {
        complain(&error);
        Exit::Failed
    })
}

impl Args {
    fn key(&self) -> Result<Option<Secret>, EnvError> {
        match &self.key_file {
            _ if self.door == Kind::Imds => Ok(None),
            Some(path) => read(path).map(Some),
            None if self.door == Kind::CloudShell => Ok(None),
            None => Err(EnvError::NoKey),
        }
    }

    /// What was said, else the first TCP door of the configuration, else the one that a broker has by itself.
    fn place(&self, config: Option<&Config>) -> Result<Url, EnvError> {
        if let Some(at) = &self.at {
            return Ok(at.clone());
        }
        let address = match config {
            Some(config) => reachable(*config.listen.http.first().ok_or(EnvError::NoPlace)?).to_string(),
            None => USUAL.to_owned(),
        };
        Url::parse(&format!("http://{address}")).map_err(|_| EnvError::NoPlace)
    }

    fn change(&self, key: Option<&Secret>) -> Result<Change, Exit> {
        let now = |name: &str| std::env::var(name).ok();
        let config =
            if self.door == Kind::Oauth || self.which.is_given() { Some(self.which.load_places()?) } else { None };
        let at = self.place(config.as_ref()).map_err(|error| {
            complain(&error);
            Exit::Failed
        })?;
        if let Some(config) = config.as_ref().filter(|config| !config.listen.doors.has(self.door.door())) {
            let (closed, doors) = (self.door.door(), config.listen.doors);
            let warning = Paint::stderr().doubtful("warning:");
            note(&format!("{warning} the configuration opens {doors}: add \"{closed}\" to listen.doors\n"));
        }
        let entry = config.as_ref().and_then(|config| config.identities.first()).map(|identity| &identity.entry);
        let aim = match (self.door, key, entry) {
            (Kind::Oauth, Some(key), Some(entry)) => {
                Aim::Oauth { key, tenant: &entry.tenant, client_id: &entry.client_id }
            }
            (Kind::AppService, Some(key), _) => Aim::AppService { key },
            (Kind::AppService2017, Some(key), entry) => {
                Aim::AppService2017 { key, client_id: entry.map(|entry| &entry.client_id) }
            }
            (Kind::CloudShell, key, _) => Aim::CloudShell { key },
            _ => Aim::Imds,
        };
        let mut change = Change::toward(aim, &at, now);
        if let Some(entry) = entry.filter(|_| !matches!(self.door, Kind::Oauth | Kind::CloudShell)) {
            change.set.push(("AZURE_CLIENT_ID", Secret::new(entry.client_id.as_str())));
        }
        Ok(change)
    }
}

fn read(path: &Path) -> Result<Secret, EnvError> {
    let unreadable = |source| EnvError::KeyFile { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    // Longer than any key: what is cut off here is refused for its length.
    file.take(4_096).read_to_string(&mut text).map_err(unreadable)?;
    let key = LocalKey::parse(&text).map_err(|source| EnvError::Unfit { path: path.to_owned(), source })?;
    Ok(key.secret().clone())
}

/// For the steps that follow in a job of GitHub Actions. The mask comes first: from then on the runner hides the key.
fn append(change: &Change, key: Option<&Secret>) -> Result<Exit, EnvError> {
    let path = std::env::var_os("GITHUB_ENV").filter(|path| !path.is_empty()).ok_or(EnvError::NoGithub)?;
    let path = PathBuf::from(path);
    if let Some(key) = key {
        say(&format!("::add-mask::{}\n", key.expose()));
    }
    let emptied: Vec<_> = change.unset.iter().copied().filter(|name| std::env::var_os(name).is_some()).collect();
    let text = format::github(change, &emptied);
    let write = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?.write_all(text.as_bytes());
    write().map_err(|source| EnvError::Github { path: path.clone(), source })?;
    if !emptied.is_empty() {
        note(&format!("GITHUB_ENV cannot unset variables; now empty for the next steps: {}\n", emptied.join(", ")));
    }
    Ok(Exit::Done)
}
