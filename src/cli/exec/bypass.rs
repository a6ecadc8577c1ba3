//! What would still lead the command past the door, although its variables are in order.
//!
//! Words only: each is something that the user decides. Pure, over what it is shown. Easy to get wrong: a warning that
//! is not true of this command teaches people to overlook the next one. So none of the Arc agent's files is told here:
//! they choose a source only where `IDENTITY_ENDPOINT` is not set (contract B1).

use std::path::Path;

use crate::config::AssertionSettings;

/// Values of `AZURE_TOKEN_CREDENTIALS` that leave the managed identity in.
const WITH_MANAGED_IDENTITY: [&str; 2] = ["prod", "managedidentitycredential"];

/// What Terraform and others of its family take before they ask a managed identity.
const ARM: [&str; 4] =
    ["ARM_CLIENT_SECRET", "ARM_CLIENT_CERTIFICATE_PATH", "ARM_OIDC_TOKEN", "ARM_OIDC_TOKEN_FILE_PATH"];

/// What keeps a chain of credentials from the managed identity. `now` reads variables as the command will see them.
///
/// Nothing of a developer's login here: where the user chose no chain, `variables` sets one that ends before it.
pub(super) fn of_chain(now: impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = now("AZURE_TOKEN_CREDENTIALS").filter(|value| !value.is_empty())?;
    let kept = WITH_MANAGED_IDENTITY.contains(&value.to_ascii_lowercase().as_str());
    (!kept).then(|| {
        format!(
            "AZURE_TOKEN_CREDENTIALS={value} keeps DefaultAzureCredential from the door; unset it, or set it to prod"
        )
    })
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

    fn told(variables: &[(&str, &str)]) -> Vec<String> {
        let now = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        of_chain(now).into_iter().chain(warnings(now)).collect()
    }

    #[test]
    fn an_ordinary_environment_is_no_reason_for_words() {
        for chain in ["", "prod", "ManagedIdentityCredential"] {
            let plain = [("HOME", "/root"), ("AZURE_TOKEN_CREDENTIALS", chain), ("ARM_CLIENT_SECRET", "")];
            assert_eq!(told(&plain), Vec::<String>::new());
        }
    }

    #[test]
    fn each_way_past_the_door_is_named_with_what_to_do() {
        for (name, value, word) in [
            ("AZURE_TOKEN_CREDENTIALS", "dev", "AZURE_TOKEN_CREDENTIALS=dev"),
            ("ARM_OIDC_TOKEN", "x", "ARM_OIDC_TOKEN"),
            ("JAVA_TOOL_OPTIONS", "-Dhttp.proxyHost=p -Dhttp.nonProxyHosts=*.corp", "127.* to http.nonProxyHosts"),
        ] {
            let told = told(&[(name, value)]);
            assert!(told.len() == 1 && told[0].contains(word), "{word}: {told:?}");
        }
    }
}
