//! Keys behind a PKCS#11 module, which runs in a child process.
//!
//! A module is foreign code: it may hang in `C_Sign`, crash, or stay broken until `C_Finalize`. So it lives in a process
//! of its own ([`serve`], the same program started again), which the parent kills and starts anew. Not a PKCS#11 library:
//! only what signing, finding and making RSA keys need. Easy to get wrong: a login belongs to a token, recovery to a
//! module, and neither to a key.

mod choose;
mod codes;
mod device;
mod key;
mod line;
mod login;
mod messages;
mod module;
mod rsa;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub(super) use device::Pkcs11Device;
pub(super) use key::Pkcs11Signer;
pub(super) use line::Program;
pub(super) use module::Module;
pub use worker::serve;
