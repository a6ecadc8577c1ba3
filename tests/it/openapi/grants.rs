//! The grants that belong to users, asked for as the page's own examples do.

use super::page::{Operation, operations};
use super::{assert_as_described, open};
use crate::relay::{ADA, plan, users_token, without_secret};
use crate::support::http::Call;
use crate::support::world::{CLIENT, Plan, TENANT, World};

/// An example of the page, with what only this world has in its places.
fn example(world: &World, operation: &Operation, name: &str) -> Call {
    let example = operation.example(name);
    let users = users_token(world, ADA);
    let key = world.key.secret().expose();
    let fields = example.as_object().unwrap().iter().map(|(field, value)| {
        let value = match field.as_str() {
            "client_id" => CLIENT,
            "client_secret" | "client_assertion" => key,
            "assertion" => users.as_str(),
            _ => value.as_str().unwrap(),
        };
        (field.as_str(), value)
    });
    let fields: Vec<_> = fields.collect();
    Call::form(world.http(), operation.path.replace("{tenant}", TENANT), &fields)
}

#[tokio::test]
async fn the_grants_of_users_are_answered_as_the_page_says() {
    let passing = without_secret(Plan { listen: open().listen, ..plan("[\"*\"]") }).await;
    let closed = World::of(Plan { listen: open().listen, ..plan("[]") }).await;
    let with_grants = operations().into_iter().filter(|operation| operation.path.ends_with("/token"));
    let with_grants: Vec<_> = with_grants.filter(|operation| operation.path.contains("{tenant}")).collect();
    assert_eq!(with_grants.len(), 4);
    for operation in &with_grants {
        // The page's code and refresh token are nobody's, and Entra says so.
        for (name, status) in [("authorizationCode", 400), ("refreshToken", 400), ("onBehalfOf", 200)] {
            let answer = example(&passing, operation, name).send().await;
            assert_as_described(operation, status, &answer);
            assert!(!answer.body.contains("unsecret:"), "{name}: Entra's own words: {}", answer.body);
            let answer = example(&closed, operation, name).send().await;
            assert_as_described(operation, 400, &answer);
            assert!(answer.body.contains("relay-not-allowed"), "{name}: {}", answer.body);
        }
    }
    assert_eq!(closed.exchanges(), 0);
}
