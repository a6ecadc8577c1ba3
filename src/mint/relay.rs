//! Passes a caller's own grant on with a fresh assertion, and tells apart who must mend a refusal (contract A14, B17).
//!
//! What Entra has against the caller's grant goes to the caller as it came, with `claims` and `suberror`. What it has
//! against our proof is our failure, with our remedy. Easy to get wrong: a code is good once, so nothing is sent a second
//! time that may have been seen a first time, unless Entra said that it did not get as far as looking at the grant.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::exchange::{CERTIFICATE_REFUSED, Exchange, Failure, Next, Parts, Used, names, outcome};
use crate::assertion::{Assertion, AssertionError};
use crate::broker::{Form, MintError, Relay, Relayed};
use crate::entra::{EntraError, Fault, Passed, RelayRequest};
use crate::fault::Class;
use crate::observe::Outcome;
use crate::policy::GrantType;

impl Relay for Exchange {
    fn relay(&self, form: Arc<Form>) -> BoxFuture<'static, Result<Relayed, MintError>> {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { parts.in_time(parts.relayed(&form)).await })
    }
}

impl Parts {
    async fn relayed(&self, form: &Form) -> Result<Relayed, Failure> {
        let token_url = self.authority.endpoint(form.endpoint);
        let mut used = Used::default();
        let mut last: Option<EntraError> = None;
        loop {
            let started = self.timing.clock.now();
            let assertion = match (self.assertion(token_url.as_str(), &used.refused).await, last.take()) {
                (Ok(assertion), _) => assertion,
                (Err(AssertionError::Exhausted), Some(refusal)) => return Err(used.failure(refusal)),
                (Err(problem), _) => {
                    self.exchanged(started, Outcome::AssertionError, None, None);
                    return Err(problem.into());
                }
            };
            match self.pass_on(form, &assertion).await {
                Ok(relayed) => {
                    self.source.accepted(assertion.mark);
                    return Ok(relayed);
                }
                Err(problem) if may_repeat(form.grant, &problem) => match used.after(&problem, &assertion) {
                    Next::Again => last = Some(problem),
                    Next::Stop => return Err(used.failure(problem)),
                },
                Err(problem) => return Err(used.failure(problem)),
            }
        }
    }

    async fn pass_on(&self, form: &Form, assertion: &Assertion) -> Result<Relayed, EntraError> {
        let started = self.timing.clock.now();
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let asked = self.entra.relay(RelayRequest {
            authority: &self.authority,
            endpoint: form.endpoint,
            client_id: &self.client_id,
            fields: &fields,
            assertion: &assertion.jwt,
            presented: &assertion.facts,
        });
        let passed = asked.await.and_then(|passed| match passed.fault {
            Some(fault) if is_ours(&fault) => Err(EntraError::Fault(fault)),
            _ => Ok(passed),
        });
        match passed {
            Ok(Passed { status, body, marks, fault }) => {
                // Whatever it has against the grant, it took our proof.
                self.exchanged(started, Outcome::Success, Some(&marks), None);
                let aadsts = fault.and_then(|fault| fault.numbers.first().copied());
                Ok(Relayed { status, body: Bytes::from_owner(body), aadsts, held: false })
            }
            Err(problem) => {
                let aadsts = problem.fault().and_then(|fault| fault.numbers.first().copied());
                self.exchanged(started, outcome(&problem), problem.marks(), aadsts);
                Err(problem)
            }
        }
    }
}

/// Tenants and clouds that Entra does not know (contract A11): the operator wrote them, not the caller.
const OPERATORS: [u32; 7] = [90_002, 90_038, 900_023, 900_382, 900_432, 900_439, 900_440];

