//! The authority: from a token request to a verdict.
//!
//! Which checks are made, in which order; each check stands in its own file. Not HTTP (`server`) and not faults
//! (`token_endpoint`). Easy to get wrong: the kind of an assertion is told by its `iss`, a URL for a federated one and
//! the client id for a certificate's.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use url::Url;

use super::EmulatorError;
use super::certificate::{self, Presented, Replays, missing};
use super::code::Codes;
use super::continuous::Continuous;
use super::directory::{Application, Directory, SecretMatch};
use super::faults::Faults;
use super::federated;
use super::grants::{self, Grant};
use super::issuer::Issuers;
use super::journal::{Journal, JournalEntry, cut};
use super::jwt::Jwt;
use super::refresh::RefreshTokens;
use super::request::TokenRequest;
use super::rules::{self, Refusal};
use super::settings::TenantSettings;
use super::target;
use super::tokens::{self, Order, Proof};
use super::users::Users;
use crate::clock::Clock;
use crate::ids::{Guid, Tenant};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Everything the listeners share.
pub(super) struct Entra {
    pub(super) directory: Directory,
    pub(super) issuers: Issuers,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ca_pem: String,
    /// Lower-case, the authority's own first.
    pub(super) hosts: Vec<String>,
    pub(super) port: u16,
    /// `None` when replays are accepted.
    pub(super) replays: Option<Replays>,
    pub(super) users: Users,
    pub(super) codes: Codes,
    pub(super) refresh_tokens: RefreshTokens,
    pub(super) continuous: Continuous,
}

/// A token request whose application is known.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a TokenRequest,
    pub(super) tenant: &'a TenantSettings,
    pub(super) application: &'a Application,
    /// The client says that it can take claims challenges (contract A10).
    pub(super) capable: bool,
    pub(super) now: u64,
}

/// Why there is no token.
pub(super) enum NoToken {
    Refused(Refusal),
    Broken(EmulatorError),
}

impl From<Refusal> for NoToken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Entra {
    /// `https://localhost:PORT`.
    pub(super) fn authority_host(&self) -> String {
        format!("https://{}:{}", self.hosts[0], self.port)
    }

