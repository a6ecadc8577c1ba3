//! One emulator with every kind of application, and a client that trusts it.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonwebtoken::EncodingKey;
use reqwest::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use unsecret::clock::{Clock, ManualClock};
use unsecret::emulator::{
    ApplicationSettings, CertificateSource, Emulator, FederatedCredential, GithubSettings, IssuerSettings,
    PlatformToken, ResourceSettings, SecretSettings, Settings, TenantSettings, UserSettings,
};
use unsecret::ids::Guid;
use unsecret::local_ca::ClientCertificate;
use unsecret::secret::{Fingerprint, Secret};

use super::ask::{Ask, Key};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
pub(super) const DOMAIN: &str = "contoso.onmicrosoft.com";
pub(super) const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
/// An application that has nothing but a secret.
pub(super) const OTHER_CLIENT: &str = "55555555-dddd-4eee-8fff-666666666666";
pub(super) const SECRET: &str = "canary-secret-of-the-application";
pub(super) const EXPIRED_SECRET: &str = "canary-secret-of-last-year";
pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const OTHER_ISSUER: &str = "https://other.example/with/slash/";
/// Declared, but nothing answers there.
pub(super) const DEAD_ISSUER: &str = "https://dead.example";
pub(super) const SUBJECT: &str = "system:serviceaccount:default:Billing";
pub(super) const AUDIENCE: &str = "api://AzureADTokenExchange";
pub(super) const EXCHANGE_GUID: &str = "fb60f99c-7a34-4190-8149-302f77469936";
pub(super) const GITHUB_BEARER: &str = "canary-bearer-of-the-job";
pub(super) const ADA: &str = "ada@contoso.onmicrosoft.com";
pub(super) const BOB: &str = "bob@contoso.onmicrosoft.com";
pub(super) const REDIRECT: &str = "https://shop.example/signed-in";
pub(super) const PAGE: &str = "https://page.example/";
pub(super) const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-hashed-0123456789";
pub(super) const VAULT: &str = "https://vault.azure.net";
pub(super) const GRAPH: &str = "https://graph.microsoft.com";

/// Making an RSA key takes a noticeable fraction of a second, so all tests share these.
static CERTIFIED: LazyLock<Certified> = LazyLock::new(|| Certified::new(NOW, 30 * 86_400));
static OVER: LazyLock<Certified> = LazyLock::new(|| Certified::new(NOW - 10_000, 100));
/// Not uploaded at the start.
pub(super) static LATER: LazyLock<Certified> = LazyLock::new(|| Certified::new(NOW, 30 * 86_400));

/// A key with its certificate.
pub(super) struct Certified {
    pub(super) key: EncodingKey,
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
}

impl Certified {
    fn new(start: u64, life: u64) -> Self {
        let (start, life) = (ManualClock::standing(start).now(), Duration::from_secs(life));
        let made = ClientCertificate::create("an application", start, life).unwrap();
        Self {
            key: EncodingKey::from_rsa_pem(made.key_pem.expose().as_bytes()).unwrap(),
            der: CertificateDer::from_pem_slice(made.certificate_pem.as_bytes()).unwrap(),
            pem: made.certificate_pem,
        }
    }

    pub(super) fn sha256(&self) -> String {
        Fingerprint::of(&self.der).base64url()
    }
}

pub(super) struct World {
    pub(super) emulator: Emulator,
    pub(super) clock: Arc<ManualClock>,
    pub(super) client: Client,
    pub(super) certified: &'static Certified,
    /// Uploaded too, and no longer valid.
    pub(super) over: &'static Certified,
    /// The `kid` of [`ISSUER`].
    pub(super) kid: String,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(ManualClock::standing(NOW));
        let (certified, over) = (&*CERTIFIED, &*OVER);
        let mut settings = settings(certified, over);
        change(&mut settings);
        let emulator = Emulator::start(settings, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let ca = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let token = emulator.platform_token(ISSUER, &PlatformToken::new("s", "a")).unwrap();
        let kid = jsonwebtoken::decode_header(token.expose()).unwrap().kid.unwrap();
        Self { emulator, clock, client, certified, over, kid }
    }

