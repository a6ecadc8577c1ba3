//! A real kube-apiserver with etcd: what it admits, what it says of its issuer, and the webhook as it calls it.
//!
//! `.ci/run apiserver` builds both; without them these tests say that they are skipped. One cluster for all tests, each in a
//! namespace of its own. Easy to get wrong: there is no kubelet and no controller, so a Deployment makes no pods.

mod beside;
mod release;
mod server;
mod stood;
mod tokens;
mod webhook;

use std::path::Path;
use std::process::Command;

use tokio::sync::OnceCell;

use server::Server;

async fn cluster() -> Option<&'static Server> {
    static CLUSTER: OnceCell<Option<Server>> = OnceCell::const_new();
    CLUSTER.get_or_init(Server::start).await.as_ref()
}

/// The binary, with nothing of the machine's own variables: [`beside::Beside`] sees to that.
fn unsecret() -> Command {
    Command::new(env!("CARGO_BIN_EXE_unsecret"))
}

/// The path of a file of `examples/`.
fn example(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path).display().to_string()
}
