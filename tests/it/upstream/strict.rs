//! Against the strict emulator: each source's assertion is accepted, and each fault it plays is called by its name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use unsecret::assertion::{AssertionSource, CertificateSource, Credential, FileSource, GithubSource};
use unsecret::broker::Mint as _;
use unsecret::clock::{Clock, SystemClock};
use unsecret::emulator::{self, Emulator, Fault, GithubSettings, PlatformToken, READY_MADE};
use unsecret::fault::Class;
use unsecret::ids::Guid;
use unsecret::local_ca::ClientCertificate;
use unsecret::mint::Exchange;
use unsecret::outbound::{Outbound, Settings};
use unsecret::secret::Secret;
use unsecret::signer::Algorithm;

use super::{CLIENT, Heard, graph, mint, told};

const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "system:serviceaccount:default:billing";
const AUDIENCE: &str = "api://AzureADTokenExchange";

struct Strict {
    emulator: Emulator,
    clock: Arc<dyn Clock>,
    dir: tempfile::TempDir,
}

impl Strict {
    async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut settings = emulator::Settings::from_toml(READY_MADE).unwrap();
        settings.listen.set_port(0);
        (settings.admin, settings.ca_file) = (None, None);
        settings.issuers[0].at.set_port(0);
        settings.issuers[0].github = Some(GithubSettings {
            request_token: Secret::new("runner"),
            subject: SUBJECT.to_owned(),
            owner_url: "https://github.com/o".to_owned(),
            token_lifetime: Duration::from_secs(300),
        });
        let emulator = Emulator::start(settings, Arc::clone(&clock)).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), emulator.ca_pem()).unwrap();
        Self { emulator, clock, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn outbound(&self) -> Settings {
        super::settings(self.path("ca.pem"))
    }

    fn mint(&self, source: impl AssertionSource + 'static) -> Exchange {
        mint(&self.emulator.authority_host(), self.outbound(), Arc::new(source), Arc::new(Heard::default()))
    }

    /// A source over a token file with a right token in it.
    fn file(&self) -> FileSource {
        let token = self.emulator.platform_token(ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).unwrap();
        std::fs::write(self.path("token"), token.expose()).unwrap();
        FileSource::new(self.path("token"), AUDIENCE.to_owned(), Arc::clone(&self.clock))
    }

    async fn works(&self, source: impl AssertionSource + 'static) {
        let fresh = self.mint(source).mint(graph().into()).await;
        let fresh = fresh.unwrap_or_else(|problem| panic!("{:?}", told(&problem)));
        let claims = self.emulator.verify(fresh.access_token.expose()).unwrap();
        assert_eq!(claims["appid"], CLIENT);
        assert_eq!(fresh.expires_in, Duration::from_secs(3_600));
    }
}

