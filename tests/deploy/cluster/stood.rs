//! The broker of a pod, run on this machine: there is no kubelet, so this does what the kubelet would do with the pod as the
//! API server keeps it. Variables and arguments are the pod's own; ports are free ones, mounts are below a folder.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::beside::Beside;
use super::release::Release;
use super::server::free_ports;
use super::tokens::projected;
use super::unsecret;

/// The ports that are in the chart's values.
const PORTS: [&str; 2] = [":4780", ":9464"];

pub struct Stood {
    pub broker: Beside,
    /// What the application finds in its environment.
    pub application: Vec<(String, String)>,
    _mounts: TempDir,
}

impl Stood {
    pub async fn up(release: &Release, pod: &Value) -> Self {
        let mounts = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = below(mounts.path(), path);
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let broker = container(pod, "unsecret");
        for mount in broker["volumeMounts"].as_array().unwrap() {
            let at = mount["mountPath"].as_str().unwrap();
            let volumes = pod["spec"]["volumes"].as_array().unwrap().iter();
            let volume = volumes.into_iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            if volume["projected"].is_object() {
                put(&format!("{at}/token"), &projected(release.server, pod));
            } else {
                put(&format!("{at}/ca.crt"), &fs::read_to_string(&release.entra.ca_file).unwrap());
            }
        }
        let ports = free_ports::<2>().map(|port| format!(":{port}"));
        let moved = |value: &str| {
            let value = if value.starts_with('/') { below(mounts.path(), value) } else { value.to_owned() };
            PORTS.iter().zip(&ports).fold(value, |value, (from, to)| value.replace(from, to))
        };
        let mut run = unsecret();
        run.args(broker["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
        run.envs(variables(pod, broker, &moved));
        let started = Beside::start(&run, &mounts.path().join("log"));
        started.listens().await;
        Self { broker: started, application: variables(pod, container(pod, "app"), &moved), _mounts: mounts }
    }

    pub fn variable(&self, name: &str) -> &str {
        let found = self.application.iter().find(|(variable, _)| variable == name);
        found.map_or_else(|| panic!("the application has no {name}"), |(_, value)| value.as_str())
    }
}

fn below(folder: &Path, path: &str) -> String {
    folder.join(path.trim_start_matches('/')).display().to_string()
}

/// A container of either kind.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|container| container["name"] == name).unwrap_or_else(|| panic!("no container {name}: {pod:#}"))
}

/// As the kubelet would set them.
fn variables(pod: &Value, container: &Value, moved: &impl Fn(&str) -> String) -> Vec<(String, String)> {
    let all = container["env"].as_array().into_iter().flatten();
    all.map(|variable| {
        let name = variable["name"].as_str().unwrap().to_owned();
        let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
            Value::String(path) => {
                pod.pointer(&format!("/{}", path.replace('.', "/"))).unwrap().as_str().unwrap().to_owned()
            }
            _ => moved(variable["value"].as_str().unwrap()),
        };
        (name, value)
    })
    .collect()
}
