//! The broker's `/metrics`, read as a person would: the lines that tell the story.

use super::stage::Stage;

/// One scrape.
pub(super) struct MetricsPage(String);

/// The series of the story, by how their lines begin.
const STORY: [&str; 4] = [
    "unsecret_ready",
    r#"unsecret_cache_requests_total{identity="billing",result="hit"}"#,
    "unsecret_token_requests_total{",
    "unsecret_http_requests_total{",
];

impl MetricsPage {
    pub(super) async fn read(stage: &Stage) -> Result<Self, String> {
        Self::at(stage, "/metrics").await
    }

    pub(super) async fn at(stage: &Stage, path: &str) -> Result<Self, String> {
        stage.admin_page(path).await.map(Self)
    }

    /// Reads until `done`, for as long as the stage is patient.
    pub(super) async fn until(stage: &Stage, what: &str, done: impl Fn(&Self) -> bool) -> Result<Self, String> {
        for _ in 0..super::stage::PATIENCE {
            let page = Self::read(stage).await?;
            if done(&page) {
                return Ok(page);
            }
            stage.breathe().await;
        }
        Err(format!("waited in vain until {what}"))
    }

    /// Exchanges that did not succeed, whatever the reason.
    pub(super) fn failed_exchanges(&self) -> f64 {
        let failed =
            |line: &&str| line.starts_with("unsecret_token_requests_total{") && !line.contains(r#"outcome="success""#);
        self.0.lines().filter(failed).filter_map(value).sum()
    }

    /// The story's lines, non-zero ones only; an error when one of them is missing altogether.
    pub(super) fn story(&self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for beginning in STORY {
            let mut found = self.0.lines().filter(|line| line.starts_with(beginning)).peekable();
            if found.peek().is_none() {
                return Err(format!("the metrics page has no `{beginning}`"));
            }
            lines.extend(found.filter(|line| value(line) != Some(0.0)).map(str::to_owned));
        }
        Ok(lines)
    }
}

fn value(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}
