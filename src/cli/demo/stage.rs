//! What the story plays on: emulator, broker, platform token, and the handles to break them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use super::super::program;
use super::legacy_app::{LegacyApp, Seen};
use super::story::Step;
use crate::app::{self, App, Machine};
use crate::clock::ManualClock;
use crate::config::{Config, Environment};
use crate::emulator::{self, Emulator, Fault, JournalEntry, PlatformToken, Verdict};
use crate::ids::Guid;
use crate::listen::Inherited;
use crate::outbound::{self, Outbound, Request};
use crate::problem::{chain, report};
use crate::secret::Secret;
use crate::secret::local_key::LocalKey;

pub(super) const RESOURCE: &str = "https://graph.microsoft.com";
const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
const ISSUER: &str = "https://oidc.example/cluster-1";
const SUBJECT: &str = "system:serviceaccount:shop:billing";
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// The secret as the portal once showed it; worth nothing outside this process.
const REAL_SECRET: &str = "demo~real.client.secret~of~2019";

/// How often a wait looks again, a [`PAUSE`] apart, before it gives up: five seconds, where milliseconds do.
pub(super) const PATIENCE: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// Everything the steps act on.
pub(super) struct Stage {
    clock: Arc<ManualClock>,
    emulator: Emulator,
    app: App,
    http: Arc<Outbound>,
    local_key: Secret,
    folder: Folder,
    /// The step that a test breaks.
    sabotaged: Option<Step>,
}

/// A journal entry as the story tells it.
pub(super) struct JournalLine {
    pub(super) credential: String,
    /// In whole, with what the assertion said.
    pub(super) line: String,
}

impl Stage {
    pub(super) async fn set(sabotaged: Option<Step>) -> Result<Self, String> {
        let folder = Folder::create().map_err(|error| format!("make a folder for the demo's files: {error}"))?;
        let clock = Arc::new(ManualClock::running());
        let settings = emulator::Settings::from_toml(&emulator_settings()).map_err(|error| chain(&error))?;
        let emulator = Emulator::start(settings, clock.clone()).await.map_err(|error| chain(&error))?;
        folder.write("ca.pem", emulator.ca_pem())?;
        let local_key = LocalKey::generate().map_err(|error| chain(&error))?.secret().clone();
        folder.write("caller.key", local_key.expose())?;
        folder.write("token", platform_token(&emulator)?.expose())?;
        let config = Config::from_text(&folder.config(&emulator.authority_host()), "demo", &Environment::default())
            .map_err(|problems| report(&problems))?;
        let machine = Machine {
            clock: clock.clone(),
            tick: Duration::from_millis(50),
            inherited: Inherited::default(),
            program: program(),
            patience: app::PATIENCE,
        };
        let app = App::start(config, machine).await.map_err(|error| report(&error))?;
        let ca_file = Some(folder.path("ca.pem"));
        let http = Arc::new(Outbound::new(outbound::Settings { ca_file, ..Default::default() }));
        Ok(Self { clock, emulator, app, http, local_key, folder, sabotaged })
    }

    /// True when a test breaks this step: what it relies on is then not done, or undone.
    pub(super) fn is_sabotaged(&self, step: Step) -> bool {
        self.sabotaged == Some(step)
    }

    pub(super) async fn strike(self) {
        self.app.stop().await;
        self.emulator.stop().await;
    }

    pub(super) fn app_before(&self) -> LegacyApp {
        self.legacy_app(&self.emulator.authority_host(), Secret::new(REAL_SECRET))
    }

    pub(super) fn app_after(&self) -> LegacyApp {
        self.legacy_app(&self.broker(), self.local_key.clone())
    }

    fn legacy_app(&self, host: &str, secret: Secret) -> LegacyApp {
        LegacyApp {
            http: self.http.clone(),
            token_url: url(&format!("{host}/{TENANT}/oauth2/v2.0/token")),
            client_id: CLIENT.to_owned(),
            secret,
            scope: format!("{RESOURCE}/.default"),
        }
    }

    pub(super) async fn ask_imds(&self) -> Result<Seen, String> {
        let path = format!("metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}");
        self.ask(&path, HeaderName::from_static("metadata"), "true").await
    }

