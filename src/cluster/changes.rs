//! A watch: one change a line, for as long as the server likes.
//!
//! Easy to get wrong: a connection through something that drops idle ones says nothing for ever, so a watch that is silent for
//! longer than the server's bookmarks are apart is given up.

use std::time::Duration;

use serde_json::Value;

use super::error::{ClusterError, json};
use crate::outbound::Opened;

/// After which a server ends a watch, and another begins: nobody's view is older than this for lack of an event.
pub(super) const LASTS: Duration = Duration::from_secs(240);
/// A server sends a bookmark every minute or so.
const SILENCE: Duration = Duration::from_secs(150);
/// No object is larger than 1.5 MiB in etcd.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// What happened to one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is so now, whether new or changed.
    Now(Value),
    /// It was so last.
    Gone(Value),
    /// Nothing; there is a new place to go on from.
    Mark,
}

/// An open watch. Dropping it closes its connection.
#[derive(Debug)]
pub struct Changes<'a> {
    path: String,
    opened: Opened<'a>,
    /// Read and not told yet.
    rest: Vec<u8>,
    /// How much of it is known to hold no end of a line.
    looked: usize,
}

impl<'a> Changes<'a> {
    pub(super) fn new(path: String, opened: Opened<'a>) -> Self {
        Self { path, opened, rest: Vec::new(), looked: 0 }
    }

    /// The next change and the version from which a watch goes on behind it; `None` when the server has ended the watch.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ClusterError::is_forgotten`] where all has to be listed anew.
    pub async fn next(&mut self) -> Result<Option<(Change, String)>, ClusterError> {
        loop {
            if let Some(line) = self.line() {
                return told(&self.path, &line).map(Some);
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(ClusterError::strange("watch", &self.path, "a line that does not end"));
            }
            match tokio::time::timeout(SILENCE, self.opened.bit()).await {
                Err(_) => return Ok(None),
                Ok(bit) => match bit? {
                    None => return Ok(None),
                    Some(bit) => self.rest.extend_from_slice(&bit),
                },
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', &self.rest[self.looked..]).map(|end| self.looked + end);
        self.looked = if end.is_some() { 0 } else { self.rest.len() };
        let after = self.rest.split_off(end? + 1);
        Some(std::mem::replace(&mut self.rest, after))
    }
}

fn told(path: &str, line: &[u8]) -> Result<(Change, String), ClusterError> {
    let mut event: Value = json("watch", path, line)?;
    let object = event.get_mut("object").map(Value::take).unwrap_or_default();
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    match event["type"].as_str() {
        Some("ADDED" | "MODIFIED") if object.is_object() => Ok((Change::Now(object), version)),
        Some("DELETED") if object.is_object() => Ok((Change::Gone(object), version)),
        Some("BOOKMARK") => Ok((Change::Mark, version)),
        Some("ERROR") => {
            let status = object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            Err(ClusterError::said("watch", path, status, &object))
        }
        _ => Err(ClusterError::strange("watch", path, "an event of no known type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_other_json_is_an_error_and_no_panic() {
        for line in ["[]", "5", "null", "\"ADDED\"", r#"{"type":"ADDED"}"#, r#"{"type":"ADDED","object":[1]}"#] {
            assert!(told("/", line.as_bytes()).is_err(), "{line}");
        }
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#;
        assert_eq!(told("/", line).unwrap(), (Change::Mark, "7".to_owned()));
    }
}
