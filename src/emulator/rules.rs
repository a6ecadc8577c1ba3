//! Every check the emulator makes, as data: its name, Entra's number, the HTTP status, the `error`, and where that is
//! known from.
//!
//! Not the checks themselves (`entra`, `request`, `target`, `certificate`, `federated`, `metadata` make them) but what
//! they answer with; a check refuses by naming its rule. Easy to get wrong: others trust this list, so what no source shows
//! says that it is a guess, and `tests/it/emulator/rules.rs` holds one accepted and one refused request for each.

#![expect(
    clippy::unreadable_literal,
    reason = "AADSTS numbers are written as Entra writes them, so that a search finds them"
)]

use serde::Serialize;

/// One check and Entra's answer when it fails.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Kebab-case, unique.
    pub name: &'static str,
    /// The number after `AADSTS`.
    pub number: u32,
    /// The HTTP status.
    pub status: u16,
    /// The OAuth `error`.
    pub error: &'static str,
    /// Sections of the contract.
    pub cites: &'static str,
    /// What about the rule no source shows; empty when all of it is shown.
    pub guess: &'static str,
    /// What is required, in plain words.
    pub requires: &'static str,
}

/// One place for each rule, so that the list cannot miss one.
macro_rules! rules {
    ($list:ident, $what:literal; $($constant:ident: $name:literal, $number:literal, $status:literal, $error:literal, $cites:literal, $guess:literal, $requires:literal;)*) => {
        $(pub(in crate::emulator) static $constant: Rule = Rule {
            name: $name, number: $number, status: $status, error: $error, cites: $cites, guess: $guess, requires: $requires,
        };)*

        #[doc = $what]
        pub static $list: &[&Rule] = &[$(&$constant),*];
    };
}
pub(super) use rules;

