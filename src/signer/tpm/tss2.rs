//! TPM keys in files: `-----BEGIN TSS2 PRIVATE KEY-----`, as OpenSSL's TPM engines and providers write and read them.
//!
//! Not a secret: what is in it only that TPM can load. The form is that of "ASN.1 Specification for TPM 2.0 Key Files"
//! (Bottomley, Internet-Draft). Easy to get wrong: the fields before `parent` are optional and told apart by their tags, and
//! the two blobs carry the lengths of their TPM2B structures.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::asn1_rs::{Any, Boolean, Class, FromBer as _, FromDer as _, Integer, OctetString, Oid, Sequence, oid};
use x509_parser::pem::Pem;

use crate::signer::SignError;

const LABEL: &str = "TSS2 PRIVATE KEY";
/// The owner hierarchy: the parent is the well-known primary key made under it.
pub(super) const OWNER: u32 = 0x4000_0001;

/// What a key file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    /// Whether the key was made without an authorisation value. For other programs: `tpm2_encodeobject` (5.4) writes the
    /// contrary, so we do not go by it.
    pub(super) empty_auth: bool,
    /// Whether the primary key is the RSA one; otherwise it is the P-256 one.
    pub(super) rsa_parent: bool,
    /// A hierarchy or a persistent handle.
    pub(super) parent: u32,
    /// TPMT_PUBLIC.
    pub(super) public: Vec<u8>,
    /// The contents of the TPM2B_PRIVATE: encrypted for the parent.
    pub(super) private: Vec<u8>,
}

impl KeyFile {
    pub(super) fn read(path: &Path) -> Result<Self, SignError> {
        let pem = fs::read(path).map_err(|source| SignError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&pem).map_err(|why| SignError::TpmFileDamaged { path: path.to_owned(), why })
    }

    /// Never over another file.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.pem().as_bytes())?;
        file.sync_all()
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let pem = Pem::iter_from_buffer(text).flatten().find(|pem| pem.label == LABEL);
        let pem = pem.ok_or_else(|| format!("no `-----BEGIN {LABEL}-----` in it"))?;
        let (_, sequence) = Sequence::from_der(&pem.contents).map_err(damaged)?;
        let (rest, kind) = Oid::from_der(&sequence.content).map_err(damaged)?;
        known(&kind)?;
        let mut file =
            Self { empty_auth: false, rsa_parent: false, parent: 0, public: Vec::new(), private: Vec::new() };
        let rest = file.read_options(rest)?;
        let (rest, parent) = Integer::from_der(rest).map_err(damaged)?;
        // A handle above 0x7fffffff is a negative number where the writer's integers had 32 bits.
        file.parent = parent.as_u32().or_else(|_| parent.as_i32().map(i32::cast_unsigned)).map_err(|_| PARENT)?;
        let (rest, public) = OctetString::from_der(rest).map_err(damaged)?;
        let (_, private) = OctetString::from_der(rest).map_err(damaged)?;
        file.public = unwrapped(&public, "public")?;
        file.private = unwrapped(&private, "private")?;
        Ok(file)
    }

    /// The tagged fields, up to the parent.
    fn read_options<'a>(&mut self, mut rest: &'a [u8]) -> Result<&'a [u8], String> {
        loop {
            let (after, any) = Any::from_der(rest).map_err(damaged)?;
            if any.header.class() != Class::ContextSpecific {
                return Ok(rest);
            }
            // By BER, where any byte but zero is true: tpm2_encodeobject writes 01.
            let truth = || Boolean::from_ber(any.data).map(|(_, truth)| truth.bool()).map_err(damaged);
            match any.header.tag().0 {
                0 => self.empty_auth = truth()?,
                5 => self.rsa_parent = truth()?,
                1 | 3 => {
                    return Err(
                        "its key is bound to a policy, and only keys with a plain value or none can be used".into()
                    );
                }
                2 => {
                    return Err(
                        "its key has yet to be imported: load it with the tools it comes from, and save it again"
                            .into(),
                    );
                }
                // A description, or what later drafts add.
                _ => {}
            }
            rest = after;
        }
    }

    fn pem(&self) -> String {
        let mut fields = der(0x06, LOADABLE.as_bytes());
        if self.empty_auth {
            fields.extend(der(0xa0, &TRUE));
        }
        if self.rsa_parent {
            fields.extend(der(0xa5, &TRUE));
        }
        // Led by a zero, or it would be negative.
        let parent = self.parent.to_be_bytes();
        fields.extend(if parent[0] < 0x80 { der(0x02, &parent) } else { der(0x02, &[&[0], &parent[..]].concat()) });
        fields.extend(der(0x04, &wrapped(&self.public)));
        fields.extend(der(0x04, &wrapped(&self.private)));
        let text = STANDARD.encode(der(0x30, &fields));
        // 64 columns, as RFC 7468 wants them. Base64 is ASCII: no character is cut.
        let lines: String = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n").collect();
        format!("-----BEGIN {LABEL}-----\n{lines}-----END {LABEL}-----\n")
    }
}

