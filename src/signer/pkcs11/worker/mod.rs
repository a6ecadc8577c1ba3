//! The child: loads one module and does what the parent asks, one request after the other.
//!
//! It decides nothing: which token, which key, which PIN and what to do about a failure is the parent's business, which
//! can kill this process while a call hangs. Easy to get wrong: the process has to end with its parent even while a call
//! hangs, so a thread of its own watches for the end. The kernel's parent-death signal is no way to that: it comes when
//! the *thread* that started the child ends, and a runtime's threads come and go.

mod keys;

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::messages::{self, Again, Answer, Failure, Library, Request, Token};
use super::wire;
use crate::signer::Pin;

/// How long the module may take to log out and to finalize, once the parent is gone.
const GRACE: Duration = Duration::from_secs(2);

/// How often the next request is looked for before going to sleep, half a microsecond each.
const LOOKS: u32 = 500;

/// Does what comes over `parent` until that is closed, then ends the process if the module does not let go of it.
pub fn serve(module: &Path, parent: &UnixStream) -> io::Result<()> {
    let watched = parent.try_clone()?;
    thread::Builder::new().name("parent".to_owned()).spawn(move || watch(&watched))?;
    let mut desk = Desk { path: module.to_owned(), module: None, seats: BTreeMap::new() };
    // On the main thread, since some modules count on its large stack; and without another hand to pass a request on,
    // which would cost a busy machine two waits for the scheduler.
    let mut stream = parent;
    while let Some(request) = next(&mut stream) {
        let answer = desk.answer(request).unwrap_or_else(Answer::Failed);
        stream.write_all(&wire::frame(&answer, 0))?;
        stay_awake(parent);
    }
    desk.close();
    Ok(())
}

