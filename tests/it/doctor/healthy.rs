//! Where nothing is wrong, every link is good and nothing sounds as if it were not.

use std::time::Duration;

use unsecret::clock::Clock as _;
use unsecret::local_ca::ClientCertificate;

use super::{Clinic, Examined, json, links, snapshot};
use crate::support::settled;
use crate::support::world::{GRAPH, Plan, Source, client};

/// Words that would send somebody looking.
const ALARMING: [&str; 8] = ["broken", "doubtful", "not reached", "warning", "error", "fail", "remedy", "AADSTS7002"];

fn is_all_good(clinic: &Clinic, examined: &Examined, name: &str) {
    let text = clinic.steady(&examined.stdout);
    assert_eq!((examined.status, settled(&examined.stderr).as_str()), (0, ""), "{text}");
    assert!(links(&text).iter().all(|(state, _)| state == "good"), "{text}");
    for word in ALARMING {
        assert!(!text.contains(word), "`{word}` is alarming:\n{text}");
    }
    assert!(text.ends_with("\nevery link is good\n"), "{text}");
    snapshot::hold(name, &text);
}

#[tokio::test]
async fn with_a_token_file_every_link_is_good() {
    let clinic = Clinic::new().await;
    let examined = clinic.examine().await;
    is_all_good(&clinic, &examined, "healthy-file");
    assert_eq!(links(&examined.stdout).len(), 10);
    assert_eq!(clinic.world.exchanges(), 1, "one token request and no more");
}

#[tokio::test]
async fn with_a_certificate_every_link_is_good_and_no_issuer_is_asked() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    let examined = clinic.examine().await;
    is_all_good(&clinic, &examined, "healthy-certificate");
    assert!(links(&examined.stdout).iter().all(|(_, shown)| shown.link != "issuer"));
    for part in ["thumbprint SHA-1 ", "(as the portal shows it)", "(as AADSTS700027 says it)", "days more"] {
        assert!(examined.stdout.contains(part), "{part}");
    }
    assert_eq!(clinic.world.exchanges(), 1);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_doubtful_and_says_what_to_do() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    for (days, told) in [(21, "ends soon: `"), (4, "ends in a few days: `")] {
        // Half a day more, since it is counted from a full minute.
        let life = Duration::from_secs(days * 86_400 + 43_200);
        let short = ClientCertificate::create("billing", clinic.world.clock.now(), life).unwrap();
        clinic.world.emulator.add_certificate(&client(), &short.certificate_pem).unwrap();
        std::fs::write(clinic.world.path("billing.pem"), &short.certificate_pem).unwrap();
        std::fs::write(clinic.world.path("billing.key"), short.key_pem.expose()).unwrap();
        let examined = clinic.examine().await;
        assert_eq!(examined.status, 0, "a warning breaks nothing: {}", examined.stdout);
        for part in ["the last certificate ", told, &format!("has {days} days more"), "make the next certificate"] {
            assert!(examined.stdout.contains(part), "{part}: {}", examined.stdout);
        }
    }
}

#[tokio::test]
async fn beside_a_running_broker_it_says_so_and_disturbs_nothing() {
    let clinic = Clinic::new().await;
    let held = clinic.world.oauth(GRAPH).send().await.token();
    let (http, admin) = (clinic.world.http(), clinic.world.admin());
    let text = clinic.world.config_text();
    let text = text.replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{http}\"]"), 1);
    let text = text.replacen("admin = \"127.0.0.1:0\"", &format!("admin = \"{admin}\""), 1);
    let examined = clinic.examine_as(&text, &[]).await;
    is_all_good(&clinic, &examined, "healthy-running");
    assert!(examined.stdout.contains(&format!("a running broker answers at http://{http}, http://{admin}")));
    assert!(examined.stdout.contains("/readyz says: ready"), "{}", examined.stdout);
    assert_eq!(clinic.world.oauth(GRAPH).send().await.token(), held);
    assert_eq!(clinic.world.exchanges(), 2, "the broker's own and the doctor's");
}

#[tokio::test]
async fn the_object_for_programs_says_the_same() {
    let clinic = Clinic::new().await;
    let examined = clinic.examine_as(&clinic.world.config_text(), &["--json"]).await;
    let report = json(&examined);
    assert_eq!((examined.status, &report["status"], &report["exit_status"]), (0, &"good".into(), &0.into()));
    assert!(report["broken"].is_null() && report["federated_credentials"].as_array().unwrap().is_empty());
    let links = report["links"].as_array().unwrap();
    assert_eq!(links.len(), 10);
    for link in links {
        assert_eq!(link["status"], "good", "{link}");
        assert!(!link["seen"].as_array().unwrap().is_empty() && link["remedy"].is_null(), "{link}");
    }
    assert_eq!((&links[0]["identity"], &links[9]["identity"]), (&serde_json::Value::Null, &"billing".into()));
    assert_eq!(links[9]["link"], "token");
}

#[tokio::test]
async fn an_issuer_that_only_entra_can_read_is_no_fault() {
    let clinic = Clinic::new().await;
    clinic.proxy.lead_nowhere("issuer.example:443");
    let examined = clinic.examine().await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    assert!(examined.stdout.contains("not to be read from this machine; Entra can"), "{}", examined.stdout);
}

#[tokio::test]
async fn independent_identities_are_all_walked_and_one_can_be_chosen() {
    let more = r#"
        [[identity]]
        name = "orphan"
        tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
        client_id = "55555555-dddd-4eee-8fff-666666666666"
        authority_host = "{authority}"
        ca_file = "{folder}/ca.pem"
        scopes = ["https://vault.azure.net/.default"]
        any_local_caller = true
        assertion = { file = "{folder}/no-such-token" }
    "#;
    let clinic = Clinic::of(Plan { more: more.to_owned(), ..Plan::default() }).await;
    // The second identity has no proxy, and so needs the emulator's own root.
    let roots = std::fs::read_to_string(clinic.world.path("ca.pem")).unwrap() + clinic.world.emulator.ca_pem();
    std::fs::write(clinic.world.path("ca.pem"), roots).unwrap();
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "two-identities", 12, "source", &["no-such-token", "there is none"]);
    assert!(examined.stdout.contains("broken: source of identity orphan (exit status 12)"), "{}", examined.stdout);
    let good = examined.stdout.split("identity orphan").next().unwrap();
    assert!(links(good).iter().all(|(state, _)| state == "good"), "{good}");
    let chosen = clinic.examine_as(&clinic.world.config_text(), &["--identity", "billing"]).await;
    assert_eq!((chosen.status, chosen.stdout.contains("identity orphan")), (0, false), "{}", chosen.stdout);
    let none = clinic.examine_as(&clinic.world.config_text(), &["--identity", "bling"]).await;
    assert_eq!((none.status, none.stdout.as_str()), (2, ""));
    assert!(
        none.stderr.contains("`billing`, `orphan`") && none.stderr.contains("code: identity-not-configured"),
        "{}",
        none.stderr
    );
}
