//! Where log lines go: stderr, as text for people or JSON for collectors.
//!
//! Not what is logged (`audit`). Easy to get wrong: other crates print what they carry at `trace`, tokens included.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::terminal::Paint;

/// Starts logging for the process. A second call changes nothing.
///
/// Other crates speak at `warn` unless the level names them: at `trace` hyper and rustls print what they carry. Targets
/// and levels are all that can be told apart: the filter that also knows spans and fields brings a regex engine, which
/// costs every start a millisecond and half a megabyte of memory.
pub(super) fn start(level: &str, json: bool) {
    let filter = if level.contains(['=', ',']) { level.replace(' ', "") } else { format!("warn,unsecret={level}") };
    let filter: Targets = filter.parse().unwrap_or_else(|_| usual());
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(Paint::stderr().is_on());
    let subscriber = tracing_subscriber::registry().with(filter);
    // `try_init` fails when a subscriber stands already; that one goes on.
    let _ = if json {
        subscriber.with(lines.json().flatten_event(true)).try_init()
    } else {
        subscriber.with(lines.with_target(false)).try_init()
    };
}

fn usual() -> Targets {
    Targets::new().with_default(tracing::Level::WARN).with_target("unsecret", tracing::Level::INFO)
}
