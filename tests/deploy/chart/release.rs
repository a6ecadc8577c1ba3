//! What a release publishes and what its user reads after installing it.

use std::fs;

use super::helm::{self, chart, helm, read, root, template, template_of, values_file};

#[test]
fn the_package_renders_as_the_folder_does() {
    if !helm::there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    helm(["package", chart().to_str().unwrap(), "--destination", place]).unwrap();
    let packages: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [package] = &packages[..] else { panic!("{packages:?}") };
    let values = values_file("monitoring");
    assert_eq!(template_of(package, &["--values", &values]), template(&["--values", &values]));
    let readme = helm(["show", "readme", package.to_str().unwrap()]).unwrap();
    assert_eq!(readme.trim(), read("README.md").trim());
    assert_eq!(helm(["show", "values", package.to_str().unwrap()]).unwrap().trim(), read("values.yaml").trim());
}

#[test]
fn the_chart_and_the_program_have_one_version() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    let chart = read("Chart.yaml");
    for key in ["version", "appVersion"] {
        assert!(chart.lines().any(|line| line == format!("{key}: {version}")), "{key} is not {version}");
    }
    assert!(chart.contains("kubeVersion: \">=1.29.0-0\""), "-0, or the versions of GKE and EKS count as older");
}

#[test]
fn no_template_holds_chance_or_asks_the_cluster() {
    // Argo CD renders without a cluster and again at every sync: a certificate made here would change each time.
    for file in fs::read_dir(chart().join("templates")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for word in
            ["lookup ", "genCA", "genSigned", "genSelfSigned", "genPrivateKey", "rand", "uuidv4", "now ", "htpasswd"]
        {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// What is printed after an install, without a cluster.
fn notes(more: &[&str]) -> String {
    let chart = chart();
    let fixed = ["install", "unsecret", chart.to_str().unwrap(), "--namespace", "unsecret-system", "--dry-run=client"];
    let said = helm(fixed.iter().chain(more)).unwrap();
    said.split_once("NOTES:").unwrap().1.to_owned()
}

#[test]
fn the_notes_say_what_to_do_next_and_how_to_break_the_glass() {
    if !helm::there() {
        return;
    }
    let said = notes(&[]);
    let rendered = template(&[]).unwrap();
    let delete = said.lines().find_map(|line| line.trim().strip_prefix("kubectl delete mutatingwebhookconfiguration "));
    assert!(
        rendered.contains(&format!("kind: MutatingWebhookConfiguration\nmetadata:\n  name: {}\n", delete.unwrap()))
    );
    for word in
        ["unsecret.dev/inject: \"true\"", "unsecret.dev/client-id", "-c unsecret -- /usr/local/bin/unsecret doctor"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(
        said.contains("defaults.tenantId is empty") && said.contains("defaults.allowedResources is empty"),
        "{said}"
    );
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("ENTRYPOINT [\"/usr/local/bin/unsecret\"]"), "the path that the notes name");
}

#[test]
fn the_notes_follow_the_values() {
    if !helm::there() {
        return;
    }
    let with = |scenario: &str| notes(&["--values", &values_file(scenario)]);
    assert!(with("second-install").contains("unsecret.dev/rev: \"canary\""));
    let gke = with("gke");
    assert!(!gke.contains("is empty"), "{gke}");
    assert!(with("minimal").contains("with Deny would refuse them"));
    assert!(with("nothing").contains("injector.enabled is false"));
    assert!(gke.contains("no Prometheus operator"));
}
