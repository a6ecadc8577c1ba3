//! Web applications that sign a user in, renew and call on behalf of one, with their secret deleted (contract A14).
//!
//! The programs are `web_app.py` and `web_app.js`. They read one JSON object from stdin: `client`, what such an application
//! has in its configuration (`client_id`, `client_secret`: the local key, `authority`, `metadata_url`, `redirect_uri`,
//! `scope`, `next_scope`), and who comes along (`user`, `users_token`). They print one: who signed in, by the id token that
//! the library checked, and three `tokens`: of the sign-in, renewed, on behalf of the user.

use serde_json::{Map, Value, json};

use super::program::Runtime;
use crate::relay::{ADA, BOB, REDIRECT, plan, users_token, without_secret};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// Listed as an administrator would: what the application asks for, in its own spelling.
const RELAY_SCOPES: &str = "[\"User.Read\", \"https://graph.microsoft.com/User.Read\"]";

fn asked(world: &World, client: &str) -> Map<String, Value> {
    let authority = format!("https://localhost:{}/{TENANT}", world.https().port());
    let all = json!({
        "client": client,
        "client_id": CLIENT,
        "client_secret": world.key.secret().expose(),
        "authority": authority,
        "metadata_url": format!("{authority}/v2.0/.well-known/openid-configuration"),
        "redirect_uri": REDIRECT,
        "scope": "openid profile offline_access User.Read",
        "next_scope": format!("{GRAPH}/User.Read"),
        "user": ADA,
        "users_token": users_token(world, BOB),
    });
    let Value::Object(all) = all else { unreachable!() };
    all
}

/// The browser trusts Entra and the application the broker; the two are one program here.
pub fn roots_of_both(world: &World) -> std::path::PathBuf {
    let bundle = world.path("both.pem");
    let roots = [world.roots(), world.path("ca.pem")].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&bundle, roots.concat()).unwrap();
    bundle
}

async fn hold(runtime: Runtime, file: &str, client: &str) {
    let Some(program) = runtime.program() else { return };
    // The libraries judge the id token by the machine's clock.
    let world = without_secret(Plan { https: true, standing: false, ..plan(RELAY_SCOPES) }).await;
    let environment = runtime.trust(&roots_of_both(&world));
    let said = program.beside(file).say(&environment, &asked(&world, client)).await;
    assert_eq!(said["user"], ADA);
    let tokens = said["tokens"].as_array().unwrap();
    for (token, user) in tokens.iter().zip([ADA, ADA, BOB]) {
        let claims = world.claims(token.as_str().unwrap());
        let shown = ["upn", "appid", "scp", "appidacr"].map(|name| claims[name].as_str().unwrap());
        assert_eq!(shown, [user, CLIENT, "User.Read", "2"]);
    }
    assert_ne!(tokens[0], tokens[1], "renewed");
    let journal = world.emulator.journal();
    let seen: Vec<_> = journal.iter().map(|entry| (entry.grant.as_deref().unwrap(), entry.credential)).collect();
    let grants = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"];
    assert_eq!(
        seen,
        grants.map(|grant| (grant, "client_assertion")),
        "Entra saw an assertion each time, and no secret"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_application_with_authlib_signs_a_user_in_without_a_secret() {
    hold(Runtime::Python, "web_app.py", "Authlib").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_application_with_msal_signs_a_user_in_without_a_secret() {
    hold(Runtime::Python, "web_app.py", "msal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_application_with_openid_client_signs_a_user_in_without_a_secret() {
    hold(Runtime::Node, "web_app.js", "openid-client").await;
}
