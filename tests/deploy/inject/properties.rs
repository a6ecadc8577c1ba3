//! Whatever the pod: asked again nothing changes, and nothing that was there is gone or different.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use unsecret::inject::{Reason, Verdict};

use super::{Case, applied};

/// JSON that we know nothing of.
fn foreign() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("x-[a-z~/]{1,6}", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

/// Members with names that are none of Kubernetes'.
fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("x-[a-zA-Z~/]{1,6}", foreign(), 0..3).prop_map(|all| all.into_iter().collect())
}

fn variable() -> impl Strategy<Value = Value> {
    let names = vec![
        "A",
        "NO_PROXY",
        "no_proxy",
        "AZURE_CLIENT_ID",
        "IDENTITY_HEADER",
        "AZURE_TENANT_ID",
        "AZURE_TOKEN_CREDENTIALS",
    ];
    let source = json!({"configMapKeyRef": {"name": "c", "key": "k"}});
    let form = prop_oneof![
        "[ -~]{0,12}".prop_map(|value| json!({"value": value})),
        Just(json!({})),
        Just(json!({"valueFrom": source})),
    ];
    (select(names), form, unknown())
        .prop_map(|(name, form, rest)| with(json!({"name": name}), [form.as_object().unwrap().clone(), rest]))
}

fn with<const N: usize>(mut object: Value, more: [Map<String, Value>; N]) -> Value {
    let members = object.as_object_mut().unwrap();
    for map in more {
        members.extend(map);
    }
    object
}

/// A list that may also be missing, `null` or empty.
fn optional(items: impl Strategy<Value = Vec<Value>>, key: &'static str) -> impl Strategy<Value = Map<String, Value>> {
    let list = prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 4 => items.prop_map(|items| Some(Value::from(items)))];
    list.prop_map(move |list| list.map(|list| (key.to_owned(), list)).into_iter().collect())
}

fn containers(names: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    subsequence(names, 0..=names.len()).prop_shuffle().prop_flat_map(|names| {
        let each = names.into_iter().map(|name| {
            let mounts = optional(vec(Just(json!({"name": "tmp", "mountPath": "/tmp"})), 0..2), "volumeMounts");
            let always = any::<bool>().prop_map(|always| if always { json!({"restartPolicy": "Always"}) } else { json!({}) });
            (optional(vec(variable(), 0..4), "env"), mounts, always, unknown()).prop_map(move |(env, mounts, always, rest)| {
                let rules = json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [7]}}]});
                let members = [env, mounts, always.as_object().unwrap().clone(), rules.as_object().unwrap().clone(), rest];
                with(json!({"name": name}), members)
            })
        });
        each.collect::<Vec<_>>()
    })
}

/// A pod as webhooks may have left it.
fn pods() -> impl Strategy<Value = Value> {
    let init = containers(&["istio-init", "istio-proxy", "migrate", "vault-agent-init", "seed"]);
    let main = containers(&["api", "log", "linkerd-proxy", "worker"]).prop_map(|mut all| {
        all.push(json!({"name": "last"}));
        Value::from(all)
    });
    let volumes = optional(vec(Just(json!({"name": "tmp", "emptyDir": {}})), 0..2), "volumes");
    let context = prop_oneof![
        Just(json!({})),
        Just(json!({"securityContext": null})),
        Just(json!({"securityContext": {"fsGroup": 1}})),
        Just(json!({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}})),
    ];
    (optional(init, "initContainers"), main, volumes, context, unknown(), unknown(), annotations()).prop_map(
        |(init, main, volumes, context, spec, top, annotations)| {
            let spec = with(json!({"containers": main}), [init, volumes, context.as_object().unwrap().clone(), spec]);
            let metadata = with(json!({"labels": {"unsecret.dev/inject": "true"}}), [annotations]);
            with(json!({"metadata": metadata, "spec": spec}), [top])
        },
    )
}

fn annotations() -> impl Strategy<Value = Map<String, Value>> {
    let all = vec![
        ("native-sidecar", "false"),
        ("intercept", "loopback-address"),
        ("expose-token-file", "true"),
        ("ready-gate", "true"),
        ("containers", "api,migrate"),
        ("config-map", "broker"),
        ("doors", "cloud-shell,imds"),
        ("run-as", "1000"),
        ("leftover-secret", "warn"),
        ("unknown", "x"),
    ];
    let count = all.len();
    (subsequence(all, 0..=count), any::<bool>()).prop_map(|(some, absent)| {
        let some: Map<_, _> =
            some.into_iter().map(|(key, value)| (format!("unsecret.dev/{key}"), value.into())).collect();
        if absent && some.is_empty() { Map::new() } else { Map::from_iter([("annotations".to_owned(), some.into())]) }
    })
}

/// Whether all of `before` is still in `after`: the members, and the elements in their order, at most moved apart. What may
/// differ is the text of `NO_PROXY`, which has only grown.
fn kept(before: &Value, after: &Value, path: &str) -> Result<(), TestCaseError> {
    let is_exemptions =
        |value: &Value| value["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("no_proxy"));
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let there = after.get(key);
                prop_assert!(there.is_some(), "{path}/{key} is gone");
                kept(value, there.unwrap(), &format!("{path}/{key}"))?;
            }
            Ok(())
        }
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            for (n, value) in before.iter().enumerate() {
                let path = format!("{path}/{n}");
                let same = |other: &&Value| other["name"] == value["name"] || other == &value;
                let Some(there) = rest.find(same) else { return Err(TestCaseError::fail(format!("{path} is gone"))) };
                if is_exemptions(value) && value["valueFrom"].is_null() {
                    let (old, new) =
                        (value["value"].as_str().unwrap_or_default(), there["value"].as_str().unwrap_or_default());
                    prop_assert!(new.trim().starts_with(old.trim()), "{path}: {old} became {new}");
                } else {
                    kept(value, there, &path)?;
                }
            }
            Ok(())
        }
        // A list that was not there, or a map.
        (Value::Null, Value::Array(_) | Value::Object(_)) => Ok(()),
        _ => {
            prop_assert_eq!(before, after, "{}", path);
            Ok(())
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_touched_and_asked_again_nothing_changes(pod in pods()) {
        let mut case = Case::new();
        case.pod = pod;
        let Verdict::Injected(operations) = case.outcome().verdict else { return Err(TestCaseError::fail("not injected")) };
        let injected = applied(&case.pod, &operations);
        kept(&case.pod, &injected, "")?;
        let again = case.outcome_of(&injected);
        prop_assert_eq!(again.verdict, Verdict::Unchanged(Reason::AlreadyInjected));
    }

    #[test]
    fn whatever_stands_there_nothing_panics_and_what_is_denied_says_why(spec in foreign(), labels in foreign(), annotations in foreign()) {
        let mut case = Case::new();
        case.pod["spec"]["containers"] = spec.clone();
        let _ = case.outcome();
        case.pod["spec"] = spec;
        case.pod["metadata"]["annotations"] = annotations;
        let _ = case.outcome();
        case.pod["metadata"]["labels"] = labels;
        let _ = case.outcome();
    }
}
