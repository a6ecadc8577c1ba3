//! The issuer's public keys: from a file, or found as OpenID Connect discovery says.
//!
//! Keeps nothing: a person asks once. Easy to get wrong: the discovery document must name the very issuer that was asked for,
//! or a stranger's document would bring a stranger's keys.

use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::super::terminal::patiently;
use super::error::InspectError;
use crate::inspect::{safe_text, verify};
use crate::outbound::{Outbound, Request, Settings};

/// Where the keys come from.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Keys {
    /// The issuer's keys, saved from its `jwks_uri`
    #[arg(long, value_name = "FILE", requires = "verify")]
    jwks: Option<PathBuf>,
    /// Ask the issuer for its keys, over the network
    #[arg(long, requires = "verify")]
    discover: bool,
    /// More root certificates for that, such as an inspecting proxy's
    #[arg(long, value_name = "FILE", requires = "discover")]
    ca_file: Option<PathBuf>,
    /// An HTTP proxy for that, such as `http://proxy.internal:3128`
    #[arg(long, value_name = "URL", requires = "discover")]
    proxy: Option<Url>,
}

impl Keys {
    /// Reads or fetches them.
    pub(super) fn read(&self, issuer: &str) -> Result<verify::Keys, InspectError> {
        if let Some(path) = &self.jwks {
            let from = format!("`{}`", path.display());
            let json = std::fs::read(path).map_err(|source| InspectError::Unreadable { from: from.clone(), source })?;
            return verify::Keys::parse(&json).map_err(|source| InspectError::Keys { from, source });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(InspectError::Runtime)?.block_on(patiently("the issuer's keys", self.discover(issuer)))
    }

    async fn discover(&self, issuer: &str) -> Result<verify::Keys, InspectError> {
        let settings = Settings { ca_file: self.ca_file.clone(), proxy: self.proxy.clone(), ..Settings::default() };
        let outbound = Outbound::new(settings);
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Value = serde_json::from_slice(&ask(&outbound, &at).await?)
            .map_err(|_| InspectError::Document { at: safe_text(&at) })?;
        let field = |name| document.get(name).and_then(Value::as_str);
        let (Some(found), Some(keys)) = (field("issuer"), field("jwks_uri")) else {
            return Err(InspectError::Document { at: safe_text(&at) });
        };
        if found != issuer {
            let (at, found, wanted) = (safe_text(&at), safe_text(found), safe_text(issuer));
            return Err(InspectError::OtherIssuer { at, found, wanted });
        }
        let json = ask(&outbound, keys).await?;
        verify::Keys::parse(&json).map_err(|source| InspectError::Keys { from: safe_text(keys), source })
    }
}

async fn ask(outbound: &Outbound, at: &str) -> Result<Vec<u8>, InspectError> {
    let shown = safe_text(at);
    let url = Url::parse(at).ok().filter(|url| url.scheme() == "https");
    let url = url.ok_or_else(|| InspectError::Address { found: shown.clone() })?;
    let answer = outbound.send(Request::document(url)).await;
    let answer = answer.map_err(|source| InspectError::Unreached { at: shown.clone(), source })?;
    match answer.status {
        200 => Ok(answer.body.to_vec()),
        status => Err(InspectError::Status { at: shown, status }),
    }
}
