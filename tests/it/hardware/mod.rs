//! Keys in hardware from their making to a token through every door: `unsecret key`, the emulator, a broker.
//!
//! Not for single signatures (`pkcs11`, `tpm`) nor for what goes wrong.

mod clients;
mod softhsm;
#[cfg(feature = "tpm")]
mod tpm;
mod tpm2_pkcs11;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::http::{Call, Place};
use crate::support::softhsm::{Softhsm, VARIABLE, finished};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World, client, imds};

/// Where keys are: what verbs and brokers have to be told of it, and a folder for what they write.
struct Site {
    folder: TempDir,
    /// For the verbs.
    options: Vec<String>,
    /// For brokers.
    table: String,
}

impl Site {
    fn new(options: Vec<String>, table: String) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options, table }
    }

    /// SoftHSM with the token `prod`, whose PIN is in the file `pin`.
    fn softhsm(softhsm: &Softhsm) -> Self {
        const PIN: &str = "user-2468";
        softhsm.token("prod", PIN);
        let variable = softhsm.config().display().to_string();
        let table = format!("[pkcs11]\nenvironment = {{ {VARIABLE} = {variable:?} }}\n");
        let site = Self::new(vec!["--module-environment".to_owned(), format!("{VARIABLE}={variable}")], table);
        fs::write(site.path("pin"), PIN).unwrap();
        fs::set_permissions(site.path("pin"), fs::Permissions::from_mode(0o600)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A key in the token `prod`.
    fn in_token(&self, softhsm: &Softhsm, attributes: &str) -> String {
        let (module, pin) = (softhsm.module().display(), self.text("pin"));
        format!("pkcs11:token=prod;{attributes}?module-path={module}&pin-source=file:{pin}")
    }

    /// `unsecret key …`, which has to succeed; what it printed for programs.
    fn key(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
        command.arg("key").args(args).args(&self.options).args(["--state-dir", &self.text("state")]);
        command.env_clear().stdin(Stdio::null());
        finished(command)
    }

    /// `unsecret key certificate` into this file.
    fn certify(&self, key: &str, name: &str) {
        self.key(&["certificate", key, "--subject", "CN=billing", "--out", &self.text(name)]);
    }

    /// A broker that proves itself with this key and certificate, which Entra does not know yet.
    async fn world(&self, key: &str, certificate: &str) -> World {
        let certificate = self.text(certificate);
        World::of(Plan {
            assertion: Some(format!("{{ certificates = [{{ certificate = {certificate:?}, key = {key:?} }}] }}")),
            more: self.table.clone(),
            environment: vec![("STATE_DIRECTORY", self.text("state"))],
            unix: true,
            ..Plan::default()
        })
        .await
    }

    /// The same; Entra knows the certificate, and no other.
    async fn known_world(&self, key: &str, certificate: &str) -> World {
        let world = self.world(key, certificate).await;
        let pem = fs::read_to_string(self.path(certificate)).unwrap();
        world.emulator.add_certificate(&client(), &pem).unwrap();
        world
    }
}

/// A token of this application through every door in every form, over TCP and over the Unix socket; of one exchange, whose
/// assertion this key signed, since Entra found its certificate.
async fn assert_every_door_gives_a_token(world: &World) {
    assert_every_door_gives_a_token_signed_with(world, "PS256").await;
}

async fn assert_every_door_gives_a_token_signed_with(world: &World, algorithm: &str) {
    let key = world.key.secret().expose();
    let older = format!("/msi/token?api-version=2017-09-01&resource={GRAPH}&clientid={CLIENT}");
    let older = Call::get(world.http(), older).header("secret", key);
    let calls = world.every_door(GRAPH).into_iter().chain([("app-service 2017", older)]);
    for (door, call) in calls {
        for place in [Place::Tcp(world.http()), world.unix()] {
            let claims = world.claims(&call.clone().at(place.clone()).send().await.token());
            let told = (claims["aud"].as_str(), claims["tid"].as_str(), claims["appid"].as_str());
            assert_eq!(told, (Some(GRAPH), Some(TENANT), Some(CLIENT)), "{door} at {place:?}");
            assert_eq!(claims["appidacr"], "2", "{door} at {place:?}: not obtained with a secret");
        }
    }
    let journal = world.emulator.journal();
    assert_eq!(journal.len(), 1, "one exchange serves every door");
    assert_eq!((journal[0].assertion, journal[0].algorithm.as_deref()), (Some("certificate"), Some(algorithm)));
}
