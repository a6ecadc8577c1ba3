//! What is known about a token, an assertion or a certificate: nothing in here is secret.
//!
//! Both forms of output come from it: text for people, JSON for programs. Easy to get wrong: it is the border over which
//! no token, signature or key may come, so it holds texts of our own and values that `shown` has made safe.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::jwt::Jwt;

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Entra's token for a resource.
    AccessToken,
    /// Entra's word to an application on who signed in.
    IdToken,
    /// A platform's token, fit to be an assertion.
    PlatformToken,
    /// A JWT by which an application proves itself with a key of its own.
    CertificateAssertion,
    /// Five parts: only its reader can open it.
    EncryptedToken,
    /// Opaque to everybody but Entra.
    RefreshToken,
    Certificate,
    PrivateKey,
    /// A PKCS#12 file.
    Pkcs12,
    /// Entra's, by its shape.
    ClientSecret,
    /// Ours, `uns_…`.
    LocalKey,
    Unrecognised,
}

impl fmt::Display for Kind {
    /// With its article, to stand in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessToken => "an access token",
            Self::IdToken => "an id token",
            Self::PlatformToken => "a platform's token",
            Self::CertificateAssertion => "a certificate assertion",
            Self::EncryptedToken => "an encrypted token",
            Self::RefreshToken => "a refresh token",
            Self::Certificate => "a certificate",
            Self::PrivateKey => "a private key",
            Self::Pkcs12 => "a PKCS#12 file",
            Self::ClientSecret => "a client secret",
            Self::LocalKey => "a local key",
            Self::Unrecognised => "nothing that is known here",
        })
    }
}

/// The two token models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The application acts as itself.
    AppOnly,
    /// The application acts for a user.
    Delegated,
    /// The claims contradict each other or say too little.
    Unclear,
}

/// How the client proved itself when it asked for the token: `appidacr` and `azpacr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A public client proves nothing.
    Nothing,
    Secret,
    /// A certificate, or a federated assertion.
    Assertion,
    /// Neither claim is there, or it has a value that is not documented.
    Unknown,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Header,
    Claim,
    Certificate,
}

/// One thing that is said in it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub place: Place,
    pub name: String,
    /// As it stands there; `None` where it is not shown.
    pub value: Option<Value>,
    /// For people.
    pub shown: String,
    pub meaning: Option<&'static str>,
}

/// Somebody who will not take it.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    pub by: String,
    /// HTTP; `None` where the answer is none of HTTP's.
    pub status: Option<u16>,
    /// Entra's number.
    pub aadsts: Option<u32>,
    /// The words by which the answer is known.
    pub sign: Option<String>,
    pub why: String,
    pub remedy: Option<String>,
}

/// One of the three values that a federated credential is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub name: &'static str,
    pub value: String,
    /// What is easily overlooked in it.
    pub hints: Vec<&'static str>,
}

/// How a line under the verdict is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    Good,
    Plain,
    Doubtful,
    Bad,
}

/// A line under the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    pub tone: Tone,
    pub text: String,
}

/// All that is said about one input.
#[derive(Debug, Serialize)]
pub struct Report {
    pub kind: Kind,
    /// What it is, in one line.
    pub verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Why that model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obtained_with: Option<Proof>,
    /// Whether an API of one's own may take it; `None` when that was not asked.
    pub verified: Option<bool>,
    pub notes: Vec<Note>,
    /// To be held against the federated credential, letter by letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compare: Vec<Compared>,
    pub rows: Vec<Row>,
    pub refusals: Vec<Refusal>,
    /// For the checks; it is not part of what is said.
    #[serde(skip)]
    pub(super) jwt: Option<Jwt>,
}

impl Report {
    pub(super) fn new(kind: Kind, verdict: impl Into<String>) -> Self {
        Self {
            kind,
            verdict: verdict.into(),
            model: None,
            why: Vec::new(),
            obtained_with: None,
            verified: None,
            notes: Vec::new(),
            compare: Vec::new(),
            rows: Vec::new(),
            refusals: Vec::new(),
            jwt: None,
        }
    }

    pub(super) fn note(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.say(tone, text);
        self
    }

    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.notes.push(Note { tone, text: text.into() });
    }

    /// Puts what a verification found in the place of the word that there was none.
    pub fn judge(&mut self, verified: bool) {
        self.verified = Some(verified);
        let (tone, text) = if verified {
            (Tone::Good, "verified: signature, issuer, audience and times")
        } else {
            (Tone::Bad, "verified and refused: an API of yours must not take it")
        };
        self.notes.retain(|note| note.text != super::access::NOT_VERIFIED);
        self.notes.insert(0, Note { tone, text: text.to_owned() });
    }

    /// The token, for the checks.
    #[must_use]
    pub fn jwt(&self) -> Option<&Jwt> {
        self.jwt.as_ref()
    }

    /// False for what has to be kept away from people and machines alike, and for what is nothing known.
    #[must_use]
    pub fn is_described(&self) -> bool {
        !matches!(
            self.kind,
            Kind::PrivateKey | Kind::Pkcs12 | Kind::ClientSecret | Kind::RefreshToken | Kind::Unrecognised
        )
    }
}
