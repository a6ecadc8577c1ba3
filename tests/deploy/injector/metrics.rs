//! What the webhook counts.

use serde_json::json;

use super::certificate::{kept_leaf, parsed};
use super::stage::Stage;
use super::verdicts::{changed, pod, pod_of};

const REQUESTS: &str = "unsecret_injector_admission_requests_total";

#[tokio::test]
async fn each_review_is_counted_by_what_became_of_it() {
    let (_stage, injector) = Stage::ready().await;
    injector.review(&pod()).await.patch();
    injector.review(&pod()).await.patch();
    injector.review(&changed(|pod| pod["spec"]["hostNetwork"] = json!(true))).await.refusal();
    injector.review(&pod_of("nobodys")).await.refusal();
    injector.review(&changed(|pod| pod["metadata"]["labels"] = json!({}))).await.response();
    for (labels, wanted) in [
        (&[("result", "injected")] as &[_], 2.0),
        (&[("result", "denied")], 2.0),
        (&[("result", "denied"), ("reason", "inject-host-network")], 1.0),
        (&[("result", "denied"), ("reason", "inject-missing")], 1.0),
        (&[("result", "unchanged"), ("reason", "not-asked")], 1.0),
        (&[("result", "error")], 0.0),
    ] {
        let counted = injector.metric(REQUESTS, labels).await;
        assert!((counted - wanted).abs() < 0.1, "{labels:?}: {counted}");
    }
    let timed = injector.metric("unsecret_injector_admission_duration_seconds_count", &[]).await;
    assert!((timed - 5.0).abs() < 0.1, "{timed}");
}

#[tokio::test]
async fn the_certificates_end_and_what_runs_here_are_told() {
    let (stage, injector) = Stage::ready().await;
    let end = parsed(&kept_leaf(&stage)).validity().not_after.timestamp();
    let told = injector.metric("unsecret_injector_serving_cert_not_after_timestamp_seconds", &[]).await;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let difference = (told - end as f64).abs();
    assert!(difference < 1.0, "{told} and {end}");
    assert!((injector.metric("unsecret_injector_ca_bundle_in_sync", &[]).await - 1.0).abs() < 0.1);
    assert!((injector.metric("unsecret_build_info", &[]).await - 1.0).abs() < 0.1);
    assert!(injector.metric("process_resident_memory_bytes", &[]).await > 0.0);
}

#[tokio::test]
async fn it_is_no_broker_that_nobody_asks() {
    let (_stage, injector) = Stage::ready().await;
    let page = injector.page("/metrics").await.body;
    assert!(!page.contains("unsecret_asked"), "{page}");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let known = ["unsecret_injector_", "unsecret_build_info", "process_"];
        assert!(known.iter().any(|prefix| line.starts_with(prefix)), "{line}");
    }
}

#[tokio::test]
async fn names_of_pods_and_namespaces_are_no_labels() {
    let (_stage, injector) = Stage::ready().await;
    let odd = changed(|pod| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("canary"));
    injector.review(&odd).await.refusal();
    let page = injector.page("/metrics").await.body;
    assert!(!page.contains("canary") && !page.contains("shop") && !page.contains("api-7d4f"), "{page}");
}
