//! Walks one identity from its source to its token, over the parts that `run` would use.
//!
//! A link that needs a broken one is not tried; what does not depend on it is. Easy to get wrong: each attempt may count
//! against somebody's patience, so Entra is asked for one token, and a proxy that refused a password is not asked again.

use std::fmt::Write as _;
use std::sync::Arc;

use super::chain::{Finding, Link, State};
use super::credential::Credential;
use super::{certificate, clock, exchange, issuer, keys, source, taken};
use crate::app::{Opened, Parts};
use crate::assertion::{Assertion, AssertionError};
use crate::authority::Cloud;
use crate::cli::terminal::patiently;
use crate::clock::Clock;
use crate::config::{AssertionSettings, Identity, OutboundSettings};
use crate::entra::EntraError;
use crate::facts::Facts;
use crate::ids::{IdentityName, Resource};
use crate::outbound::OutboundError;
use crate::problem::Problem as _;
use crate::signer::Signers;

/// Faults that a federated credential would mend (contract A11).
const CREDENTIAL_WANTED: [u32; 11] =
    [70_021, 70_025, 700_211, 700_212, 700_213, 700_214, 7_000_226, 7_002_131, 7_002_137, 7_002_138, 7_002_241];
/// Entra does not know the certificate.
const CERTIFICATE_UNKNOWN: u32 = 700_027;

/// What was found about one identity.
pub(super) struct Walk {
    pub(super) identity: Option<IdentityName>,
    pub(super) findings: Vec<Finding>,
    /// The credential to create, where that is what is missing or was asked for.
    pub(super) credential: Option<Credential>,
    /// How to make the certificate known, where it is not.
    pub(super) upload: Vec<String>,
}

impl Walk {
    pub(super) fn new(identity: Option<IdentityName>) -> Self {
        Self { identity, findings: Vec::new(), credential: None, upload: Vec::new() }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The first broken one of these links.
    fn broken(&self, links: &[Link]) -> Option<Link> {
        self.findings
            .iter()
            .find(|one| one.state != State::Good && links.contains(&one.link))
            .and_then(|one| matches!(one.state, State::Broken | State::NotReached).then_some(one.link))
    }
}

/// What to do besides looking.
pub(super) struct Walker {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signers: Arc<Signers>,
    /// Show the federated credential in any case.
    pub(super) show_credential: bool,
    /// Ask for this in place of the identity's first.
    pub(super) resource: Option<Resource>,
    /// Proxies that refused a password: a second attempt might lock the account.
    refused: Vec<OutboundSettings>,
}

/// What there is to show to Entra.
enum Proof {
    None,
    /// A whole token that Entra is sure to refuse.
    Flawed(Facts),
    Held(Opened, Assertion),
}

impl Walker {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        signers: Arc<Signers>,
        show_credential: bool,
        resource: Option<Resource>,
    ) -> Self {
        Self { clock, signers, show_credential, resource, refused: Vec::new() }
    }

    pub(super) async fn walk(&mut self, identity: &Identity) -> Walk {
        let mut walk = Walk::new(Some(identity.entry.name.clone()));
        let parts = Parts::of(identity, &self.clock, &self.signers);
        let proof = self.prove(identity, &parts, &mut walk).await;
        self.reach(identity, &parts, &mut walk).await;
        if is_federated(identity) {
            walk.add(examined(&proof, &parts, &walk).await);
        }
        let observed = match &proof {
            Proof::None => None,
            Proof::Flawed(facts) => Some(facts.clone()),
            Proof::Held(_, assertion) => Some(assertion.facts.clone()),
        };
        let numbers = self.exchanged(identity, &parts, proof, &mut walk).await;
        let wanted = self.show_credential || numbers.iter().any(|number| CREDENTIAL_WANTED.contains(number));
        walk.credential = observed.filter(|_| wanted).and_then(|observed| credential(identity, &observed));
        walk
    }

    /// The links `source` and `assertion`.
    async fn prove(&mut self, identity: &Identity, parts: &Parts, walk: &mut Walk) -> Proof {
        let tried = source::tried(&identity.assertion);
        let what = format!("what proves {}", identity.entry.name);
        let obtained = patiently(&what, source::obtain(identity, parts)).await;
        let now = self.clock.now().epoch();
        let (opened, assertion) = match obtained {
            Ok(obtained) => obtained,
            Err(problem) => return self.unproven(identity, tried, &problem, walk),
        };
        let found = patiently("the keys that are there", keys::found(identity, parts)).await;
        walk.add(source::good(tried, &opened, found, now));
        walk.add(source::assertion(&assertion.facts, is_federated(identity), now));
        Proof::Held(opened, assertion)
    }

    fn unproven(
        &mut self,
        identity: &Identity,
        tried: String,
        problem: &source::SourceProblem,
        walk: &mut Walk,
    ) -> Proof {
        if let source::SourceProblem::Assertion(AssertionError::GithubUnreached {
            source: OutboundError::ProxyCredentials { .. },
        }) = problem
        {
            self.refused.push(identity.outbound.clone());
        }
        let Some(observed) = problem.observed() else {
            let finding = Finding::broken(Link::Source, tried, problem);
            walk.add(problem.moments().into_iter().fold(finding, Finding::and));
            walk.add(Finding::not_reached(Link::Assertion, Link::Source));
            return Proof::None;
        };
        walk.add(Finding::good(Link::Source, tried, "there is a whole JWT"));
        let finding = Finding::broken(Link::Assertion, source::READ, problem);
        walk.add(source::facts(observed, self.clock.now().epoch()).into_iter().fold(finding, Finding::and));
        Proof::Flawed(observed.clone())
    }

