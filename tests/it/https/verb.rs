//! `unsecret trust`, and real clients that are told nothing but what it prints.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use unsecret::clock::Clock as _;
use unsecret::local_ca::LocalCa;

use crate::support::parts::{Level, missing};
use crate::support::world::{GRAPH, Plan, World, encoded};

/// A world whose configuration lies in a file, and what `unsecret trust` prints for it.
struct Trusting {
    world: World,
    variables: BTreeMap<String, String>,
}

impl Trusting {
    async fn new() -> Self {
        let world = World::of(Plan { https: true, ..Plan::default() }).await;
        std::fs::write(world.path("config.toml"), world.config_text()).unwrap();
        let said = trust(&world, &["--format", "dotenv"]);
        assert!(said.status.success(), "{said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let variables = pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect();
        Self { world, variables }
    }

    /// Runs a client that prints the token it was given, with these variables alone.
    async fn asks(&self, level: Level, program: &str, arguments: &[&str], variables: &[&str]) {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        // What Go compiles of its own library takes minutes, once.
        command.env("GOCACHE", concat!(env!("CARGO_MANIFEST_DIR"), "/target/go-cache"));
        command.env("HOME", self.world.path("")).env("URL", self.url()).kill_on_drop(true);
        for name in variables {
            command.env(name, &self.variables[*name]);
        }
        let Ok(ended) = command.output().await else { return missing(level, program) };
        let printed = String::from_utf8_lossy(&ended.stdout);
        assert!(printed.contains("access_token"), "{program}: {printed}{}", String::from_utf8_lossy(&ended.stderr));
    }

    fn url(&self) -> String {
        let target = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=";
        format!("https://localhost:{}{target}{}", self.world.https().port(), encoded(GRAPH))
    }

    /// A program text in a file of its own.
    fn program(&self, name: &str, text: &str) -> String {
        let path = self.world.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn trust(world: &World, arguments: &[&str]) -> Output {
    let config = world.path("config.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.arg("trust").arg("--config").arg(config).args(arguments).env_clear();
    let url = world.github_url();
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", url).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x");
    command.output().unwrap()
}

const PYTHON: &str = r#"
import os, urllib.request
request = urllib.request.Request(os.environ["URL"], headers={"Metadata": "true"})
print(urllib.request.urlopen(request).read().decode())
"#;

const NODE: &str = r#"
fetch(process.env.URL, { headers: { Metadata: "true" } }).then(r => r.text()).then(console.log);
"#;

const JAVA: &str = r#"
import java.net.URI;
import java.net.http.*;
class Ask {
    public static void main(String[] args) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("URL"))).header("Metadata", "true").build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"#;

const GO: &str = r#"
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	request, _ := http.NewRequest("GET", os.Getenv("URL"), nil)
	request.Header.Set("Metadata", "true")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(response.Body)
	fmt.Println(string(body))
}
"#;

#[tokio::test]
async fn python_and_curl_trust_what_they_are_told_to() {
    let trusting = Trusting::new().await;
    trusting.asks(Level::Core, "python3", &["-c", PYTHON], &["SSL_CERT_FILE"]).await;
    let url = trusting.url();
    trusting.asks(Level::Full, "curl", &["-sS", "-H", "Metadata: true", &url], &["CURL_CA_BUNDLE"]).await;
}

#[tokio::test]
async fn node_trusts_what_it_is_told_to() {
    let trusting = Trusting::new().await;
    trusting.asks(Level::Full, "node", &["-e", NODE], &["NODE_EXTRA_CA_CERTS"]).await;
}

#[tokio::test]
async fn java_trusts_what_it_is_told_to() {
    let trusting = Trusting::new().await;
    let program = trusting.program("Ask.java", JAVA);
    trusting.asks(Level::Full, "java", &[&program], &["JAVA_TOOL_OPTIONS"]).await;
}

#[tokio::test]
async fn go_trusts_what_it_is_told_to() {
    let trusting = Trusting::new().await;
    let program = trusting.program("ask.go", GO);
    trusting.asks(Level::Full, "go", &["run", &program], &["SSL_CERT_FILE"]).await;
}

#[tokio::test]
async fn openssl_finds_nothing_to_object_to_and_the_constraints_critical() {
    let world = World::of(Plan { https: true, ..Plan::default() }).await;
    let roots = world.roots().display().to_string();
    let Ok(shown) = Command::new("openssl").args(["x509", "-in", &roots, "-noout", "-text"]).output() else {
        return missing(Level::Full, "openssl");
    };
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (_, constraints) = shown.split_once("X509v3 Name Constraints: critical").unwrap();
    let permitted = "DNS:localhost IP:127.0.0.0/255.0.0.0 IP:0:0:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF";
    let words: Vec<_> = constraints.split_whitespace().skip(1).take(3).collect();
    assert_eq!(words.join(" "), permitted, "{shown}");
    let leaf = leaf(&world);
    let strict = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost"];
    let verified = Command::new("openssl").args(strict).args(["-CAfile", &roots]).arg(&leaf).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// The file of the one certificate.
fn leaf(world: &World) -> std::path::PathBuf {
    let files = std::fs::read_dir(world.path("state/https/keys")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "pem")).min().unwrap()
}

#[tokio::test]
async fn java_counts_every_root_of_the_trust_store_as_trusted() {
    let trusting = Trusting::new().await;
    let store = trusting.world.path("state/https/truststore.p12");
    let list = ["-list", "-storetype", "PKCS12", "-storepass", "changeit", "-keystore"];
    let Ok(listed) = Command::new("keytool").args(list).arg(&store).env_remove("JAVA_TOOL_OPTIONS").output() else {
        return missing(Level::Full, "keytool");
    };
    let text = String::from_utf8_lossy(&listed.stdout);
    let entries = text.lines().filter(|line| line.contains(", trustedCertEntry")).count();
    let combined = std::fs::read_to_string(trusting.world.path("state/https/combined.pem")).unwrap();
    assert!(entries > 0 && text.contains("unsecret-0"), "{text}");
    assert_eq!(entries, combined.matches("BEGIN CERTIFICATE").count(), "{text}");
}

#[tokio::test]
async fn another_folder_gets_the_same_and_everybody_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let trusting = Trusting::new().await;
    let folder = trusting.world.path("apps/trust");
    std::fs::set_permissions(trusting.world.path(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = trust(&trusting.world, &["--dir", folder.to_str().unwrap()]);
    let (stdout, stderr) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    assert!(
        stdout.contains(&format!("export NODE_EXTRA_CA_CERTS='{}'", folder.join("roots.pem").display())),
        "{stdout}"
    );
    assert!(stderr.contains("1 local root written to "), "{stderr}");
    assert!(stderr.contains("other users cannot look into "), "{stderr}");
    for name in ["roots.pem", "combined.pem", "truststore.p12"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }
    let text = |folder: &Path| std::fs::read_to_string(folder.join("roots.pem")).unwrap();
    assert_eq!(text(&folder), text(&trusting.world.path("state/https")));
}

#[tokio::test]
async fn a_companys_root_is_named_and_nothing_is_written() {
    let world = World::of(Plan { https: true, ..Plan::default() }).await;
    let folder = world.path("company");
    std::fs::create_dir(&folder).unwrap();
    let ca = LocalCa::create("Contoso Root", world.clock.now(), Duration::from_secs(9_000)).unwrap();
    let leaf = ca.leaf(&["localhost".to_owned()], world.clock.now(), Duration::from_secs(900)).unwrap();
    std::fs::write(folder.join("c.pem"), leaf.chain_pem()).unwrap();
    let files =
        format!("https_certificate = {:?}\nhttps_key = {:?}\n[[identity]]", folder.join("c.pem"), folder.join("c.key"));
    std::fs::write(world.path("config.toml"), world.config_text().replacen("[[identity]]", &files, 1)).unwrap();
    let said = trust(&world, &["--dir", world.path("nothing").to_str().unwrap()]);
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.success() && said.stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("clients need the root `CN=Contoso Root`, the last certificate of "), "{stderr}");
    assert!(stderr.contains("this machine does not have it"), "{stderr}");
    assert!(!world.path("nothing").exists());
}

#[tokio::test]
async fn the_doctor_knows_a_running_broker_by_its_answer_over_tls() {
    let world = World::of(Plan { https: true, ..Plan::default() }).await;
    let (http, https, admin) = (world.http(), world.https(), world.admin());
    // The ports that the system chose, in the order of the file.
    let text = [http, admin, https]
        .iter()
        .fold(world.config_text(), |text, address| text.replacen("\"127.0.0.1:0\"", &format!("\"{address}\""), 1));
    std::fs::write(world.path("config.toml"), text).unwrap();
    let mut doctor = tokio::process::Command::new(env!("CARGO_BIN_EXE_unsecret"));
    doctor.arg("doctor").arg("--config").arg(world.path("config.toml")).env_clear();
    let said = doctor.kill_on_drop(true).output().await.unwrap();
    let stdout = String::from_utf8(said.stdout).unwrap();
    assert!(
        stdout.contains("a running broker answers at ") && stdout.contains(&format!("https://{https}")),
        "{stdout}"
    );
    assert!(!stdout.contains("and nobody at"), "{stdout}");
}
