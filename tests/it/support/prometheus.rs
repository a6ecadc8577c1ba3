//! A real Prometheus, as `.ci/run install` fetches it: it scrapes every half second and judges the rules as often.
//!
//! It has no clock but the machine's. Easy to get wrong: a scrape that failed ends every series of its target, and with
//! them what alerts were waiting for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::Call;
use super::parts::{Level, missing};
use super::world::{encoded, until};

pub struct Prometheus {
    address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

/// One alert that fires: its labels and its annotations, filled in.
pub struct Firing {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// One of Debian's programs; none where they were not fetched.
pub fn program(name: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci/monitoring").join(name);
    if !found.exists() {
        missing(Level::Core, "prometheus and promtool of the Debian package prometheus");
        return None;
    }
    Some(found)
}

impl Prometheus {
    pub async fn start(program: &Path, targets: &[SocketAddr], rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs: [{{job_name: unsecret, static_configs: [{{targets: {targets:?}}}]}}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let mut command = Command::new(program);
        command.env_clear().current_dir(folder.path()).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null());
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("Prometheus has ended:\n{said}"));
            if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                break address.trim().parse().unwrap();
            }
            said = format!("{said}{line}\n");
        };
        // A pipe that nobody reads stops its writer.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let prometheus = Self { address, _child: child, _folder: folder };
        until("Prometheus is ready", async || (prometheus.get("/-/ready").await.0 == 200).then_some(())).await;
        prometheus
    }

    async fn get(&self, target: &str) -> (u16, String) {
        let answer = Call::get(self.address, target).passed_on().send().await;
        (answer.status.as_u16(), answer.body)
    }

    async fn data(&self, target: &str) -> Value {
        let (status, body) = self.get(target).await;
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].take()
    }

    /// What a query finds now: each series' labels and value.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let data = self.data(&format!("/api/v1/query?query={}", encoded(expression))).await;
        data["result"].as_array().unwrap().clone()
    }

    /// When a metric was scraped last; none before the first time.
    pub async fn scraped(&self, metric: &str) -> Option<String> {
        let found = self.query(&format!("timestamp({metric})")).await;
        Some(found.first()?["value"][1].as_str().unwrap().to_owned())
    }

    pub async fn firing(&self) -> Vec<Firing> {
        let data = self.data("/api/v1/alerts").await;
        let firing = data["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| Firing { labels: texts(&alert["labels"]), annotations: texts(&alert["annotations"]) })
            .collect()
    }

    /// The names of what fires.
    pub async fn alarms(&self) -> BTreeSet<String> {
        self.firing().await.into_iter().map(|alert| alert.labels["alertname"].clone()).collect()
    }
}

fn texts(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.as_object().unwrap().iter();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}
