//! Which variables a child has: exactly its own, less what leads past the door, with what leads to it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::process::Command;

use super::{ended, exec, own, put_config};
use crate::support::world::{CLIENT, OTHER_CLIENT, TENANT, World};

/// Everything that contract B1 and B12 name, what mints, and what is ours.
const TAKEN_OUT: [&str; 20] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "APPSETTING_WEBSITE_SITE_NAME",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "AZURE_USERNAME",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "UNSECRET_LOG_LEVEL",
    "UNSECRET_NOTE",
    "UNSECRET_SERVICE_HOST",
    "UNSECRET_X",
];

/// What resembles them and is none of our business.
const LEFT: [&str; 7] = [
    "AZURE_AUTHORITY_HOST",
    "AZURE_CONFIG_DIR",
    "AZURE_SUBSCRIPTION_ID",
    "HOME",
    "HTTPS_PROXY",
    "UNSECRETIVE",
    "WITH_NEWLINE",
];

/// Every variable that a child sees.
async fn seen(mut command: Command, extra: &[(&str, &str)]) -> (BTreeMap<String, String>, String) {
    command.envs(extra.iter().copied());
    let ended = ended(command).await;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let pairs = ended.stdout.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    (pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), ended.stderr)
}

#[tokio::test]
async fn the_list_of_what_is_taken_out_is_exact() {
    let world = World::new().await;
    let mut given: Vec<_> = TAKEN_OUT.into_iter().chain(LEFT).map(|name| (name, "/nowhere/a\nb")).collect();
    given.retain(|(name, _)| *name != "UNSECRET_LOG_LEVEL");
    given.extend([("UNSECRET_LOG_LEVEL", "debug"), ("IDENTITY_ENDPOINT", "http://old"), ("IDENTITY_HEADER", "old")]);
    let (seen, _) = seen(own(&world, &["env", "-0"]), &given).await;
    let names: BTreeSet<_> = seen.keys().map(String::as_str).filter(|name| *name != "PATH").collect();
    let set = ["AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "NO_PROXY", "no_proxy"];
    assert_eq!(names, LEFT.into_iter().chain(set).collect());
    assert!(LEFT.iter().all(|name| seen[*name] == "/nowhere/a\nb"));
    assert!(seen["IDENTITY_HEADER"].starts_with("uns_") && seen["IDENTITY_ENDPOINT"].starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn exemptions_from_the_proxy_are_appended() {
    let world = World::new().await;
    let near = "localhost,127.0.0.1,::1,169.254.169.254";
    for (given, upper, lower) in [
        (&[][..], "", ""),
        (&[("NO_PROXY", ".corp")], ".corp,", ".corp,"),
        (&[("NO_PROXY", ".corp"), ("no_proxy", "intranet")], ".corp,", "intranet,"),
    ] {
        let (seen, _) = seen(own(&world, &["env", "-0"]), given).await;
        assert_eq!((&seen["NO_PROXY"], &seen["no_proxy"]), (&format!("{upper}{near}"), &format!("{lower}{near}")));
    }
}

#[tokio::test]
async fn a_client_id_stays_when_it_is_the_identitys() {
    let world = World::new().await;
    let upper = CLIENT.to_uppercase();
    let (own_id, said) = seen(own(&world, &["env", "-0"]), &[("AZURE_CLIENT_ID", &upper)]).await;
    assert_eq!((own_id["AZURE_CLIENT_ID"].as_str(), said.as_str()), (upper.as_str(), ""));
    let (other, said) = seen(own(&world, &["env", "-0"]), &[("AZURE_CLIENT_ID", OTHER_CLIENT)]).await;
    assert_eq!(other.get("AZURE_CLIENT_ID"), None);
    assert!(said.contains(OTHER_CLIENT) && said.contains(CLIENT), "{said}");
}

#[tokio::test]
async fn what_is_to_be_kept_is_kept() {
    let world = World::new().await;
    let config = put_config(&world);
    let keep = ["--keep", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "--keep", "AZURE_CLIENT_ID"];
    let arguments = ["--config", &config].into_iter().chain(keep).chain(["--", "env", "-0"]);
    let given = [("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"), ("AZURE_CLIENT_ID", OTHER_CLIENT), ("MSI_SECRET", "x")];
    let (seen, said) = seen(exec(arguments), &given).await;
    assert_eq!(
        (seen["ACTIONS_ID_TOKEN_REQUEST_TOKEN"].as_str(), seen["AZURE_CLIENT_ID"].as_str()),
        ("t", OTHER_CLIENT)
    );
    assert_eq!((seen.get("MSI_SECRET"), said.as_str()), (None, ""));
}

#[tokio::test]
async fn the_local_key_of_another_caller_does_not_reach_the_command() {
    let world = World::new().await;
    let config = world.path("keys.toml");
    let text = world.config_text();
    // Of the identity that is asked for and of one that is not.
    let (first, second) = ("[[identity.caller]]\nkey_env = \"POD_UID\"", "caller = [{ key_env = \"OTHER_KEY\" }]");
    let other = format!(
        "[[identity]]\nname = \"other\"\ntenant = \"{TENANT}\"\nclient_id = \"{OTHER_CLIENT}\"\n\
         scopes = [\"https://vault.azure.net/.default\"]\nassertion = {{ file = \"/nowhere\" }}\n{second}\n"
    );
    std::fs::write(&config, format!("{text}\n{first}\n{other}")).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--identity", "billing", "--", "env", "-0"];
    let given = [("POD_UID", "canary-pod-uid-0123456789abcdefgh"), ("OTHER_KEY", "canary-other"), ("POD_NAME", "shop")];
    let (seen, said) = seen(exec(arguments), &given).await;
    assert!(seen.keys().all(|name| name != "POD_UID" && name != "OTHER_KEY"), "{:?}", seen.keys());
    assert!(!seen.values().any(|value| value.contains("canary")) && !said.contains("canary"));
    assert_eq!(seen["POD_NAME"], "shop");
}

#[tokio::test]
async fn each_run_has_a_key_of_its_own() {
    let world = World::new().await;
    let mut keys = BTreeSet::new();
    for _ in 0..3 {
        keys.insert(seen(own(&world, &["env", "-0"]), &[]).await.0["IDENTITY_HEADER"].clone());
    }
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn what_leads_past_the_door_is_warned_of_and_can_be_kept_quiet() {
    let world = World::new().await;
    let given = [("AZURE_TOKEN_CREDENTIALS", "dev"), ("ARM_CLIENT_SECRET", "canary-arm-secret")];
    let (variables, said) = seen(own(&world, &["env", "-0"]), &given).await;
    assert_eq!(variables["AZURE_TOKEN_CREDENTIALS"], "dev", "what the user chose stands");
    assert!(said.contains("AZURE_TOKEN_CREDENTIALS=dev") && said.contains("ARM_CLIENT_SECRET is set"), "{said}");
    assert!(!said.contains("canary"), "a warning repeats a secret");
    let config = put_config(&world);
    let (_, said) = seen(exec(["--config", &config, "--quiet", "--", "env", "-0"]), &given).await;
    assert_eq!(said, "");
}
