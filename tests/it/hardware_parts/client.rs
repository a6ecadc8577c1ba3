//! A process of its own that has a module loaded and sessions open, told by the test what to do next.
//!
//! SoftHSM reads `SOFTHSM2_CONF` from the environment of its process, so it cannot be this one: the test binary starts
//! itself once more, for the one test below that is none.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::support::softhsm::Softhsm;

/// What an answer's line starts with: libtest prints to the same place.
const MARK: &str = "answer: ";

/// The other process. It is killed when dropped.
pub struct Client {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub fn start(hsm: &Softhsm, module: &Path) -> Self {
        let mut command = hsm.child(std::env::current_exe().unwrap());
        command.args([
            "--ignored",
            "--exact",
            "--nocapture",
            "hardware_parts::client::a_process_that_is_told_what_to_do",
        ]);
        command.env("UNSECRET_TEST_MODULE", module).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// `ok`, or the name of what the module said.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the client has ended at {question}");
            if let Some((_, answer)) = line.trim_end().split_once(MARK) {
                return answer.to_owned();
            }
        }
    }

    /// Asks in a row what has to go well.
    pub fn ready(mut self, questions: &[&str]) -> Self {
        for question in questions {
            assert_eq!(self.ask(question), "ok", "{question}");
        }
        self
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a part of other tests, which start it as a process of its own"]
fn a_process_that_is_told_what_to_do() {
    let Some(module) = std::env::var_os("UNSECRET_TEST_MODULE") else { return };
    let module = Path::new(&module);
    // Keeps the library loaded across C_Finalize.
    let _loaded = Pkcs11::new(module).unwrap();
    let mut state = State { library: Pkcs11::new(module).unwrap(), session: None, key: None };
    for question in std::io::stdin().lines() {
        let question = question.unwrap();
        let (verb, argument) = question.split_once(' ').unwrap_or((&question, ""));
        let answer = match state.obey(module, verb, argument) {
            Ok(true) => "ok".to_owned(),
            Ok(false) => "not found".to_owned(),
            Err(Error::Pkcs11(result, _)) => format!("{result:?}"),
            Err(error) => panic!("{error}"),
        };
        println!("{MARK}{answer}");
    }
}

struct State {
    library: Pkcs11,
    session: Option<Session>,
    key: Option<ObjectHandle>,
}

impl State {
    /// Whether what was looked for was found.
    fn obey(&mut self, module: &Path, verb: &str, argument: &str) -> Result<bool, Error> {
        let pin = || AuthPin::new(argument.to_owned().into());
        match verb {
            "initialize" => self.library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?,
            "finalize" => {
                self.session = None;
                let fresh = Pkcs11::new(module)?;
                std::mem::replace(&mut self.library, fresh).finalize()?;
            }
            "open" => return self.open(argument),
            "login" => self.session().login(UserType::User, Some(&pin()))?,
            "login-again" => self.session().login(UserType::ContextSpecific, Some(&pin()))?,
            "find" => return self.find(argument),
            "sign" => drop(self.session().sign(&Mechanism::Sha256RsaPkcs, self.key.unwrap(), b"something")?),
            "sign-init" => self.session().sign_init(&Mechanism::Sha256RsaPkcs, self.key.unwrap())?,
            "sign-on" => {
                self.session().sign_update(b"something")?;
                self.session().sign_final()?;
            }
            _ => panic!("unknown: {verb}"),
        }
        Ok(true)
    }

    fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }

    fn open(&mut self, token: &str) -> Result<bool, Error> {
        for slot in self.library.get_slots_with_initialized_token()? {
            if self.library.get_token_info(slot)?.label() == token {
                self.session = Some(self.library.open_ro_session(slot)?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find(&mut self, id: &str) -> Result<bool, Error> {
        let id = u8::from_str_radix(id, 16).unwrap();
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(vec![id])];
        let found = self.session().find_objects(&wanted)?.first().copied();
        self.key = found.or(self.key);
        Ok(found.is_some())
    }
}
