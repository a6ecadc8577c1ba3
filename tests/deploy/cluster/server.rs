//! etcd and kube-apiserver, with kubectl as their administrator. No kubelet and no controllers: objects are admitted and kept,
//! and nothing runs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::local_ca::{ClientCertificate, LocalCa};

use super::beside::{Beside, until};
use crate::support::parts::{Level, missing};

/// What the cluster's tokens are issued by. Its host is in the API server's certificate.
pub const ISSUER: &str = "https://oidc.cluster.example";

const LIFE: Duration = Duration::from_secs(86_400);

/// Of the administrator; the API server listens on loopback for as long as the tests run.
const TOKEN: &str = "of-the-administrator-of-this-run-only";

/// What `.ci/run` puts there.
pub fn tool(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci").join(path);
    path.exists().then_some(path)
}

pub struct Server {
    /// Certificates, keys, data, logs.
    pub stage: PathBuf,
    pub port: u16,
    kubectl: PathBuf,
    _etcd: Beside,
    apiserver: Beside,
}

impl Server {
    /// `None`, said loudly, where nobody has built it.
    pub async fn start() -> Option<Self> {
        let parts = ["apiserver/kube-apiserver", "apiserver/etcd", "kubernetes/kubectl"].map(tool);
        let [Some(program), Some(etcd), Some(kubectl)] = parts else {
            missing(Level::Full, "kube-apiserver, etcd and kubectl: .ci/run install apiserver");
            return None;
        };
        let stage = tempfile::tempdir().unwrap().keep();
        let [port, clients, peers] = free_ports();
        keys(&stage);
        let etcd = Beside::start(&etcd_command(&etcd, &stage, clients, peers), &stage.join("etcd.log"));
        let apiserver =
            Beside::start(&apiserver_command(&program, &stage, port, clients), &stage.join("apiserver.log"));
        let server = Self { stage, port, kubectl, _etcd: etcd, apiserver };
        until("the API server is ready", || server.kubectl(&["get", "--raw", "/readyz"], "").ok()).await;
        until("its own namespaces are there", || server.kubectl(&["get", "namespace", "default"], "").ok()).await;
        Some(server)
    }

    /// Runs kubectl with this on its stdin; what it printed, or what it complained about.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.env_clear().env("HOME", &self.stage).args(self.access(TOKEN)).args(args);
        let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Ends the input as well; who does not read it may be gone already.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        if output.status.success() { Ok(said) } else { Err(complained) }
    }

    /// What must go well.
    pub fn run(&self, args: &[&str]) -> String {
        self.kubectl(args, "").unwrap_or_else(|said| panic!("kubectl {args:?}: {said}\n{}", self.last_words()))
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--output=json"]].concat())).unwrap()
    }

    pub fn apply(&self, objects: &str) {
        self.kubectl(&["apply", "--filename=-"], objects).unwrap_or_else(|said| panic!("{said}\n{objects}"));
    }

    /// The object as the API server keeps it, or why it does not.
    pub fn create(&self, object: &Value) -> Result<Value, String> {
        let kept = self.kubectl(&["create", "--filename=-", "--output=json"], &object.to_string())?;
        Ok(serde_json::from_str(&kept).unwrap())
    }

    /// A namespace in which only pods of the profile "restricted" are admitted, by the API server's own admission.
    pub fn restricted_namespace(&self, name: &str) {
        self.run(&["create", "namespace", name]);
        self.run(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]);
    }

    /// A program that calls kubectl as the administrator, for scripts.
    pub fn kubectl_script(&self) -> PathBuf {
        let script = self.stage.join("kubectl");
        let access = self.access(TOKEN).join(" ");
        fs::write(&script, format!("#!/bin/sh\nexec {} {access} \"$@\"\n", self.kubectl.display())).unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        script
    }

    pub fn ca_file(&self) -> String {
        self.stage.join("ca.pem").display().to_string()
    }

    pub fn helm_access(&self) -> [String; 3] {
        [
            format!("--kube-apiserver=https://127.0.0.1:{}", self.port),
            format!("--kube-ca-file={}", self.ca_file()),
            format!("--kube-token={TOKEN}"),
        ]
    }

    fn access(&self, token: &str) -> [String; 3] {
        [
            format!("--server=https://127.0.0.1:{}", self.port),
            format!("--certificate-authority={}", self.ca_file()),
            format!("--token={token}"),
        ]
    }

    fn last_words(&self) -> String {
        let said = self.apiserver.said();
        said.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }
}

/// All at once, so that they differ.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The certificate of the API server, the key of its tokens, and who its administrator is.
fn keys(stage: &Path) {
    let now = SystemClock::new().now();
    let ca = LocalCa::create("the cluster's CA", now, LIFE).unwrap();
    let names = ["127.0.0.1", "localhost", "oidc.cluster.example"].map(str::to_owned);
    let leaf = ca.leaf(&names, now, LIFE).unwrap();
    let tokens = ClientCertificate::create("the cluster's tokens", now, LIFE).unwrap();
    for (name, text) in [
        ("ca.pem", ca.certificate_pem()),
        ("server.pem", leaf.chain_pem()),
        ("server.key", leaf.key_pem().expose()),
        ("tokens.key", tokens.key_pem.expose()),
        ("administrator.csv", &format!("{TOKEN},administrator,1,system:masters\n")),
    ] {
        fs::write(stage.join(name), text).unwrap();
    }
}

fn etcd_command(program: &Path, stage: &Path, clients: u16, peers: u16) -> Command {
    let [clients, peers] = [clients, peers].map(|port| format!("http://127.0.0.1:{port}"));
    let mut etcd = Command::new(program);
    etcd.arg(format!("--data-dir={}", stage.join("etcd").display()));
    etcd.args([format!("--listen-client-urls={clients}"), format!("--advertise-client-urls={clients}")]);
    etcd.args([format!("--listen-peer-urls={peers}"), format!("--initial-advertise-peer-urls={peers}")]);
    // Whoever keeps most in it removes it: nobody drops a static.
    etcd.env("REMOVED_AT_THE_END", stage);
    // Nothing in it is worth a wait for the disk.
    etcd.arg(format!("--initial-cluster=default={peers}")).arg("--unsafe-no-fsync");
    etcd
}

fn apiserver_command(program: &Path, stage: &Path, port: u16, etcd: u16) -> Command {
    let path = |name: &str| stage.join(name).display().to_string();
    let mut apiserver = Command::new(program);
    apiserver.args([
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", path("server.pem")),
        format!("--tls-private-key-file={}", path("server.key")),
        format!("--token-auth-file={}", path("administrator.csv")),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-jwks-uri={ISSUER}/openid/v1/jwks"),
        format!("--service-account-key-file={}", path("tokens.key")),
        format!("--service-account-signing-key-file={}", path("tokens.key")),
    ]);
    apiserver.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
    ]);
    apiserver
}
