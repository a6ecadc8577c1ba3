//! A web application whose users sign in at the emulator, and whose token requests go through the broker (contract A14).
//!
//! What each part does by itself is tried beside it (`policy/relay.rs`, `broker/relay/`, `mint/relay.rs`, `emulator/`);
//! here they are joined. The application's secret is deleted before anything is asked.

mod canaries;
mod grants;
mod held;
mod places;
mod refused;
mod sent_once;

use std::collections::BTreeMap;

use unsecret::ids::Guid;
use unsecret::secret::Fingerprint;
use unsecret::secret::local_key::LocalKey;

use crate::support::browser::Browser;
use crate::support::http::{Answer, Call, Place};
use crate::support::world::{AUDIENCE, CLIENT, GRAPH, ISSUER, OTHER_CLIENT, Plan, SUBJECT, TENANT, VAULT, World};

pub const ADA: &str = "ada@contoso.onmicrosoft.com";
pub const BOB: &str = "bob@contoso.onmicrosoft.com";
pub const REDIRECT: &str = "http://localhost:8080/signed-in";
pub const SECRET: &str = "abc8Q~canary-of-the-secret-that-is-deleted";
const VERIFIER: &str = "canary-verifier-that-is-long-enough-to-be-hashed-0123456789";
const SCOPE: &str = "openid profile offline_access User.Read";
const OBO: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const V2: &str = "oauth2/v2.0/token";

/// Two applications with users, the first of which may have these scopes passed on, and the second any.
pub fn plan(relay_scopes: &str) -> Plan {
    let consents =
        format!("consents = [\"{GRAPH}/User.Read\", \"{VAULT}/user_impersonation\"]\nredirect_uris = [\"{REDIRECT}\"]");
    let users = [ADA, BOB].map(|name| format!("[[user]]\ntenant = \"{TENANT}\"\nname = \"{name}\"\n")).concat();
    Plan {
        identity: format!("relay_scopes = {relay_scopes}\ndiscovery = \"entra\"\n"),
        application: format!("secrets = [\"{SECRET}\"]\n{consents}\n"),
        emulator: format!(
            "{users}[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{OTHER_CLIENT}\"\n{consents}\n\
             [[application.federated_credential]]\nissuer = \"{ISSUER}\"\nsubject = \"{SUBJECT}\"\n\
             audience = \"{AUDIENCE}\"\n"
        ),
        environment: vec![("ORDERS_KEY", LocalKey::generate().unwrap().secret().expose().to_owned())],
        more: format!(
            "[[identity]]\nname = \"orders\"\ntenant = \"{TENANT}\"\nclient_id = \"{OTHER_CLIENT}\"\n\
             authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = [\"*\"]\n\
             relay_scopes = [\"*\"]\ndiscovery = \"entra\"\nassertion = {{ file = \"{{folder}}/token\" }}\n\
             [[identity.caller]]\nkey_env = \"ORDERS_KEY\"\n"
        ),
        standing: true,
        ..Plan::default()
    }
}

/// A world of this plan, in which Entra knows no secret any more.
pub async fn without_secret(plan: Plan) -> World {
    let world = World::of(plan).await;
    world.emulator.remove_secret(&Guid::parse(CLIENT).unwrap()).unwrap();
    world
}

async fn world() -> World {
    without_secret(plan("[\"*\"]")).await
}

/// The name of the test's own API, whose tokens users bring along.
fn own_api() -> String {
    format!("api://{CLIENT}/access_as_user")
}

/// A user's token for the first application, as a client of its API would show it.
pub fn users_token(world: &World, user: &str) -> String {
    let caller = Guid::parse(OTHER_CLIENT).unwrap();
    world.emulator.user_token(user, &caller, &own_api()).unwrap().expose().to_owned()
}

/// A web application: who it says it is, and where it asks.
#[derive(Clone)]
struct Web<'w> {
    world: &'w World,
    client_id: &'static str,
    /// Where its secret was.
    key: String,
    place: Place,
    path: String,
}

impl<'w> Web<'w> {
    /// The first application.
    fn billing(world: &'w World) -> Self {
        let key = world.key.secret().expose().to_owned();
        Self { world, client_id: CLIENT, key, place: world.http().into(), path: format!("/{TENANT}/{V2}") }
    }

    /// The second one.
    fn orders(world: &'w World) -> Self {
        let key = world.plan.environment[0].1.clone();
        Self { client_id: OTHER_CLIENT, key, ..Self::billing(world) }
    }

    fn with_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// The form with the credential in it.
    fn call(&self, fields: &[(&str, &str)]) -> Call {
        let own = [("client_id", self.client_id), ("client_secret", self.key.as_str())];
        let all: Vec<_> =
            own.into_iter().filter(|(_, value)| !value.is_empty()).chain(fields.iter().copied()).collect();
        Call::form(self.place.clone(), self.path.clone(), &all)
    }

    async fn ask(&self, fields: &[(&str, &str)]) -> Answer {
        self.call(fields).send().await
    }

    /// Has a user sign in, with PKCE and a nonce.
    async fn code(&self, user: &str) -> String {
        let host = self.world.emulator.authority_host();
        let visit: BTreeMap<_, _> = [
            ("client_id", self.client_id),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("login_hint", user),
            ("code_challenge", &Fingerprint::of(VERIFIER.as_bytes()).base64url()),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        let endpoint = format!("{host}/{TENANT}/oauth2/v2.0/authorize");
        Browser::of(&self.world.emulator).visit(&endpoint, &visit).await.code()
    }

    async fn redeem(&self, code: &str) -> Answer {
        self.ask(&redemption(code)).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", SCOPE)]).await
    }

    async fn behalf(&self, token: &str) -> Answer {
        self.ask(&behalf(token)).await
    }
}

fn redemption(code: &str) -> [(&'static str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("scope", SCOPE),
    ]
}

fn behalf(token: &str) -> [(&'static str, &str); 4] {
    [
        ("grant_type", OBO),
        ("assertion", token),
        ("requested_token_use", "on_behalf_of"),
        ("scope", "https://graph.microsoft.com/User.Read"),
    ]
}

/// How often a grant of the first identity ended so.
async fn relays(world: &World, grant: &str, outcome: &str) -> f64 {
    let series = format!(r#"unsecret_relays_total{{grant="{grant}",identity="billing",outcome="{outcome}"}}"#);
    world.metric(&series).await
}
