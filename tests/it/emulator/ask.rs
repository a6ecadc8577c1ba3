//! A token request as data, so that a test can change one field of it and show that it was one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use reqwest::{Method, Response};
use serde_json::{Map, Value};
use unsecret::emulator::PlatformToken;

use super::world::{CLIENT, LATER, World};

/// What signs the assertion.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// The certificate that the application uploaded.
    Certified,
    /// The key of the certificate that is over.
    Over,
    /// The key of the certificate that is uploaded later.
    Later,
    /// The key of an issuer that the emulator plays.
    Issuer(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Assertion {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    pub(super) key: Key,
}

#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) tenant: String,
    pub(super) path: &'static str,
    pub(super) form: BTreeMap<&'static str, String>,
    /// Sends this field twice.
    pub(super) repeated: Option<&'static str>,
    pub(super) assertion: Option<Assertion>,
    /// The header `Origin`.
    pub(super) origin: Option<&'static str>,
    /// Asks instance discovery about this authority in place of a token.
    pub(super) instance: Option<String>,
}

impl Ask {
    pub(super) fn new(tenant: &str, path: &'static str) -> Self {
        let form = [("grant_type", "client_credentials"), ("client_id", CLIENT)];
        Self {
            method: Method::POST,
            tenant: tenant.to_owned(),
            path,
            form: form.map(|(name, value)| (name, value.to_owned())).into(),
            repeated: None,
            origin: None,
            assertion: None,
            instance: None,
        }
    }

    pub(super) fn form(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.form.insert(name, value.into());
        self
    }

    pub(super) fn from(mut self, origin: Option<&'static str>) -> Self {
        self.origin = origin;
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.form.remove(name);
        self
    }

    pub(super) fn assertion(mut self, header: Map<String, Value>, claims: Map<String, Value>, key: Key) -> Self {
        self.assertion = Some(Assertion { header, claims, key });
        self.form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    }

    /// Sets a field of the assertion's header, or takes it away with `null`.
    pub(super) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.assertion.as_mut().unwrap().header, name, value.into());
        self
    }

    /// Sets a claim of the assertion, or takes it away with `null`.
    pub(super) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.assertion.as_mut().unwrap().claims, name, value.into());
        self
    }

    pub(super) fn signed_by(mut self, key: Key) -> Self {
        self.assertion.as_mut().unwrap().key = key;
        self
    }

    pub(super) async fn send(&self, world: &World) -> Response {
        let host = world.emulator.authority_host();
        if let Some(instance) = &self.instance {
            let url = format!("{host}/common/discovery/instance?api-version=1.1&authorization_endpoint={instance}");
            return world.client.get(url).send().await.unwrap();
        }
        let url = format!("{host}/{}/{}", self.tenant, self.path);
        let mut request = world.client.request(self.method.clone(), url).body(self.body(world));
        if let Some(origin) = self.origin {
            request = request.header("origin", origin);
        }
        request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    /// The form as it goes on the wire.
    pub(super) fn body(&self, world: &World) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&self.form);
        if let Some(name) = self.repeated {
            form.append_pair(name, &self.form[name]);
        }
        if let Some(assertion) = self.assertion.as_ref().filter(|_| !self.form.contains_key("client_assertion")) {
            form.append_pair("client_assertion", &assertion.sign(world));
        }
        form.finish()
    }

    /// Every field with its value; two requests differ in the fields whose values differ.
    pub(super) fn fields(&self) -> BTreeMap<String, String> {
        let mut fields: BTreeMap<_, _> =
            self.form.iter().map(|(name, value)| (format!("form {name}"), value.clone())).collect();
        fields.insert("method".into(), self.method.to_string());
        fields.insert("tenant".into(), self.tenant.clone());
        fields.insert("path".into(), self.path.into());
        fields.insert("repeated".into(), format!("{:?}", self.repeated));
        fields.insert("origin".into(), format!("{:?}", self.origin));
        fields.insert("instance".into(), format!("{:?}", self.instance));
        if let Some(Assertion { header, claims, key }) = &self.assertion {
            fields.insert("key".into(), format!("{key:?}"));
            fields.extend(header.iter().map(|(name, value)| (format!("header {name}"), value.to_string())));
            fields.extend(claims.iter().map(|(name, value)| (format!("claim {name}"), value.to_string())));
        }
        fields
    }
}

impl Assertion {
    pub(super) fn sign(&self, world: &World) -> String {
        let part = |map: &Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(map.clone()).to_string());
        let message = format!("{}.{}", part(&self.header), part(&self.claims));
        let key = match self.key {
            Key::Issuer(url) => return self.sign_as_issuer(world, url),
            Key::Certified => &world.certified.key,
            Key::Over => &world.over.key,
            Key::Later => &LATER.key,
        };
        let algorithm = match self.header["alg"].as_str() {
            Some("RS256") => Algorithm::RS256,
            Some("RS384") => Algorithm::RS384,
            Some("RS512") => Algorithm::RS512,
            _ => Algorithm::PS256,
        };
        format!("{message}.{}", jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap())
    }

    /// The emulator holds the key, so it signs: all that it would say by itself is laid over or taken away.
    fn sign_as_issuer(&self, world: &World, url: &str) -> String {
        let mut token = PlatformToken::new("", "");
        for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"] {
            token.claims.insert(name.into(), Value::Null);
        }
        for name in ["alg", "kid"] {
            token.header.insert(name.into(), Value::Null);
        }
        token.header.extend(self.header.clone());
        token.claims.extend(self.claims.clone());
        world.emulator.platform_token(url, &token).unwrap().expose().to_owned()
    }
}

/// The body of an answer.
pub(super) async fn json_of(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
}