rules! {
    RULES, "Every rule of the token endpoint, in the order in which the checks are made for a request.";
    METHOD: "method", 900561, 400, "invalid_request", "A2", "number", "the token endpoint takes POST only";
    BODY: "body", 9002313, 400, "invalid_request", "A11", "which faults count as malformed", "the body is UTF-8 and names no parameter twice";
    TENANT_MALFORMED: "tenant-malformed", 900023, 400, "invalid_request", "A11", "", "the tenant is a GUID or a domain";
    TENANT_SHARED: "tenant-shared", 50059, 400, "invalid_request", "A1", "number", "the tenant is one directory, not `common`, `organizations` or `consumers`";
    TENANT_UNKNOWN: "tenant-unknown", 90002, 400, "invalid_request", "A11", "", "the tenant exists";
    INSTANCE: "instance", 50049, 400, "invalid_instance", "A1, A11", "status", "instance discovery asks about a host that is this authority";
    GRANT_MISSING: "grant-missing", 900144, 400, "invalid_request", "A2, A11", "", "`grant_type` is there";
    GRANT_UNKNOWN: "grant-unknown", 70003, 400, "unsupported_grant_type", "A11", "", "`grant_type` is `client_credentials`, `authorization_code`, `refresh_token` or `…:jwt-bearer`";
    CLIENT_MISSING: "client-missing", 900144, 400, "invalid_request", "A2, A11", "", "`client_id` is there";
    APPLICATION_UNKNOWN: "application-unknown", 700016, 400, "unauthorized_client", "A11", "", "the application is in this tenant";
    PROOF_OF_POSSESSION: "proof-of-possession", 51000, 400, "invalid_request", "A13, A11", "`error`, and that the feature is not enabled", "`token_type` and `req_cnf` do not ask for proof of possession";
    CLAIMS: "claims", 9002313, 400, "invalid_request", "A2, A10", "number", "`claims`, if there, is a JSON object";
    RESOURCE_ON_V2: "resource-on-v2", 901002, 400, "invalid_request", "A5, A11", "", "the v2 endpoint is asked by `scope`, not by `resource`";
    SCOPE_MISSING: "scope-missing", 900144, 400, "invalid_request", "A2, A11", "", "`scope` is there (v2)";
    SCOPE_NOT_DEFAULT: "scope-not-default", 1002012, 400, "invalid_scope", "A2, A11", "", "the scope ends in `/.default`";
    SCOPE_MALFORMED: "scope-malformed", 70011, 400, "invalid_scope", "A2, A11", "which faults count as malformed", "there is a resource before `/.default`";
    SCOPE_SEVERAL: "scope-several", 28000, 400, "invalid_scope", "A2, A11", "", "the scope is one resource";
    RESOURCE_MISSING: "resource-missing", 900144, 400, "invalid_request", "A5, A11", "", "`resource` is there (v1)";
    CODE_MISSING: "code-missing", 900144, 400, "invalid_request", "A14, A11", "", "`code` is there";
    REDIRECT_MISSING: "redirect-missing", 900144, 400, "invalid_request", "A14, A11", "", "`redirect_uri` goes with `code`";
    CODE_UNKNOWN: "code-unknown", 70000, 400, "invalid_grant", "A14", "number", "the code is one that this authority made";
    CODE_CLIENT: "code-client", 70000, 400, "invalid_grant", "A14", "number", "the code was made for this application";
    CODE_SINGLE_PAGE: "code-single-page", 9002327, 400, "invalid_request", "A14", "number, `error`", "a single-page application's code comes with an `Origin`";
    REFRESH_MISSING: "refresh-missing", 900144, 400, "invalid_request", "A14, A11", "", "`refresh_token` is there";
    BEHALF_ASSERTION_MISSING: "behalf-assertion-missing", 900144, 400, "invalid_request", "A14, A11", "", "`assertion` is there";
    BEHALF_USE: "behalf-use", 900144, 400, "invalid_request", "A14", "number", "`requested_token_use` is `on_behalf_of`";
    CREDENTIAL_MISSING: "credential-missing", 7000218, 401, "invalid_client", "A11", "that it is this one of 7000216, 7000218 and 7000219", "there is a `client_secret` or a `client_assertion`";
    CREDENTIAL_TWICE: "credential-twice", 50012, 401, "invalid_client", "A2, A11", "number", "there is a secret or an assertion, not both";
    ASSERTION_TYPE_MISSING: "assertion-type-missing", 7000219, 401, "invalid_client", "A2, A11", "number", "`client_assertion_type` goes with `client_assertion`";
    ASSERTION_TYPE: "assertion-type", 50012, 401, "invalid_client", "A2, A11", "number", "`client_assertion_type` is `…:jwt-bearer`";
    SECRET_WRONG: "secret-wrong", 7000215, 401, "invalid_client", "A11", "", "the secret is one of the application's";
    SECRET_EXPIRED: "secret-expired", 7000222, 401, "invalid_client", "A11", "status", "the secret has not expired";
    NOT_A_JWT: "not-a-jwt", 50027, 400, "invalid_request", "A11", "", "the assertion is a JWT of three parts";
    ISSUER_MISSING: "issuer-missing", 90014, 400, "invalid_request", "A11", "", "the assertion has `iss`";
    CERTIFICATE_TYPE: "certificate-type", 5002727, 400, "invalid_request", "A6", "number", "header `typ`, if there, is `JWT`";
    CERTIFICATE_ALGORITHM: "certificate-algorithm", 5002738, 401, "invalid_client", "A6, A11", "status", "`alg` is PS256, RS256, RS384 or RS512";
    THUMBPRINT_MISSING: "thumbprint-missing", 5002723, 401, "invalid_client", "A6, A11", "status", "the header has `x5t`, `x5t#S256` or `kid`";
    CERTIFICATE_SUBJECT_MISSING: "certificate-subject-missing", 700022, 401, "invalid_client", "A11", "status", "the assertion has `sub`";
    CERTIFICATE_SUBJECT: "certificate-subject", 50048, 401, "invalid_client", "A6, A11", "`error`, status", "`sub` equals `iss`";
    CERTIFICATE_CLIENT: "certificate-client", 700021, 401, "invalid_client", "A6, A11", "status", "`iss` and `sub` equal `client_id`";
    CERTIFICATE_AUDIENCE_MISSING: "certificate-audience-missing", 90014, 400, "invalid_request", "A11", "", "the assertion has `aud`";
    CERTIFICATE_AUDIENCE: "certificate-audience", 700023, 401, "invalid_client", "A6, A11", "status, which spellings of the host pass", "`aud` is the token endpoint that was asked";
    CERTIFICATE_END_MISSING: "certificate-end-missing", 90014, 400, "invalid_request", "A6, A11", "", "the assertion has `exp`";
    CERTIFICATE_EXPIRED: "certificate-assertion-expired", 700024, 401, "invalid_client", "A11", "status, no tolerance", "now is before `exp`";
    CERTIFICATE_EARLY: "certificate-assertion-early", 700024, 401, "invalid_client", "A11", "status, no tolerance", "now is not before `nbf`";
    CERTIFICATE_UNKNOWN: "certificate-unknown", 700027, 401, "invalid_client", "A6, A11", "status", "the thumbprint is that of a certificate of the application";
    CERTIFICATE_OVER: "certificate-over", 700027, 401, "invalid_client", "A11", "that it is this number", "the certificate itself is within its validity";
    CERTIFICATE_SIGNATURE: "certificate-signature", 700027, 401, "invalid_client", "A11", "status", "the certificate's key made the signature";
    CERTIFICATE_ID_MISSING: "certificate-id-missing", 90014, 400, "invalid_request", "A6", "that `jti` is required", "the assertion has `jti`";
    CERTIFICATE_REPLAYED: "certificate-replayed", 50012, 401, "invalid_client", "A6", "all of it", "`jti` was not seen before (`accept_replayed_assertions = true` switches this off)";
    FEDERATION_NONE: "federation-none", 70025, 401, "invalid_client", "A11", "status", "the application has a federated credential";
    FEDERATED_TYPE: "federated-type", 5002727, 400, "invalid_request", "A7, A11", "", "header `typ`, if there, is `JWT` or `http://openid.net/specs/jwt/1.0`";
    FEDERATED_ALGORITHM: "federated-algorithm", 5002738, 401, "invalid_client", "A7, A11", "status", "`alg` is RS256";
    ISSUER_URL: "issuer-url", 70022, 401, "invalid_client", "A7, A11", "`error`, status", "the issuer is an https URL, not loopback, without query and fragment";
    ENTRA_TOKEN: "entra-token", 700222, 401, "invalid_client", "A7, A11", "`error`, status, that it is this one of 700222, 700226 and 700229, that the issuer tells it", "the assertion is no access token of Entra's own for another resource";
    FEDERATED_ISSUER: "federated-issuer", 700211, 401, "invalid_client", "A7, A11", "status", "a federated credential has this issuer, byte for byte";
    FEDERATED_SUBJECT_MISSING: "federated-subject-missing", 90014, 400, "invalid_request", "A11", "", "the assertion has `sub`";
    FEDERATED_SUBJECT_CASE: "federated-subject-case", 7002138, 401, "invalid_client", "A7, A11", "status", "the subject has the credential's letter case";
    FEDERATED_SUBJECT: "federated-subject", 700213, 401, "invalid_client", "A7, A11", "status", "a federated credential has this subject, byte for byte";
    FEDERATED_AUDIENCE_MISSING: "federated-audience-missing", 90014, 400, "invalid_request", "A11", "", "the assertion has `aud`";
    FEDERATED_AUDIENCE_GUID: "federated-audience-guid", 700214, 401, "invalid_client", "A7, A11", "`error`, status", "the federated credential's audience is not the GUID form";
    FEDERATED_AUDIENCE: "federated-audience", 700212, 401, "invalid_client", "A7, A11", "status, that an `aud` of several is refused", "a federated credential has this audience, byte for byte";
    FEDERATED_END_MISSING: "federated-end-missing", 90014, 400, "invalid_request", "A11", "", "the assertion has `exp`";
    FEDERATED_EXPIRED: "federated-expired", 700024, 401, "invalid_client", "A11", "status, no tolerance", "now is before `exp`";
    FEDERATED_EARLY: "federated-early", 700024, 401, "invalid_client", "A11", "status, no tolerance", "now is not before `nbf`";
    FEDERATED_LIFE: "federated-life", 70023, 401, "invalid_client", "A7, A11", "`error`, status, the limit", "the assertion lives at most 25 hours";
    METADATA_UNREADABLE: "metadata-unreadable", 50166, 400, "invalid_request", "A7, A11", "that it is this one of 50166, 90061 and 501661", "the issuer's metadata can be read";
    METADATA_FIELD: "metadata-field", 70024, 401, "invalid_client", "A7, A11", "`error`, status, which fields", "the metadata has `issuer`, `jwks_uri` and the three `…_supported` lists";
    METADATA_EMPTY: "metadata-empty", 501661, 400, "invalid_request", "A7, A11", "", "`authorization_endpoint`, if there, and `subject_types_supported` are not empty";
    METADATA_ISSUER: "metadata-issuer", 700221, 401, "invalid_client", "A7, A11", "`error`, status", "the metadata's `issuer` is the assertion's";
    KEYS_UNREADABLE: "keys-unreadable", 90061, 400, "invalid_request", "A7, A11", "that it is this one of 50166, 90061 and 501661", "the issuer's keys can be read";
    FEDERATED_KEY: "federated-key", 7000272, 401, "invalid_client", "A7, A11", "status", "`kid` is in the issuer's keys";
    FEDERATED_SIGNATURE: "federated-signature", 7000274, 401, "invalid_client", "A7, A11", "status", "the issuer's key made the signature";
    CODE_EXPIRED: "code-expired", 70008, 400, "invalid_grant", "A14", "status, that ten minutes are the life of a code", "the code is younger than ten minutes";
    REDIRECT_DIFFERENT: "redirect-different", 500112, 400, "invalid_grant", "A14", "number, `error`, status", "`redirect_uri` is that of the authorize request";
    VERIFIER_MISSING: "verifier-missing", 50148, 400, "invalid_grant", "A14", "number", "`code_verifier` is there when there was a challenge";
    VERIFIER_WRONG: "verifier-wrong", 501481, 400, "invalid_grant", "A14", "number", "`code_verifier` fits the `code_challenge`";
    REFRESH_UNKNOWN: "refresh-unknown", 70000, 400, "invalid_grant", "A14", "number", "the refresh token is one that this authority made";
    REFRESH_CLIENT: "refresh-client", 70000, 400, "invalid_grant", "A14", "number", "the refresh token was made for this application";
    REFRESH_IDLE: "refresh-idle", 700082, 400, "invalid_grant", "A14", "number, that 90 days are the limit", "the refresh token is younger than 90 days";
    REFRESH_REVOKED: "refresh-revoked", 50173, 400, "invalid_grant", "A14", "number", "the user's sign-ins were not revoked since";
    REFRESH_FREQUENCY: "refresh-frequency", 70043, 400, "invalid_grant", "A14", "number", "the sign-in is younger than `sign_in_frequency`, if that is set";
    BEHALF_NOT_A_JWT: "behalf-not-a-jwt", 50027, 400, "invalid_request", "A11", "", "the user's token is a JWT of three parts";
    BEHALF_SIGNATURE: "behalf-signature", 50013, 400, "invalid_grant", "A11, A14", "", "this authority signed the user's token";
    BEHALF_AUDIENCE: "behalf-audience", 500131, 400, "invalid_grant", "A11, A14", "", "the token's `aud` is the application: its client id, or that after `api://`";
    BEHALF_EXPIRED: "behalf-expired", 500133, 400, "invalid_grant", "A11, A14", "that it is this one of 50013 and 500133", "the user's token has not expired";
    BEHALF_APP_ONLY: "behalf-app-only", 7000114, 400, "invalid_grant", "A14", "number, `error`", "the token is a user's, not an application's own";
    RESOURCE_UNKNOWN: "resource-unknown", 500011, 400, "invalid_resource", "A11", "", "the resource is in the tenant, byte for byte";
    CONSENT: "consent", 65001, 400, "invalid_grant", "A14", "`error`; the `suberror` is `consent_required`", "there is consent for every delegated scope";
    CODE_REDEEMED: "code-redeemed", 54005, 400, "invalid_grant", "A14", "number", "the code was not redeemed before";
    REFRESH_USED: "refresh-used", 70000, 400, "invalid_grant", "A14", "all of it: only with `single_use_refresh_tokens = true`, which Entra does not know", "the refresh token was not used before";
}

impl Rule {
    /// A refusal by this rule; `says` is the sentence after the number and must not contain a credential.
    pub(super) fn refuse(&'static self, says: impl Into<String>) -> Refusal {
        Refusal { rule: self, says: says.into() }
    }
}

/// A request was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) rule: &'static Rule,
    pub(super) says: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name_a_citation_and_a_client_error_status() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            assert!(rule.cites.starts_with('A') && matches!(rule.status, 400 | 401), "{}", rule.name);
            assert_eq!(rule.status == 401, rule.error == "invalid_client", "{}", rule.name);
        }
    }
}
