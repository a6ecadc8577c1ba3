//! `unsecret caller`: make local keys, and name keys by their hash.
//!
//! What a configuration needs goes to stdout, words for people to stderr. Easy to get wrong: a key is printed only where
//! `--stdout` asks for it, and a key file is never there with wrong permissions, not even for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Exit, complain, note, say};
use crate::ids::account_number;
use crate::problem::{Blame, Problem};
use crate::secret::local_key::{LocalKey, LocalKeyError};

/// Make local keys for callers.
///
/// A local key proves an application to the broker and is worth nothing elsewhere. The application puts it where its
/// client secret was (or into IDENTITY_HEADER); the broker's configuration names it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret caller add --file /etc/unsecret/billing.caller     a new key, and the lines that name it
  unsecret caller hash < /etc/unsecret/billing.caller         the hash of a key, for key_sha256";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Add(Add),
    Hash(Hash),
}

/// Make a local key and print the configuration lines that name it.
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_HELP, group = clap::ArgGroup::new("destination").required(true).args(["file", "stdout"]))]
struct Add {
    /// Write the key to this file, readable by its owner only
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Print the key alone to stdout, for a secret store
    #[arg(long)]
    stdout: bool,
    /// Owner of the file: a user of this machine by name or number
    #[arg(long, value_name = "USER", conflicts_with = "stdout")]
    owner: Option<String>,
    /// Group of the file, by name or number, which may then read it as well
    #[arg(long, value_name = "GROUP", conflicts_with = "stdout")]
    group: Option<String>,
    /// Replace a file that is already there
    #[arg(long, conflicts_with = "stdout")]
    force: bool,
}

const ADD_HELP: &str = "\
Examples:
  unsecret caller add --file /etc/unsecret/billing.caller >> /etc/unsecret/config.toml
  unsecret caller add --file /etc/unsecret/billing.caller --owner billing --group unsecret
  unsecret caller add --stdout | kubectl create secret generic billing --from-file=key=/dev/stdin";

/// Print the SHA-256 of a key from stdin, for `key_sha256`.
#[derive(Debug, clap::Args)]
#[command(after_help = HASH_HELP)]
struct Hash {}

const HASH_HELP: &str = "\
Examples:
  unsecret caller hash < /etc/unsecret/billing.caller
  kubectl get pod billing-0 -o jsonpath={.metadata.uid} | unsecret caller hash";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
