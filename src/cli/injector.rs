//! `unsecret injector`: the webhook as a server in the cluster.
//!
//! Signals, sockets and the settings live here; what is answered lives in `injector`. Easy to get wrong: after SIGTERM the
//! API server still comes for a moment, because a Service's endpoints reach the nodes late. So reviews are answered on for
//! some seconds by a pod that no longer is ready.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ArgGroup;
use http::HeaderValue;
use http::header::CONNECTION;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use url::Url;

use super::{Exit, complain, hardening, logging, note};
use crate::app::build_facts;
use crate::clock::{Clock, SystemClock};
use crate::cluster::Place;
use crate::https::HttpsError;
use crate::inject::{Values, ValuesProblems};
use crate::injector::{Injector, Names, Settings, Tls};
use crate::listen::{self, BindError, Limits};
use crate::manifest::{Manifest, ManifestError};
use crate::metrics::Injections;
use crate::problem::{Blame, Problem};

/// What a pod has of its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long reviews are answered after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);

/// Inject pods as the cluster makes them: the admission webhook of the chart.
///
/// Pods with the label `unsecret.dev/inject: "true"` get the broker, as docs/kubernetes.md says. The chart `charts/unsecret` runs it
/// with the rights that it needs; `unsecret inject` does the same to manifests, without a server.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = ArgGroup::new("certificate").required(true).args(["secret", "tls_dir"]))]
pub(crate) struct Args {
    /// The values file of the chart, for its `image`, `sidecar`, `defaults` and `platform`
    #[arg(long, value_name = "FILE")]
    values: PathBuf,
    /// Where reviews are answered, over TLS 1.3
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:10250")]
    listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9464")]
    admin: SocketAddr,
    /// Keep a certificate of its own in this Secret, which exists, and write its CA into the webhook's configuration
    #[arg(long, value_name = "NAME", requires_all = ["namespace", "service", "webhook"])]
    secret: Option<String>,
    /// The namespace of the Secret and the Service
    #[arg(long, value_name = "NAME", requires = "secret")]
    namespace: Option<String>,
    /// The Service by which the API server comes
    #[arg(long, value_name = "NAME", requires = "secret")]
    service: Option<String>,
    /// The `MutatingWebhookConfiguration`
    #[arg(long, value_name = "NAME", requires = "secret")]
    webhook: Option<String>,
    /// Show tls.crt and tls.key of this folder, which somebody else renews
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// The Kubernetes API; without it, that of the cluster around the pod
    #[arg(long, value_name = "URL")]
    api_server: Option<Url>,
    /// What its certificate is issued by
    #[arg(long, value_name = "FILE", default_value_os_t = Path::new(ACCOUNT).join("ca.crt"))]
    api_ca_file: PathBuf,
    /// The token for it
    #[arg(long, value_name = "FILE", default_value_os_t = Path::new(ACCOUNT).join("token"))]
    api_token_file: PathBuf,
    /// How much is written to stderr
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
    /// Write JSON
    #[arg(long)]
    log_json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret injector --values /etc/unsecret/values.yaml --namespace unsecret-system \\
    --service unsecret-injector --secret unsecret-injector-tls \\
    --webhook unsecret-injector-unsecret-system
  unsecret injector --values /etc/unsecret/values.yaml --tls-dir /etc/unsecret-tls

SIGTERM and SIGINT: /readyz says no at once, reviews are answered for five more seconds, then it
leaves; a second one leaves at once.

Exit status: 0 stopped when told, 1 could not listen, 2 a flag, the values or the certificate's
folder is wrong, 3 our own fault.";

#[derive(Debug, thiserror::Error)]
enum InjectorError {
    #[error("read the values `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the values `{}` are no YAML", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("find the Kubernetes API: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not those of a cluster")]
    NoCluster,
    #[error("use {value:?} as {flag}: not {rule}")]
    Name { flag: &'static str, value: String, rule: &'static str },
    #[error("use `{url}` as the Kubernetes API: not an https URL of a host alone")]
    Server { url: String },
    #[error(transparent)]
    Certificate(#[from] HttpsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
}

impl Problem for InjectorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "injector-values-unreadable",
            Self::Manifest { source, .. } => source.code(),
            Self::NoCluster => "injector-no-cluster",
            Self::Name { .. } => "injector-name",
            Self::Server { .. } => "injector-api-server",
            Self::Certificate(problem) => problem.code(),
            Self::Bind(problem) => problem.code(),
            Self::Runtime(_) => "injector-runtime",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Certificate(problem) => problem.blame(),
            Self::Bind(problem) => problem.blame(),
            Self::Manifest { source, .. } => source.blame(),
            Self::Runtime(_) => Blame::Ourselves,
            Self::Read { .. } | Self::NoCluster | Self::Name { .. } | Self::Server { .. } => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Read { .. } => Some("name the chart's values file with --values".into()),
            Self::Manifest { source, .. } => source.remedy(),
            Self::NoCluster => {
                Some("run it in a pod, or name an API with --api-server, --api-ca-file and --api-token-file".into())
            }
            Self::Name { .. } => Some("give the name that `kubectl get` shows, without namespace or domain".into()),
            Self::Server { .. } => Some("write it like https://10.96.0.1:443".into()),
            Self::Certificate(problem) => problem.remedy(),
            Self::Bind(problem) => problem.remedy(),
            Self::Runtime(_) => Some("look at the cause: usually a limit on threads or open files".into()),
        }
    }
}

