//! Covers: src/injector/review.rs src/injector/weight.rs src/inject/annotations.rs src/inject/broker.rs src/inject/changes.rs src/inject/denial.rs src/inject/fitness.rs src/inject/leftover.rs src/inject/pod.rs src/inject/settings.rs src/inject/variables.rs
//!
//! A review, whoever wrote its pod. It is refused in words, or answered by an AdmissionReview of the same uid; a patch applies to
//! the pod, and the pod that it makes is left as it is.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use unsecret::inject::{Metadata, Outcome, Surroundings, Values, Verdict, inject, is_asked};
use unsecret::injector::{Asked, Review};
use unsecret::problem::Problem as _;

static VALUES: LazyLock<Option<Values>> = LazyLock::new(|| {
    let defaults = json!({"tenantId": "contoso.example", "allowedResources": ["https://vault.azure.net"]});
    Values::read(&json!({"image": {"registry": "registry.example"}, "defaults": defaults})).ok()
});

static ACCOUNT: LazyLock<Metadata> = LazyLock::new(|| {
    let annotations = json!({"unsecret.dev/client-id": "11111111-2222-4333-8444-555555555555"});
    Metadata::of_interest(&json!({"metadata": {"annotations": annotations}}))
});

fuzz_target!(|input: &[u8]| {
    let review = match Review::read(input) {
        Ok(review) => review,
        Err(problem) => {
            assert!(problem.to_string().len() < 1_000 && problem.remedy().is_some());
            return;
        }
    };
    let Ok(asked) = serde_json::from_slice::<Value>(input) else { panic!("what was read is JSON") };
    assert_eq!(asked["request"]["uid"], review.uid());
    if review.asked() == Asked::Other {
        assert!(response(&review, &review.skipped().body).get("patch").is_none());
        return;
    }
    let outcome = decided(&review, review.pod());
    let told = review.answer(&outcome);
    let response = response(&review, &told.body);
    let Some(patch) = response.get("patch") else {
        assert_eq!(response["allowed"], !matches!(outcome.verdict, Verdict::Denied(_)));
        return;
    };
    assert!(response["allowed"] == true && is_asked(review.pod()));
    let patched = applied(review.pod(), patch);
    assert_eq!(patched["metadata"]["labels"], review.pod()["metadata"]["labels"]);
    let again = decided(&review, &patched).verdict;
    assert!(matches!(again, Verdict::Unchanged(_)), "{again:?}");
});

fn decided(review: &Review, pod: &Value) -> Outcome {
    let Some(values) = VALUES.as_ref() else { panic!("these are the chart's values") };
    let around = Surroundings {
        namespace: review.namespace(),
        namespace_metadata: &Metadata::default(),
        service_account: (review.service_account() == "api").then_some(&ACCOUNT),
        native_sidecars: true,
    };
    inject(pod, &around, values)
}

/// As a kube-apiserver looks at it, which takes an answer to another question for none.
fn response(review: &Review, body: &[u8]) -> Value {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { panic!("an answer is JSON") };
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let response = answer["response"].clone();
    assert_eq!(response["uid"], review.uid());
    assert!(response["allowed"].is_boolean());
    assert_eq!(response.get("patch").is_some(), response["patchType"] == "JSONPatch");
    if response["allowed"] == false {
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert!(response["status"]["code"] == 403 && !message.is_empty() && message.len() <= 8 * 1024, "{message}");
    }
    response
}

/// By somebody else's JSON Patch.
fn applied(pod: &Value, patch: &Value) -> Value {
    let patch = STANDARD.decode(patch.as_str().unwrap_or_default()).unwrap_or_default();
    let Ok(patch) = serde_json::from_slice::<json_patch::Patch>(&patch) else { panic!("it is a JSON Patch") };
    let mut pod = pod.clone();
    if let Err(error) = json_patch::patch(&mut pod, &patch) {
        panic!("the patch does not apply: {error}");
    }
    pod
}
