//! An answer whose body is still to come: read whole, or bit by bit as long as it lasts.
//!
//! Easy to get wrong: a body that grows in a vector leaves copies of a token behind, so room is made for all of it at once.

use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::failure::Way;
use super::{Answer, OutboundError, Settings};

/// Room for the body of an answer that does not announce its length: the largest tokens fit.
const USUAL_BODY: usize = 32 * 1024;

/// Head read, body not. Dropping it closes the connection.
#[derive(Debug)]
pub struct Opened<'a> {
    pub(super) response: reqwest::Response,
    pub(super) settings: &'a Settings,
    pub(super) peer: String,
    pub(super) proxy: Option<String>,
    pub(super) deadline: Duration,
}

impl Opened<'_> {
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The next bit, as it came; `None` at the end. Not wiped. Cancel-safe.
    pub async fn bit(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let bit = self.response.chunk().await;
        bit.map_err(|error| self.way().failure(&error))
    }

    /// All of it, up to the settings' limit.
    pub async fn whole(mut self) -> Result<Answer, OutboundError> {
        let limit = self.settings.max_body;
        let announced = self.response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(USUAL_BODY).min(limit)));
        while let Some(bit) = self.bit().await? {
            if body.len() + bit.len() > limit {
                return Err(OutboundError::TooLarge { peer: self.peer, limit });
            }
            body.extend_from_slice(&bit);
        }
        let headers = std::mem::take(self.response.headers_mut());
        Ok(Answer { status: self.status(), headers, body })
    }

    fn way(&self) -> Way<'_> {
        Way {
            peer: &self.peer,
            proxy: self.proxy.as_deref(),
            credentials: self.settings.proxy_auth_file.is_some(),
            connect_timeout: self.settings.connect_timeout,
            deadline: self.deadline,
        }
    }
}