    /// True for a host of ours, with our port or with none (contract B11: some clients drop the port).
    pub(super) fn is_our_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" && self.hosts.iter().any(|ours| ours == host)
    }

    /// A tenant by the segment of a path.
    pub(super) fn tenant(&self, segment: &str) -> Result<&TenantSettings, Refusal> {
        if ["common", "organizations", "consumers"].iter().any(|word| segment.eq_ignore_ascii_case(word)) {
            return Err(rules::TENANT_SHARED.refuse(
                "No tenant-identifying information found in either the request or implied by any provided credentials.",
            ));
        }
        if Tenant::parse(segment).is_err() {
            return Err(rules::TENANT_MALFORMED.refuse(format!(
                "Specified tenant identifier '{segment}' is neither a valid DNS name, nor a valid external domain."
            )));
        }
        self.directory.tenant(segment).ok_or_else(|| {
            rules::TENANT_UNKNOWN.refuse(format!(
                "Tenant '{segment}' not found. Check to make sure you have the correct tenant ID and are signing into \
                 the correct cloud."
            ))
        })
    }

    /// Judges a request; `now` is Entra's time, `seen` takes what the journal should know of the assertion.
    pub(super) async fn decide(
        &self,
        request: &TokenRequest,
        seen: &mut JournalEntry,
        now: u64,
    ) -> Result<Value, NoToken> {
        request.check_form()?;
        let tenant = self.tenant(&request.tenant)?;
        let grant = Grant::read(request)?;
        let application = self.application(request, tenant)?;
        refuse_proof_of_possession(request)?;
        let capable = request.claims()?.is_some_and(|claims| is_capable(&claims));
        if grant != Grant::Client {
            let asked = Asked { request, tenant, application, capable, now };
            return grants::decide(self, grant, &asked, seen).await;
        }
        let resource = target::read(request)?;
        let proof = self.authenticate(request, tenant, application, seen, now).await?;
        target::exists(&resource, tenant.id.as_str(), &self.directory)?;
        let order = Order {
            endpoint: request.endpoint,
            application,
            resource: &resource,
            proof,
            continuous: self.continuous.life(application, &resource, capable),
            uti: tokens::uti(),
            now,
        };
        if order.continuous.is_some() {
            self.continuous.note(&application.settings.client_id, order.uti.clone());
        }
        tokens::issue(&order).map_err(NoToken::Broken)
    }

    /// Deletes every secret of the applications with this client id.
    pub(super) fn remove_secrets(&self, client_id: &Guid) -> Result<(), EmulatorError> {
        self.each_application(client_id, |application| {
            application.remove_secrets();
            Ok(())
        })
    }

    /// Uploads a certificate to the applications with this client id.
    pub(super) fn add_certificate(&self, client_id: &Guid, pem: &str) -> Result<(), EmulatorError> {
        self.each_application(client_id, |application| application.add_certificate(pem))
    }

    /// Something happened to the application: resources challenge its CAE tokens.
    pub(super) fn revoke_tokens(&self, client_id: &Guid) -> Result<(), EmulatorError> {
        self.each_application(client_id, |application| {
            self.continuous.revoke(&application.settings.client_id);
            Ok(())
        })
    }

    fn each_application(
        &self,
        client_id: &Guid,
        act: impl Fn(&Application) -> Result<(), EmulatorError>,
    ) -> Result<(), EmulatorError> {
        let mut found = self.directory.everywhere(client_id).peekable();
        if found.peek().is_none() {
            return Err(EmulatorError::UnknownApplication(client_id.to_string()));
        }
        found.try_for_each(act)
    }

    fn application<'a>(&'a self, request: &TokenRequest, tenant: &TenantSettings) -> Result<&'a Application, Refusal> {
        let Some(client_id) = request.client_id() else {
            return Err(
                rules::CLIENT_MISSING.refuse("The request body must contain the following parameter: 'client_id'.")
            );
        };
        self.directory.application(tenant, client_id).ok_or_else(|| {
            rules::APPLICATION_UNKNOWN.refuse(format!(
                "Application with identifier '{}' was not found in the directory '{}'. This can happen if the application \
                 has not been installed by the administrator of the tenant or consented to by any user in the tenant. \
                 You may have sent your authentication request to the wrong tenant.",
                cut(client_id), tenant.id
            ))
        })
    }

    /// The client's credential: a secret or an assertion of either kind.
    pub(super) async fn authenticate(
        &self,
        request: &TokenRequest,
        tenant: &TenantSettings,
        application: &Application,
        seen: &mut JournalEntry,
        now: u64,
    ) -> Result<Proof, Refusal> {
        match (request.client_secret(), request.field("client_assertion")) {
            (None, None) => Err(rules::CREDENTIAL_MISSING.refuse(
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )),
            (Some(_), Some(_)) => {
                Err(rules::CREDENTIAL_TWICE.refuse("The request contains more than one client credential."))
            }
            (Some(secret), None) => match application.compare_secret(&secret, now) {
                SecretMatch::Valid => Ok(Proof::Secret),
                SecretMatch::Expired => Err(rules::SECRET_EXPIRED.refuse(format!(
                    "The provided client secret keys for app '{}' are expired.",
                    application.settings.client_id
                ))),
                SecretMatch::None => Err(rules::SECRET_WRONG.refuse(format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                     value, not the client secret ID, for a secret added to app '{}'.",
                    application.settings.client_id
                ))),
            },
            (None, Some(assertion)) => {
                assertion_type(request)?;
                let jwt = Jwt::parse(assertion)
                    .ok_or_else(|| rules::NOT_A_JWT.refuse("JWT token is invalid or malformed."))?;
                self.assertion(request, tenant, application, &jwt, seen, now).await?;
                Ok(Proof::Assertion)
            }
        }
    }

    async fn assertion(
        &self,
        request: &TokenRequest,
        tenant: &TenantSettings,
        application: &Application,
        jwt: &Jwt<'_>,
        seen: &mut JournalEntry,
        now: u64,
    ) -> Result<(), Refusal> {
        let Some(issuer) = jwt.claim("iss") else { return Err(missing(&rules::ISSUER_MISSING, "iss")) };
        seen.algorithm = jwt.header("alg").map(cut);
        seen.issuer = Some(cut(issuer));
        seen.subject = jwt.claim("sub").map(cut);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and so may this"
        )]
        let expires = jwt.time("exp").map(|seconds| seconds as u64);
        seen.expires = expires;
        if issuer.contains("://") {
            seen.assertion = Some("federated");
            return federated::check(application, &self.issuers, jwt, now).await;
        }
        seen.assertion = Some("certificate");
        let presented = Presented {
            client_id: request.client_id().unwrap_or_default(),
            now,
            replays: self.replays.as_ref(),
            is_endpoint: &|url| self.is_endpoint(url, request, tenant),
        };
        certificate::check(application, jwt, &presented)
    }

    /// The URL that was posted to, by any of our hosts and either spelling of the tenant.
    fn is_endpoint(&self, url: &Url, request: &TokenRequest, tenant: &TenantSettings) -> bool {
        let path: Vec<_> = url.path_segments().into_iter().flatten().collect();
        let (segment, rest) = match path.as_slice() {
            [segment, rest @ ..] => (*segment, rest),
            [] => return false,
        };
        let expected: &[&str] = match request.endpoint {
            super::request::Endpoint::V1 => &["oauth2", "token"],
            super::request::Endpoint::V2 => &["oauth2", "v2.0", "token"],
        };
        let same_tenant = self.directory.tenant(segment).is_some_and(|found| found.id == tenant.id);
        let bare = url.query().is_none() && url.fragment().is_none();
        let port = url.port_or_known_default() == Some(self.port);
        self.is_our_host(url) && port && bare && same_tenant && rest == expected
    }
}

/// A bearer token in place of the bound one that was asked for would be a downgrade (contract A13).
fn refuse_proof_of_possession(request: &TokenRequest) -> Result<(), Refusal> {
    let kind = request.field("token_type");
    let bound = kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer"));
    if bound || request.field("req_cnf").is_some() {
        return Err(
            rules::PROOF_OF_POSSESSION.refuse("This feature is not enabled for the application: proof of possession.")
        );
    }
    Ok(())
}

fn assertion_type(request: &TokenRequest) -> Result<(), Refusal> {
    match request.field("client_assertion_type") {
        Some(JWT_BEARER) => Ok(()),
        None => Err(rules::ASSERTION_TYPE_MISSING.refuse(
            "The request body must contain the following parameters: 'client_assertion' and 'client_assertion_type'.",
        )),
        Some(_) => Err(rules::ASSERTION_TYPE
            .refuse(format!("The value of 'client_assertion_type' is not supported; supported is '{JWT_BEARER}'."))),
    }
}

/// `{"access_token":{"xms_cc":{"values":["cp1"]}}}`, in either letter case.
fn is_capable(claims: &Map<String, Value>) -> bool {
    let claims = json!(claims);
    let values = claims["access_token"]["xms_cc"]["values"].as_array().cloned().unwrap_or_default();
    values.iter().any(|value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case("cp1")))
}