    /// The links `outbound` and `clock`.
    async fn reach(&mut self, identity: &Identity, parts: &Parts, walk: &mut Walk) {
        let tried = tried(identity);
        if self.refused.contains(&identity.outbound) {
            let why = "the proxy has refused this password a moment ago; it is not tried again";
            walk.add(Finding::untried(Link::Outbound, why));
            return walk.add(Finding::not_reached(Link::Clock, Link::Outbound));
        }
        let host = identity.authority.host();
        let asked = patiently(&format!("{host}"), parts.entra.metadata(&identity.authority)).await;
        let (outbound, skew) = match asked {
            Ok(marks) => (Finding::good(Link::Outbound, tried, "Entra answers"), marks.skew),
            Err(EntraError::Unreached { source, .. }) => {
                if matches!(*source, OutboundError::ProxyCredentials { .. }) {
                    self.refused.push(identity.outbound.clone());
                }
                walk.add(Finding::broken(Link::Outbound, tried, &*source));
                return walk.add(Finding::not_reached(Link::Clock, Link::Outbound));
            }
            Err(problem @ EntraError::NotEntra { .. }) => {
                walk.add(Finding::broken(Link::Outbound, tried, &problem));
                return walk.add(Finding::not_reached(Link::Clock, Link::Outbound));
            }
            // A refusal is an answer: the exchange says what it means.
            Err(problem) => {
                let status = problem.marks().map_or(0, |marks| marks.status);
                let seen = format!("Entra answers, with status {status} [{}]", problem.code());
                (Finding::good(Link::Outbound, tried, seen), problem.marks().and_then(|marks| marks.skew))
            }
        };
        walk.add(taken::led(identity, outbound).await);
        walk.add(clock::judge(skew));
    }

    /// The links `exchange` and `token`; gives Entra's numbers.
    async fn exchanged(&self, identity: &Identity, parts: &Parts, proof: Proof, walk: &mut Walk) -> Vec<u32> {
        let broken = walk.broken(&[Link::Source, Link::Assertion, Link::Outbound]);
        let (opened, assertion) = match (proof, broken) {
            (Proof::Held(opened, assertion), None) => (opened, assertion),
            (_, because) => {
                for link in [Link::Exchange, Link::Token] {
                    walk.add(Finding::not_reached(link, because.unwrap_or(Link::Source)));
                }
                return Vec::new();
            }
        };
        let resource = self.resource.clone().unwrap_or_else(|| exchange::resource(identity));
        let asked = exchange::attempt(identity, parts, &opened, assertion, &resource);
        let outcome = patiently(&format!("a token for {resource}"), asked).await;
        walk.add(outcome.finding);
        if let Some(granted) = &outcome.granted {
            pardon(walk);
            walk.add(exchange::token(identity, &resource, granted));
        } else {
            walk.add(Finding::not_reached(Link::Token, Link::Exchange));
        }
        if outcome.numbers.contains(&CERTIFICATE_UNKNOWN) {
            let client_id = identity.entry.client_id.as_str();
            walk.upload =
                opened.leaves().first().map(|leaf| certificate::guidance(leaf, client_id)).unwrap_or_default();
        }
        outcome.numbers
    }
}

/// The link `issuer`.
async fn examined(proof: &Proof, parts: &Parts, walk: &Walk) -> Finding {
    match (proof, walk.broken(&[Link::Source, Link::Assertion, Link::Outbound])) {
        (Proof::Held(_, assertion), None) => {
            patiently("the issuer's documents", issuer::look(assertion, &parts.outbound)).await
        }
        (_, because) => Finding::not_reached(Link::Issuer, because.unwrap_or(Link::Source)),
    }
}

/// Entra took the token, so whatever was held against the issuer here does not stand in the way now.
fn pardon(walk: &mut Walk) {
    let Some(issuer) = walk.findings.iter_mut().find(|one| one.link == Link::Issuer) else { return };
    match issuer.state {
        State::Broken => {
            issuer.state = State::Doubtful;
            issuer.seen.push("Entra took the token all the same, perhaps by what it had cached".to_owned());
        }
        State::Doubtful => {
            issuer.state = State::Good;
            issuer.seen = vec!["not to be read from this machine; Entra can, as the exchange shows".to_owned()];
            issuer.remedy = None;
        }
        State::Good | State::NotReached => {}
    }
}

fn is_federated(identity: &Identity) -> bool {
    !matches!(identity.assertion, AssertionSettings::Certificates { .. })
}

fn tried(identity: &Identity) -> String {
    let OutboundSettings { ca_file, proxy, .. } = &identity.outbound;
    let mut text = format!("GET {}", identity.authority.metadata_url());
    if let Some(proxy) = proxy {
        let _ = write!(text, " through the proxy {}", proxy.origin().ascii_serialization());
    }
    taken::tried(identity, &mut text);
    if let Some(path) = ca_file {
        let _ = write!(text, ", trusting `{}` beside the platform's roots", path.display());
    }
    text
}

fn credential(identity: &Identity, observed: &Facts) -> Option<Credential> {
    let audience = match &identity.assertion {
        AssertionSettings::File { audience, .. } | AssertionSettings::Github { audience, .. } => audience,
        AssertionSettings::Certificates { .. } => return None,
    };
    let cloud = identity.authority.host().host_str().and_then(Cloud::of_host).unwrap_or_default();
    let (name, client_id) = (identity.entry.name.as_str(), identity.entry.client_id.as_str());
    Credential::of(observed, audience, name, Some(client_id), cloud)
}
