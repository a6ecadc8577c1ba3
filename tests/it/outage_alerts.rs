//! A scripted outage, watched by a real Prometheus: the right alerts fire, clear again, and the dashboard has something to show.
//!
//! Prometheus knows no clock but the machine's, so its rules are shortened and the broker's time is driven: **one scrape, every
//! half second, is one minute of the broker's**. Every `for`, range and offset of the rules is divided by the same 120. What
//! compares a time of expiry with now stands as it is: the broker's hour is no hour for Prometheus, so these alerts are tried
//! by `promtool` alone, but for the certificate, whose days are days to both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::emulator::Fault;
use unsecret::ids::Guid;
use unsecret::local_ca::ClientCertificate;

use super::support::prometheus::{Prometheus, program};
use super::support::world::{AUDIENCE, CLIENT, GRAPH, ISSUER, Plan, SUBJECT, TENANT, VAULT, World, imds, until};

const SHORTENED: u64 = 120;
const MINUTE: Duration = Duration::from_secs(60);
/// By then every token is due, and has about ten minutes left.
const DUE: Duration = Duration::from_secs(50 * 60);

const NO_CREDENTIAL: &str = "55555555-0000-4000-8000-000000000001";
const NO_ISSUER: &str = "55555555-0000-4000-8000-000000000002";
const LATE: &str = "55555555-0000-4000-8000-000000000003";
const SOURCELESS: &str = "55555555-0000-4000-8000-000000000004";
const WELL: &str = "55555555-0000-4000-8000-000000000005";
const ENDING: &str = "55555555-0000-4000-8000-000000000006";

