//! What the tests stand on: a small HTTP client, the emulator and the broker in one process, real parts.

pub mod http;
pub mod parts;
pub mod python;
pub mod world;