    pub(super) async fn ask_app_service(&self) -> Result<Seen, String> {
        let path = format!("msi/token?api-version=2019-08-01&resource={RESOURCE}");
        let wrong = "not the key that the broker knows, but as long";
        let key = if self.is_sabotaged(Step::Doors) { wrong } else { self.local_key.expose() };
        self.ask(&path, HeaderName::from_static("x-identity-header"), key).await
    }

    async fn ask(&self, path: &str, header: HeaderName, value: &str) -> Result<Seen, String> {
        let value = value.parse().map_err(|_| "a header value is no header value".to_owned())?;
        let request = Request::get(url(&format!("{}/{path}", self.broker()))).with(header, value);
        Seen::of(&self.http.send(request).await.map_err(|error| chain(&error))?)
    }

    pub(super) async fn admin_page(&self, path: &str) -> Result<String, String> {
        let address = self.app.places().admin.ok_or("the broker has no admin address")?;
        let answer = self.http.send(Request::get(url(&format!("http://{address}{path}")))).await;
        let answer = answer.map_err(|error| chain(&error))?;
        if answer.status != 200 {
            return Err(format!("{path} answered {}", answer.status));
        }
        String::from_utf8(answer.body.to_vec()).map_err(|_| format!("{path} is not text"))
    }

    /// What `/readyz?verbose` says of the identity once it has something to complain of; waits for it.
    pub(super) async fn trouble(&self) -> Result<String, String> {
        for _ in 0..PATIENCE {
            let page = self.admin_page("/readyz?verbose").await?;
            if let Some(short) = page.lines().find_map(in_short) {
                return Ok(short);
            }
            self.breathe().await;
        }
        Err("/readyz?verbose tells of no failure".to_owned())
    }

    fn broker(&self) -> String {
        format!("http://{}", self.app.places().http[0])
    }

    pub(super) fn journal_length(&self) -> usize {
        self.journal().len()
    }

    /// What Entra has answered; a request that has only just arrived says nothing yet.
    fn journal(&self) -> Vec<JournalEntry> {
        let answered = |entry: &JournalEntry| !matches!(entry.verdict, Verdict::Open);
        self.emulator.journal().into_iter().filter(answered).collect()
    }

    /// What the newest assertion said that Entra was shown.
    pub(super) fn newest_assertion(&self) -> String {
        self.journal().iter().rev().map(assertion).find(|said| !said.is_empty()).unwrap_or_default()
    }

    pub(super) fn newest_journal_line(&self) -> Result<JournalLine, String> {
        let journal = self.journal();
        let newest = journal.last().ok_or("Entra's journal is empty")?;
        Ok(JournalLine {
            credential: newest.credential.to_owned(),
            line: format!("journal: saw {}{}; {}", newest.credential, assertion(newest), verdict(newest)),
        })
    }

    pub(super) fn delete_secret(&self) {
        // A secret that is there still shows in the step.
        let _ = self.emulator.remove_secret(&client_id());
    }

    pub(super) fn take_entra_down(&self) {
        self.emulator.set_fault(None, Fault::Outage);
    }

    pub(super) fn bring_entra_back(&self) {
        self.emulator.clear_faults();
    }

    /// As the kubelet does: a new token in place of the old one.
    pub(super) fn write_platform_token(&self) {
        // A token that could not be made or written shows in the step: Entra sees the old one again.
        let _ = platform_token(&self.emulator).and_then(|token| self.folder.write("token", token.expose()));
    }

    pub(super) fn spoil_platform_token(&self) {
        // As above: the step itself notices.
        let _ = self.folder.write("token", "half a tok");
    }

