//! The webhook's caller, as the API server is one: it trusts the configuration's `caBundle` and nothing else, and asks for
//! the Service's name.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is no answer: whatever the connection died of.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
}

impl Answer {
    /// The `response` of an AdmissionReview.
    pub fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        let review: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            (&review["apiVersion"], &review["kind"]),
            (&"admission.k8s.io/v1".into(), &"AdmissionReview".into())
        );
        review["response"].clone()
    }

    /// The operations of an answer that has some.
    pub fn patch(&self) -> Value {
        let response = self.response();
        assert_eq!((&response["allowed"], &response["patchType"]), (&true.into(), &"JSONPatch".into()), "{response}");
        serde_json::from_slice(&STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap()
    }

    /// What became of the pod, by somebody else's JSON Patch.
    pub fn applied(&self, pod: &Value) -> Value {
        let patch: json_patch::Patch = serde_json::from_value(self.patch()).unwrap();
        let mut pod = pod.clone();
        json_patch::patch(&mut pod, &patch).unwrap();
        pod
    }

    /// The message of a refusal.
    pub fn refusal(&self) -> String {
        let response = self.response();
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&false.into(), &403.into()), "{response}");
        assert!(response["patch"].is_null(), "{response}");
        response["status"]["message"].as_str().unwrap().to_owned()
    }
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// What the server showed: its own certificate first. None without TLS.
    pub shown: Vec<CertificateDer<'static>>,
}

impl Connection {
    /// Over TLS with one of these versions, for this name, under these roots.
    pub async fn open(
        to: SocketAddr,
        name: &str,
        roots: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, Failed> {
        let (stream, shown) = encrypted(to, name, roots, versions).await?;
        Self::over(stream, shown).await
    }

    pub async fn plain(to: SocketAddr) -> Result<Self, Failed> {
        Self::over(TcpStream::connect(to).await?, Vec::new()).await
    }

    async fn over<S>(stream: S, shown: Vec<CertificateDer<'static>>) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, shown })
    }

    pub async fn ask(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failed> {
        let request = Request::builder().method(method).uri(path).header("host", "webhook");
        let request = request.header("content-type", "application/json").body(Full::new(body.into()))?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: head.status, body })
    }
}

/// A stream, and what the server showed.
pub async fn encrypted(
    to: SocketAddr,
    name: &str,
    roots: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<(TlsStream<TcpStream>, Vec<CertificateDer<'static>>), Failed> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    // As a kube-apiserver, which would rather speak HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(to).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned())?, stream).await?;
    let session = stream.get_ref().1;
    assert_ne!(session.alpn_protocol(), Some(b"h2".as_slice()), "HTTP/2 is not spoken");
    let shown = session.peer_certificates().unwrap().iter().map(|one| one.clone().into_owned()).collect();
    Ok((stream, shown))
}
