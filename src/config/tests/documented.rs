//! The pages that come from the doc comments.

use std::path::PathBuf;

use super::*;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")
}

#[test]
fn the_reference_page_is_what_the_doc_comments_say() {
    if std::env::var_os("UNSECRET_BLESS").is_some() {
        std::fs::write(page(), reference()).unwrap();
    }
    let written = std::fs::read_to_string(page()).unwrap();
    assert!(written == reference(), "docs/configuration.md is not current: run this test with UNSECRET_BLESS=1");
}

#[test]
fn the_sample_on_the_reference_page_is_a_good_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, LocalKey::generate().unwrap().secret().expose()).unwrap();
    let text = reference();
    let sample = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = read(&sample.replace("/etc/unsecret/billing.caller", key.to_str().unwrap())).unwrap();
    assert_eq!(config.identities.len(), 2);
}

#[test]
fn every_setting_has_words_an_example_and_a_default_or_none_is_needed() {
    for setting in schema::settings() {
        assert!(setting.description().len() > 10, "{} says nothing", setting.path);
        assert!(setting.example().is_some(), "{} has no example", setting.path);
    }
}

#[test]
fn every_documented_default_is_the_real_one() {
    let line = |path: &str| {
        let default = &schema::setting(path).unwrap().schema["default"];
        format!("{} = {}\n", path.rsplit('.').next().unwrap(), schema::toml_text(default))
    };
    let listen =
        ["http", "admin", "wait", "drain", "hosts", "unsafe_any_address"].map(|key| line(&format!("listen.{key}")));
    assert_eq!(read(&format!("[listen]\n{}{GOOD}", listen.concat())).unwrap().listen, read(GOOD).unwrap().listen);
    let identity = ["required", "cloud", "prefetch", "tenant_aliases"].map(|key| line(&format!("identity[0].{key}")));
    let (one, other) = (read(&format!("{GOOD}{}", identity.concat())).unwrap(), read(GOOD).unwrap());
    assert_eq!(format!("{:?}", one.identities), format!("{:?}", other.identities));
}

#[test]
fn every_kind_of_mistake_is_on_the_errors_page() {
    let page = std::fs::read_to_string(page().with_file_name("errors.md")).unwrap();
    for mistake in Mistake::ALL {
        assert!(page.contains(&format!("| `{}` |", mistake.code())), "{}", mistake.code());
    }
}
