//! Real parts that a machine may lack: said loudly, and a failure where the gate requires them.

use std::io::Write as _;

/// How much of the world a run must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What `.ci/run` installs.
    Core,
    /// The heaviest parts, too.
    Full,
}

/// Call when a part is not there: prints, and panics when `UNSECRET_TEST_REQUIRE` asks for it.
pub fn missing(level: Level, what: &str) {
    let required = match std::env::var("UNSECRET_TEST_REQUIRE").as_deref() {
        Ok("core") => Some(Level::Core),
        Ok("full") => Some(Level::Full),
        _ => None,
    };
    assert!(required.is_none_or(|required| level > required), "UNSECRET_TEST_REQUIRE asks for {what}");
    // Past libtest, which swallows what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED, and so not tested here: needs {what}");
}
