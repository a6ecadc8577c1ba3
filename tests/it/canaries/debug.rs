//! `{:?}` and `{:#?}` of everything public that holds a secret.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use unsecret::assertion::{AssertionSource, CertificateSource, Credential, FileSource, GithubSource, Wanted};
use unsecret::authority::Authority;
use unsecret::broker::{Fresh, Minted};
use unsecret::clock::Clock;
use unsecret::config::Environment;
use unsecret::dialect::{self, Dialect as _, Imds};
use unsecret::emulator::{SecretSettings, Settings};
use unsecret::entra::{Entra, TokenRequest};
use unsecret::ids::{Door, Guid, IdentityName, Resource, Tenant};
use unsecret::local_ca::ClientCertificate;
use unsecret::mint::{Exchange, Timing};
use unsecret::observe::{Fanout, Observer};
use unsecret::outbound::{self, Outbound};
use unsecret::policy::{Ask, Selector};
use unsecret::secret::Secret;
use unsecret::secret::local_key::LocalKey;
use unsecret::signer::{Algorithm, FileSigner};

use super::Hunt;
use super::logs::{ENTRA_SHAPED, PKCS12_PASSWORD, pkcs12, planted};
use crate::support::world::{CLIENT, GITHUB_BEARER, GRAPH, TENANT, World};

const TOKEN: &str = "eyJjYW5hcnkiOiJvZiBhIHRva2VuIn0.eyJjYW5hcnkiOiJvZiBpdHMgYm9keSJ9.Y2FuYXJ5LW9mLWEtc2ln";

impl Hunt {
    fn search_debug(&self, what: &str, value: &impl Debug) {
        self.search(what, &format!("{value:?}"));
        self.search(what, &format!("{value:#?}"));
    }
}

async fn world_and_hunt() -> (World, Hunt) {
    let world = World::new().await;
    let mut hunt = planted(&world);
    hunt.hide("a token", TOKEN);
    hunt.hide("an access token", &world.imds(GRAPH).send().await.token());
    (world, hunt)
}

