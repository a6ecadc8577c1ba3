//! Replaces a file whole: a reader sees the old one or the new one, never half of either.
//!
//! Everything happens relative to the opened directory. Not for files that others write too. Easy to get wrong: owner and
//! mode are set before the first byte is written, on the descriptor and not by name, and the umask has no say.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, fstat, open, openat, renameat, unlinkat};

use super::error::SinkError;
use crate::ids::{Guid, account_number};

/// Which file, and who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute.
    pub file: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// By name or number.
    pub owner: Option<String>,
    pub group: Option<String>,
}

/// Tells the file that was written from any other that may have taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
}

impl Target {
    /// Writes beside the file and renames. What stands there stays as it is until then, and on any failure.
    pub(super) fn write(&self, content: &[u8]) -> Result<Mark, SinkError> {
        let account =
            |kind, name: &Option<String>, listing| name.as_ref().map(|name| number(kind, name, listing)).transpose();
        let owner = account("user", &self.owner, "/etc/passwd")?;
        let group = account("group", &self.group, "/etc/group")?;
        let (folder, name) = self.folder()?;
        let draft = format!("{}{}", draft_prefix(name), Guid::random());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&folder, draft.as_str(), flags, Mode::from_raw_mode(0o600));
        let file = File::from(made.map_err(|error| self.failed(error.into()))?);
        let finished = self.fill(&file, owner, group, content).and_then(|mark| {
            let moved = renameat(&folder, draft.as_str(), &folder, name);
            moved.map(|()| mark).map_err(|error| self.failed(error.into()))
        });
        if finished.is_err() {
            // What cannot be removed either is removed at the next start.
            let _ = unlinkat(&folder, draft.as_str(), AtFlags::empty());
        }
        finished
    }

    fn fill(&self, mut file: &File, owner: Option<u32>, group: Option<u32>, content: &[u8]) -> Result<Mark, SinkError> {
        if owner.is_some() || group.is_some() {
            fchown(file, owner, group).map_err(|source| SinkError::NotGivenAway { file: self.file.clone(), source })?;
        }
        let failed = |error| self.failed(error);
        file.set_permissions(Permissions::from_mode(self.mode)).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        // The name must not outlive the content when the power fails. The directory is not synced: an old token is no
        // worse after that than a lost one.
        file.sync_all().map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        Ok(Mark { device: data.dev(), inode: data.ino() })
    }

    /// The opened directory, in which others may at least not rename our files, and the file's name in it.
    fn folder(&self) -> Result<(OwnedFd, &OsStr), SinkError> {
        let (Some(folder), Some(name)) = (self.file.parent(), self.file.file_name()) else {
            return Err(self.failed(io::ErrorKind::InvalidInput.into()));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(folder, flags, Mode::empty()).map_err(|error| match io::Error::from(error) {
            error if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                SinkError::NoDirectory { folder: folder.to_owned() }
            }
            error => self.failed(error),
        })?;
        let mode = fstat(&opened).map_err(|error| self.failed(error.into()))?.st_mode;
        if mode & 0o1002 == 0o002 {
            return Err(SinkError::OpenDirectory { folder: folder.to_owned() });
        }
        Ok((opened, name))
    }

    fn failed(&self, source: io::Error) -> SinkError {
        let file = self.file.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SinkError::Full { file, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                SinkError::Forbidden { file, source }
            }
            io::ErrorKind::IsADirectory => SinkError::Directory { file },
            _ => SinkError::Unwritable { file, source },
        }
    }

    /// Removes what a killed process left beside the file, and nothing else: only names that we give.
    pub(super) fn clean(&self) {
        let (Ok((folder, name)), Some(path)) = (self.folder(), self.file.parent()) else { return };
        let Ok(entries) = fs::read_dir(path) else { return };
        let prefix = draft_prefix(name);
        for entry in entries.flatten() {
            let found = entry.file_name();
            let is_draft = found.to_str().and_then(|found| found.strip_prefix(&prefix)).is_some_and(is_guid);
            if is_draft && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let _ = unlinkat(&folder, found.as_os_str(), AtFlags::empty());
            }
        }
    }

    /// Removes the file if it is still the one that was written.
    pub(super) fn remove(&self, mark: Mark) -> Result<(), SinkError> {
        match fs::symlink_metadata(&self.file) {
            Ok(data) if (data.dev(), data.ino()) == (mark.device, mark.inode) => {
                fs::remove_file(&self.file).map_err(|error| self.failed(error))
            }
            _ => Ok(()),
        }
    }
}

fn draft_prefix(name: &OsStr) -> String {
    format!(".{}.unsecret-", name.to_string_lossy())
}

fn is_guid(text: &str) -> bool {
    Guid::parse(text).is_ok()
}

fn number(kind: &'static str, name: &str, listing: &'static str) -> Result<u32, SinkError> {
    let text = fs::read_to_string(listing).unwrap_or_default();
    account_number(name, &text).ok_or_else(|| SinkError::UnknownAccount { kind, name: name.to_owned(), listing })
}
