//! What a container still carries that leads its SDK past the broker (contract B1, B12).
//!
//! With such a variable everything works, every light is green, and the secret stays. Easy to get wrong: `envFrom` cannot
//! be looked into, here or at the API server; all that can be done is to say so.

use serde_json::Value;

use super::denial::{Bypass, Denial};
use super::pod::Container;
use super::settings::Settings;
use super::words::Leftover;
use crate::patch::Operation;

/// A real secret: `EnvironmentCredential` comes before every managed identity.
const SECRET: &str = "AZURE_CLIENT_SECRET";
/// The token file of a workload identity: JavaScript, .NET and Java take it before anything else.
pub(super) const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// What else changes the choice of an SDK, and is less often there.
const ASTRAY: [&str; 4] =
    ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT"];

/// The operations that take it away, as far as they were asked for. They come after every other change of a container's
/// variables, whose places they shift.
///
/// # Errors
/// When it is there and was not allowed.
pub(super) fn judge(
    containers: &[&Container<'_>],
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Vec<Operation>, Denial> {
    let mut bypasses = vec![];
    let mut removals = vec![];
    for container in containers {
        let first = bypasses.len();
        // From the last on: each removal moves those behind it.
        for (index, variable) in
            container.env().rev().filter_map(|(index, name, _)| Some((index, bypass(name, settings)?)))
        {
            match settings.leftover {
                Leftover::Deny => bypasses.push(Bypass { container: container.name.to_owned(), variable }),
                Leftover::Warn => warnings.push(past(container.name, variable)),
                Leftover::Strip => {
                    let place = container.place().below("env").below(index);
                    removals.push(Operation::Test { path: place.below("name"), value: variable.into() });
                    removals.push(Operation::Remove { path: place });
                }
            }
        }
        bypasses[first..].reverse();
        warn_of_others(container, settings, warnings);
    }
    if bypasses.is_empty() { Ok(removals) } else { Err(Denial::Leftover(bypasses)) }
}

fn bypass(name: &str, settings: &Settings) -> Option<&'static str> {
    let file = (!settings.token.is_exposed).then_some(TOKEN_FILE);
    [Some(SECRET), file].into_iter().flatten().find(|variable| *variable == name)
}

fn warn_of_others(container: &Container<'_>, settings: &Settings, warnings: &mut Vec<String>) {
    let there = |name: &&&str| container.variable(name).is_some();
    for variable in ASTRAY.iter().filter(there) {
        warnings.push(past(container.name, variable));
    }
    let can_hide = |from: &&Value| {
        let prefix = from["prefix"].as_str().unwrap_or_default();
        [SECRET, TOKEN_FILE].iter().any(|variable| variable.starts_with(prefix) && bypass(variable, settings).is_some())
    };
    for from in container.env_from().filter(can_hide) {
        let named = |kind: &str| from[kind]["name"].as_str();
        let source = match (named("secretRef"), named("configMapRef")) {
            (Some(name), _) => format!("Secret `{name}`"),
            (None, Some(name)) => format!("ConfigMap `{name}`"),
            (None, None) => continue,
        };
        warnings.push(format!(
            "container `{}` takes variables from {source}, which is not looked into: see that {SECRET} is not in it",
            container.name
        ));
    }
}

fn past(container: &str, variable: &str) -> String {
    format!("container `{container}` has {variable}, which may lead Azure SDKs past the broker")
}
