//! One module: its child, what is open in it, and which tokens rest. Shared by all keys behind it.
//!
//! One call at a time, so the whole of it stands behind one lock, which is held over a signature: a module is one process,
//! and most run one call at a time anyway. Easy to get wrong: an absent token is looked for in a fresh child, since many
//! modules list their slots once; but in one beside the child that serves the other tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::codes::{self, Cure, Tried};
use super::line::{Launcher, Line, Trouble};
use super::messages::{Answer, Library, Request, Token};
use crate::clock::Clock;
use crate::signer::{Attempts, Pkcs11Uri, SignError, Whereabouts};

/// How long a token rests after a failure: from the first to the last.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A module that is loaded when first used.
pub(in crate::signer) struct Module {
    pub(super) path: PathBuf,
    pub(super) attempts: Attempts,
    pub(super) force: bool,
    limit: Duration,
    launcher: Box<dyn Launcher>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// Counts sessions over all children: one that is open has a number that none had before.
    sessions: u64,
    /// By what the keys' URIs say of the token.
    resting: BTreeMap<String, Rest>,
    /// Tokens at whose key pad a wrong PIN was typed in: nobody but a person may try again.
    mistyped: BTreeSet<String>,
}

#[derive(Debug)]
struct Running {
    line: Line,
    library: Library,
    open: BTreeMap<u64, Session>,
    /// Started in this very turn.
    fresh: bool,
}

/// The session of a token.
#[derive(Clone, Copy, Debug)]
struct Session {
    number: u64,
    write: bool,
    logged_in: bool,
}

#[derive(Debug)]
struct Rest {
    until: Duration,
    length: Duration,
    why: Arc<SignError>,
}

impl Module {
    pub(in crate::signer) fn new(
        path: PathBuf,
        launcher: Box<dyn Launcher>,
        limit: Duration,
        (attempts, force): (Attempts, bool),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { path, attempts, force, limit, launcher, clock, state: Mutex::default() }
    }

