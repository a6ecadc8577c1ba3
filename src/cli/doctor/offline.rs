//! `--offline`: a token that somebody pasted, judged without a network and without a configuration.
//!
//! Easy to get wrong: the token is not echoed, not even where it is none.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::chain::{Finding, Link};
use super::credential::Credential;
use super::walk::Walk;
use super::{issuer, shown, source};
use crate::assertion::{self, EXCHANGE_APPLICATION, Flaw};
use crate::authority::Cloud;
use crate::cli::note;
use crate::facts::Facts;
use crate::inspect::{Jwt, Refusal, refusals_by_entra};
use crate::problem::{Blame, Problem};

/// As much as a token file may hold.
const LARGEST: u64 = 64 * 1024;

const ONLY_ENTRA: &str =
    "only Entra can tell whether it reads the issuer's keys, and whether the signature and a credential fit";

/// Entra's numbers of what is judged by the audience and by the link `issuer`.
const WRONG_AUDIENCE: u32 = 700_212;
const WRONG_ISSUER: u32 = 70_022;

/// Reads a file, or stdin for `-`, and judges what a federated credential would be compared with.
pub(super) fn look(path: &Path, now: u64) -> Walk {
    let mut walk = Walk::new(None);
    let tried = if path == Path::new("-") { "read stdin".to_owned() } else { format!("read `{}`", shown(path)) };
    let (observed, refusals) = match read(path, now) {
        Ok(read) => read,
        Err(problem) => {
            walk.add(Finding::broken(Link::Source, tried, &problem));
            walk.add(Finding::not_reached(Link::Assertion, Link::Source));
            walk.add(Finding::not_reached(Link::Issuer, Link::Source));
            return walk;
        }
    };
    walk.add(Finding::good(Link::Source, tried, "there is a whole JWT"));
    walk.add(judged(&observed, refusals, now));
    walk.add(issuer_url(&observed));
    let own = observed.audience.clone().unwrap_or_default();
    let cloud = cloud_of(&own);
    let audience = if let Some(cloud) = cloud { cloud.federation_audience() } else { &own };
    walk.credential = Credential::of(&observed, audience, "workload", None, cloud.unwrap_or_default());
    walk
}

/// The cloud whose audience this is. Entra spells that of the public one as a GUID in its own tokens, which a credential
/// must not (contract A7, audience spelling).
fn cloud_of(audience: &str) -> Option<Cloud> {
    if audience == EXCHANGE_APPLICATION {
        return Some(Cloud::Public);
    }
    Cloud::ALL.into_iter().find(|cloud| cloud.federation_audience() == audience)
}

/// What the token says, and for what else than its audience and issuer Entra will refuse it: the one is for the credential
/// to name, the other a link of its own.
fn read(path: &Path, now: u64) -> Result<(Facts, Vec<Refusal>), PastedProblem> {
    let unreadable = |source| PastedProblem::Unreadable { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    let mut from = |reader: &mut dyn Read| reader.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable);
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            note("paste it, then end with Ctrl-D; it is not repeated\n");
        }
        from(&mut io::stdin().lock())?;
    } else {
        from(&mut File::open(path).map_err(unreadable)?)?;
    }
    // What is not ASCII is no token; the part it falls into says so.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let observed = assertion::facts(token).map_err(PastedProblem::Flawed)?;
    let mut refusals = Jwt::parse(token).map_or_else(Vec::new, |jwt| refusals_by_entra(&jwt, now));
    refusals.retain(|refusal| !matches!(refusal.aadsts, Some(WRONG_AUDIENCE | WRONG_ISSUER)));
    Ok((observed, refusals))
}

fn judged(observed: &Facts, refusals: Vec<Refusal>, now: u64) -> Finding {
    // Its own: which audience it should have, only a configuration knows.
    let own = observed.audience.clone().unwrap_or_default();
    let mut refusals = refusals.into_iter().map(PastedProblem::Unfit);
    let finding = match (assertion::check(observed, &own, now), refusals.next()) {
        (Err(flaw), _) => Finding::broken(Link::Assertion, source::READ, &PastedProblem::Flawed(flaw)),
        (Ok(()), Some(first)) => {
            let finding = Finding::broken(Link::Assertion, source::READ, &first);
            refusals.fold(finding, |finding, more| finding.and(more.to_string()))
        }
        (Ok(()), None) if cloud_of(&own).is_some() => source::sound(observed),
        (Ok(()), None) => {
            let usual = Cloud::Public.federation_audience();
            let seen = format!("its audience is not `{usual}`, the usual one, nor a sovereign cloud's");
            Finding::doubtful(Link::Assertion, source::READ, seen)
                .remedied(format!("have the platform issue it for `{usual}`, or give the credential its audience"))
        }
    };
    source::facts(observed, now).into_iter().fold(finding, Finding::and)
}

fn issuer_url(observed: &Facts) -> Finding {
    let tried = "looked at its URL only; nothing is asked with --offline";
    match issuer::check_url(observed.issuer.as_deref().unwrap_or_default()) {
        Ok(_) => Finding::good(Link::Issuer, tried, "its URL is one that Entra can dial").and(ONLY_ENTRA),
        Err(flaw) => Finding::broken(Link::Issuer, tried, &flaw),
    }
}

/// What is wrong with what was pasted.
#[derive(Debug, thiserror::Error)]
enum PastedProblem {
    #[error("read the pasted token `{}`", shown(path))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Flawed(Flaw),
    #[error("Entra refuses it, AADSTS{}: {}", .0.aadsts.unwrap_or_default(), .0.why)]
    Unfit(Refusal),
}

impl Problem for PastedProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "pasted-token-unreadable",
            Self::Flawed(flaw) => flaw.code(),
            Self::Unfit(_) => "pasted-token-unfit",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Unreadable { .. } => "name a file that holds the token and nothing else, or `-` for stdin".into(),
            Self::Flawed(Flaw::Parts { .. } | Flaw::Damaged { .. }) => {
                "paste the token whole: three parts with a dot between them, on one line".into()
            }
            Self::Flawed(flaw) => flaw.remedy().into(),
            Self::Unfit(refusal) => return refusal.remedy.as_deref().map(Cow::Borrowed),
        })
    }
}
