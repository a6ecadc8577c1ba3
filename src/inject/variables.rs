//! The variables that lead a container's SDK to the broker (contract B1, B12, B13, B14).
//!
//! `exec` has the same table for a process of its own (`cli/variables`), with two differences: here several doors stand
//! open at once, and nothing that is there is changed but `NO_PROXY`. Easy to get wrong: `AZURE_TENANT_ID` and
//! `AZURE_AUTHORITY_HOST` are not set, since beside a secret that came some other way they would wake
//! `EnvironmentCredential`.

use serde_json::{Value, json};

use super::broker::{TOKEN_DIRECTORY, TOKEN_VOLUME, token_path};
use super::leftover::TOKEN_FILE;
use super::pod::Container;
use super::settings::Settings;
use super::values::Values;
use crate::ids::{Door, Doors};
use crate::patch::{Operation, Pointer};

/// The pod's UID, for applications that present it themselves: at the OAuth door, or the plain one.
const POD_KEY: &str = "UNSECRET_POD_KEY";

/// Contract B13: several SDKs send even these to a proxy unless they are listed.
const NEAR: [&str; 4] = ["localhost", "127.0.0.1", "::1", "169.254.169.254"];

/// What a container that has another value all the same says to the broker's satisfaction.
const AS_GOOD: [(&str, &str); 1] = [("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")];

/// A variable as an entry of a container's `env`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) entry: Value,
}

impl Variable {
    fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, entry: json!({"name": name, "value": value.into()}) }
    }

    /// The local key: every container of the pod can know it, and nobody has to keep it (`docs/kubernetes.md`).
    fn pod_uid(name: &'static str) -> Self {
        Self { name, entry: json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}) }
    }
}

/// Those of every container, but for `NO_PROXY`.
pub(super) fn variables(settings: &Settings, values: &Values) -> Vec<Variable> {
    let at = |path: &str| format!("http://127.0.0.1:{}/{path}", values.sidecar.token_port);
    let doors = settings.doors;
    let mut all = vec![];
    if doors.iter().any(|door| matches!(door, Door::Oauth | Door::Plain | Door::CloudShell)) {
        all.push(Variable::pod_uid(POD_KEY));
    }
    if doors.has(Door::AppService) {
        all.push(Variable::text("IDENTITY_ENDPOINT", at("msi/token")));
    }
    // Terraform goes to MSI_ENDPOINT and shows this. Alone it leads nobody elsewhere.
    if doors.has(Door::AppService) || doors.has(Door::AppService2017) {
        all.push(Variable::pod_uid("IDENTITY_HEADER"));
    }
    if doors.has(Door::AppService2017) {
        all.push(Variable::text("MSI_ENDPOINT", at("msi/token")));
        all.push(Variable::pod_uid("MSI_SECRET"));
        // By its presence msrestazure knows the place; it never looks at the value.
        all.push(Variable::text("APPSETTING_WEBSITE_SITE_NAME", "unsecret"));
        // Without it .NET refuses to ask for the default identity, and JS sends the text `undefined`.
        all.push(Variable::text("DEFAULT_IDENTITY_CLIENT_ID", settings.client_id.as_str()));
    } else if doors.has(Door::CloudShell) {
        // The kubelet puts the key in: it is a variable that stands before this one.
        all.push(Variable::text("MSI_ENDPOINT", at(&format!("cloud-shell/$({POD_KEY})/oauth2/token"))));
    }
    if doors.has(Door::Imds) {
        // With the slash at its end: Python and JS trim it, .NET and Java put up with it.
        all.push(Variable::text("AZURE_POD_IDENTITY_AUTHORITY_HOST", at("")));
    }
    // SDKs that find it there refuse to ask Cloud Shell, which has no identities to choose from.
    if !leads_to_cloud_shell_alone(doors) {
        all.push(Variable::text("AZURE_CLIENT_ID", settings.client_id.as_str()));
    }
    if settings.token.is_exposed {
        all.push(Variable::text("AZURE_TENANT_ID", settings.tenant.as_str()));
        all.push(Variable::text("AZURE_AUTHORITY_HOST", settings.login.host(&settings.tenant)));
        all.push(Variable::text(TOKEN_FILE, token_path()));
    }
    // Else Python and JavaScript take our denial for a machine without identity, and go on to a developer's login.
    all.push(Variable::text("AZURE_TOKEN_CREDENTIALS", "prod"));
    all
}

fn leads_to_cloud_shell_alone(doors: Doors) -> bool {
    doors.has(Door::CloudShell)
        && ![Door::AppService, Door::AppService2017, Door::Imds].into_iter().any(|door| doors.has(door))
}

