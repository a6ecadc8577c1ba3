//! Behind an inspecting CONNECT proxy with a password: each of its bad days has its name, passes, and is over without a
//! restart once the cause is gone.

use std::fs;
use std::sync::Arc;

use unsecret::broker::{Mint as _, MintError};
use unsecret::fault::Class;
use unsecret::mint::Exchange;
use unsecret::outbound::Settings;

use super::{Heard, Scripted, graph, mint, told};
use crate::support::far_end::{FarEnd, Reply, ca};
use crate::support::proxy::{Mode, Proxy, basic};

const ONE: &str = "user:canary-one";
const TWO: &str = "user:canary-two";

struct Company {
    dir: tempfile::TempDir,
    far: FarEnd,
    proxy: Proxy,
    mint: Exchange,
}

impl Company {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (far_ca, inspection) = (ca("far end CA"), ca("inspection CA"));
        fs::write(dir.path().join("ca.pem"), inspection.certificate_pem()).unwrap();
        fs::write(dir.path().join("password"), format!("{ONE}\n")).unwrap();
        let far = FarEnd::start(&far_ca, [Reply::token("t")]).await;
        let proxy = Proxy::start(ONE, &inspection).await;
        proxy.lead_to(far.address, far_ca.certificate_pem());
        let settings = Settings {
            ca_file: Some(dir.path().join("ca.pem")),
            proxy: Some(proxy.url().parse().unwrap()),
            proxy_auth_file: Some(dir.path().join("password")),
            ..Settings::default()
        };
        let mint = mint(&far.host(), settings, Arc::new(Scripted(vec!["one"])), Arc::new(Heard::default()));
        Self { dir, far, proxy, mint }
    }

    async fn works(&self) {
        let fresh = self.mint.mint(graph().into()).await;
        fresh.unwrap_or_else(|problem| panic!("{:?}", told(&problem)));
    }

    /// The code of the failure, which passes and does not tell the password.
    async fn code(&self) -> &'static str {
        let problem: MintError = self.mint.mint(graph().into()).await.unwrap_err();
        let (code, line) = told(&problem);
        assert_eq!(problem.class, Class::Transient, "{line}");
        let everything = format!("{line} {problem:?} {:?}", problem.problem.remedy());
        assert!(!everything.contains("canary") && !everything.contains(&basic(ONE)["Basic ".len()..]));
        code
    }
}

#[tokio::test]
async fn a_token_comes_through_the_tunnel_and_only_through_it() {
    let company = Company::new().await;
    company.works().await;
    let seen = company.far.seen().remove(0);
    assert!(!seen.head.to_lowercase().contains("proxy-authorization"), "the password stays with the proxy");
}

#[tokio::test]
async fn a_changed_password_is_a_407_until_the_file_has_it() {
    let company = Company::new().await;
    company.works().await;
    company.proxy.set_password(TWO);
    assert_eq!(company.code().await, "proxy-credentials-refused");
    fs::write(company.dir.path().join("password"), format!("{TWO}\n")).unwrap();
    company.works().await;
    fs::write(company.dir.path().join("password"), "").unwrap();
    company.works().await;
}

#[tokio::test]
async fn a_login_page_inside_the_tunnel_is_not_entra() {
    let company = Company::new().await;
    company.proxy.set_mode(Mode::Inside(Reply::http(200, &[("content-type", "text/html")], "<html>log in")));
    assert_eq!(company.code().await, "not-from-entra");
    company.proxy.set_mode(Mode::Inside(Reply::http(503, &[("content-type", "text/html")], "<html>blocked")));
    assert_eq!(company.code().await, "not-from-entra");
    company.proxy.set_mode(Mode::Inspect);
    company.works().await;
}

#[tokio::test]
async fn a_tunnel_that_is_not_opened_is_the_proxys_doing() {
    let company = Company::new().await;
    company.proxy.set_mode(Mode::Instead(Reply::http(503, &[], "<html>blocked")));
    assert_eq!(company.code().await, "proxy-refused");
    company.proxy.set_mode(Mode::Instead(Reply::Reset));
    assert_eq!(company.code().await, "proxy-broken");
    // A short page arrives together with the head and is lost, a long one is what TLS stumbles over.
    for page in ["<html>log in".to_owned(), "<html>".repeat(10_000)] {
        company.proxy.set_mode(Mode::Instead(Reply::http(200, &[], &page)));
        assert_eq!(company.code().await, "proxy-tunnel-broken");
    }
    company.proxy.set_mode(Mode::Inspect);
    company.works().await;
    assert_eq!(company.far.seen().len(), 1);
}

#[tokio::test]
async fn a_proxy_with_an_untrusted_certificate_is_told_from_inspection() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), ca("inspection CA").certificate_pem()).unwrap();
    let tls_proxy = FarEnd::start(&ca("stranger"), [Reply::Reset]).await;
    let settings = Settings {
        ca_file: Some(dir.path().join("ca.pem")),
        proxy: Some(tls_proxy.host().parse().unwrap()),
        ..Settings::default()
    };
    let mint = mint("https://localhost:1", settings, Arc::new(Scripted(vec!["one"])), Arc::new(Heard::default()));
    let problem = mint.mint(graph().into()).await.unwrap_err();
    assert_eq!(problem.problem.code(), "proxy-tls-failed", "{:?}", told(&problem));
}

#[tokio::test]
async fn a_replaced_inspection_root_is_untrusted_until_the_file_has_it() {
    let company = Company::new().await;
    company.works().await;
    company.proxy.set_inspection(&ca("next inspection CA"));
    assert_eq!(company.code().await, "tls-untrusted-issuer");
    // The same name with another key.
    let next = ca("inspection CA");
    company.proxy.set_inspection(&next);
    assert_eq!(company.code().await, "tls-untrusted-issuer");
    fs::write(company.dir.path().join("ca.pem"), next.certificate_pem()).unwrap();
    company.works().await;
    fs::write(company.dir.path().join("ca.pem"), "half a certif").unwrap();
    company.works().await;
}

#[tokio::test]
async fn a_dead_proxy_is_named_and_used_again_when_it_is_back() {
    let mut company = Company::new().await;
    company.works().await;
    company.proxy.die().await;
    assert_eq!(company.code().await, "proxy-unreachable");
    company.proxy.revive().await;
    company.works().await;
}