    /// Lets time pass for everything on the stage.
    pub(super) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.app.poke().await;
    }

    pub(super) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if done(self) {
                return Ok(());
            }
            self.breathe().await;
        }
        Err(format!("waited in vain until {what}"))
    }

    pub(super) async fn until_new_token(&self, old: &Seen) -> Result<Seen, String> {
        for _ in 0..PATIENCE {
            let answer = self.app_after().ask().await?;
            if !answer.same_token(old) {
                answer.expect_token()?;
                return Ok(answer);
            }
            self.breathe().await;
        }
        Err("the app still has the old token".to_owned())
    }

    pub(super) async fn breathe(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    pub(super) fn curl_lines(&self) -> Vec<String> {
        let (broker, key) = (self.broker(), self.folder.path("caller.key"));
        let key = key.display();
        vec![
            format!(
                "curl -sH Metadata:true '{broker}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}'"
            ),
            format!(
                "curl -sH \"X-IDENTITY-HEADER: $(cat {key})\" '{broker}/msi/token?api-version=2019-08-01&resource={RESOURCE}'"
            ),
            format!(
                "curl -s {broker}/{TENANT}/oauth2/v2.0/token -d grant_type=client_credentials -d client_id={CLIENT} \\"
            ),
            format!("  -d scope={RESOURCE}/.default --data-urlencode client_secret@{key}"),
            format!(
                "curl -s --cacert {} {}/_journal",
                self.folder.path("ca.pem").display(),
                self.emulator.authority_host()
            ),
            self.app.places().admin.map(|admin| format!("curl -s http://{admin}/readyz?verbose")).unwrap_or_default(),
        ]
    }
}

fn verdict(entry: &JournalEntry) -> String {
    if entry.is_token() { "token issued".to_owned() } else { format!("refused: {:?}", entry.verdict) }
}

/// `sub` and `exp` of the assertion; empty without one.
fn assertion(entry: &JournalEntry) -> String {
    match (&entry.subject, entry.expires) {
        (Some(subject), Some(expires)) => format!(", sub {subject}, exp {expires}"),
        _ => String::new(),
    }
}

/// Out of `billing: ready; https://… held for 600 s (until …), last failure (…): … [code], remedy: …, next try in 3 s`.
fn in_short(line: &str) -> Option<String> {
    let (state, rest) = line.strip_prefix("billing: ")?.split_once("; ")?;
    let (held, rest) = rest.split_once(" held for ")?.1.split_once(" (until")?;
    let (failure, next) = rest.rsplit_once(", next try in ")?;
    let (code, _) = failure.rsplit_once('[')?.1.split_once(']')?;
    Some(format!("{state}, token held for {held}, last failure `{code}`, next try in {next}"))
}

fn client_id() -> Guid {
    #[expect(clippy::expect_used, reason = "a constant of this file")]
    Guid::parse(CLIENT).expect("a GUID")
}

fn url(text: &str) -> Url {
    #[expect(clippy::expect_used, reason = "put together from constants and socket addresses")]
    Url::parse(text).expect("a URL")
}

/// An hour from now, as a kubelet's token has by default.
fn platform_token(emulator: &Emulator) -> Result<Secret, String> {
    emulator.platform_token(ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).map_err(|error| chain(&error))
}

fn emulator_settings() -> String {
    format!(
        r#"
        [[tenant]]
        id = "{TENANT}"
        [[issuer]]
        url = "{ISSUER}"
        at = "127.0.0.1:0"
        hosted = true
        [[resource]]
        ids = ["{RESOURCE}"]
        [[application]]
        tenant = "{TENANT}"
        client_id = "{CLIENT}"
        secrets = ["{REAL_SECRET}"]
        [[application.federated_credential]]
        issuer = "{ISSUER}"
        subject = "{SUBJECT}"
        audience = "{AUDIENCE}"
        "#
    )
}

/// A folder of the demo's own, gone with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn create() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("unsecret-demo-{}", Guid::random()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    /// Whole or not at all: a reader never sees half a token.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let fresh = self.path(&format!("{name}.new"));
        let written = write_private(&fresh, text).and_then(|()| std::fs::rename(&fresh, self.path(name)));
        written.map_err(|error| format!("write {name}: {error}"))
    }

    fn config(&self, authority_host: &str) -> String {
        format!(
            r#"
            [listen]
            http = ["127.0.0.1:0"]
            admin = "127.0.0.1:0"
            [[identity]]
            name = "billing"
            tenant = "{TENANT}"
            client_id = "{CLIENT}"
            authority_host = "{authority_host}"
            ca_file = "{ca}"
            scopes = ["{RESOURCE}/.default"]
            assertion = {{ file = "{token}" }}
            any_local_caller = true
            [[identity.caller]]
            key_file = "{key}"
            "#,
            ca = self.path("ca.pem").display(),
            token = self.path("token").display(),
            key = self.path("caller.key").display(),
        )
    }
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: a folder that cannot be removed holds nothing that is worth anything.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
