//! The operations that give a pod the broker.
//!
//! Only what is meant: nothing is written back that was read. Easy to get wrong: a later operation sees what the earlier
//! ones did, so what refers to a place by number comes first, what shifts places comes last, and where a number is assumed
//! a `test` stands before it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::annotations::{CONFIG_HASH, INJECTED};
use super::broker::{self, User};
use super::denial::Denial;
use super::fitness::PORT_START;
use super::leftover;
use super::pod::{Container, Pod};
use super::settings::{Selection, Settings};
use super::values::Values;
use super::variables::{self, added};
use super::words::Intercept;
use super::{Metadata, nearest};
use crate::patch::{Operation, Pointer};

/// Which container `kubectl logs` and `kubectl exec` take unless told.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

fn spec() -> Pointer {
    Pointer::root().below("spec")
}

/// What the containers get: variables, the token's file if they are to have it, and what leads past the broker taken
/// away. The same for a pod that has the broker, whose later containers may lack them.
///
/// # Errors
/// When something leads past the broker and was not to be taken away.
pub(super) fn of_containers(
    pod: &Pod<'_>,
    settings: &Settings,
    values: &Values,
    is_native: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Operation>, Denial> {
    let selected = selected(pod, &settings.selection, is_native, warnings);
    let removals = leftover::judge(&selected, settings, warnings)?;
    let wanted = variables::variables(settings, values);
    // `/spec/containers/0` of `/spec/containers/0/env/1`. Looked up, since both may be thousands.
    let stripped: BTreeSet<_> = removals.iter().filter_map(|one| one.path().steps().get(..3)).collect();
    let mut operations = vec![];
    for container in &selected {
        let mut own = variables::give(container, &wanted, warnings);
        if settings.token.is_exposed {
            own.extend(variables::mount(container, warnings));
        }
        if !own.is_empty() || stripped.contains(container.place().steps()) {
            operations.push(test_name(container));
            operations.extend(own);
        }
    }
    operations.extend(removals);
    Ok(operations)
}

/// What makes the broker part of the pod.
pub(super) fn of_pod(
    pod: &Pod<'_>,
    own: &Metadata,
    settings: &Settings,
    values: &Values,
    user: User,
    is_native: bool,
) -> Vec<Operation> {
    let volumes = broker::volumes(settings, values);
    let mut operations = added(pod.field("volumes").is_array(), &spec().below("volumes"), volumes);
    let mut first = vec![];
    if settings.intercept != Intercept::Env {
        operations.extend(port_start(pod));
        first.push(broker::net_setup(settings, values));
    }
    let container = broker::container(settings, values, user, is_native);
    if is_native {
        first.push(container);
    } else {
        operations.push(test_name(&pod.main[0]));
        operations.push(Operation::Add { path: spec().below("containers").below(0), value: container });
    }
    operations.extend(before_init(pod, first));
    operations.extend(annotations(pod, own, settings, values, is_native));
    operations
}

/// Which containers are led to the broker.
fn selected<'p, 'a>(
    pod: &'p Pod<'a>,
    selection: &Selection,
    is_native: bool,
    warnings: &mut Vec<String>,
) -> Vec<&'p Container<'a>> {
    let known = || pod.all().filter(|container| !container.is_ours());
    let steps_before = steps_before(pod);
    let is_served = |container: &Container<'_>| {
        // Whether the broker is there while it runs.
        !container.is_a_step() || is_native && container.index >= steps_before
    };
    let (Selection::Only(names) | Selection::Except(names)) = selection else {
        return known().filter(|one| !one.is_of_mesh() && is_served(one)).collect();
    };
    for name in names.iter().filter(|name| known().all(|container| container.name != *name)) {
        let near = nearest(name, known().map(|container| container.name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        warnings.push(format!("the pod has no container `{name}`, which its annotation names{near}"));
    }
    let is_named = |container: &Container<'_>| names.iter().any(|name| name == container.name);
    if matches!(selection, Selection::Except(_)) {
        return known().filter(|one| !one.is_of_mesh() && !is_named(one) && is_served(one)).collect();
    }
    for container in known().filter(|one| is_named(one) && !is_served(one)) {
        warnings.push(format!("container `{}` ends before the broker starts, and so gets no tokens", container.name));
    }
    known().filter(|one| is_named(one) && is_served(one)).collect()
}

/// How many init containers come before the broker.
fn steps_before(pod: &Pod<'_>) -> usize {
    pod.init.iter().position(|one| one.name == super::pod::BROKER).unwrap_or_else(|| pod.mesh_at_head())
}

fn test_name(container: &Container<'_>) -> Operation {
    Operation::Test { path: container.place().below("name"), value: container.name.into() }
}

fn before_init(pod: &Pod<'_>, first: Vec<Value>) -> Vec<Operation> {
    let list = spec().below("initContainers");
    if first.is_empty() || pod.init.is_empty() {
        return added(false, &list, first);
    }
    let at = pod.mesh_at_head();
    let ahead = at.checked_sub(1).map(|last| test_name(&pod.init[last]));
    let adds = first.into_iter().enumerate();
    let adds = adds.map(|(n, value)| Operation::Add { path: list.below(at + n), value });
    ahead.into_iter().chain(adds).collect()
}

/// Lets the broker's user have port 80. One of the few sysctls that every cluster allows.
fn port_start(pod: &Pod<'_>) -> Vec<Operation> {
    let sysctl = json!({"name": PORT_START, "value": "0"});
    let context = spec().below("securityContext");
    match pod.sysctls() {
        Some(there) if there.iter().any(|one| one["name"] == PORT_START) => vec![],
        Some(_) => added(true, &context.below("sysctls"), vec![sysctl]),
        None if pod.field("securityContext").is_object() => added(false, &context.below("sysctls"), vec![sysctl]),
        None => vec![Operation::Add { path: context, value: json!({"sysctls": [sysctl]}) }],
    }
}

fn annotations(pod: &Pod<'_>, own: &Metadata, settings: &Settings, values: &Values, is_native: bool) -> Vec<Operation> {
    let place = Pointer::root().below("metadata").below("annotations");
    let put = |key: &str, value: &str| Operation::Add { path: place.below(key), value: value.into() };
    let mut operations = vec![];
    // The label that asked for us stands in the metadata, so there is one.
    if !pod.has_annotations() {
        operations.push(Operation::Add { path: place.clone(), value: json!({}) });
    }
    operations.push(put(INJECTED, env!("CARGO_PKG_VERSION")));
    operations.push(put(CONFIG_HASH, &hash(settings, values)));
    if !is_native && !own.annotations.contains_key(DEFAULT_CONTAINER) {
        operations.push(put(DEFAULT_CONTAINER, pod.main[0].name));
    }
    operations
}

/// A digest of what a pod is injected with, whatever the pod is.
pub(super) fn hash(settings: &Settings, values: &Values) -> String {
    let nobody = User { uid: None, gid: None };
    let broker = &settings.broker;
    let variables: Vec<_> = variables::variables(settings, values).into_iter().map(|variable| variable.entry).collect();
    let all = json!([
        broker::container(settings, values, nobody, true),
        broker::volumes(settings, values),
        variables,
        [broker.run_as.to_string(), broker.native.as_str(), settings.intercept.as_str(), settings.leftover.as_str()],
    ]);
    let mut hash = String::with_capacity(64);
    for byte in digest(&SHA256, all.to_string().as_bytes()).as_ref() {
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}
