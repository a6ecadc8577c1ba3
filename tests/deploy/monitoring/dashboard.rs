//! The Grafana dashboard: judged by Grafana's own types, and every query by the metrics that exist.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::query::{Query, families, family};
use super::{DASHBOARD, at, installed, passed, read};

/// Metrics that no panel shows, and why.
const UNSHOWN: [(&str, &str); 1] =
    [("process_virtual_memory_bytes", "address space costs nothing; the resident memory is shown")];

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// Title and target of each query.
fn targets(dashboard: &Value) -> impl Iterator<Item = (&str, &Value)> {
    panels(dashboard).flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        panel["targets"].as_array().unwrap().iter().map(move |target| (title, target))
    })
}

#[test]
fn grafanas_own_types_take_the_dashboard() {
    let what = "npm's @grafana/schema and typescript";
    let Some(modules) = installed("grafana/node_modules", what) else { return };
    let scratch = tempfile::tempdir().unwrap();
    for name in ["package.json", "tsconfig.json", "types.ts"] {
        let text = read(&format!("tests/deploy/monitoring/grafana/{name}"));
        fs::write(scratch.path().join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(&modules, scratch.path().join("node_modules")).unwrap();
    let compiled = |json: &str| {
        let text = format!("import type {{ Judged }} from './types';\nexport const dashboard: Judged = {json};\n");
        fs::write(scratch.path().join("dashboard.ts"), text).unwrap();
        Command::new("node").arg(modules.join("typescript/bin/tsc")).arg("-p").arg(scratch.path()).output().unwrap()
    };
    let json = read(DASHBOARD);
    passed(&compiled(&json));
    // That it can say no: to a key that Grafana does not know, and to a value.
    for (right, wrong) in
        [("\"schemaVersion\":", "\"schemeVersion\":"), ("\"graphMode\": \"none\"", "\"graphMode\": \"no\"")]
    {
        assert!(json.contains(right));
        assert!(!compiled(&json.replacen(right, wrong, 1)).status.success(), "{wrong} was taken");
    }
}

#[test]
fn every_metric_and_label_in_a_query_exists() {
    let dashboard = dashboard();
    for (title, target) in targets(&dashboard) {
        let query = Query::of(target["expr"].as_str().unwrap());
        query.check(title);
        let legend = target["legendFormat"].as_str().unwrap();
        for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            assert!(query.gives(label), "{title}: its query gives no label `{label}`");
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let (metric, label) = query.strip_prefix("label_values(").unwrap().rsplit_once(", ").unwrap();
            let label = label.trim_end_matches(')');
            assert_eq!(variable["name"], label);
            let query = Query::of(metric);
            query.check(label);
            assert!(query.gives(label), "{label}");
        }
    }
}

#[test]
fn every_metric_of_the_table_is_shown_or_said_not_to_be() {
    let dashboard = dashboard();
    let shown: BTreeSet<_> = targets(&dashboard)
        .flat_map(|(_, target)| Query::of(target["expr"].as_str().unwrap()).metrics)
        .map(|metric| family(&metric).unwrap())
        .collect();
    let unshown: BTreeSet<_> = UNSHOWN.iter().map(|(name, _)| *name).collect();
    let table: BTreeSet<_> = families().map(|family| family.name).collect();
    assert!(shown.is_disjoint(&unshown), "{:?}", shown.intersection(&unshown));
    assert_eq!(shown.union(&unshown).copied().collect::<BTreeSet<_>>(), table, "left: the dashboard, right: the table");
}

#[test]
fn every_panel_explains_itself_and_no_data_source_is_named() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 15), "{title} has no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
    assert!(targets(&dashboard).all(|(_, target)| target["datasource"]["uid"] == "${datasource}"));
    assert!(at(DASHBOARD).metadata().unwrap().len() < 1_000_000, "a ConfigMap holds a megabyte");
}

#[test]
fn nothing_is_filtered_by_what_there_is_only_in_kubernetes() {
    for variable in dashboard()["templating"]["list"].as_array().unwrap().iter().filter(|it| it["type"] == "query") {
        // Matches a label that is not there, which `.+` does not.
        assert_eq!((&variable["allValue"], &variable["includeAll"]), (&".*".into(), &true.into()), "{variable}");
    }
    let dashboard = dashboard();
    for (title, target) in targets(&dashboard) {
        let text = target["expr"].as_str().unwrap();
        for label in ["namespace", "pod"] {
            assert_eq!(
                text.matches(&format!("{label}=")).count(),
                text.matches(&format!("{label}=~\"${label}\"")).count(),
                "{title}"
            );
        }
    }
}
