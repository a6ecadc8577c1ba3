//! Wrong values: refused before anything reaches a cluster, by a message that names the key.

use super::helm::{self, helm, template};

/// What is set, and what the refusal has to say. By the schema, then by the chart where two things do not go together.
const WRONG: [(&str, &[&str]); 24] = [
    ("--set=injecter.replicas=2", &["injecter"]),
    ("--set=injector.replica=2", &["injector", "replica"]),
    ("--set=injector.replicas=0", &["injector", "replicas", "minimum"]),
    ("--set=injector.failurePolicy=Deny", &["injector", "failurePolicy", "'Fail'", "'Ignore'"]),
    ("--set=injector.tls.mode=selfsigned", &["tls", "mode", "'certManager'"]),
    ("--set=injector.tls.mode=existingSecret", &["tls", "existingSecret", "minLength"]),
    ("--set=injector.tls.mode=existingSecret,injector.tls.existingSecret=mine", &["tls", "caBundle", "minLength"]),
    ("--set=injector.timeoutSeconds=31", &["timeoutSeconds", "30"]),
    ("--set=injector.securePort=443", &["securePort", "minimum"]),
    ("--set=platform=azure", &["platform", "'aks'"]),
    ("--set=image.digest=sha256:12", &["image", "digest"]),
    ("--set=sidecar.runAs=root", &["sidecar", "runAs"]),
    ("--set=sidecar.image.name=x", &["sidecar", "image", "name"]),
    ("--set=sidecar.resources.limits.memory=64MB", &["resources", "limits", "memory"]),
    ("--set=defaults.tenantId=11111111-aaaa-4bbb-8ccc-22222222222", &["defaults", "tenantId"]),
    ("--set=defaults.cloud=germany", &["defaults", "cloud", "'usgov'"]),
    ("--set=defaults.cloud=china,defaults.authorityHost=https://login.example", &["defaults", "cloud", "'public'"]),
    ("--set=defaults.tokenExpirationSeconds=60", &["tokenExpirationSeconds", "600"]),
    ("--set=defaults.doors={app_service}", &["doors", "'app-service'"]),
    ("--set=defaults.allowedResources={vault.azure.net}", &["allowedResources"]),
    ("--set=injector.hostNetwork=true", &["injector.securePort is 10250", "kubelet", "injector.hostNetwork"]),
    ("--set=injector.adminPort=10250", &["injector.securePort and injector.adminPort are both 10250"]),
    ("--set=injector.podDisruptionBudget.minAvailable=2", &["minAvailable is 2 with 2 injector.replicas"]),
    (
        "--set=metrics.prometheusRule.enabled=true,metrics.prometheusRule.overrides.Nonsense.enabled=false",
        &["overrides.Nonsense", "no such alert"],
    ),
];

#[test]
fn wrong_values_are_refused_by_a_message_that_names_the_key() {
    if !helm::there() {
        return;
    }
    for (wrong, words) in WRONG {
        let said = template(&[wrong]).expect_err(wrong);
        for word in words {
            assert!(said.contains(word), "{wrong} does not speak of {word}: {said}");
        }
    }
}

#[test]
fn what_the_cluster_lacks_is_refused_by_name_instead_of_failing_halfway() {
    if !helm::there() {
        return;
    }
    let chart = helm::chart();
    let lacking = [
        ("metrics.podMonitor.enabled=true", "1.33.0", "no monitoring.coreos.com/v1 PodMonitor"),
        ("metrics.serviceMonitor.enabled=true", "1.33.0", "no monitoring.coreos.com/v1 ServiceMonitor"),
        ("metrics.prometheusRule.enabled=true", "1.33.0", "no monitoring.coreos.com/v1 PrometheusRule"),
        ("injector.tls.mode=certManager", "1.33.0", "no cert-manager.io/v1"),
        ("validation.policy.enabled=true", "1.29.4", "Kubernetes v1.29.4 has no ValidatingAdmissionPolicy v1"),
        ("injector.replicas=2", "1.27.0", "incompatible with Kubernetes v1.27.0"),
    ];
    for (set, version, word) in lacking {
        let said = helm(["template", "unsecret", chart.to_str().unwrap(), "--set", set, "--kube-version", version]);
        let said = said.expect_err(set);
        assert!(said.contains(word), "{set}: {said}");
        let key = set.split('=').next().unwrap();
        assert!(version == "1.27.0" || said.contains(key), "{set}: {said}");
    }
}

#[test]
fn a_managed_clusters_own_version_is_not_taken_for_an_older_one() {
    // "1.29.3-gke.1282000" is a pre-release to those who read it as a semantic version.
    if !helm::there() {
        return;
    }
    for version in ["1.29.3-gke.1282000", "v1.30.0-eks-036c24b", "1.37.0"] {
        assert!(template(&["--kube-version", version]).is_ok(), "{version}");
    }
    let policy = template(&["--kube-version", "1.30.0-gke.1", "--set", "validation.policy.enabled=true"]);
    assert!(policy.is_ok(), "{policy:?}");
}
