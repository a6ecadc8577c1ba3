//! A running `unsecret injector`. It is killed when a test ends, whichever way.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::api::Api;
use super::client::{Answer, Connection, Failed};
use super::{CONFIGURATION, HOST, PATH, PATIENCE, bundle, reviewed, until};

/// A process that has ended.
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// With nothing of the machine's own variables.
pub fn unsecret(args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs to the end.
pub async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("the process does not end")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub struct Injector {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    /// Where its `caBundle` is.
    api: Api,
}

impl Injector {
    /// Waits until its sockets are bound.
    pub async fn start(args: &[String], api: &Api) -> Self {
        let mut child = unsecret(args).spawn().unwrap();
        let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let [webhook, admin] = until(
            || format!("the webhook listens: {}", stderr.lock().unwrap()),
            async || {
                let said = stderr.lock().unwrap().clone();
                Some([address(&said, "webhook=https://")?, address(&said, "admin=http://")?])
            },
        )
        .await;
        Self { child, stdout, stderr, webhook, admin, api: api.clone() }
    }

    /// What stands on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a condition; when it does not come, what the webhook has said is shown.
    pub async fn until<T>(&self, what: &str, probe: impl AsyncFn(&Self) -> Option<T>) -> T {
        until(|| format!("{what}; the webhook said:\n{}", self.said()), async || probe(self).await).await
    }

    pub async fn until_ready(&self) {
        self.until("ready", async |it| (it.page("/readyz").await.status == 200).then_some(())).await;
    }

    /// A page of the admin door.
    pub async fn page(&self, path: &str) -> Answer {
        self.try_page(path).await.unwrap()
    }

    pub async fn try_page(&self, path: &str) -> Result<Answer, Failed> {
        Connection::plain(self.admin).await?.ask(Method::GET, path, "").await
    }

    /// The sum of a metric's series that have all these labels; 0 without any.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.page("/metrics").await.body;
        let series = page.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with(['{', ' ']));
        let has = |rest: &&str| labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")));
        series.filter(has).map(|rest| rest.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// As the API server would connect now.
    pub async fn try_connect(&self) -> Result<Connection, Failed> {
        let configuration = self.api.store(|store| bundle(store, CONFIGURATION));
        let roots = configuration.ok_or("no caBundle")?;
        Connection::open(self.webhook, HOST, &roots, &[&rustls::version::TLS13]).await
    }

    pub async fn connect(&self) -> Connection {
        self.try_connect().await.unwrap()
    }

    pub async fn try_review(&self, pod: &Value) -> Result<Answer, Failed> {
        self.try_connect().await?.ask(Method::POST, PATH, reviewed(pod).to_string()).await
    }

    /// What becomes of a pod.
    pub async fn review(&self, pod: &Value) -> Answer {
        self.try_review(pod).await.unwrap_or_else(|error| panic!("{error}; the webhook said:\n{}", self.said()))
    }

    /// The certificate that it shows, in PEM order of a `tls.crt`: itself only.
    pub async fn shown(&self, roots: &str) -> Option<Vec<u8>> {
        let open = Connection::open(self.webhook, HOST, roots, &[&rustls::version::TLS13]).await;
        open.ok().map(|connection| connection.shown[0].to_vec())
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("the process has ended: {}", self.said()))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        kill_process(pid.unwrap(), signal).unwrap();
    }

    /// Waits for the end, which somebody has asked for.
    pub async fn end(mut self) -> ExitStatus {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the process does not end: {}", self.said())).unwrap();
        assert_eq!(*self.stdout.lock().unwrap(), "", "stdout is nobody's");
        status
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}

/// The first address that stands behind `before`.
fn address(said: &str, before: &str) -> Option<SocketAddr> {
    let (_, rest) = said.split_once(before)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter))?;
    rest[..end].parse().ok()
}

/// PEM in base64, as `caBundle` and a Secret's data have it.
pub fn unpacked(text: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.as_str()?).ok()?).ok()
}
