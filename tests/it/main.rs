//! The integration tests: one file per behaviour, names that are sentences.
#![expect(clippy::unwrap_used, reason = "a test that fails panics; clippy spares only the test functions themselves")]
#![expect(unreachable_pub, reason = "one crate: what a test file offers to its neighbours is as public as it gets")]

mod allocations;
mod authority;
mod broker;
mod cae;
mod canaries;
mod certificates;
mod cli_check;
mod clients;
mod command_line;
mod crowd;
mod demo;
mod doctor;
mod doors_and_sources;
mod doors_replayed;
mod emulator;
mod examples;
mod exec;
mod explain;
mod graph;
mod guard;
mod hardware;
mod hardware_parts;
mod house;
mod https;
mod inspect;
mod isolation;
mod jumps;
mod key;
mod keys_away;
mod metrics_page;
mod openapi;
mod outages;
mod pages;
mod pkcs11;
mod platform_token;
mod process;
mod proxies;
mod readiness;
mod recovery;
mod repository;
mod rollover;
mod sinks;
mod sockets;
mod staged;
mod support;
mod systemd;
mod tenants;
mod token;
#[cfg(feature = "tpm")]
mod tpm;
mod upstream;
mod variables;
mod walk;
mod wrong_pin;
