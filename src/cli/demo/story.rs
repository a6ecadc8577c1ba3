//! The story, step by step: what is done, what must be seen, and how a test breaks it.

use std::str::FromStr;
use std::time::Duration;

use super::metrics_page::MetricsPage;
use super::stage::Stage;

/// One step of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Before,
    After,
    Deleted,
    Doors,
    Held,
    Rotated,
    Down,
    Back,
    Metrics,
}

type Told = Result<Vec<String>, String>;

/// How often the app asks while the broker must not ask Entra.
const ASKS: usize = 500;

/// Before the refresh time.
const TO_ROTATION: Duration = Duration::from_secs(10 * 60);
/// Past the refresh time of an hour-long token (70 % of it, less jitter), before its end.
const TO_REFRESH: Duration = Duration::from_secs(50 * 60);

impl Step {
    pub(super) const ALL: [Self; 9] = [
        Self::Before,
        Self::After,
        Self::Deleted,
        Self::Doors,
        Self::Held,
        Self::Rotated,
        Self::Down,
        Self::Back,
        Self::Metrics,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Deleted => "deleted",
            Self::Doors => "doors",
            Self::Held => "held",
            Self::Rotated => "rotated",
            Self::Down => "down",
            Self::Back => "back",
            Self::Metrics => "metrics",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Before => "Before: the app sends its client secret to Entra",
            Self::After => "After: the same request; only the URL and the key in the secret's field have changed",
            Self::Deleted => "The secret is deleted in Entra",
            Self::Doors => "The same token through the endpoints that Azure SDKs speak",
            Self::Held => "A held token is served without asking Entra",
            Self::Rotated => {
                "The platform token rotates, 50 minutes pass, and the broker refreshes before the app asks"
            }
            Self::Down => "Entra is down when the next refresh is due (50 minutes later)",
            Self::Back => "Entra is back",
            Self::Metrics => "What the metrics tell",
        }
    }

    pub(super) async fn play(self, stage: &mut Stage) -> Told {
        match self {
            Self::Before => before(stage).await,
            Self::After => after(stage).await,
            Self::Deleted => deleted(stage).await,
            Self::Doors => doors(stage).await,
            Self::Held => held(stage).await,
            Self::Rotated => rotated(stage).await,
            Self::Down => down(stage).await,
            Self::Back => back(stage).await,
            Self::Metrics => metrics(stage).await,
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|step| step.name() == text).ok_or_else(|| format!("no step `{text}`"))
    }
}

async fn before(stage: &mut Stage) -> Told {
    if stage.is_sabotaged(Step::Before) {
        stage.delete_secret();
    }
    let app = stage.app_before();
    let answer = app.ask().await?;
    answer.expect_token()?;
    let seen = stage.newest_journal_line()?;
    expect(&seen.credential, "client_secret", "the credential that Entra saw")?;
    Ok(vec![
        format!("app    POST {}", app.token_url()),
        format!("       client_id={} client_secret=(the real one): {answer}", app.client_id()),
        format!("Entra  {}", seen.line),
    ])
}

async fn after(stage: &mut Stage) -> Told {
    if stage.is_sabotaged(Step::After) {
        stage.spoil_platform_token();
    }
    let app = stage.app_after();
    let answer = app.ask().await?;
    answer.expect_token()?;
    let seen = stage.newest_journal_line()?;
    expect(&seen.credential, "client_assertion", "the credential that Entra saw")?;
    Ok(vec![
        format!("app    POST {}", app.token_url()),
        format!("       client_id={} client_secret=(a local key): {answer}", app.client_id()),
        format!("Entra  {}", seen.line),
    ])
}

async fn deleted(stage: &mut Stage) -> Told {
    if !stage.is_sabotaged(Step::Deleted) {
        stage.delete_secret();
    }
    let direct = stage.app_before().ask().await?;
    direct.expect_refusal(7_000_215)?;
    let served = stage.app_after().ask().await?;
    served.expect_token()?;
    Ok(vec![
        format!("app    with the old secret, to Entra:    {direct}"),
        format!("app    with the local key, to the broker: {served}"),
    ])
}

