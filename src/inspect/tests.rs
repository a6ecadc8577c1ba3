//! Whole reports: what is recognised, what is said of it, and who refuses it, with one token that a rule fits and one it does not.

mod assertions;
mod recognised;

use serde_json::{Value, json};

use super::jwt::tests::token;
use super::*;

const NOW: u64 = 1_800_000_000;
const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";

/// `base` with the fields of `change` on top; null takes a field away.
fn with(mut base: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

fn report(text: &str) -> Report {
    let report = describe(text.as_bytes(), NOW);
    assert_silent(&report, text);
    report
}

/// Neither the token nor a part of it stands in anything that is said.
fn assert_silent(report: &Report, text: &str) {
    let said = format!("{report:?}{}", serde_json::to_string(report).unwrap());
    for part in text.split(['.', '"', '\n', ' ', ':']).filter(|part| part.len() >= 24) {
        assert!(!said.contains(part), "a part of the input came out");
    }
    assert!(!said.contains("canary"), "a secret came out");
}

/// An app-only token for Microsoft Graph, changed.
fn access(change: &Value) -> Report {
    report(&token(&json!({"typ": "JWT", "alg": "RS256", "kid": "k"}), &with(access_claims(), change)))
}

fn access_claims() -> Value {
    json!({
        "aud": "https://graph.microsoft.com", "iss": format!("https://sts.windows.net/{TENANT}/"), "iat": NOW - 300,
        "nbf": NOW - 300, "exp": NOW + 2_520, "appid": CLIENT, "appidacr": "2", "idtyp": "app", "oid": "o", "sub": "o",
        "tid": TENANT, "ver": "1.0", "roles": ["Mail.Send"],
    })
}

/// What a Kubernetes cluster issues, changed.
fn platform(header: &Value, change: &Value) -> Report {
    let claims = json!({
        "iss": "https://oidc.prod-aks.azure.com/id/", "sub": "system:serviceaccount:a:b",
        "aud": ["api://AzureADTokenExchange"], "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3_600,
        "kubernetes.io": {"namespace": "a"},
    });
    report(&token(&with(json!({"alg": "RS256", "kid": "k"}), header), &with(claims, change)))
}

/// What `assertion::certificate` signs, changed.
fn assertion(header: &Value, change: &Value) -> Report {
    let claims = json!({
        "aud": format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"), "iss": CLIENT, "sub": CLIENT,
        "jti": "j", "nbf": NOW - 60, "iat": NOW, "exp": NOW + 540,
    });
    let own = json!({"typ": "JWT", "alg": "PS256", "x5t#S256": "A".repeat(43)});
    report(&token(&with(own, header), &with(claims, change)))
}

fn by<'a>(report: &'a Report, who: &str) -> Vec<&'a Refusal> {
    report.refusals.iter().filter(|refusal| refusal.by.contains(who)).collect()
}

fn numbers(report: &Report) -> Vec<u32> {
    report.refusals.iter().filter_map(|refusal| refusal.aadsts).collect()
}

fn says(report: &Report, what: &str) -> bool {
    report.notes.iter().any(|note| note.text.contains(what))
}

#[test]
fn an_app_only_token_says_what_it_is_why_until_when_and_that_nobody_verified_it() {
    let report = access(&json!({}));
    assert_eq!((report.kind, report.model), (Kind::AccessToken, Some(Model::AppOnly)));
    assert_eq!(report.obtained_with, Some(Proof::Assertion));
    assert!(
        report.verdict.starts_with("app-only access token (version 1.0) for Microsoft Graph"),
        "{}",
        report.verdict
    );
    assert!(says(&report, "expires in 42 min (2027-01-15 08:42:00 UTC)") && says(&report, "not verified"));
    assert_eq!(report.why.len(), 3);
    assert!(report.rows.iter().all(|row| row.meaning != Some("not known here")));
}

