//! What would still lead the command past the door, although its variables are in order.
//!
//! Words only: each is something that the user decides. Pure, over what it is shown. Easy to get wrong: a warning that
//! is not true of this command teaches people to overlook the next one. So none of the Arc agent's files is told here:
//! they choose a source only where `IDENTITY_ENDPOINT` is not set (contract B1).

use std::path::{Path, PathBuf};

use crate::config::AssertionSettings;

/// Values of `AZURE_TOKEN_CREDENTIALS` that leave the managed identity in.
const WITH_MANAGED_IDENTITY: [&str; 2] = ["prod", "managedidentitycredential"];

/// What Terraform and others of its family take before they ask a managed identity.
const ARM: [&str; 4] =
    ["ARM_CLIENT_SECRET", "ARM_CLIENT_CERTIFICATE_PATH", "ARM_OIDC_TOKEN", "ARM_OIDC_TOKEN_FILE_PATH"];

/// What keeps a chain of credentials from the managed identity, or leads it past. `now` reads variables as the command
/// will see them, `exists` asks the file system.
pub(super) fn of_chain(now: impl Fn(&str) -> Option<String>, exists: impl Fn(&Path) -> bool) -> Option<String> {
    let now = |name: &str| now(name).filter(|value| !value.is_empty());
    if let Some(value) = now("AZURE_TOKEN_CREDENTIALS") {
        let kept = WITH_MANAGED_IDENTITY.contains(&value.to_ascii_lowercase().as_str());
        return (!kept).then(|| {
            format!(
                "AZURE_TOKEN_CREDENTIALS={value} keeps DefaultAzureCredential from the door; unset it, or set it to \
                 ManagedIdentityCredential"
            )
        });
    }
    let folder = azure_login(now, exists)?;
    Some(format!(
        "there is an Azure CLI login in {}: DefaultAzureCredential goes on to it where the door refuses; set \
         AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential to keep it out",
        folder.display()
    ))
}

/// What else uses other credentials than the door. `now` as in [`of_chain`].
pub(super) fn warnings(now: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    let now = |name: &str| now(name).filter(|value| !value.is_empty());
    for name in ARM.into_iter().filter(|name| now(name).is_some()) {
        found.push(format!("{name} is set: Terraform and its like would use it and not the door; unset it"));
    }
    if now("JAVA_TOOL_OPTIONS").is_some_and(|options| proxies_loopback(&options)) {
        found.push(
            "JAVA_TOOL_OPTIONS names a proxy and a list of hosts without it that lacks 127.0.0.1; add \
             127.* to http.nonProxyHosts"
                .to_owned(),
        );
    }
    found
}

/// The folder of `az`, if somebody has logged in with it.
fn azure_login(now: impl Fn(&str) -> Option<String>, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let folder =
        now("AZURE_CONFIG_DIR").map(PathBuf::from).or_else(|| Some(Path::new(&now("HOME")?).join(".azure")))?;
    // Its files of tokens, of now and of old; the profile alone stays after a logout.
    let tokens = ["msal_token_cache.json", "msal_token_cache.bin", "accessTokens.json"];
    tokens.iter().any(|file| exists(&folder.join(file))).then_some(folder)
}

/// Java exempts loopback by itself, unless somebody writes the list anew.
fn proxies_loopback(options: &str) -> bool {
    let list = options.split_whitespace().find_map(|option| option.strip_prefix("-Dhttp.nonProxyHosts="));
    options.contains("-Dhttp.proxyHost=") && list.is_some_and(|hosts| !hosts.contains("127."))
}

/// A token file that is not there yet is no reason not to start, and one to say so.
pub(super) fn of_source(source: &AssertionSettings) -> Option<String> {
    let AssertionSettings::File { path, .. } = source else { return None };
    let error = std::fs::File::open(path).err()?;
    Some(format!("the token file `{}` cannot be read: {error}; until it can, the door answers 503", path.display()))
}

/// Nor is a broker that is down just now.
pub(super) fn of_broker(socket: &Path) -> Option<String> {
    let error = std::os::unix::net::UnixStream::connect(socket).err()?;
    let socket = socket.display();
    Some(format!("the broker's socket {socket} does not open: {error}; until it does, the door answers 503"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)], files: &[&str]) -> Vec<String> {
        let now = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        of_chain(now, exists).into_iter().chain(warnings(now)).collect()
    }

    #[test]
    fn an_ordinary_environment_is_no_reason_for_words() {
        let plain = [("HOME", "/root"), ("AZURE_TOKEN_CREDENTIALS", "prod"), ("ARM_CLIENT_SECRET", "")];
        assert_eq!(told(&plain, &["/root/.azure/azureProfile.json"]), Vec::<String>::new());
    }

    #[test]
    fn each_way_past_the_door_is_named_with_what_to_do() {
        let login = "/root/.azure/msal_token_cache.json";
        for (variables, files, word) in [
            (&[("AZURE_TOKEN_CREDENTIALS", "dev")][..], &[][..], "AZURE_TOKEN_CREDENTIALS=dev"),
            (&[("HOME", "/root")], &[login], "/root/.azure"),
            (&[("AZURE_CONFIG_DIR", "/x")], &["/x/msal_token_cache.bin"], "login in /x:"),
            (&[("ARM_OIDC_TOKEN", "x")], &[], "ARM_OIDC_TOKEN"),
            (
                &[("JAVA_TOOL_OPTIONS", "-Dhttp.proxyHost=p -Dhttp.nonProxyHosts=*.corp")],
                &[],
                "127.* to http.nonProxyHosts",
            ),
        ] {
            let told = told(variables, files);
            assert!(told.len() == 1 && told[0].contains(word), "{word}: {told:?}");
        }
        let pinned = [("HOME", "/root"), ("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")];
        assert_eq!(told(&pinned, &[login]).len(), 0);
    }
}
