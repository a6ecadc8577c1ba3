//! The tenant in the path of the OAuth door: the identity's own, or another spelling of it.

use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, TENANT, World};

async fn ask(world: &World, tenant: &str, client_id: &str) -> Answer {
    let (scope, key) = (format!("{GRAPH}/.default"), world.key.secret().expose());
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", key),
        ("scope", scope.as_str()),
    ];
    Call::form(world.http(), format!("/{tenant}/oauth2/v2.0/token"), &fields).send().await
}

#[tokio::test]
async fn an_alias_of_the_tenant_is_served_and_entra_is_asked_with_the_tenants_own_name() {
    let world = World::new().await;
    for tenant in [TENANT, "contoso.onmicrosoft.com", "CONTOSO.onmicrosoft.com"] {
        let claims = world.claims(&ask(&world, tenant, CLIENT).await.token());
        assert_eq!(claims["tid"], TENANT, "{tenant}");
    }
    let journal = world.emulator.journal();
    assert_eq!((journal.len(), journal[0].tenant.as_str()), (1, TENANT));
}

#[tokio::test]
async fn another_tenant_and_an_unknown_client_id_get_entras_700016_with_our_remedy() {
    let world = World::new().await;
    let expected = [
        (ask(&world, "fabrikam.example", CLIENT).await, "unknown-tenant", "add this spelling to tenant_aliases"),
        (ask(&world, TENANT, OTHER_CLIENT).await, "unknown-identity", "identities of the unsecret configuration"),
    ];
    for (answer, code, remedy) in expected {
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.text("error"), "unauthorized_client");
        assert_eq!(answer.json()["error_codes"], serde_json::json!([700_016]));
        let description = answer.text("error_description");
        assert!(description.starts_with("AADSTS700016: "), "{description}");
        assert!(description.contains(&format!("(unsecret: {code})")) && description.contains(remedy), "{description}");
    }
    assert_eq!(world.exchanges(), 0, "Entra is not asked");
}
