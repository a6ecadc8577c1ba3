//! One client library, asked for one token as an application would ask. tests/it/clients/mod.rs has the protocol.

mod identity;
mod ordinary;

use std::error::Error;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

/// The case, as the test has it.
#[derive(Deserialize)]
struct Asked {
    client: String,
    with: String,
    scope: String,
    tenant: String,
    client_id: String,
    client_secret: String,
    authority_host: String,
    token_url: String,
}

/// A token, and when it ends in seconds since 1970.
struct Found {
    token: String,
    expires_on: Option<i64>,
}

type Outcome = Result<Found, Box<dyn Error>>;

#[tokio::main]
async fn main() {
    let asked: Asked = serde_json::from_reader(std::io::stdin()).expect("a case");
    let started = Instant::now();
    let outcome = match asked.client.as_str() {
        "azure_identity" => identity::ask(&asked).await,
        _ => ordinary::ask(&asked).await,
    };
    let mut answer = json!({ "version": version(&asked.client), "waited": started.elapsed().as_secs_f64() });
    match outcome {
        Ok(found) => {
            answer["token"] = found.token.into();
            answer["expires_on"] = found.expires_on.into();
        }
        // Rust's errors have no class that an application would catch by: the crate stands for it.
        Err(error) => answer["error"] = json!({ "class": asked.client, "text": whole(&*error) }),
    }
    println!("{answer}");
}

/// With its causes, as `anyhow` and most logs print it.
fn whole(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// From the lock file that this program was built with.
fn version(client: &str) -> Value {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split(&format!("name = \"{client}\"\nversion = \"")).nth(1);
    entry.and_then(|rest| rest.split('"').next()).expect("a locked version").into()
}
