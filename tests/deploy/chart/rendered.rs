//! That every scenario renders, the same each time, into objects that Kubernetes takes.

use std::collections::BTreeSet;
use std::process::Command;

use super::helm::{self, FOREIGN, helm, releases, template, tool, values_file};

#[test]
fn every_scenario_passes_helms_own_linter() {
    if !helm::there() {
        return;
    }
    let chart = helm::chart();
    for name in helm::scenarios() {
        let said = helm(["lint", "--strict", chart.to_str().unwrap(), "--values", &values_file(&name)]);
        assert!(said.is_ok(), "{name}: {said:?}");
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    // What differs between two renderings is "out of sync" for ever in Argo CD, which renders again and again.
    let Some(releases) = releases() else { return };
    for (name, release) in releases {
        assert_eq!(template(&["--values", &values_file(name)]).unwrap(), release.text, "{name}");
    }
}

#[test]
fn no_document_is_blank_and_no_object_comes_twice() {
    let Some(releases) = releases() else { return };
    assert_eq!(releases["nothing"].text.trim(), "");
    for (name, release) in releases {
        let mut seen = BTreeSet::new();
        for object in &release.objects {
            assert!(object.is_object(), "{name}: a document without an object");
            let identity = ["kind", "apiVersion"].map(|key| object[key].to_string());
            let place = ["namespace", "name"].map(|key| object["metadata"][key].to_string());
            assert!(seen.insert((identity, place)), "{name}: {} twice", object["metadata"]["name"]);
        }
    }
}

#[test]
fn whatever_lives_in_a_namespace_says_which() {
    // `helm template | kubectl apply` would put it elsewhere.
    const CLUSTERWIDE: [&str; 5] = [
        "ClusterRole",
        "ClusterRoleBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    let Some(releases) = releases() else { return };
    for object in releases.values().flat_map(|release| &release.objects) {
        let everywhere = CLUSTERWIDE.iter().any(|kind| object["kind"] == *kind);
        assert_eq!(object["metadata"]["namespace"] == "unsecret-system", !everywhere, "{}", object["metadata"]);
    }
}

#[test]
fn every_object_passes_the_strict_schemas_of_three_versions() {
    let Some(releases) = releases() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, release) in releases {
        std::fs::write(folder.path().join(format!("{name}.yaml")), &release.text).unwrap();
    }
    let objects: Vec<_> = releases.values().flat_map(|release| &release.objects).collect();
    let ours = |api: &str| !FOREIGN.iter().any(|foreign| foreign.starts_with(api));
    for version in ["1.29", "1.33", "1.37"] {
        // 1.30 made it v1; the chart refuses it before (`refused`).
        let known = |kind: &str| version != "1.29" || !kind.starts_with("ValidatingAdmissionPolicy");
        let judged = |api: &str, kind: &str| ours(api) && known(kind);
        let mut validate = Command::new(tool("venv/bin/kubernetes-validate"));
        validate.args(["--strict", "-k", version]).env_clear();
        let files = releases.iter().filter(|(_, release)| !release.objects.is_empty());
        validate.args(files.map(|(name, _)| folder.path().join(format!("{name}.yaml"))));
        let output = validate.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        let (passed, other): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.starts_with("INFO "));
        // A kind that it does not know is only a WARN to it.
        for line in other {
            let mut words = line.split_whitespace().skip_while(|word| *word != "kind");
            let (kind, api) = (words.nth(1).unwrap(), words.nth(3).unwrap());
            assert!(!judged(api, kind), "{line}");
        }
        let expected =
            objects.iter().filter(|it| judged(it["apiVersion"].as_str().unwrap(), it["kind"].as_str().unwrap()));
        assert_eq!(passed.len(), expected.count(), "{version}");
    }
}
