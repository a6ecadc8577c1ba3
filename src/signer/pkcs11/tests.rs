//! A scripted child instead of a real one: what no module at hand does, and what takes minutes in real time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use zeroize::Zeroizing;

use super::line::{Launcher, Line};
use super::messages::{Answer, Failure, Key, Library, Request, Token};
use super::{Module, Pkcs11Device, Pkcs11Signer, rsa, wire};
use crate::clock::ManualClock;
use crate::problem::Problem as _;
use crate::signer::{Algorithm, Attempts, Device as _, Pin, PinSource, Pkcs11Uri, SignError, Signer as _};

const LIMIT: Duration = Duration::from_secs(10);

/// What a child does with a request.
enum Reply {
    Answer(Answer),
    Hang,
    Die,
    Garbage,
}

type Child = Box<dyn FnMut(&Request) -> Reply + Send>;

/// One child after the other, and all that they were asked.
#[derive(Clone)]
struct Script {
    children: Arc<Mutex<VecDeque<Child>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Launcher for Script {
    fn launch(&self) -> io::Result<Line> {
        let child = self.children.lock().unwrap().pop_front().ok_or(io::ErrorKind::NotFound)?;
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(play(theirs, child, Arc::clone(&self.heard)));
        Ok(Line { stream: Box::new(ours), child: None })
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

async fn play(mut parent: DuplexStream, mut child: Child, heard: Arc<Mutex<Vec<String>>>) {
    let mut length = [0; 4];
    while parent.read_exact(&mut length).await.is_ok() {
        let mut bytes = vec![0; wire::length(length).unwrap()];
        parent.read_exact(&mut bytes).await.unwrap();
        let request: Request = wire::read(&bytes).unwrap();
        let name = format!("{request:?}");
        heard.lock().unwrap().push(name.split([' ', '{']).next().unwrap().to_owned());
        match child(&request) {
            Reply::Answer(answer) => parent.write_all(&wire::frame(&answer, 0)).await.unwrap(),
            Reply::Garbage => parent.write_all(b"\0\0\0\x02hi").await.unwrap(),
            Reply::Hang => std::future::pending().await,
            Reply::Die => return,
        }
    }
}

/// A token without login, with one key that signs by repeating what it is given.
fn well(request: &Request) -> Reply {
    Reply::Answer(match request {
        Request::Start => Answer::Started(Library::default()),
        Request::Tokens => Answer::Tokens(vec![token()], vec![]),
        Request::Open { .. } | Request::Login { .. } | Request::Generate { .. } => Answer::Done,
        Request::Keys { .. } => Answer::Keys(vec![Key { handle: 7, ..Key::default() }]),
        Request::Mechanisms { .. } => Answer::Mechanisms(vec!["CKM_SHA256_RSA_PKCS_PSS".to_owned()]),
        Request::Sign { data, .. } => Answer::Signature(data.clone()),
    })
}

fn token() -> Token {
    Token { slot: 1, label: "prod".to_owned(), serial: "1".to_owned(), initialized: true, ..Token::default() }
}

fn failed(function: &'static str, code: &str) -> Reply {
    Reply::Answer(Answer::Failed(Failure::ours(function, code)))
}

struct Bench {
    script: Script,
    module: Arc<Module>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl Bench {
    fn new(children: Vec<Child>) -> Self {
        let script = Script { children: Arc::new(Mutex::new(children.into())), heard: Arc::default() };
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::standing(1_800_000_000)));
        let attempts = Attempts::new(folder.path().join("logins"));
        let module =
            Module::new("/module.so".into(), Box::new(script.clone()), LIMIT, (attempts, false), clock.clone());
        Self { script, module: Arc::new(module), clock, _folder: folder }
    }

    fn signer(&self, uri: Pkcs11Uri) -> Pkcs11Signer {
        Pkcs11Signer::new(uri, None, Arc::clone(&self.module))
    }

    /// How often children were asked this.
    fn heard(&self, what: &str) -> usize {
        self.script.heard.lock().unwrap().iter().filter(|name| *name == what).count()
    }
}

fn uri() -> Pkcs11Uri {
    Pkcs11Uri { token: Some("prod".to_owned()), object: Some("billing".to_owned()), ..Pkcs11Uri::default() }
}

fn with_pin() -> Pkcs11Uri {
    let pin = Pin::new(Zeroizing::new(b"1234".to_vec()));
    Pkcs11Uri { pin: Some(PinSource::Given(pin)), ..uri() }
}

async fn code(signer: &Pkcs11Signer) -> &'static str {
    signer.sign(Algorithm::Ps256, b"m").await.map_or_else(|error| error.code(), |_| "signed")
}

#[tokio::test(start_paused = true)]
async fn a_child_that_dies_or_talks_nonsense_is_started_anew_within_the_call() {
    let die = |request: &Request| if matches!(request, Request::Sign { .. }) { Reply::Die } else { well(request) };
    let talk = |request: &Request| if matches!(request, Request::Tokens) { Reply::Garbage } else { well(request) };
    for child in [Box::new(die) as Child, Box::new(talk)] {
        let bench = Bench::new(vec![child, Box::new(well)]);
        assert_eq!(bench.signer(uri()).sign(Algorithm::Ps256, b"m").await.unwrap(), b"m");
        assert_eq!(bench.heard("Start"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_waited_for_as_long_as_the_kind_of_call_may_take() {
    let in_sign = |request: &Request| matches!(request, Request::Sign { .. });
    let in_start = |request: &Request| matches!(request, Request::Start);
    for (hangs, limit) in [(in_sign as fn(&Request) -> bool, 10), (in_start, 30)] {
        let child = move |request: &Request| if hangs(request) { Reply::Hang } else { well(request) };
        let bench = Bench::new(vec![Box::new(child)]);
        let error = bench.signer(uri()).sign(Algorithm::Ps256, b"m").await.unwrap_err();
        assert!(error.to_string().contains(&format!("no answer within {limit}s")), "{error}");
        assert_eq!(error.code(), "signer-hung");
    }
    let child = |request: &Request| match request {
        Request::Keys { .. } => Reply::Answer(Answer::Keys(vec![])),
        Request::Generate { .. } => Reply::Hang,
        request => well(request),
    };
    let bench = Bench::new(vec![Box::new(child)]);
    let device = Pkcs11Device::new(uri(), Arc::clone(&bench.module));
    let error = device.create(2048).await.unwrap_err();
    assert!(error.to_string().contains("call `C_GenerateKeyPair` in `prod`: no answer within 180s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_leaves_no_half_conversation_behind() {
    let bench = Bench::new(vec![Box::new(well)]);
    let signer = bench.signer(uri());
    for _ in 0..20 {
        let dropped = tokio::time::timeout(Duration::ZERO, signer.sign(Algorithm::Ps256, b"first"));
        let _ = dropped.await;
        assert_eq!(signer.sign(Algorithm::Ps256, b"second").await.unwrap(), b"second");
    }
    assert_eq!(bench.heard("Start"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_in_trouble_does_not_hide_its_neighbour() {
    let other = || Failure::ours("C_GetTokenInfo", "CKR_DEVICE_ERROR");
    let child = move |request: &Request| match request {
        Request::Tokens => Reply::Answer(Answer::Tokens(vec![token()], vec![other()])),
        request => well(request),
    };
    let bench = Bench::new(vec![Box::new(child)]);
    assert_eq!(code(&bench.signer(uri())).await, "signed");
    let gone = Pkcs11Uri { token: Some("lab".to_owned()), ..uri() };
    assert_eq!(code(&bench.signer(gone)).await, "module-unloadable", "no second child is scripted");
}

/// A token with a key pad, at which this happens.
fn key_pad(mut typed: impl FnMut() -> Option<&'static str> + Send + 'static, more: Token) -> Child {
    Box::new(move |request: &Request| match request {
        Request::Tokens => {
            Reply::Answer(Answer::Tokens(vec![Token { login_required: true, key_pad: true, ..more.clone() }], vec![]))
        }
        Request::Login { pin: None, .. } => typed().map_or(Reply::Answer(Answer::Done), |code| failed("C_Login", code)),
        Request::Login { .. } => panic!("a PIN from nowhere"),
        request => well(request),
    })
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_was_mistyped_at_the_tokens_own_keys_is_not_asked_for_again_by_itself() {
    let bench = Bench::new(vec![key_pad(|| None, token())]);
    assert_eq!(code(&bench.signer(uri())).await, "signed");
    assert_eq!(bench.heard("Login"), 1);

    let bench = Bench::new(vec![key_pad(|| Some("CKR_PIN_INCORRECT"), token())]);
    for _ in 0..3 {
        assert_eq!(code(&bench.signer(uri())).await, "pin-refused");
    }
    assert_eq!(bench.heard("Login"), 1);

    for (token, refusal) in
        [(Token { final_try: true, ..token() }, "pin-final-try"), (Token { locked: true, ..token() }, "pin-locked")]
    {
        let bench = Bench::new(vec![key_pad(|| None, token)]);
        assert_eq!(code(&bench.signer(uri())).await, refusal);
        assert_eq!(bench.heard("Login"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_hung_is_not_tried_again_in_the_same_call() {
    let hang = || -> Child {
        Box::new(|request| if matches!(request, Request::Login { .. }) { Reply::Hang } else { well(request) })
    };
    let bench = Bench::new(vec![hang(), hang(), Box::new(well)]);
    let signer = bench.signer(with_pin());
    for _ in 0..2 {
        assert_eq!(code(&signer).await, "signer-hung");
        bench.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(code(&signer).await, "pin-interrupted");
    assert_eq!(bench.heard("Login"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_with_a_code_that_nobody_knows_may_have_been_a_wrong_pin() {
    let child = || -> Child {
        Box::new(|request| match request {
            Request::Login { .. } => failed("C_Login", "0x80000107"),
            request => well(request),
        })
    };
    let bench = Bench::new(vec![child(), child(), child()]);
    let signer = bench.signer(with_pin());
    for _ in 0..2 {
        assert_eq!(code(&signer).await, "signer-device-error");
        bench.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(code(&signer).await, "pin-interrupted");
    assert_eq!(bench.heard("Login"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_grows_with_a_login_is_a_verdict_whatever_its_module_says() {
    let child = || -> Child {
        let mut count_low = false;
        Box::new(move |request| match request {
            Request::Login { .. } => {
                count_low = true;
                failed("C_Login", "CKR_FUNCTION_FAILED")
            }
            Request::Tokens => Reply::Answer(Answer::Tokens(vec![Token { count_low, ..token() }], vec![])),
            request => well(request),
        })
    };
    let bench = Bench::new(vec![child(), child()]);
    let signer = bench.signer(with_pin());
    for _ in 0..3 {
        assert_eq!(code(&signer).await, "pin-refused");
    }
    assert_eq!(bench.heard("Login"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_by_somebody_else_in_this_process_counts() {
    let child = |request: &Request| match request {
        Request::Login { .. } => failed("C_Login", "CKR_USER_ALREADY_LOGGED_IN"),
        request => well(request),
    };
    let bench = Bench::new(vec![Box::new(child)]);
    assert_eq!(code(&bench.signer(with_pin())).await, "signed");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_hides_its_public_half_passes_for_the_certificates() {
    let bench = Bench::new(vec![Box::new(well)]);
    assert_eq!(bench.signer(uri()).public_key().await.unwrap_err().code(), "key-hidden");
    let wanted = b"an RSAPublicKey".to_vec();
    let signer = Pkcs11Signer::new(uri(), Some(wanted.clone()), Arc::clone(&bench.module));
    assert_eq!(signer.public_key().await.unwrap(), rsa::subject_public_key_info(&wanted));
}

#[tokio::test(start_paused = true)]
async fn a_size_that_the_token_does_not_make_is_said_so() {
    let child = |request: &Request| match request {
        Request::Keys { .. } => Reply::Answer(Answer::Keys(vec![])),
        Request::Generate { .. } => failed("C_GenerateKeyPair", "CKR_KEY_SIZE_RANGE"),
        request => well(request),
    };
    let bench = Bench::new(vec![Box::new(child)]);
    let device = Pkcs11Device::new(uri(), Arc::clone(&bench.module));
    assert_eq!(device.create(8192).await.unwrap_err().code(), "key-size-unsupported");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_seen_without_a_login_but_not_used_wants_a_pin() {
    let child = || -> Child {
        Box::new(|request| match request {
            Request::Sign { .. } => failed("C_SignInit", "CKR_USER_NOT_LOGGED_IN"),
            request => well(request),
        })
    };
    let bench = Bench::new(vec![child()]);
    assert_eq!(code(&bench.signer(uri())).await, "pin-missing");
    // With a login it is a login that was lost, and it is repeated once.
    let bench = Bench::new(vec![child()]);
    assert_eq!(code(&bench.signer(with_pin())).await, "signer-session-lost");
    assert_eq!((bench.heard("Start"), bench.heard("Login")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_in_any_process_starts_no_new_one() {
    let child = |request: &Request| match request {
        Request::Sign { .. } => failed("C_SignInit", "CKR_KEY_FUNCTION_NOT_PERMITTED"),
        request => well(request),
    };
    let bench = Bench::new(vec![Box::new(child)]);
    let signer = bench.signer(uri());
    for _ in 0..2 {
        let error = signer.sign(Algorithm::Ps256, b"m").await.unwrap_err();
        assert!(matches!(error, SignError::Device { .. }), "{error:?}");
    }
    assert_eq!((bench.heard("Start"), bench.heard("Sign")), (1, 2));
}
