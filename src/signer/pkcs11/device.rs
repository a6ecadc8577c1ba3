//! The tokens of a module for the key verbs: what keys there are, and a new one.
//!
//! Easy to get wrong: a PIN belongs to one token, so it is never tried on several that fit.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;
use futures_core::future::BoxFuture;

use super::key::to_the_end;
use super::login;
use super::messages::{Answer, Key, Request, Token};
use super::module::{Module, Turn};
use super::{choose, rsa};
use crate::signer::{Device, Found, KeyUri, Login, Pkcs11Uri, Place, SignError};

/// Bytes of a new key's id: enough to be alone, and short for modules that are narrow.
const ID: usize = 8;

/// Those that we sign with.
const MECHANISMS: [&str; 4] = ["SHA256-RSA-PKCS-PSS", "RSA-PKCS-PSS", "SHA256-RSA-PKCS", "RSA-PKCS"];

/// The tokens that a URI names.
pub(in crate::signer) struct Pkcs11Device {
    uri: Pkcs11Uri,
    module: Arc<Module>,
}

impl Pkcs11Device {
    pub(in crate::signer) fn new(uri: Pkcs11Uri, module: Arc<Module>) -> Self {
        Self { uri, module }
    }
}

impl Device for Pkcs11Device {
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, SignError>> {
        let (uri, module) = (self.uri.clone(), Arc::clone(&self.module));
        Box::pin(to_the_end(async move {
            let tokens = module.turn().await.tokens(&uri).await?;
            Ok(tokens.iter().map(|token| place(&uri, token)).collect())
        }))
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<Found>, SignError>> {
        let (uri, module) = (self.uri.clone(), Arc::clone(&self.module));
        Box::pin(to_the_end(async move { keys(&uri, &module).await }))
    }

    fn create(&self, bits: u32) -> BoxFuture<'_, Result<KeyUri, SignError>> {
        let (uri, module) = (self.uri.clone(), Arc::clone(&self.module));
        Box::pin(to_the_end(async move { create(&uri, &module, bits).await }))
    }
}

async fn keys(uri: &Pkcs11Uri, module: &Module) -> Result<Vec<Found>, SignError> {
    let mut turn = module.turn().await;
    let tokens = match &uri.pin {
        Some(_) => vec![turn.token(uri).await?],
        None => turn.tokens(uri).await?,
    };
    let mut found = Vec::new();
    for token in &tokens {
        let keys = look(&mut turn, uri, token, false).await?;
        let mechanisms = mechanisms(&mut turn, token).await?;
        let twin = tokens.iter().filter(|other| other.label == token.label).count() > 1;
        found.extend(keys.into_iter().map(|key| shown(uri, token, twin, key, &mechanisms)));
    }
    Ok(found)
}

async fn create(uri: &Pkcs11Uri, module: &Module, bits: u32) -> Result<KeyUri, SignError> {
    let named = || choose::named(uri);
    let Some(label) = uri.object.clone() else { return Err(SignError::KeyUnnamed { key: named() }) };
    let mut turn = module.turn().await;
    let token = turn.token(uri).await?;
    if token.login_required && !token.key_pad && uri.pin.is_none() {
        // Without a login a key that is there already is not even seen.
        return Err(SignError::PinMissing { token: token.label });
    }
    if !look(&mut turn, uri, &token, true).await?.is_empty() {
        return Err(SignError::KeyExists { key: named() });
    }
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => random()?,
    };
    let slot = token.slot;
    let twin = Request::Keys { slot, label: None, id: Some(id.clone()) };
    if matches!(turn.ask(&twin, &token.label).await?, Answer::Keys(keys) if !keys.is_empty()) {
        return Err(SignError::KeyExists { key: named() });
    }
    let made = turn.ask(&Request::Generate { slot, label, id: id.clone(), bits }, &token.label).await;
    made.map_err(|error| sized(error, bits))?;
    Ok(KeyUri::Pkcs11(Pkcs11Uri { id: Some(id), ..uri.clone() }))
}

/// What the mechanism list says of sizes is in bits or in bytes, as the module likes: the refusal is all there is to know.
fn sized(error: SignError, bits: u32) -> SignError {
    match error {
        SignError::Device { place, code, .. } if code == "CKR_KEY_SIZE_RANGE" => {
            SignError::SizeUnsupported { bits, place: format!("token `{place}`"), offered: "other sizes".to_owned() }
        }
        other => other,
    }
}

/// The keys that fit in this token, after a login where a PIN is given.
async fn look(turn: &mut Turn<'_>, uri: &Pkcs11Uri, token: &Token, write: bool) -> Result<Vec<Key>, SignError> {
    turn.open(token, write).await?;
    login::log_in(turn, uri, token).await?;
    let request = Request::Keys { slot: token.slot, label: uri.object.clone(), id: uri.id.clone() };
    match turn.ask(&request, &token.label).await? {
        Answer::Keys(keys) => Ok(keys),
        _ => Err(turn.nonsense("C_FindObjects", &token.label)),
    }
}

async fn mechanisms(turn: &mut Turn<'_>, token: &Token) -> Result<Vec<String>, SignError> {
    let Answer::Mechanisms(all) = turn.ask(&Request::Mechanisms { slot: token.slot }, &token.label).await? else {
        return Err(turn.nonsense("C_GetMechanismList", &token.label));
    };
    // As `pkcs11-tool` and manuals write them.
    let short = all.iter().map(|name| name.trim_start_matches("CKM_").replace('_', "-"));
    Ok(short.filter(|name| MECHANISMS.contains(&name.as_str())).collect())
}

fn text(padded: &str) -> Option<String> {
    Some(padded.trim_end().to_owned()).filter(|text| !text.is_empty())
}

fn place(uri: &Pkcs11Uri, token: &Token) -> Place {
    let named = Pkcs11Uri {
        token: text(&token.label),
        serial: text(&token.serial),
        module: uri.module.clone(),
        ..Pkcs11Uri::default()
    };
    let login = if token.key_pad { Login::KeyPad } else { Login::Pin };
    Place {
        uri: named.to_string(),
        label: token.label.clone(),
        serial: token.serial.clone(),
        manufacturer: token.manufacturer.clone(),
        model: token.model.clone(),
        initialized: token.initialized,
        login: token.login_required.then_some(login),
        standing: login::standing(token),
    }
}

fn shown(uri: &Pkcs11Uri, token: &Token, twin: bool, key: Key, mechanisms: &[String]) -> Found {
    let named = Pkcs11Uri {
        token: text(&token.label),
        // By which tokens with one label are told apart.
        serial: text(&token.serial).filter(|_| twin || uri.serial.is_some() || token.label.trim().is_empty()),
        object: key.label.clone(),
        id: key.id.clone(),
        module: uri.module.clone(),
        ..Pkcs11Uri::default()
    };
    Found {
        uri: named.to_string(),
        place: token.label.clone(),
        bits: key.modulus.as_deref().and_then(rsa::bits),
        label: key.label,
        id: key.id,
        extractable: key.extractable,
        mechanisms: mechanisms.to_vec(),
    }
}

fn random() -> Result<Vec<u8>, SignError> {
    let mut id = vec![0; ID];
    rand::fill(&mut id).map_err(|error| SignError::Backend { kind: "PKCS#11", source: Box::new(error) })?;
    Ok(id)
}

impl fmt::Debug for Pkcs11Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pkcs11Device").field(&choose::named(&self.uri)).finish()
    }
}
