//! The configuration of one process: one identity, and one caller that nobody else can be.
//!
//! For verbs that mint for themselves. Permission still comes from policy: the identity's callers become one fresh local
//! key, which no other process knows. Easy to get wrong: the file's own doors, callers and sinks belong to the broker
//! and must not come to life here a second time.

use std::borrow::Cow;
use std::path::PathBuf;

use super::{Exit, complain, note};
use crate::config::{Config, ConfigProblems, Environment};
use crate::ids::IdentityName;
use crate::policy::CallerRule;
use crate::problem::{Blame, Problem};
use crate::secret::local_key::{LocalKey, LocalKeyError};

/// Which identity of which configuration.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The identity, where the configuration has several
    #[arg(long, value_name = "NAME")]
    pub(super) identity: Option<String>,
}

/// Why there is no one identity.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivateError {
    #[error("choose an identity: the configuration has {}, and none was named", listed(.0))]
    Unnamed(Vec<IdentityName>),
    #[error("choose identity `{asked}`: the configuration has {}", listed(.has))]
    Unknown { asked: String, has: Vec<IdentityName> },
    #[error("make a local key")]
    Key(#[from] LocalKeyError),
}

impl Problem for PrivateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unnamed(_) => "identity-not-chosen",
            Self::Unknown { .. } => "identity-not-configured",
            Self::Key(_) => "local-key-not-made",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unnamed(_) | Self::Unknown { .. } => Blame::Caller,
            Self::Key(_) => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Unnamed(_) | Self::Unknown { .. } => "name one of them with --identity".into(),
            Self::Key(error) => error.remedy().into(),
        })
    }
}

fn listed(names: &[IdentityName]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Which {
    /// True when a flag asks for a configuration.
    pub(super) fn is_given(&self) -> bool {
        self.config.is_some() || self.identity.is_some()
    }

    /// The configuration with the one identity, open to any caller; or the status to leave with, after a word on stderr.
    pub(super) fn load(&self) -> Result<Config, Exit> {
        self.chosen(Config::load_identities(self.config.as_deref(), &Environment::of_process()))
    }

    /// The same with where its broker listens.
    pub(super) fn load_places(&self) -> Result<Config, Exit> {
        self.chosen(Config::load_places(self.config.as_deref(), &Environment::of_process()))
    }

    fn chosen(&self, loaded: Result<Config, ConfigProblems>) -> Result<Config, Exit> {
        let mut config = loaded.map_err(|problems| {
            note(&problems.report());
            Exit::Usage
        })?;
        choose(&mut config, self.identity.as_deref()).map_err(|error| {
            complain(&error);
            Exit::Usage
        })?;
        // They are told by `run` and `check`; a verb that runs a hundred times a day would bury its own words.
        config.warnings.clear();
        Ok(config)
    }
}

/// Leaves one identity in the configuration.
fn choose(config: &mut Config, asked: Option<&str>) -> Result<(), PrivateError> {
    let has = || config.identities.iter().map(|identity| identity.entry.name.clone()).collect();
    match asked {
        None if config.identities.len() == 1 => {}
        None => return Err(PrivateError::Unnamed(has())),
        Some(asked) if config.identities.iter().any(|identity| identity.entry.name.as_str() == asked) => {
            config.identities.retain(|identity| identity.entry.name.as_str() == asked);
        }
        Some(asked) => return Err(PrivateError::Unknown { asked: asked.to_owned(), has: has() }),
    }
    Ok(())
}

/// Closes every identity to all but the holder of a key made now.
pub(super) fn close(config: &mut Config) -> Result<LocalKey, PrivateError> {
    let key = LocalKey::generate()?;
    for identity in &mut config.identities {
        identity.entry.any_local_caller = false;
        identity.entry.callers = vec![CallerRule::Key(key.fingerprint())];
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[listen]
unix = "/nowhere/unsecret.sock"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
prefetch = ["https://graph.microsoft.com/.default"]
assertion = { file = "/nowhere/token" }
[[identity.caller]]
key_file = "/nowhere/billing.caller"
[[identity]]
name = "shop"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "55555555-dddd-4eee-8fff-666666666666"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "/nowhere/token" }
any_local_caller = true
"#;

    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, TEXT).unwrap();
        Config::load_identities(Some(&file), &Environment::default()).unwrap()
    }

    #[test]
    fn one_identity_is_left_and_only_the_new_key_opens_it() {
        let mut config = config();
        choose(&mut config, Some("billing")).unwrap();
        let key = close(&mut config).unwrap();
        let [identity] = &config.identities[..] else { panic!("one identity") };
        assert_eq!(identity.entry.callers, [CallerRule::Key(key.fingerprint())]);
        assert!(!identity.entry.any_local_caller && identity.prefetch.is_empty());
        assert_eq!(config.listen.unix, None, "the broker's doors are the broker's");
    }

    #[test]
    fn several_identities_need_a_name_and_a_wrong_one_is_told_the_right_ones() {
        let unnamed = choose(&mut config(), None).unwrap_err();
        assert_eq!(
            unnamed.to_string(),
            "choose an identity: the configuration has `billing`, `shop`, and none was named"
        );
        let unknown = choose(&mut config(), Some("biling")).unwrap_err();
        assert_eq!(unknown.to_string(), "choose identity `biling`: the configuration has `billing`, `shop`");
    }
}
