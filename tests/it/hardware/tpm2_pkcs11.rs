//! libtpm2-pkcs11 over a TPM without a resource manager: a real module that has no PSS, and room for three objects.

use std::path::{Path, PathBuf};

use super::*;
use crate::support::parts::{Level, missing};
use crate::support::softhsm::installed;
use crate::support::swtpm::Swtpm;

const PIN: &str = "user-2468";

/// The module, where its package is installed.
fn module() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let module = folders.map(|folder| folder.join("libtpm2_pkcs11.so.1")).find(|path| path.exists());
    if module.is_none() || !installed("pkcs11-tool") {
        missing(Level::Core, "the Debian packages libtpm2-pkcs11-1 and opensc");
        return None;
    }
    module
}

/// `pkcs11-tool`, and no object left behind in the TPM.
async fn tool(tpm: &Swtpm, module: &Path, variables: &[(&str, String)], args: &[&str]) {
    let mut command = Command::new("pkcs11-tool");
    command.arg("--module").arg(module).args(args).envs(variables.iter().map(|(name, value)| (*name, value)));
    finished(command);
    tpm.tool("tpm2_flushcontext", &["-t"]).await;
}

#[tokio::test]
async fn a_module_without_pss_signs_with_rs256_and_gives_tokens_through_every_door() {
    let Some(module) = module() else { return };
    let Some(tpm) = Swtpm::start().await else { return };
    let mut site = Site::new(Vec::new(), String::new());
    fs::create_dir(site.path("store")).unwrap();
    let variables = [("TPM2_PKCS11_STORE", site.text("store")), ("TPM2_PKCS11_TCTI", tpm.tcti())];
    let logged_in = ["--token-label", "prod", "--login", "--pin", PIN];
    let officer = ["--token-label", "prod", "--login", "--login-type", "so", "--so-pin", "officer-1357"];
    let init = ["--init-token", "--slot-index", "0", "--label", "prod", "--so-pin", "officer-1357"];
    tool(&tpm, &module, &variables, &init).await;
    tool(&tpm, &module, &variables, &[&officer[..], &["--init-pin", "--new-pin", PIN]].concat()).await;
    let generate = ["--keypairgen", "--key-type", "rsa:2048", "--label", "billing", "--id", "0a"];
    tool(&tpm, &module, &variables, &[&logged_in[..], &generate].concat()).await;

    let each = |(name, value): &(&str, String)| format!("{name} = {value:?}");
    site.table = format!("[pkcs11]\nenvironment = {{ {} }}\n", variables.each_ref().map(each).join(", "));
    let option = |(name, value)| ["--module-environment".to_owned(), format!("{name}={value}")];
    site.options = variables.into_iter().flat_map(option).collect();
    fs::write(site.path("pin"), PIN).unwrap();
    fs::set_permissions(site.path("pin"), fs::Permissions::from_mode(0o600)).unwrap();
    let key = format!(
        "pkcs11:token=prod;object=billing?module-path={}&pin-source=file:{}",
        module.display(),
        site.text("pin")
    );
    let said = site.key(&["test", &key]);
    assert!(said.contains("RS256, since PSS with a 32-byte salt is not to be had"), "{said}");
    site.certify(&key, "billing.pem");
    let world = site.known_world(&key, "billing.pem").await;
    assert_every_door_gives_a_token_signed_with(&world, "RS256").await;
}
