//! The integration tests: one file per behaviour, names that are sentences.
#![expect(clippy::unwrap_used, reason = "a test that fails panics; clippy spares only the test functions themselves")]

mod broker;
mod cli_check;
mod emulator;
mod examples;
mod house;
mod metrics_page;
mod pages;
mod repository;
mod staged;
mod systemd;
mod upstream;
