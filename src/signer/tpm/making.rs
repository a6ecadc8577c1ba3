//! Makes keys in a TPM, and lists those that are there. For the key verbs.
//!
//! Easy to get wrong: a TPM may take a minute to find an RSA key, and many have no other size than 2048; and a persistent
//! handle is one of few (seven, on some), so nothing is put there before all is known to be well.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::{Hierarchy, Provision};
use tss_esapi::structures::{
    CreateKeyResult, Public, PublicBuilder, PublicKeyRsa, PublicParameters, PublicRsaParameters, RsaExponent,
    RsaScheme, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};
use tss_esapi::{Error, structures::Auth};

use super::chip::{Chip, auth};
use super::codes::Meaning;
use super::key::Usable;
use super::line::Line;
use super::tss2::{KeyFile, OWNER};
use super::{named, unfit};
use crate::signer::{Device, Found, KeyUri, Pin, PinSource, SignError, TpmPlace, TpmUri};

/// Persistent handles of the owner and the platform.
const PERSISTENT: std::ops::RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;
/// A slow TPM looks for primes this long, at the worst.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is tried when the wanted size is not to be had.
const SIZES: [u16; 3] = [2048, 3072, 4096];

/// A TPM, and the place in it where a key is or is to be.
#[derive(Debug)]
pub(super) struct TpmDevice {
    pub(super) line: Arc<Line>,
    pub(super) key: TpmUri,
}

impl Device for TpmDevice {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<Found>, SignError>> {
        let (place, tcti) = (self.key.place.clone(), self.line.tcti().to_owned());
        Box::pin(self.line.run(self.line.limit * 3, move |chip| keys(chip, &place, &tcti)))
    }

    fn create(&self, bits: u32) -> BoxFuture<'_, Result<KeyUri, SignError>> {
        let uri = self.key.clone();
        Box::pin(self.line.run(PATIENCE.max(self.line.limit * 3), move |chip| create(chip, &uri, bits)))
    }
}

/// The key that is meant first, then whatever else would do.
fn keys(chip: &mut Chip, place: &TpmPlace, tcti: &str) -> Result<Vec<Found>, SignError> {
    let mut found = Vec::new();
    if let TpmPlace::File(path) = place
        && path.exists()
    {
        let public = Public::unmarshall(&KeyFile::read(path)?.public).map_err(library)?;
        found.extend(seen(&public, place, tcti));
    }
    for handle in chip.handles(*PERSISTENT.start())?.into_iter().filter(|handle| PERSISTENT.contains(handle)) {
        // A kind of key that the library cannot read is none of ours.
        if let Ok((_, public, _)) = chip.read(handle) {
            found.extend(seen(&public, &TpmPlace::Handle(handle), tcti));
        }
    }
    found.sort_by_key(|key| key.uri != named(place));
    Ok(found)
}

fn seen(public: &Public, place: &TpmPlace, tcti: &str) -> Option<Found> {
    let key = Usable::of(public).ok()?;
    Some(Found {
        uri: named(place),
        place: format!("TPM at {tcti}"),
        label: None,
        id: None,
        bits: Some(key.bits()),
        extractable: Some(!key.fixed_tpm),
        mechanisms: key.mechanisms(),
    })
}

fn create(chip: &mut Chip, uri: &TpmUri, bits: u32) -> Result<KeyUri, SignError> {
    // Before anything that takes time or cannot be undone.
    free(chip, &uri.place)?;
    let size = possible(chip, bits)?;
    let pin = uri.auth.as_ref().map(PinSource::read).transpose()?;
    let pin = pin.filter(|pin| !pin.expose().is_empty());
    let value = pin.as_ref().map(|pin| value(pin, &uri.place)).transpose()?;
    let (parent, rsa_parent) = primary(chip)?;
    let public = template(size, value.is_some())?;
    let made = made(chip, parent, public, value)?;
    match &uri.place {
        TpmPlace::File(path) => {
            let file = KeyFile {
                empty_auth: pin.is_none(),
                rsa_parent,
                parent: OWNER,
                public: made.out_public.marshall().map_err(library)?,
                private: made.out_private.value().to_vec(),
            };
            file.write(path).map_err(|source| unwritten(path, source))?;
        }
        TpmPlace::Handle(handle) => keep(chip, parent, made, *handle)?,
    }
    Ok(KeyUri::Tpm(uri.clone()))
}

fn value(pin: &Pin, place: &TpmPlace) -> Result<Auth, SignError> {
    let too_long =
        || unfit(place, format!("its authorisation value has {} bytes, not {LONGEST} or fewer", pin.expose().len()));
    auth(pin).filter(|value| value.len() <= LONGEST).ok_or_else(too_long)
}

