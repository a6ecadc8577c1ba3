//! `listen.takeover`: what it needs, what it is warned of, and who follows it.

use super::*;

const HOST: &str = "login.microsoftonline.com";

fn with(listen: &str) -> Result<Config, ConfigProblems> {
    read(&format!("[listen]\n{listen}\n{GOOD}"))
}

#[test]
fn a_taken_over_host_needs_a_door_that_its_clients_find() {
    let takeover = format!("takeover = [\"{HOST}\"]");
    let https = format!("https = \"127.0.0.1:443\"\n{takeover}");
    for (listen, said) in [
        (takeover.clone(), "`listen.https` is not"),
        (format!("{https}\ndoors = [\"imds\"]"), "the door \"oauth\" is closed"),
        (format!("{https}\ntakeover_addresses = [\"127.0.0.1\"]"), "we would ask ourselves"),
        (format!("{https}\ntakeover_addresses = [\"nowhere\"]"), "must be an address"),
        ("takeover_addresses = [\"203.0.113.10\"]".to_owned(), "`listen.takeover` is not"),
        ("https = \"127.0.0.1:443\"\ntakeover = [\"https://a.b\"]".to_owned(), "without scheme, port or path"),
    ] {
        let problems = with(&listen).unwrap_err().to_string();
        assert!(problems.contains(said), "{listen}: {problems}");
    }
    assert!(with(&https).unwrap().warnings.is_empty());
}

#[test]
fn what_no_client_or_no_identity_would_come_to_is_warned_of() {
    let other = with(&format!("https = \"127.0.0.1:4743\"\ntakeover = [\"{HOST}\", \"login.example\"]")).unwrap();
    let warned = other.warnings.join("\n");
    assert!(warned.contains("port 443") && warned.contains("\"login.example\", but no identity"), "{warned}");
    assert_eq!(other.warnings.len(), 2, "{warned}");
    // Another name of the identity's own cloud.
    let alias = with("https = \"127.0.0.1:443\"\ntakeover = [\"login.windows.net\"]").unwrap();
    assert!(alias.warnings.is_empty(), "{:?}", alias.warnings);
}

#[test]
fn verbs_that_serve_themselves_reach_the_real_host_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let listen = "https = \"127.0.0.1:443\"\ntakeover_addresses = [\"203.0.113.10\"]\nunix = \"relative\"";
    std::fs::write(&file, format!("[listen]\n{listen}\ntakeover = [\"{HOST}\"]\n{GOOD}")).unwrap();
    let config = Config::load_identities(Some(&file), &Environment::default()).unwrap();
    let takeover = &config.identities[0].outbound.takeover;
    assert_eq!(
        (takeover.hosts.as_slice(), takeover.addresses.as_slice()),
        (&[HOST.to_owned()][..], &["203.0.113.10:443".parse().unwrap()][..])
    );
    assert_eq!(config.listen.https, None, "no listener of the broker's");
}
