//! How a token stands in a file.
//!
//! Times are absolute: a file is read whenever its reader likes. Easy to get wrong: a raw token and an assertion end
//! without a newline, because Azure's SDKs in Python and Go send what they read as it is (contract B10).

use std::fmt::Write as _;

use serde_json::json;
use zeroize::Zeroizing;

use crate::broker::Minted;

/// The forms of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Raw,
    /// With `expires_on` in seconds since 1970.
    Json,
    /// `Authorization: Bearer …`, as `curl -H @FILE` reads it.
    Header,
    /// A password file of PostgreSQL: these four fields, escaped already, then the token.
    Pgpass(String),
}

impl Format {
    /// The whole content of the file.
    pub(super) fn render(&self, minted: &Minted) -> Zeroizing<String> {
        let token = minted.access_token.expose();
        // Room for all of it at once: growing would leave copies of the token behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * token.len() + 1_024));
        let written = match self {
            Self::Raw => write!(text, "{token}"),
            Self::Json => {
                let (resource, client_id) = (json!(minted.resource.as_str()), json!(minted.client_id.as_str()));
                let token = Zeroizing::new(json!(token).to_string());
                let expires = minted.expires.epoch();
                writeln!(
                    text,
                    "{{\"access_token\":{},\"token_type\":\"Bearer\",\"expires_on\":{expires},\"resource\":{resource},\
                     \"client_id\":{client_id}}}",
                    &*token
                )
            }
            Self::Header => writeln!(text, "Authorization: Bearer {token}"),
            Self::Pgpass(fields) => {
                let token = Zeroizing::new(token.replace('\\', "\\\\").replace(':', "\\:"));
                writeln!(text, "{fields}:{}", &*token)
            }
        };
        // A string takes everything.
        debug_assert!(written.is_ok());
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::Fresh;
    use crate::clock::{Clock as _, ManualClock};
    use crate::ids::{Guid, Resource};
    use crate::secret::Secret;

    fn rendered(format: &Format, token: &str) -> String {
        let fresh = Fresh {
            access_token: Secret::new(token),
            expires_in: Duration::from_secs(3_600),
            ext_expires_in: None,
            refresh_in: None,
        };
        let client = Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap();
        let resource = Resource::parse("https://vault.azure.net").unwrap();
        let now = ManualClock::standing(1_800_000_000).now();
        format.render(&Minted::new(fresh, client, resource, now)).to_string()
    }

    #[test]
    fn a_raw_token_stands_alone() {
        assert_eq!(rendered(&Format::Raw, "a.b.c"), "a.b.c");
    }

    #[test]
    fn json_has_what_a_reader_needs_to_know_when_to_read_again() {
        let read: serde_json::Value = serde_json::from_str(&rendered(&Format::Json, "a\"b")).unwrap();
        let expected = json!({
            "access_token": "a\"b", "token_type": "Bearer", "expires_on": 1_800_003_600,
            "resource": "https://vault.azure.net", "client_id": "33333333-dddd-4eee-8fff-444444444444",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_header_is_a_line() {
        assert_eq!(rendered(&Format::Header, "a.b.c"), "Authorization: Bearer a.b.c\n");
    }

    #[test]
    fn a_password_file_escapes_what_would_end_a_field() {
        let format = Format::Pgpass("db.example:5432:*:billing".to_owned());
        assert_eq!(rendered(&format, "a.b.c"), "db.example:5432:*:billing:a.b.c\n");
        assert_eq!(rendered(&format, r"a:b\c"), "db.example:5432:*:billing:a\\:b\\\\c\n");
    }
}
