//! The federated identity credential that would let an assertion in, in the four forms that people create it by.
//!
//! Text only. Easy to get wrong: a subject is the platform's text and may hold quotes, `$` and `${`, each of which means
//! something else in a shell, in Terraform and in Bicep, and letters that a terminal obeys; the credential is compared byte for byte (contract A7).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::exchange::graph;
use crate::authority::Cloud;
use crate::cli::terminal::ascii;
use crate::facts::Facts;
use crate::inspect::is_unsafe;

/// Entra's limit on a credential's name; at least 3 are wanted, which the prefix gives.
const LONGEST_NAME: usize = 120;
/// Where the application is not known, as with a pasted token.
const SOME_APPLICATION: &str = "APPLICATION_CLIENT_ID";

/// What to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    client_id: String,
    name: String,
    issuer: String,
    subject: String,
    audience: String,
    graph: &'static str,
}

impl Credential {
    /// Of what an assertion was observed to say; `None` where it lacks one of the three. `audience` is the one that was
    /// asked for: Entra's own tokens carry a GUID in its place, which a credential must not.
    pub(super) fn of(
        observed: &Facts,
        audience: &str,
        name: &str,
        client_id: Option<&str>,
        cloud: Cloud,
    ) -> Option<Self> {
        Some(Self {
            client_id: client_id.unwrap_or(SOME_APPLICATION).to_owned(),
            name: fit(name),
            issuer: observed.issuer.clone()?,
            subject: observed.subject.clone()?,
            audience: audience.to_owned(),
            graph: graph(cloud),
        })
    }

    fn body(&self) -> Value {
        json!({
            "name": self.name,
            "issuer": self.issuer,
            "subject": self.subject,
            "audiences": [self.audience],
        })
    }

    /// `POST` and its body.
    fn graph(&self) -> String {
        let body = ascii(&serde_json::to_string_pretty(&self.body()).unwrap_or_default());
        let Self { graph, client_id, .. } = self;
        format!("POST {graph}/v1.0/applications(appId='{client_id}')/federatedIdentityCredentials\n{body}\n")
    }

    fn az(&self) -> String {
        let parameters = shell(&ascii(&self.body().to_string()));
        format!("az ad app federated-credential create --id {} --parameters {parameters}\n", self.client_id)
    }

    fn terraform(&self) -> String {
        let symbol = symbol(&self.name);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "data \"azuread_application\" \"{symbol}\" {{\n  client_id = {}\n}}\n",
            hcl(&self.client_id)
        );
        let _ = writeln!(text, "resource \"azuread_application_federated_identity_credential\" \"{symbol}\" {{");
        let _ = writeln!(text, "  application_id = data.azuread_application.{symbol}.id");
        let _ = writeln!(text, "  display_name   = {}", hcl(&self.name));
        let _ = writeln!(text, "  issuer         = {}", hcl(&self.issuer));
        let _ = writeln!(text, "  subject        = {}", hcl(&self.subject));
        let _ = writeln!(text, "  audiences      = [{}]\n}}", hcl(&self.audience));
        text
    }

    /// Bicep finds an application by its unique name, which a token does not tell.
    fn bicep(&self) -> String {
        let name = bicep(&format!("/{}", self.name));
        let name = name.trim_start_matches('\'');
        let mut text =
            "extension microsoftGraphV1\n\n@description('uniqueName of the application')\nparam application string\n\n"
                .to_owned();
        text.push_str("resource credential 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {\n");
        let _ = writeln!(text, "  name: '${{application}}{name}");
        let _ = writeln!(text, "  issuer: {}", bicep(&self.issuer));
        let _ = writeln!(text, "  subject: {}", bicep(&self.subject));
        let _ = writeln!(text, "  audiences: [\n    {}\n  ]\n}}", bicep(&self.audience));
        text
    }

    /// Each form with its title.
    pub(super) fn forms(&self) -> [(&'static str, String); 4] {
        [("Microsoft Graph", self.graph()), ("az", self.az()), ("Terraform", self.terraform()), ("Bicep", self.bicep())]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "client_id": self.client_id,
            "graph": self.body(),
            "az": self.az(),
            "terraform": self.terraform(),
            "bicep": self.bicep(),
        })
    }
}

