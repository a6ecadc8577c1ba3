//! Writes certificates and requests: a file is there whole or not at all, and nothing good is replaced by accident.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::error::KeyError;

/// Certificates and requests are for everybody to read.
const MODE: u32 = 0o644;

/// The whole path of a file that is not there. Looked at before the work, since that may ask a person or a slow device;
/// [`create`] decides.
pub(super) fn vacant(path: &Path) -> Result<PathBuf, KeyError> {
    let path = whole(path)?;
    if fs::symlink_metadata(&path).is_ok() { Err(KeyError::OutputExists(path)) } else { Ok(path) }
}

/// The first certificate of a file, as DER.
pub(super) fn der(path: &Path) -> Result<Vec<u8>, KeyError> {
    let unreadable = |source| KeyError::OutputUnreadable { path: path.to_owned(), source };
    let pem = fs::read(path).map_err(unreadable)?;
    let der = CertificateDer::from_pem_slice(&pem);
    der.map(|der| der.to_vec()).map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))
}

/// The path from the root.
pub(super) fn whole(path: &Path) -> Result<PathBuf, KeyError> {
    std::path::absolute(path).map_err(|source| KeyError::OutputUnwritable { path: path.to_owned(), source })
}

/// Writes a new file.
pub(super) fn create(path: &Path, text: &str) -> Result<(), KeyError> {
    // A link fails where a file is, a rename would replace it.
    placed(path, text, |draft| fs::hard_link(draft, path))
}

/// Writes a file in place of the one that is there, which stays beside it as `FILE.previous`; gives that one's path.
pub(super) fn replace(path: &Path, text: &str) -> Result<Option<PathBuf>, KeyError> {
    // Behind a symbolic link, so that the link stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Put in place twice, it must not push out the one before.
    if fs::read(path).is_ok_and(|held| held == text.as_bytes()) {
        return Ok(None);
    }
    let previous = with_suffix(path, ".previous");
    let kept = path.exists();
    placed(path, text, |draft| {
        if kept {
            let link = with_suffix(&previous, &format!(".new-{}", std::process::id()));
            fs::hard_link(path, &link)?;
            fs::rename(&link, &previous).inspect_err(|_| drop(fs::remove_file(&link)))?;
        }
        fs::rename(draft, path)
    })?;
    Ok(kept.then_some(previous))
}

/// Written beside its place under another name, and moved there whole.
fn placed(path: &Path, text: &str, put: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), KeyError> {
    let draft = with_suffix(path, &format!(".new-{}", std::process::id()));
    let outcome = drafted(&draft, text).and_then(|()| put(&draft));
    let _ = fs::remove_file(&draft);
    outcome.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::OutputExists(path.to_owned()),
        _ => KeyError::OutputUnwritable { path: path.to_owned(), source },
    })
}

fn drafted(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(draft)?;
    file.write_all(text.as_bytes())?;
    // Whatever the umask: the broker reads it as another user.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("billing.pem");
        create(&path, "one").unwrap();
        assert_eq!(create(&path, "two").unwrap_err().code(), "key-output-exists");
        assert_eq!(vacant(&path).unwrap_err().code(), "key-output-exists");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let previous = replace(&path, "two").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_to_string(&previous).unwrap(), "one");
        replace(&path, "three").unwrap();
        assert_eq!(replace(&path, "three").unwrap(), None);
        assert_eq!(fs::read_to_string(&previous).unwrap(), "two", "the one before, and no older one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left behind");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_symbolic_link_stays_one_and_a_new_place_has_nothing_before() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("v1.pem"), folder.path().join("current.pem"));
        assert_eq!(replace(&target, "one").unwrap(), None);
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace(&link, "two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "two");
        assert_eq!(vacant(&link).unwrap_err().code(), "key-output-exists");
    }
}
