//! Every value is documented, in the schema, and changes something; the README's table is written from them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::helm::{self, chart, read, template};

/// A key of values.yaml, as a reader sees it.
struct Key {
    path: String,
    /// What stands behind the colon; nothing where keys follow below.
    default: String,
    says: String,
}

/// The keys of values.yaml, each with the comment above it.
fn keys() -> Vec<Key> {
    let (mut keys, mut above, mut comment) = (Vec::new(), Vec::<String>::new(), Vec::new());
    for line in read("values.yaml").lines() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix("# ") {
            comment.push(words.to_owned());
        } else if text.is_empty() {
            comment.clear();
        } else {
            let (name, default) = text.split_once(':').unwrap();
            above.truncate((line.len() - text.len()) / 2);
            above.push(name.to_owned());
            let says = std::mem::take(&mut comment).join(" ");
            keys.push(Key { path: above.join("."), default: default.trim().to_owned(), says });
        }
    }
    keys
}

#[test]
fn every_value_is_documented_in_whole_sentences() {
    for Key { path, says, .. } in keys() {
        assert!(says.len() > 8 && says.ends_with('.'), "{path}: {says:?}");
    }
}

/// The schema at a key's path, if it has one.
fn schema_at<'a>(schema: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(schema, |at, step| &at["properties"][step])
}

#[test]
fn schema_and_values_have_the_same_keys() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let keys = keys();
    let named: BTreeSet<&str> = keys.iter().map(|key| key.path.as_str()).collect();
    for Key { path, default, .. } in &keys {
        let here = schema_at(&schema, path);
        assert!(!here.is_null(), "the schema has no {path}");
        if default.is_empty() {
            for below in here["properties"].as_object().unwrap().keys() {
                assert!(named.contains(format!("{path}.{below}").as_str()), "values.yaml has no {path}.{below}");
            }
        }
    }
    for top in schema["properties"].as_object().unwrap().keys() {
        // Helm's own, where the chart is a part of another.
        assert!(top == "global" || named.contains(top.as_str()), "values.yaml has no {top}");
    }
}

/// Objects that take any key: another schema's than ours.
const FREE: [&str; 11] = [
    "affinity.nodeAffinity",
    "affinity.podAffinity",
    "affinity.podAntiAffinity",
    "definitions.labels",
    "definitions.quantities",
    "extraEgress.items",
    "global",
    "matchLabels",
    "properties.valueFrom",
    "sidecar.securityContext",
    "topologySpreadConstraints.items",
];

#[test]
fn no_object_takes_undeclared_keys_unless_it_is_free() {
    fn walk(at: &Value, path: &str, open: &mut Vec<String>) {
        let Some(object) = at.as_object() else { return };
        if object.get("type").is_some_and(|kind| kind == "object")
            && object.get("additionalProperties") != Some(&Value::Bool(false))
        {
            open.push(path.to_owned());
        }
        for (name, below) in object {
            let step = if name == "properties" { path.to_owned() } else { format!("{path}.{name}") };
            walk(below, &step, open);
        }
    }
    let (schema, mut open) = (serde_json::from_str(&read("values.schema.json")).unwrap(), Vec::new());
    walk(&schema, "", &mut open);
    for path in open {
        // By alert name, then closed.
        let free = FREE.iter().any(|free| path.ends_with(free)) || path.ends_with("prometheusRule.overrides");
        assert!(free || path.ends_with("env.items.valueFrom"), "{path} takes any key");
    }
}

