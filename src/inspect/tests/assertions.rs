//! Assertions: each rule of Entra's with one token that breaks it.

use super::*;

#[test]
fn a_good_platform_token_shows_the_three_values_to_compare() {
    let report = platform(&json!({}), &json!({}));
    assert_eq!(report.kind, Kind::PlatformToken);
    assert_eq!(report.verdict, "token of Kubernetes (AKS), fit to be an assertion for Entra");
    assert_eq!(report.refusals.len(), 0);
    let issuer = &report.compare[0];
    assert_eq!((issuer.name, issuer.hints.as_slice()), ("issuer", ["it ends in a slash, which counts"].as_slice()));
    assert_eq!(report.compare.iter().map(|one| one.name).collect::<Vec<_>>(), ["issuer", "subject", "audience"]);
}

#[test]
fn each_rule_of_federation_refuses_with_entras_number() {
    let none = json!({});
    for (header, change, number) in [
        (json!({"alg": "ES256"}), none.clone(), 5_002_738),
        (json!({"alg": "none"}), none.clone(), 5_002_738),
        (json!({"typ": "at+jwt"}), none.clone(), 5_002_727),
        (json!({"kid": null}), none.clone(), 5_002_723),
        (none.clone(), json!({"aud": "sts.amazonaws.com"}), 700_212),
        (none.clone(), json!({"aud": "api://azureadtokenexchange"}), 700_212),
        (none.clone(), json!({"exp": NOW - 120}), 700_024),
        (none.clone(), json!({"nbf": NOW + 900}), 700_024),
        (none.clone(), json!({"sub": null}), 90_014),
        (none.clone(), json!({"iss": "http://issuer.example"}), 70_022),
        (none.clone(), json!({"iss": format!("https://issuer.example/{}", "x/".repeat(300))}), 700_211),
        (none.clone(), json!({"sub": "x/".repeat(301)}), 700_213),
    ] {
        let report = platform(&header, &change);
        assert_eq!(numbers(&report), [number], "{header} {change}");
        assert!(report.verdict.contains("unfit") && report.refusals[0].remedy.is_some());
    }
    assert_eq!(
        numbers(&platform(&json!({"alg": "ES256", "typ": "x"}), &json!({"aud": "y"}))),
        [5_002_738, 5_002_727, 700_212]
    );
}

#[test]
fn what_is_only_doubtful_is_a_remark() {
    assert!(says(&platform(&json!({}), &json!({"exp": NOW + 200_000})), "AADSTS70023"));
    assert!(says(&platform(&json!({}), &json!({"aud": ["api://AzureADTokenExchange", "b"]})), "several audiences"));
    assert!(says(&platform(&json!({}), &json!({"iss": "https://oidc.fly.io/org"})), "contains the machine"));
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let app = platform(&json!({}), &json!({"iss": entra, "aud": crate::assertion::EXCHANGE_APPLICATION}));
    assert!(says(&app, "AADSTS700222") && app.refusals.is_empty());
    let managed =
        platform(&json!({}), &json!({"iss": entra, "aud": crate::assertion::EXCHANGE_APPLICATION, "xms_mirid": "/x"}));
    assert!(!says(&managed, "AADSTS700222"));
    let hints = |subject: &str| platform(&json!({}), &json!({"sub": subject})).compare[1].hints.len();
    assert_eq!((hints("repo:a/b"), hints("Repo:a/b "), hints("rеpo")), (0, 2, 1));
}

#[test]
fn our_own_assertion_is_fit_and_each_rule_of_certificates_refuses_with_entras_number() {
    let good = assertion(&json!({}), &json!({}));
    assert_eq!((good.kind, numbers(&good)), (Kind::CertificateAssertion, vec![]));
    assert!(says(&good, &format!("SHA-256 thumbprint is {}", "0".repeat(64))));
    let none = json!({});
    for (header, change, number) in [
        (json!({"alg": "ES256"}), none.clone(), 5_002_738),
        (json!({"typ": "at+jwt"}), none.clone(), 5_002_727),
        (json!({"x5t#S256": null}), none.clone(), 5_002_723),
        (none.clone(), json!({"sub": TENANT}), 50_048),
        (none.clone(), json!({"aud": "https://login.example/oauth2/token"}), 700_023),
        (none.clone(), json!({"exp": NOW - 61}), 700_024),
        (none.clone(), json!({"nbf": NOW + 301}), 700_024),
        (none.clone(), json!({"exp": null}), 90_014),
    ] {
        assert_eq!(numbers(&assertion(&header, &change)), [number], "{header} {change}");
    }
    assert!(says(&assertion(&json!({}), &json!({"exp": NOW + 86_400})), "five to ten minutes"));
    assert_eq!(numbers(&assertion(&json!({"alg": "RS256", "x5t#S256": null, "x5t": "x"}), &none)), [0_u32; 0]);
}
