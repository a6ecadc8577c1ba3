//! `pkcs11:` (RFC 7512): a private key by what its token and its module say of themselves.
//!
//! Easy to get wrong: what RFC 7512 calls an unrecognised attribute of the path must match nothing, so it is refused;
//! and the module is part of the key's name, so without one there is no key.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::attribute::{Attributes, Part, encoded, encoded_whole, written};
use super::error::{KeyUriError, listed, shown};
use super::{Surroundings, pin_source};
use crate::signer::PinSource;

/// `pkcs11:token=prod;object=billing?module-path=/usr/lib/…&pin-source=file:/…` (RFC 7512). What is `None` matches
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// `CKA_LABEL` of the token, without the blanks that pad it.
    pub token: Option<String>,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub library_manufacturer: Option<String>,
    pub library_description: Option<String>,
    /// Major and minor.
    pub library_version: Option<(u8, u8)>,
    pub slot_manufacturer: Option<String>,
    pub slot_description: Option<String>,
    /// `CKA_LABEL` of the key.
    pub object: Option<String>,
    /// `CKA_ID` of the key.
    pub id: Option<Vec<u8>>,
    /// The module, absolute: from `module-path`, or found for `module-name`.
    pub module: PathBuf,
    /// `None` where the token needs no login, or has a key pad.
    pub pin: Option<PinSource>,
}

/// What a module says of itself, of a slot and of the token in it, padded or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whereabouts<'a> {
    pub library_manufacturer: &'a str,
    pub library_description: &'a str,
    pub library_version: (u8, u8),
    pub slot_manufacturer: &'a str,
    pub slot_description: &'a str,
    pub token: &'a str,
    pub serial: &'a str,
    pub manufacturer: &'a str,
    pub model: &'a str,
}

const IN_PATH: [&str; 12] = [
    "token",
    "serial",
    "manufacturer",
    "model",
    "object",
    "id",
    "type",
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
];
const IN_QUERY: [&str; 3] = ["module-path", "module-name", "pin-source"];

/// As long as the fields of `CK_INFO`, `CK_SLOT_INFO` and `CK_TOKEN_INFO`.
const NAME: usize = 32;
const SHORT: usize = 16;
const SLOT: usize = 64;
/// A label is as long as it likes; this long it is none.
const LABEL: usize = 4_096;

pub(super) fn parse(rest: &str, around: Surroundings<'_>) -> Result<Pkcs11Uri, KeyUriError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    no_pin(rest)?;
    let (mut path, mut query) = (Attributes::read(path, Part::Path)?, Attributes::read(query, Part::Query)?);
    if path.has("slot-id") {
        let what = "has a `slot-id`, and modules number their slots anew at every start: it names no token";
        return Err(KeyUriError::malformed(what, "write `token=…` or `serial=…`, as `unsecret key list` shows them"));
    }
    if let Some(kind) = path.text("type", LABEL)?.filter(|kind| kind != "private") {
        let what = format!("has {} as `type`, and only a private key signs", shown(&kind));
        return Err(KeyUriError::malformed(what, "write `type=private`, or delete it"));
    }
    let uri = Pkcs11Uri {
        token: path.text("token", NAME)?,
        serial: path.text("serial", SHORT)?,
        manufacturer: path.text("manufacturer", NAME)?,
        model: path.text("model", SHORT)?,
        library_manufacturer: path.text("library-manufacturer", NAME)?,
        library_description: path.text("library-description", NAME)?,
        library_version: path.text("library-version", LABEL)?.map(|text| version(&text)).transpose()?,
        slot_manufacturer: path.text("slot-manufacturer", NAME)?,
        slot_description: path.text("slot-description", SLOT)?,
        object: path.text("object", LABEL)?,
        id: path.bytes("id")?,
        pin: pin_source::take(&mut query, "pin-source", around)?,
        module: module(&mut query, around.modules)?,
    };
    path.end(&IN_PATH)?;
    query.end(&IN_QUERY)?;
    Ok(uri)
}

/// Before anything else is judged, so that no other error repeats a piece of it.
fn no_pin(rest: &str) -> Result<(), KeyUriError> {
    if rest.split(['?', ';', '&']).any(|piece| piece.starts_with("pin-value")) {
        let what = "has a `pin-value`, and a configuration is read by more people than a PIN is for";
        let remedy = "change that PIN, write the new one into a file with mode 0600, and write `pin-source=file:/…`";
        return Err(KeyUriError::malformed(what, remedy));
    }
    Ok(())
}

