//! The emulator: that it is as strict as it says, takes what shipping clients send, and fails on demand.

mod ask;
mod authorize;
mod clients;
mod continuous;
mod documentation;
mod faults;
mod grants;
mod graph;
mod issuers;
mod issuers_over_tls;
mod rules;
mod rules_of_certificates;
mod rules_of_federation;
mod rules_of_grants;
mod rules_of_requests;
mod world;