/// `unsecret-NAME` of what Entra takes in a credential's name.
fn fit(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    format!("unsecret-{name}").chars().map(plain).take(LONGEST_NAME).collect()
}

/// A name as Terraform's identifiers are.
fn symbol(name: &str) -> String {
    name.replace('-', "_")
}

/// One word of a POSIX shell: nothing means anything between single quotes.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A quoted template of HCL without templates in it.
fn hcl(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('"', "\\\"");
    let text = text.replace("${", "$${").replace("%{", "%%{");
    format!("\"{}\"", spelled(&text, |letter| format!("\\U{:08X}", u32::from(letter))))
}

/// A Bicep string without interpolation.
fn bicep(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('\'', r"\'");
    format!("'{}'", spelled(&text.replace("${", r"\${"), |letter| letter.escape_unicode().to_string()))
}

/// The same text, with an escape of its language for each letter that a terminal or a build agent (`##[…`) would obey.
fn spelled(text: &str, escape: impl Fn(char) -> String) -> String {
    let obeyed = |at: usize, letter| is_unsafe(letter) || text[at..].starts_with("##");
    let letter = |(at, letter)| if obeyed(at, letter) { escape(letter) } else { String::from(letter) };
    text.char_indices().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = r#"repo:a/b's:"x"\${HOME}%{if}$y"#;

    fn credential(subject: &str) -> Credential {
        let text = |text: &str| Some(text.to_owned());
        let facts = Facts { issuer: text("https://i/"), subject: text(subject), ..Facts::default() };
        Credential::of(&facts, "api://AzureADTokenExchange", "bill.ing", Some("33333333"), Cloud::Public).unwrap()
    }

    #[test]
    fn a_shell_hands_az_the_very_json_that_graph_gets() {
        let az = credential(NASTY).az();
        let (_, word) = az.split_once("--parameters ").unwrap();
        let script = format!("printf %s {word}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let handed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(handed, credential(NASTY).body());
        assert_eq!(handed["subject"], NASTY);
    }

    #[test]
    fn templates_in_a_subject_stay_text_in_terraform_and_bicep() {
        let wanted = r#"  subject        = "repo:a/b's:\"x\"\\$${HOME}%%{if}$y""#;
        assert!(credential(NASTY).terraform().contains(wanted), "{}", credential(NASTY).terraform());
        let wanted = r#"  subject: 'repo:a/b\'s:"x"\\\${HOME}%{if}$y'"#;
        assert!(credential(NASTY).bicep().contains(wanted), "{}", credential(NASTY).bicep());
    }

    #[test]
    fn no_form_holds_what_a_terminal_or_a_build_agent_obeys() {
        let credential = credential("a\u{202e}b##vso[x]");
        for (title, form) in credential.forms() {
            assert!(!form.contains(['\u{202e}']) && !form.contains("##"), "{title}: {form}");
        }
        assert!(credential.terraform().contains(r#""a\U0000202Eb\U00000023#vso[x]""#), "{}", credential.terraform());
        assert!(credential.bicep().contains(r"'a\u{202e}b\u{23}#vso[x]'"), "{}", credential.bicep());
        let graph = credential.graph();
        let (_, body) = graph.split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), credential.body());
    }

    #[test]
    fn every_form_has_the_three_values_and_a_name_that_entra_takes() {
        for (title, form) in credential("system:serviceaccount:default:billing").forms() {
            for part in [
                "https://i/",
                "system:serviceaccount:default:billing",
                "api://AzureADTokenExchange",
                "unsecret-bill-ing",
            ] {
                assert!(form.contains(part), "{title} lacks {part}: {form}");
            }
        }
        assert_eq!(fit(&"x".repeat(300)).len(), LONGEST_NAME);
        assert!(credential("s").bicep().contains("  name: '${application}/unsecret-bill-ing'\n"));
    }

    #[test]
    fn without_a_subject_there_is_nothing_to_create() {
        let facts = Facts { issuer: Some("i".to_owned()), ..Facts::default() };
        assert_eq!(Credential::of(&facts, "a", "n", None, Cloud::Public), None);
    }
}
