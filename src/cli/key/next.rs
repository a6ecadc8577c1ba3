//! What to do with a certificate once it is made: the exact lines, for `az` and for Microsoft Graph.
//!
//! Easy to get wrong: both ways can delete every other credential of the application, so neither is shown without saying
//! how not to.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::Stop;
use super::machine::Machine;
use crate::authority::Cloud;
use crate::cli::private::Which;
use crate::config::{Config, Environment};

/// Stands where nobody said which application it is.
const PLACEHOLDER: &str = "<client id>";

/// Whom the certificate is for.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// The identity, where the configuration has several
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
}

/// The application registration that is to know the certificate.
pub(super) struct Registration {
    client_id: String,
    graph: &'static str,
}

impl Whom {
    /// The identity that was asked for.
    pub(super) fn name(&self) -> Option<String> {
        self.identity.clone()
    }

    /// As the configuration has it. Only an identity that was asked for by name has to be there: a key is often made
    /// before its identity is configured.
    pub(super) fn registration(&self, machine: &Machine) -> Result<Registration, Stop> {
        let unknown = Registration { client_id: PLACEHOLDER.to_owned(), graph: Cloud::Public.graph() };
        let config = if self.identity.is_some() {
            let which = Which { config: machine.config.clone(), identity: self.identity.clone() };
            which.load().map_err(Stop::Told)?
        } else {
            let Some(file) = machine.config.as_deref() else { return Ok(unknown) };
            let Ok(config) = Config::load_identities(Some(file), &Environment::of_process()) else {
                return Ok(unknown);
            };
            config
        };
        let [identity] = &config.identities[..] else { return Ok(unknown) };
        let cloud = identity.authority.host().host_str().and_then(Cloud::of_host).unwrap_or(Cloud::Public);
        Ok(Registration { client_id: identity.entry.client_id.to_string(), graph: cloud.graph() })
    }
}

impl Registration {
    fn az(&self, certificate: &Path) -> String {
        let id = match self.client_id.as_str() {
            // A shell would take the bare one for a redirection.
            PLACEHOLDER => format!("'{PLACEHOLDER}'"),
            id => id.to_owned(),
        };
        format!(
            "az ad app credential reset --id {id} --append --cert {}",
            quoted(&format!("@{}", certificate.display()))
        )
    }

    fn url(&self) -> String {
        format!("{}/v1.0/applications(appId='{}')", self.graph, self.client_id)
    }

    /// For people.
    pub(super) fn text(&self, certificate: &Path) -> String {
        let (url, file) = (self.url(), quoted(&certificate.display().to_string()));
        let mut out = String::from("next: make the certificate known to the application, by one of\n");
        let _ = writeln!(out, "  {}", self.az(certificate));
        let _ = writeln!(out, "    without --append every other credential of the application is deleted");
        let _ = writeln!(out, "  GET {url}?$select=keyCredentials, then\n  PATCH {url} with");
        let _ = writeln!(
            out,
            "    {{\"keyCredentials\": [those that were there, {{\"type\": \"AsymmetricX509Cert\", \"usage\": \"Verify\",\n    \
             \"key\": \"what `openssl x509 -in {file} -outform DER | base64 -w0` prints\"}}]}}"
        );
        let _ = writeln!(out, "    PATCH replaces the whole list: what is not sent back is deleted");
        out
    }

    /// For programs.
    pub(super) fn json(&self, certificate: &Path, der: &[u8]) -> Value {
        let credential = json!({ "type": "AsymmetricX509Cert", "usage": "Verify", "key": STANDARD.encode(der) });
        json!({
            "az": self.az(certificate),
            "graph": {
                "read_first": format!("{}?$select=keyCredentials", self.url()),
                "method": "PATCH",
                "url": self.url(),
                "key_credential": credential,
                "warning": "PATCH replaces the whole list keyCredentials: send back what was there",
            },
        })
    }
}

/// The lines of the configuration that use a key with its certificate.
pub(super) fn configuration(certificate: &Path, key: &str) -> String {
    format!(
        "then configure the pair, newest first:\n  assertion = {{ certificates = [{{ certificate = {:?}, key = {key:?} }}] }}\n{}",
        certificate.display().to_string(),
        unattended(key)
    )
}

/// The lines of the configuration that sign with several pairs, each a certificate and its key.
pub(super) fn pairs(all: &[(String, String)]) -> String {
    let mut out = String::from("  [identity.assertion]\n  certificates = [\n");
    for (certificate, key) in all {
        let _ = writeln!(out, "    {{ certificate = {certificate:?}, key = {key:?} }},");
    }
    out + "  ]\n"
}

/// What is left to say where a PIN was typed, or none is named: nobody types one for the broker.
pub(super) fn unattended(key: &str) -> &'static str {
    if key.starts_with("pkcs11:") && !key.contains("pin-source=") {
        "the broker reads the PIN from a file: add pin-source=file:/… to the key, unless the token has a key pad\n"
    } else {
        ""
    }
}

/// As one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-@:=,+%".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_says_what_it_would_delete() {
        let id = "33333333-dddd-4eee-8fff-444444444444";
        let known = Registration { client_id: id.to_owned(), graph: Cloud::UsGov.graph() };
        let text = known.text(Path::new("/etc/my certs/billing.pem"));
        let line = format!("az ad app credential reset --id {id} --append --cert '@/etc/my certs/billing.pem'\n");
        assert!(text.contains(&line) && text.contains("without --append"), "{text}");
        assert!(text.contains("https://graph.microsoft.us/v1.0/applications(appId='33333333"), "{text}");
        assert!(text.contains("replaces the whole list"), "{text}");
    }

    #[test]
    fn a_key_that_names_no_pin_is_told_of() {
        let hint = |key| configuration(Path::new("/b.pem"), key).contains("add pin-source=file:/…");
        assert!(hint("pkcs11:token=a?module-path=/m.so"));
        assert!(!hint("pkcs11:token=a?module-path=/m.so&pin-source=file:/pin") && !hint("file:/b.key"));
    }

    #[test]
    fn a_placeholder_is_no_redirection() {
        let unknown = Registration { client_id: PLACEHOLDER.to_owned(), graph: Cloud::Public.graph() };
        assert!(unknown.az(Path::new("/b.pem")).ends_with("--id '<client id>' --append --cert @/b.pem"));
    }
}
