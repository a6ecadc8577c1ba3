//! The whole broker behind an inspecting CONNECT proxy with a password, on the proxy's bad days.
//!
//! Each of them: who holds a token keeps it, on every door; who holds none hears 503 and whose fault it is; and it is
//! over without a restart, soon after its cause is.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::far_end::{Reply, ca};
use crate::support::proxy::{ALIAS, Connect, Mode, Proxy, basic};
use crate::support::world::{CLIENT, GRAPH, Plan, VAULT, World};

const ONE: &str = "user:canary-one";
const TWO: &str = "user:canary-two";
const INSPECTION: &str = "inspection CA";

/// The refresh of an hour-long token is due, its end and the margin before it are not near.
const TO_REFRESH: Duration = Duration::from_secs(50 * 60);
/// The longest pause between tries, after whatever a proxy did.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

struct Company {
    world: World,
    proxy: Proxy,
    folder: TempDir,
}

impl Company {
    async fn new() -> Self {
        Self::of(|proxy| {
            let identity = format!("{}proxy = \"{}\"\n", Plan::default().identity, proxy.url());
            Plan { identity, ..Plan::default() }
        })
        .await
    }

    /// `plan` says how the broker comes to know of the proxy.
    async fn of(plan: impl FnOnce(&Proxy) -> Plan) -> Self {
        let inspection = ca(INSPECTION);
        let proxy = Proxy::start(ONE, &inspection).await;
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("proxy-password");
        fs::write(&password, format!("{ONE}\n")).unwrap();
        let mut plan = Plan { standing: true, ca_pem: Some(inspection.certificate_pem().to_owned()), ..plan(&proxy) };
        plan.identity = format!("{}proxy_auth_file = \"{}\"\n", plan.identity, password.display());
        let world = World::of(plan).await;
        let entra = url::Url::parse(&world.emulator.authority_host()).unwrap();
        proxy.lead_to(([127, 0, 0, 1], entra.port().unwrap()).into(), world.emulator.ca_pem());
        Self { world, proxy, folder }
    }

    fn write_password(&self, text: &str) {
        fs::write(self.folder.path().join("proxy-password"), text).unwrap();
    }

    fn write_roots(&self, text: &str) {
        fs::write(self.world.path("ca.pem"), text).unwrap();
    }

    async fn held(&self) -> String {
        self.world.oauth(GRAPH).send().await.token()
    }

    async fn network_errors(&self) -> f64 {
        let series = r#"unsecret_token_requests_total{aadsts="none",identity="billing",outcome="network_error"}"#;
        self.world.metric(series).await
    }

    async fn readiness(&self) -> String {
        self.world.admin_page("/readyz?verbose").await
    }

    /// The refresh falls into the bad day: its fault is named, and `held` is served all the same.
    async fn refresh_fails(&self, held: &str, code: &str, remedy: &str) {
        let before = self.network_errors().await;
        self.world.write_token();
        self.world.pass(TO_REFRESH).await;
        let page = self.world.until("a failed refresh", async |_| failed(&self.readiness().await)).await;
        assert!(page.contains(&format!("[{code}]")) && page.contains(remedy), "{code}: {page}");
        assert!(next_try(&page) <= LONGEST_PAUSE.as_secs(), "{page}");
        assert!(self.network_errors().await > before, "{code}");
        for (door, call) in self.world.every_door(GRAPH) {
            assert_eq!(call.send().await.token(), held, "{code} at {door}");
        }
        no_password_in(&page);
        no_password_in(&self.world.admin_page("/metrics").await);
    }

    /// Who holds nothing hears on every door that it passes, and whose fault it is.
    async fn newcomers_hear(&self, code: &str) {
        for (door, call) in self.world.every_door(VAULT) {
            let answer = call.send().await;
            assert_eq!(answer.status, 503, "{code} at {door}: {}", answer.body);
            let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{code} at {door}: {wait}");
            assert!(answer.body.contains(&format!("(unsecret: {code})")), "{door}: {}", answer.body);
            assert!(answer.body.contains("There is no working way to Entra"), "{door}: {}", answer.body);
            assert!(!answer.body.contains("AADSTS"), "{door}: {}", answer.body);
            no_password_in(&answer.body);
        }
    }

    /// The cause is gone: a minute later everybody has a new token.
    async fn recovers(&self, held: &str) {
        self.world.pass(LONGEST_PAUSE).await;
        let fresh = async |world: &World| {
            let token = world.oauth(GRAPH).send().await.token();
            (token != held).then_some(token)
        };
        let token = self.world.until("a new token", fresh).await;
        for (door, call) in self.world.every_door(GRAPH) {
            assert_eq!(call.send().await.token(), token, "{door}");
        }
        for (_, call) in self.world.every_door(VAULT) {
            assert_eq!(self.world.claims(&call.send().await.token())["aud"], VAULT);
        }
        assert!(!self.readiness().await.contains("last failure"));
    }

    /// The whole of a bad day that begins with `cause` and ends with `mend`.
    async fn bad_day(&self, cause: impl FnOnce(&Proxy), code: &str, remedy: &str, mend: impl FnOnce(&Self)) {
        let held = self.held().await;
        cause(&self.proxy);
        self.refresh_fails(&held, code, remedy).await;
        self.newcomers_hear(code).await;
        mend(self);
        self.recovers(&held).await;
    }
}

