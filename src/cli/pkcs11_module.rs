//! `unsecret pkcs11-module`, hidden: the child in which a PKCS#11 module is loaded. Started by the signer, never by people.
//!
//! Runs before the argument parser, so that the process stays small. Easy to get wrong: standard input is the private
//! socket to the parent, and foreign code prints where it likes; so the socket moves out of its reach first.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Exit, hardening, note};
use crate::signer::pkcs11::serve;

/// The hidden verb.
pub(super) const VERB: &str = "pkcs11-module";

pub(super) fn run(module: Option<&OsString>) -> Exit {
    // A sandbox may forbid it; there is nobody to tell.
    let _ = hardening::forbid_core_dumps();
    let (Some(module), Ok(parent)) = (module, parent()) else {
        note("error: `unsecret pkcs11-module` is started by unsecret itself, for a key that begins with `pkcs11:`\n");
        return Exit::Usage;
    };
    match serve(Path::new(module), &parent) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// Standard input, if it is a socket, under a number that the module's own children do not inherit.
fn parent() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    rustix::net::sockopt::socket_type(&stdin)?;
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket.into())
}
