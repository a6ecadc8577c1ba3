//! `unsecret emulate`: starts, says where it is, ends when told; wrong settings end it at once.

use rustix::process::Signal;

use super::{PATIENCE, collect, ended, unsecret};
use crate::support::http::Call;
use crate::support::world::until;

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";

fn settings(folder: &std::path::Path) -> String {
    let text = format!(
        r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        ca_file = "{}"
        [[tenant]]
        id = "{TENANT}"
        [[application]]
        tenant = "{TENANT}"
        client_id = "33333333-dddd-4eee-8fff-444444444444"
        secrets = ["canary-secret-of-the-settings"]
        "#,
        folder.join("ca.pem").display()
    );
    let path = folder.join("emulator.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_says_where_it_is_and_how_to_use_it_and_ends_with_0_when_told() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = unsecret(&["emulate", "--config", &settings(folder.path())]).spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let said = until("the emulator is up", async || {
            let said = stderr.lock().unwrap().clone();
            said.contains("AZURE_CLIENT_ID=33333333-dddd-4eee-8fff-444444444444\n").then_some(said)
        })
        .await;
        assert!(said.contains("A local Entra listens on https://localhost:"), "{said}");
        assert!(said.contains(&format!("AZURE_TENANT_ID={TENANT}\n")), "{said}");
        assert!(!said.contains("canary"), "{said}");
        let ca = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
        assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"), "{ca}");

        let (_, admin) = said.split_once("platform tokens: http://").unwrap();
        let admin: std::net::SocketAddr = admin.split('/').next().unwrap().parse().unwrap();
        assert_eq!(Call::get(admin, "/_journal").send().await.json(), serde_json::json!([]));

        let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert_eq!(*stdout.lock().unwrap(), "", "what is for people goes to stderr");
    }
}

#[tokio::test]
async fn wrong_settings_end_it_with_2_and_a_word_on_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = settings(folder.path());
    let wrong = std::fs::read_to_string(&path).unwrap().replace("secrets", "secretz").replace(TENANT, "no-guid");
    std::fs::write(&path, wrong).unwrap();
    for path in [path, folder.path().join("none.toml").to_str().unwrap().to_owned()] {
        let ended = ended(unsecret(&["emulate", "--config", &path])).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("remedy: ") && ended.stderr.contains("code: emulator-settings"),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
}
