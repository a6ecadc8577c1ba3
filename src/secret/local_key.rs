//! Local keys: the worthless secret that proves a caller to us.
//!
//! Of our own making: `uns_` and the base64url of 32 random bytes followed by the first four bytes of their SHA-256, so
//! that a key cut short by copying is told from a wrong one. Keys made elsewhere (a pod's UID) are taken from 32
//! characters on. Not a password store: only the [`Fingerprint`] of a key is kept. Easy to get wrong: a real Entra
//! client secret must never become a local key, and is refused without being shown.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use zeroize::Zeroizing;

use super::{Fingerprint, Secret};

pub(crate) const PREFIX: &str = "uns_";
const RANDOM: usize = 32;
const CHECKSUM: usize = 4;
/// The characters of a key of our making: of three bytes base64 makes four.
const WHOLE: usize = PREFIX.len() + (RANDOM + CHECKSUM) / 3 * 4;
/// A pod UID has 36 characters, a hex digest of 128 bits 32: anything shorter can be guessed or was cut.
pub(crate) const SHORTEST: usize = 32;
/// More than any client sends in a header or form field.
const LONGEST: usize = 256;

/// A key that is fit to prove a caller. Does not print.
#[derive(Clone, Debug)]
pub struct LocalKey(Secret);

/// Why a text is not fit to be a local key. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalKeyError {
    #[error("the key is empty")]
    Empty,
    #[error("the key has {0} characters, but a key needs {SHORTEST} to {LONGEST}")]
    Length(usize),
    /// Header values and form fields would change it on the way.
    #[error("the key holds a space, a control character or a character outside ASCII")]
    Unprintable,
    #[error("the key begins with `uns_` but its checksum does not match: it was cut short or mistyped")]
    Checksum,
    #[error("the key has the shape of a real Entra client secret")]
    EntraSecret,
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl LocalKeyError {
    /// What to do, as [`Problem::remedy`](crate::problem::Problem::remedy) says it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::EntraSecret => {
                "make a local key with `unsecret caller add`, and revoke the secret in Entra once nothing uses it"
            }
            Self::Checksum => "copy the key again, or make a new one with `unsecret caller add`",
            Self::NoRandomness => "try again; if it stays so, look at the system's random number generator",
            Self::Empty | Self::Length(_) | Self::Unprintable => "make a key with `unsecret caller add`",
        }
    }
}

impl LocalKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, LocalKeyError> {
        let mut bytes = Zeroizing::new([0; RANDOM + CHECKSUM]);
        rand::fill(&mut bytes[..RANDOM]).map_err(|_| LocalKeyError::NoRandomness)?;
        let sum = checksum(&bytes[..RANDOM]);
        bytes[RANDOM..].copy_from_slice(&sum);
        Ok(Self(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*bytes)))))
    }

    /// Takes a key as a file, variable or request carries it: line ends at its end do not belong to it.
    pub fn parse(text: &str) -> Result<Self, LocalKeyError> {
        let key = trim(text);
        if key.is_empty() {
            return Err(LocalKeyError::Empty);
        }
        // Before the length: what is wrong with a cut-off secret is first of all that it is one.
        if is_entra_secret(key) {
            return Err(LocalKeyError::EntraSecret);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LocalKeyError::Unprintable);
        }
        if key.starts_with(PREFIX) && !is_whole(key) {
            return Err(LocalKeyError::Checksum);
        }
        if !(SHORTEST..=LONGEST).contains(&key.len()) {
            return Err(LocalKeyError::Length(key.len()));
        }
        Ok(Self(Secret::new(key)))
    }

    /// The text, for the one place that writes it down.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// What a caller rule keeps of the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }
}

/// Without the line ends that editors and `echo` leave behind. Other white space stays: it is not ours to guess.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

/// True for the shape of client secrets that Entra makes: three characters, a digit, `Q~`, then about 31 to 34 more.
/// Quotes and white space around it, left over from a shell or a YAML file, do not make it another thing.
#[must_use]
pub fn is_entra_secret(text: &str) -> bool {
    let bytes = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).as_bytes();
    (32..=48).contains(&bytes.len()) && bytes[3].is_ascii_digit() && bytes[4..6] == *b"Q~"
}

/// True for the shape of a JSON Web Token. It begins with `{"`, which is `eyJ` in base64, and has three parts.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|&byte| byte == b'.').count() == 2
}

/// Whether a key of our making stands anywhere in what somebody is about to send away.
#[must_use]
pub fn stands_in(text: &[u8]) -> bool {
    let candidates = memmem::find_iter(text, PREFIX).filter_map(|start| text.get(start..start + WHOLE));
    candidates.filter_map(|key| std::str::from_utf8(key).ok()).any(is_whole)
}

fn is_whole(key: &str) -> bool {
    let Some(body) = key.strip_prefix(PREFIX) else { return false };
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(body).map(Zeroizing::new) else { return false };
    bytes.len() == RANDOM + CHECKSUM && bytes[RANDOM..] == checksum(&bytes[..RANDOM])
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&Fingerprint::of(random).0[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back_and_differs_from_the_next() {
        let key = LocalKey::generate().unwrap();
        let text = key.secret().expose().to_owned();
        assert_eq!(text.len(), 52);
        assert_eq!(LocalKey::parse(&format!("{text}\r\n")).unwrap().fingerprint(), key.fingerprint());
        assert_ne!(LocalKey::generate().unwrap().fingerprint(), key.fingerprint());
    }

    #[test]
    fn a_key_of_ours_that_lost_or_changed_a_character_is_refused() {
        let text = LocalKey::generate().unwrap().secret().expose().to_owned();
        for cut in [&text[..51], &text[..36], "uns_"] {
            assert_eq!(LocalKey::parse(cut).unwrap_err(), LocalKeyError::Checksum);
        }
        let other = if text.as_bytes()[10] == b'A' { "B" } else { "A" };
        let mut changed = text;
        changed.replace_range(10..11, other);
        assert_eq!(LocalKey::parse(&changed).unwrap_err(), LocalKeyError::Checksum);
    }

    #[test]
    fn keys_made_elsewhere_are_taken_from_32_characters_on() {
        assert!(LocalKey::parse("7b0c1a52-93ce-4f7a-8d53-0d8a6cf1f6de\n").is_ok());
        assert_eq!(LocalKey::parse(&"k".repeat(31)).unwrap_err(), LocalKeyError::Length(31));
        assert_eq!(LocalKey::parse(&"k".repeat(257)).unwrap_err(), LocalKeyError::Length(257));
        assert_eq!(LocalKey::parse("\n").unwrap_err(), LocalKeyError::Empty);
        assert_eq!(LocalKey::parse(&"k ".repeat(20)).unwrap_err(), LocalKeyError::Unprintable);
    }

    #[test]
    fn a_real_entra_secret_is_refused_by_its_shape() {
        for digit in ['7', '8'] {
            let secret = format!("abc{digit}Q~{}", "x".repeat(34));
            for text in [secret.clone(), format!(" {secret}\n"), format!("\"{secret}\""), format!("'{secret}'")] {
                assert_eq!(LocalKey::parse(&text).unwrap_err(), LocalKeyError::EntraSecret, "{text}");
            }
        }
        assert!(LocalKey::parse(&format!("abcdQ~{}", "x".repeat(34))).is_ok());
    }

    #[test]
    fn a_local_key_does_not_print() {
        let key = LocalKey::generate().unwrap();
        assert!(!format!("{key:?}").contains(key.secret().expose()));
    }
}
