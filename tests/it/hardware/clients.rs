//! msal beside a broker with one certificate: its key in a file for msal, in a token for the broker (contract A6).
//!
//! What Entra saw of both, and the assertions themselves, field by field; all differences are in one list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use unsecret::assertion::{AssertionSource as _, CertificateSource, Credential, Wanted};
use unsecret::clock::SystemClock;
use unsecret::emulator::Verdict;
use unsecret::signer::{Algorithm, KeyUri, Settings, Signers, Surroundings};

use super::*;
use crate::clients::fields;
use crate::support::python;

/// Where the two may differ, and why. Everything else must be equal; and what stands here must differ, or it has to go.
const ALLOWED: [(&str, &str); 9] = [
    ("claims.exp", "the moment of signing, plus the same ten minutes, less our skew"),
    ("claims.iat", "the moment of signing"),
    ("claims.jti", "fresh each time, by definition"),
    ("claims.nbf", "msal sends none; ours allows for skew"),
    ("header.x5c", "msal sends the certificate along; Entra does not need it"),
    ("header.x5t#S256", "msal pads the base64url; compared without the padding"),
    ("journal.correlation_id", "fresh each time, by definition"),
    ("journal.expires", "as `exp`"),
    ("journal.headers", "each HTTP library has its own"),
];

/// An RSA key and its certificate by openssl, the key imported into the token as well.
struct Twins {
    softhsm: Softhsm,
    site: Site,
    key: String,
    python: PathBuf,
}

impl Twins {
    fn make() -> Option<Self> {
        let (python, softhsm) = (python::interpreter()?, Softhsm::new()?);
        let site = Site::softhsm(&softhsm);
        let mut openssl = softhsm.child("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=billing", "-days", "30"]);
        openssl.args(["-keyout", &site.text("billing.key"), "-out", &site.text("billing.pem")]);
        finished(openssl);
        let mut import = softhsm.child("softhsm2-util");
        import.args(["--import", &site.text("billing.key"), "--token", "prod", "--pin", &softhsm.pin("prod")]);
        finished({
            import.args(["--label", "billing", "--id", "0a"]);
            import
        });
        let key = site.in_token(&softhsm, "object=billing");
        Some(Self { softhsm, site, key, python })
    }

    /// What msal does with the same certificate: at this world's Entra, or only shown.
    async fn msal(&self, authority: &str, world: Option<&World>) -> Value {
        let read = |name| fs::read_to_string(self.site.path(name)).unwrap();
        let mut input = json!({
            "client_id": CLIENT,
            "authority": authority,
            "key": read("billing.key"),
            "certificate": read("billing.pem"),
            "scope": format!("{GRAPH}/.default"),
        });
        if let Some(world) = world {
            input["ca"] = json!(world.path("ca.pem"));
        }
        python::run(&self.python, "msal_certificate.py", &[], &input).await
    }

    /// What the broker sends, signed in the token.
    async fn our_assertion(&self, token_url: &str) -> String {
        let clock = Arc::new(SystemClock::new());
        let settings = Settings {
            program: env!("CARGO_BIN_EXE_unsecret").into(),
            environment: BTreeMap::from([(VARIABLE.to_owned(), self.softhsm.config().display().to_string())]),
            state: self.site.path("state"),
            limit: Duration::from_secs(60),
            withheld: Vec::new(),
            tcti: String::new(),
            force: false,
        };
        let signers = Signers::new(settings, clock.clone());
        let in_file =
            Credential::from_files(&self.site.path("billing.pem"), &self.site.path("billing.key"), None).unwrap();
        let key = KeyUri::parse(&self.key, Surroundings::default()).unwrap();
        let signer = signers.open(&key, Some(&in_file.leaf.public_key)).unwrap();
        assert_eq!(signer.kind(), "pkcs11");
        let credential = Credential::new(in_file.leaf, signer);
        let source = CertificateSource::open(client(), Algorithm::Ps256, vec![credential], clock).await.unwrap();
        let assertion = source.assertion(Wanted { token_url, refused: &[] }).await.unwrap();
        assertion.jwt.expose().to_owned()
    }
}

/// The fields of the newest journal entry.
fn newest(world: &World) -> Map<String, Value> {
    let Value::Object(entry) = serde_json::to_value(world.emulator.journal().last().unwrap()).unwrap() else {
        panic!("no object")
    };
    // Seconds apart or not, as it happens.
    entry
        .into_iter()
        .filter(|(name, _)| name != "time")
        .map(|(name, value)| (format!("journal.{name}"), value))
        .collect()
}

fn differing(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> BTreeSet<String> {
    let names = ours.keys().chain(theirs.keys());
    names.filter(|name| ours.get(*name) != theirs.get(*name)).cloned().collect()
}

#[tokio::test]
async fn entra_sees_our_hardware_assertion_as_it_sees_the_one_of_msal_but_for_a_list() {
    let Some(twins) = Twins::make() else { return };
    let world = twins.site.known_world(&twins.key, "billing.pem").await;
    let authority = format!("{}/{TENANT}", world.emulator.authority_host());

    let token = imds(world.http(), GRAPH).send().await.token();
    let mut ours = newest(&world);
    let answer = twins.msal(&authority, Some(&world)).await;
    let their_token = answer["token"].as_str().unwrap_or_else(|| panic!("refused: {}", answer["error"]));
    let mut theirs = newest(&world);
    assert_eq!(world.exchanges(), 2, "one each, at the first try");
    for claim in ["aud", "appid", "appidacr", "oid", "roles", "tid"] {
        assert_eq!(world.claims(&token)[claim], world.claims(their_token)[claim], "{claim}");
    }

    ours.extend(fields(&twins.our_assertion(&format!("{authority}/oauth2/v2.0/token")).await));
    theirs.extend(fields(twins.msal(&authority, None).await["assertion"].as_str().unwrap()));
    let mut differing = differing(&ours, &theirs);
    // Equal when both were signed within one second.
    differing.extend(["claims.exp", "claims.iat", "journal.expires"].map(str::to_owned));
    assert_eq!(differing, ALLOWED.map(|(name, _)| name.to_owned()).into());
    let thumbprint =
        |fields: &Map<String, Value>| fields["header.x5t#S256"].as_str().unwrap().trim_end_matches('=').to_owned();
    assert_eq!(thumbprint(&ours), thumbprint(&theirs));
}

#[tokio::test]
async fn entra_refuses_our_hardware_assertion_and_the_one_of_msal_alike_without_the_certificate() {
    let Some(twins) = Twins::make() else { return };
    let world = twins.site.world(&twins.key, "billing.pem").await;
    assert_ne!(imds(world.http(), GRAPH).send().await.status, 200);
    let authority = format!("{}/{TENANT}", world.emulator.authority_host());
    let answer = twins.msal(&authority, Some(&world)).await;
    assert!(answer["error"].as_str().unwrap().starts_with("AADSTS700027"), "{answer}");
    let verdicts: Vec<Verdict> = world.emulator.journal().into_iter().map(|entry| entry.verdict).collect();
    assert!(verdicts.len() >= 2, "{verdicts:?}");
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
}