impl InjectorError {
    fn exit(&self) -> Exit {
        match self {
            Self::Bind(_) => Exit::Failed,
            Self::Runtime(_) => Exit::Ourselves,
            _ => Exit::Usage,
        }
    }
}

pub(super) fn run(args: &Args) -> Exit {
    // It holds the key of a CA that the API server trusts.
    let hardened = hardening::forbid_core_dumps();
    let settings = match settings(args) {
        Ok(Ok(settings)) => settings,
        Ok(Err(problems)) => {
            note(&problems.report());
            return Exit::Usage;
        }
        Err(problem) => {
            complain(&problem);
            return problem.exit();
        }
    };
    logging::start(&args.log_level, args.log_json);
    if let Err(error) = hardened {
        tracing::warn!(%error, "core dumps could not be switched off; a crash may write keys to disk");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let served = runtime.map_err(InjectorError::Runtime).and_then(|runtime| runtime.block_on(serve(args, settings)));
    match served {
        Ok(()) => Exit::Done,
        Err(problem) => {
            complain(&problem);
            problem.exit()
        }
    }
}

fn settings(args: &Args) -> Result<Result<Settings, ValuesProblems>, InjectorError> {
    let path = || args.values.clone();
    let text = std::fs::read_to_string(&args.values).map_err(|source| InjectorError::Read { path: path(), source })?;
    let manifest = Manifest::read(&text).map_err(|source| InjectorError::Manifest { path: path(), source })?;
    let given = manifest.documents().next().filter(|given| !given.is_null()).cloned();
    let place =
        Place { server: server(args)?, ca_file: args.api_ca_file.clone(), token_file: args.api_token_file.clone() };
    let tls = tls(args)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Injections::new(build_facts(), &clock));
    let values = Values::read(&given.unwrap_or_else(|| json!({})));
    Ok(values.map(|values| Settings { values, place, tls, clock, metrics }))
}

fn tls(args: &Args) -> Result<Tls, InjectorError> {
    if let Some(folder) = &args.tls_dir {
        return Ok(Tls::Folder(folder.clone()));
    }
    // The flags require each other.
    Ok(Tls::SelfMade(Names {
        namespace: label("--namespace", args.namespace.as_deref())?,
        service: label("--service", args.service.as_deref())?,
        secret: subdomain("--secret", args.secret.as_deref())?,
        webhook: subdomain("--webhook", args.webhook.as_deref())?,
    }))
}

