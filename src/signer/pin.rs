//! PINs and authorisation values: where they are read, when needed, and wiped after.
//!
//! Easy to get wrong: a PIN is bytes, not text (`user:password`, softcards, umlauts in some code page), and only the line
//! end that an editor leaves is cut off. An empty file holds no PIN: a token may count an empty one as a failure.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::SignError;

/// More than any token takes. What is larger is another file than the one that was meant.
const LARGEST: usize = 1_024;

/// What unlocks a token or a TPM key. Never prints; wiped on drop.
#[derive(Clone)]
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that hands them to the hardware.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// Where a PIN comes from. Read anew at every login, so that a changed file is taken up.
#[derive(Clone, Debug)]
pub enum PinSource {
    /// A file that holds it, with or without a line end.
    File(PathBuf),
    /// A systemd credential, and the file that it is for this process.
    Credential { name: String, path: PathBuf },
    /// Typed in by a person, for the key verbs.
    Given(Pin),
}

impl PinSource {
    /// Reads it.
    pub fn read(&self) -> Result<Pin, SignError> {
        match self {
            Self::Given(pin) => Ok(pin.clone()),
            Self::File(path) | Self::Credential { path, .. } => {
                in_file(path).map_err(|source| SignError::PinUnreadable { path: path.clone(), source })
            }
        }
    }

    /// The file that holds it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Credential { path, .. } => Some(path),
            Self::Given(_) => None,
        }
    }

    /// What an operator should hear: that users other than the owner and the group can read the PIN.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let path = self.path()?;
        // The group is no stranger: Kubernetes mounts secrets readable by it, and where an access list is set, as
        // systemd does on credentials, these bits are the list's mask.
        let mode = path.metadata().ok()?.permissions().mode() & 0o777;
        (mode & 0o007 != 0).then(|| {
            format!(
                "PIN file `{}` has mode {mode:04o}, not 0600: every user of this machine can read it",
                path.display()
            )
        })
    }
}

fn in_file(path: &Path) -> io::Result<Pin> {
    // With room for all of it: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LARGEST));
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        return Err(unfit(format!("it has more than {LARGEST} bytes, so it is not a PIN")));
    }
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
    let end = bytes[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    bytes.truncate(end);
    if bytes.is_empty() {
        return Err(unfit("it is empty; where no PIN is needed, name no source".to_owned()));
    }
    Ok(Pin(bytes))
}

fn unfit(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl PartialEq for PinSource {
    /// By place; a PIN that was typed in equals none.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Credential { name: one, path }, Self::Credential { name: other, path: at }) => {
                one == other && path == at
            }
            _ => false,
        }
    }
}

impl Eq for PinSource {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::chain;
    use std::fs;

    fn source(content: &[u8], mode: u32) -> (tempfile::TempDir, PinSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, PinSource::File(path))
    }

    #[test]
    fn a_pin_is_its_files_bytes_but_for_one_line_end() {
        for (content, expected) in [
            (&b"1234"[..], &b"1234"[..]),
            (b"1234\n", b"1234"),
            (b"1234\r\n", b"1234"),
            (b" 12 34 \n\n", b" 12 34 \n"),
            (b"\xff:\0", b"\xff:\0"),
        ] {
            let (_folder, source) = source(content, 0o600);
            assert_eq!(source.read().unwrap().expose(), expected);
        }
    }

    #[test]
    fn a_file_that_holds_no_pin_says_why() {
        for (content, why) in [
            (vec![], "it is empty"),
            (b"\r\n".to_vec(), "it is empty"),
            (b"canary".repeat(200), "it has more than 1024 bytes"),
        ] {
            let (_folder, source) = source(&content, 0o600);
            let problem = source.read().unwrap_err();
            assert!(chain(&problem).contains(why) && !format!("{problem:?}").contains("canary"), "{}", chain(&problem));
        }
    }

    #[test]
    fn a_pin_that_every_user_can_read_is_worth_a_warning() {
        for (mode, warned) in [(0o600, false), (0o440, false), (0o644, true)] {
            let (_folder, source) = source(b"1", mode);
            assert_eq!(source.warning().is_some_and(|text| text.contains("mode 0644, not 0600")), warned, "{mode:o}");
        }
    }

    #[test]
    fn a_pin_does_not_print() {
        let source = PinSource::Given(Pin::new(Zeroizing::new(b"canary".to_vec())));
        assert_eq!(format!("{source:?}"), "Given(Pin(…))");
    }
}
