//! `unsecret inject`: the webhook's change to pods, made to manifests.
//!
//! For clusters where nobody may install a webhook, and to see what one would do. Reads and writes text alone, and asks no
//! cluster: what stands around a pod (its Namespace, its ServiceAccount) is known only if it stands in the same stream. Easy to
//! get wrong: nothing may reach stdout unless everything was injected, since `kubectl apply -f -` reads it.

mod objects;

use std::borrow::Cow;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thiserror::Error;

use super::terminal::Paint;
use super::{Exit, complain, note, say};
use crate::inject::{LABEL, Reason, Values, ValuesProblems, Verdict};
use crate::manifest::{Manifest, ManifestError};
use crate::problem::{Blame, Problem};

use objects::{Around, Given};

/// Give the pods of Kubernetes manifests the broker, as the webhook does.
///
/// Reads YAML or JSON, any number of documents, Lists too, and writes them back with comments and order kept. Pods and what makes
/// pods (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob) are changed if their pods are labelled
/// `unsecret.dev/inject: "true"`; everything else passes as it is. ServiceAccounts and Namespaces of the same stream count.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The manifests; `-` is stdin
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    filename: PathBuf,
    /// The values file of the chart, for its `image`, `sidecar`, `defaults` and `platform`
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// The application (client) id of pods for which neither annotations nor the service account name one
    #[arg(long, value_name = "GUID")]
    client_id: Option<String>,
    /// The tenant, in place of `defaults.tenantId`
    #[arg(long, value_name = "TENANT")]
    tenant_id: Option<String>,
    /// What pods may ask tokens for, in place of `defaults.allowedResources`; may be given again
    #[arg(long, value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Where objects without a namespace will be
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Inject pods without the label too, and label them
    #[arg(long)]
    all: bool,
    /// The cluster's version: before 1.29 there are no native sidecars
    #[arg(long, value_name = "VERSION", value_parser = native_sidecars)]
    kube_version: Option<bool>,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret inject --values values.yaml < app.yaml | kubectl apply -f -
  kustomize build . | unsecret inject --values values.yaml | kubectl apply -f -
  helm template shop ./shop | unsecret inject --values values.yaml -n shop > shop.yaml
  kubectl create deployment web --image nginx --dry-run=client -o yaml |
    unsecret inject --all --client-id GUID --tenant-id GUID --resource https://vault.azure.net

What was done to each object is said on stderr. Injecting twice gives the same bytes.

Exit status: 0 done, 1 an object is denied or cannot be changed and nothing was written, 2 a flag or
the values are wrong.";

/// `1.28`, `v1.33.2`, as `kubectl version` says it.
fn native_sidecars(version: &str) -> Result<bool, String> {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.trim_end_matches('+').parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor) >= (1, 29)),
        _ => Err("a version is written like 1.33".to_owned()),
    }
}

#[derive(Debug, Error)]
enum InjectError {
    #[error("read {what}")]
    Read { what: String, source: io::Error },
    #[error("{what} is no manifest")]
    Manifest { what: String, source: ManifestError },
    #[error("change {what}")]
    Change { what: String, source: ManifestError },
    #[error("objects denied, so that nothing was written: {count}")]
    Denied { count: usize },
}

impl Problem for InjectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "inject-read",
            Self::Manifest { source, .. } | Self::Change { source, .. } => source.code(),
            Self::Denied { .. } => "inject-denied",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Manifest { source, .. } | Self::Change { source, .. } => source.blame(),
            _ => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Read { .. } => Some(Cow::Borrowed("name a file that exists and may be read, or `-` for stdin")),
            Self::Manifest { source, .. } | Self::Change { source, .. } => source.remedy(),
            Self::Denied { .. } => Some(Cow::Borrowed("mend what is said of each above")),
        }
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let values = match values(args) {
        Ok(Ok(values)) => values,
        Ok(Err(problems)) => {
            note(&problems.report());
            return Exit::Usage;
        }
        Err(problem) => {
            complain(&problem);
            return Exit::Usage;
        }
    };
    match injected(args, &values) {
        Ok(text) => say(&text),
        Err(problem) => {
            complain(&problem);
            Exit::Failed
        }
    }
}

fn values(args: &Args) -> Result<Result<Values, ValuesProblems>, InjectError> {
    let mut given = match &args.values {
        None => json!({}),
        Some(path) => {
            let manifest = read(path)?;
            manifest.documents().next().filter(|values| !values.is_null()).cloned().unwrap_or_else(|| json!({}))
        }
    };
    // What is no mapping is for `Values` to refuse.
    if let Some(given) = given.as_object_mut()
        && let Some(defaults) = given.entry("defaults").or_insert_with(|| json!({})).as_object_mut()
    {
        if let Some(tenant) = &args.tenant_id {
            defaults.insert("tenantId".to_owned(), json!(tenant));
        }
        if !args.resource.is_empty() {
            defaults.insert("allowedResources".to_owned(), json!(args.resource));
        }
    }
    Ok(Values::read(&given))
}

fn read(path: &Path) -> Result<Manifest, InjectError> {
    let (what, read) = if path == Path::new("-") {
        let mut text = String::new();
        ("stdin".to_owned(), io::stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (format!("`{}`", path.display()), std::fs::read_to_string(path))
    };
    let text = read.map_err(|source| InjectError::Read { what: what.clone(), source })?;
    Manifest::read(&text).map_err(|source| InjectError::Manifest { what, source })
}

/// The whole stream, changed; what was done is said on the way.
fn injected(args: &Args, values: &Values) -> Result<String, InjectError> {
    let mut manifest = read(&args.filename)?;
    let documents: Vec<Value> = manifest.documents().cloned().collect();
    let given = Given {
        namespace: &args.namespace,
        client_id: args.client_id.as_deref(),
        native_sidecars: args.kube_version.unwrap_or(true),
        all: args.all,
    };
    let around = Around::of(&documents, &given);
    let paint = Paint::stderr();
    let mut denied = 0;
    for (index, document) in documents.iter().enumerate() {
        let mut operations = Vec::new();
        let mut first = None;
        for object in objects::of(document) {
            let Some(outcome) = object.inject(&around, &given, values) else { continue };
            let name = object.name();
            for warning in &outcome.warnings {
                note(&format!("{name}: {} {warning}\n", paint.doubtful("warning:")));
            }
            match outcome.verdict {
                Verdict::Injected(more) => {
                    note(&format!("{name}: {}\n", paint.good("injected")));
                    operations.extend(more.into_iter().map(|operation| operation.within(&object.place)));
                    first.get_or_insert(name);
                }
                Verdict::Unchanged(reason) => note(&format!("{name}: unchanged, {}\n", words(reason))),
                Verdict::Denied(denial) => {
                    note(&format!("{name}: {}\n", paint.bad("denied")));
                    complain(&denial);
                    denied += 1;
                }
            }
        }
        if denied == 0
            && let Some(what) = first
        {
            manifest.apply(index, &operations).map_err(|source| InjectError::Change { what, source })?;
        }
    }
    if denied > 0 { Err(InjectError::Denied { count: denied }) } else { Ok(manifest.text()) }
}

fn words(reason: Reason) -> String {
    match reason {
        Reason::NotAsked => format!("not labelled `{LABEL}: \"true\"`"),
        Reason::OptedOut => format!("labelled `{LABEL}: \"false\"`"),
        Reason::AlreadyInjected => "injected before".to_owned(),
    }
}
