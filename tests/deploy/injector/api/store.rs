//! The objects of the cluster, each with the version of its last change, and all changes in their order.
//!
//! Easy to get wrong: versions count for the whole store, not for each object, and a watch may begin at any of them until
//! they are forgotten (in a real cluster: compacted, after five minutes).

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What the webhook may know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Accounts,
    Namespaces,
    Secrets,
    Configurations,
}

impl Kind {
    /// `kind` of an object, and its API.
    pub fn called(self) -> (&'static str, &'static str) {
        match self {
            Self::Accounts => ("ServiceAccount", "v1"),
            Self::Namespaces => ("Namespace", "v1"),
            Self::Secrets => ("Secret", "v1"),
            Self::Configurations => ("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
        }
    }

    /// Of which only metadata is given away.
    pub fn is_metadata_only(self) -> bool {
        matches!(self, Self::Accounts | Self::Namespaces)
    }
}

/// How a server says that a watch cannot go on from where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// By the status of the answer.
    Status,
    /// By an event of the type ERROR.
    Event,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub version: u64,
    pub kind: Kind,
    /// ADDED, MODIFIED or DELETED.
    pub what: &'static str,
    pub object: Value,
}

/// Kind, namespace (empty where there is none) and name.
type Key = (Kind, String, String);

#[derive(Debug, Default)]
pub struct Store {
    pub version: u64,
    objects: BTreeMap<Key, Value>,
    pub events: Vec<Event>,
    /// The first version from which a watch may go on, and how others are told.
    pub forgotten: BTreeMap<Kind, (u64, Option<Gone>)>,
    /// How often all watches of a kind were ended, and how often they were sent a bookmark.
    pub cuts: BTreeMap<Kind, u64>,
    pub bookmarks: u64,
    /// Somebody takes all data out of a Secret whenever it has some: a tool that keeps the cluster as its own files say.
    pub secrets_are_emptied: bool,
    /// Somebody does so with a `caBundle`, too.
    pub bundles_are_taken_away: bool,
    /// The next list that goes on is told that its place is too old, as if nobody had asked for five minutes.
    pub next_page_expires: bool,
    /// What the lists that are being read page by page looked like at their first page.
    pub lists: BTreeMap<String, (u64, Vec<Value>)>,
}

impl Store {
    pub fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    pub fn all(&self, kind: Kind) -> Vec<Value> {
        self.objects.iter().filter(|((of, ..), _)| *of == kind).map(|(_, object)| object.clone()).collect()
    }

    /// Makes or changes an object; what changes nothing is no change.
    pub fn put(&mut self, kind: Kind, mut object: Value) {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let key = (kind, text("namespace"), text("name"));
        let before = self.objects.get(&key);
        if let Some(before) = before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            object["metadata"]["uid"] = before["metadata"]["uid"].clone();
            if *before == object {
                return;
            }
        }
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.version += 1;
        let (called, api) = kind.called();
        object["kind"] = json!(called);
        object["apiVersion"] = json!(api);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("6e9f0a6e-0000-4000-8000-{:012}", self.version));
        }
        self.events.push(Event { version: self.version, kind, what, object: object.clone() });
        self.objects.insert(key, object);
    }

    /// Changes an object that is there.
    pub fn edit(&mut self, kind: Kind, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(kind, namespace, name).unwrap().clone();
        change(&mut object);
        self.put(kind, object);
    }

    pub fn delete(&mut self, kind: Kind, namespace: &str, name: &str) {
        let mut object = self.objects.remove(&(kind, namespace.to_owned(), name.to_owned())).unwrap();
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.push(Event { version: self.version, kind, what: "DELETED", object });
    }

    /// Ends all watches of this kind, as a server does now and then.
    pub fn cut(&mut self, kind: Kind) {
        *self.cuts.entry(kind).or_default() += 1;
    }

    /// Ends all watches of this kind, and none goes on from where it was: what happened until now is told to nobody.
    pub fn forget(&mut self, kind: Kind, gone: Gone) {
        self.version += 1;
        self.forgotten.insert(kind, (self.version, Some(gone)));
        self.cut(kind);
    }

    /// Tells all watches how far they have come.
    pub fn bookmark(&mut self) {
        self.version += 1;
        self.bookmarks += 1;
    }
}
