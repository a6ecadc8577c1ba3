//! The folder below `state_dir` in which our certificates lie.
//!
//! ```text
//! https/               read by everybody who can come so far
//! https/roots.pem      what clients trust; beside it the other forms of it, once somebody has asked for them
//! https/keys/          0700
//! https/keys/*.pem     0600, one for each certificate: with its key and its root
//! ```
//!
//! Files are replaced whole, under one lock. Easy to get wrong: `unsecret trust` may run as root in a folder of the
//! service's user, who must be able to read what root wrote, and whose links root must not follow. So all is done below
//! opened directories.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, fchmod, fchown, flock, fstat, mkdirat, openat, renameat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::{fs as raw, io as raw_io};
use zeroize::Zeroizing;

const KEYS: &str = "keys";
const LOCK: &str = "lock";
/// No file of ours comes near.
const LARGEST: u64 = 1 << 20;

/// The opened folder.
pub(super) struct Folder {
    top: OwnedFd,
    keys: OwnedFd,
    path: PathBuf,
}

/// Held as long as it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] OwnedFd);

impl Folder {
    /// Opens it, making it if need be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(path)?;
        let top = directory(CWD, path)?;
        if let Some(parent) = path.parent() {
            adopt(&top, &raw::stat(parent)?)?;
        }
        permit(&top, 0o755)?;
        match mkdirat(&top, KEYS, Mode::RWXU) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        let keys = directory(&top, KEYS)?;
        adopt(&keys, &fstat(&top)?)?;
        permit(&keys, 0o700)?;
        Ok(Self { top, keys, path: path.join(KEYS) })
    }

    /// Waits until nobody else is making a certificate here.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.keys, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
        adopt(&file, &fstat(&self.keys)?)?;
        raw_io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
        Ok(Lock(file))
    }

    /// Name and content of every certificate's file.
    pub(super) fn certificates(&self) -> io::Result<Vec<(String, Zeroizing<Vec<u8>>)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if Path::new(&name).extension().is_none_or(|end| end != "pem") {
                continue;
            }
            // Another process may have removed it since.
            if let Some(content) = content(&self.keys, &name)? {
                found.push((name, content));
            }
        }
        Ok(found)
    }

    /// A certificate with its key.
    pub(super) fn put(&self, name: &str, text: &[u8]) -> io::Result<()> {
        replace(&self.keys, name, text, 0o600)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.keys, name, AtFlags::empty())?)
    }

    /// A file for everybody; `None` where there is none.
    pub(super) fn public(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        content(&self.top, name)
    }

    pub(super) fn publish(&self, name: &str, text: &[u8]) -> io::Result<()> {
        replace(&self.top, name, text, 0o644)
    }
}

/// Writes files for everybody into any directory, which is made if need be, and is no link: below `state_dir` root would
/// follow the service's user.
pub(super) fn spread(directory: &Path, files: &[(&str, Vec<u8>)]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let directory = self::directory(CWD, directory)?;
    files.iter().try_for_each(|(name, content)| replace(&directory, name, content, 0o644))
}

fn directory(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn content(at: impl AsFd, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(at, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => File::from(other?),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Either the old content or the new is there, whenever the power fails.
fn replace(at: &OwnedFd, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let draft = format!("{name}.new");
    // Left by a process that was killed while it wrote.
    let _ = unlinkat(at, &draft, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(at, &draft, flags, Mode::RUSR | Mode::WUSR)?);
    adopt(&file, &fstat(at)?)?;
    file.write_all(content)?;
    permit(&file, mode)?;
    file.sync_all()?;
    renameat(at, &draft, at, name)?;
    Ok(raw::fsync(at)?)
}

/// What root makes belongs to whom the folder belongs to. Not what has another name as well: by such a link that user
/// could be given any file of root's.
fn adopt(file: impl AsFd, like: &raw::Stat) -> Result<(), Errno> {
    let found = fstat(&file)?;
    let is_here_alone = found.st_nlink == 1 || FileType::from_raw_mode(found.st_mode).is_dir();
    if geteuid().is_root() && found.st_uid == 0 && like.st_uid != 0 && is_here_alone {
        fchown(file, Some(raw::Uid::from_raw(like.st_uid)), Some(raw::Gid::from_raw(like.st_gid)))?;
    }
    Ok(())
}

fn permit(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    if fstat(&file)?.st_mode & 0o777 == mode { Ok(()) } else { fchmod(file, Mode::from_raw_mode(mode)) }
}
