//! Breakages of a certificate and its key.

use std::time::Duration;

use unsecret::clock::{Clock as _, Now, SystemClock};
use unsecret::local_ca::ClientCertificate;

use super::Clinic;
use crate::support::world::{CLIENT, Source};

const LIFE: Duration = Duration::from_secs(60 * 86_400);

fn certificate(now: Now) -> ClientCertificate {
    ClientCertificate::create("other", now, LIFE).unwrap()
}

impl Clinic {
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.world.path(name), text).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_that_was_not_uploaded() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    let other = certificate(SystemClock::new().now());
    clinic.put("billing.pem", &other.certificate_pem);
    clinic.put("billing.key", other.key_pem.expose());
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "not-uploaded", 17, "exchange", &["AADSTS700027", "certificate"]);
    let upload = format!("az ad app credential reset --id {CLIENT} --append --cert '@");
    assert!(examined.stdout.contains(&upload), "{}", examined.stdout);
    assert!(examined.stdout.contains("customKeyIdentifier"), "{}", examined.stdout);
    assert_eq!(clinic.world.exchanges(), 1);
}

#[tokio::test]
async fn an_expired_certificate() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    let mut then = SystemClock::new().now();
    then.wall -= 3 * LIFE;
    let old = certificate(then);
    clinic.put("billing.pem", &old.certificate_pem);
    clinic.put("billing.key", old.key_pem.expose());
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "certificate-expired",
        12,
        "source",
        &["certificate-not-valid", "configure a valid certificate"],
    );
}

#[tokio::test]
async fn a_key_of_another_certificate() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    clinic.put("billing.key", certificate(SystemClock::new().now()).key_pem.expose());
    let examined = clinic.examine().await;
    let words = ["key-certificate-mismatch", "the key that was made with this certificate"];
    clinic.breaks(&examined, "key-mismatch", 12, "source", &words);
}

#[tokio::test]
async fn an_older_certificate_that_entra_still_knows_keeps_the_chain_whole() {
    let clinic = Clinic::with_source(Source::Certificate).await;
    let newest = certificate(SystemClock::new().now());
    clinic.put("new.pem", &newest.certificate_pem);
    clinic.put("new.key", newest.key_pem.expose());
    let at = |name: &str| clinic.world.path(name).display().to_string();
    let pair = format!("{{ certificate = \"{}\", key = \"file:{}\" }}, ", at("new.pem"), at("new.key"));
    let text = clinic.world.config_text().replace("certificates = [", &format!("certificates = [{pair}"));
    let examined = clinic.examine_as(&text, &[]).await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    assert!(
        examined.stdout.contains("Entra gave a token for an older certificate; 1 newer it does not know"),
        "{}",
        examined.stdout
    );
}
