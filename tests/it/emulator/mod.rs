//! The emulator: that it is as strict as it says, takes what shipping clients send, and fails on demand.

mod ask;
mod clients;
mod documentation;
mod faults;
mod graph;
mod issuers;
mod rules;
mod rules_of_certificates;
mod rules_of_federation;
mod rules_of_requests;
mod world;
