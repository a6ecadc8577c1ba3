//! The whole broker over a key in a TPM: from `key create` to a token, and while the TPM is away.

use std::process::Command;

use super::{Stand, within};
use crate::support::world::{GRAPH, Plan, VAULT, World, client};

impl Stand {
    /// The real binary, as an operator runs it. What goes to stdout.
    fn unsecret(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TSS2_LOG", "all+none").args(args);
        let state = self.path("state");
        let output = command.arg("--tcti").arg(self.tpm.tcti()).arg("--state-dir").arg(state).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A key with a value, its certificate, and a broker's plan that names both.
    fn plan(&self) -> (Plan, String) {
        self.value("geheim");
        let key = within(self.path("billing.tss"), Some(unsecret::signer::PinSource::File(self.path("value"))));
        let (key, certificate) = (key.to_string(), self.path("billing.pem"));
        let certificate = certificate.to_str().unwrap();
        assert_eq!(self.unsecret(&["key", "create", &key]), format!("{key}\n"));
        self.unsecret(&["key", "certificate", &key, "--subject", "CN=billing", "--out", certificate]);
        let plan = Plan {
            assertion: Some(format!(r#"{{ certificates = [{{ certificate = "{certificate}", key = "{key}" }}] }}"#)),
            environment: vec![("STATE_DIRECTORY", self.path("state").display().to_string())],
            more: format!("[tpm]\ntcti = \"{}\"", self.tpm.tcti()),
            ..Plan::default()
        };
        (plan, std::fs::read_to_string(certificate).unwrap())
    }
}

#[tokio::test]
async fn a_key_made_by_the_verbs_brings_a_token_through_every_door() {
    let Some(stand) = Stand::new().await else { return };
    let (plan, certificate) = stand.plan();
    let world = World::of(plan).await;
    world.emulator.add_certificate(&client(), &certificate).unwrap();
    for (door, call) in world.every_door(GRAPH) {
        assert_eq!(world.claims(&call.send().await.token())["aud"], GRAPH, "{door}");
    }
    let journal = world.emulator.journal();
    assert_eq!((journal[0].assertion, journal[0].algorithm.as_deref()), (Some("certificate"), Some("PS256")));
    assert_eq!(stand.tpm.lockout().await.counter, 0);
}

#[tokio::test]
async fn a_broker_whose_tpm_is_away_is_up_says_so_and_finds_it_again() {
    let Some(mut stand) = Stand::new().await else { return };
    let (plan, certificate) = stand.plan();
    stand.tpm.shut_down().await;
    let world = World::of(plan).await;
    world.emulator.add_certificate(&client(), &certificate).unwrap();
    let refused = world.imds(GRAPH).send().await;
    assert_eq!(refused.status, 503);
    world
        .until("readiness names the TPM", async |world| {
            world.admin_page("/readyz?verbose").await.contains("tpm-absent").then_some(())
        })
        .await;
    stand.tpm.restart().await;
    // At most the longest pause.
    world.pass(std::time::Duration::from_secs(30)).await;
    world.until("a token", async |world| (world.imds(VAULT).send().await.status == 200).then_some(())).await;
}
