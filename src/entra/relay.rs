//! Passes a caller's own grant on: one POST with our assertion among the caller's fields (contract A14).
//!
//! The body comes back as it is, for the caller; only who must mend what is read from it. Easy to get wrong: `client_id` and
//! the assertion are ours and stand once, whatever the caller sent under these names; and only JSON of Entra's passes, never
//! a proxy's page.

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::wire::{encoded, read_as};
use super::{Entra, EntraError, Fault, Marks, decorated};
use crate::authority::{Authority, Endpoint};
use crate::facts::Facts;
use crate::ids::Guid;
use crate::outbound::Request;
use crate::secret::Secret;

/// One grant to pass on.
#[derive(Clone, Copy)]
pub struct RelayRequest<'a> {
    pub authority: &'a Authority,
    pub endpoint: Endpoint,
    pub client_id: &'a Guid,
    /// The caller's, in its order, without who it is and what proves it.
    pub fields: &'a [(&'a str, &'a str)],
    pub assertion: &'a Secret,
    /// What the assertion says, for the remedy when Entra refuses it.
    pub presented: &'a Facts,
}

/// What Entra answered: a token or a refusal, and its body.
pub struct Passed {
    pub status: u16,
    pub body: Zeroizing<Vec<u8>>,
    pub marks: Marks,
    pub fault: Option<Box<Fault>>,
}

impl Entra {
    /// One POST, one answer. A lost connection may have cost the caller its code; nothing else is changed by a failure.
    pub async fn relay(&self, ask: RelayRequest<'_>) -> Result<Passed, EntraError> {
        let correlation_id = Guid::random();
        let request = Request::post_form(ask.authority.endpoint(ask.endpoint), form(ask));
        let answer = self.outbound.send(decorated(request, &correlation_id)).await;
        let mut answer = answer.map_err(|source| EntraError::Unreached {
            authority: ask.authority.to_string(),
            correlation_id: correlation_id.to_string(),
            source: Box::new(source),
        })?;
        let read = read_as(&answer, &correlation_id, self.clock.now(), ask.presented, success);
        let (status, body) = (answer.status, std::mem::take(&mut answer.body));
        match read.map_err(|error| error.asked_by(ask.client_id, ask.authority)) {
            Ok(((), marks)) => Ok(Passed { status, body, marks, fault: None }),
            Err(EntraError::Fault(fault)) => {
                Ok(Passed { status, body, marks: fault.marks.clone(), fault: Some(fault) })
            }
            Err(error) => Err(error),
        }
    }
}

/// The body of the request. It holds the assertion and what the user gave, and is wiped on drop.
fn form(ask: RelayRequest<'_>) -> Zeroizing<Vec<u8>> {
    let mut fields = vec![("client_id", ask.client_id.as_str())];
    fields.extend_from_slice(ask.fields);
    fields.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    fields.push(("client_assertion", ask.assertion.expose()));
    encoded(&fields)
}

/// A token of either kind: at v1 a sign-in may bring an `id_token` alone.
#[derive(Deserialize)]
struct Success {
    access_token: Option<IgnoredAny>,
    id_token: Option<IgnoredAny>,
}

fn success(body: &[u8]) -> Result<(), &'static str> {
    let object: Success = serde_json::from_slice(body).map_err(|_| "it is not the JSON object of a token")?;
    object.access_token.or(object.id_token).map(drop).ok_or("no token in it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Cloud;
    use crate::ids::Tenant;

    #[test]
    fn our_proof_stands_around_the_callers_own_fields() {
        let authority = Authority::of_cloud(Cloud::Public, Tenant::parse("contoso.example").unwrap());
        let client_id = Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap();
        let ask = RelayRequest {
            authority: &authority,
            endpoint: Endpoint::V1,
            client_id: &client_id,
            fields: &[("code", "a+b&c=d"), ("x y", "é"), ("empty", "")],
            assertion: &Secret::new("h.p.s"),
            presented: &Facts::default(),
        };
        let form = form(ask);
        assert_eq!(
            std::str::from_utf8(&form).unwrap(),
            "client_id=33333333-dddd-4eee-8fff-444444444444&code=a%2Bb%26c%3Dd&x%20y=%C3%A9&empty=\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=h.p.s"
        );
        assert_eq!(authority.endpoint(ask.endpoint).path(), "/contoso.example/oauth2/token");
        assert_eq!(authority.endpoint(Endpoint::V2), authority.token_url());
    }

    #[test]
    fn a_success_has_a_token_of_some_kind() {
        assert!(success(br#"{"access_token":"x","unknown":{"a":[1]}}"#).is_ok());
        assert!(success(br#"{"id_token":"x"}"#).is_ok());
        for wrong in ["{}", "[]", "null", "<html>", r#"{"refresh_token":"x"}"#, r#"{"access_token":null}"#] {
            assert!(success(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