/// The size of SHA-256, by which our keys are named: a longer value the TPM refuses.
const LONGEST: usize = 32;

fn free(chip: &mut Chip, place: &TpmPlace) -> Result<(), SignError> {
    let taken = match place {
        TpmPlace::File(path) => path.symlink_metadata().is_ok(),
        TpmPlace::Handle(handle) => chip.handles(*handle)?.first() == Some(handle),
    };
    if taken { Err(SignError::KeyExists { key: named(place) }) } else { Ok(()) }
}

/// Refused here and not after a minute of searching.
fn possible(chip: &mut Chip, bits: u32) -> Result<RsaKeyBits, SignError> {
    let mut can = |bits: u16| -> Result<Option<RsaKeyBits>, SignError> {
        let Ok(size) = RsaKeyBits::try_from(bits) else { return Ok(None) };
        let parameters = PublicParameters::Rsa(parameters(size));
        match chip.call("TPM2_TestParms", |tpm| tpm.test_parms(parameters)) {
            Ok(()) => Ok(Some(size)),
            Err(failed) if failed.meaning() == Meaning::CannotDo => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    };
    let wanted = u16::try_from(bits).ok().filter(|bits| SIZES.contains(bits));
    if let Some(size) = wanted.map(&mut can).transpose()?.flatten() {
        return Ok(size);
    }
    let mut others = Vec::new();
    for size in SIZES {
        if can(size)?.is_some() {
            others.push(size.to_string());
        }
    }
    let place = "this TPM".to_owned();
    Err(SignError::SizeUnsupported { bits, place, offered: others.join(", ") })
}

/// The P-256 one; the RSA one where the TPM has no such curve.
fn primary(chip: &mut Chip) -> Result<(KeyHandle, bool), SignError> {
    let rsa = !chip.has_p256()?;
    Ok((chip.primary(Hierarchy::Owner, rsa)?, rsa))
}

fn parameters(size: RsaKeyBits) -> PublicRsaParameters {
    PublicRsaParameters::new(SymmetricDefinitionObject::Null, RsaScheme::Null, size, RsaExponent::default())
}

fn template(size: RsaKeyBits, secret: bool) -> Result<Public, SignError> {
    let may = ObjectAttributes::builder()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_sign_encrypt(true)
        // Nothing can be guessed where there is no value; and the key works on while others have locked the TPM.
        .with_no_da(!secret)
        .build()
        .map_err(library)?;
    let public = PublicBuilder::new().with_public_algorithm(PublicAlgorithm::Rsa).with_object_attributes(may);
    let public = public.with_name_hashing_algorithm(HashingAlgorithm::Sha256).with_rsa_parameters(parameters(size));
    public.with_rsa_unique_identifier(PublicKeyRsa::default()).build().map_err(library)
}

fn made(chip: &mut Chip, parent: KeyHandle, public: Public, value: Option<Auth>) -> Result<CreateKeyResult, SignError> {
    // Salted for the parent, so that the new value cannot be read off the wires.
    let session = chip.session(Some(parent))?;
    let made = chip.call("TPM2_Create", |tpm| {
        tpm.execute_with_session(Some(session), |tpm| tpm.create(parent, public, value, None, None, None))
    })?;
    chip.flush(tss_esapi::handles::SessionHandle::from(session))?;
    Ok(made)
}

fn keep(chip: &mut Chip, parent: KeyHandle, made: CreateKeyResult, handle: u32) -> Result<(), SignError> {
    let persistent = PersistentTpmHandle::new(handle).map_err(library)?;
    let (private, public) = (made.out_private, made.out_public);
    let key = chip.with_password("TPM2_Load", |tpm| tpm.load(parent, private, public))?;
    chip.flush(parent)?;
    let place = Persistent::from(persistent);
    let kept = chip.with_password("TPM2_EvictControl", |tpm| tpm.evict_control(Provision::Owner, key.into(), place));
    match kept {
        Ok(_) => Ok(chip.flush(key)?),
        Err(failed) if failed.meaning() == Meaning::WrongAuth => {
            Err(SignError::TpmOwned { tcti: failed.place.to_string() })
        }
        Err(failed) => Err(failed.into()),
    }
}

fn unwritten(path: &Path, source: io::Error) -> SignError {
    if source.kind() == io::ErrorKind::AlreadyExists {
        return SignError::KeyExists { key: named(&TpmPlace::File(path.to_owned())) };
    }
    SignError::Uncreatable { path: path.to_owned(), source }
}

fn library(error: Error) -> SignError {
    SignError::Backend { kind: "tpm", source: Box::new(error) }
}
