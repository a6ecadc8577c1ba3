//! One connection to a TPM, and the commands that are sent over it.
//!
//! Everything that is loaded is flushed when it is dropped, since a TPM has three slots and perhaps nobody else who would.
//! Easy to get wrong: libtss2 writes its own troubles to stderr unless `TSS2_LOG=all+none` is in the environment that the
//! process was started with, which only units and images can do (a running process must not change its own); the crate
//! itself logs to `log`, which nobody here listens to.

use std::fs::OpenOptions;
use std::str::FromStr as _;
use std::sync::{Arc, PoisonError};

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::constants::{CapabilityType, PropertyTag, SessionType};
use tss_esapi::handles::{KeyHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth, CapabilityData, Digest, HashcheckTicket, Public, Signature, SignatureScheme, SymmetricDefinition,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};
use tss_esapi::{Context, Error, WrapperErrorKind};

use super::codes::Failed;
use super::line::Step;
use crate::signer::{Pin, SignError, Standing};

/// A connection.
pub(super) struct Chip {
    context: Context,
    tcti: Arc<str>,
    step: Step,
}

/// A key that is in reach.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) handle: KeyHandle,
    pub(super) public: Public,
    /// The TPM's Name of it, in hex: a hash over its public area, its own for ever.
    pub(super) name: String,
    /// Proves that we know its authorisation value.
    pub(super) session: AuthSession,
}

impl Chip {
    pub(super) fn open(tcti: &Arc<str>, step: Step) -> Result<Self, SignError> {
        let absent = |why| SignError::TpmAbsent { tcti: tcti.to_string(), why };
        let name = TctiNameConf::from_str(tcti)
            .map_err(|_| absent("it must read `device:PATH`, `swtpm:host=…,port=…`, `mssim:…` or `tabrmd:…`".into()))?;
        let context = Context::new(name).map_err(|error| absent(reason(tcti, error)))?;
        Ok(Self { context, tcti: Arc::clone(tcti), step })
    }

    /// One command. `function` is what TPM 2.0 calls it.
    pub(super) fn call<T>(
        &mut self,
        function: &'static str,
        command: impl FnOnce(&mut Context) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = function;
        command(&mut self.context).map_err(|error| Failed { place: Arc::clone(&self.tcti), function, error })
    }

    /// What is at a handle, with its name. The crate's word for what it cannot read (an exotic key) is an error too.
    pub(super) fn read(&mut self, handle: u32) -> Result<(KeyHandle, Public, String), Failed> {
        let key = self.call("TPM2_ReadPublic", |tpm| tpm.tr_from_tpm_public(TpmHandle::try_from(handle)?))?;
        self.public(key.into())
    }