/// Whether the caller could do nothing about it: our assertion, our registration, Entra out of order. The words come before
/// the numbers, since some numbers are said of the user's token and of our assertion alike (50013, 500131).
fn is_ours(fault: &Fault) -> bool {
    if fault.marks.status == 429 || !(400..500).contains(&fault.marks.status) {
        return true;
    }
    match fault.error.as_str() {
        "invalid_grant" | "interaction_required" | "consent_required" | "login_required" => false,
        "invalid_client" | "unauthorized_client" => true,
        // Passing classes are about federation and about Entra itself.
        _ => fault.class().is_passing() || fault.numbers.iter().any(|number| OPERATORS.contains(number)),
    }
}

/// Whether the same grant may be sent again after this. On-behalf-of may always: a user's token is good many times. A code
/// or a refresh token only where Entra never saw it, or where it refused the client as such: RFC 6749 3.2.1 has the client
/// authenticated before its grant is looked at, and these numbers are said of nothing but the assertion.
fn may_repeat(grant: GrantType, problem: &EntraError) -> bool {
    let refused_the_client = |fault: &Fault| {
        let about_the_assertion = fault.class() == Class::Fresh || names(problem, &CERTIFICATE_REFUSED);
        fault.error == "invalid_client" && matches!(fault.marks.status, 400 | 401) && about_the_assertion
    };
    grant == GrantType::OnBehalfOf || problem.was_never_sent() || problem.fault().is_some_and(refused_the_client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entra::Marks;
    use crate::facts::Facts;

    fn fault(status: u16, error: &str, number: u32) -> Fault {
        let marks = Marks { status, ..Marks::default() };
        let (error, numbers, presented) = (error.to_owned(), vec![number], Facts::default());
        Fault { marks, error, suberror: None, numbers, presented, asker: None }
    }

    #[test]
    fn what_is_wrong_with_the_callers_grant_is_the_callers() {
        for (error, number) in [
            ("invalid_grant", 70_008),
            ("invalid_grant", 54_005),
            ("invalid_grant", 501_481),
            ("invalid_grant", 50_013),
            ("invalid_grant", 500_133),
            ("invalid_grant", 50_076),
            ("invalid_grant", 53_003),
            ("interaction_required", 50_079),
            ("invalid_scope", 70_011),
            ("invalid_resource", 500_011),
            ("invalid_request", 900_144),
            ("invalid_request", 9_002_327),
            ("unsupported_grant_type", 70_003),
        ] {
            assert!(!is_ours(&fault(400, error, number)), "{error} {number}");
        }
    }

    #[test]
    fn what_is_wrong_with_our_proof_or_with_entra_is_ours() {
        for (status, error, number) in [
            (401, "invalid_client", 700_213),
            (401, "invalid_client", 700_027),
            (400, "invalid_request", 70_021),
            (400, "invalid_request", 90_061),
            (400, "invalid_request", 90_002),
            (400, "unauthorized_client", 700_016),
            (503, "temporarily_unavailable", 90_033),
            (429, "invalid_request", 90_055),
            (500, "invalid_grant", 50_000),
        ] {
            assert!(is_ours(&fault(status, error, number)), "{error} {number}");
        }
    }

    #[test]
    fn a_code_is_sent_again_only_when_the_client_was_refused_before_it() {
        let entra = |status, error, number| EntraError::Fault(Box::new(fault(status, error, number)));
        for grant in [GrantType::AuthorizationCode, GrantType::RefreshToken] {
            assert!(may_repeat(grant, &entra(401, "invalid_client", 700_024)));
            assert!(may_repeat(grant, &entra(400, "invalid_client", 700_027)));
            assert!(!may_repeat(grant, &entra(500, "invalid_client", 700_024)));
            assert!(!may_repeat(grant, &entra(400, "invalid_request", 700_024)));
            assert!(!may_repeat(grant, &entra(401, "invalid_client", 700_213)));
            assert!(!may_repeat(grant, &EntraError::Unavailable(Box::default())));
        }
        assert!(may_repeat(GrantType::OnBehalfOf, &EntraError::Unavailable(Box::default())));
    }
}
