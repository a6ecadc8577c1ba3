//! Whether a sink would do its work, found out without a token: for who looks at a system in use.
//!
//! What stands there and what would be run are left alone. Easy to get wrong: to ask for permissions is not to have them
//! (a read-only mount, a filter of system calls, a quota), so a draft is really made, with its owner, group and mode, and
//! removed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, unlinkat};

use super::error::SinkError;
use super::file::Target;

/// The file that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Seconds since 1970.
    pub written: u64,
    /// What the sink wants otherwise: `its mode is 0644, not 0600`.
    pub differs: Vec<String>,
}

impl Target {
    /// All that a write does, but without content, and nothing is replaced.
    pub fn rehearse(&self) -> Result<(), SinkError> {
        if fs::symlink_metadata(&self.file).is_ok_and(|found| found.is_dir()) {
            return Err(SinkError::Directory { file: self.file.clone() });
        }
        self.draft(b"", |folder, draft, _| unlinkat(folder, draft, AtFlags::empty())).map(drop)
    }

    /// The file as it is; `None` where there is none.
    pub fn standing(&self) -> Result<Option<Standing>, SinkError> {
        let Ok(found) = fs::symlink_metadata(&self.file) else { return Ok(None) };
        let (owner, group) = self.accounts()?;
        let mut differs = Vec::new();
        if found.is_symlink() {
            differs.push("it is a symbolic link, which the next write replaces".to_owned());
        } else if found.mode() & 0o7777 != self.mode {
            differs.push(format!("its mode is {:04o}, not {:04o}", found.mode() & 0o7777, self.mode));
        }
        for (what, is, wanted) in [("owner", found.uid(), owner), ("group", found.gid(), group)] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                differs.push(format!("its {what} is {is}, not {wanted}"));
            }
        }
        Ok(Some(Standing { written: u64::try_from(found.mtime()).unwrap_or_default(), differs }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::problem::Problem as _;

    fn target(folder: &tempfile::TempDir) -> Target {
        Target { file: folder.path().join("pg.token"), mode: 0o640, owner: None, group: None }
    }

    #[test]
    fn a_rehearsal_leaves_the_file_and_its_directory_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(&folder);
        target.rehearse().unwrap();
        assert_eq!(target.standing().unwrap(), None, "nothing was written");
        fs::write(&target.file, "token").unwrap();
        target.rehearse().unwrap();
        assert_eq!(fs::read_to_string(&target.file).unwrap(), "token");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_rehearsal_fails_as_the_write_would() {
        let folder = tempfile::tempdir().unwrap();
        let code = |target: &Target| target.rehearse().unwrap_err().code();
        assert_eq!(code(&Target { file: folder.path().to_owned(), ..target(&folder) }), "sink-is-directory");
        assert_eq!(code(&Target { file: folder.path().join("none/x"), ..target(&folder) }), "sink-directory-missing");
        assert_eq!(
            code(&Target { group: Some("nobody-of-that-name".to_owned()), ..target(&folder) }),
            "sink-owner-unknown"
        );
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(code(&target(&folder)), "sink-directory-open");
    }

    #[test]
    fn what_is_wanted_otherwise_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(&folder);
        fs::write(&target.file, "token").unwrap();
        fs::set_permissions(&target.file, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = fs::metadata(&target.file).unwrap().uid();
        let differs = |target: &Target| target.standing().unwrap().unwrap().differs;
        assert_eq!(differs(&target), ["its mode is 0600, not 0640"]);
        let other = Target { owner: Some("4711".to_owned()), mode: 0o600, ..target.clone() };
        assert_eq!(differs(&other), [format!("its owner is {owner}, not 4711")]);
        fs::remove_file(&target.file).unwrap();
        symlink("/nowhere", &target.file).unwrap();
        assert_eq!(differs(&target), ["it is a symbolic link, which the next write replaces"]);
    }
}
