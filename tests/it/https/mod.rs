//! The doors over TLS: who trusts them, under which names, and until when.

mod local;
