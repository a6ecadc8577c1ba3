//! The running broker while a key in hardware is away, is another's, or comes back: a real SoftHSM.

use std::collections::BTreeMap;
use std::time::Duration;

use unsecret::app::{App, Machine};
use unsecret::clock::Clock as _;
use unsecret::listen::Inherited;
use unsecret::local_ca::ClientCertificate;
use unsecret::problem::Problem as _;

use crate::support::http::Call;
use crate::support::softhsm::{Softhsm, VARIABLE, finished};
use crate::support::unavailable::assert_unavailable;
use crate::support::world::{GRAPH, Plan, Source, VAULT, World, client};

const PIN: &str = "user-2468";
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// A token with one key, and the certificate over it.
struct Hsm {
    softhsm: Softhsm,
    certificate: ClientCertificate,
}

impl Hsm {
    /// `None` without SoftHSM.
    fn new() -> Option<Self> {
        let softhsm = Softhsm::new()?;
        softhsm.token("prod", PIN);
        let now = unsecret::clock::SystemClock::new().now();
        let certificate = ClientCertificate::create("in the token", now, LIFE).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        std::fs::write(&key, certificate.key_pem.expose()).unwrap();
        let mut import = softhsm.child("softhsm2-util");
        import.args(["--import", key.to_str().unwrap(), "--token", "prod", "--pin", PIN]);
        import.args(["--label", "billing", "--id", "01"]);
        finished(import);
        Some(Self { softhsm, certificate })
    }