fn no_password_in(text: &str) {
    let encoded = |secret| basic(secret)["Basic ".len()..].to_owned();
    assert!(!text.contains("canary") && !text.contains(&encoded(ONE)) && !text.contains(&encoded(TWO)), "{text}");
}

/// The page, once it tells of a failure.
fn failed(page: &str) -> Option<String> {
    page.contains("last failure").then(|| page.to_owned())
}

fn next_try(page: &str) -> u64 {
    let (_, rest) = page.split_once("next try in ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// A page as a proxy has them.
fn page(status: u16) -> Reply {
    Reply::http(status, &[("content-type", "text/html"), ("retry-after", "3600")], "<html>this is the proxy</html>")
}

#[tokio::test]
async fn a_token_comes_through_the_tunnel() {
    let company = Company::new().await;
    let token = company.held().await;
    assert_eq!(company.world.claims(&token)["appid"], CLIENT);
    let port = url::Url::parse(&company.world.emulator.authority_host()).unwrap().port().unwrap();
    let seen = company.proxy.connects();
    assert_eq!(seen, [Connect { target: format!("localhost:{port}"), allowed: true }]);
    no_password_in(&format!("{:?}", company.world.emulator.journal()));
}

#[tokio::test]
async fn a_changed_password_is_mended_by_writing_it_into_the_file() {
    let company = Company::new().await;
    let remedy = "write the proxy's present `user:password` into `proxy_auth_file`";
    let mend = |company: &Company| company.write_password(TWO);
    company.bad_day(|proxy| proxy.set_password(TWO), "proxy-credentials-refused", remedy, mend).await;
    let refused = company.proxy.connects().into_iter().filter(|connect| !connect.allowed).count();
    assert_eq!(refused, 2, "once for each token: wrong passwords in a row lock an account");
}

#[tokio::test]
async fn a_page_in_the_tunnel_is_not_entras_word() {
    for status in [200, 302, 403, 407, 503] {
        let company = Company::new().await;
        let cause = |proxy: &Proxy| proxy.set_mode(Mode::Inside(page(status)));
        let mend = |company: &Company| company.proxy.set_mode(Mode::Inspect);
        company.bad_day(cause, "not-from-entra", "the login host", mend).await;
    }
}

#[tokio::test]
async fn a_page_in_answer_to_connect_is_the_proxys() {
    let login = (200, "proxy-tunnel-broken", "see what the proxy answers to CONNECT");
    let block = (503, "proxy-refused", "ask whoever runs the proxy to allow CONNECT to that host");
    for (status, code, remedy) in [login, block] {
        let company = Company::new().await;
        let cause = |proxy: &Proxy| proxy.set_mode(Mode::Instead(page(status)));
        company.bad_day(cause, code, remedy, |company| company.proxy.set_mode(Mode::Inspect)).await;
    }
}

#[tokio::test]
async fn a_replaced_inspection_root_is_mended_by_writing_it_into_the_file() {
    for name in ["another inspection CA", INSPECTION] {
        let company = Company::new().await;
        let next = ca(name);
        let remedy = "write the root by which the proxy signs what it inspects into `ca_file`";
        let mend = |company: &Company| company.write_roots(next.certificate_pem());
        company.bad_day(|proxy| proxy.set_inspection(&next), "tls-untrusted-issuer", remedy, mend).await;
    }
}

#[tokio::test]
async fn a_file_that_turns_bad_takes_nothing_away() {
    let company = Company::new().await;
    let held = company.held().await;
    company.write_roots("-----BEGIN CERTIFICATE-----\nhalf a certif");
    company.write_password("");
    company.world.pass(TO_REFRESH).await;
    company.recovers(&held).await;
    assert!(company.network_errors().await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_proxy_that_is_dead_across_a_refresh_costs_nobody_a_token() {
    let mut company = Company::new().await;
    let held = company.held().await;
    company.proxy.die().await;
    company.refresh_fails(&held, "proxy-unreachable", "check the address in `proxy` and that the proxy runs").await;
    company.newcomers_hear("proxy-unreachable").await;
    company.proxy.revive().await;
    company.recovers(&held).await;
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_used_without_a_word_in_the_file() {
    let company = Company::of(|proxy| Plan {
        authority_host: Some(format!("https://{ALIAS}")),
        environment: vec![("HTTPS_PROXY", proxy.url())],
        ..Plan::default()
    })
    .await;
    assert_eq!(company.world.claims(&company.held().await)["appid"], CLIENT);
    assert_eq!(company.proxy.connects(), [Connect { target: format!("{ALIAS}:443"), allowed: true }]);
    let used = |no_proxy: &str| {
        let mut plan = company.world.plan.clone();
        plan.identity = Plan::default().identity;
        plan.environment.push(("NO_PROXY", no_proxy.to_owned()));
        company.world.config_of(&plan).unwrap().identities[0].outbound.proxy.clone()
    };
    assert_eq!(used("login.other.example").unwrap().as_str(), format!("{}/", company.proxy.url()));
    assert_eq!(used("other.example, .entra.example"), None);
}

#[tokio::test]
async fn an_entra_on_loopback_is_asked_directly_whatever_the_environment_says() {
    let nobody = "http://127.0.0.1:1".to_owned();
    let world = World::of(Plan { environment: vec![("HTTPS_PROXY", nobody)], ..Plan::default() }).await;
    assert_eq!(world.claims(&world.oauth(GRAPH).send().await.token())["appid"], CLIENT);
}