/// What gives a container those that it lacks. Nothing that it has is changed: if it differs, there is a warning.
pub(super) fn give(container: &Container<'_>, wanted: &[Variable], warnings: &mut Vec<String>) -> Vec<Operation> {
    let place = container.place().below("env");
    let mut missing = vec![];
    for variable in wanted {
        match container.variable(variable.name) {
            None => missing.push(variable.entry.clone()),
            Some((_, there)) if is_same(there, &variable.entry) || is_as_good(variable.name, there) => {}
            Some(_) => warnings.push(format!(
                "container `{}` has {} already, which stands as it is and may lead its SDK elsewhere",
                container.name, variable.name
            )),
        }
    }
    let mut changes = exempt(container, &mut missing, warnings);
    changes.extend(added(container.has_env(), &place, missing));
    changes
}

/// The lists of what is reached without a proxy: some clients read one spelling, some the other.
fn exempt(container: &Container<'_>, missing: &mut Vec<Value>, warnings: &mut Vec<String>) -> Vec<Operation> {
    let mut replaced = vec![];
    for name in ["NO_PROXY", "no_proxy"] {
        let other = if name == "NO_PROXY" { "no_proxy" } else { "NO_PROXY" };
        let list = |name: &str| container.variable(name).map(|(index, entry)| (index, plain(entry)));
        match (list(name), list(other)) {
            (Some((_, None)), _) => warnings.push(format!(
                "container `{}` takes {name} from elsewhere: see that it lists {}",
                container.name,
                NEAR.join(",")
            )),
            (Some((index, Some(text))), _) if exempting(text) != text => {
                let place = container.place().below("env").below(index);
                replaced.push(Operation::Test { path: place.below("name"), value: name.into() });
                // Puts it also where an empty value was left out.
                replaced.push(Operation::Add { path: place.below("value"), value: exempting(text).into() });
            }
            (Some(_), _) => {}
            // Who reads one spelling first must not lose what only the other one exempts.
            (None, Some((_, Some(text)))) => missing.push(json!({"name": name, "value": exempting(text)})),
            (None, Some((_, None))) => {
                missing.push(json!({"name": name, "value": exempting(&format!("$({other})"))}));
            }
            (None, None) => missing.push(json!({"name": name, "value": NEAR.join(",")})),
        }
    }
    replaced
}

/// The token's volume for a container that is to read the file itself.
pub(super) fn mount(container: &Container<'_>, warnings: &mut Vec<String>) -> Vec<Operation> {
    let at_place = container.mounts().find(|mount| mount["mountPath"] == TOKEN_DIRECTORY);
    if let Some(there) = at_place {
        if there["name"] != TOKEN_VOLUME {
            warnings.push(format!(
                "container `{}` has something else at {TOKEN_DIRECTORY}, and so not the token's file",
                container.name
            ));
        }
        return vec![];
    }
    let mount = json!({"name": TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": true});
    added(container.has_mounts(), &container.place().below("volumeMounts"), vec![mount])
}

/// New elements at the end of a list that may have to be made.
pub(super) fn added(is_there: bool, list: &Pointer, items: Vec<Value>) -> Vec<Operation> {
    if items.is_empty() {
        return vec![];
    }
    if !is_there {
        return vec![Operation::Add { path: list.clone(), value: Value::Array(items) }];
    }
    items.into_iter().map(|value| Operation::Add { path: list.below("-"), value }).collect()
}

/// The text of a variable that says it itself.
fn plain(entry: &Value) -> Option<&str> {
    if entry["valueFrom"].is_null() { Some(entry["value"].as_str().unwrap_or_default()) } else { None }
}

fn is_same(one: &Value, other: &Value) -> bool {
    let source = |entry: &Value| entry["valueFrom"]["fieldRef"]["fieldPath"].clone();
    one["value"] == other["value"] && source(one) == source(other)
}

fn is_as_good(name: &str, there: &Value) -> bool {
    let value = there["value"].as_str().unwrap_or_default();
    AS_GOOD.iter().any(|(known, good)| *known == name && value.eq_ignore_ascii_case(good))
}

/// The list with this pod's own addresses appended, each once; as it is where none is missing.
fn exempting(list: &str) -> String {
    let has = |name: &str| list.split(',').any(|entry| entry.trim() == name);
    let missing: Vec<_> = NEAR.into_iter().filter(|name| !has(name)).collect();
    if has("*") || missing.is_empty() {
        return list.to_owned();
    }
    let own = Some(list.trim()).filter(|list| !list.is_empty());
    own.into_iter().chain(missing).collect::<Vec<_>>().join(",")
}
