//! The integration tests: one file per behaviour, names that are sentences.

mod broker;
mod house;
