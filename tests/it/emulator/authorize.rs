//! For every rule of the authorize endpoint there is one request that it accepts and one that differs in a single
//! parameter and is refused with that rule's number.

use std::collections::{BTreeMap, BTreeSet};

use unsecret::emulator::AUTHORIZE_RULES;

use super::grants::{authorize_url, right_visit};
use super::world::{ADA, CLIENT, PAGE, REDIRECT, World};
use crate::support::browser::Browser;

/// A parameter and its wrong value; `None` takes it away.
const CASES: [(&str, &str, Option<&str>); 11] = [
    ("authorize-client-missing", "client_id", None),
    ("authorize-application", "client_id", Some("99999999-dddd-4eee-8fff-444444444444")),
    ("authorize-redirect", "redirect_uri", Some("https://shop.example/signed-in/")),
    ("authorize-response-type", "response_type", Some("id_token")),
    ("authorize-response-mode", "response_mode", Some("form_post")),
    ("authorize-scope", "scope", None),
    ("authorize-challenge-method", "code_challenge_method", Some("S512")),
    ("authorize-challenge-size", "code_challenge", Some("short")),
    ("authorize-single-page", "code_challenge", None),
    ("authorize-user", "login_hint", Some("nobody@contoso.onmicrosoft.com")),
    ("authorize-consent", "scope", Some("Mail.Send")),
];

#[tokio::test]
async fn every_rule_of_authorize_accepts_one_request_and_refuses_another_that_differs_in_one_parameter() {
    let world = World::new().await;
    let browser = Browser::of(&world.emulator);
    let named: BTreeSet<_> = CASES.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(named, AUTHORIZE_RULES.iter().map(|rule| rule.name).collect(), "each rule has a case");
    for (name, parameter, value) in CASES {
        let rule = AUTHORIZE_RULES.iter().find(|rule| rule.name == name).unwrap();
        let redirect = if name == "authorize-single-page" { PAGE } else { REDIRECT };
        let good: BTreeMap<_, _> = right_visit(CLIENT, redirect, ADA);
        let mut bad = good.clone();
        match value {
            Some(value) => bad.insert(parameter, value.to_owned()),
            None => bad.remove(parameter),
        };
        let visit = browser.visit(&authorize_url(&world), &bad).await;
        assert_eq!(visit.status, rule.status, "{name}: {}", visit.body);
        let (description, error) = if rule.status == 302 {
            assert_eq!(visit.parameter("state").as_deref(), Some("a state"), "{name}");
            (visit.parameter("error_description").unwrap(), visit.parameter("error").unwrap())
        } else {
            let body: serde_json::Value = serde_json::from_str(&visit.body).unwrap();
            (body["error_description"].as_str().unwrap().to_owned(), body["error"].as_str().unwrap().to_owned())
        };
        assert!(description.starts_with(&format!("AADSTS{}: ", rule.number)), "{name}: {description}");
        assert_eq!(error, rule.error, "{name}");
        browser.visit(&authorize_url(&world), &good).await.code();
    }
}
