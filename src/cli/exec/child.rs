//! The child: its variables, its start, its status.
//!
//! Everything of our environment goes on to it but what would lead it past the door, or let it do what we do. Easy to get
//! wrong: it inherits what our own parent opened for it, as under `env`, and nothing that we have opened.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, WaitStatus};

use crate::cli::Exit;
use crate::cli::variables::Change;
use crate::ids::Guid;
use crate::problem::{Blame, Problem};

/// With these a process gets the job's own OIDC token, for any audience: the child could mint past every policy.
const MINTING: [&str; 2] = ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"];

/// Our own settings, which may name files of keys and hold keys.
const OURS: &str = "UNSECRET_";

/// Why there is no child. Both statuses are those of shells.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    #[error("start `{}`", .0.display())]
    Missing(OsString, #[source] io::Error),
    #[error("start `{}`", .0.display())]
    Unstartable(OsString, #[source] io::Error),
}

impl ChildError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Missing(..) => Exit::Status(127),
            Self::Unstartable(..) => Exit::Status(126),
        }
    }
}

impl Problem for ChildError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(..) => "command-not-found",
            Self::Unstartable(..) => "command-not-startable",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Missing(..) => "write a command that PATH finds, or its path; for shell syntax use `sh -c '…'`",
            Self::Unstartable(..) => "name an executable file that this user may run",
        }))
    }
}

/// What is taken from the child's environment, and what deserves a word about it.
pub(super) struct Stripped {
    pub(super) names: Vec<OsString>,
    pub(super) warnings: Vec<String>,
}

/// What is known of who is behind the door.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    pub(super) client_id: Option<&'a Guid>,
    /// Variables with local keys of the broker's callers, which the command may not be.
    pub(super) keys: &'a [String],
}

/// Every variable of `present` that does not go on, less those that `keep` names.
pub(super) fn stripped(
    change: &Change,
    identity: Behind<'_>,
    present: &[(OsString, OsString)],
    keep: &[String],
) -> Stripped {
    let Behind { client_id, keys } = identity;
    let mut warnings = Vec::new();
    let wanted = |name: &OsStr| keep.iter().any(|kept| name == kept.as_str());
    let sets_it = change.set.iter().any(|(name, _)| *name == "AZURE_CLIENT_ID");
    let other = |value: &OsStr| client_id.is_some_and(|id| !sets_it && !value.eq_ignore_ascii_case(id.as_str()));
    let mut goes = |name: &OsStr, value: &OsStr| {
        let text = name.to_string_lossy();
        let known = change.unset.iter().chain(&MINTING).any(|unset| text == *unset);
        let named = known || text.starts_with(OURS) || keys.iter().any(|key| text == *key);
        if text == "AZURE_CLIENT_ID" && !value.is_empty() && other(value) && !wanted(name) {
            let known = client_id.map_or("", Guid::as_str);
            warnings.push(format!(
                "AZURE_CLIENT_ID named another identity ({}) than the one behind the door ({known}); the command does \
                 not see it",
                value.display()
            ));
            return true;
        }
        named && !wanted(name)
    };
    let names = present.iter().filter(|(name, value)| goes(name, value)).map(|(name, _)| name.clone()).collect();
    Stripped { names, warnings }
}

/// Starts it. Descriptors of ours are closed by the kernel: Rust opens every one of them with that flag.
pub(super) fn start(
    command: &[OsString],
    change: &Change,
    stripped: &[OsString],
    own_group: bool,
) -> Result<Pid, ChildError> {
    let program = command.first().cloned().unwrap_or_default();
    let mut child = Command::new(&program);
    child.args(command.iter().skip(1));
    for name in stripped {
        child.env_remove(name);
    }
    child.envs(change.set.iter().map(|(name, value)| (name, value.expose())));
    if own_group {
        child.process_group(0);
    }
    match child.spawn() {
        // Dropped and not waited for: whoever waits for any child notices its end.
        Ok(child) => Ok(Pid::from_child(&child)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ChildError::Missing(program, error)),
        Err(error) => Err(ChildError::Unstartable(program, error)),
    }
}

/// The child's own status; 128 and the number of the signal that ended it.
pub(super) fn exit(status: WaitStatus) -> Exit {
    let number = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
    number.and_then(|number| u8::try_from(number).ok()).map_or(Exit::Ourselves, Exit::Status)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::cli::variables::Aim;
    use crate::secret::Secret;

    fn gone(client_id: Option<&Guid>, keep: &[&str]) -> (Vec<String>, usize) {
        let change = Change::toward(
            Aim::AppService { key: &Secret::new("k") },
            &Url::parse("http://127.0.0.1:1").unwrap(),
            |_| None,
        );
        let present = [
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x"),
            ("AZURE_CLIENT_ID", "33333333-DDDD-4eee-8fff-444444444444"),
            ("AZURE_CLIENT_SECRET", "x"),
            ("HOME", "/root"),
            ("MSI_SECRET", "x"),
            ("POD_UID", "x"),
            ("UNSECRETIVE", "x"),
            ("UNSECRET_CONFIG", "x"),
        ];
        let present: Vec<_> = present.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let keep: Vec<_> = keep.iter().map(|&name| name.to_owned()).collect();
        let identity = Behind { client_id, keys: &["POD_UID".to_owned()] };
        let Stripped { names, warnings } = stripped(&change, identity, &present, &keep);
        (names.into_iter().map(|name| name.into_string().unwrap()).collect(), warnings.len())
    }

    const ALWAYS: [&str; 5] =
        ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AZURE_CLIENT_SECRET", "MSI_SECRET", "POD_UID", "UNSECRET_CONFIG"];

    #[test]
    fn what_leads_past_the_door_or_mints_is_taken_out() {
        assert_eq!(gone(None, &[]), (ALWAYS.map(str::to_owned).to_vec(), 0));
        let own = Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap();
        assert_eq!(gone(Some(&own), &[]).0, ALWAYS, "the identity's own client id is a fitting selector");
    }

    #[test]
    fn another_identitys_client_id_is_taken_out_with_a_word() {
        let (names, warnings) = gone(Some(&Guid::random()), &[]);
        assert!(names.contains(&"AZURE_CLIENT_ID".to_owned()));
        assert_eq!(warnings, 1);
    }

    #[test]
    fn what_the_user_keeps_is_kept() {
        let (names, warnings) = gone(Some(&Guid::random()), &["AZURE_CLIENT_ID", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]);
        assert_eq!((names.as_slice(), warnings), (&ALWAYS.map(str::to_owned)[1..], 0));
    }
}
