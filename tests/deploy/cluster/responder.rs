//! Answers the API server's reviews with the mutation library: the shortest webhook there can be, so that the library's
//! operations pass through the real chain of admission.
//!
//! Not `unsecret injector`: it knows no cache and keeps no certificate. Easy to get wrong: it is asked by the tests of many
//! runtimes, so it has a thread and a runtime of its own.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::inject::{Metadata, Surroundings, Values, Verdict, inject};
use unsecret::local_ca::LocalCa;
use unsecret::problem::Problem as _;

const LIFE: Duration = Duration::from_secs(86_400);

/// Where it is, and what vouches for its certificate.
pub struct Responder {
    pub port: u16,
    pub ca_pem: String,
}

impl Responder {
    /// With the chart's values, under this name; what stands around a pod is the same for all of them.
    pub fn start(values: Values, name: &str, namespace: Value, account: Value) -> Self {
        let now = SystemClock::new().now();
        let ca = LocalCa::create("the webhook's CA", now, LIFE).unwrap();
        let acceptor = TlsAcceptor::from(ca.leaf(&[name.to_owned()], now, LIFE).unwrap().server_config().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let around = Arc::new((values, namespace, account));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, acceptor, around));
        });
        Self { port, ca_pem: ca.certificate_pem().to_owned() }
    }
}

type Around = Arc<(Values, Value, Value)>;

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, around: Around) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, around) = (acceptor.clone(), Arc::clone(&around));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&around)));
            // The API server may hang up as it likes.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, around: Around) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let reviewed = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response(&review["request"], &around),
    });
    Ok(Response::new(Full::from(reviewed.to_string())))
}

fn response(request: &Value, around: &Around) -> Value {
    let (values, namespace, account) = &**around;
    let surroundings = Surroundings {
        namespace: request["namespace"].as_str().unwrap(),
        namespace_metadata: &Metadata::of(namespace),
        service_account: Some(&Metadata::of(account)),
        native_sidecars: true,
    };
    let outcome = inject(&request["object"], &surroundings, values);
    let mut response = json!({"uid": request["uid"], "allowed": true, "warnings": outcome.warnings});
    match outcome.verdict {
        Verdict::Unchanged(_) => {}
        Verdict::Injected(operations) => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(serde_json::to_string(&operations).unwrap()));
        }
        Verdict::Denied(denial) => {
            let remedy = denial.remedy().unwrap_or_default();
            response["allowed"] = json!(false);
            response["status"] = json!({"code": 403, "message": format!("{denial}; {remedy}")});
        }
    }
    response
}