const PARENT: &str = "its parent is no handle of 32 bits";
const LOADABLE: Oid<'static> = oid!(2.23.133.10.1.3);
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];

fn known(kind: &Oid<'_>) -> Result<(), String> {
    if *kind == LOADABLE {
        return Ok(());
    }
    let what = match kind.to_id_string().as_str() {
        "2.23.133.10.1.4" => "an importable key, which the TPM has yet to make its own".to_owned(),
        "2.23.133.10.1.5" => "sealed data".to_owned(),
        other => format!("something of type {other}"),
    };
    Err(format!("it holds {what}, not a loadable key (2.23.133.10.1.3)"))
}

fn damaged<E: std::fmt::Display>(why: E) -> String {
    format!("it is damaged: {why}")
}

/// A TPM2B without the length in front, which must be right.
fn unwrapped(blob: &OctetString<'_>, part: &str) -> Result<Vec<u8>, String> {
    match blob.as_ref().split_first_chunk::<2>() {
        Some((length, rest)) if usize::from(u16::from_be_bytes(*length)) == rest.len() => Ok(rest.to_vec()),
        _ => Err(format!("it is damaged: the {part} part has another length than it says")),
    }
}

fn wrapped(contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), contents].concat()
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let used = length.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
    let mut out = vec![tag];
    match used[..] {
        [] => out.push(0),
        [one] if one < 0x80 => out.push(one),
        _ => {
            // Eight bytes of length at the most.
            out.push(0x80 | u8::try_from(used.len()).unwrap_or(8));
            out.extend(used);
        }
    }
    out.extend(contents);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> KeyFile {
        KeyFile { empty_auth: true, rsa_parent: true, parent: OWNER, public: vec![1; 300], private: vec![2; 200] }
    }

    fn pem(fields: &[Vec<u8>]) -> String {
        format!("-----BEGIN {LABEL}-----\n{}\n-----END {LABEL}-----\n", STANDARD.encode(der(0x30, &fields.concat())))
    }

    fn refusal(kind: &Oid<'_>, option: Vec<u8>) -> String {
        let blob = der(0x04, &wrapped(b"x"));
        let fields = [der(0x06, kind.as_bytes()), option, der(0x02, &OWNER.to_be_bytes()), blob.clone(), blob];
        KeyFile::parse(pem(&fields).as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for parent in [OWNER, 0x8100_0001] {
            let file = KeyFile { parent, ..sample() };
            assert_eq!(KeyFile::parse(file.pem().as_bytes()), Ok(file));
        }
        assert!(sample().pem().lines().all(|line| line.len() <= 64));
    }

    /// The tools before 5.5 write a persistent parent as the negative number that 32 bits make of it.
    #[test]
    fn a_parent_that_is_written_as_a_negative_number_is_the_same_handle() {
        let blob = der(0x04, &wrapped(b"x"));
        let parent = der(0x02, &0x8100_0001_u32.to_be_bytes());
        let file = pem(&[der(0x06, LOADABLE.as_bytes()), parent, blob.clone(), blob]);
        assert_eq!(KeyFile::parse(file.as_bytes()).unwrap().parent, 0x8100_0001);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        assert!(KeyFile::parse(b"-----BEGIN PRIVATE KEY-----").unwrap_err().contains("TSS2 PRIVATE KEY"));
        assert!(refusal(&oid!(2.23.133.10.1.4), Vec::new()).contains("importable"));
        assert!(refusal(&oid!(2.23.133.10.1.5), Vec::new()).contains("sealed data"));
        assert!(refusal(&oid!(1.2.3), Vec::new()).contains("type 1.2.3"));
        for policy in [0xa1, 0xa3] {
            assert!(refusal(&LOADABLE, der(policy, &der(0x30, b""))).contains("bound to a policy"));
        }
        assert!(refusal(&LOADABLE, der(0xa2, &der(0x04, b"secret"))).contains("imported"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..500, with: u8) {
            let file = sample();
            let mut fields = [der(0x06, LOADABLE.as_bytes()), der(0xa0, &TRUE), der(0x02, &file.parent.to_be_bytes())].concat();
            fields.extend(der(0x04, &wrapped(&file.public)));
            fields.extend(der(0x04, &wrapped(&file.private)));
            if let Some(byte) = fields.get_mut(at) {
                *byte = with;
            }
            let _ = KeyFile::parse(pem(&[fields]).as_bytes());
        }
    }
}
