//! What operators look at: the alert rules, the dashboard and the runbook, held against each other and against the metrics
//! that the program really has.
//!
//! Whether the alerts fire in a real outage is tried in `tests/it/outage_alerts.rs`. Easy to get wrong: a query that names a
//! metric or a label which is not there is empty, and an alert on it is silent for ever.

mod dashboard;
mod query;
mod rules;
mod runbook;

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::parts::{Level, missing};

const RULES: &str = "charts/unsecret/rules/alerts.yaml";
const DASHBOARD: &str = "charts/unsecret/dashboards/unsecret.json";

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A part of what `.ci/run install` puts below `target/ci/monitoring`.
fn installed(part: &str, what: &str) -> Option<PathBuf> {
    let found = at("target/ci/monitoring").join(part);
    if found.exists() {
        return Some(found);
    }
    missing(Level::Core, what);
    None
}

fn promtool() -> Option<PathBuf> {
    installed("promtool", "promtool of the Debian package prometheus")
}

/// What a program said, when it is to have said yes.
fn passed(output: &Output) -> String {
    let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{said}\n{complained}");
    said
}
