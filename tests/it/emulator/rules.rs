//! For every rule of the emulator there is one request that it accepts and one that differs in a single field and is
//! refused with that rule's number. The list is the emulator's own.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use unsecret::emulator::{RULES, Rule, Verdict};

use super::ask::Ask;
use super::world::{ISSUER, World};
use super::{rules_of_certificates, rules_of_federation, rules_of_grants, rules_of_requests};

/// How a right request is made wrong.
pub(super) enum Spoil {
    /// One field of the request.
    Request(Box<dyn Fn(Ask) -> Ask>),
    /// One field of the issuer's discovery document; `null` takes it away.
    Document(&'static str, Value),
}

pub(super) struct Case {
    rule: &'static str,
    good: Ask,
    spoil: Spoil,
}

pub(super) fn request(rule: &'static str, good: Ask, spoil: impl Fn(Ask) -> Ask + 'static) -> Case {
    Case { rule, good, spoil: Spoil::Request(Box::new(spoil)) }
}

pub(super) fn document(rule: &'static str, good: Ask, field: &'static str, value: Value) -> Case {
    Case { rule, good, spoil: Spoil::Document(field, value) }
}

#[tokio::test]
async fn every_rule_accepts_one_request_and_refuses_another_that_differs_in_one_field() {
    let world = World::with(|settings| {
        settings.single_use_refresh_tokens = true;
        settings.sign_in_frequency = Some(Duration::from_secs(80 * 86_400));
    })
    .await;
    let mut cases = rules_of_requests::cases(&world);
    cases.extend(rules_of_federation::cases(&world));
    cases.extend(rules_of_certificates::cases(&world).await);
    cases.extend(rules_of_grants::cases(&world).await);
    let named: BTreeSet<_> = cases.iter().map(|case| case.rule).collect();
    assert_eq!(named, RULES.iter().map(|rule| rule.name).collect(), "each rule has a case and each case a rule");
    assert_eq!(cases.len(), RULES.len(), "one case for each rule");
    for rule in RULES {
        let case = cases.iter().find(|case| case.rule == rule.name).unwrap();
        // The wrong request first: a refused assertion is not remembered, a good one must not come twice.
        case.expect_refusal(&world, rule).await;
        let response = case.good.send(&world).await;
        let status = response.status();
        assert_eq!(status, 200, "{}: the good request: {}", rule.name, response.text().await.unwrap());
    }
}

impl Case {
    async fn expect_refusal(&self, world: &World, rule: &Rule) {
        let bad = match &self.spoil {
            Spoil::Request(spoil) => {
                let bad = spoil(self.good.clone());
                assert_eq!(
                    differences(&self.good, &bad).len(),
                    1,
                    "{}: {:?}",
                    rule.name,
                    differences(&self.good, &bad)
                );
                bad
            }
            Spoil::Document(field, value) => {
                world.emulator.alter_issuer(ISSUER, field, Some(value.clone())).unwrap();
                self.good.clone()
            }
        };
        let response = bad.send(world).await;
        if let Spoil::Document(field, _) = &self.spoil {
            world.emulator.alter_issuer(ISSUER, field, None).unwrap();
        }
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&body["error_codes"][0], status, &body["error"]),
            (&Value::from(rule.number), rule.status, &Value::from(rule.error)),
            "{}: {body}",
            rule.name
        );
        expect_entras_shape(&body, rule);
        if bad.instance.is_none() {
            let last = world.emulator.journal().pop().unwrap();
            assert_eq!(last.verdict, Verdict::Refused { number: rule.number, rule: rule.name }, "{body}");
        }
    }
}

fn differences(one: &Ask, other: &Ask) -> Vec<String> {
    let (one, other) = (one.fields(), other.fields());
    let names: BTreeSet<_> = one.keys().chain(other.keys()).cloned().collect();
    names.into_iter().filter(|name| one.get(name) != other.get(name)).collect()
}

/// Contract A11, field by field.
fn expect_entras_shape(body: &Value, rule: &Rule) {
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{}: {name} in {body}", rule.name));
    let (trace, correlation, at) = (text("trace_id"), text("correlation_id"), text("timestamp"));
    let description = text("error_description");
    assert!(description.starts_with(&format!("AADSTS{}: ", rule.number)), "{description}");
    let end = format!(" Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}");
    assert!(description.ends_with(&end), "{description}");
    assert_eq!(at, "2027-01-15 08:00:00Z");
    assert!(text("error_uri").ends_with(&format!("/error?code={}", rule.number)));
    assert_eq!(body["error_codes"].as_array().unwrap().len(), 1);
}
