//! The links `source` and `assertion`: can what proves us be had, and what does it say of itself?
//!
//! Easy to get wrong: a token that is whole and wrong is no fault of its source, and only its facts are shown.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::chain::{Finding, Link};
use super::{certificate, keys};
use crate::app::{Opened, Parts};
use crate::assertion::{Assertion, AssertionError, Wanted};
use crate::config::{AssertionSettings, CertificateSettings, Identity};
use crate::facts::Facts;
use crate::inspect::unsteady_subject;
use crate::observe::{Fanout, Observer};
use crate::problem::{Blame, Problem};
use crate::signer::KeyUri;

/// How long a token file is waited for: a network volume that hangs must not hang us.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
/// The same for what takes longer by nature: an endpoint with a deadline of its own, a PKCS#12 password.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same for hardware, which may have to be opened anew: as long as an exchange of the broker may take.
const HARDWARE_PATIENCE: Duration = Duration::from_secs(30);

/// What is tried at the link `assertion`.
pub(super) const READ: &str = "read what the assertion says of itself";

/// Opens the source and has it make one assertion.
pub(super) async fn obtain(identity: &Identity, parts: &Parts) -> Result<(Opened, Assertion), SourceProblem> {
    let token_url = identity.authority.token_url();
    let obtaining = async {
        let nobody: Arc<dyn Observer> = Arc::new(Fanout::default());
        let opened = parts.open(identity, &nobody).await?;
        if let Some(signing) = &opened.signing {
            signing.prove(HARDWARE_PATIENCE).await?;
        }
        let wanted = Wanted { token_url: token_url.as_str(), refused: &[] };
        let assertion = opened.source.assertion(wanted).await?;
        Ok((opened, assertion))
    };
    let patience = match &identity.assertion {
        AssertionSettings::File { .. } => FILE_PATIENCE,
        AssertionSettings::Certificates { certificates, .. }
            if certificates.iter().any(|one| !matches!(one.key, KeyUri::File { .. })) =>
        {
            HARDWARE_PATIENCE * 2
        }
        AssertionSettings::Github { .. } | AssertionSettings::Certificates { .. } => PATIENCE,
    };
    tokio::time::timeout(patience, obtaining).await.unwrap_or(Err(SourceProblem::Slow { patience }))
}

/// What is tried at the link `source`.
pub(super) fn tried(settings: &AssertionSettings) -> String {
    match settings {
        AssertionSettings::File { path, .. } => format!("read the token file `{}`", path.display()),
        AssertionSettings::Github { request_url, audience, .. } => {
            let host = request_url.origin().ascii_serialization();
            format!("asked the runner's token endpoint at {host} for a token for `{audience}`")
        }
        AssertionSettings::Certificates { certificates, .. } => {
            let pair = |CertificateSettings { certificate, key }: &CertificateSettings| {
                let key = match key {
                    KeyUri::File { path, .. } => path.display().to_string(),
                    other => other.to_string(),
                };
                format!("`{}` with the key `{key}`", certificate.display())
            };
            let pairs: Vec<_> = certificates.iter().map(pair).collect();
            format!("opened {}, and signed", pairs.join(", then "))
        }
    }
}

pub(super) fn good(tried: String, opened: &Opened, found: Vec<String>, now: u64) -> Finding {
    let seen = if opened.signing.is_none() {
        "there is a whole JWT"
    } else {
        "the key belongs to the certificate, and what it signs verifies"
    };
    let mut doubts = keys::doubts(opened, now);
    let mut finding = if doubts.is_empty() {
        Finding::good(Link::Source, tried, seen)
    } else {
        Finding::doubtful(Link::Source, tried, seen)
    };
    finding.remedy = doubts.iter_mut().find_map(|doubt| doubt.remedy.take());
    let leaves = opened.leaves();
    let lines = doubts.into_iter().map(|doubt| doubt.what).chain(found);
    for line in lines.chain(leaves.iter().flat_map(|leaf| certificate::lines(leaf, now))) {
        finding = finding.and(line);
    }
    finding
}

/// The link `assertion`, where it is one that Entra may take.
pub(super) fn assertion(observed: &Facts, federated: bool, now: u64) -> Finding {
    if !federated {
        let algorithm = observed.algorithm.as_deref().unwrap_or_default();
        let audience = observed.audience.as_deref().unwrap_or_default();
        return Finding::good(Link::Assertion, READ, format!("signed here with {algorithm} for `{audience}`"));
    }
    facts(observed, now).into_iter().fold(sound(observed), Finding::and)
}

/// For a platform's token without a flaw. A credential made for it may still be worthless tomorrow.
pub(super) fn sound(observed: &Facts) -> Finding {
    match observed.issuer.as_deref().and_then(unsteady_subject) {
        None => Finding::good(Link::Assertion, READ, "nothing in it that Entra refuses on sight"),
        Some(why) => {
            let seen = format!("no credential for this token need fit the next one: {why}");
            Finding::doubtful(Link::Assertion, READ, seen)
        }
    }
}

/// What an operator compares with the federated credential.
pub(super) fn facts(observed: &Facts, now: u64) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    let expires = observed.expires.map_or_else(|| "(none)".to_owned(), |at| expiry(at, now));
    vec![
        format!("iss  {}", text(&observed.issuer)),
        format!("sub  {}", text(&observed.subject)),
        format!("aud  {}", text(&observed.audience)),
        format!("exp  {expires}"),
        format!("alg  {}", text(&observed.algorithm)),
        format!("typ  {}", text(&observed.kind)),
        format!("kid  {}", text(&observed.key_id)),
    ]
}

fn expiry(at: u64, now: u64) -> String {
    let moment = certificate::moment(at);
    match at.checked_sub(now) {
        Some(left) => format!("{moment}, {} min from now", left / 60),
        None => format!("{moment}, {} min ago", (now - at) / 60),
    }
}

/// Why there is no assertion to go on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceProblem {
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    #[error("get an assertion: not within {patience:?}")]
    Slow { patience: Duration },
}

impl SourceProblem {
    /// See [`AssertionError::observed`].
    pub(super) fn observed(&self) -> Option<&Facts> {
        match self {
            Self::Assertion(problem) => problem.observed(),
            Self::Slow { .. } => None,
        }
    }
}

impl SourceProblem {
    /// A certificate's time as people tell it; the problem counts seconds.
    pub(super) fn moments(&self) -> Option<String> {
        match self {
            Self::Assertion(AssertionError::CertificateNotValid { not_before, not_after, .. }) => {
                let (from, until) = (certificate::moment(*not_before), certificate::moment(*not_after));
                Some(format!("valid from {from} until {until}"))
            }
            _ => None,
        }
    }
}

impl Problem for SourceProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Assertion(problem) => problem.code(),
            Self::Slow { .. } => "source-too-slow",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Assertion(problem) => problem.blame(),
            Self::Slow { .. } => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Assertion(problem) => problem.remedy(),
            Self::Slow { .. } => {
                Some("check the volume that the file is on, or the endpoint that is asked, for what hangs".into())
            }
        }
    }
}