    pub(super) fn token_url(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.emulator.authority_host())
    }

    /// A right request with a certificate assertion.
    pub(super) fn certificate(&self) -> Ask {
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.certified.sha256() });
        let claims = json!({
            "aud": self.token_url(), "iss": CLIENT, "sub": CLIENT, "jti": Guid::random().as_str(),
            "nbf": NOW, "iat": NOW, "exp": NOW + 600,
        });
        let ask = Ask::new(TENANT, "oauth2/v2.0/token").form("scope", "https://vault.azure.net/.default");
        ask.assertion(map(header), map(claims), Key::Certified)
    }

    /// A right request with a federated assertion.
    pub(super) fn federated(&self) -> Ask {
        let header = json!({ "alg": "RS256", "kid": self.kid });
        let claims = json!({
            "iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "nbf": NOW, "iat": NOW, "exp": NOW + 3_600,
        });
        let ask = Ask::new(TENANT, "oauth2/v2.0/token").form("scope", "https://vault.azure.net/.default");
        ask.assertion(map(header), map(claims), Key::Issuer(ISSUER))
    }
}

/// A right request with a secret.
pub(super) fn right_secret() -> Ask {
    Ask::new(TENANT, "oauth2/v2.0/token")
        .form("scope", "https://vault.azure.net/.default")
        .form("client_secret", SECRET)
}

/// A right request to the v1 endpoint.
pub(super) fn right_v1() -> Ask {
    Ask::new(TENANT, "oauth2/token").form("resource", VAULT).form("client_secret", SECRET)
}

fn settings(certified: &Certified, over: &Certified) -> Settings {
    let tenant = Guid::parse(TENANT).unwrap();
    let mut application = ApplicationSettings::new(tenant.clone(), Guid::parse(CLIENT).unwrap());
    application.secrets = vec![
        SecretSettings { value: Secret::new(SECRET), expires: Some(NOW + 86_400) },
        SecretSettings { value: Secret::new(EXPIRED_SECRET), expires: Some(NOW) },
    ];
    application.certificates = [certified, over].map(|held| CertificateSource::Pem(held.pem.clone())).to_vec();
    application.roles = vec!["Data.Read".into()];
    application.redirect_uris = vec![REDIRECT.into()];
    application.single_page_redirect_uris = vec![PAGE.into()];
    application.consents = vec![format!("{GRAPH}/User.Read"), format!("{VAULT}/user_impersonation")];
    application.federated_credentials = [
        (ISSUER, SUBJECT, AUDIENCE),
        (ISSUER, "guid-audience", EXCHANGE_GUID),
        (OTHER_ISSUER, SUBJECT, AUDIENCE),
        (DEAD_ISSUER, SUBJECT, AUDIENCE),
    ]
    .map(|(issuer, subject, audience)| FederatedCredential {
        issuer: issuer.into(),
        subject: subject.into(),
        audience: audience.into(),
    })
    .to_vec();
    let mut other = ApplicationSettings::new(tenant.clone(), Guid::parse(OTHER_CLIENT).unwrap());
    other.secrets = vec![SecretSettings { value: Secret::new(SECRET), expires: None }];
    other.redirect_uris = vec![REDIRECT.into()];
    other.consents = vec![format!("{GRAPH}/User.Read"), format!("api://{CLIENT}/access_as_user")];
    Settings {
        users: vec![user(ADA), user(BOB)],
        tenants: vec![TenantSettings { id: tenant, domains: vec![DOMAIN.into()] }],
        applications: vec![application, other],
        resources: vec![ResourceSettings {
            ids: vec![VAULT.into(), GRAPH.into(), "https://database.windows.net/".into()],
        }],
        issuers: vec![issuer(ISSUER), issuer(OTHER_ISSUER), dead_issuer()],
        ..Settings::default()
    }
}

fn user(name: &str) -> UserSettings {
    UserSettings { tenant: Guid::parse(TENANT).unwrap(), name: name.into(), object_id: None }
}

fn issuer(url: &str) -> IssuerSettings {
    let github = GithubSettings {
        request_token: Secret::new(GITHUB_BEARER),
        subject: SUBJECT.into(),
        owner_url: "https://github.com/octo-org".into(),
        token_lifetime: Duration::from_secs(300),
    };
    IssuerSettings { url: url.into(), at: loopback(0), ca_file: None, hosted: true, github: Some(github) }
}

fn dead_issuer() -> IssuerSettings {
    // Port 1 (tcpmux) is served nowhere; connecting is refused at once.
    IssuerSettings { url: DEAD_ISSUER.into(), at: loopback(1), ca_file: None, hosted: false, github: None }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}
