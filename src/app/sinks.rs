//! The sinks of a configuration, connected to what they write.
//!
//! Describes; whoever starts them starts them. Easy to get wrong: a token sink reads what the broker holds as a prefetch,
//! so its resource has to be among those.

use std::sync::Arc;

use crate::assertion::AssertionSource;
use crate::broker::Broker;
use crate::config::{Identity, SinkContent, SinkSettings, TokenFormat};
use crate::ids::Resource;
use crate::secret::Fingerprint;
use crate::sink::{Content, Format, Sink, Target};

/// What an identity has to hold from the start on: what it was told to, and what its sinks write.
pub(super) fn prefetch(identity: &Identity) -> Vec<Resource> {
    let mut resources = identity.prefetch.clone();
    for sink in &identity.sinks {
        if let SinkContent::Token { resource, .. } = &sink.content
            && !resources.contains(resource)
        {
            resources.push(resource.clone());
        }
    }
    resources
}

/// One identity's sinks over the parts that were wired for it.
pub(super) fn connected(
    identity: &Identity,
    mark: Fingerprint,
    source: &Arc<dyn AssertionSource>,
    broker: &Arc<Broker>,
) -> Vec<Sink> {
    let connect = |settings: &SinkSettings| Sink {
        identity: identity.entry.name.clone(),
        required: identity.required,
        target: settings.into(),
        content: match &settings.content {
            SinkContent::Token { resource, format } => {
                Content::Token { broker: Arc::clone(broker), resource: resource.clone(), format: rendered(format) }
            }
            SinkContent::Assertion => {
                Content::Assertion { source: Arc::clone(source), token_url: identity.authority.token_url().to_string() }
            }
        },
        mark,
        reload: settings.reload.clone(),
    };
    identity.sinks.iter().map(connect).collect()
}

impl From<&SinkSettings> for Target {
    fn from(settings: &SinkSettings) -> Self {
        let SinkSettings { file, mode, owner, group, .. } = settings.clone();
        Self { file, mode, owner, group }
    }
}

fn rendered(format: &TokenFormat) -> Format {
    match format {
        TokenFormat::Raw => Format::Raw,
        TokenFormat::Json => Format::Json,
        TokenFormat::Header => Format::Header,
        TokenFormat::Pgpass(fields) => Format::Pgpass(fields.clone()),
    }
}