#[test]
fn a_version_2_token_of_a_user_is_delegated() {
    let report = access(&json!({
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "ver": "2.0", "appid": null, "appidacr": null,
        "idtyp": null, "azp": CLIENT, "azpacr": "0", "scp": "User.Read", "sub": "s", "aud": CLIENT,
    }));
    assert_eq!((report.model, report.obtained_with), (Some(Model::Delegated), Some(Proof::Nothing)));
    let version = by(&report, "version 1");
    assert!(version.len() == 1 && version[0].why.contains("https://sts.windows.net/"), "{version:?}");
}

#[test]
fn an_id_token_is_no_access_token() {
    let report = access(&json!({"appid": null, "appidacr": null, "idtyp": null, "aud": CLIENT, "nonce": "canary"}));
    assert_eq!(report.kind, Kind::IdToken);
    assert!(says(&report, "no access token"));
}

#[test]
fn an_expired_token_is_refused_by_everybody_and_a_living_one_is_not() {
    let dead = access(&json!({"exp": NOW - 180}));
    assert_eq!(by(&dead, "every resource")[0].why, "it expired 3 min ago");
    assert!(says(&dead, "expired 3 min ago"));
    let early = access(&json!({"nbf": NOW + 60}));
    assert_eq!(by(&early, "every resource")[0].status, Some(401));
    assert!(by(&access(&json!({})), "every resource").is_empty());
}

#[test]
fn every_other_resource_refuses_the_audience_with_its_own_words() {
    let report = access(&json!({}));
    let vault = by(&report, "Key Vault")[0];
    assert_eq!((vault.status, vault.sign.as_deref()), (Some(401), Some("`AKV10022: Invalid audience`")));
    assert!(by(&report, "Microsoft Graph").is_empty());
    assert!(by(&access(&json!({"aud": "https://vault.azure.net"})), "Key Vault").is_empty());
}

#[test]
fn a_slash_too_many_at_key_vault_is_told_with_the_right_audience() {
    let report = access(&json!({"aud": "https://vault.azure.net/"}));
    let refusal = by(&report, "Key Vault")[0];
    assert_eq!(refusal.why, "the audience is `https://vault.azure.net/`, not `https://vault.azure.net`");
}

#[test]
fn graph_forbids_an_application_without_roles() {
    let refusal = |change| by(&access(&change), "Microsoft Graph").first().map(|it| (it.status, it.sign.clone()));
    let forbidden = Some((Some(403), Some("`Authorization_RequestDenied`".to_owned())));
    assert_eq!(refusal(json!({"roles": null})), forbidden);
    assert_eq!(refusal(json!({"roles": null, "wids": ["0997a1d0-0d1d-4acb-b408-d5ca73121e90"]})), forbidden);
    assert_eq!(refusal(json!({"roles": null, "wids": ["62e90394-69f5-4237-9190-012177145e10"]})), None);
    assert_eq!(refusal(json!({})), None);
}

#[test]
fn sharepoint_takes_no_app_only_token_from_a_client_secret() {
    let own = |digit| access(&json!({"aud": "https://contoso.sharepoint.com", "appidacr": digit}));
    let report = own("1");
    assert_eq!(by(&report, "SharePoint")[0].sign.as_deref(), Some("Unsupported app only token"));
    assert!(report.verdict.contains("with a client secret"));
    assert!(by(&own("2"), "SharePoint").is_empty());
}

#[test]
fn an_api_of_ones_own_may_want_the_other_version_and_roles() {
    let own = access(&json!({"aud": "api://shop", "roles": null}));
    assert_eq!(by(&own, "checks roles")[0].status, Some(403));
    assert!(by(&own, "validates version 2")[0].why.contains("not `https://login.microsoftonline.com/"));
    assert!(by(&access(&json!({"aud": "api://shop"})), "checks roles").is_empty());
    assert!(by(&access(&json!({})), "an API of your own").is_empty());
}

