//! What these tests share: the parts that a machine may lack.

#[path = "../../it/support/parts.rs"]
pub mod parts;
pub mod pod_security;
