//! The clients that applications have, from their registries, each against the doors it knows (contract B1–B16).
//!
//! `table/` says what is tried and what must come of it, a file per runtime; what came of it is `docs/clients.md`.
//! `tests/clients/<runtime>/` holds one small program per runtime and its lock files; `.ci/run install` puts the packages
//! into `target/clients/<runtime>`, and nothing here asks the network.
//!
//! **The protocol.** A program is started once per case, in an empty environment but for what the door's application would
//! have, and reads one JSON object from stdin:
//!
//! | field | value |
//! | --- | --- |
//! | `client` | the package, as its registry names it |
//! | `with` | the part of it that is used: a class, a function |
//! | `option` | true: with the one option in code that the table names |
//! | `scope`, `resource` | what is asked for |
//! | `tenant`, `client_id`, `client_secret` | what such an application has in its own configuration; the secret is the local key |
//! | `authority_host`, `authority`, `token_url` | the same at three lengths: `https://host`, `https://host/{tenant}`, the v2 token endpoint |
//!
//! It uses the library as an ordinary application would (no option that is not asked for, all times and retries as they are)
//! and prints one line of JSON, then exits with 0:
//!
//! | field | value |
//! | --- | --- |
//! | `version` | of the package, read from what is installed |
//! | `token`, `expires_on` | what the library handed over, and when it says that this ends: seconds since 1970, or null where the library does not tell |
//! | `error` | instead: `{"class": …, "text": …}` as an application would catch and print it |
//! | `waited` | seconds until the library came back |
//! | `won` | of a chain of credentials: the one that had the token, as the library's log names it |
//!
//! **A new runtime** is: its folder under `tests/clients/`, a variant of [`program::Runtime`] with what starts its program, a
//! file in `table/` (and lines in `troubles` and `probes`, which name a client per door), a test below, and a section in the
//! pages: two marker lines, `<!-- results: <runtime> -->` and `<!-- end of results -->`, which `UNSECRET_BLESS=1` fills.

mod azure_cli;
mod certificate;
mod differential;
mod doors;
mod page;
mod probes;
pub mod program;
mod replayed;
mod table;
mod troubles;
mod web_app;

pub use certificate::fields;

use program::Runtime;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_get_what_the_page_says() {
    table::hold(Runtime::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_get_what_the_page_says() {
    table::hold(Runtime::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_fail_as_the_page_says() {
    troubles::hold(Runtime::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_fail_as_the_page_says() {
    troubles::hold(Runtime::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_credential_of_python_finds_what_the_page_says() {
    probes::hold(Runtime::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_credential_of_node_finds_what_the_page_says() {
    probes::hold(Runtime::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_clients_get_what_the_page_says() {
    table::hold(Runtime::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_clients_get_what_the_page_says() {
    table::hold(Runtime::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_clients_get_what_the_page_says() {
    table::hold(Runtime::Rust).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_clients_fail_as_the_page_says() {
    troubles::hold(Runtime::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_credential_of_go_finds_what_the_page_says() {
    probes::hold(Runtime::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_clients_fail_as_the_page_says() {
    troubles::hold(Runtime::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_credential_of_java_finds_what_the_page_says() {
    probes::hold(Runtime::Java).await;
}
