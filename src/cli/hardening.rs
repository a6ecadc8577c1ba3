//! What a process forbids about itself before it reads a secret.
//!
//! Easy to get wrong: limits are inherited by children and the dumpable flag is not, so a verb that starts somebody
//! else's program sets only the flag.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core file may hold a token: neither by limit nor for a debugger of the same user.
pub(super) fn forbid_core_dumps() -> io::Result<()> {
    // Both are tried: a sandbox may forbid either of them.
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    hide_memory()?;
    Ok(limited?)
}

/// No core file and no debugger of the same user, for this process alone: `execve` gives children the flag back.
pub(super) fn hide_memory() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
