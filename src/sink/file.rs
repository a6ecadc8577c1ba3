//! Replaces a file whole: a reader sees the old one or the new one, never half of either.
//!
//! Everything happens relative to the opened directory. Not for files that others write too. Easy to get wrong: owner and
//! mode are set before the first byte is written, on the descriptor and not by name, and the umask has no say. And the order
//! of the two: who has given a file away may not set its mode any more, unless it is root.

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
    /// When it was written, in seconds and nanoseconds: the number of a removed file is soon another's.
    written: (i64, i64),
}

impl Mark {
    fn of(data: &fs::Metadata) -> Self {
        Self { device: data.dev(), inode: data.ino(), written: (data.mtime(), data.mtime_nsec()) }
    }
}

impl Target {
    /// Writes beside the file and renames. What stands there stays as it is until then, and on any failure.
    pub(super) fn write(&self, content: &[u8]) -> Result<Mark, SinkError> {
        self.draft(content, |folder, draft, name| renameat(folder, draft, folder, name))
    }

    /// Makes the file under a name of its own; `put` then puts it in its place, or takes it away.
    pub(super) fn draft(
        &self,
        content: &[u8],
        put: impl FnOnce(&OwnedFd, &str, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<Mark, SinkError> {
        let (owner, group) = self.accounts()?;
        let (folder, name) = self.folder()?;
        let draft = format!("{}{}", draft_prefix(name), Guid::random());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&folder, draft.as_str(), flags, Mode::from_raw_mode(0o600));
        let file = File::from(made.map_err(|error| self.failed(error.into()))?);
        let finished = self.fill(&file, owner, group, content).and_then(|mark| {
            let done = put(&folder, &draft, name);
            done.map(|()| mark).map_err(|error| self.failed(error.into()))
        });
        if finished.is_err() {
            // What cannot be removed either is removed at the next start.
            let _ = unlinkat(&folder, draft.as_str(), AtFlags::empty());
        }
        finished
    }

    /// The numbers of owner and group, where they are named.
    pub(super) fn accounts(&self) -> Result<(Option<u32>, Option<u32>), SinkError> {
        let account =
            |kind, name: &Option<String>, listing| name.as_ref().map(|name| number(kind, name, listing)).transpose();
        Ok((account("user", &self.owner, "/etc/passwd")?, account("group", &self.group, "/etc/group")?))
    }

    fn fill(&self, mut file: &File, owner: Option<u32>, group: Option<u32>, content: &[u8]) -> Result<Mark, SinkError> {
        let give = |owner: Option<u32>, group: Option<u32>| {
            let given = if owner.is_some() || group.is_some() { fchown(file, owner, group) } else { Ok(()) };
            given.map_err(|source| SinkError::NotGivenAway { file: self.file.clone(), source })
        };
        let failed = |error| self.failed(error);
        // The group before the mode: our own group must not open the file meanwhile. The owner last: with CAP_CHOWN alone
        // nobody but the owner sets a mode.
        give(None, group)?;
        file.set_permissions(Permissions::from_mode(self.mode)).map_err(failed)?;
        give(owner, None)?;
        file.write_all(content).map_err(failed)?;
        // The name must not outlive the content when the power fails. The directory is not synced: an old token is no
        // worse after that than a lost one.
        file.sync_all().map_err(failed)?;
        Ok(Mark::of(&file.metadata().map_err(failed)?))
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

    /// Whether the file is still the one that was written.
    pub(super) fn holds(&self, mark: Mark) -> bool {
        let found = fs::symlink_metadata(&self.file);
        found.is_ok_and(|data| Mark::of(&data) == mark)
    }

    /// Removes the file if it is still the one that was written.
    pub(super) fn remove(&self, mark: Mark) -> Result<(), SinkError> {
        if self.holds(mark) { fs::remove_file(&self.file).map_err(|error| self.failed(error)) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::problem::Problem as _;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn target(&self) -> Target {
            Target { file: self.0.path().join("pg.token"), mode: 0o600, owner: None, group: None }
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.0.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn set_mode(&self, mode: u32) {
            fs::set_permissions(self.0.path(), Permissions::from_mode(mode)).unwrap();
        }
    }

    fn read(target: &Target) -> String {
        fs::read_to_string(&target.file).unwrap()
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = Folder::new();
        let target = Target { mode: 0o640, ..folder.target() };
        let first = target.write(b"old").unwrap();
        let open = File::open(&target.file).unwrap();
        assert_ne!(target.write(b"new").unwrap(), first);
        assert_eq!(read(&target), "new");
        assert_eq!(io::read_to_string(open).unwrap(), "old", "an open reader goes on with what it opened");
        assert_eq!(fs::metadata(&target.file).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(folder.names(), ["pg.token"]);
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_not_followed() {
        let (folder, other) = (Folder::new(), Folder::new());
        let (target, victim) = (folder.target(), other.0.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, &target.file).unwrap();
        target.write(b"token").unwrap();
        assert!(fs::symlink_metadata(&target.file).unwrap().is_file());
        assert_eq!((read(&target).as_str(), fs::read_to_string(&victim).unwrap().as_str()), ("token", "untouched"));
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_says_what_to_do() {
        let folder = Folder::new();
        let target = folder.target();
        target.write(b"old").unwrap();
        for (mode, code) in [(0o777, Some("sink-directory-open")), (0o1777, None), (0o775, None)] {
            folder.set_mode(mode);
            let outcome = target.write(b"new");
            assert_eq!(outcome.as_ref().err().map(SinkError::code), code, "{mode:o}");
            assert_eq!(read(&target), if code.is_some() { "old" } else { "new" });
        }
        let missing = Target { file: folder.0.path().join("none/pg.token"), ..folder.target() };
        assert_eq!(missing.write(b"x").unwrap_err().code(), "sink-directory-missing");
        let directory = Target { file: folder.0.path().join("directory"), ..folder.target() };
        fs::create_dir(&directory.file).unwrap();
        assert_eq!(directory.write(b"x").unwrap_err().code(), "sink-is-directory");
        let unknown = Target { owner: Some("nobody-of-that-name".to_owned()), ..folder.target() };
        assert_eq!(unknown.write(b"x").unwrap_err().code(), "sink-owner-unknown");
        assert_eq!(folder.names(), ["directory", "pg.token"], "no draft is left");
    }

    #[test]
    fn a_file_is_given_to_its_owner_and_group_by_who_may() {
        let folder = Folder::new();
        let target =
            Target { owner: Some("4711".to_owned()), group: Some("4712".to_owned()), mode: 0o440, ..folder.target() };
        if rustix::process::geteuid().is_root() {
            target.write(b"token").unwrap();
            let data = fs::metadata(&target.file).unwrap();
            assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (4_711, 4_712, 0o440));
        } else {
            assert_eq!(target.write(b"token").unwrap_err().code(), "sink-owner-forbidden");
            assert!(folder.names().is_empty());
        }
    }

    #[test]
    fn the_right_to_give_files_away_is_all_that_an_owner_needs() {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = Folder::new();
        let target =
            Target { owner: Some("4711".to_owned()), group: Some("4712".to_owned()), mode: 0o440, ..folder.target() };
        let file = target.file.clone();
        // Rights are a thread's own.
        let written = std::thread::spawn(move || {
            let mut rights = capabilities(None).unwrap();
            rights.effective.remove(CapabilitySet::FOWNER | CapabilitySet::FSETID);
            set_capabilities(None, rights).unwrap();
            target.write(b"token").map(drop)
        });
        written.join().unwrap().unwrap();
        let data = fs::metadata(file).unwrap();
        assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (4_711, 4_712, 0o440));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = Folder::new();
        let target = folder.target();
        let ours = format!(".pg.token.unsecret-{}", Guid::random());
        let others = [".pg.token.unsecret-x", ".other.unsecret-11111111-aaaa-4bbb-8ccc-222222222222", "pg.token"];
        for name in [ours.as_str(), others[0], others[1], others[2]] {
            fs::write(folder.0.path().join(name), "x").unwrap();
        }
        target.clean();
        let mut left = others.map(str::to_owned).to_vec();
        left.sort();
        assert_eq!(folder.names(), left);
    }

    #[test]
    fn only_the_file_that_was_written_is_removed() {
        let folder = Folder::new();
        let target = folder.target();
        let first = target.write(b"first").unwrap();
        let second = target.write(b"second").unwrap();
        target.remove(first).unwrap();
        assert_eq!(read(&target), "second");
        target.remove(second).unwrap();
        target.remove(second).unwrap();
        assert!(folder.names().is_empty());
    }

    #[test]
    fn a_file_that_has_the_number_of_ours_and_another_content_is_not_removed() {
        let folder = Folder::new();
        let target = folder.target();
        let ours = target.write(b"token").unwrap();
        fs::write(&target.file, "theirs").unwrap();
        let file = File::options().write(true).open(&target.file).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        target.remove(ours).unwrap();
        assert_eq!(read(&target), "theirs");
    }
}