#[tokio::test]
async fn values_that_hold_secrets_do_not_print_them() {
    let (world, hunt) = world_and_hunt().await;
    let secret = Secret::new(TOKEN);
    hunt.search_debug("Secret", &secret);
    hunt.search_debug("Fingerprint", &secret.fingerprint());
    hunt.search_debug("LocalKey", &world.key);
    for text in [ENTRA_SHAPED, &TOKEN[..20], world.key.secret().expose().trim_end_matches(char::is_alphanumeric)] {
        hunt.search_debug("the outcome of LocalKey::parse", &LocalKey::parse(text));
    }
    let variables = [("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_BEARER), ("KEY", ENTRA_SHAPED)];
    hunt.search_debug("Environment", &Environment::from_iter(variables));
    for plan in super::logs::every_source(&world) {
        hunt.search_debug("Config", &world.config_of(&plan).unwrap());
    }
    let value = SecretSettings { value: Secret::new(ENTRA_SHAPED), expires: None };
    hunt.search_debug("SecretSettings", &value);
    let github = format!(
        "[[issuer]]\nurl = \"https://i.example\"\nat = \"127.0.0.1:0\"\nhosted = true\n\
         github = {{ request_token = \"{GITHUB_BEARER}\", subject = \"s\", owner_url = \"https://github.com/c\" }}\n"
    );
    let application =
        format!("[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\nsecrets = [\"{ENTRA_SHAPED}\"]\n");
    let settings = format!("[[tenant]]\nid = \"{TENANT}\"\n{application}{github}");
    hunt.search_debug("the emulator's Settings", &Settings::from_toml(&settings).unwrap());
    let wrong = settings.replace("at =", "att =").replace("secrets =", "secret =");
    hunt.search_debug("the emulator's SettingsProblems", &Settings::from_toml(&wrong).unwrap_err());
    let certificate = ClientCertificate::create("x", world.clock.now(), Duration::from_secs(60)).unwrap();
    let mut key = Hunt::default();
    for line in certificate.key_pem.expose().lines().filter(|line| line.len() == 64) {
        key.hide("the key that was made", line);
    }
    key.search_debug("ClientCertificate", &certificate);
    hunt.search_debug("World's app", &world.app);
    hunt.search_debug("Emulator", &world.emulator);
}

#[tokio::test]
async fn requests_and_tokens_do_not_print_what_they_carry() {
    let (world, hunt) = world_and_hunt().await;
    let ask = Ask {
        door: Door::Oauth,
        selector: Selector::None,
        tenant: None,
        resource: GRAPH.into(),
        key: Some(ENTRA_SHAPED.into()),
        raw_key: Some(world.key.secret().expose().into()),
        capable: false,
        renew: None,
    };
    hunt.search_debug("Ask", &ask);
    let mut headers = HeaderMap::new();
    headers.insert("x-identity-header", ENTRA_SHAPED.parse().unwrap());
    let body = format!("client_secret={}", world.key.secret().expose());
    let request = dialect::Request {
        method: &http::Method::POST,
        path: "/x",
        query: TOKEN,
        headers: &headers,
        body: body.as_bytes(),
    };
    hunt.search_debug("dialect::Request", &request);
    let resource = Resource::parse(GRAPH).unwrap();
    let fresh = Fresh {
        access_token: Secret::new(TOKEN),
        expires_in: Duration::from_secs(60),
        ext_expires_in: None,
        refresh_in: None,
    };
    hunt.search_debug("Fresh", &fresh);
    let minted = Minted::new(fresh, Guid::parse(CLIENT).unwrap(), resource, world.clock.now());
    assert!(String::from_utf8(Imds.render(&minted, world.clock.now()).to_vec()).unwrap().contains(TOKEN));
    hunt.search_debug("Minted with a rendered body", &minted);
}

#[tokio::test]
async fn what_proves_who_we_are_does_not_print_itself() {
    let (world, mut hunt) = world_and_hunt().await;
    let clock: Arc<dyn Clock> = world.clock.clone();
    let client_id = Guid::parse(CLIENT).unwrap();
    let authority = Authority::at_host(&world.emulator.authority_host(), Tenant::parse(TENANT).unwrap()).unwrap();
    let settings = outbound::Settings { ca_file: Some(world.path("ca.pem")), ..outbound::Settings::default() };
    let outbound = Arc::new(Outbound::new(settings));
    let p12 = world.path("app.p12");
    std::fs::write(&p12, pkcs12(PKCS12_PASSWORD)).unwrap();
    std::fs::write(world.path("password"), PKCS12_PASSWORD).unwrap();
    let signer = FileSigner::open(&p12, Some(&world.path("password"))).unwrap();
    hunt.search_debug("FileSigner", &signer);
    std::fs::write(world.path("password"), format!("{PKCS12_PASSWORD}x")).unwrap();
    hunt.search_debug("SignError", &FileSigner::open(&p12, Some(&world.path("password"))).unwrap_err());
    let credential = Credential::from_files(&world.path("billing.pem"), &world.path("billing.key"), None).unwrap();
    hunt.search_debug("Credential", &credential);
    let certificates = CertificateSource::open(client_id.clone(), Algorithm::Ps256, vec![credential], clock.clone());
    let bearer = Secret::new(GITHUB_BEARER);
    let audience = "api://AzureADTokenExchange".to_owned();
    let url = url::Url::parse(&world.github_url()).unwrap();
    let sources: [Arc<dyn AssertionSource>; 3] = [
        Arc::new(FileSource::new(world.path("token"), audience.clone(), clock.clone())),
        Arc::new(GithubSource::new(outbound.clone(), &url, bearer, audience, clock.clone())),
        Arc::new(certificates.await.unwrap()),
    ];
    let token_url = authority.token_url();
    for source in sources {
        let what = source.kind();
        let wanted = Wanted { token_url: token_url.as_str(), refused: &[] };
        let assertion = source.assertion(wanted).await.unwrap();
        hunt.hide(&format!("an assertion of {what}"), assertion.jwt.expose());
        hunt.search_debug(&format!("Assertion of {what}"), &assertion);
        hunt.search_debug(&format!("source {what}"), &source);
        let entra = Entra::new(outbound.clone(), clock.clone());
        let resource = Resource::parse(GRAPH).unwrap();
        let (presented, claims) = (unsecret::facts::Facts::default(), unsecret::claims::Claims::default());
        let ask = TokenRequest {
            authority: &authority,
            client_id: &client_id,
            resource: &resource,
            claims: &claims,
            assertion: &assertion.jwt,
            presented: &presented,
        };
        hunt.search_debug("TokenRequest", &ask);
        let exchanged = entra.exchange(ask).await.unwrap();
        hunt.hide("an exchanged token", exchanged.granted.access_token.expose());
        hunt.search_debug("Exchanged", &exchanged);
        // A certificate's assertion works once: Entra sees its `jti` again.
        if what == "certificate" {
            hunt.search_debug("EntraError", &entra.exchange(ask).await.unwrap_err());
        }
        let observer: Arc<dyn Observer> = Arc::new(Fanout::default());
        let name = IdentityName::parse("billing").unwrap();
        let timing = Timing::new(clock.clone());
        let exchange = Exchange::new(name, authority.clone(), client_id.clone(), source, entra, timing, observer);
        hunt.search_debug("Exchange", &exchange);
    }
    hunt.search_debug("Outbound", &outbound);
    for broken in ["eyJhbGciOiJSUzI1NiJ9.broken", &TOKEN[..50], TOKEN] {
        world.put_token(broken);
        let source = FileSource::new(world.path("token"), "a".to_owned(), clock.clone());
        let wanted = Wanted { token_url: token_url.as_str(), refused: &[] };
        let error = source.assertion(wanted).await.unwrap_err();
        hunt.search_debug("AssertionError", &error);
        hunt.search("AssertionError", &unsecret::problem::chain(&error));
    }
}
