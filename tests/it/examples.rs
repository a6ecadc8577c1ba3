//! The examples, as far as they can be tried without a cluster, a registry or a tenant.
//!
//! Formats that others define (Kubernetes' schemas, systemd's units, workflows) are judged by `.ci/run` with the tools of
//! their makers; here stands what those tools cannot know: that the files agree with each other and with this program.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::staged;
use super::support::parts::{Level, missing};
use super::support::softhsm::{Softhsm, installed};

fn example(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folders() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The values of one key of a unit file.
fn settings<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn every_configuration_in_an_example_passes_the_check() {
    let manual = ["kubernetes-manual/base", "kubernetes-manual/overlays/onprem"];
    let hosts = ["multi-user-host", "systemd", "systemd-pkcs11", "systemd-tpm"];
    for name in ["compose", "quickstart"].iter().chain(&hosts).chain(&manual) {
        if *name == "systemd-tpm" && !cfg!(feature = "tpm") {
            continue;
        }
        if let Err(said) = staged::check(&example(&format!("{name}/config.toml"))) {
            panic!("examples/{name}:\n{said}");
        }
    }
}

/// What a package installs is refused until somebody fills it in, and is right once the example in it is taken out of its comment.
#[test]
fn the_configuration_of_a_package_passes_the_check_without_its_comments() {
    let config = example("packaging/config.toml");
    assert!(staged::check(&config).unwrap_err().contains("`identity` is missing"));
    let (before, identity) = config.split_once("# [[identity]]").unwrap();
    let lines = identity.lines().map(|line| line.strip_prefix("# ").unwrap_or_default());
    // Prose ends where the last, longest comment begins.
    let lines = lines.take_while(|line| !line.starts_with("Everything"));
    let filled_in = format!("{before}[[identity]]\n{}", lines.collect::<Vec<_>>().join("\n"));
    if let Err(said) = staged::check(&filled_in) {
        panic!("{filled_in}\n{said}");
    }
}

#[test]
fn the_quickstart_runs_and_finds_all_of_it_true() {
    let scratch = tempfile::tempdir().unwrap();
    // Its own ports: the ones that it prints may be taken on this machine.
    let held: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = held.iter().map(|listener| listener.local_addr().unwrap().port().to_string());
    let ports: Vec<(&str, String)> = ["4780", "4790", "4791", "4792", "9464"].into_iter().zip(ports).collect();
    for name in ["emulator.toml", "config.toml", "ask.sh", "run.sh"] {
        let mut text = example(&format!("quickstart/{name}"));
        for (printed, own) in &ports {
            text = text.replace(&format!(":{printed}"), &format!(":{own}"));
        }
        fs::write(scratch.path().join(name), text).unwrap();
        fs::set_permissions(scratch.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    drop(held);
    let mut script = Command::new(scratch.path().join("run.sh"));
    for proxy in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"] {
        script.env_remove(proxy);
    }
    let output = script.env("UNSECRET", env!("CARGO_BIN_EXE_unsecret")).output().unwrap();
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.matches(r#""access_token":"eyJ…""#).count(), 6, "{said}");
}

/// Runs an example that needs no ports of its own; what it printed. It must leave nothing behind.
fn ran(folder: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(folder).join("run.sh");
    let mut command = Command::new(script);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/local/bin").env("TMPDIR", scratch.path());
    let output = command.env("UNSECRET", env!("CARGO_BIN_EXE_unsecret")).output().unwrap();
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{said}\n{complained}");
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    said
}

#[test]
fn the_pkcs11_example_runs_and_its_key_cannot_be_read_out() {
    if Softhsm::new().is_none() {
        return;
    }
    let said = ran("systemd-pkcs11");
    for part in [r#""access_token":"eyJ…""#, "never extractable", "every link is good", r#"backend="pkcs11""#] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[cfg(feature = "tpm")]
#[test]
fn the_tpm_example_runs_and_its_key_is_fixed_to_the_tpm() {
    if !["swtpm", "swtpm_setup", "tpm2_readpublic"].iter().all(|tool| installed(tool)) {
        missing(Level::Core, "the Debian packages swtpm, swtpm-tools and tpm2-tools");
        return;
    }
    let said = ran("systemd-tpm");
    for part in [r#""access_token":"eyJ…""#, "fixedtpm", "every link is good", r#"backend="tpm""#] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn an_example_without_its_parts_says_what_to_install() {
    for (folder, package) in [
        ("kubernetes-manual", "kubectl"),
        ("kubernetes-onprem-issuer", "jq"),
        ("kubernetes-eks-gke", "jq"),
        ("systemd-pkcs11", "softhsm2"),
        ("systemd-tpm", "swtpm"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/bin/dirname", scratch.path().join("dirname")).unwrap();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(folder).join("run.sh");
        let mut command = Command::new("/bin/bash");
        command.arg(script).env_clear().env("PATH", scratch.path()).env("UNSECRET", env!("CARGO_BIN_EXE_unsecret"));
        let output = command.output().unwrap();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complained}");
        assert!(complained.starts_with("MISSING: ") && complained.contains(package), "{complained}");
    }
}

#[test]
fn every_example_says_what_it_shows() {
    let folders = folders();
    assert!(folders.len() >= 5);
    for folder in folders {
        let page = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        assert!(page.starts_with("# "), "{}/README.md", folder.display());
    }
}

#[test]
fn the_kubernetes_pod_stays_inside_the_restricted_profile() {
    let deployment = example("kubernetes-manual/base/deployment.yaml");
    let containers = deployment.matches("image: ").count();
    for demanded in ["allowPrivilegeEscalation: false", "drop: [ALL]", "readOnlyRootFilesystem: true", "runAsUser: "] {
        assert_eq!(deployment.matches(demanded).count(), containers, "{demanded}");
    }
    assert!(deployment.contains("runAsNonRoot: true") && deployment.contains("type: RuntimeDefault"));
    for forbidden in ["hostNetwork", "hostPath", "privileged", "subPath:", "add: ["] {
        assert!(!deployment.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_kubernetes_files_agree_with_each_other() {
    let [kustomization, deployment, config] = ["kustomization.yaml", "deployment.yaml", "config.toml"]
        .map(|name| example(&format!("kubernetes-manual/base/{name}")));
    assert!(deployment.contains("name: billing-unsecret") && kustomization.contains("name: billing-unsecret"));
    // The token that the kubelet writes is the one that the broker reads, for the audience that Entra expects.
    assert!(config.contains(r#"file = "/var/run/secrets/unsecret/token""#));
    assert!(deployment.contains("mountPath: /var/run/secrets/unsecret\n") && deployment.contains("path: token\n"));
    assert!(deployment.contains("audience: api://AzureADTokenExchange\n"));
    // What the application presents is what the broker compares with.
    assert!(config.contains(r#"key_env = "UNSECRET_POD_KEY""#));
    assert_eq!(deployment.matches("fieldPath: metadata.uid").count(), 2);
    assert!(config.contains(r#"http = ["127.0.0.1:4780"]"#));
    assert!(deployment.contains("value: http://127.0.0.1:4780/msi/token\n"));
    // Variables that would wake another credential of the SDK, past the broker.
    for bypass in ["AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"] {
        assert!(!deployment.contains(bypass), "{bypass}");
    }
}

#[test]
fn the_kubernetes_probes_ask_the_admin_listener() {
    let deployment = example("kubernetes-manual/base/deployment.yaml");
    for (probe, path) in [("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let (_, after) = deployment.split_once(&format!("{probe}:")).unwrap();
        let asked = after.split_once("path: ").and_then(|(_, rest)| rest.split_whitespace().next());
        assert_eq!(asked, Some(path), "{probe}");
    }
    let config = example("kubernetes-manual/base/config.toml");
    assert!(config.contains(r#"admin = "0.0.0.0:9464""#) && deployment.contains("containerPort: 9464"));
}

/// What `run.sh` judges there it judges by programs that only the gate has; the verdict of its own needs none of them.
#[test]
fn the_issuer_of_a_cluster_is_rotated_without_a_gap() {
    if !["jq", "openssl", "python3"].iter().all(|tool| installed(tool)) {
        missing(Level::Core, "the Debian packages jq, openssl and python3");
        return;
    }
    let said = ran("kubernetes-onprem-issuer");
    assert_eq!(said.matches(": exchanged").count(), 7, "{said}");
    assert_eq!(said.matches("refused (AADSTS7000272").count(), 2, "{said}");
}

#[test]
fn the_compose_broker_lives_in_the_applications_network() {
    let compose = example("compose/compose.yaml");
    assert!(compose.contains("network_mode: service:app") && compose.contains("\n  app:\n"));
    assert!(!compose.contains("ports:"), "a published port would offer tokens to the network");
    let config = example("compose/config.toml");
    assert!(config.contains(r#"key_env = "BILLING_CALLER_KEY""#) && compose.contains("BILLING_CALLER_KEY: ${"));
    for file in ["/etc/unsecret/billing.pem", "/etc/unsecret/billing.key", "/etc/unsecret/config.toml"] {
        assert!(compose.contains(file), "{file}");
    }
}

#[test]
fn the_units_hold_the_sockets_that_the_configuration_names() {
    let service = example("systemd/unsecret.service");
    let (unix, http) = (example("systemd/unsecret.socket"), example("systemd/unsecret-http.socket"));
    let config = example("systemd/config.toml");
    for listen in settings(&unix, "ListenStream").into_iter().chain(settings(&http, "ListenStream")) {
        assert!(config.contains(&format!("\"{listen}\"")), "{listen}");
    }
    assert_eq!(settings(&unix, "FileDescriptorName"), ["unix"]);
    assert_eq!(settings(&http, "FileDescriptorName"), ["http"]);
    for socket in [&unix, &http] {
        assert_eq!(settings(socket, "Service"), ["unsecret.service"]);
    }
    assert_eq!(settings(&unix, "SocketGroup"), ["unsecret-clients"]);
    assert!(example("systemd/unsecret.sysusers.conf").contains("\ng unsecret-clients -"));
    // Not the loopback port's, which every local user can reach: a host of many users does without it.
    assert_eq!(settings(&service, "Requires"), ["unsecret.socket"]);
    // In a drop-in: a credential that is not there stops the start, and not everybody has a key in a file.
    assert!(settings(&service, "LoadCredential").is_empty());
    let key_file = example("systemd/10-key-file.conf");
    let (credential, key) = settings(&key_file, "LoadCredential")[0].split_once(':').unwrap();
    assert!(config.contains(&format!("file:/run/credentials/unsecret.service/{credential}")));
    let installed = key.strip_prefix("/etc/unsecret/").unwrap();
    assert!(example("systemd/README.md").contains(&format!("-m 0600 {installed} /etc/unsecret/")), "{installed}");
}

#[test]
fn the_drop_ins_bring_the_credential_that_the_configuration_names() {
    for folder in ["systemd-pkcs11", "systemd-tpm"] {
        let (pin, readme) = (example(&format!("{folder}/10-pin.conf")), example(&format!("{folder}/README.md")));
        let (credential, file) = settings(&pin, "LoadCredential")[0].split_once(':').unwrap();
        assert!(example(&format!("{folder}/config.toml")).contains(&format!("-source=credential:{credential}\"")));
        // Root's commands find the same file by the same name.
        assert!(readme.contains(&format!("> {file})")) && file.ends_with(&format!("/{credential}")), "{file}");
        let encrypted = settings(&pin, "#LoadCredentialEncrypted")[0].split_once(':').unwrap();
        assert_eq!(encrypted.0, credential);
        assert!(pin.contains(&format!("--name={credential} {file} {}\n", encrypted.1)));
    }
}

/// systemd ignores what it does not know, and this file is named by an error (`module-unloadable`).
#[test]
fn the_drop_in_that_the_error_of_loading_names_is_there() {
    let compat = example("systemd-pkcs11/10-pkcs11-compat.conf");
    assert_eq!(settings(&compat, "MemoryDenyWriteExecute"), ["no"]);
    assert_eq!(settings(&example("systemd/unsecret.service"), "MemoryDenyWriteExecute"), ["yes"]);
}

#[test]
fn the_unit_keeps_a_directory_for_refused_pins() {
    let service = example("systemd/unsecret.service");
    assert_eq!(settings(&service, "StateDirectory"), ["unsecret"]);
    assert_eq!(settings(&service, "StateDirectoryMode"), ["0700"]);
}

#[test]
fn the_unit_restarts_after_a_crash_but_not_after_a_wrong_configuration() {
    let service = example("systemd/unsecret.service");
    assert_eq!(settings(&service, "Restart"), ["on-failure"]);
    assert_eq!(settings(&service, "RestartPreventExitStatus"), ["2"]);
    assert_eq!(settings(&service, "Type"), ["notify"]);
    // Through a user namespace every caller on the socket is uid 65534, and all caller rules would be void.
    assert!(settings(&service, "PrivateUsers").is_empty());
}

/// systemd ignores what it does not know and says so in the journal; a reader on RHEL 8 should know which lines to expect.
#[test]
fn the_page_names_what_the_systemd_of_rhel_8_does_not_know() {
    // Settings that came with a systemd after 239, by the release notes of systemd.
    let later = [
        ("ProtectHostname", 242),
        ("RestrictSUIDSGID", 242),
        ("ProtectKernelLogs", 244),
        ("ProtectClock", 245),
        ("ProcSubset", 247),
        ("ProtectProc", 247),
        ("PrivateIPC", 248),
    ];
    let service = example("systemd/unsecret.service");
    let page = example("../docs/servers.md");
    let (_, rhel) = page.split_once("## RHEL 8").unwrap();
    for (setting, since) in later {
        assert_eq!(settings(&service, setting).len(), 1, "{setting} (since {since}) is no longer in the unit");
        assert!(rhel.contains(&format!("`{setting}`")), "{setting} is unknown before systemd {since}");
    }
    // A setting that is new in the unit has to be looked up: is it older than 239?
    let known = service.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| !key.starts_with('#'));
    let distinct: std::collections::BTreeSet<&str> = known.map(|(key, _)| key).collect();
    assert_eq!(distinct.len() - later.len(), 41, "{distinct:?}");
}

#[test]
fn no_example_is_opened_by_a_word_that_everybody_knows() {
    let pages = [example("systemd/config.toml"), example("../docs/configuration.md")];
    for word in ["", "test", "abc", "key", "secret", "password", "changeme", "foo", "hello", "unsecret"] {
        let hash = unsecret::secret::Fingerprint::of(word.as_bytes()).hex();
        assert!(!pages.iter().any(|page| page.contains(&hash)), "{word}");
    }
}