/// The other things that have to be set for a key to count, by the start of its path.
const NEEDS: [(&str, &str); 10] = [
    ("injector.tls.certManager", r#"{"tls":{"mode":"certManager"}}"#),
    ("injector.tls.existingSecret", r#"{"tls":{"mode":"existingSecret","existingSecret":"x","caBundle":"eA=="}}"#),
    ("injector.tls.caBundle", r#"{"tls":{"mode":"existingSecret","existingSecret":"x","caBundle":"eA=="}}"#),
    ("injector.hostNetwork", r#"{"securePort":10260}"#),
    ("validation.policy.actions", r#"{"policy":{"enabled":true}}"#),
    ("metrics.podMonitor", r#"{"podMonitor":{"enabled":true}}"#),
    ("metrics.serviceMonitor", r#"{"serviceMonitor":{"enabled":true}}"#),
    ("metrics.prometheusRule", r#"{"prometheusRule":{"enabled":true}}"#),
    ("metrics.dashboard", r#"{"dashboard":{"enabled":true}}"#),
    ("networkPolicy", r#"{"enabled":true}"#),
];

/// Another value than the default that the schema takes.
fn other(path: &str, default: &Value) -> Value {
    const PARTICULAR: [(&str, &str); 40] = [
        ("image.digest", r#""sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef""#),
        ("image.pullPolicy", r#""Always""#),
        ("imagePullSecrets", r#"[{"name":"x"}]"#),
        ("platform", r#""aks""#),
        ("injector.failurePolicy", r#""Ignore""#),
        ("injector.namespaceSelector", r#"{"matchLabels":{"a":"b"}}"#),
        ("injector.objectSelector", r#"{"matchLabels":{"a":"b"}}"#),
        ("injector.matchConditions", r#"[{"name":"x","expression":"true"}]"#),
        ("injector.tls.mode", r#""certManager""#),
        ("injector.tls.certManager.issuerRef", r#"{"name":"x"}"#),
        ("injector.tls.certManager.duration", r#""720h""#),
        ("injector.tls.caBundle", r#""eHg=""#),
        ("injector.resources", r#"{"limits":{"memory":"1Gi"}}"#),
        ("injector.podDisruptionBudget.minAvailable", r#""50%""#),
        ("injector.podDisruptionBudget.unhealthyPodEvictionPolicy", r#""IfHealthyBudget""#),
        ("injector.topologySpreadConstraints", r#"[{"maxSkew":2}]"#),
        ("injector.tolerations", r#"[{"operator":"Exists"}]"#),
        ("injector.affinity", r#"{"nodeAffinity":{}}"#),
        ("injector.extraEnv", r#"[{"name":"A","value":"b"}]"#),
        ("sidecar.nativeSidecar", "false"),
        ("sidecar.image", r#"{"tag":"x"}"#),
        ("sidecar.runAs", r#""same""#),
        ("sidecar.resources", r#"{"limits":{"memory":"1Gi"}}"#),
        ("sidecar.extraEnv", r#"[{"name":"A","value":"b"}]"#),
        ("defaults.tenantId", r#""contoso.onmicrosoft.com""#),
        ("defaults.cloud", r#""china""#),
        ("defaults.authorityHost", r#""https://login.example""#),
        ("defaults.allowedResources", r#"["*"]"#),
        ("defaults.doors", r#"["oauth"]"#),
        ("defaults.intercept", r#""loopback-address""#),
        ("defaults.httpsProxy", r#""http://proxy.example:3128""#),
        ("validation.policy.actions", r#"["Audit"]"#),
        ("metrics.podMonitor.interval", r#""7s""#),
        ("metrics.serviceMonitor.interval", r#""7s""#),
        ("metrics.podMonitor.namespaceSelector", r#"{"any":false}"#),
        ("metrics.prometheusRule.overrides", r#"{"UnsecretNeverAsked":{"enabled":false}}"#),
        ("networkPolicy.apiServerCIDRs", r#"["10.0.0.1/32"]"#),
        ("networkPolicy.monitoringNamespaceSelector", r#"{"matchLabels":{"a":"b"}}"#),
        ("networkPolicy.extraEgress", r#"[{"ports":[{"port":53}]}]"#),
        ("extraObjects", r#"[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}]"#),
    ];
    if let Some((_, value)) = PARTICULAR.iter().find(|(key, _)| *key == path) {
        return serde_json::from_str(value).unwrap();
    }
    match default {
        Value::Bool(on) => Value::Bool(!on),
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        Value::String(_) => "other.example".replace('.', if path.ends_with("verride") { "-" } else { "." }).into(),
        Value::Object(_) => serde_json::json!({"a": "b"}),
        _ => panic!("{path}: say in PARTICULAR what else it may be"),
    }
}

#[test]
fn every_value_changes_what_is_rendered() {
    if !helm::there() {
        return;
    }
    let defaults = helm::documents(&[read("values.yaml")]).remove(0).remove(0);
    let mut rendered = std::collections::BTreeMap::new();
    let keys = keys();
    for Key { path, .. } in keys.iter().filter(|key| !key.default.is_empty()) {
        let default = path.split('.').fold(&defaults, |at, step| &at[step]);
        let top = path.split('.').next().unwrap();
        // A switch counts by itself.
        let needs = NEEDS.iter().find(|(start, _)| path.starts_with(start) && !path.ends_with(".enabled"));
        let needs = needs.map(|(_, set)| format!("{top}={set}"));
        let mut arguments: Vec<String> = needs.into_iter().flat_map(|set| ["--set-json".to_owned(), set]).collect();
        let render = |arguments: &[String]| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            template(&arguments).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let before = rendered.entry(arguments.clone()).or_insert_with(|| render(&arguments)).clone();
        arguments.extend(["--set-json".to_owned(), format!("{path}={}", other(path, default))]);
        assert!(render(&arguments) != before, "{path} changes nothing");
    }
}

#[test]
fn the_readme_lists_the_values_as_they_are() {
    let page = read("README.md");
    let (before, rest) = page.split_once("| key | default | what it is |\n| --- | --- | --- |\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let escaped = |text: &str| text.replace('|', "\\|");
    let row = |key: &Key| {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", escaped(&key.default)) };
        format!("| `{}` | {default} | {} |\n", key.path, escaped(&key.says))
    };
    let rows: String = keys().iter().map(row).collect();
    let wanted = format!("{before}| key | default | what it is |\n| --- | --- | --- |\n{rows}\n{after}");
    if std::env::var_os("UNSECRET_BLESS").is_some() {
        fs::write(chart().join("README.md"), &wanted).unwrap();
        return;
    }
    assert_eq!(page, wanted, "run this test with UNSECRET_BLESS=1 to rewrite the table");
}
