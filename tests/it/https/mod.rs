//! The doors over TLS: who trusts them, under which names, and until when.

mod listener;
mod local;
mod verb;
