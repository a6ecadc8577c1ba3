//! What tells identities apart: names, registrations, the selectors of callers, local keys.
//!
//! Easy to get wrong: two spellings of one thing. A tenant may be listed under another identity's aliases, and variables
//! fold the case and punctuation of a name.

use std::collections::BTreeMap;

use crate::config::Identity;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::ids::Tenant;
use crate::policy::{CallerRule, Entry};

/// Compares each identity with those before it. Identities that were wrong in themselves are left out.
pub(super) fn check(identities: &[Option<Identity>], findings: &mut Findings) {
    let identities: Vec<_> = identities
        .iter()
        .enumerate()
        .filter_map(|(n, identity)| Some((format!("identity[{n}]"), identity.as_ref()?)))
        .collect();
    for (n, (at, identity)) in identities.iter().enumerate() {
        for (other_at, other) in &identities[..n] {
            discovery(at, identity, other_at, other, findings);
        }
    }
    let entries: Vec<_> = identities.into_iter().map(|(at, identity)| (at, &identity.entry)).collect();
    for (n, (at, entry)) in entries.iter().enumerate() {
        for (other_at, other) in &entries[..n] {
            pair(at, entry, other_at, other, findings);
        }
    }
    keys(&entries, findings);
}

fn pair(at: &str, entry: &Entry, other_at: &str, other: &Entry, findings: &mut Findings) {
    let mut same = |key: &str, value: &str, what: &str, remedy: &str| {
        let what = format!("is \"{value}\", but {other_at} has {what}");
        findings.add(Mistake::Duplicate, &format!("{at}.{key}"), what, remedy);
    };
    let folded = |entry: &Entry| entry.name.as_str().to_ascii_lowercase().replace(['.', '-'], "_");
    if folded(entry) == folded(other) {
        let what = "that name, letter case and punctuation aside";
        same("name", entry.name.as_str(), what, "give each identity a name of its own");
    }
    if entry.client_id == other.client_id && tenants(entry).any(|one| tenants(other).any(|two| one == two)) {
        let remedy = "make one identity of both, with the scopes and callers of both";
        same("client_id", entry.client_id.as_str(), "the same one in the same tenant", remedy);
    }
    if entry.object_id.is_some() && entry.object_id == other.object_id {
        let value = entry.object_id.as_ref().map_or("", |id| id.as_str());
        same("object_id", value, "the same one", "correct one of them, or delete it");
    }
    if let (Some(one), Some(two)) = (&entry.resource_id, &other.resource_id) {
        // Azure compares resource ids without regard to case.
        if one.eq_ignore_ascii_case(two) {
            same("resource_id", one, "the same one", "correct one of them, or delete it");
        }
    }
}

/// A document is asked for by its tenant alone.
fn discovery(at: &str, identity: &Identity, other_at: &str, other: &Identity, findings: &mut Findings) {
    let shared = tenants(&identity.entry).find(|one| tenants(&other.entry).any(|two| one == &two));
    if let Some(tenant) = shared.filter(|_| identity.discovery != other.discovery) {
        let what = format!(
            "is \"{}\", but {other_at} has \"{}\" for the same tenant `{tenant}`",
            identity.discovery, other.discovery
        );
        let remedy =
            "write the same one for both: an application asks for the document of a tenant, not of an identity";
        findings.add(Mistake::Conflict, &format!("{at}.discovery"), what, remedy);
    }
}

fn tenants(entry: &Entry) -> impl Iterator<Item = &str> {
    std::iter::once(&entry.tenant).chain(&entry.tenant_aliases).map(Tenant::as_str)
}

/// A key names its identity, so it belongs to one. Twice within one identity does no harm.
fn keys(entries: &[(String, &Entry)], findings: &mut Findings) {
    let mut owners: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (n, (at, entry)) in entries.iter().enumerate() {
        for (m, rule) in entry.callers.iter().enumerate() {
            let CallerRule::Key(print) = rule else { continue };
            let path = format!("{at}.caller[{m}]");
            let (owner, first) = owners.entry(print.hex()).or_insert_with(|| (n, path.clone()));
            if *owner != n {
                let what = format!("has the same key as {first}: a key must name one identity");
                let remedy = "make another key with `unsecret caller add` for one of them";
                findings.add(Mistake::Duplicate, &path, what, remedy);
            }
        }
    }
}
