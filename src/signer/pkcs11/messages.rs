//! What parent and child say to each other: one request, one answer.
//!
//! Easy to get wrong: what comes from the child may be garbage, since foreign code runs there; so it is read with care,
//! and nothing in it is trusted to be short, or text.

use super::wire::Wire;
use crate::signer::Pin;

/// What the child is asked to do. The slot numbers are this child's own, from its list of tokens.
#[derive(Debug)]
pub(super) enum Request {
    /// Load and initialize the module.
    Start,
    Tokens,
    /// Opens the one session of this token, in place of an earlier one.
    Open {
        slot: u64,
        write: bool,
    },
    /// Without a PIN it is typed in at the token's own key pad.
    Login {
        slot: u64,
        pin: Option<Pin>,
    },
    /// Private RSA keys. What is `None` matches everything.
    Keys {
        slot: u64,
        label: Option<String>,
        id: Option<Vec<u8>>,
    },
    Mechanisms {
        slot: u64,
    },
    Sign {
        slot: u64,
        key: u64,
        mechanism: Mechanism,
        data: Vec<u8>,
        again: Again,
    },
    Generate {
        slot: u64,
        label: String,
        id: Vec<u8>,
        bits: u32,
    },
}

/// What the child answers.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Started(Library),
    Tokens(Vec<Token>, Vec<Failure>),
    Keys(Vec<Key>),
    /// As the standard names them: `CKM_RSA_PKCS_PSS`.
    Mechanisms(Vec<String>),
    Signature(Vec<u8>),
    Failed(Failure),
    /// The module cannot be loaded at all.
    Unloadable(String),
}

/// How the PIN is given again between `C_SignInit` and `C_Sign`, for a key that wants it each time.
#[derive(Debug)]
pub(super) enum Again {
    No,
    KeyPad,
    Pin(Pin),
}

/// How to sign, by whether the module makes the digest itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// `CKM_SHA256_RSA_PKCS_PSS`, over the message.
    Sha256Pss,
    /// `CKM_RSA_PKCS_PSS`, over its digest.
    Pss,
    /// `CKM_SHA256_RSA_PKCS`, over the message.
    Sha256Pkcs1,
    /// `CKM_RSA_PKCS`, over the `DigestInfo` of its digest.
    Pkcs1,
}

/// What a module says of itself. Empty where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) manufacturer: String,
    pub(super) description: String,
    pub(super) major: u8,
    pub(super) minor: u8,
}

/// A token that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are flags of CK_TOKEN_INFO")]
pub(super) struct Token {
    pub(super) slot: u64,
    pub(super) slot_manufacturer: String,
    pub(super) slot_description: String,
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) manufacturer: String,
    pub(super) model: String,
    pub(super) initialized: bool,
    pub(super) login_required: bool,
    /// `CKF_PROTECTED_AUTHENTICATION_PATH`.
    pub(super) key_pad: bool,
    pub(super) count_low: bool,
    pub(super) final_try: bool,
    pub(super) locked: bool,
}

/// A private RSA key, with what the token shows of it. `handle` is good for this session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) handle: u64,
    pub(super) label: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) modulus: Option<Vec<u8>>,
    pub(super) exponent: Option<Vec<u8>>,
    /// Of the certificate object with the same id, where the modulus is shown nowhere else.
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) sign: Option<bool>,
    pub(super) always_authenticate: Option<bool>,
    pub(super) extractable: Option<bool>,
}

/// A function of the module that did not give `CKR_OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) function: &'static str,
    /// `CKR_DEVICE_ERROR`, or the number where the standard has no name for it.
    pub(super) code: String,
}

/// The functions that a failure may name, by their number on the wire.
const FUNCTIONS: [&str; 21] = [
    "C_Initialize",
    "C_GetInfo",
    "C_GetFunctionList",
    "C_GetInterface",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_OpenSession",
    "C_CloseSession",
    "C_Login",
    "C_Logout",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_GetAttributeValue",
    "C_SignInit",
    "C_Sign",
    "C_SignUpdate",
    "C_SignFinal",
    "C_GenerateKeyPair",
    "C_GetSessionInfo",
];

impl Failure {
    /// Found out without a call, and no different for the parent.
    pub(super) fn ours(function: &'static str, code: &str) -> Self {
        Self { function, code: code.to_owned() }
    }

    /// `fallback` for a function that is not in the list.
    pub(super) fn new(function: &str, fallback: &'static str, code: String) -> Self {
        let function = FUNCTIONS.into_iter().find(|known| *known == function).unwrap_or(fallback);
        Self { function, code }
    }
}