    /// An identity with this certificate and, after it, one whose key is in a file if `older`.
    fn plan(&self, older: bool, more: &str) -> Plan {
        let module = self.softhsm.module().display();
        let key = format!("pkcs11:token=prod;object=billing?module-path={module}&pin-source=file:{{folder}}/pin");
        let older =
            if older { r#", { certificate = "{folder}/billing.pem", key = "file:{folder}/billing.key" }"# } else { "" };
        let newest = format!(r#"{{ certificate = "{{folder}}/token.pem", key = "{key}" }}"#);
        Plan {
            source: Source::Certificate,
            assertion: Some(format!("{{ certificates = [{newest}{older}]{more} }}")),
            more: format!("[pkcs11]\nenvironment = {:?}\n", BTreeMap::from([(VARIABLE, self.softhsm.config())]))
                .replace(": ", " = "),
            files: vec![("token.pem", self.certificate.certificate_pem.clone()), ("pin", PIN.to_owned())],
            environment: vec![("STATE_DIRECTORY", self.softhsm.config().with_file_name("state").display().to_string())],
            ..Plan::default()
        }
    }

    async fn world(&self, older: bool, more: &str) -> World {
        let world = World::of(self.plan(older, more)).await;
        world.emulator.add_certificate(&client(), &self.certificate.certificate_pem).unwrap();
        world
    }
}

/// The line of the certificate over the key in the token.
async fn line(world: &World) -> String {
    let page = world.admin_page("/readyz?verbose").await;
    page.lines().find(|line| line.contains("token.pem")).unwrap_or_else(|| panic!("{page}")).to_owned()
}

async fn readiness(world: &World) -> u16 {
    Call::get(world.admin(), "/readyz").send().await.status.as_u16()
}

/// A token, once it can be had. The clock goes on by a second at a time, and by at most a minute.
async fn back_within_a_minute(world: &World, resource: &str) -> String {
    let since = world.clock.now().mono;
    loop {
        let answer = world.imds(resource).send().await;
        if answer.status == 200 {
            return answer.token();
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(world.clock.now().mono < since + Duration::from_secs(60), "{}", answer.body);
        world.pass(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_token_that_is_away_at_the_start_leaves_the_broker_up_and_not_ready_until_it_is_back() {
    let Some(hsm) = Hsm::new() else { return };
    hsm.softhsm.take_away("prod");
    let world = hsm.world(false, "").await;
    assert_eq!(readiness(&world).await, 503);
    assert_unavailable(&world, "token-absent").await;
    let told = line(&world).await;
    assert!(told.contains(" days left (until ") && told.contains("[token-absent], remedy: "), "{told}");
    // Long enough for every backoff to have grown.
    for _ in 0..10 {
        world.pass(Duration::from_secs(30)).await;
        assert_eq!(world.imds(GRAPH).send().await.status, 503);
    }
    hsm.softhsm.put_back("prod");
    let token = back_within_a_minute(&world, GRAPH).await;
    assert_eq!(world.claims(&token)["aud"], GRAPH);
    world.until_ready().await;
    let told = line(&world).await;
    assert!(told.ends_with(", signs with PS256"), "{told}");
}

#[tokio::test]
async fn what_is_held_is_served_while_the_token_is_away_and_a_test_signature_tells_of_it() {
    let Some(hsm) = Hsm::new() else { return };
    let world = hsm.world(false, r#", test_every = "60s""#).await;
    let held = world.imds(GRAPH).send().await.token();
    hsm.softhsm.take_away("prod");
    world.pass(Duration::from_secs(60)).await;
    let told = world
        .until("the test signature fails", async |world| {
            Some(line(world).await).filter(|line| line.contains("key not usable"))
        })
        .await;
    assert!(!told.contains("user-2468"), "{told}");
    assert_eq!(world.imds(GRAPH).send().await.token(), held);
    assert_eq!(readiness(&world).await, 200, "what is held can be served");
    assert_eq!(world.imds(VAULT).send().await.status, 503);
    hsm.softhsm.put_back("prod");
    back_within_a_minute(&world, VAULT).await;
    let reset = world.metric(r#"unsecret_signer_session_resets_total{identity="billing"}"#).await;
    assert!(reset >= 1.0, "{reset}");
}

#[tokio::test]
async fn an_older_key_in_a_file_serves_for_a_token_that_is_away() {
    let Some(hsm) = Hsm::new() else { return };
    hsm.softhsm.take_away("prod");
    let world = hsm.world(true, "").await;
    world.until_ready().await;
    world.imds(GRAPH).send().await.token();
    let fields = world.emulator.journal();
    assert_eq!(fields.len(), 1, "Entra was not asked twice");
    assert!(line(&world).await.contains("key not usable"), "{}", line(&world).await);
    hsm.softhsm.put_back("prod");
    world.pass(Duration::from_secs(61)).await;
    world.imds(VAULT).send().await.token();
    assert!(line(&world).await.ends_with(", signs with PS256"), "{}", line(&world).await);
}

#[tokio::test]
async fn a_certificate_of_another_key_stops_the_start_and_names_both() {
    let Some(hsm) = Hsm::new() else { return };
    let world = World::new().await;
    let other = ClientCertificate::create("another", world.clock.now(), LIFE).unwrap();
    for (name, text) in [("token.pem", other.certificate_pem.as_str()), ("pin", PIN)] {
        std::fs::write(world.path(name), text).unwrap();
    }
    // Named by its label, since by the certificate there is none.
    let config = world.config_of(&hsm.plan(false, "")).unwrap();
    let machine = Machine {
        clock: world.clock.clone(),
        tick: Duration::from_millis(20),
        inherited: Inherited::default(),
        program: env!("CARGO_BIN_EXE_unsecret").into(),
        // As long as it takes on a loaded machine.
        patience: Duration::from_secs(60),
    };
    let refused = App::start(config, machine).await.unwrap_err();
    assert_eq!(refused.code(), "key-certificate-mismatch");
    assert!(refused.is_configuration(), "exit status 2");
    let text = unsecret::problem::chain(&refused);
    assert_eq!(text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64).count(), 3, "{text}");
}

#[tokio::test]
async fn hardware_settings_cannot_be_changed_by_a_reload() {
    let Some(hsm) = Hsm::new() else { return };
    let mut world = hsm.world(false, "").await;
    let held = world.imds(GRAPH).send().await.token();
    world.plan.more.push_str("limit = \"20s\"\n");
    let refused = world.reload().await.unwrap_err();
    assert_eq!(refused.code(), "reload-hardware-changed");
    assert!(refused.to_string().contains("`pkcs11.limit` was 10s and would become 20s"), "{refused}");
    assert_eq!(world.imds(GRAPH).send().await.token(), held);
}

#[tokio::test]
async fn doctor_shows_what_it_found_in_the_token_and_which_key_does_not_sign() {
    let Some(hsm) = Hsm::new() else { return };
    let world = hsm.world(true, "").await;
    let config = world.path("doctor.toml");
    std::fs::write(&config, world.config_text()).unwrap();
    let doctor = async || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_unsecret"));
        command.env_clear().env("STATE_DIRECTORY", &world.plan.environment[0].1);
        let output = command.args(["doctor", "--config"]).arg(&config).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let report = doctor().await;
    for part in ["found in `prod`: pkcs11:", ", RSA 2048", "RSA-PKCS-PSS", "the key belongs to the certificate"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    hsm.softhsm.take_away("prod");
    let report = doctor().await;
    let silent = format!("the key of `{}` does not sign: ", world.path("token.pem").display());
    assert!(report.contains(&silent) && report.contains("[token-absent]"), "{report}");
    assert!(report.contains("doubtful     source") && report.contains("Entra gave a token"), "{report}");
}
