//! How users get it to where it runs: the injected pod, the chart, the webhook, the action, packages, images, alerts.
//!
//! A binary of its own beside `it`: these tests drive other people's programs (Helm, Node, Prometheus) rather than the broker.
#![expect(clippy::unwrap_used, reason = "a test that fails panics; clippy spares only the test functions themselves")]
#![expect(unreachable_pub, reason = "one crate: what a test file offers to its neighbours is as public as it gets")]

mod action;
mod chart;
mod cluster;
mod inject;
mod inject_verb;
mod injector;
mod monitoring;
mod net_setup;
mod support;
