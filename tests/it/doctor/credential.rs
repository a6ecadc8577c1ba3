//! The federated credential to create, and tokens that somebody pasted.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Clinic, doctor, json, links};
use crate::support::settled;
use crate::support::world::{AUDIENCE, CLIENT, ISSUER, SUBJECT};

#[tokio::test]
async fn the_credential_is_shown_when_it_is_asked_for() {
    let clinic = Clinic::new().await;
    let examined = clinic.examine_as(&clinic.world.config_text(), &["--federated-credential"]).await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    for part in
        ["# Microsoft Graph", "# az\n", "# Terraform", "# Bicep", "azuread_application_federated_identity_credential"]
    {
        assert!(examined.stdout.contains(part), "{part}: {}", examined.stdout);
    }
    super::snapshot::hold("credential", &clinic.steady(&examined.stdout));
    let examined = clinic.examine_as(&clinic.world.config_text(), &["--federated-credential", "--json"]).await;
    let credential = &json(&examined)["federated_credentials"][0];
    assert_eq!((&credential["identity"], &credential["client_id"]), (&"billing".into(), &CLIENT.into()));
    let graph = &credential["graph"];
    assert_eq!(
        (&graph["issuer"], &graph["subject"], &graph["audiences"][0]),
        (&ISSUER.into(), &SUBJECT.into(), &AUDIENCE.into())
    );
    assert_eq!(graph["name"], "unsecret-billing");
}

#[tokio::test]
async fn a_pasted_token_needs_no_configuration_and_is_not_echoed() {
    let clinic = Clinic::new().await;
    let token = std::fs::read_to_string(clinic.world.path("token")).unwrap();
    let before = clinic.proxy.connects().len();
    let examined = doctor(&["--offline", clinic.world.path("token").to_str().unwrap()], &[]).await;
    assert_eq!((examined.status, settled(&examined.stderr).as_str()), (0, ""), "{}", examined.stdout);
    for part in [ISSUER, SUBJECT, AUDIENCE, "APPLICATION_CLIENT_ID", "az ad app federated-credential create"] {
        assert!(examined.stdout.contains(part), "{part}: {}", examined.stdout);
    }
    assert!(token.trim().split('.').all(|part| !examined.stdout.contains(part)));
    assert_eq!(clinic.proxy.connects().len(), before);
    super::snapshot::hold("offline", &clinic.steady(&examined.stdout));
}

/// Entra writes a GUID into its own tokens; a credential with it is refused (contract A7, audience spelling).
#[tokio::test]
async fn a_managed_identitys_token_gets_a_credential_with_the_audience_as_it_is_asked_for() {
    let clinic = Clinic::new().await;
    let token = crate::support::world::platform_token().claim("aud", "fb60f99c-7a34-4190-8149-302f77469936");
    let path = clinic.world.path("of-a-managed-identity");
    std::fs::write(&path, clinic.world.emulator.platform_token(ISSUER, &token).unwrap().expose()).unwrap();
    let examined = doctor(&["--offline", path.to_str().unwrap(), "--json"], &[]).await;
    let report = json(&examined);
    assert_eq!(report["federated_credentials"][0]["graph"]["audiences"][0], AUDIENCE, "{}", examined.stdout);
    assert_eq!(report["links"][1]["status"], "good", "{}", examined.stdout);
}

#[tokio::test]
async fn a_subject_that_the_next_token_will_not_have_is_said_beside_its_credential() {
    let clinic = Clinic::new().await;
    let token = crate::support::world::platform_token().claim("iss", "https://oidc.circleci.com/org/some");
    let path = clinic.world.path("of-circleci");
    std::fs::write(&path, clinic.world.emulator.platform_token(ISSUER, &token).unwrap().expose()).unwrap();
    let examined = doctor(&["--offline", path.to_str().unwrap()], &[]).await;
    let links = links(&examined.stdout);
    assert_eq!((examined.status, links[1].0.as_str()), (0, "doubtful"), "{}", examined.stdout);
    assert!(links[1].1.text.contains("one federated credential per user"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_token_from_stdin_is_judged_as_well() {
    let clinic = Clinic::new().await;
    let whole = std::fs::read_to_string(clinic.world.path("token")).unwrap();
    for (text, status, code) in [
        (format!("Bearer {whole}"), 0, ""),
        (whole[..whole.len() / 2].to_owned(), 12, "assertion-incomplete"),
        ("canary-of-something-that-is-no-token".to_owned(), 12, "assertion-incomplete"),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unsecret"))
            .args(["doctor", "--offline", "-"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(code) && !said.contains("canary") && !said.contains("eyJ"), "{said}");
    }
}

#[tokio::test]
async fn a_pasted_token_with_a_flaw_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let clinic = Clinic::new().await;
    for (name, header, claims, status, link) in
        [("es256", "ES256", ISSUER, 13, "assertion"), ("loopback", "RS256", "https://localhost:8443", 16, "issuer")]
    {
        let token = crate::support::world::platform_token().header("alg", header).claim("iss", claims);
        let path = folder.path().join(name);
        std::fs::write(&path, clinic.world.emulator.platform_token(ISSUER, &token).unwrap().expose()).unwrap();
        let examined = doctor(&["--offline", path.to_str().unwrap()], &[]).await;
        assert_eq!(examined.status, status, "{name}: {}", examined.stdout);
        let broken: Vec<_> = links(&examined.stdout).into_iter().filter(|(state, _)| state == "broken").collect();
        assert_eq!(broken[0].1.link, link, "{}", examined.stdout);
    }
    let token = crate::support::world::platform_token().header("kid", serde_json::Value::Null);
    let path = folder.path().join("no-kid");
    std::fs::write(&path, clinic.world.emulator.platform_token(ISSUER, &token).unwrap().expose()).unwrap();
    let keyless = doctor(&["--offline", path.to_str().unwrap()], &[]).await;
    assert_eq!(keyless.status, 13, "{}", keyless.stdout);
    for part in ["AADSTS5002723", "`kid` is missing", "pasted-token-unfit", "remedy"] {
        assert!(keyless.stdout.contains(part), "{part}: {}", keyless.stdout);
    }
    let missing = doctor(&["--offline", "/no/such/token"], &[]).await;
    assert_eq!(missing.status, 12);
    assert!(missing.stdout.contains("pasted-token-unreadable"), "{}", missing.stdout);
}
