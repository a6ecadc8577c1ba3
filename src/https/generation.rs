//! One certificate of our own with its key and its root, as it lies on the disk: one PEM file, so that no crash parts them.
//!
//! The root's own key is gone before anybody sees this. Easy to get wrong: two roots of one name make some clients look
//! at the wrong one only, so each is called differently.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::HttpsError;
use super::pair::{Pair, Unfit, same_host};
use super::plan::{Fit, LIFE, Life};
use crate::clock::Now;
use crate::ids::Guid;
use crate::local_ca::{self, Leaf};

/// A certificate that we made.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) pair: Arc<Pair>,
    /// What clients are to trust, as PEM.
    pub(super) root: String,
    /// Whether it lies on the disk.
    pub(super) kept: bool,
    text: Text,
}

/// Holds a key.
struct Text(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Generation {
    /// For these names, from now on.
    pub(super) fn make(names: &[String], now: Now) -> Result<Self, HttpsError> {
        let mark = Guid::random();
        let authority = format!("unsecret local CA {}", mark.as_str().get(..8).unwrap_or_default());
        let leaf = Leaf::confined(&authority, names, now, Duration::from_secs(LIFE))?;
        let mut text = Zeroizing::new(Vec::with_capacity(4_096));
        text.extend_from_slice(leaf.chain_pem().as_bytes());
        text.extend_from_slice(leaf.key_pem().expose().as_bytes());
        Self::read(text, false).map_err(|why| HttpsError::Unfit { why })
    }

    /// From the text of its file.
    pub(super) fn read(text: Zeroizing<Vec<u8>>, kept: bool) -> Result<Self, &'static str> {
        let pair = Pair::of_pem(&text, &text).map_err(|unfit| match unfit {
            Unfit::Certificate(why) | Unfit::Key(why) => why,
            Unfit::Mismatch => "its key is another certificate's",
        })?;
        let root: &CertificateDer<'_> = pair.certified.cert.get(1).ok_or("its root is missing")?;
        let root = local_ca::pem("CERTIFICATE", root);
        Ok(Self { pair: Arc::new(pair), root, kept, text: Text(text) })
    }

    /// Its name on the disk: none other has it.
    pub(super) fn file(&self) -> String {
        let mark = self.pair.mark.hex();
        format!("{}-{}.pem", self.pair.not_before, mark.get(..16).unwrap_or(&mark))
    }

    /// What its file holds.
    pub(super) fn text(&self) -> &[u8] {
        &self.text.0
    }

    pub(super) fn life(&self, wanted: &[String]) -> Life {
        let has = &self.pair.names;
        let among = |name: &String, others: &[String]| others.iter().any(|other| same_host(name, other));
        let fit = match () {
            () if !has.iter().all(|name| among(name, wanted)) => Fit::Stranger,
            () if wanted.iter().all(|name| among(name, has)) => Fit::All,
            () => Fit::Some,
        };
        Life { not_before: self.pair.not_before, not_after: self.pair.not_after, fit }
    }
}
