//! `unsecret key list`: which keys a module, a token or a TPM has.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::error::Stop;
use super::machine::{Machine, Opened};
use crate::cli::terminal::{Paint, ascii};
use crate::cli::{Exit, note, say};
use crate::inspect::escaped;
use crate::signer::{Found, KeyUri, Login, Place, Standing};

/// Show which tokens and private RSA keys are there, and how to name them.
///
/// Looks and changes nothing. Many tokens show their private keys only after a login: name a PIN in the URI to see all.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The path of a PKCS#11 module, `tpm:` for the TPM, or a key's URI, of which what is left out matches everything
    #[arg(value_name = "KEYURI|MODULE")]
    place: String,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key list /usr/lib/softhsm/libsofthsm2.so          every token of a module
  unsecret key list 'pkcs11:token=prod?module-name=softhsm2&pin-source=file:/run/pin'   all of it
  unsecret key list --json tpm:

Exit status: 0 listed, also where nothing is there; 1 the device did not answer; 2 bad usage or
configuration.";

/// Names no key in particular: a TPM lists all its persistent ones whichever is named.
const FIRST_HANDLE: &str = "tpm:handle=0x81000000";

/// What may not stand in the query of a URI as it is (RFC 7512).
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'?');

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let text = match args.place.as_str() {
        module if module.starts_with('/') => format!("pkcs11:?module-path={}", utf8_percent_encode(module, RESERVED)),
        "tpm:" => FIRST_HANDLE.to_owned(),
        uri => uri.to_owned(),
    };
    let work = async |opened: &Opened| {
        let device = opened.signers.device(&opened.uri)?;
        Ok((device.places().await?, device.keys().await?, is_without_pin(&opened.uri)))
    };
    let (places, keys, without_pin) = args.machine.with(&text, false, work).await?;
    let locked = without_pin && places.iter().any(|place| place.login == Some(Login::Pin));
    if args.json {
        let (places, keys): (Vec<_>, Vec<_>) =
            (places.iter().map(of_place).collect(), keys.iter().map(of_key).collect());
        let object = json!({ "tokens": places, "keys": keys, "more_after_login": locked });
        return Ok(say(&format!("{}\n", ascii(&object.to_string()))));
    }
    let paint = Paint::stdout();
    let printed = say(&(tokens(&places, paint) + &listing(&keys, paint)));
    if keys.is_empty() {
        note("no private RSA key is to be seen that fits\n");
    }
    if locked {
        note("seen without a login, which may show more: name one token, and pin-source=file:/… behind its URI\n");
    }
    Ok(printed)
}

fn is_without_pin(uri: &KeyUri) -> bool {
    matches!(uri, KeyUri::Pkcs11(key) if key.pin.is_none())
}

fn tokens(places: &[Place], paint: Paint) -> String {
    let mut out = String::new();
    for place in places {
        let _ = writeln!(out, "{}", paint.faint(&place.uri));
        let made = [&place.model, &place.manufacturer].map(|text| escaped(text.trim_end())).join(" of ");
        let login = match place.login {
            _ if !place.initialized => "not initialized",
            Some(Login::Pin) => "wants a PIN",
            Some(Login::KeyPad) => "wants a PIN at its own key pad",
            None => "wants no PIN",
        };
        let _ = writeln!(out, "  token, {made}; {login}{}", counted(place.standing, paint));
    }
    out
}

fn counted(standing: Standing, paint: Paint) -> String {
    match standing {
        Standing::Clear => String::new(),
        Standing::CountLow => format!("; {}", paint.doubtful("it counts failed attempts")),
        Standing::FinalTry => format!("; {}", paint.bad("one more wrong PIN locks it")),
        Standing::Locked => format!("; {}", paint.bad("it is locked")),
    }
}

fn of_place(place: &Place) -> Value {
    let login = place.login.map(|login| if login == Login::Pin { "pin" } else { "key-pad" });
    let standing = match place.standing {
        Standing::Clear => "clear",
        Standing::CountLow => "count-low",
        Standing::FinalTry => "final-try",
        Standing::Locked => "locked",
    };
    json!({
        "token": place.uri, "label": place.label, "serial": place.serial, "manufacturer": place.manufacturer,
        "model": place.model, "initialized": place.initialized, "login": login, "pin": standing,
    })
}

fn listing(keys: &[Found], paint: Paint) -> String {
    let mut out = String::new();
    for key in keys {
        let _ = writeln!(out, "{}", paint.strong(&key.uri));
        let bits = key.bits.map_or_else(|| "of a length that is not shown".to_owned(), |bits| format!("{bits} bits"));
        let _ = write!(out, "  RSA key, {bits}, in {}", escaped(key.place.trim_end()));
        if let Some(label) = &key.label {
            let _ = write!(out, ", label {}", escaped(label));
        }
        if let Some(id) = &key.id {
            let _ = write!(out, ", id {}", hex(id));
        }
        let _ = writeln!(out, "\n  {}", leaving(key.extractable, paint));
        if !key.mechanisms.is_empty() {
            let _ = writeln!(out, "  signs with {}", key.mechanisms.join(", "));
        }
    }
    out
}

fn leaving(extractable: Option<bool>, paint: Paint) -> String {
    match extractable {
        Some(false) => paint.good("cannot leave its device"),
        Some(true) => paint.bad("can be copied"),
        None => paint.doubtful("its device does not say whether it can be copied"),
    }
}

fn of_key(key: &Found) -> Value {
    json!({
        "key": key.uri, "place": key.place, "label": key.label, "id": key.id.as_deref().map(hex), "bits": key.bits,
        "extractable": key.extractable, "mechanisms": key.mechanisms,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_listed_with_what_tells_it_from_others() {
        let key = Found {
            uri: "pkcs11:token=prod;id=%01".to_owned(),
            place: "prod\u{1b}[2J".to_owned(),
            label: Some("billing".to_owned()),
            id: Some(vec![1, 0xab]),
            bits: Some(2_048),
            extractable: Some(false),
            mechanisms: vec!["RSA-PKCS-PSS".to_owned(), "RSA-PKCS".to_owned()],
        };
        let expected = "\
pkcs11:token=prod;id=%01
  RSA key, 2048 bits, in prod\\u{1b}[2J, label billing, id 01ab
  cannot leave its device
  signs with RSA-PKCS-PSS, RSA-PKCS
";
        assert_eq!(listing(&[key], Paint::stdout()), expected);
    }
}