async fn doors(stage: &mut Stage) -> Told {
    let oauth = stage.app_after().ask().await?;
    let imds = stage.ask_imds().await?;
    let app_service = stage.ask_app_service().await?;
    let mut lines = Vec::new();
    for (door, answer) in [("IMDS       ", imds), ("App Service", app_service)] {
        answer.expect_token()?;
        if !answer.same_token(&oauth) {
            return Err(format!("{} gave another token than the OAuth endpoint", door.trim_end()));
        }
        lines.push(format!("{door}  {answer}; the same token: yes"));
    }
    Ok(lines)
}

async fn held(stage: &mut Stage) -> Told {
    let app = stage.app_after();
    let before = stage.journal_length();
    if stage.is_sabotaged(Step::Held) {
        stage.pass(Duration::from_secs(24 * 3600)).await;
        stage.write_platform_token();
    }
    for _ in 0..ASKS {
        app.ask().await?.expect_token()?;
    }
    let asked = stage.journal_length() - before;
    expect(&asked.to_string(), "0", "the requests that Entra saw meanwhile")?;
    Ok(vec![format!("app    asked {ASKS} times, got a token each time; Entra's journal grew by {asked}")])
}

async fn rotated(stage: &mut Stage) -> Told {
    let old = stage.app_after().ask().await?;
    let (length, shown) = (stage.journal_length(), stage.newest_assertion());
    // Two platform tokens of one second could not be told apart.
    stage.pass(TO_ROTATION).await;
    if !stage.is_sabotaged(Step::Rotated) {
        stage.write_platform_token();
    }
    stage.pass(TO_REFRESH.saturating_sub(TO_ROTATION)).await;
    stage.until("the broker refreshes by itself", |stage| stage.journal_length() > length).await?;
    let seen = stage.newest_journal_line()?;
    if stage.newest_assertion() == shown {
        return Err("Entra was shown the old platform token again".to_owned());
    }
    let new = stage.app_after().ask().await?;
    new.expect_token()?;
    if new.same_token(&old) {
        return Err("the app still has the old token".to_owned());
    }
    Ok(vec![format!("Entra  {}", seen.line), format!("app    {new}; a new token: yes")])
}

async fn down(stage: &mut Stage) -> Told {
    let held = stage.app_after().ask().await?;
    if !stage.is_sabotaged(Step::Down) {
        stage.take_entra_down();
    }
    let failures = MetricsPage::read(stage).await?.failed_exchanges();
    stage.write_platform_token();
    stage.pass(TO_REFRESH).await;
    MetricsPage::until(stage, "a refresh fails", |page| page.failed_exchanges() > failures).await?;
    let trouble = stage.trouble().await?;
    let answer = stage.app_after().ask().await?;
    answer.expect_token()?;
    if !answer.same_token(&held) {
        return Err("the app got another token although Entra is down".to_owned());
    }
    Ok(vec![format!("broker {trouble}"), format!("app    {answer}; the same token as before: yes")])
}

async fn back(stage: &mut Stage) -> Told {
    let held = stage.app_after().ask().await?;
    let before = stage.journal_length();
    if !stage.is_sabotaged(Step::Back) {
        stage.bring_entra_back();
    }
    // The broker waits between tries; the story need not.
    stage.pass(Duration::from_secs(120)).await;
    stage.until("the broker refreshes by itself", |stage| stage.journal_length() > before).await?;
    let seen = stage.newest_journal_line()?;
    let answer = stage.until_new_token(&held).await?;
    Ok(vec![format!("Entra  {}", seen.line), format!("app    {answer}; a new token: yes")])
}

async fn metrics(stage: &mut Stage) -> Told {
    let path = if stage.is_sabotaged(Step::Metrics) { "/no-such-page" } else { "/metrics" };
    MetricsPage::at(stage, path).await?.story()
}

fn expect(seen: &str, wanted: &str, what: &str) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{what}: `{seen}`, not `{wanted}`")) }
}
