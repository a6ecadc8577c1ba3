//! Both servers, and what they are asked.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;
use unsecret::app::build_facts;
use unsecret::clock::{Clock, SystemClock};
use unsecret::cluster::Place;
use unsecret::inject::Values;
use unsecret::injector::{Injector, Settings, Tls};
use unsecret::listen::{self, Limits};
use unsecret::local_ca::LocalCa;
use unsecret::metrics::Injections;

use crate::support::Outcome;

const LIFE: Duration = Duration::from_secs(86_400);
const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";

/// Puts a certificate into the folder. What it is issued by.
pub(crate) fn certificate(folder: &Path) -> Outcome<String> {
    let now = SystemClock::new().now();
    let ca = LocalCa::create("bench CA", now, LIFE)?;
    let leaf = ca.leaf(&["localhost".to_owned()], now, LIFE)?;
    fs::write(folder.join("tls.crt"), leaf.chain_pem())?;
    fs::write(folder.join("tls.key"), leaf.key_pem().expose())?;
    Ok(ca.certificate_pem().to_owned())
}

/// The webhook, or a handler that reads the body and says yes.
#[expect(clippy::print_stderr, reason = "where it listens")]
pub(crate) async fn serve(is_webhook: bool, folder: &Path) -> Outcome<()> {
    let injector = Injector::start(settings(folder)?)?;
    for object in around() {
        injector.webhook.know(&object);
    }
    let socket = listen::tcp("--listen", ([127, 0, 0, 1], 0).into())?.over_tls(&injector.tls);
    let address = socket.address().ok_or("no address")?;
    eprintln!("listening door=https://{address}");
    let (_stop, stopped) = watch::channel(false);
    let webhook = Arc::clone(&injector.webhook);
    let answer = move |_, request: Request<Incoming>| {
        let webhook = Arc::clone(&webhook);
        async move { if is_webhook { webhook.answer(request).await } else { yes(request).await } }
    };
    listen::serve(socket, Limits::default(), answer, stopped).await;
    Ok(())
}

async fn yes(request: Request<Incoming>) -> Response<Full<Bytes>> {
    // One that breaks off has nobody to hear the answer.
    let _ = request.into_body().collect().await;
    let review =
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"1","allowed":true}}"#;
    let mut response = Response::new(Full::from(&review[..]));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// With a cluster that is not there: everything is known already.
fn settings(folder: &Path) -> Outcome<Settings> {
    let values = json!({"defaults": {"tenantId": TENANT, "allowedResources": ["https://vault.azure.net"]}});
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Ok(Settings {
        values: Values::read(&values).map_err(|problems| problems.report())?,
        place: Place {
            server: "https://127.0.0.1:9".parse()?,
            ca_file: folder.join("tls.crt"),
            token_file: folder.join("no-token"),
        },
        tls: Tls::Folder(folder.to_owned()),
        metrics: Arc::new(Injections::new(build_facts(), &clock)),
        clock,
    })
}

fn around() -> [Value; 2] {
    let annotations = json!({"unsecret.dev/client-id": CLIENT});
    [
        json!({"metadata": {"name": "shop"}}),
        json!({"metadata": {"name": "api", "namespace": "shop", "annotations": annotations}}),
    ]
}

/// A review of a pod of the usual size: three containers, some forty variables, probes and volumes.
pub(crate) fn request() -> Vec<u8> {
    let env: Vec<Value> = (0..14).map(|n| json!({"name": format!("SETTING_{n}"), "value": "some value"})).collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10});
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/api:1.0.0", "env": env, "livenessProbe": probe, "readinessProbe": probe,
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "config", "mountPath": "/config"}],
        })
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "namespace": "shop", "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "object": {
                "metadata": {"generateName": "api-7d4f-", "labels": {"app": "api", "unsecret.dev/inject": "true"}},
                "spec": {
                    "serviceAccountName": "api",
                    "containers": [container("api"), container("worker"), container("cache")],
                    "volumes": [{"name": "data", "emptyDir": {}}, {"name": "config", "configMap": {"name": "api"}}],
                },
            },
        },
    });
    let body = review.to_string();
    format!("POST /v1/mutate?timeout=5s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
