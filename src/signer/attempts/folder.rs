//! The directory of records: its key, its locks, files that are replaced whole.
//!
//! Easy to get wrong: a key verb may run as root in a directory of the service's user, who must be able to read what
//! root wrote, and whose links root must not follow. So all is done below one opened directory.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, fchmod, fchown, flock, fstat, openat, renameat, unlinkat,
};
use rustix::process::geteuid;
use rustix::{fs as raw, io::Errno};
use zeroize::Zeroizing;

use super::record::Record;
use crate::signer::SignError;

const KEY: &str = "key";
const KEY_BYTES: usize = 32;
/// No record comes near; what is larger is none.
const LARGEST: u64 = 1 << 20;

/// The opened directory.
pub(super) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

/// Held as long as it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] OwnedFd);

impl Folder {
    /// Opens the directory, making it if need be; nobody but its owner may look into it.
    pub(super) fn open(path: &Path) -> Result<Self, SignError> {
        let opened = || {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = openat(CWD, path, flags, Mode::empty())?;
            let found = fstat(&handle)?;
            if let Some(parent) = path.parent().filter(|_| geteuid().is_root() && found.st_uid == 0) {
                give(&handle, &raw::stat(parent)?)?;
            }
            if found.st_mode & 0o777 != 0o700 {
                fchmod(&handle, Mode::RWXU)?;
            }
            Ok(Self { path: path.to_owned(), handle })
        };
        opened().map_err(|source| SignError::StateUnwritable { path: path.to_owned(), source })
    }

    /// The key of all hashes here, made at the first need.
    pub(super) fn key(&self) -> Result<hmac::Key, SignError> {
        if let Some(key) = self.known_key()? {
            return Ok(key);
        }
        // One maker at a time, and none where records wait for a key that is gone.
        flocked(&self.handle).map_err(|error| self.failed(error.into()))?;
        let made = self.known_key().and_then(|key| key.map_or_else(|| self.new_key(), Ok));
        let _ = flock(&self.handle, FlockOperation::Unlock);
        made
    }

    fn known_key(&self) -> Result<Option<hmac::Key>, SignError> {
        let Some(bytes) = self.content(KEY)? else { return Ok(None) };
        if bytes.len() != KEY_BYTES {
            return Err(self.damaged(KEY, format!("it has {} bytes, not {KEY_BYTES}", bytes.len())));
        }
        Ok(Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn new_key(&self) -> Result<hmac::Key, SignError> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.failed(error))?;
        if entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "json")) {
            return Err(self.damaged(KEY, "it is gone, and what was recorded under it is there".to_owned()));
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *bytes).map_err(|_| self.failed(io::Error::other("the system gave no random bytes")))?;
        self.replace(KEY, &*bytes).map_err(|error| self.failed(error))?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &*bytes))
    }

    /// Waits until nobody else has this token.
    pub(super) fn lock(&self, name: &str) -> Result<Lock, SignError> {
        let locked = || loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&self.handle, format!("{name}.lock"), flags, Mode::RUSR | Mode::WUSR)?;
            self.give_to_owner(&file)?;
            flocked(&file)?;
            // Removed by who held it before: whoever comes next would lock another file.
            if fstat(&file)?.st_nlink > 0 {
                return Ok(Lock(file));
            }
        };
        locked().map_err(|error: Errno| self.failed(error.into()))
    }

    /// The record of this token; an empty one where there is none. Damage is no empty record: somebody has to look.
    pub(super) fn read(&self, name: &str) -> Result<Record, SignError> {
        let file = format!("{name}.json");
        let Some(bytes) = self.content(&file)? else { return Ok(Record::default()) };
        serde_json::from_slice(&bytes).map_err(|error| self.damaged(&file, error.to_string()))
    }

    pub(super) fn write(&self, name: &str, record: &Record) -> Result<(), SignError> {
        let text = serde_json::to_vec(record).map_err(io::Error::from);
        text.and_then(|text| self.replace(&format!("{name}.json"), &text)).map_err(|error| self.failed(error))
    }

    /// Removes record and lock, for whoever holds the lock. What stays does no harm: it says less than it could, or
    /// nothing.
    pub(super) fn forget(&self, name: &str) {
        for end in ["json", "lock"] {
            let _ = unlinkat(&self.handle, format!("{name}.{end}"), AtFlags::empty());
        }
    }

    fn content(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SignError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.handle, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => File::from(other.map_err(|error| self.failed(error.into()))?),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(LARGEST).read_to_end(&mut bytes).map_err(|error| self.failed(error))?;
        Ok(Some(bytes))
    }

    /// Either the old content or the new is there, whenever the power fails.
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let draft = format!("{name}.new");
        // Left by a process that was killed while it wrote.
        let _ = unlinkat(&self.handle, &draft, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.handle, &draft, flags, Mode::RUSR | Mode::WUSR)?);
        self.give_to_owner(&file)?;
        file.write_all(content)?;
        file.sync_all()?;
        renameat(&self.handle, &draft, &self.handle, name)?;
        Ok(raw::fsync(&self.handle)?)
    }

    fn give_to_owner(&self, file: impl rustix::fd::AsFd) -> Result<(), Errno> {
        if geteuid().is_root() { give(file, &fstat(&self.handle)?) } else { Ok(()) }
    }

    fn failed(&self, source: io::Error) -> SignError {
        SignError::StateUnwritable { path: self.path.clone(), source }
    }

    fn damaged(&self, name: &str, why: String) -> SignError {
        SignError::StateDamaged { path: self.path.join(name), why }
    }
}

fn give(file: impl rustix::fd::AsFd, like: &raw::Stat) -> Result<(), Errno> {
    fchown(file, Some(raw::Uid::from_raw(like.st_uid)), Some(raw::Gid::from_raw(like.st_gid)))
}

/// A signal handler's return is no reason to go on without the lock.
fn flocked(file: impl rustix::fd::AsFd) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
}
