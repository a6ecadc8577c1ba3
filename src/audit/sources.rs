//! The lines about what assertions come from.
//!
//! Not about certificates, which have their own. Easy to get wrong: when a source is dead nothing in this process can
//! mend it, so the line says what to do before.

use tracing::warn;

use crate::observe::Event;

/// A source that dies soon.
pub(super) fn ending(event: &Event<'_>) {
    let Event::SourceEnding { identity, source, ends, left } = *event else { return };
    warn!(
        identity = identity.as_str(),
        source,
        ends,
        minutes_left = left.as_secs() / 60,
        remedy = "finish before then, or move the rest of the work into a job of its own",
        "after the end of its assertion source this identity can get no new token"
    );
}
