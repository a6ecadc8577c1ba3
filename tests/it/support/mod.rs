//! What the tests stand on: a small HTTP client, the emulator and the broker in one process, a scripted server, a proxy,
//! real parts, snapshots.

pub mod browser;
pub mod far_end;
pub mod forwarding;
pub mod http;
pub mod parts;
pub mod prometheus;
pub mod proxy;
pub mod python;
pub mod scripted;
pub mod snapshot;
pub mod softhsm;
pub mod swtpm;
pub mod tls;
pub mod unavailable;
pub mod world;

/// What was said on stderr besides what is waited for: on a starved machine everything takes longer than a moment.
pub fn settled(stderr: &str) -> String {
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("… waiting for ")).collect()
}
