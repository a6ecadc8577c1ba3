//! Which of the two token models an access token is, why, and how its client proved itself.
//!
//! Reads claims; says nothing of permissions (`refusals`). Easy to get wrong: `roles` stands in delegated tokens too, and
//! `idtyp` is optional, so no single claim decides.

use super::jwt::Jwt;
use super::report::{Model, Proof};
use super::shown;

/// The model, and what speaks for it; both sides where they contradict each other.
pub(super) fn model(jwt: &Jwt) -> (Model, Vec<String>) {
    let (app, user) = (app_signs(jwt), user_signs(jwt));
    match (app.is_empty(), user.is_empty()) {
        (false, true) => (Model::AppOnly, app),
        (true, false) => (Model::Delegated, user),
        (false, false) => (Model::Unclear, mark("app-only", app).chain(mark("delegated", user)).collect()),
        (true, true) => {
            let why = "there is no `idtyp`, no `scp`, no `roles`, and `oid` and `sub` are not the same";
            (Model::Unclear, vec![why.to_owned()])
        }
    }
}

fn mark(model: &str, signs: Vec<String>) -> impl Iterator<Item = String> {
    signs.into_iter().map(move |sign| format!("{model}: {sign}"))
}

fn app_signs(jwt: &Jwt) -> Vec<String> {
    let mut signs = Vec::new();
    if jwt.claim("idtyp") == Some("app") {
        signs.push("`idtyp` is `app`".to_owned());
    }
    if jwt.has("roles") && !jwt.has("scp") {
        signs.push("it has `roles` and no `scp`: application permissions".to_owned());
    }
    if jwt.claim("oid").is_some() && jwt.claim("oid") == jwt.claim("sub") {
        signs.push("`oid` and `sub` are the same: the service principal itself".to_owned());
    }
    signs
}

fn user_signs(jwt: &Jwt) -> Vec<String> {
    let mut signs = Vec::new();
    if let Some(other) = jwt.claim("idtyp").filter(|kind| *kind != "app") {
        signs.push(format!("`idtyp` is `{}`", shown::text(other)));
    }
    if jwt.has("scp") {
        signs.push("it has `scp`: permissions that a user delegated".to_owned());
    }
    if proof(jwt) == Proof::Nothing {
        signs.push("`appidacr` or `azpacr` is 0: a public client cannot act as itself".to_owned());
    }
    signs
}

/// What `appidacr` (version 1) or `azpacr` (version 2) says.
pub(super) fn proof(jwt: &Jwt) -> Proof {
    let said = |name| jwt.claims.get(name).map(shown::value);
    match (said("appidacr"), said("azpacr")) {
        (Some(one), Some(other)) if one != other => Proof::Unknown,
        (Some(digit), _) | (None, Some(digit)) => match digit.as_str() {
            "0" => Proof::Nothing,
            "1" => Proof::Secret,
            "2" => Proof::Assertion,
            _ => Proof::Unknown,
        },
        (None, None) => Proof::Unknown,
    }
}

/// In words, after "obtained".
pub(super) fn obtained(proof: Proof) -> &'static str {
    match proof {
        Proof::Nothing => "by a public client, without any proof",
        Proof::Secret => "with a client secret",
        Proof::Assertion => "with a certificate or a federated assertion, not with a client secret",
        Proof::Unknown => "in a way it does not tell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::jwt::tests::token;
    use serde_json::{Value, json};

    fn of(claims: &Value) -> (Model, Vec<String>) {
        model(&Jwt::parse(&token(&json!({}), claims)).unwrap())
    }

    #[test]
    fn each_sign_of_an_app_only_token_suffices() {
        for claims in [json!({"idtyp": "app"}), json!({"roles": ["a"]}), json!({"oid": "x", "sub": "x"})] {
            let (model, why) = of(&claims);
            assert_eq!((model, why.len()), (Model::AppOnly, 1), "{claims}");
        }
    }

    #[test]
    fn a_user_behind_the_token_makes_it_delegated_whatever_the_roles() {
        let claims = json!({"scp": "User.Read", "roles": ["Admin"], "oid": "x", "sub": "y", "azpacr": "0"});
        assert_eq!(of(&claims).0, Model::Delegated);
        assert_eq!(of(&json!({"idtyp": "user"})).0, Model::Delegated);
    }

    #[test]
    fn claims_that_contradict_each_other_are_shown_with_both_sides() {
        let (model, why) = of(&json!({"idtyp": "app", "scp": "User.Read"}));
        assert_eq!(model, Model::Unclear);
        assert!(why[0].starts_with("app-only: ") && why[1].starts_with("delegated: "), "{why:?}");
        assert_eq!(of(&json!({"oid": "x", "sub": "y", "roles": []})).0, Model::Unclear);
    }

    #[test]
    fn the_proof_is_read_from_either_version_and_unknown_when_they_differ() {
        let of = |claims: Value| proof(&Jwt::parse(&token(&json!({}), &claims)).unwrap());
        assert_eq!(of(json!({"appidacr": "1"})), Proof::Secret);
        assert_eq!(of(json!({"azpacr": "2"})), Proof::Assertion);
        assert_eq!(of(json!({"azpacr": 0})), Proof::Nothing);
        for unknown in [json!({}), json!({"azpacr": "7"}), json!({"appidacr": "1", "azpacr": "2"})] {
            assert_eq!(of(unknown), Proof::Unknown);
        }
    }
}