    /// Waits until nobody else uses the module.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let mut state = self.state.lock().await;
        if let Some(running) = &mut state.running {
            running.fresh = false;
        }
        Turn { module: self, state }
    }

    async fn launch(&self) -> Result<Running, SignError> {
        let (path, place) = (&self.path, self.path.display().to_string());
        let unstartable = |error| SignError::ModuleUnloadable {
            path: path.clone(),
            why: format!("its process could not be started: {error}"),
        };
        let mut line = self.launcher.launch().map_err(unstartable)?;
        match line.ask(&Request::Start, self.limit).await {
            Ok(Answer::Started(library)) => Ok(Running { line, library, open: BTreeMap::new(), fresh: true }),
            Ok(_) => Err(SignError::Died { place, function: "C_Initialize" }),
            Err(trouble) => Err(codes::error(trouble, &place, path)),
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The module for oneself.
pub(super) struct Turn<'a> {
    pub(super) module: &'a Module,
    state: MutexGuard<'a, State>,
}

impl Turn<'_> {
    /// The last failure of this token, while it rests.
    pub(super) fn awake(&self, key: &Pkcs11Uri) -> Result<(), SignError> {
        match self.state.resting.get(&place(key)) {
            Some(rest) if self.module.clock.now().mono < rest.until => Err(SignError::Cooling(Arc::clone(&rest.why))),
            _ => Ok(()),
        }
    }

    /// Does what may help after a failure, before another try; or gives the failure back, for good.
    pub(super) fn cure(
        &mut self,
        key: &Pkcs11Uri,
        slot: Option<u64>,
        error: SignError,
        tried: &mut Tried,
    ) -> Result<(), SignError> {
        match codes::cure(&error, *tried) {
            Cure::Reopen => {
                tried.reopened = true;
                if let Some(slot) = slot {
                    self.close(slot);
                }
                Ok(())
            }
            // A child that was started in this turn has had its chance.
            Cure::Respawn if !self.state.running.as_ref().is_some_and(|running| running.fresh) => {
                tried.respawned = true;
                self.end();
                Ok(())
            }
            Cure::Respawn | Cure::None => Err(self.settle(key, error)),
        }
    }

    /// The end of a turn that failed.
    fn settle(&mut self, key: &Pkcs11Uri, error: SignError) -> SignError {
        if codes::condemns(&error) {
            self.end();
        }
        if !codes::cools(&error) {
            return error;
        }
        let place = place(key);
        let length = self.state.resting.get(&place).map_or(REST.0, |rest| (rest.length * 2).min(REST.1));
        let why = Arc::new(error);
        let rest = Rest { until: self.module.clock.now().mono + length, length, why: Arc::clone(&why) };
        self.state.resting.insert(place, rest);
        SignError::Cooling(why)
    }

    /// The end of a turn that went well.
    pub(super) fn well(&mut self, key: &Pkcs11Uri) {
        self.state.resting.remove(&place(key));
    }

    /// The token that is meant, as it is now.
    pub(super) async fn token(&mut self, key: &Pkcs11Uri) -> Result<Token, SignError> {
        self.start().await?;
        match one(self.tokens(key).await?, key) {
            Err(SignError::TokenAbsent { .. }) if !self.running()?.fresh => {
                self.look_afresh(key).await?;
                one(self.tokens(key).await?, key)
            }
            found => found,
        }
    }

    /// All tokens that may be meant.
    pub(super) async fn tokens(&mut self, key: &Pkcs11Uri) -> Result<Vec<Token>, SignError> {
        self.start().await?;
        let place = self.module.path.display().to_string();
        let Answer::Tokens(tokens, failures) = self.ask(&Request::Tokens, &place).await? else {
            return Err(self.nonsense("C_GetTokenInfo", &place));
        };
        let library = &self.running()?.library;
        let fitting: Vec<_> = tokens.into_iter().filter(|token| fits(key, library, token)).collect();
        match failures.into_iter().next() {
            // One that cannot be asked may be the one.
            Some(failure) if fitting.is_empty() => {
                Err(codes::error(Trouble::Failed(failure), &place, &self.module.path))
            }
            _ => Ok(fitting),
        }
    }

    /// Opens the token's session, unless there is one. Its number.
    pub(super) async fn open(&mut self, token: &Token, write: bool) -> Result<u64, SignError> {
        if let Some(session) = self.running()?.open.get(&token.slot)
            && (session.write || !write)
        {
            return Ok(session.number);
        }
        self.close(token.slot);
        self.ask(&Request::Open { slot: token.slot, write }, &token.label).await?;
        self.state.sessions += 1;
        let number = self.state.sessions;
        self.running()?.open.insert(token.slot, Session { number, write, logged_in: false });
        Ok(number)
    }

    /// Whether the session with this number is still open.
    pub(super) fn is_open(&self, slot: u64, number: u64) -> bool {
        let running = self.state.running.as_ref();
        running.and_then(|running| running.open.get(&slot)).is_some_and(|session| session.number == number)
    }

    pub(super) fn is_logged_in(&self, slot: u64) -> bool {
        let running = self.state.running.as_ref();
        running.and_then(|running| running.open.get(&slot)).is_some_and(|session| session.logged_in)
    }

    pub(super) fn logged_in(&mut self, slot: u64) {
        if let Some(session) = self.state.running.as_mut().and_then(|running| running.open.get_mut(&slot)) {
            session.logged_in = true;
        }
    }

    pub(super) fn mistyped(&mut self) -> &mut BTreeSet<String> {
        &mut self.state.mistyped
    }

    /// Forgets the session: the next one takes its place in the child too.
    pub(super) fn close(&mut self, slot: u64) {
        if let Some(running) = &mut self.state.running {
            running.open.remove(&slot);
        }
    }

    /// One request; `place` is for the error.
    pub(super) async fn ask(&mut self, request: &Request, place: &str) -> Result<Answer, SignError> {
        self.try_ask(request).await.map_err(|trouble| codes::error(trouble, place, &self.module.path))
    }

    /// One request, for who wants to see the result's code.
    pub(super) async fn try_ask(&mut self, request: &Request) -> Result<Answer, Trouble> {
        let Some(running) = &mut self.state.running else { return Err(Trouble::Died { function: "C_Initialize" }) };
        let outcome = running.line.ask(request, self.module.limit).await;
        if let Err(Trouble::Hung { .. } | Trouble::Died { .. }) = outcome {
            self.state.running = None;
        }
        outcome
    }

    /// For an answer to another question.
    pub(super) fn nonsense(&mut self, function: &'static str, place: &str) -> SignError {
        self.end();
        SignError::Died { place: place.to_owned(), function }
    }

    fn running(&mut self) -> Result<&mut Running, SignError> {
        let place = || self.module.path.display().to_string();
        self.state.running.as_mut().ok_or_else(|| SignError::Died { place: place(), function: "C_Initialize" })
    }

    async fn start(&mut self) -> Result<(), SignError> {
        if self.state.running.is_none() {
            self.state.running = Some(self.module.launch().await?);
        }
        Ok(())
    }

    /// Puts a fresh child in the place of the one that runs, if the token is there.
    async fn look_afresh(&mut self, key: &Pkcs11Uri) -> Result<(), SignError> {
        if self.running()?.open.is_empty() {
            self.end();
            return self.start().await;
        }
        let mut fresh = self.module.launch().await?;
        let tokens = fresh.line.ask(&Request::Tokens, self.module.limit).await;
        if let Ok(Answer::Tokens(tokens, _)) = tokens
            && tokens.iter().any(|token| fits(key, &fresh.library, token))
        {
            // The old one was well: it may say goodbye to the tokens that it served.
            self.state.running = Some(fresh);
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some(mut running) = self.state.running.take() {
            running.line.kill();
        }
    }
}

fn fits(key: &Pkcs11Uri, library: &Library, token: &Token) -> bool {
    // A slot that waits for its first token, as SoftHSM always has one.
    let blank = !token.initialized && token.label.trim().is_empty();
    !blank
        && key.fits(Whereabouts {
            library_manufacturer: &library.manufacturer,
            library_description: &library.description,
            library_version: (library.major, library.minor),
            slot_manufacturer: &token.slot_manufacturer,
            slot_description: &token.slot_description,
            token: &token.label,
            serial: &token.serial,
            manufacturer: &token.manufacturer,
            model: &token.model,
        })
}

fn one(mut tokens: Vec<Token>, key: &Pkcs11Uri) -> Result<Token, SignError> {
    let named = || key.token.clone().or_else(|| key.serial.clone()).unwrap_or_else(|| place(key));
    match tokens.len() {
        0 => Err(SignError::TokenAbsent { token: named() }),
        1 => Ok(tokens.remove(0)),
        _ => {
            let each = |token: &Token| format!("`{}` with serial {}", token.label, token.serial);
            let found = tokens.iter().map(each).collect::<Vec<_>>().join(", ");
            Err(SignError::TokenAmbiguous { token: named(), found })
        }
    }
}

/// What the URI says of the token, without the key.
fn place(key: &Pkcs11Uri) -> String {
    Pkcs11Uri { object: None, id: None, pin: None, ..key.clone() }.to_string()
}
