//! What a pod becomes: the annotations read, the operations that give it the broker, or why not.
//!
//! One library behind the webhook and `unsecret inject`. Pure: raw JSON in, operations out; it knows no cluster and no
//! file. Not a judge of pods in general: what the API server refuses anyway is left to it. Easy to get wrong: a pod is
//! never decoded into types and written back, since that drops every field its writer did not know; that is how at least
//! seven other webhooks deleted `restartPolicy` from other people's sidecars.

mod annotations;
mod broker;
mod changes;
mod denial;
mod fitness;
mod leftover;
mod pod;
mod settings;
mod values;
mod variables;
mod words;

pub use annotations::annotation_table;
pub use denial::{Denial, Missing, Reason, Wrong};
pub use values::{Values, ValuesProblem, ValuesProblems};

use std::collections::BTreeMap;

use serde_json::Value;

use self::annotations::Found;
use self::pod::Pod;
use self::settings::Settings;
use self::words::Native;
use crate::patch::{Operation, Pointer};

/// By which a pod asks for the broker.
pub const LABEL: &str = "unsecret.dev/inject";

/// What stands around a pod.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The namespace's name.
    pub namespace: &'a str,
    pub namespace_metadata: &'a Metadata,
    /// Of the pod's service account; `None` where it is not known.
    pub service_account: Option<&'a Metadata>,
    /// Whether the cluster has native sidecars (Kubernetes 1.29).
    pub native_sidecars: bool,
}

/// What is written on an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// Of any object that has `metadata`. What is no text there is none of ours.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let texts = |part: &str| {
            let members = object["metadata"][part].as_object().into_iter().flatten();
            members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        Self { labels: texts("labels"), annotations: texts("annotations") }
    }

    /// Of a Namespace or ServiceAccount: only what is ever read of one, for who keeps thousands.
    #[must_use]
    pub fn of_interest(object: &Value) -> Self {
        let mut all = Self::of(object);
        let is_read = |key: &str| annotations::READ.iter().any(|domain| key.starts_with(domain));
        all.labels.retain(|key, _| is_read(key));
        all.annotations.retain(|key, _| is_read(key));
        all
    }
}

/// What is to be done with a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// For who wrote the pod, whatever the verdict: one sentence each.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// These operations, in this order, all or none.
    Injected(Vec<Operation>),
    Unchanged(Reason),
    Denied(Denial),
}

/// Whether a pod asks for the broker, so that it matters what stands around it.
#[must_use]
pub fn is_asked(pod: &Value) -> bool {
    pod["metadata"]["labels"][LABEL] == "true"
}

/// Decides about one pod, or about a pod template.
#[must_use]
pub fn inject(pod: &Value, around: &Surroundings<'_>, values: &Values) -> Outcome {
    let mut warnings = vec![];
    let verdict = decide(pod, around, values, &mut warnings).unwrap_or_else(Verdict::Denied);
    Outcome { verdict, warnings }
}

/// Where in an object of this kind the pod stands. `None` for a kind that makes no pods.
#[must_use]
pub fn template(kind: &str) -> Option<Pointer> {
    let steps: &[&str] = match kind {
        "Pod" => &[],
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "StatefulSet" => &["spec", "template"],
        _ => return None,
    };
    Some(steps.iter().fold(Pointer::root(), |place, step| place.below(step)))
}

fn decide(
    raw: &Value,
    around: &Surroundings<'_>,
    values: &Values,
    warnings: &mut Vec<String>,
) -> Result<Verdict, Denial> {
    let own = Metadata::of(raw);
    match own.labels.get(LABEL).map(String::as_str) {
        None => return Ok(Verdict::Unchanged(Reason::NotAsked)),
        Some("false") => return Ok(Verdict::Unchanged(Reason::OptedOut)),
        Some("true") => {}
        Some(other) => return Err(Denial::Label { value: other.to_owned() }),
    }
    let pod = Pod::read(raw)?;
    let mut found = Found::new(&own, around, pod.service_account());
    found.warn_of_unknown(warnings);
    let settings = Settings::of(&mut found, values)?;
    if pod.has_broker(&own) {
        return again(&pod, &own, &settings, values, warnings);
    }
    fitness::judge(&pod, &settings, around, values)?;
    let user = fitness::user(&pod, settings.broker.run_as)?;
    let is_native = match settings.broker.native {
        Native::Auto => around.native_sidecars,
        said => said == Native::Yes,
    };
    let mut operations = changes::of_containers(&pod, &settings, values, is_native, warnings)?;
    operations.extend(changes::of_pod(&pod, &own, &settings, values, user, is_native));
    fitness::warn(&pod, user, is_native, warnings);
    Ok(Verdict::Injected(operations))
}

/// A pod that has the broker: another webhook may have added containers since (`reinvocationPolicy: IfNeeded`).
fn again(
    pod: &Pod<'_>,
    own: &Metadata,
    settings: &Settings,
    values: &Values,
    warnings: &mut Vec<String>,
) -> Result<Verdict, Denial> {
    if own.annotations.get(annotations::CONFIG_HASH).is_some_and(|then| *then != changes::hash(settings, values)) {
        let text = "the pod was injected with other settings or another version, which stay; inject its manifest as it was \
                    before to have these";
        warnings.push(text.to_owned());
    }
    let is_native = pod.init.iter().any(|container| container.name == pod::BROKER);
    let operations = changes::of_containers(pod, settings, values, is_native, warnings)?;
    let unchanged = Verdict::Unchanged(Reason::AlreadyInjected);
    Ok(if operations.is_empty() { unchanged } else { Verdict::Injected(operations) })
}

/// No word that is known is longer. Comparing takes the product of both lengths, and pods have names of a megabyte until the
/// API server judges them, which is after us.
const LONGEST_WORD: usize = 100;

/// The known word that was probably meant.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let known = known.filter(|known| known.len() <= LONGEST_WORD);
    let distance = |known: &&str| strsim::damerau_levenshtein(word, known);
    known.filter(|known| distance(known) <= 1 + known.len().min(word.len()) / 4).min_by_key(distance)
}