/// `3` or `3.1`.
fn version(text: &str) -> Result<(u8, u8), KeyUriError> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
    number(major).zip(number(minor)).ok_or_else(|| {
        let what = format!("has {} as `library-version`, which is no version", shown(text));
        KeyUriError::malformed(what, "write `library-version=2.6`, for example, or delete it")
    })
}

fn module(query: &mut Attributes<'_>, known: &[PathBuf]) -> Result<PathBuf, KeyUriError> {
    match (query.path("module-path")?, query.text("module-name", LABEL)?) {
        (Some(path), None) => Ok(path),
        (Some(path), Some(name)) if goes_by(&path, &name) => Ok(path),
        (Some(path), Some(name)) => {
            let what = format!(
                "has {} as `module-name`, but `module-path` is {}",
                shown(&name),
                shown(&path.to_string_lossy())
            );
            Err(KeyUriError::malformed(what, "delete one of them"))
        }
        (None, Some(name)) => named(&name, known),
        (None, None) => {
            let what = "names no module, and whoever gives the module gives the key";
            Err(KeyUriError::malformed(what, "add `?module-path=/usr/lib/…/….so`, as the vendor's manual has it"))
        }
    }
}

fn named(name: &str, known: &[PathBuf]) -> Result<PathBuf, KeyUriError> {
    let fitting: Vec<_> = known.iter().filter(|path| goes_by(path, name)).cloned().collect();
    let (what, remedy) = match fitting.as_slice() {
        [only] => return Ok(only.clone()),
        [] if known.is_empty() => ("no module is known by name", "write `module-path=/…`".to_owned()),
        [] => ("none goes by that name", format!("write `module-path=/…`; by name there are {}", listed(known))),
        several => ("several go by that name", format!("write `module-path=` and one of {}", listed(several))),
    };
    Err(KeyUriError::malformed(format!("has {} as `module-name`, but {what}", shown(name)), remedy))
}

/// `softhsm2` for `libsofthsm2.so`: the name "without the prefix and the suffix", or with them.
fn goes_by(path: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split_once(".so").map_or(&*file, |(stem, _)| stem);
    [&*file, stem, stem.strip_prefix("lib").unwrap_or(stem)].contains(&name)
}

impl Pkcs11Uri {
    /// Whether the token may be the one that is meant. The key itself (`object`, `id`) is another question.
    #[must_use]
    pub fn fits(&self, place: Whereabouts<'_>) -> bool {
        let pairs = [
            (&self.token, place.token),
            (&self.serial, place.serial),
            (&self.manufacturer, place.manufacturer),
            (&self.model, place.model),
            (&self.library_manufacturer, place.library_manufacturer),
            (&self.library_description, place.library_description),
            (&self.slot_manufacturer, place.slot_manufacturer),
            (&self.slot_description, place.slot_description),
        ];
        // PKCS#11 pads with blanks; some modules do with zeros.
        let bare = |text: &str| text.trim_end_matches([' ', '\0']).to_owned();
        let fits =
            |(wanted, there): (&Option<String>, &str)| wanted.as_ref().is_none_or(|text| bare(text) == bare(there));
        pairs.into_iter().all(fits) && self.library_version.is_none_or(|version| version == place.library_version)
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |name, value: &Option<String>| value.as_ref().map(|value| (name, encoded(value.as_bytes(), Part::Path)));
        let version = |(major, minor): (u8, u8)| ("library-version", format!("{major}.{minor}"));
        let path = [
            text("token", &self.token),
            text("serial", &self.serial),
            text("manufacturer", &self.manufacturer),
            text("model", &self.model),
            text("library-manufacturer", &self.library_manufacturer),
            text("library-description", &self.library_description),
            self.library_version.map(version),
            text("slot-manufacturer", &self.slot_manufacturer),
            text("slot-description", &self.slot_description),
            text("object", &self.object),
            self.id.as_ref().map(|id| ("id", encoded_whole(id))),
        ];
        let query = [
            Some(("module-path", encoded(self.module.as_os_str().as_bytes(), Part::Query))),
            pin_source::written(self.pin.as_ref()).map(|source| ("pin-source", source)),
        ];
        let (path, query): (Vec<_>, Vec<_>) =
            (path.into_iter().flatten().collect(), query.into_iter().flatten().collect());
        write!(f, "pkcs11:{}", written(&path, &query))
    }
}