#[test]
fn bound_retired_and_audienceless_tokens_are_told() {
    assert_eq!(by(&access(&json!({"cnf": {"kid": "k"}})), "every resource").len(), 1);
    assert_eq!(by(&access(&json!({"aud": "https://graph.windows.net"})), "Azure AD Graph")[0].status, Some(403));
    assert_eq!(by(&access(&json!({"aud": null})), "every resource")[0].status, Some(401));
}

#[test]
fn remarks_tell_of_roles_elsewhere_challenges_and_contradictions() {
    assert!(says(&access(&json!({"aud": "https://vault.azure.net"})), "role assignment in Azure"));
    assert!(says(&access(&json!({"xms_cc": ["CP1"]})), "insufficient_claims"));
    assert!(!says(&access(&json!({"xms_cc": ["other"]})), "insufficient_claims"));
    assert!(says(&access(&json!({"ver": "2.0"})), "`ver` is `2.0`"));
    assert!(says(&access(&json!({"tid": CLIENT})), "another tenant"));
    assert!(says(&access(&json!({"iss": "https://evil.example/"})), "not Entra's"));
    assert!(says(&access(&json!({"xms_mirid": "/subscriptions/x"})), "managed identity"));
    let graph = token(&json!({"alg": "RS256", "nonce": "canary"}), &access_claims());
    assert!(says(&report(&graph), "only the resource it is for can verify"));
}

#[test]
fn a_demand_for_no_secret_fails_for_a_secret_and_for_what_is_unknown() {
    assert!(require_secretless(&access(&json!({}))).is_ok());
    assert!(require_secretless(&access(&json!({"appidacr": "0", "scp": "x"}))).is_ok());
    let unmet = |report: &Report| require_secretless(report).unwrap_err();
    assert!(matches!(unmet(&access(&json!({"appidacr": "1"}))), Unmet::Secret { claim: "appidacr" }));
    assert!(matches!(unmet(&access(&json!({"appidacr": null, "azpacr": "1"}))), Unmet::Secret { claim: "azpacr" }));
    assert!(matches!(unmet(&access(&json!({"appidacr": null}))), Unmet::ProofUnknown));
    assert!(matches!(unmet(&platform(&json!({}), &json!({}))), Unmet::NoAccessToken { .. }));
}

#[test]
fn an_expectation_shows_wrong_and_right_next_to_each_other() {
    let report = access(&json!({"uti": "canary"}));
    for (claim, value) in [("idtyp", "app"), ("roles", "Mail.Send"), ("exp", &(NOW + 2_520).to_string())] {
        assert!(expect(&report, claim, value).is_ok(), "{claim}");
    }
    let said = |claim, value| expect(&report, claim, value).unwrap_err().to_string();
    assert_eq!(said("roles", "Mail.Read"), "check claim `roles`: it is `Mail.Send`, not `Mail.Read`");
    assert_eq!(said("scp", "x"), "check claim `scp`: it is missing, not `x`");
    assert_eq!(said("uti", "x"), "check claim `uti`: it is `(not shown)`, not `x`");
    assert!(matches!(expect(&describe(b"hello", NOW), "a", "b"), Err(Unmet::NoToken { .. })));
}

#[test]
fn differences_are_told_claim_by_claim_with_times_as_times() {
    let (a, b) =
        (access(&json!({"uti": "canary-1"})), access(&json!({"exp": NOW + 60, "roles": null, "uti": "canary-2"})));
    let all = differences(&a, &b, NOW).unwrap();
    let names: Vec<_> = all.iter().map(|one| one.claim.as_str()).collect();
    assert_eq!(names, ["exp", "roles", "uti"]);
    assert_eq!(all[0].b.as_deref(), Some("2027-01-15 08:01:00 UTC, in 1 min"));
    assert_eq!((all[1].a.as_deref(), all[1].b.as_deref()), (Some("Mail.Send"), None));
    assert!(!format!("{all:?}").contains("canary"));
    assert_eq!(differences(&a, &a, NOW).unwrap(), []);
    assert!(differences(&a, &describe(b"hello", NOW), NOW).is_err());
}