#[tokio::test]
async fn a_certificate_assertion_is_accepted_with_either_algorithm() {
    let strict = Strict::start().await;
    let client = Guid::parse(CLIENT).unwrap();
    let made = ClientCertificate::create("billing", strict.clock.now(), Duration::from_secs(3_600)).unwrap();
    let (certificate, key) = (strict.path("app.pem"), strict.path("app.key"));
    std::fs::write(&certificate, &made.certificate_pem).unwrap();
    std::fs::write(&key, made.key_pem.expose()).unwrap();
    strict.emulator.add_certificate(&client, &made.certificate_pem).unwrap();
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
        let credential = Credential::from_files(&certificate, &key, None).unwrap();
        let clock = Arc::clone(&strict.clock);
        let source = CertificateSource::open(client.clone(), algorithm, vec![credential], clock).await.unwrap();
        strict.works(source).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_not_blamed_on_the_certificates() {
    let strict = Strict::start().await;
    let client = Guid::parse(CLIENT).unwrap();
    let mut credentials = Vec::new();
    for name in ["newest", "older and gone"] {
        let made = ClientCertificate::create(name, strict.clock.now(), Duration::from_secs(3_600)).unwrap();
        let (certificate, key) = (strict.path("app.pem"), strict.path("app.key"));
        std::fs::write(&certificate, &made.certificate_pem).unwrap();
        std::fs::write(&key, made.key_pem.expose()).unwrap();
        credentials.push(Credential::from_files(&certificate, &key, None).unwrap());
        if name == "newest" {
            strict.emulator.add_certificate(&client, &made.certificate_pem).unwrap();
        }
    }
    let clock = Arc::clone(&strict.clock);
    let source = CertificateSource::open(client, Algorithm::Ps256, credentials, clock).await.unwrap();
    strict.emulator.set_fault(None, Fault::ClockOffset { seconds: 1_200 });
    let problem = strict.mint(source).mint(graph().into()).await.unwrap_err();
    assert_eq!((problem.numbers[0], problem.class), (700_024, Class::Fresh));
    assert_eq!(strict.emulator.journal().len(), 2, "one fresh assertion, and by the same certificate");
    assert!(problem.problem.remedy().unwrap().contains("`exp` "), "{:?}", told(&problem));
}

#[tokio::test]
async fn a_token_file_and_githubs_token_are_accepted() {
    let strict = Strict::start().await;
    strict.works(strict.file()).await;
    let url = strict.emulator.github_request_url(ISSUER).unwrap().parse().unwrap();
    let outbound = Arc::new(Outbound::new(strict.outbound()));
    let clock = Arc::clone(&strict.clock);
    strict.works(GithubSource::new(outbound, &url, Secret::new("runner"), AUDIENCE.to_owned(), clock)).await;
}

#[tokio::test]
async fn each_fault_on_demand_has_its_name() {
    let strict = Strict::start().await;
    let mint = strict.mint(strict.file());
    for (fault, code, class) in [
        (Fault::Throttle { retry_after: Some(7) }, "entra-transient", Class::Transient),
        (Fault::Status { status: 503, retry_after: None }, "entra-transient", Class::Transient),
        (Fault::Propagation, "entra-propagation", Class::Propagation),
        (Fault::Html { status: 200 }, "not-from-entra", Class::Transient),
        (Fault::Garbage, "not-from-entra", Class::Transient),
        (Fault::HugeBody { bytes: 1 << 20 }, "answer-too-large", Class::Transient),
        (Fault::Reset, "connection-broken", Class::Transient),
    ] {
        strict.emulator.set_fault(None, fault);
        let problem = mint.mint(graph().into()).await.unwrap_err();
        assert_eq!((problem.problem.code(), problem.class), (code, class), "{:?}", told(&problem));
        strict.emulator.clear_faults();
    }
    strict.works(strict.file()).await;
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_a_timeout() {
    let strict = Strict::start().await;
    let impatient = Settings { deadline: Duration::from_millis(300), ..strict.outbound() };
    let observer = Arc::new(Heard::default());
    let mint = mint(&strict.emulator.authority_host(), impatient, Arc::new(strict.file()), observer);
    for fault in [Fault::Hang, Fault::SlowBody { pause_ms: 60_000 }] {
        strict.emulator.set_fault(None, fault);
        assert_eq!(mint.mint(graph().into()).await.unwrap_err().problem.code(), "upstream-timeout");
    }
}

#[tokio::test]
async fn a_wrong_subject_is_shown_beside_the_remedy() {
    let strict = Strict::start().await;
    let source = strict.file();
    let token = PlatformToken::new("system:serviceaccount:default:Billing", AUDIENCE);
    let token = strict.emulator.platform_token(ISSUER, &token).unwrap();
    std::fs::write(strict.path("token"), token.expose()).unwrap();
    let problem = strict.mint(source).mint(graph().into()).await.unwrap_err();
    let remedy = problem.problem.remedy().unwrap().into_owned();
    assert!(remedy.contains("subject `system:serviceaccount:default:Billing`"), "{remedy}");
    assert!(remedy.contains("issuer `https://issuer.example`"), "{remedy}");
}
