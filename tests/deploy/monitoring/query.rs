//! What a PromQL query names: metrics, each with the labels it selects by, and the labels it groups by.
//!
//! Reads words, not grammar: whether a query is well-formed is for Prometheus to say. Easy to get wrong: a word that is
//! neither known to PromQL nor a metric of somebody must not be passed over, or a typo in a metric's name is never found.

use std::collections::BTreeSet;

use unsecret::metrics::{Family, TABLE};

/// Labels that the scrape adds.
const TARGET: [&str; 5] = ["job", "instance", "namespace", "pod", "container"];

/// Metrics of others that our rules use, with those of their labels.
const FOREIGN: [(&str, &[&str]); 2] = [
    ("kube_pod_init_container_status_restarts_total", &["namespace", "pod", "container"]),
    ("kube_pod_container_status_restarts_total", &["namespace", "pod", "container"]),
];

const GROUPING: [&str; 4] = ["by", "without", "on", "ignoring"];

const WORDS: [&str; 26] = [
    "abs",
    "and",
    "avg",
    "bool",
    "by",
    "clamp_min",
    "count",
    "group",
    "histogram_quantile",
    "ignoring",
    "increase",
    "last_over_time",
    "max",
    "max_over_time",
    "min",
    "offset",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "unless",
    "vector",
    "without",
    "label_values",
    "sort",
];

/// What one query names.
#[derive(Debug, Default)]
pub struct Query {
    pub metrics: BTreeSet<String>,
    /// Metric and label of each matcher.
    pub matched: Vec<(String, String)>,
    /// What stands behind `by`, `without`, `on`, `ignoring`, in their order: the word and its labels.
    pub grouped: Vec<(String, Vec<String>)>,
}

impl Query {
    /// Panics at a word that is neither PromQL nor a metric.
    pub fn of(text: &str) -> Self {
        let mut query = Self::default();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = match letter {
                '"' => after_string(rest),
                // A range.
                '[' => rest.split_once(']').unwrap().1,
                // A number or a duration.
                '0'..='9' | '.' => rest.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '.'),
                letter if letter.is_ascii_alphabetic() || letter == '_' => query.word(rest),
                _ => &rest[letter.len_utf8()..],
            };
        }
        query
    }

    /// Takes a word and what belongs to it; what comes after them.
    fn word<'t>(&mut self, rest: &'t str) -> &'t str {
        let (word, after) = split_word(rest);
        if GROUPING.contains(&word) {
            let (labels, after) = after.trim_start().strip_prefix('(').unwrap().split_once(')').unwrap();
            let labels = labels.split(',').map(|label| label.trim().to_owned());
            self.grouped.push((word.to_owned(), labels.filter(|label| !label.is_empty()).collect()));
            return after;
        }
        if WORDS.contains(&word) {
            return after;
        }
        assert!(labels_of(word).is_some(), "`{word}` is no metric, and no word of PromQL that is known here");
        self.metrics.insert(word.to_owned());
        match after.strip_prefix('{') {
            Some(matchers) => self.matchers(word, matchers),
            None => after,
        }
    }

    fn matchers<'t>(&mut self, metric: &str, mut rest: &'t str) -> &'t str {
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let (label, after) = split_word(rest);
            assert!(!label.is_empty(), "no label at `{rest}`");
            self.matched.push((metric.to_owned(), label.to_owned()));
            rest = after_string(&after[after.find('"').unwrap()..]);
        }
    }

    /// Panics where a matcher or a group names a label that its metric does not have.
    pub fn check(&self, whose: &str) {
        for (metric, label) in &self.matched {
            assert!(labels_of(metric).unwrap().contains(&label.as_str()), "{whose}: {metric} has no label `{label}`");
        }
        for label in self.grouped.iter().flat_map(|(_, labels)| labels) {
            assert!(self.has(label), "{whose}: none of its metrics has a label `{label}`");
        }
    }

    /// Whether a label is left on what the query gives, as far as its first grouping tells.
    pub fn gives(&self, label: &str) -> bool {
        match self.grouped.iter().find(|(word, _)| word == "by" || word == "without") {
            Some((word, labels)) if word == "by" => labels.iter().any(|it| it == label),
            Some((_, labels)) => self.has(label) && labels.iter().all(|it| it != label),
            None => self.has(label),
        }
    }

    fn has(&self, label: &str) -> bool {
        self.metrics.iter().any(|metric| labels_of(metric).unwrap().contains(&label))
    }
}

/// The labels that a metric can have once it is scraped.
fn labels_of(metric: &str) -> Option<Vec<&'static str>> {
    if let Some((_, labels)) = FOREIGN.iter().find(|(name, _)| *name == metric) {
        return Some(labels.iter().chain(&["instance", "job"]).copied().collect());
    }
    let name = family(metric)?;
    let family = families().find(|family| family.name == name)?;
    let bucket = if metric.ends_with("_bucket") { ["le"].as_slice() } else { &[] };
    Some(family.labels.iter().chain(&TARGET).chain(bucket).copied().collect())
}

/// The histogram that a series is part of.
fn histogram(metric: &str) -> Option<&'static str> {
    let name = ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part))?;
    families().find(|family| family.name == name && family.kind == "histogram").map(|family| family.name)
}

/// The family that a metric of ours belongs to; none for others' metrics.
pub fn family(metric: &str) -> Option<&'static str> {
    families().map(|family| family.name).find(|name| *name == metric).or_else(|| histogram(metric))
}

/// All that there is of ours.
pub fn families() -> impl Iterator<Item = &'static Family> {
    TABLE.iter()
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len()))
}

/// What comes after the string that `text` begins with.
fn after_string(text: &str) -> &str {
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '"' => return &text[place + 1..],
            _ => {}
        }
    }
    panic!("a string does not end: {text}")
}

#[test]
fn a_query_names_its_metrics_matchers_and_groups() {
    let text = r#"sum without (outcome) (increase(unsecret_token_requests_total{aadsts=~"7\"{[|}",identity="a"}[10m] offset 1h)) > 1e3
        / on (job) unsecret_http_request_duration_seconds_bucket"#;
    let query = Query::of(text);
    let metrics: Vec<_> = query.metrics.iter().map(String::as_str).collect();
    assert_eq!(metrics, ["unsecret_http_request_duration_seconds_bucket", "unsecret_token_requests_total"]);
    let matched: Vec<_> = query.matched.iter().map(|(_, label)| label.as_str()).collect();
    assert_eq!(matched, ["aadsts", "identity"]);
    assert_eq!(query.grouped.len(), 2);
    assert!(query.gives("aadsts") && query.gives("instance") && query.gives("le") && !query.gives("outcome"));
    query.check("the test");
}

#[test]
#[should_panic(expected = "`unsecret_token_request_total` is no metric")]
fn a_typo_in_a_name_is_found() {
    Query::of("rate(unsecret_token_request_total[5m])");
}

#[test]
#[should_panic(expected = "unsecret_ready has no label `identity`")]
fn a_label_that_is_not_there_is_found() {
    Query::of(r#"unsecret_ready{identity="a"}"#).check("the test");
}

#[test]
#[should_panic(expected = "none of its metrics has a label `resource`")]
fn a_group_by_what_is_not_there_is_found() {
    Query::of("sum by (resource) (unsecret_ready)").check("the test");
}
