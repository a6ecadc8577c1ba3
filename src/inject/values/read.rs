//! Reads values strictly: what is given is laid over the defaults, then every leaf is judged.
//!
//! Easy to get wrong: Helm has merged the chart's own defaults already, a file of `unsecret inject --values` has not; laying
//! over does the same to both, `null` included, which takes back what was said.

use serde_json::{Map, Value};

use super::problems::{Kind, ValuesProblem, ValuesProblems};
use super::{Defaults, Image, Sidecar, Values};
use crate::authority::Cloud;
use crate::ids::{Door, Doors, NotA, Tenant};
use crate::inject::denial::shown;
use crate::inject::nearest;
use crate::inject::words::{self, Intercept, Native, Platform, PullPolicy, Resources, RunAs};

/// Whose keys are not ours to know.
const FREE: [&str; 3] = ["sidecar.image", "sidecar.resources", "sidecar.securityContext"];

pub(super) fn read(given: &Value) -> Result<Values, ValuesProblems> {
    let mut reading = Reading { tree: Values::defaults(), problems: vec![] };
    reading.lay_over(given);
    let values = reading.values();
    match values {
        Some(values) if reading.problems.is_empty() => Ok(values),
        _ => {
            // In the order of the page, and each once: a wrong key has no value to be wrong.
            let rank = |problem: &ValuesProblem| {
                let top = problem.path.split('.').next().unwrap_or_default().to_owned();
                ["", "image", "sidecar", "defaults", "platform"].iter().position(|part| *part == top)
            };
            reading.problems.sort_by_key(rank);
            Err(ValuesProblems(reading.problems))
        }
    }
}

struct Reading {
    /// The defaults with what was given laid over them.
    tree: Value,
    problems: Vec<ValuesProblem>,
}

impl Reading {
    fn lay_over(&mut self, given: &Value) {
        let given = match given {
            Value::Object(given) => given,
            Value::Null => return,
            _ => return self.wrong("", "is no map", "write the chart's values: `defaults: {tenantId: …}`"),
        };
        let mut tree = std::mem::take(&mut self.tree);
        if let Value::Object(parts) = &mut tree {
            for (key, part) in parts {
                if let Some(value) = given.get(key) {
                    self.lay(part, value, key);
                }
            }
        }
        self.tree = tree;
    }

    fn lay(&mut self, base: &mut Value, given: &Value, path: &str) {
        match (base, given) {
            (_, Value::Null) => {}
            (base @ Value::Object(_), Value::Object(_)) if FREE.contains(&path) => merge(base, given),
            (Value::Object(base), Value::Object(given)) => {
                for (key, value) in given {
                    let below = format!("{path}.{key}");
                    match base.get_mut(key) {
                        Some(inner) => self.lay(inner, value, &below),
                        None => self.unknown(&below, path, base.keys()),
                    }
                }
            }
            (Value::Object(_), _) => self.wrong(path, "is no map", "write its keys below it"),
            (base, given) => *base = given.clone(),
        }
    }

