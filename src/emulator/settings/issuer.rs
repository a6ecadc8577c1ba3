//! An issuer as TOML spells it, and what is checked about it.
//!
//! Easy to get wrong: an issuer with a loopback URL is no wrong setting; Entra refuses it with 70022 when it is used.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::file::Check;
use super::{GithubSettings, IssuerSettings};
use crate::secret::Secret;

/// GitHub's tokens live minutes (contract C2).
const GITHUB_LIFE: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    url: String,
    at: String,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    hosted: bool,
    github: Option<RawGithub>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGithub {
    request_token: String,
    subject: String,
    owner_url: String,
    token_lifetime: Option<String>,
}

impl Check {
    pub(super) fn issuer(&mut self, path: &str, raw: RawIssuer) -> IssuerSettings {
        if url::Url::parse(&raw.url).is_err() {
            self.wrong(&format!("{path}.url"), &format!("{:?} is no URL such as \"https://issuer.example\"", raw.url));
        }
        if raw.github.is_some() && !raw.hosted {
            self.wrong(&format!("{path}.github"), "needs hosted = true");
        }
        if raw.ca_file.is_some() && raw.hosted {
            self.wrong(&format!("{path}.ca_file"), "is for a server of yours; a hosted issuer speaks plain HTTP");
        }
        let github = raw.github.map(|github| GithubSettings {
            request_token: Secret::new(github.request_token),
            subject: github.subject,
            owner_url: github.owner_url,
            token_lifetime: github
                .token_lifetime
                .map_or(GITHUB_LIFE, |text| self.duration(&format!("{path}.github.token_lifetime"), &text)),
        });
        let at = self.address(&format!("{path}.at"), &raw.at);
        IssuerSettings { at, url: raw.url, ca_file: raw.ca_file, hosted: raw.hosted, github }
    }
}
