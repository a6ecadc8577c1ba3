//! A certificate and its key in files that somebody else replaces.
//!
//! Compared by content, so that neither a coarse modification time nor a symlink swap is missed. Easy to get wrong: two
//! files cannot be replaced at one moment, so a pair that does not fit is looked at again and never shown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::HttpsError;
use super::pair::{Pair, Unfit};
use crate::clock::Now;
use crate::problem::{Problem as _, chain};
use crate::secret::Fingerprint;

const DAY: u64 = 86_400;
/// With how many days left an operator is warned; not for a certificate that never had more.
const WARNED_AT: [u64; 2] = [30, 7];

/// Two files, and what was seen in them last.
#[derive(Debug)]
pub(super) struct Company {
    certificate: PathBuf,
    key: PathBuf,
    /// Of both contents, good or bad; `None` where one could not be read.
    seen: Option<Fingerprint>,
    shown: Shown,
}

/// What the warnings are about.
#[derive(Debug)]
struct Shown {
    mark: Fingerprint,
    not_before: u64,
    not_after: u64,
    /// The last number of days that was told.
    warned: Option<u64>,
}

impl Company {
    pub(super) fn open(certificate: PathBuf, key: PathBuf, now: Now) -> Result<(Self, Pair), HttpsError> {
        let (seen, pair) = load(&certificate, &key, now);
        let pair = pair?;
        let mut company = Self { certificate, key, seen, shown: Shown::of(&pair) };
        company.warn_of_the_end(now);
        Ok((company, pair))
    }

    /// The new pair, once it is there and whole. What cannot be used is told once for each content.
    pub(super) fn look(&mut self, now: Now) -> Option<Pair> {
        let before = self.seen;
        let (seen, pair) = load(&self.certificate, &self.key, now);
        self.seen = seen;
        let changed = seen != before;
        let replaced = match pair {
            Ok(pair) if pair.mark != self.shown.mark => {
                self.shown = Shown::of(&pair);
                tracing::info!(file = %self.certificate.display(), "the https certificate was replaced");
                Some(pair)
            }
            Ok(_) => None,
            Err(problem) => {
                if changed {
                    let remedy = problem.remedy().unwrap_or_default();
                    tracing::warn!(
                        code = problem.code(),
                        remedy = &*remedy,
                        "the old one goes on: {}",
                        chain(&problem)
                    );
                }
                None
            }
        };
        self.warn_of_the_end(now);
        replaced
    }

    fn warn_of_the_end(&mut self, now: Now) {
        let shown = &mut self.shown;
        let life = shown.not_after.saturating_sub(shown.not_before) / DAY;
        let left = shown.not_after.saturating_sub(now.epoch()) / DAY;
        let reached = |days: &&u64| left < **days && life > **days;
        let Some(&days) = WARNED_AT.iter().rev().find(reached) else { return };
        if shown.warned.is_none_or(|told| days < told) {
            shown.warned = Some(days);
            let file = self.certificate.display();
            tracing::warn!(%file, days_left = left, "the https certificate ends soon; put a new one in its place");
        }
    }
}

impl Shown {
    fn of(pair: &Pair) -> Self {
        Self { mark: pair.mark, not_before: pair.not_before, not_after: pair.not_after, warned: None }
    }
}

/// What clients of a company's certificate have to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Who issued the last certificate of the chain, or who that is if it issued itself.
    pub name: String,
    pub in_chain: bool,
    /// Whether this machine has one of that name.
    pub on_machine: bool,
}

/// The root that a chain leads to. The key is not looked at.
pub fn root(certificate: &Path, machine: &[CertificateDer<'_>]) -> Result<Root, HttpsError> {
    let invalid = |why| HttpsError::CertificateInvalid { path: certificate.to_owned(), why };
    let text =
        fs::read(certificate).map_err(|source| HttpsError::Unreadable { path: certificate.to_owned(), source })?;
    let last = CertificateDer::pem_slice_iter(&text).last().ok_or_else(|| invalid("no PEM certificate in it"))?;
    let last = last.map_err(|_| invalid("broken PEM"))?;
    let (_, last) = X509Certificate::from_der(&last).map_err(|_| invalid("its certificate cannot be parsed"))?;
    let is_it = |root: &CertificateDer<'_>| {
        X509Certificate::from_der(root).is_ok_and(|(_, root)| root.subject().as_raw() == last.issuer().as_raw())
    };
    let in_chain = last.issuer().as_raw() == last.subject().as_raw();
    Ok(Root { name: last.issuer().to_string(), in_chain, on_machine: machine.iter().any(is_it) })
}

/// The pair, and the mark of what was read for it.
fn load(certificate: &Path, key: &Path, now: Now) -> (Option<Fingerprint>, Result<Pair, HttpsError>) {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| HttpsError::Unreadable { path, source }
    };
    let read = || {
        let chain = fs::read(certificate).map_err(unreadable(certificate))?;
        let key = fs::read(key).map(Zeroizing::new).map_err(unreadable(key))?;
        Ok((chain, key))
    };
    match read() {
        Ok((chain, secret)) => {
            let both = Zeroizing::new([Fingerprint::of(&chain).hex(), Fingerprint::of(&secret).hex()].concat());
            (Some(Fingerprint::of(both.as_bytes())), fitting(certificate, key, &chain, &secret, now))
        }
        Err(problem) => (None, Err(problem)),
    }
}

fn fitting(certificate: &Path, key: &Path, chain: &[u8], secret: &[u8], now: Now) -> Result<Pair, HttpsError> {
    let pair = Pair::of_pem(chain, secret).map_err(|unfit| match unfit {
        Unfit::Certificate(why) => HttpsError::CertificateInvalid { path: certificate.to_owned(), why },
        Unfit::Key(why) => HttpsError::KeyInvalid { path: key.to_owned(), why },
        Unfit::Mismatch => HttpsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() },
    })?;
    if pair.not_after <= now.epoch() {
        return Err(HttpsError::Expired { path: certificate.to_owned(), not_after: pair.not_after });
    }
    Ok(pair)
}
