//! Puts a key within reach: one at a persistent handle is there already, one in a file is loaded under its parent.
//!
//! A file's key is loaded for each signature and flushed after it: what that costs (making the primary key anew, a tenth of a
//! second on most TPMs) is paid once an hour, and no slot stays taken, nor is there anything to lose in a reset. Easy to get
//! wrong: the primary key is found again only by the very same template, down to its empty fields.

use tss_esapi::Error;
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::handles::{KeyHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    EccPoint, EccScheme, KeyDerivationFunctionScheme, Private, Public, PublicBuilder, PublicEccParameters,
    PublicKeyRsa, PublicParameters, PublicRsaParameters, RsaExponent, RsaScheme, SymmetricDefinitionObject,
};
use tss_esapi::traits::UnMarshall as _;

use super::chip::{Chip, Loaded};
use super::codes::Meaning;
use super::tss2::KeyFile;
use super::{named, unfit};
use crate::signer::{SignError, TpmPlace};

impl Chip {
    /// `secret`: whether the key has an authorisation value to be proved.
    pub(super) fn load(&mut self, place: &TpmPlace, secret: bool) -> Result<Loaded, SignError> {
        match place {
            TpmPlace::Handle(handle) => {
                let (handle, public, name) = self.read(*handle).map_err(|failed| match failed.meaning() {
                    Meaning::NotThere => SignError::KeyAbsent { key: named(place) },
                    _ => failed.into(),
                })?;
                let session = if secret { self.session(None)? } else { AuthSession::Password };
                Ok(Loaded { handle, public, name, session })
            }
            TpmPlace::File(path) => self.load_file(&KeyFile::read(path)?, place, secret),
        }
    }

    fn load_file(&mut self, file: &KeyFile, place: &TpmPlace, secret: bool) -> Result<Loaded, SignError> {
        let damaged = |error: Error| unfit(place, format!("the TPM's library does not understand it ({error})"));
        let public = Public::unmarshall(&file.public).map_err(damaged)?;
        let private = Private::try_from(file.private.clone()).map_err(damaged)?;
        let parent = self.parent(file, place)?;
        let session = if secret { self.session(Some(parent.key()))? } else { AuthSession::Password };
        let loaded = self.with_password("TPM2_Load", |tpm| tpm.load(parent.key(), private, public));
        // At once, whatever came of it: three slots are few.
        if let Parent::Made(key) = parent {
            self.flush(key)?;
        }
        let handle = loaded.map_err(|failed| match failed.meaning() {
            Meaning::Foreign => unfit(place, FOREIGN),
            Meaning::WrongAuth => unfit(place, "its parent key has an authorisation value, which is not asked for"),
            _ => failed.into(),
        })?;
        let (handle, public, name) = self.public(handle)?;
        Ok(Loaded { handle, public, name, session })
    }

    fn parent(&mut self, file: &KeyFile, place: &TpmPlace) -> Result<Parent, SignError> {
        if let Some(hierarchy) = Self::hierarchy(file.parent) {
            return Ok(Parent::Made(self.primary(hierarchy, file.rsa_parent)?));
        }
        let unusable =
            || unfit(place, format!("its parent {:#x} is neither a hierarchy nor a persistent key", file.parent));
        let Ok(handle @ TpmHandle::Persistent(_)) = TpmHandle::try_from(file.parent) else { return Err(unusable()) };
        let parent = self.call("TPM2_ReadPublic", |tpm| tpm.tr_from_tpm_public(handle));
        let parent = parent.map_err(|failed| match failed.meaning() {
            Meaning::NotThere => unfit(place, format!("its parent key {:#x} is not there", file.parent)),
            _ => failed.into(),
        })?;
        Ok(Parent::Found(parent.into()))
    }

    /// The storage key that everybody makes alike (the draft's section on the parent; TCG's provisioning guidance).
    pub(super) fn primary(&mut self, hierarchy: Hierarchy, rsa: bool) -> Result<KeyHandle, SignError> {
        let made = self.with_password("TPM2_CreatePrimary", |tpm| {
            Ok(tpm.create_primary(hierarchy, template(rsa)?, None, None, None, None)?.key_handle)
        });
        made.map_err(|failed| match failed.meaning() {
            Meaning::WrongAuth => SignError::TpmOwned { tcti: failed.place.to_string() },
            _ => failed.into(),
        })
    }
}

impl Chip {
    /// All recent TPMs have it, some early ones only RSA.
    pub(super) fn has_p256(&mut self) -> Result<bool, SignError> {
        let wanted = PublicParameters::Ecc(p256());
        match self.call("TPM2_TestParms", |tpm| tpm.test_parms(wanted)) {
            Ok(()) => Ok(true),
            Err(failed) if failed.meaning() == Meaning::CannotDo => Ok(false),
            Err(failed) => Err(failed.into()),
        }
    }
}

const FOREIGN: &str = "this TPM did not make it, or has been cleared since";

/// The key that others are loaded under.
#[derive(Clone, Copy)]
enum Parent {
    Made(KeyHandle),
    Found(KeyHandle),
}

impl Parent {
    fn key(self) -> KeyHandle {
        match self {
            Self::Made(key) | Self::Found(key) => key,
        }
    }
}

const STORAGE_CIPHER: SymmetricDefinitionObject = SymmetricDefinitionObject::AES_128_CFB;

fn template(rsa: bool) -> Result<Public, Error> {
    let may = ObjectAttributes::builder()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let public = PublicBuilder::new().with_name_hashing_algorithm(HashingAlgorithm::Sha256).with_object_attributes(may);
    if rsa {
        let parameters =
            PublicRsaParameters::new(STORAGE_CIPHER, RsaScheme::Null, RsaKeyBits::Rsa2048, RsaExponent::default());
        let public = public.with_public_algorithm(PublicAlgorithm::Rsa).with_rsa_parameters(parameters);
        return public.with_rsa_unique_identifier(PublicKeyRsa::default()).build();
    }
    let public = public.with_public_algorithm(PublicAlgorithm::Ecc).with_ecc_parameters(p256());
    public.with_ecc_unique_identifier(EccPoint::default()).build()
}

fn p256() -> PublicEccParameters {
    let (scheme, derivation) = (EccScheme::Null, KeyDerivationFunctionScheme::Null);
    PublicEccParameters::new(STORAGE_CIPHER, scheme, EccCurve::NistP256, derivation)
}