/// What this world has no part for; Prometheus is told of them by somebody else.
const ELSEWHERE: &str = "\
# TYPE unsecret_assertion_source_expiry_timestamp_seconds gauge
unsecret_assertion_source_expiry_timestamp_seconds{identity=\"job\"} 4e9
# TYPE unsecret_upstream_retry_after_timestamp_seconds gauge
unsecret_upstream_retry_after_timestamp_seconds{authority=\"login.microsoftonline.com\"} 1
# TYPE unsecret_passed_through_total counter
unsecret_passed_through_total{host=\"login.microsoftonline.com\",code=\"200\"} 3
# TYPE unsecret_relays_total counter
unsecret_relays_total{identity=\"web\",grant=\"on_behalf_of\",outcome=\"success\"} 3
# TYPE unsecret_injector_admission_requests_total counter
unsecret_injector_admission_requests_total{result=\"injected\",reason=\"none\"} 9
unsecret_injector_admission_requests_total{result=\"denied\",reason=\"leftover-secret\"} 1
# TYPE unsecret_injector_admission_duration_seconds histogram
unsecret_injector_admission_duration_seconds_bucket{le=\"0.005\"} 10
unsecret_injector_admission_duration_seconds_bucket{le=\"+Inf\"} 10
unsecret_injector_admission_duration_seconds_sum 0.01
unsecret_injector_admission_duration_seconds_count 10
# TYPE unsecret_injector_serving_cert_not_after_timestamp_seconds gauge
unsecret_injector_serving_cert_not_after_timestamp_seconds 4e9
# TYPE unsecret_injector_ca_bundle_in_sync gauge
unsecret_injector_ca_bundle_in_sync 1
";

/// What each name of an identity fires, and nobody else's may.
const BY_IDENTITY: [(&str, &str); 5] = [
    ("UnsecretAssertionOutOfRange", "late"),
    ("UnsecretAssertionSourceFailing", "sourceless"),
    ("UnsecretIssuerUnreachable", "no-issuer"),
    ("UnsecretSinkFailing", "well"),
    ("UnsecretTokenRejectedByEntra", "no-credential"),
];

/// What else fires.
const OF_ALL: [&str; 7] = [
    "UnsecretCallersRefused",
    "UnsecretCertificateExpiresSoon",
    "UnsecretConfigReloadFailed",
    "UnsecretNeverAsked",
    "UnsecretNotReady",
    "UnsecretThrottled",
    "UnsecretTokenRefreshFailing",
];

/// One that keeps its tokens fresh, proven by the platform token in this file.
fn identity(name: &str, client: &str, file: &str) -> String {
    format!(
        "[[identity]]\nname = \"{name}\"\ntenant = \"{TENANT}\"\nclient_id = \"{client}\"\n\
         authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = [\"{GRAPH}/.default\"]\n\
         prefetch = [\"{GRAPH}/.default\"]\nassertion = {{ file = \"{{folder}}/{file}\" }}\nany_local_caller = true\n"
    )
}

fn plan() -> Plan {
    let now = SystemClock::new().now();
    let ending = ClientCertificate::create("ending", now, Duration::from_secs(20 * 86_400)).unwrap();
    let names = [("no-credential", NO_CREDENTIAL), ("no-issuer", NO_ISSUER), ("late", LATE)];
    let mut more: String = names.iter().map(|(name, client)| identity(name, client, "token")).collect();
    more.push_str(&identity("sourceless", SOURCELESS, "own-token"));
    more.push_str(&identity("well", WELL, "token"));
    let ending_identity = format!(
        "[[identity.sink]]\nfile = \"{{folder}}/kept.token\"\nscope = \"{GRAPH}/.default\"\nreload = [\"/bin/true\"]\n\
         [[identity]]\nname = \"ending\"\ntenant = \"{TENANT}\"\nclient_id = \"{ENDING}\"\n\
         authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = [\"{GRAPH}/.default\"]\n\
         assertion = {{ certificates = [{{ certificate = \"{{folder}}/ending.pem\", key = \"file:{{folder}}/ending.key\" }}] }}\n\
         any_local_caller = true\n"
    );
    more.push_str(&ending_identity);
    let application = |client: &str| {
        format!(
            "[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{client}\"\n[[application.federated_credential]]\n\
             issuer = \"{ISSUER}\"\nsubject = \"{SUBJECT}\"\naudience = \"{AUDIENCE}\"\n"
        )
    };
    Plan {
        identity: format!("any_local_caller = true\nprefetch = [\"{GRAPH}/.default\"]\n"),
        more,
        emulator: [NO_CREDENTIAL, NO_ISSUER, LATE, SOURCELESS, WELL].map(application).concat(),
        files: vec![("ending.pem", ending.certificate_pem.clone()), ("ending.key", ending.key_pem.expose().to_owned())],
        scopes: vec![GRAPH],
        https: true,
        ..Plan::default()
    }
}

/// The rules with every `for`, range and offset divided.
fn shortened(rules: &str) -> String {
    let mut short = String::new();
    let mut rest = rules;
    let openings = ["for: ", "[", "offset "];
    while let Some(place) = openings.iter().filter_map(|it| Some(rest.find(it)? + it.len())).min() {
        short.push_str(&rest[..place]);
        rest = &rest[place..];
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
        let seconds = match rest[digits..].chars().next() {
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            // A word that only looks like one of them.
            _ => continue,
        };
        if let Ok(number) = rest[..digits].parse::<u64>() {
            short.push_str(&(number * seconds * 1_000 / SHORTENED).to_string());
            short.push_str("ms");
            rest = &rest[digits + 1..];
        }
    }
    short + rest
}

fn rules() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/unsecret/rules/alerts.yaml")).unwrap()
}

/// A scrape target that always says the same.
async fn elsewhere() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{ELSEWHERE}", ELSEWHERE.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// The broker in its world, and who watches it.
struct Ward {
    world: World,
    prometheus: Prometheus,
}

impl Ward {
    /// Until the next scrape; then a minute passes for the broker.
    async fn minute(&self) {
        let before = self.prometheus.scraped("unsecret_ready").await;
        until("the next scrape", async || {
            let now = self.prometheus.scraped("unsecret_ready").await;
            (now.is_some() && now != before).then_some(())
        })
        .await;
        self.world.pass(MINUTE).await;
        // As the platform does it, but for the one that it has forgotten.
        self.world.write_token();
        if self.world.path("own-token").exists() {
            std::fs::copy(self.world.path("token"), self.world.path("own-token")).unwrap();
        }
    }

    /// Lets minutes pass until these alerts fire, all at once.
    async fn until_alarmed(&self, wanted: &BTreeSet<String>) {
        let mut alarms = BTreeSet::new();
        for _ in 0..120 {
            self.minute().await;
            // Somebody asks for what no identity here may have.
            let refused = imds(self.world.http(), VAULT).query(&format!("client_id={CLIENT}")).send().await;
            assert_eq!(refused.status, 403, "{}", refused.body);
            alarms = self.prometheus.alarms().await;
            if alarms.is_superset(wanted) {
                return;
            }
        }
        panic!("never fired together: {:?}", wanted.difference(&alarms));
    }

    /// Lets minutes pass until exactly these alerts fire.
    async fn until_only(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let mut alarms = BTreeSet::new();
        for _ in 0..120 {
            self.minute().await;
            alarms = self.prometheus.alarms().await;
            if alarms == wanted {
                return;
            }
        }
        panic!("these fire: {alarms:?}");
    }

    fn fault(&self, client: &str, fault: Fault) {
        self.world.emulator.set_fault(Some(&Guid::parse(client).unwrap()), fault);
    }

    /// Everything at once, each for another identity.
    async fn outage(&self) {
        let refusal = |number, error: &str| Fault::Refuse { number, error: error.to_owned(), status: 400 };
        // With a time to wait the alert would last until the broker's clock says so, which is hours ahead by now.
        self.fault(CLIENT, Fault::Throttle { retry_after: None });
        self.fault(NO_CREDENTIAL, Fault::Propagation);
        self.fault(NO_ISSUER, refusal(90_061, "invalid_request"));
        self.fault(LATE, refusal(700_024, "invalid_client"));
        std::fs::remove_file(self.world.path("own-token")).unwrap();
        std::fs::remove_file(self.world.path("kept.token")).unwrap();
        std::fs::create_dir(self.world.path("kept.token")).unwrap();
        let mut broken = self.world.plan.clone();
        broken.listen.push_str("no_such_key = 1\n");
        self.world.app.reload(self.world.config_of(&broken)).await.unwrap_err();
        self.world.pass(DUE).await;
    }

    /// And everything is mended.
    async fn mended(&self) {
        self.world.emulator.clear_faults();
        std::fs::copy(self.world.path("token"), self.world.path("own-token")).unwrap();
        std::fs::remove_dir(self.world.path("kept.token")).unwrap();
        self.world.reload().await.unwrap();
        for client in [CLIENT, WELL] {
            let query = format!("client_id={client}&bypass_cache=true");
            let world = &self.world;
            until("a token comes again", async || {
                world.pass(MINUTE).await;
                (imds(world.http(), GRAPH).query(&query).send().await.status == 200).then_some(())
            })
            .await;
        }
    }

    /// What fired, by identity.
    async fn found_right(&self) {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for alert in self.prometheus.firing().await {
            let name = alert.labels["alertname"].clone();
            for (key, text) in &alert.annotations {
                let blank = ["<no value>", "<error", "{{", "  "].iter().any(|it| text.contains(it));
                assert!(!blank, "{name}, {key}: {text}");
            }
            let identity = alert.labels.get("identity").cloned().unwrap_or_default();
            found.entry(name).or_default().insert(identity);
        }
        for (name, identity) in BY_IDENTITY {
            assert_eq!(found[name], BTreeSet::from([identity.to_owned()]), "{name}");
        }
        assert!(!found["UnsecretTokenRefreshFailing"].contains("well"));
    }
}

/// Every query of the dashboard, as Grafana would ask it: title and expression.
fn queries() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/unsecret/dashboards/unsecret.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        panel["targets"].as_array().unwrap().iter().map(move |target| (title, target["expr"].as_str().unwrap()))
    });
    let everything = |text: &str| {
        let mut text = text.replace("$__rate_interval", "1m").replace("$__range", "1h");
        for variable in ["namespace", "pod", "instance", "identity"] {
            text = text.replace(&format!("\"${variable}\""), "\".*\"");
        }
        text
    };
    targets.map(|(title, expression)| (title.to_owned(), everything(expression))).collect()
}

#[tokio::test]
async fn an_outage_fires_the_right_alerts_and_its_end_clears_them() {
    let Some(program) = program("prometheus") else { return };
    let world = World::of(plan()).await;
    std::fs::copy(world.path("token"), world.path("own-token")).unwrap();
    until("all tokens are held", async || {
        world.pass(MINUTE).await;
        let page = world.admin_page("/metrics").await;
        page.contains("\nunsecret_ready 1\n").then_some(())
    })
    .await;
    let targets = [world.admin(), elsewhere().await];
    let ward = Ward { prometheus: Prometheus::start(&program, &targets, &shortened(&rules())).await, world };
    ward.minute().await;
    assert!(ward.prometheus.alarms().await.is_empty());

    ward.outage().await;
    let wanted = BY_IDENTITY.iter().map(|(name, _)| *name).chain(OF_ALL).map(str::to_owned).collect();
    ward.until_alarmed(&wanted).await;
    ward.found_right().await;
    ward.mended().await;
    ward.until_only(&["UnsecretCertificateExpiresSoon"]).await;

    for (seconds, alarm) in [(-120, "UnsecretClockSkew"), (-600, "UnsecretClockSkewCritical")] {
        ward.world.emulator.set_fault(None, Fault::ClockOffset { seconds });
        ward.world.pass(DUE).await;
        ward.until_alarmed(&BTreeSet::from([alarm.to_owned()])).await;
    }
    ward.world.emulator.clear_faults();
    ward.world.pass(DUE).await;
    ward.until_only(&["UnsecretCertificateExpiresSoon"]).await;

    for (title, expression) in queries() {
        let found = ward.prometheus.query(&expression).await;
        assert!(!found.is_empty(), "{title} shows nothing: {expression}");
    }
    judged(&ward.world.admin_page("/metrics").await);
}

/// A real scrape, as `promtool check metrics` judges it.
fn judged(page: &str) {
    let Some(promtool) = program("promtool") else { return };
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_time_in_the_rules_is_shortened_alike() {
    let rules = "for: 0m\n expr: a[1d] offset 10m > 900\nfor: 1h";
    assert_eq!(shortened(rules), "for: 0ms\n expr: a[720000ms] offset 5000ms > 900\nfor: 30000ms");
}