    pub(super) fn public(&mut self, key: KeyHandle) -> Result<(KeyHandle, Public, String), Failed> {
        let (public, name, _) = self.call("TPM2_ReadPublic", |tpm| tpm.read_public(key))?;
        Ok((key, public, name.value().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))))
    }

    pub(super) fn flush(&mut self, object: impl Into<ObjectHandle>) -> Result<(), Failed> {
        let object = object.into();
        self.call("TPM2_FlushContext", |tpm| tpm.flush_context(object))
    }

    /// A session in which an authorisation value is proved and not sent.
    ///
    /// Who listens on the wires between processor and TPM hears no value, only proofs of it. With `parent` they are salted with a
    /// secret that only the parent key can read, so that not even a short value can be guessed from them. A persistent
    /// key's session has no salt: to make a primary key for each signature costs up to seconds, and the owner's consent.
    pub(super) fn session(&mut self, parent: Option<KeyHandle>) -> Result<AuthSession, Failed> {
        let session = self.call("TPM2_StartAuthSession", |tpm| {
            let (cipher, hash) = (SymmetricDefinition::AES_128_CFB, HashingAlgorithm::Sha256);
            let made = tpm.start_auth_session(parent, None, None, SessionType::Hmac, cipher, hash)?;
            made.ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))
        })?;
        // Encrypts the first parameter, too: the authorisation value of a new key.
        let (set, mask) = SessionAttributesBuilder::new().with_continue_session(true).with_decrypt(true).build();
        self.call("Esys_TRSess_SetAttributes", |tpm| tpm.tr_sess_set_attributes(session, set, mask))?;
        Ok(session)
    }

    pub(super) fn sign(
        &mut self,
        key: &Loaded,
        auth: Auth,
        scheme: SignatureScheme,
        digest: &[u8],
    ) -> Result<Vec<u8>, Failed> {
        self.call("Esys_TR_SetAuth", |tpm| tpm.tr_set_auth(key.handle.into(), auth))?;
        let signature = self.call("TPM2_Sign", |tpm| {
            let digest = Digest::try_from(digest)?;
            // No ticket: those are for restricted keys, which sign what the TPM itself has hashed.
            let none =
                TPMT_TK_HASHCHECK { tag: TPM2_ST_HASHCHECK, hierarchy: TPM2_RH_NULL, digest: TPM2B_DIGEST::default() };
            let ticket = HashcheckTicket::try_from(none)?;
            tpm.execute_with_session(Some(key.session), |tpm| tpm.sign(key.handle, digest, scheme, ticket))
        })?;
        match signature {
            Signature::RsaPss(signature) | Signature::RsaSsa(signature) => Ok(signature.signature().value().to_vec()),
            _ => self.call("TPM2_Sign", |_| Err(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))),
        }
    }

    /// How near the TPM is to locking itself. Its counter is one for all keys and all their users.
    pub(super) fn standing(&mut self) -> Result<Standing, Failed> {
        // Not the crate's own reader of properties, which remembers them.
        let (data, _) = self.call("TPM2_GetCapability", |tpm| {
            tpm.get_capability(CapabilityType::TpmProperties, PropertyTag::LockoutCounter.into(), 2)
        })?;
        let CapabilityData::TpmProperties(properties) = data else { return Ok(Standing::Clear) };
        let value = |tag| properties.find(tag).map(tss_esapi::structures::TaggedProperty::value);
        match (value(PropertyTag::LockoutCounter), value(PropertyTag::MaxAuthFail)) {
            (Some(failed), Some(most)) => Ok(judged(failed, most)),
            _ => Ok(Standing::Clear),
        }
    }

    /// The handles from this one on that are in use.
    pub(super) fn handles(&mut self, first: u32) -> Result<Vec<u32>, Failed> {
        let mut found = Vec::new();
        let mut next = first;
        loop {
            let (data, more) =
                self.call("TPM2_GetCapability", |tpm| tpm.get_capability(CapabilityType::Handles, next, 64))?;
            let CapabilityData::Handles(handles) = data else { return Ok(found) };
            found.extend(handles.into_inner().into_iter().map(u32::from));
            match found.last() {
                Some(last) if more && *last >= next => next = last + 1,
                _ => return Ok(found),
            }
        }
    }

    /// For hierarchies and parents, whose authorisation value is taken to be empty.
    pub(super) fn with_password<T>(
        &mut self,
        function: &'static str,
        command: impl FnOnce(&mut Context) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        self.call(function, |tpm| tpm.execute_with_session(Some(AuthSession::Password), command))
    }

    pub(super) fn hierarchy(handle: u32) -> Option<Hierarchy> {
        Some(match handle {
            // Zero is how early engines wrote the owner.
            0 | super::tss2::OWNER => Hierarchy::Owner,
            0x4000_0007 => Hierarchy::Null,
            0x4000_000b => Hierarchy::Endorsement,
            0x4000_000c => Hierarchy::Platform,
            _ => return None,
        })
    }
}

/// Why a TPM was not opened. libtss2 tells its own stderr what the system said; the answer names only the layer.
fn reason(tcti: &str, error: Error) -> String {
    let device = tcti.strip_prefix("device:").filter(|path| !path.is_empty());
    let said = device.and_then(|path| OpenOptions::new().read(true).write(true).open(path).err());
    match said {
        Some(said) => said.to_string(),
        None => format!("the connection was refused ({error})"),
    }
}

fn judged(failed: u32, most: u32) -> Standing {
    match most.saturating_sub(failed) {
        0 => Standing::Locked,
        1 => Standing::FinalTry,
        left if left <= most / 2 => Standing::CountLow,
        _ => Standing::Clear,
    }
}

/// A TPM takes values of up to the size of a hash.
pub(super) fn auth(pin: &Pin) -> Option<Auth> {
    Auth::try_from(pin.expose()).ok()
}

#[cfg(test)]
mod tests {
    use super::Standing::{Clear, CountLow, FinalTry, Locked};
    use super::*;

    #[test]
    fn the_last_but_one_attempt_is_the_last_that_is_tried() {
        let standings = [(0, 3), (1, 3), (2, 3), (3, 3), (9, 3), (15, 32), (16, 32), (0, 0)]
            .map(|(failed, most)| judged(failed, most));
        assert_eq!(standings, [Clear, Clear, FinalTry, Locked, Locked, Clear, CountLow, Locked]);
    }
}
