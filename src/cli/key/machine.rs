//! What the key verbs work with: this machine's modules and TPM, and the record of logins that the broker keeps too.
//!
//! Easy to get wrong: a key on the command line is held to the configuration's rules where one is named, and a PIN that
//! is asked for at the terminal goes through the same record as one from a file.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::Stop;
use super::prompt;
use crate::cli::terminal::patiently;
use crate::cli::{Exit, note, program};
use crate::clock::SystemClock;
use crate::config::{Environment, HardwareSettings};
use crate::signer::{KeyUri, PinSource, Settings, SignError, Signers};

/// Where keys are, and where logins are recorded.
#[derive(Debug, clap::Args)]
pub(super) struct Machine {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where refused PINs are recorded; name the broker's, or one may be tried twice
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    state_dir: Option<PathBuf>,
    /// A variable for the PKCS#11 module, such as SOFTHSM2_CONF=/etc/softhsm2.conf; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    module_environment: Vec<(String, String)>,
    /// How to reach the TPM, such as device:/dev/tpmrm0
    #[arg(long, value_name = "TCTI")]
    tcti: Option<String>,
}

fn absolute(text: &str) -> Result<PathBuf, std::io::Error> {
    std::path::absolute(text)
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("write NAME=VALUE")
}

/// A key, and what opens it.
pub(super) struct Opened {
    pub(super) uri: KeyUri,
    pub(super) signers: Signers,
}

impl Machine {
    /// What the configuration says, and over it what was typed.
    pub(super) fn settings(&self) -> Result<HardwareSettings, Stop> {
        let loaded = HardwareSettings::load(self.config.as_deref(), &Environment::of_process());
        let mut settings = loaded.map_err(|problems| {
            note(&problems.report());
            Stop::Told(Exit::Usage)
        })?;
        if let Some(directory) = &self.state_dir {
            settings.state_dir.clone_from(directory);
        }
        if let Some(tcti) = &self.tcti {
            settings.tcti.clone_from(tcti);
        }
        settings.environment.extend(self.module_environment.iter().cloned());
        Ok(settings)
    }

    /// What opens keys that have their PIN from a file.
    pub(super) fn signers(&self) -> Result<Signers, Stop> {
        Ok(signers(&self.settings()?, false))
    }

    /// Does `work` with the key that `text` names; where that wants a PIN and a person sits at the terminal, asks for it
    /// and does it again.
    pub(super) async fn with<T>(
        &self,
        text: &str,
        force: bool,
        work: impl AsyncFn(&Opened) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let settings = self.settings()?;
        let uri = resolved(settings.key(text)?);
        let opened = |uri| Opened { uri, signers: signers(&settings, force) };
        let first = patiently("the key", work(&opened(uri.clone()))).await;
        let Err(Stop::Sign(error)) = first else { return first };
        let (Some(token), true) = (wanting_pin(&error), prompt::is_possible()) else { return Err(Stop::Sign(error)) };
        let pin = PinSource::Given(prompt::pin(token)?);
        // All anew: a worker that has just failed would hold the next call off for a while.
        patiently("the key", work(&opened(unlocked(uri, pin)))).await
    }
}

fn signers(settings: &HardwareSettings, force: bool) -> Signers {
    let HardwareSettings { state_dir, environment, withheld, limit, tcti, .. } = settings.clone();
    let settings = Settings { program: program(), environment, withheld, state: state_dir, limit, tcti, force };
    Signers::new(settings, Arc::new(SystemClock::new()))
}

/// A key file by its whole path: what is printed is to be written into a configuration.
fn resolved(uri: KeyUri) -> KeyUri {
    match uri {
        KeyUri::File { path, password_file } => {
            let path = std::path::absolute(&path).unwrap_or(path);
            KeyUri::File { path, password_file }
        }
        uri => uri,
    }
}

/// The token that wants a PIN and was given none.
fn wanting_pin(error: &SignError) -> Option<&str> {
    match error {
        SignError::PinMissing { token } => Some(token),
        SignError::Cooling(earlier) => wanting_pin(Arc::as_ref(earlier)),
        _ => None,
    }
}

fn unlocked(uri: KeyUri, pin: PinSource) -> KeyUri {
    match uri {
        KeyUri::Pkcs11(mut key) => {
            key.pin = Some(pin);
            KeyUri::Pkcs11(key)
        }
        KeyUri::Tpm(mut key) => {
            key.auth = Some(pin);
            KeyUri::Tpm(key)
        }
        uri @ KeyUri::File { .. } => uri,
    }
}