/// Ends the process once the parent is gone, whatever the module is at.
fn watch(parent: &UnixStream) {
    let mut gone = [PollFd::new(parent, PollFlags::RDHUP)];
    while poll(&mut gone, None) == Err(Errno::INTR) {}
    // The main thread hears it too, and ends by itself unless the module holds it.
    thread::park_timeout(GRACE);
    // Not a plain exit: that runs the module's own exit handlers, which may hang as well.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// Signatures come in rows (several identities, a second certificate), and to wake a sleeping process takes longer than
/// all else between two of them. So the next request is looked for some tenths of a millisecond before going to sleep.
fn stay_awake(parent: &UnixStream) {
    let mut next = [PollFd::new(parent, PollFlags::IN)];
    for _ in 0..LOOKS {
        if poll(&mut next, Some(&Timespec::default())) != Ok(0) {
            return;
        }
        // On a machine with one processor it is the parent's turn.
        thread::yield_now();
    }
}

/// `None` when the parent is gone, or does not speak our language. Without a buffer of its own, in which a PIN would stay.
fn next(parent: &mut impl Read) -> Option<Request> {
    let mut head = [0; 4];
    parent.read_exact(&mut head).ok()?;
    let mut bytes = Zeroizing::new(vec![0; wire::length(head)?]);
    parent.read_exact(&mut bytes).ok()?;
    wire::read(&bytes)
}

/// The loaded module and its sessions. Sessions end before the module does.
struct Desk {
    path: PathBuf,
    seats: BTreeMap<u64, Seat>,
    module: Option<Pkcs11>,
}

/// The one session of a token, and the keys that were found in it, by the number that the parent knows.
struct Seat {
    session: Session,
    keys: BTreeMap<u64, ObjectHandle>,
}

impl Desk {
    fn answer(&mut self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Start => return self.start(),
            Request::Tokens => return self.tokens(),
            Request::Open { slot, write } => self.open(slot, write)?,
            Request::Login { slot, pin } => log_in(&self.seat(slot)?.session, UserType::User, pin.as_ref())?,
            Request::Keys { slot, label, id } => {
                let seat = self.seats.get_mut(&slot).ok_or_else(no_session)?;
                let found = keys::find(&seat.session, label.as_deref(), id.as_deref())?;
                seat.keys.extend(found.iter().map(|(handle, key)| (key.handle, *handle)));
                return Ok(Answer::Keys(found.into_iter().map(|(_, key)| key).collect()));
            }
            Request::Mechanisms { slot } => {
                let all = self
                    .module()?
                    .get_mechanism_list(at(slot)?)
                    .map_err(|error| failed("C_GetMechanismList", &error))?;
                let names = all.into_iter().map(|mechanism| mechanism.to_string());
                return Ok(Answer::Mechanisms(names.filter(|name| name.contains("RSA")).collect()));
            }
            Request::Sign { slot, key, mechanism, data, again } => {
                let seat = self.seat(slot)?;
                let key = *seat.keys.get(&key).ok_or_else(|| Failure::ours("C_SignInit", "CKR_KEY_HANDLE_INVALID"))?;
                return sign(&seat.session, key, mechanism, &data, &again).map(Answer::Signature);
            }
            Request::Generate { slot, label, id, bits } => generate(&self.seat(slot)?.session, &label, &id, bits)?,
        }
        Ok(Answer::Done)
    }

    fn module(&self) -> Result<&Pkcs11, Failure> {
        self.module.as_ref().ok_or_else(|| Failure::ours("C_Initialize", "CKR_CRYPTOKI_NOT_INITIALIZED"))
    }

    fn seat(&self, slot: u64) -> Result<&Seat, Failure> {
        self.seats.get(&slot).ok_or_else(no_session)
    }

    fn start(&mut self) -> Result<Answer, Failure> {
        let module = match Pkcs11::new(&self.path) {
            Ok(module) => module,
            Err(Error::LibraryLoading(why)) => return Ok(Answer::Unloadable(why.to_string())),
            Err(Error::MissingSymbol(name)) => return Ok(Answer::Unloadable(format!("it has no function {name}"))),
            Err(error) => return Err(failed("C_GetFunctionList", &error)),
        };
        initialize(&module)?;
        // Some modules set flags there that the standard forbids; then what they say of themselves is not known.
        let library = module.get_library_info().map(|info| Library {
            manufacturer: info.manufacturer_id().to_owned(),
            description: info.library_description().to_owned(),
            major: info.library_version().major(),
            minor: info.library_version().minor(),
        });
        self.module = Some(module);
        Ok(Answer::Started(library.unwrap_or_default()))
    }

    /// A token in trouble must not hide the others.
    fn tokens(&self) -> Result<Answer, Failure> {
        let module = self.module()?;
        let (mut tokens, mut failures) = (Vec::new(), Vec::new());
        for slot in module.get_slots_with_token().map_err(|error| failed("C_GetSlotList", &error))? {
            match token(module, slot) {
                Ok(token) => tokens.push(token),
                Err(Error::Pkcs11(RvError::TokenNotPresent | RvError::TokenNotRecognized, _)) => {}
                Err(error) => failures.push(failed("C_GetTokenInfo", &error)),
            }
        }
        Ok(Answer::Tokens(tokens, failures))
    }

    fn open(&mut self, slot: u64, write: bool) -> Result<(), Failure> {
        // First, since a token may allow one session only, and so that no login outlives it.
        self.seats.remove(&slot);
        let module = self.module()?;
        let session = if write { module.open_rw_session(at(slot)?) } else { module.open_ro_session(at(slot)?) };
        let session = session.map_err(|error| failed("C_OpenSession", &error))?;
        self.seats.insert(slot, Seat { session, keys: BTreeMap::new() });
        Ok(())
    }

    fn close(&mut self) {
        self.seats.clear();
        if let Some(module) = self.module.take() {
            let _ = module.finalize();
        }
    }
}

fn initialize(module: &Pkcs11) -> Result<(), Failure> {
    let with = |flags| module.initialize(CInitializeArgs::new(flags));
    let outcome = match with(CInitializeFlags::OS_LOCKING_OK) {
        // We call from one thread only, so a module that cannot lock is as good.
        Err(Error::Pkcs11(RvError::CantLock | RvError::ArgumentsBad, _)) => with(CInitializeFlags::empty()),
        outcome => outcome,
    };
    match outcome {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(failed("C_Initialize", &error)),
    }
}

