//! Where log lines go: stderr, as text for people or JSON for collectors.
//!
//! Not what is logged (`audit`). Easy to get wrong: other crates print what they carry at `trace`, tokens included.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts logging for the process. A second call changes nothing.
///
/// Other crates speak at `warn` unless the level names them: at `trace` hyper and rustls print what they carry.
pub(super) fn start(level: &str, json: bool) {
    let filter = if level.contains(['=', ',']) { level.to_owned() } else { format!("warn,unsecret={level}") };
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new("warn,unsecret=info"));
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_for_eyes());
    // `try_init` fails when a subscriber stands already; that one goes on.
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.with_target(false).try_init() };
}

/// Colour only where a person reads, and nowhere when asked not to (<https://no-color.org>).
fn is_for_eyes() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
