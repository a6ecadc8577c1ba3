//! Would this key, and this Host, be let in? Asked of a running broker, or of the rules where none runs.

use unsecret::secret::local_key::LocalKey;

use super::{Clinic, Examined};
use crate::support::world::Plan;

const KEYED: &str = "any_local_caller = false\n";

impl Clinic {
    async fn keyed() -> Self {
        // A door that nobody could pass would be a second thing that is wrong.
        let listen = "doors = [\"app-service\", \"oauth\"]\n".to_owned();
        Self::of(Plan { identity: KEYED.to_owned(), listen, ..Plan::default() }).await
    }

    /// With the addresses of the broker that runs in this world.
    async fn beside_the_broker(&self, arguments: &[&str]) -> Examined {
        let text = self.world.config_text();
        let text = text.replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{}\"]", self.world.http()), 1);
        let text = text.replacen("admin = \"127.0.0.1:0\"", &format!("admin = \"{}\"", self.world.admin()), 1);
        self.examine_as(&text, arguments).await
    }

    fn key(&self, name: &str, text: &str) -> String {
        let path = self.world.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_wrong_host() {
    let clinic = Clinic::keyed().await;
    let examined = clinic.beside_the_broker(&["--host", "sidecar.internal:4780"]).await;
    let words = ["host-not-ours", "`sidecar.internal:4780`", "listen.hosts"];
    clinic.breaks(&examined, "wrong-host", 11, "callers", &words);
    let without = clinic.examine_as(&clinic.world.config_text(), &["--host", "sidecar.internal:4780"]).await;
    assert_eq!(without.status, 11, "the rules say the same: {}", without.stdout);
    let right = clinic.beside_the_broker(&["--host", "localhost:4780"]).await;
    assert_eq!(right.status, 0, "{}", right.stdout);
    assert!(right.stdout.contains("Host `localhost:4780` is accepted"), "{}", right.stdout);
}

#[tokio::test]
async fn a_wrong_key() {
    let clinic = Clinic::keyed().await;
    let wrong = clinic.key("wrong.key", LocalKey::generate().unwrap().secret().expose());
    let examined = clinic.beside_the_broker(&["--key-file", &wrong]).await;
    clinic.breaks(&examined, "wrong-key", 11, "callers", &["wrong-local-key", "the local key of this identity"]);
    let right = clinic.world.path("caller.key").display().to_string();
    let examined = clinic.beside_the_broker(&["--key-file", &right]).await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    assert!(examined.stdout.contains("the key is accepted"), "{}", examined.stdout);
    let examined = clinic.examine_as(&clinic.world.config_text(), &["--key-file", &right]).await;
    assert!(examined.stdout.contains("the rules were asked in its place"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_presented_client_secret_is_not_sent_anywhere() {
    let clinic = Clinic::keyed().await;
    let secret = clinic.key("secret.key", "abc8Q~canary-of-a-client-secret-01234567");
    let examined = clinic.beside_the_broker(&["--key-file", &secret]).await;
    let words = ["presented-key-unfit", "real Entra client secret", "revoke the secret"];
    clinic.breaks(&examined, "presented-secret", 11, "callers", &words);
    assert!(!examined.stdout.contains("canary"));
}

#[tokio::test]
async fn a_broker_that_has_not_read_the_new_rules() {
    let clinic = Clinic::keyed().await;
    let new = clinic.key("new.key", LocalKey::generate().unwrap().secret().expose());
    let text = clinic.world.config_text().replace("caller.key", "new.key");
    let text = text.replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{}\"]", clinic.world.http()), 1);
    let examined = clinic.examine_as(&text, &["--key-file", &new]).await;
    clinic.breaks(&examined, "old-rules", 11, "callers", &["broker-has-other-rules", "SIGHUP"]);
}
