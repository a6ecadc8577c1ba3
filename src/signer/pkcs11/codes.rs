//! What a module's result means, and what to do about it. Pure.
//!
//! Easy to get wrong: modules give the same trouble different names, and many know but `CKR_GENERAL_ERROR`; so the cures go
//! from the cheap to the dear, each once in a call. A login that was cut short is never repeated by itself.

use super::line::Trouble;
use crate::signer::SignError;

/// The session is gone, the module may be well.
const LOST: [&str; 6] = [
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_SESSION_CLOSED",
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_OBJECT_HANDLE_INVALID",
    "CKR_KEY_HANDLE_INVALID",
    // Left over from a call that failed half way.
    "CKR_OPERATION_ACTIVE",
];

/// The token is gone, the module may be well.
const ABSENT: [&str; 4] =
    ["CKR_TOKEN_NOT_PRESENT", "CKR_TOKEN_NOT_RECOGNIZED", "CKR_DEVICE_REMOVED", "CKR_SLOT_ID_INVALID"];

/// The token judged the PIN.
pub(super) const REFUSED: [&str; 3] = ["CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE"];

/// The request makes no sense to the module, and would not in another process: nothing to open anew.
const SENSELESS: [&str; 12] = [
    "CKR_ARGUMENTS_BAD",
    "CKR_ATTRIBUTE_TYPE_INVALID",
    "CKR_ATTRIBUTE_VALUE_INVALID",
    "CKR_FUNCTION_NOT_SUPPORTED",
    "CKR_KEY_FUNCTION_NOT_PERMITTED",
    "CKR_KEY_SIZE_RANGE",
    "CKR_PIN_EXPIRED",
    "CKR_TEMPLATE_INCOMPLETE",
    "CKR_TEMPLATE_INCONSISTENT",
    "CKR_TOKEN_WRITE_PROTECTED",
    "CKR_USER_PIN_NOT_INITIALIZED",
    "CKR_USER_TYPE_INVALID",
];

/// The key or the module cannot do this mechanism.
pub(super) const NO_MECHANISM: [&str; 4] =
    ["CKR_MECHANISM_INVALID", "CKR_MECHANISM_PARAM_INVALID", "CKR_KEY_TYPE_INCONSISTENT", "CKR_FUNCTION_NOT_SUPPORTED"];

/// In our words; `place` is the token's label, or the module where no token is known yet.
pub(super) fn error(trouble: Trouble, place: &str, module: &std::path::Path) -> SignError {
    let place = place.to_owned();
    match trouble {
        Trouble::Hung { function, limit } => SignError::Hung { place, function, limit },
        Trouble::Died { function } => SignError::Died { place, function },
        Trouble::Unloadable(why) => SignError::ModuleUnloadable { path: module.to_owned(), why },
        Trouble::Failed(failure) => {
            let (function, code) = (failure.function, failure.code);
            match code.as_str() {
                name if LOST.contains(&name) => SignError::SessionLost { place, function, code },
                _ => SignError::Device { place, function, code },
            }
        }
    }
}

/// A code of the vendor's own, or of a newer standard.
pub(super) fn is_unknown(code: &str) -> bool {
    code.starts_with("0x")
}

/// What may help within the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// A new session of this token in the same child.
    Reopen,
    /// A new child.
    Respawn,
    /// Nothing.
    None,
}

/// What has been tried in this call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    pub(super) reopened: bool,
    pub(super) respawned: bool,
}

/// What to try next.
pub(super) fn cure(error: &SignError, tried: Tried) -> Cure {
    match error {
        SignError::SessionLost { .. } if !tried.reopened && !tried.respawned => Cure::Reopen,
        // Back in its slot, perhaps; and the others in this module need not notice.
        SignError::Device { code, .. } if ABSENT.contains(&code.as_str()) && !tried.reopened && !tried.respawned => {
            Cure::Reopen
        }
        // The token may have counted a login that died half way.
        SignError::Died { function, .. } if !tried.respawned && *function != "C_Login" => Cure::Respawn,
        // Nor is one repeated at once of which nobody knows how it ended.
        SignError::Device { function: "C_Login", code, .. } if is_unknown(code) => Cure::None,
        SignError::Device { code, .. } if !tried.respawned && !SENSELESS.contains(&code.as_str()) => Cure::Respawn,
        SignError::SessionLost { .. } if !tried.respawned => Cure::Respawn,
        // Nor after a hang: who hung once may hang again, and the caller has waited long enough.
        _ => Cure::None,
    }
}

/// Whether the token rests for a while after this.
pub(super) fn cools(error: &SignError) -> bool {
    match error {
        SignError::Device { code, .. } => !SENSELESS.contains(&code.as_str()),
        SignError::SessionLost { .. }
        | SignError::TokenAbsent { .. }
        | SignError::ModuleUnloadable { .. }
        | SignError::Hung { .. }
        | SignError::Died { .. } => true,
        _ => false,
    }
}

/// Whether the child that said it is worth nothing any more.
pub(super) fn condemns(error: &SignError) -> bool {
    cools(error) && !matches!(error, SignError::TokenAbsent { .. })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::signer::pkcs11::messages::Failure;

    const NOTHING: Tried = Tried { reopened: false, respawned: false };
    const REOPENED: Tried = Tried { reopened: true, respawned: false };
    const RESPAWNED: Tried = Tried { reopened: true, respawned: true };

    fn failed(code: &str) -> SignError {
        error(Trouble::Failed(Failure::ours("C_Sign", code)), "prod", Path::new("/module.so"))
    }

    #[test]
    fn cures_go_from_the_cheap_to_the_dear() {
        for code in LOST.into_iter().chain(ABSENT) {
            let steps = [NOTHING, REOPENED, RESPAWNED].map(|tried| cure(&failed(code), tried));
            assert_eq!(steps, [Cure::Reopen, Cure::Respawn, Cure::None], "{code}");
        }
        for code in ["CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "0x80000001"] {
            let steps = [NOTHING, RESPAWNED].map(|tried| cure(&failed(code), tried));
            assert_eq!(steps, [Cure::Respawn, Cure::None], "{code}");
            assert!(cools(&failed(code)) && condemns(&failed(code)));
        }
        for code in SENSELESS {
            assert_eq!(cure(&failed(code), NOTHING), Cure::None, "{code}");
            assert!(!cools(&failed(code)), "{code}");
        }
    }

    #[test]
    fn what_concerns_one_key_does_not_make_its_token_rest() {
        for error in [
            SignError::KeyAbsent { key: String::new() },
            SignError::PinRefused { token: String::new() },
            SignError::Unsupported { algorithm: crate::signer::Algorithm::Ps256 },
        ] {
            assert_eq!(cure(&error, NOTHING), Cure::None);
            assert!(!cools(&error) && !condemns(&error));
        }
    }
}