    fn unknown<'a>(&mut self, path: &str, parent: &str, known: impl Iterator<Item = &'a String> + Clone) {
        let word = path.rsplit('.').next().unwrap_or_default();
        let remedy = match nearest(word, known.clone().map(String::as_str)) {
            Some(near) => format!("did you mean `{parent}.{near}`"),
            None => format!("write one of {}", known.map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        self.problems.push(ValuesProblem {
            path: path.to_owned(),
            kind: Kind::UnknownKey,
            what: "is not known".to_owned(),
            remedy,
        });
    }

    fn wrong(&mut self, path: &str, what: impl Into<String>, remedy: &str) {
        let (path, remedy) = (path.to_owned(), remedy.to_owned());
        self.problems.push(ValuesProblem { path, kind: Kind::WrongValue, what: what.into(), remedy });
    }

    fn at(&self, path: &str) -> Value {
        let found = path.split('.').try_fold(&self.tree, |tree, key| tree.get(key));
        found.cloned().unwrap_or(Value::Null)
    }

    fn text(&mut self, path: &str) -> String {
        let value = self.at(path);
        self.text_of(path, &value)
    }

    fn text_of(&mut self, path: &str, value: &Value) -> String {
        if let Value::String(text) = value {
            return text.trim().to_owned();
        }
        self.wrong(path, format!("is {value}, which is no text"), "write it in quotes");
        String::new()
    }

    /// A leaf by the rule of its annotation. A number or a boolean counts as its text: YAML makes them out of words.
    fn judged<T>(&mut self, path: &str, judge: impl Fn(&str) -> Result<T, NotA>) -> Option<T> {
        let text = match self.at(path) {
            value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
            Value::String(text) => text.trim().to_owned(),
            other => {
                self.wrong(path, format!("is {other}"), judge("").err().map_or("write a word", |rule| rule.0));
                return None;
            }
        };
        judge(&text).map_err(|rule| self.wrong(path, format!("is {}", shown(&text)), rule.0)).ok()
    }

    /// As [`Reading::judged`] for what is never a number, and where an empty text says nothing.
    fn optional<T>(&mut self, path: &str, judge: impl Fn(&str) -> Result<T, NotA>) -> Option<T> {
        match self.at(path) {
            Value::String(text) if text.is_empty() => None,
            Value::String(_) => self.judged(path, judge),
            other => {
                self.text_of(path, &other);
                None
            }
        }
    }

    fn list<T>(&mut self, path: &str, judge: impl Fn(&str) -> Result<T, NotA>) -> Vec<T> {
        let Value::Array(items) = self.at(path) else {
            self.wrong(path, "is no list", "write a list, or [] for none");
            return vec![];
        };
        let mut all = vec![];
        for (n, item) in items.iter().enumerate() {
            let path = format!("{path}[{n}]");
            let problems = self.problems.len();
            let text = self.text_of(&path, item);
            match judge(&text) {
                Ok(one) => all.push(one),
                Err(rule) if self.problems.len() == problems => {
                    self.wrong(&path, format!("is {}", shown(&text)), rule.0);
                }
                Err(_) => {}
            }
        }
        all
    }

    fn values(&mut self) -> Option<Values> {
        let (image, sidecar, defaults) = (self.image(), self.sidecar(), self.defaults());
        let platform = self.judged("platform", Platform::parse);
        Some(Values { image: image?, sidecar: sidecar?, defaults: defaults?, platform: platform? })
    }

    /// The broker's: what `sidecar.image` says, and `image` for the rest.
    fn image(&mut self) -> Option<Image> {
        let Value::Object(own) = self.at("sidecar.image") else { return None };
        let known = self.at("image").as_object().map(|image| image.keys().cloned().collect::<Vec<_>>());
        for key in own.keys().filter(|key| !known.iter().flatten().any(|known| known == *key)) {
            self.unknown(&format!("sidecar.image.{key}"), "sidecar.image", known.iter().flatten());
        }
        let place = |key: &str| if own.contains_key(key) { "sidecar.image" } else { "image" };
        let mut part = |key: &str| self.text(&format!("{}.{key}", place(key)));
        let (registry, repository, tag, digest) = (part("registry"), part("repository"), part("tag"), part("digest"));
        let tag = if tag.is_empty() { env!("CARGO_PKG_VERSION") } else { &tag };
        let registry = if registry.is_empty() { registry } else { format!("{registry}/") };
        let digest = if digest.is_empty() { digest } else { format!("@{digest}") };
        let pull_policy = self.judged(&format!("{}.pullPolicy", place("pullPolicy")), PullPolicy::parse)?;
        Some(Image { reference: format!("{registry}{repository}:{tag}{digest}"), pull_policy })
    }

    fn sidecar(&mut self) -> Option<Sidecar> {
        let native = self.judged("sidecar.nativeSidecar", Native::parse);
        let token_port = self.judged("sidecar.ports.token", words::port);
        let metrics_port = self.judged("sidecar.ports.metrics", words::port);
        if token_port.is_some() && token_port == metrics_port {
            self.wrong("sidecar.ports", "has one number twice", "give token and metrics a port each");
        }
        let run_as = self.judged("sidecar.runAs", RunAs::parse);
        self.amounts();
        let extra_env = self.extra_env();
        let map = |value| if let Value::Object(map) = value { map } else { Map::new() };
        Some(Sidecar {
            native: native?,
            token_port: token_port?,
            metrics_port: metrics_port?,
            run_as: run_as?,
            resources: map(self.at("sidecar.resources")),
            security_context: map(self.at("sidecar.securityContext")),
            extra_env,
        })
    }

    fn amounts(&mut self) {
        for part in ["requests", "limits"] {
            let path = format!("sidecar.resources.{part}");
            match self.at(&path) {
                Value::Object(amounts) => {
                    amounts.keys().for_each(|name| drop(self.judged(&format!("{path}.{name}"), words::quantity)));
                }
                Value::Null => {}
                _ => self.wrong(&path, "is no map", "write amounts, such as {cpu: 5m, memory: 16Mi}"),
            }
        }
    }

    fn extra_env(&mut self) -> Vec<Value> {
        let Value::Array(entries) = self.at("sidecar.extraEnv") else {
            self.wrong("sidecar.extraEnv", "is no list", "write a list, or [] for none");
            return vec![];
        };
        for (n, entry) in entries.iter().enumerate() {
            if entry["name"].as_str().is_none_or(str::is_empty) {
                let remedy = "write `{name: …, value: …}`, as in a container's env";
                self.wrong(&format!("sidecar.extraEnv[{n}]"), "has no name", remedy);
            }
        }
        entries
    }

    fn defaults(&mut self) -> Option<Defaults> {
        let tenant = self.optional("defaults.tenantId", Tenant::parse);
        let cloud = self.judged("defaults.cloud", words::cloud);
        let authority_host = self.optional("defaults.authorityHost", words::authority_host);
        if authority_host.is_some() && cloud.is_some_and(|cloud| cloud != Cloud::Public) {
            let remedy = "set authorityHost or cloud: a login host of one's own belongs to no cloud";
            self.wrong("defaults.authorityHost", "stands beside a cloud", remedy);
        }
        let audience = self.judged("defaults.audience", words::some_text);
        let expiration = self.judged("defaults.tokenExpirationSeconds", words::expiration);
        let problems = self.problems.len();
        let resources = self.list("defaults.allowedResources", |text| Resources::parse(text).map(|_| text.to_owned()));
        let resources = if resources.is_empty() || self.problems.len() > problems {
            None
        } else {
            Resources::of(resources.iter().map(String::as_str))
                .map_err(|rule| self.wrong("defaults.allowedResources", "has `*` beside others", rule.0))
                .ok()
        };
        let doors: Vec<Door> = self.list("defaults.doors", words::door);
        if self.at("defaults.doors") == Value::Array(vec![]) {
            self.wrong("defaults.doors", "is empty", "open one door at least, such as app-service");
        }
        let intercept = self.judged("defaults.intercept", Intercept::parse);
        let https_proxy = self.optional("defaults.httpsProxy", words::proxy);
        let no_proxy = self.optional("defaults.noProxy", words::some_text);
        let extra_ca_config_map = self.optional("defaults.extraCaConfigMap", words::object_name);
        Some(Defaults {
            tenant,
            cloud: cloud?,
            authority_host,
            audience: audience?,
            expiration: expiration?,
            resources,
            doors: Doors::from_iter(doors),
            intercept: intercept?,
            https_proxy,
            no_proxy,
            extra_ca_config_map,
        })
    }
}

/// Lays one free map over another, level by level; `null` takes a key away.
pub(in crate::inject) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}
