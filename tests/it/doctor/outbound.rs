//! Breakages of the way out, and a clock that is wrong.

use unsecret::emulator::Fault;

use super::{Clinic, links};
use crate::support::far_end::{Reply, ca};
use crate::support::proxy::Mode;
use crate::support::world::{Plan, World};

#[tokio::test]
async fn a_proxy_that_refuses_the_password_is_asked_once() {
    let more = r#"
        [[identity]]
        name = "second"
        tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
        client_id = "55555555-dddd-4eee-8fff-666666666666"
        authority_host = "{authority}"
        ca_file = "{folder}/ca.pem"
        proxy = "{proxy}"
        proxy_auth_file = "{folder}/proxy"
        scopes = ["https://vault.azure.net/.default"]
        any_local_caller = true
        assertion = { file = "{folder}/token" }
    "#;
    let clinic = Clinic::new().await;
    let folder = clinic.world.path("");
    let more = more.replace("{folder}", folder.to_str().unwrap().trim_end_matches('/'));
    let more =
        more.replace("{authority}", &clinic.world.emulator.authority_host()).replace("{proxy}", &clinic.proxy.url());
    clinic.proxy.set_password("doctor:another-password-since-monday");
    let before = clinic.proxy.connects().len();
    let examined = clinic.examine_as(&(clinic.world.config_text() + &more), &[]).await;
    let words = ["407", "it refused the user and password", "proxy_auth_file", "proxy-credentials-refused"];
    clinic.breaks(&examined, "proxy-407", 14, "outbound", &words);
    assert_eq!(clinic.proxy.connects().len() - before, 1, "a second attempt might lock the account");
    assert!(examined.stdout.contains("it is not tried again"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let mut clinic = Clinic::new().await;
    clinic.proxy.die().await;
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "proxy-unreachable", 14, "outbound", &["proxy-unreachable", "that the proxy runs"]);
    let after: Vec<_> = links(&examined.stdout).into_iter().skip(6).map(|(state, _)| state).collect();
    assert_eq!(after, ["not reached"; 4], "{}", examined.stdout);
}

#[tokio::test]
async fn a_proxy_that_allows_no_such_host() {
    let clinic = Clinic::new().await;
    clinic.proxy.set_mode(Mode::Instead(Reply::http(403, &[("content-type", "text/html")], "<html>blocked")));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "proxy-refuses", 14, "outbound", &["proxy-refused", "allow CONNECT to that host"]);
}

#[tokio::test]
async fn an_inspection_root_that_is_missing() {
    let plan = Plan { ca_pem: Some(ca("another CA").certificate_pem().to_owned()), ..Plan::default() };
    let clinic = Clinic::of(plan).await;
    let examined = clinic.examine().await;
    let words = ["tls-untrusted-issuer", "not issued by a trusted CA", "into `ca_file`"];
    clinic.breaks(&examined, "inspection-root", 14, "outbound", &words);
}

#[tokio::test]
async fn a_captive_page_in_entras_place() {
    let clinic = Clinic::new().await;
    clinic.proxy.set_mode(Mode::Inside(Reply::http(200, &[("content-type", "text/html")], "<html>log in")));
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "captive-page",
        14,
        "outbound",
        &["not-from-entra", "`text/html`", "past any captive page"],
    );
    assert_eq!(clinic.world.exchanges(), 0, "no assertion is shown to whoever that is");
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up() {
    let plan = Plan { authority_host: Some("https://login.nowhere.invalid".to_owned()), ..Plan::default() };
    let world = World::of(plan).await;
    let clinic = Clinic { proxy: Clinic::new().await.proxy, world };
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "name-not-found", 14, "outbound", &["login.nowhere.invalid", "name-not-found", "DNS"]);
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_ahead() {
    let clinic = Clinic::new().await;
    clinic.world.emulator.set_fault(None, Fault::ClockOffset { seconds: -600 });
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "clock-ahead",
        15,
        "clock",
        &["clock-skewed", "ahead of Entra's", "clock back by N min", "NTP"],
    );
    assert!(examined.stdout.contains("10 min"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_behind() {
    let clinic = Clinic::with_source(crate::support::world::Source::Certificate).await;
    clinic.world.emulator.set_fault(None, Fault::ClockOffset { seconds: 600 });
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "clock-behind",
        15,
        "clock",
        &["clock-skewed", "behind Entra's", "clock forward by N min"],
    );
}