/// One byte says which variant, then come its fields in this order.
macro_rules! variants {
    ($name:ident: $($tag:literal $variant:ident $({ $($field:ident),+ })? $(( $($item:ident),+ ))?;)+) => {
        impl Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),+ })? $(( $($item),+ ))? => {
                        to.push($tag);
                        $($($field.put(to);)+)?
                        $($($item.put(to);)+)?
                    })+
                }
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(match u8::take(from)? {
                    $($tag => {
                        $($(let $field = Wire::take(from)?;)+)?
                        $($(let $item = Wire::take(from)?;)+)?
                        Self::$variant $({ $($field),+ })? $(( $($item),+ ))?
                    })+
                    _ => return None,
                })
            }
        }
    };
}

/// The fields in this order.
macro_rules! fields {
    ($name:ident: $($field:ident)+) => {
        impl Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $(self.$field.put(to);)+
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                $(let $field = Wire::take(from)?;)+
                Some(Self { $($field),+ })
            }
        }
    };
}

variants! { Request:
    1 Start;
    2 Tokens;
    3 Open { slot, write };
    4 Login { slot, pin };
    5 Keys { slot, label, id };
    6 Mechanisms { slot };
    7 Sign { slot, key, mechanism, data, again };
    8 Generate { slot, label, id, bits };
}

variants! { Answer:
    1 Done;
    2 Started(library);
    3 Tokens(tokens, failures);
    4 Keys(keys);
    5 Mechanisms(names);
    6 Signature(bytes);
    7 Failed(failure);
    8 Unloadable(why);
}

variants! { Again:
    0 No;
    1 KeyPad;
    2 Pin(pin);
}

variants! { Mechanism:
    0 Sha256Pss;
    1 Pss;
    2 Sha256Pkcs1;
    3 Pkcs1;
}

fields! { Library: manufacturer description major minor }
fields! { Token: slot slot_manufacturer slot_description label serial manufacturer model initialized login_required
key_pad count_low final_try locked }
fields! { Key: handle label id modulus exponent certificate sign always_authenticate extractable }

impl Wire for Failure {
    fn put(&self, to: &mut Vec<u8>) {
        let number = FUNCTIONS.iter().position(|known| *known == self.function).unwrap_or_default();
        to.push(u8::try_from(number).unwrap_or_default());
        self.code.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let function = FUNCTIONS.get(usize::from(u8::take(from)?))?;
        Some(Self { function, code: Wire::take(from)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::signer::pkcs11::wire::{frame, length, read};

    /// Through a frame and back, by what `Debug` shows: a PIN is compared by hand.
    fn travelled<T: Wire>(message: &T) -> T {
        let frame = frame(message, 0);
        let head = *frame.first_chunk().unwrap();
        assert_eq!(length(head), Some(frame.len() - 4));
        read(&frame[4..]).unwrap()
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let key = Key { handle: 7, label: Some("billing".to_owned()), sign: Some(true), ..Key::default() };
        let token = Token { slot: u64::MAX, label: "Zürich".to_owned(), final_try: true, ..Token::default() };
        let failure = Failure::new("C_Sign", "C_Sign", "CKR_DEVICE_ERROR".to_owned());
        for answer in [
            Answer::Done,
            Answer::Started(Library { major: 2, minor: 6, ..Library::default() }),
            Answer::Tokens(vec![token], vec![failure.clone()]),
            Answer::Keys(vec![key.clone(), key]),
            Answer::Mechanisms(vec!["CKM_RSA_PKCS".to_owned()]),
            Answer::Signature(vec![0, 255]),
            Answer::Failed(failure),
            Answer::Unloadable("no such file".to_owned()),
        ] {
            assert_eq!(format!("{:?}", travelled(&answer)), format!("{answer:?}"));
        }
    }

    #[test]
    fn a_pin_arrives_byte_for_byte_and_is_never_printed() {
        let pin = || Pin::new(Zeroizing::new(b"user:\xff canary".to_vec()));
        let login = Request::Login { slot: 1, pin: Some(pin()) };
        let Request::Login { slot: 1, pin: Some(arrived) } = travelled(&login) else { panic!() };
        assert_eq!(arrived.expose(), pin().expose());
        assert!(!format!("{login:?}").contains("canary"));
        let sign =
            Request::Sign { slot: 1, key: 2, mechanism: Mechanism::Pss, data: vec![1], again: Again::Pin(pin()) };
        let Request::Sign { again: Again::Pin(arrived), .. } = travelled(&sign) else { panic!() };
        assert_eq!(arrived.expose(), pin().expose());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_read_but_never_more(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(answer) = read::<Answer>(&bytes) {
                prop_assert_eq!(&frame(&answer, 0)[4..], &bytes[..]);
            }
            if let Some(request) = read::<Request>(&bytes) {
                prop_assert_eq!(&frame(&request, 0)[4..], &bytes[..]);
            }
        }
    }

    #[test]
    fn a_frame_that_claims_to_be_longer_than_any_is_refused() {
        assert_eq!(length(*b"HTTP"), None);
        assert_eq!(length([0, 0, 1, 0]), Some(256));
    }
}
