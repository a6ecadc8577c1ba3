//! Tokens of a real cluster: issued by TokenRequest, exchanged by the broker at an Entra that fetches the API server's own
//! discovery document and keys, over TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::beside::Beside;
use super::server::{ISSUER, Server};
use super::{cluster, example, unsecret};

pub const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
pub const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
pub const VAULT: &str = "https://vault.azure.net";

/// A local Entra that trusts the service account `billing` of this namespace.
pub struct Entra {
    _emulator: Beside,
    pub authority: String,
    pub ca_file: String,
}

impl Entra {
    pub async fn trusting(server: &Server, namespace: &str) -> Self {
        // Entra comes from outside and has no token of the cluster.
        server.apply(
            r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": "issuer-discovery-for-all"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:service-account-issuer-discovery"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}]}"#,
        );
        let folder = server.stage.join(format!("entra-{namespace}"));
        fs::create_dir(&folder).unwrap();
        let ca_file = folder.join("ca.pem").display().to_string();
        let settings = format!(
            r#"
            listen = "127.0.0.1:0"
            ca_file = {ca_file:?}
            [[tenant]]
            id = "{TENANT}"
            [[application]]
            tenant = "{TENANT}"
            client_id = "{CLIENT}"
            [[application.federated_credential]]
            issuer = "{ISSUER}"
            subject = "system:serviceaccount:{namespace}:billing"
            audience = "api://AzureADTokenExchange"
            [[resource]]
            ids = ["{VAULT}"]
            [[issuer]]
            url = "{ISSUER}"
            at = "127.0.0.1:{}"
            ca_file = {:?}
            "#,
            server.port,
            server.ca_file(),
        );
        fs::write(folder.join("emulator.toml"), settings).unwrap();
        let mut emulate = unsecret();
        emulate.arg("emulate").arg("--config").arg(folder.join("emulator.toml"));
        let emulator = Beside::start(&emulate, &folder.join("log"));
        let authority = format!("https://{}", emulator.address("A local Entra listens on https://").await);
        Self { _emulator: emulator, authority, ca_file }
    }
}

/// A token such as the kubelet writes for this pod: of the audience and the life that its volume names, bound to it.
pub fn projected(server: &Server, pod: &Value) -> String {
    let [namespace, name, uid] = ["namespace", "name", "uid"].map(|field| pod["metadata"][field].as_str().unwrap());
    let sources = pod["spec"]["volumes"].as_array().unwrap().iter();
    let source = sources.filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
    let asked = source.map(|source| &source["serviceAccountToken"]).find(|asked| asked["audience"].is_string());
    let asked = asked.unwrap_or_else(|| panic!("no volume with a token: {pod}"));
    server.run(&[
        "create",
        "token",
        pod["spec"]["serviceAccountName"].as_str().unwrap(),
        &format!("--namespace={namespace}"),
        &format!("--audience={}", asked["audience"].as_str().unwrap()),
        &format!("--duration={}s", asked["expirationSeconds"]),
        "--bound-object-kind=Pod",
        &format!("--bound-object-name={name}"),
        &format!("--bound-object-uid={uid}"),
    ])
}

/// The broker's configuration on this machine: other ports, paths below `folder`, and the local Entra.
fn moved(config: &str, folder: &Path, entra: &Entra) -> String {
    let local = format!("authority_host = {:?}\nca_file = {:?}\n", entra.authority, entra.ca_file);
    let config = config.replace("127.0.0.1:4780", "127.0.0.1:0").replace("0.0.0.0:9464", "127.0.0.1:0");
    let token = folder.join("token").display().to_string();
    config.replace("/var/run/secrets/unsecret/token", &token).replace("assertion = ", &(local + "assertion = "))
}

