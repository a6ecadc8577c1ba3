//! Helm run on the chart, and what each of `ci/*-values.yaml` becomes, rendered once for all tests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::parts::{self, Level};

/// Kinds that are not Kubernetes' own, as a cluster with cert-manager and the Prometheus operator has them.
pub const FOREIGN: [&str; 4] = [
    "cert-manager.io/v1",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "monitoring.coreos.com/v1/ServiceMonitor",
];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn chart() -> PathBuf {
    root().join("charts/unsecret")
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(chart().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program that `.ci/run install` fetches.
pub fn tool(path: &str) -> PathBuf {
    root().join("target/ci").join(path)
}

/// Whether Helm and the schemas are there; says so where they are not.
pub fn there() -> bool {
    let there = tool("kubernetes/helm").exists() && tool("venv/bin/kubernetes-validate").exists();
    if !there {
        parts::missing(Level::Core, "Helm and kubernetes-validate below target/ci: `.ci/run install` fetches them");
    }
    there
}

/// What Helm says to these arguments: its output, or why not.
pub fn helm<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool("kubernetes/helm"));
    // Nothing of the machine's own: no cluster, no settings.
    let output = command.env_clear().env("HOME", home.path()).args(arguments).output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
}

/// What the chart at `chart` becomes as the release `unsecret` in `unsecret-system`.
pub fn template_of(chart: &Path, more: &[&str]) -> Result<String, String> {
    let (chart, foreign) = (chart.to_str().unwrap().to_owned(), FOREIGN.join(","));
    let fixed = ["template", "unsecret", &chart, "--namespace", "unsecret-system", "--api-versions", &foreign];
    helm(fixed.iter().chain(more))
}

pub fn template(more: &[&str]) -> Result<String, String> {
    template_of(&chart(), more)
}

/// The path of one of the chart's own files of values.
pub fn values_file(scenario: &str) -> String {
    chart().join(format!("ci/{scenario}-values.yaml")).to_str().unwrap().to_owned()
}

/// The names of `ci/*-values.yaml`.
pub fn scenarios() -> Vec<String> {
    let files = std::fs::read_dir(chart().join("ci")).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> =
        files.map(|name| name.to_str().unwrap().strip_suffix("-values.yaml").unwrap().to_owned()).collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    names
}

/// One scenario, rendered.
pub struct Release {
    pub text: String,
    pub objects: Vec<Value>,
}

impl Release {
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only object of this kind.
    pub fn the(&self, kind: &str) -> &Value {
        let [one] = self.of_kind(kind)[..] else { panic!("not one {kind}") };
        one
    }
}

/// Every scenario by its name, or `None` where Helm is missing.
pub fn releases() -> Option<&'static BTreeMap<String, Release>> {
    static RELEASES: OnceLock<BTreeMap<String, Release>> = OnceLock::new();
    there().then(|| RELEASES.get_or_init(all))
}

fn all() -> BTreeMap<String, Release> {
    let names = scenarios();
    let texts: Vec<String> = names.iter().map(|name| template(&["--values", &values_file(name)]).unwrap()).collect();
    let read = documents(&texts);
    let releases = texts.into_iter().zip(read).map(|(text, objects)| Release { text, objects });
    names.into_iter().zip(releases).collect()
}

/// What stands in YAML texts. By PyYAML, which came with kubernetes-validate: a reader that is not our own.
pub fn documents(texts: &[String]) -> Vec<Vec<Value>> {
    const SCRIPT: &str = "import json, sys, yaml\n\
        json.dump([list(yaml.safe_load_all(text)) for text in json.load(sys.stdin)], sys.stdout)";
    let mut python = Command::new(tool("venv/bin/python"));
    let mut child = python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(texts).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python");
    serde_json::from_slice(&output.stdout).unwrap()
}
