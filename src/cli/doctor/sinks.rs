//! The link `sinks`: could each file be written as it is wanted, and what stands there now?
//!
//! A finding for each file. Easy to get wrong: the files are a running broker's. A draft is made beside one and removed,
//! the file itself is not even opened, and no command is run.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::chain::{Finding, Link};
use crate::cli::terminal::patiently;
use crate::config::{Identity, SinkContent, SinkSettings};
use crate::problem::{Blame, Problem};
use crate::sink::{self, SinkError, Standing, Target};

/// As long as for a token file: a network volume that hangs must not hang us.
const PATIENCE: Duration = Duration::from_secs(5);
/// No access token of Entra's lives longer, continuous access evaluation included.
const LONGEST_LIFE: u64 = 28 * 3600;

/// `served`: a broker runs.
pub(super) async fn look(identity: &Identity, served: bool, now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for settings in &identity.sinks {
        let what = format!("the sink {}", settings.file.display());
        let finding = match patiently(&what, examine(settings)).await {
            Ok(Some(standing)) => judged(settings, &standing, now),
            Ok(None) => absent(settings, served),
            Err(problem) => Finding::broken(Link::Sinks, tried(settings), &problem),
        };
        findings.push(finding);
    }
    findings
}

async fn examine(settings: &SinkSettings) -> Result<Option<Standing>, SinkProblem> {
    let (target, reload) = (Target::from(settings), settings.reload.clone());
    let examining = tokio::task::spawn_blocking(move || {
        target.rehearse()?;
        sink::find_program(&reload)?;
        target.standing()
    });
    match tokio::time::timeout(PATIENCE, examining).await {
        Ok(Ok(seen)) => Ok(seen?),
        // It panicked, which the panic itself has told; or hangs.
        Ok(Err(_)) | Err(_) => Err(SinkProblem::Slow { file: settings.file.clone(), patience: PATIENCE }),
    }
}

fn judged(settings: &SinkSettings, standing: &Standing, now: u64) -> Finding {
    let age = now.saturating_sub(standing.written);
    let seen = format!("`{}` was written {} min ago", settings.file.display(), age / 60);
    if !standing.differs.is_empty() {
        let finding = Finding::doubtful(Link::Sinks, tried(settings), seen)
            .remedied("set them by hand, or leave it to the broker's next write");
        return standing.differs.iter().fold(finding, Finding::and);
    }
    if age > LONGEST_LIFE && matches!(settings.content, SinkContent::Token { .. }) {
        return Finding::doubtful(Link::Sinks, tried(settings), seen)
            .and("no access token lives that long")
            .remedied("see whether a broker runs with this configuration, and what it logs of the sink");
    }
    Finding::good(Link::Sinks, tried(settings), seen)
}

fn absent(settings: &SinkSettings, served: bool) -> Finding {
    let file = settings.file.display();
    if served {
        return Finding::doubtful(Link::Sinks, tried(settings), format!("a broker runs, and there is no `{file}`"))
            .remedied("see what /readyz?verbose on the broker's admin address says of the sink");
    }
    Finding::good(Link::Sinks, tried(settings), format!("`{file}` can be written; it is not there now"))
}

fn tried(settings: &SinkSettings) -> String {
    let mut text = format!("make a draft beside `{}` with mode {:04o}", settings.file.display(), settings.mode);
    for (key, name) in [("owner", &settings.owner), ("group", &settings.group)] {
        if let Some(name) = name {
            let _ = write!(text, ", {key} {name}");
        }
    }
    text.push_str(", and remove it");
    // The first word alone: the others may hold what is not for everybody's eyes.
    if let Some(program) = settings.reload.first() {
        let _ = write!(text, "; look for `{program}`");
    }
    text
}

/// Why a sink does not do its work.
#[derive(Debug, thiserror::Error)]
enum SinkProblem {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("look at the directory of `{}`: not within {patience:?}", file.display())]
    Slow { file: PathBuf, patience: Duration },
}

impl Problem for SinkProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::Sink(problem) => problem.code(),
            Self::Slow { .. } => "sink-directory-slow",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Sink(problem) => problem.blame(),
            Self::Slow { .. } => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Sink(problem) => problem.remedy(),
            Self::Slow { .. } => Some("use a tmpfs such as /run, or check the volume for what hangs".into()),
        }
    }
}