enum CallerError {
    #[error("write key file `{}`: it is already there", .0.display())]
    Exists(PathBuf),
    #[error("write key file `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("find {kind} `{name}`: {file} does not list it")]
    Unknown { kind: &'static str, name: String, file: &'static str },
    #[error("read a key from stdin")]
    Read(#[source] io::Error),
    #[error("take the key")]
    Unfit(#[source] LocalKeyError),
}

impl Problem for CallerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "caller-file-exists",
            Self::Write { .. } => "caller-file-unwritable",
            Self::Unknown { .. } => "caller-owner-unknown",
            Self::Read(_) => "caller-key-unreadable",
            Self::Unfit(_) => "caller-key-unfit",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<std::borrow::Cow<'_, str>> {
        let text = match self {
            Self::Exists(_) => "name another file, or replace it with --force (its callers then need the new key)",
            Self::Write { .. } => "name a file in a directory that this user may write to; giving it away needs root",
            Self::Unknown { .. } => "write a name of this machine, or the number",
            Self::Read(_) => "pipe the key in: `unsecret caller hash < FILE`",
            Self::Unfit(error) => error.remedy(),
        };
        Some(text.into())
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let outcome = match &args.verb {
        Verb::Add(args) => add(args),
        Verb::Hash(_) => hash(),
    };
    outcome.unwrap_or_else(|error| {
        complain(&error);
        Exit::Failed
    })
}

fn add(args: &Add) -> Result<Exit, CallerError> {
    let key = LocalKey::generate().map_err(CallerError::Unfit)?;
    let hash = key.fingerprint().hex();
    let Some(path) = &args.file else {
        note(&format!("add to the identity's configuration:\n\n[[identity.caller]]\nkey_sha256 = \"{hash}\"\n"));
        return Ok(say(&format!("{}\n", key.secret().expose())));
    };
    let path = std::path::absolute(path).map_err(|source| CallerError::Write { path: path.clone(), source })?;
    let access = Access::of(args)?;
    write(&path, &key, access, args.force)?;
    note(&format!(
        "wrote a local key to {}\ngive it to the application instead of its client secret, and add to the identity's \
         configuration:\n\n",
        path.display()
    ));
    Ok(say(&format!(
        "[[identity.caller]]\nkey_file = {:?}\n# or, where the broker may not read that file:\n# key_sha256 = \"{hash}\"\n",
        path.display().to_string()
    )))
}

fn hash() -> Result<Exit, CallerError> {
    // Longer than any key: what is cut off here is refused for its length.
    let mut text = Zeroizing::new(String::new());
    io::stdin().take(4_096).read_to_string(&mut text).map_err(CallerError::Read)?;
    let key = LocalKey::parse(&text).map_err(CallerError::Unfit)?;
    Ok(say(&format!("{}\n", key.fingerprint().hex())))
}

/// Who may read the file.
#[derive(Clone, Copy)]
struct Access {
    owner: Option<u32>,
    group: Option<u32>,
}

impl Access {
    fn of(args: &Add) -> Result<Self, CallerError> {
        Ok(Self {
            owner: args.owner.as_deref().map(|name| number("user", name, "/etc/passwd")).transpose()?,
            group: args.group.as_deref().map(|name| number("group", name, "/etc/group")).transpose()?,
        })
    }

    fn mode(self) -> u32 {
        if self.group.is_some() { 0o640 } else { 0o600 }
    }
}

fn number(kind: &'static str, name: &str, file: &'static str) -> Result<u32, CallerError> {
    let listing = fs::read_to_string(file).unwrap_or_default();
    account_number(name, &listing).ok_or_else(|| CallerError::Unknown { kind, name: name.to_owned(), file })
}

/// Written beside its place under another name and then moved there whole.
fn write(path: &Path, key: &LocalKey, access: Access, force: bool) -> Result<(), CallerError> {
    let failed = |source| CallerError::Write { path: path.to_owned(), source };
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let outcome = fill(&mut file, key, access).and_then(|()| {
        // A link fails where a file is, a rename replaces it: each in one step.
        if force { fs::rename(&draft, path) } else { fs::hard_link(&draft, path) }
    });
    // After a rename it is gone already.
    let _ = fs::remove_file(&draft);
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CallerError::Exists(path.to_owned()),
        _ => failed(error),
    })
}

fn fill(file: &mut File, key: &LocalKey, access: Access) -> io::Result<()> {
    file.write_all(key.secret().expose().as_bytes())?;
    file.write_all(b"\n")?;
    if access.owner.is_some() || access.group.is_some() {
        fchown(&*file, access.owner, access.group)?;
    }
    // After the owner: giving a file away may clear bits.
    file.set_permissions(fs::Permissions::from_mode(access.mode()))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY_ELSE: Access = Access { owner: None, group: None };

    #[test]
    fn a_key_file_is_whole_private_and_not_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("billing.caller");
        let (one, two) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
        write(&path, &one, NOBODY_ELSE, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write(&path, &two, NOBODY_ELSE, false).unwrap_err().code(), "caller-file-exists");
        let held = LocalKey::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(held.fingerprint(), one.fingerprint());
        write(&path, &two, NOBODY_ELSE, true).unwrap();
        let held = LocalKey::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(held.fingerprint(), two.fingerprint());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn owners_are_numbers_or_names_of_this_machine() {
        assert_eq!(number("user", "65532", "/etc/passwd").unwrap(), 65_532);
        assert_eq!(number("user", "root", "/etc/passwd").unwrap(), 0);
        assert_eq!(number("group", "no such group", "/etc/group").unwrap_err().code(), "caller-owner-unknown");
    }
}
