//! What the Prometheus operator, cert-manager and Grafana read: kinds without a schema here, so each field by itself.

use serde_json::{Value, json};

use super::helm::{Release, documents, read, releases, template};

#[test]
fn the_brokers_are_scraped_by_pod_and_by_container() {
    let Some(releases) = releases() else { return };
    let monitor = releases["monitoring"].the("PodMonitor");
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(monitor["spec"]["selector"], json!({"matchLabels": {"unsecret.dev/inject": "true"}}));
    assert_eq!(monitor["spec"]["namespaceSelector"], json!({"matchNames": ["billing", "orders"]}));
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!((&endpoint["port"], &endpoint["interval"]), (&json!("unsecret-admin"), &json!("30s")));
    // An application's own port `metrics` is not ours to scrape.
    let keep = json!({"action": "keep", "sourceLabels": ["__meta_kubernetes_pod_container_name"], "regex": "unsecret"});
    assert_eq!(endpoint["relabelings"], json!([keep]));
    let alone = &releases["monitoring-only"];
    assert_eq!(alone.objects.len(), 1);
    assert_eq!(alone.the("PodMonitor")["spec"]["namespaceSelector"], json!({"any": true}));
}

#[test]
fn the_webhook_is_scraped_through_its_service() {
    let Some(releases) = releases() else { return };
    let release = &releases["monitoring"];
    let (monitor, service) = (release.the("ServiceMonitor"), release.the("Service"));
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    for (label, value) in selected {
        assert_eq!(service["metadata"]["labels"][label], *value, "{label}");
    }
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"]));
}

fn alerts(rule: &Value) -> Vec<&Value> {
    let groups = rule["spec"]["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap()).filter(|rule| !rule["alert"].is_null()).collect()
}

#[test]
fn the_alerts_are_those_of_the_file_and_may_be_changed_one_by_one() {
    let Some(releases) = releases() else { return };
    let rule = releases["monitoring"].the("PrometheusRule");
    let file = &documents(&[read("rules/alerts.yaml")])[0][0];
    assert_eq!(rule["spec"]["groups"], file["groups"], "as they stand: their templates are Prometheus' and not Helm's");
    let all = alerts(rule);
    let (first, second) = (&all[0]["alert"], &all[1]["alert"]);
    let overrides = json!({first.as_str().unwrap(): {"enabled": false}, second.as_str().unwrap(): {"for": "7m", "labels": {"team": "a"}}});
    let set = format!("metrics.prometheusRule.overrides={overrides}");
    let text = template(&["--set", "metrics.prometheusRule.enabled=true", "--set-json", &set]).unwrap();
    let objects = documents(&[text]).remove(0);
    let changed = Release { text: String::new(), objects };
    let changed = alerts(changed.the("PrometheusRule")).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(changed.len(), all.len() - 1);
    assert_eq!((&changed[0]["alert"], &changed[0]["for"]), (second, &json!("7m")));
    assert_eq!(changed[0]["labels"]["team"], "a");
    assert_eq!(changed[0]["labels"]["severity"], all[1]["labels"]["severity"], "what is not named stays");
    assert_eq!(changed[1..], all[2..].iter().map(|rule| (*rule).clone()).collect::<Vec<_>>());
}

#[test]
fn the_dashboard_is_the_file_under_the_label_that_grafana_looks_for() {
    let Some(releases) = releases() else { return };
    let maps = releases["monitoring"].of_kind("ConfigMap");
    let map = maps.into_iter().find(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1").unwrap();
    assert_eq!(map["metadata"]["annotations"], json!({"grafana_folder": "Platform"}));
    let held: Value = serde_json::from_str(map["data"]["unsecret.json"].as_str().unwrap()).unwrap();
    assert_eq!(held, serde_json::from_str::<Value>(&read("dashboards/unsecret.json")).unwrap());
}

#[test]
fn cert_manager_makes_a_certificate_for_the_services_name() {
    let Some(releases) = releases() else { return };
    for (name, issuer) in [("cert-manager", "unsecret-injector-ca"), ("cert-manager-issuer", "company")] {
        let release = &releases[name];
        let certificates = release.of_kind("Certificate");
        let leaf = certificates.iter().find(|it| it["spec"]["isCA"] != true).unwrap();
        let service = release.the("Service")["metadata"]["name"].as_str().unwrap();
        assert_eq!(leaf["spec"]["dnsNames"][0], format!("{service}.unsecret-system.svc"), "{name}");
        assert_eq!(leaf["spec"]["issuerRef"]["name"], issuer, "{name}");
        let pod = &release.the("Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][1]["secret"]["secretName"], leaf["spec"]["secretName"], "{name}");
        assert_eq!(certificates.len() == 2, name == "cert-manager", "a CA of its own only without an issuer");
    }
    // The CA that the leaf's issuer reads is the one that is made.
    let objects = &releases["cert-manager"];
    let authority = objects.of_kind("Certificate").into_iter().find(|it| it["spec"]["isCA"] == true).unwrap();
    let issuers = objects.of_kind("Issuer");
    let reads = issuers.iter().find(|it| !it["spec"]["ca"].is_null()).unwrap();
    assert_eq!(reads["spec"]["ca"]["secretName"], authority["spec"]["secretName"]);
}

#[test]
fn the_network_policy_lets_in_admission_and_out_to_the_api_server() {
    let Some(releases) = releases() else { return };
    let open = &releases["second-install"].the("NetworkPolicy")["spec"];
    assert_eq!(open["podSelector"], releases["second-install"].the("Deployment")["spec"]["selector"]);
    assert_eq!(open["ingress"][0], json!({"ports": [{"port": "https", "protocol": "TCP"}]}));
    assert!(open["ingress"][1]["from"].is_null() && open["egress"][0]["to"].is_null());
    let narrow = &releases["ha"].the("NetworkPolicy")["spec"];
    assert_eq!(narrow["egress"][0]["to"][0], json!({"ipBlock": {"cidr": "10.0.0.1/32"}}));
    assert_eq!(narrow["egress"].as_array().unwrap().len(), 2, "and what was added");
    let monitoring = &narrow["ingress"][1]["from"][0]["namespaceSelector"];
    assert_eq!(monitoring["matchLabels"]["kubernetes.io/metadata.name"], "monitoring");
}
