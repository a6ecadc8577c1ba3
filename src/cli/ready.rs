//! Tells whoever started `unsecret run` that the doors are open, and where they are.
//!
//! For a starter that lets the system choose ports (`127.0.0.1:0`) and wants no polling: one line of JSON on a connected
//! socket that is handed over under the name `ready`, then it is closed. Not `sd_notify`, which carries no addresses. Easy
//! to get wrong: a starter that has left, or does not read, must not keep the broker from serving.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::Places;

/// One line fits into every socket's buffer; this is for a starter that filled it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes the line and hangs up.
pub(super) fn tell(mut starter: UnixStream, places: &Places) {
    // A starter may have made its end, and with it this one, non-blocking.
    let prepared = starter.set_nonblocking(false).and_then(|()| starter.set_write_timeout(Some(PATIENCE)));
    if let Err(error) = prepared.and_then(|()| starter.write_all(line(places).as_bytes())) {
        tracing::warn!(%error, "whoever started us could not be told that the doors are open");
    }
}

fn line(places: &Places) -> String {
    let listed =
        |addresses: &[SocketAddr]| addresses.iter().map(|address| json!(address.to_string())).collect::<Value>();
    let Places { http, https, unix, admin } = places;
    let admin = admin.map(|address| address.to_string());
    format!("{}\n", json!({ "http": listed(http), "https": listed(https), "unix": unix, "admin": admin }))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn places() -> Places {
        Places {
            http: vec!["127.0.0.1:41234".parse().unwrap()],
            unix: Some("/run/unsecret.sock".into()),
            ..Places::default()
        }
    }

    #[test]
    fn the_starter_hears_one_line_and_then_the_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        tell(ours, &places());
        let mut said = String::new();
        theirs.read_to_string(&mut said).unwrap();
        let value: Value = serde_json::from_str(said.strip_suffix('\n').unwrap()).unwrap();
        let wanted = json!({ "http": ["127.0.0.1:41234"], "https": [], "unix": "/run/unsecret.sock", "admin": null });
        assert_eq!(value, wanted);
        assert_eq!(said.lines().count(), 1);
    }

    #[test]
    fn a_starter_that_has_left_is_no_failure() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        tell(ours, &places());
    }
}