/// What an application gets that asks as an Azure SDK does.
pub async fn ask(door: &str, key: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{door}/msi/token?api-version=2019-08-01&resource={VAULT}");
    let answer = client.get(url).header("x-identity-header", key).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_manual_pod_is_admitted_and_its_token_opens_the_way_to_entra() {
    let Some(server) = cluster().await else { return };
    server.restricted_namespace("billing");
    server.run(&["apply", "--kustomize", &example("kubernetes-manual/overlays/aks")]);
    let deployment = server.json(&["get", "deployment", "billing", "--namespace=billing"]);
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("billing");
    pod["metadata"]["namespace"] = json!("billing");
    // By Pod Security's own admission, too: the namespace takes nothing but "restricted".
    let pod = server.create(&pod).unwrap();

    let entra = Entra::trusting(server, "billing").await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), projected(server, &pod)).unwrap();
    let config = fs::read_to_string(example("kubernetes-manual/base/config.toml")).unwrap();
    fs::write(folder.path().join("config.toml"), moved(&config, folder.path(), &entra)).unwrap();
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let mut run = unsecret();
    run.env("UNSECRET_POD_KEY", uid).arg("run").arg("--config").arg(folder.path().join("config.toml"));
    let broker = Beside::start(&run, &folder.path().join("log"));
    let door = broker.address("door=http://").await;

    let (status, answer) = ask(&door, uid).await;
    assert_eq!(status, 200, "{answer}\n{}", broker.said());
    assert!(answer["access_token"].is_string());
    assert_eq!(ask(&door, "6e9f0a6e-0000-4000-8000-000000000000").await.0, 401, "another pod's uid is no key");
}

#[tokio::test]
async fn what_the_example_publishes_is_what_the_cluster_says() {
    let Some(server) = cluster().await else { return };
    let site = tempfile::tempdir().unwrap();
    let mut publish = Command::new(example("kubernetes-onprem-issuer/publish.sh"));
    publish.env_clear().env("PATH", "/usr/bin:/bin").env("KUBECTL", server.kubectl_script()).arg(site.path());
    let output = publish.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let published = |path: &str| serde_json::from_slice::<Value>(&fs::read(site.path().join(path)).unwrap()).unwrap();
    let said = |path: &str| serde_json::from_str::<Value>(&server.run(&["get", "--raw", path])).unwrap();
    assert_eq!(published("openid/v1/jwks"), said("/openid/v1/jwks"));
    assert_eq!(published(".well-known/openid-configuration"), said("/.well-known/openid-configuration"));
}

/// A proxy that finds the issuer's host, which no name server knows, at the API server.
async fn proxy(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let issuer = format!("127.0.0.1:{}", server.port);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(tunnel(BufReader::new(stream), issuer.clone()));
        }
    });
    proxy
}

/// `CONNECT host:port`, and what comes after it.
async fn tunnel(mut client: BufReader<TcpStream>, issuer: String) -> std::io::Result<()> {
    let mut head = String::new();
    while client.read_line(&mut head).await? > 2 {}
    let wanted = head.split_whitespace().nth(1).unwrap_or_default();
    let mut far = TcpStream::connect(if wanted.contains(".example:") { &issuer } else { wanted }).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut far).await.map(|_| ())
}

/// What the operator of such a cluster sees: its documents can be read, and the credential to create is the cluster's own.
#[tokio::test]
async fn doctor_reads_the_clusters_documents_and_names_its_credential() {
    let Some(server) = cluster().await else { return };
    server.run(&["create", "namespace", "doctor"]);
    server.run(&["create", "serviceaccount", "billing", "--namespace=doctor"]);
    let entra = Entra::trusting(server, "doctor").await;
    let folder = tempfile::tempdir().unwrap();
    let token =
        server.run(&["create", "token", "billing", "--namespace=doctor", "--audience=api://AzureADTokenExchange"]);
    fs::write(folder.path().join("token"), token).unwrap();
    let roots = [&entra.ca_file, &server.ca_file()].map(|file| fs::read_to_string(file).unwrap()).concat();
    fs::write(&entra.ca_file, roots).unwrap();
    let config = fs::read_to_string(example("kubernetes-manual/base/config.toml")).unwrap();
    let config = moved(&config, folder.path(), &entra);
    let config = config.replace("assertion = ", &format!("proxy = {:?}\nassertion = ", proxy(server).await));
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let mut doctor = tokio::process::Command::from(unsecret());
    doctor.env_clear().env("UNSECRET_POD_KEY", "6e9f0a6e-0000-4000-8000-000000000000");
    doctor.args(["doctor", "--json", "--federated-credential", "--config"]).arg(folder.path().join("config.toml"));
    let output = doctor.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "good", "{report:#}");
    let credential = &report["federated_credentials"][0]["graph"];
    assert_eq!(credential["issuer"], ISSUER);
    assert_eq!(credential["subject"], "system:serviceaccount:doctor:billing");
}
