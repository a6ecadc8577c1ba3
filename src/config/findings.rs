//! What reading a configuration has found so far: problems, warnings, and where each value came from.
//!
//! Every step writes here and goes on, so that all problems come out at once. Easy to get wrong: a value that was taken
//! out because of its type must not be reported as missing afterwards; hence `spoiled`.

use std::collections::{BTreeMap, BTreeSet};

use super::problems::{ConfigProblem, ConfigProblems, Mistake, shown};
use super::schema::{self, Setting, toml_text};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Line(usize),
    Variable(String),
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The file's name as messages say it; `None` in zero-file mode.
    file: Option<String>,
    origins: BTreeMap<String, Origin>,
    spoiled: BTreeSet<String>,
    problems: Vec<(usize, ConfigProblem)>,
    warnings: Vec<String>,
}

impl Findings {
    pub(super) fn of_file(name: &str) -> Self {
        Self { file: Some(name.to_owned()), ..Self::default() }
    }

    pub(super) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Remembers where the value at `path` was written; the last word counts.
    pub(super) fn came_from(&mut self, path: &str, origin: Origin) {
        self.origins.insert(path.to_owned(), origin);
    }

    /// The value at `path` was taken out, or stands under a wrong name: it is not missing.
    pub(super) fn spoil(&mut self, path: &str) {
        self.spoiled.insert(path.to_owned());
    }

    pub(super) fn is_spoiled(&self, path: &str) -> bool {
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.spoiled.iter().any(|spoiled| within(spoiled, path) || within(path, spoiled))
    }

    pub(super) fn warn(&mut self, path: &str, text: &str) {
        let place = self.place(path).1;
        self.warnings.push(format!("{place}: `{path}` {text}"));
    }

    pub(super) fn warn_variable(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Anything that has its own words.
    pub(super) fn add(&mut self, mistake: Mistake, path: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let (line, place) = self.place(path);
        let problem = ConfigProblem { mistake, place, path: path.to_owned(), what: what.into(), remedy: remedy.into() };
        if !self.problems.iter().any(|(_, known)| *known == problem) {
            self.problems.push((line, problem));
        }
    }

    /// Something about the file's text, before there are paths.
    pub(super) fn add_at(&mut self, line: usize, mistake: Mistake, what: String, remedy: String) {
        let file = self.file.clone().unwrap_or_default();
        let place = if line == 0 { file } else { format!("{file}, line {line}") };
        self.problems.push((line, ConfigProblem { mistake, place, path: String::new(), what, remedy }));
    }

    /// A value of the right type that will not do: `is "x", but …`; the right one is the setting's example.
    pub(super) fn wrong(&mut self, path: &str, value: &str, why: &str) {
        let remedy = self.right(path);
        self.add(Mistake::WrongValue, path, format!("is {}, but {why}", shown(value)), remedy);
    }

    /// The same with a remedy of its own.
    pub(super) fn wrong_but(&mut self, path: &str, value: &str, why: &str, remedy: impl Into<String>) {
        self.add(Mistake::WrongValue, path, format!("is {}, but {why}", shown(value)), remedy);
    }

    /// A setting that has to be there. Silent where it is there with a wrong type or under a wrong name.
    pub(super) fn missing(&mut self, path: &str) {
        if !self.is_spoiled(path) {
            let remedy = self.right(path);
            self.add(Mistake::Missing, path, "is missing", remedy);
        }
    }

    /// ``write `scopes = […]` `` or, where the value comes from a variable, ``set UNSECRET_SCOPES, for example to …``.
    pub(super) fn right(&self, path: &str) -> String {
        let Some(setting) = schema::setting(path) else { return format!("correct `{path}`") };
        let variable = match self.origins.get(path) {
            Some(Origin::Variable(name)) => Some(name.clone()),
            _ => (!self.has_file()).then(|| platform_or_own(setting)),
        };
        let Some(example) = setting.example() else {
            return format!("see docs/configuration.md for `{}`", setting.path);
        };
        match variable {
            Some(name) => format!("set {name}, for example to `{}`", setting.as_variable(example)),
            None => format!("write `{} = {}`, for example", last_key(path), toml_text(example)),
        }
    }

    fn place(&self, path: &str) -> (usize, String) {
        let mut at = path;
        loop {
            match self.origins.get(at) {
                Some(Origin::Line(line)) => {
                    let file = self.file.as_deref().unwrap_or("configuration");
                    return (*line, format!("{file}, line {line}"));
                }
                Some(Origin::Variable(name)) => return (usize::MAX, format!("variable {name}")),
                None => {}
            }
            match at.rfind(['.', '[']) {
                Some(end) => at = &at[..end],
                None => return (usize::MAX, self.file.clone().unwrap_or_else(|| "environment".to_owned())),
            }
        }
    }

    pub(super) fn has_syntax_errors(&self) -> bool {
        self.problems.iter().any(|(_, problem)| problem.mistake == Mistake::Syntax)
    }

    /// The warnings when all is well, otherwise every problem.
    pub(super) fn conclude(self) -> Result<Vec<String>, ConfigProblems> {
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(self.into_problems()) }
    }

    /// In the order of the file; what belongs to no line comes last.
    pub(super) fn into_problems(mut self) -> ConfigProblems {
        self.problems.sort_by_key(|(line, _)| *line);
        ConfigProblems(self.problems.into_iter().map(|(_, problem)| problem).collect())
    }
}

/// The variable that zero-file mode takes a setting from: the platform's own where it has one.
fn platform_or_own(setting: &Setting) -> String {
    match super::environment::platform_variable(&setting.path) {
        Some(name) => format!("{name} (or {})", setting.variable()),
        None => setting.variable(),
    }
}

/// `identity[0].scopes[1]` → `scopes`.
fn last_key(path: &str) -> &str {
    let path = path.rfind('[').filter(|_| path.ends_with(']')).map_or(path, |end| &path[..end]);
    path.rsplit('.').next().unwrap_or(path)
}