fn token(module: &Pkcs11, slot: Slot) -> Result<Token, Error> {
    let token = module.get_token_info(slot)?;
    let (slot_manufacturer, slot_description) = module.get_slot_info(slot).map_or_else(
        |_| Default::default(),
        |info| (info.manufacturer_id().to_owned(), info.slot_description().to_owned()),
    );
    Ok(Token {
        slot: slot.id(),
        slot_manufacturer,
        slot_description,
        label: token.label().to_owned(),
        serial: token.serial_number().to_owned(),
        manufacturer: token.manufacturer_id().to_owned(),
        model: token.model().to_owned(),
        initialized: token.token_initialized(),
        login_required: token.login_required(),
        key_pad: token.protected_authentication_path(),
        count_low: token.user_pin_count_low(),
        final_try: token.user_pin_final_try(),
        locked: token.user_pin_locked(),
    })
}

fn log_in(session: &Session, user: UserType, pin: Option<&Pin>) -> Result<(), Failure> {
    let outcome = match pin {
        // Bytes as they are: a PIN need not be text. Wiped when dropped.
        Some(pin) => session.login_with_raw(user, &RawAuthPin::new(Box::new(pin.expose().to_vec()))),
        None => session.login(user, None),
    };
    outcome.map_err(|error| failed("C_Login", &error))
}

fn sign(
    session: &Session,
    key: ObjectHandle,
    mechanism: messages::Mechanism,
    data: &[u8],
    again: &Again,
) -> Result<Vec<u8>, Failure> {
    let pss = PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() };
    let mechanism = match mechanism {
        messages::Mechanism::Sha256Pss => Mechanism::Sha256RsaPkcsPss(pss),
        messages::Mechanism::Pss => Mechanism::RsaPkcsPss(pss),
        messages::Mechanism::Sha256Pkcs1 => Mechanism::Sha256RsaPkcs,
        messages::Mechanism::Pkcs1 => Mechanism::RsaPkcs,
    };
    let pin = match again {
        Again::No => return session.sign(&mechanism, key, data).map_err(|error| failed("C_Sign", &error)),
        Again::KeyPad => None,
        Again::Pin(pin) => Some(pin),
    };
    session.sign_init(&mechanism, key).map_err(|error| failed("C_SignInit", &error))?;
    log_in(session, UserType::ContextSpecific, pin)?;
    session.sign_update(data).map_err(|error| failed("C_SignUpdate", &error))?;
    session.sign_final().map_err(|error| failed("C_SignFinal", &error))
}

/// For signatures only, never to leave the token; and its public object.
fn generate(session: &Session, label: &str, id: &[u8], bits: u32) -> Result<(), Failure> {
    let both = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(id.into())];
    let public = [
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::ModulusBits(u64::from(bits).into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ];
    let (public, private) = ([&both[..], &public].concat(), [&both[..], &private].concat());
    let made = session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private);
    made.map(|_| ()).map_err(|error| failed("C_GenerateKeyPair", &error))
}

fn at(slot: u64) -> Result<Slot, Failure> {
    Slot::try_from(slot).map_err(|error| failed("C_GetSlotInfo", &error))
}

fn no_session() -> Failure {
    Failure::ours("C_OpenSession", "CKR_SESSION_HANDLE_INVALID")
}

/// By the standard's names. `function` is for an error that says none.
fn failed(function: &'static str, error: &Error) -> Failure {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code), called) => {
            Failure::new(&format!("C_{called:?}"), function, format!("{code:#010x}"))
        }
        Error::Pkcs11(code, called) => Failure::new(&format!("C_{called:?}"), function, standard(&format!("{code:?}"))),
        other => Failure::new(function, function, other.to_string()),
    }
}

/// `CKR_DEVICE_ERROR` for `DeviceError`.
fn standard(name: &str) -> String {
    let mut text = "CKR".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