/// The certificate is for a host of these, and a path is made of them.
fn label(flag: &'static str, value: Option<&str>) -> Result<String, InjectorError> {
    const RULE: &str = "a DNS label: at most 63 lower-case letters, digits and `-`, the first and the last no `-`";
    let value = value.unwrap_or_default();
    if is_label(value) {
        Ok(value.to_owned())
    } else {
        Err(InjectorError::Name { flag, value: value.to_owned(), rule: RULE })
    }
}

fn subdomain(flag: &'static str, value: Option<&str>) -> Result<String, InjectorError> {
    const RULE: &str = "a DNS subdomain: DNS labels with dots between, at most 253 letters";
    let value = value.unwrap_or_default();
    let fits = value.len() <= 253 && value.split('.').all(is_label);
    if fits { Ok(value.to_owned()) } else { Err(InjectorError::Name { flag, value: value.to_owned(), rule: RULE }) }
}

fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(fits))
        && text.bytes().all(|byte| fits(byte) || byte == b'-')
}

/// What was named, or what every pod is told.
fn server(args: &Args) -> Result<Url, InjectorError> {
    let Some(text) = args.api_server.as_ref().map(Url::to_string).or_else(own_cluster) else {
        return Err(InjectorError::NoCluster);
    };
    match Url::parse(&text) {
        Ok(url)
            if url.scheme() == "https"
                && url.path() == "/"
                && url.authority().find('@').is_none()
                && url.query().is_none() =>
        {
            Ok(url)
        }
        // A user part may be a secret.
        Ok(url) => Err(InjectorError::Server { url: url.origin().ascii_serialization() }),
        Err(_) => Err(InjectorError::Server { url: text }),
    }
}

fn own_cluster() -> Option<String> {
    let told = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let (host, port) = (told("KUBERNETES_SERVICE_HOST")?, told("KUBERNETES_SERVICE_PORT")?);
    Some(if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
}

async fn serve(args: &Args, settings: Settings) -> Result<(), InjectorError> {
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt()]
        .map(|kind| signal(kind).map_err(InjectorError::Runtime))
        .into_iter()
        .collect::<Result<Vec<Signal>, _>>()?;
    let injector = Injector::start(settings)?;
    let reviews = listen::tcp("--listen", args.listen)?.over_tls(&injector.tls);
    let pages = listen::tcp("--admin", args.admin)?;
    for (socket, what) in [(&reviews, "webhook=https"), (&pages, "admin=http")] {
        if let Some(address) = socket.address() {
            tracing::info!("listening {what}://{address}");
        }
    }
    let (stop, stopped) = watch::channel(false);
    let (webhook, shown) = (Arc::clone(&injector.webhook), Arc::clone(&injector.pages));
    let pages_too = Arc::clone(&injector.pages);
    let answer = move |_, request| {
        let (webhook, pages) = (Arc::clone(&webhook), Arc::clone(&pages_too));
        async move {
            let mut response = webhook.answer(request).await;
            if pages.is_draining() {
                // The API server keeps its connections: on a new one it comes to a pod that stays.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    let page = move |_, request| std::future::ready(shown.answer(&request));
    let serving = async {
        tokio::join!(
            listen::serve(reviews, Limits::default(), answer, stopped.clone()),
            listen::serve(pages, Limits::default(), page, stopped.clone()),
        )
    };
    let told = async {
        next(&mut signals).await;
        injector.pages.drain();
        tracing::info!("told to stop; answering for {DRAIN:?} more");
        tokio::select! {
            () = tokio::time::sleep(DRAIN) => {}
            () = next(&mut signals) => {}
        }
        stop.send_replace(true);
        next(&mut signals).await;
    };
    tokio::select! {
        _ = serving => tracing::info!("stopped"),
        () = told => tracing::warn!("told to stop again; leaving at once"),
    }
    Ok(())
}

async fn next(signals: &mut [Signal]) {
    let [terminate, interrupt] = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
