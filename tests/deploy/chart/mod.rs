//! The chart, as the Helm that its users have renders it.
//!
//! What is judged are objects, read from the YAML that Helm prints: by the schemas of three Kubernetes versions, and field by
//! field where a schema cannot know what we mean.

mod helm;
mod monitoring;
mod pods;
mod refused;
mod release;
mod rendered;
mod rights;
mod values;
mod webhook;
