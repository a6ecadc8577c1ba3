//! Keys in a real TPM (swtpm): signatures that verify, wrong values that are counted once, and a TPM that goes and comes back.

mod broker;
mod wires;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use tempfile::TempDir;
use unsecret::clock::{Clock, ManualClock, SystemClock};
use unsecret::problem::Problem as _;
use unsecret::signer::{Algorithm, Device, KeyUri, PinSource, Settings, SignError, Signer, Signers, TpmPlace, TpmUri};

use crate::support::swtpm::Swtpm;
use crate::support::world::until;

const HANDLE: u32 = 0x8101_0042;
const MESSAGE: &[u8] = b"header.payload";

/// A TPM, and a folder for the record of logins, for key files and for values.
struct Stand {
    tpm: Swtpm,
    folder: TempDir,
}

impl Stand {
    async fn new() -> Option<Self> {
        Some(Self { tpm: Swtpm::start().await?, folder: tempfile::tempdir().unwrap() })
    }

    /// As after a start of the process: nothing is known but what is on disk.
    fn signers(&self) -> Signers {
        signers(&self.tpm.tcti(), self.folder.path(), Arc::new(SystemClock::new()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn value(&self, text: &str) -> PinSource {
        let path = self.path("value");
        fs::write(&path, format!("{text}\n")).unwrap();
        PinSource::File(path)
    }

    /// Somebody else's wrong values for the key at [`HANDLE`].
    async fn guess(&self, times: usize) {
        let digest = self.path("digest");
        fs::write(&digest, "what is signed").unwrap();
        let guess = ["-c", "0x81010042", "-p", "geraten", "-o", "/dev/null", digest.to_str().unwrap()];
        for _ in 0..times {
            assert!(!self.tpm.attempt("tpm2_sign", &guess).await.status.success());
        }
    }

    fn signer(&self, key: &KeyUri) -> Arc<dyn Signer> {
        self.signers().open(key, None).unwrap()
    }

    fn device(&self, key: &KeyUri) -> Arc<dyn Device> {
        self.signers().device(key).unwrap()
    }
}

fn signers(tcti: &str, folder: &Path, clock: Arc<dyn Clock>) -> Signers {
    Signers::new(settings(tcti, folder), clock)
}

fn settings(tcti: &str, folder: &Path) -> Settings {
    Settings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_unsecret")),
        environment: BTreeMap::new(),
        state: folder.join("state"),
        limit: Duration::from_secs(20),
        withheld: Vec::new(),
        tcti: tcti.to_owned(),
        force: false,
    }
}

fn at(handle: u32, auth: Option<PinSource>) -> KeyUri {
    KeyUri::Tpm(TpmUri { place: TpmPlace::Handle(handle), auth })
}

fn within(path: PathBuf, auth: Option<PinSource>) -> KeyUri {
    KeyUri::Tpm(TpmUri { place: TpmPlace::File(path), auth })
}

/// Both algorithms, each verified with the key that the signer itself shows. The salt is 32 bytes or it does not verify.
async fn assert_signs(signer: &dyn Signer) {
    let key = signer.public_key().await.unwrap();
    let ps256 = signer.sign(Algorithm::Ps256, MESSAGE).await.unwrap();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key).verify(MESSAGE, &ps256).unwrap();
    let rs256 = signer.sign(Algorithm::Rs256, MESSAGE).await.unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key).verify(MESSAGE, &rs256).unwrap();
}

async fn refusal(signer: &dyn Signer) -> SignError {
    signer.sign(Algorithm::Ps256, MESSAGE).await.unwrap_err()
}

#[tokio::test]
async fn a_persistent_key_that_the_tools_made_signs() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, None, 2048).await;
    let signer = stand.signer(&at(HANDLE, None));
    assert_signs(&*signer).await;
    assert_eq!((signer.kind(), signer.reopened()), ("tpm", 0));
}

#[tokio::test]
async fn a_key_made_into_a_file_signs_in_its_tpm_and_in_no_other() {
    let (Some(stand), Some(other)) = (Stand::new().await, Stand::new().await) else { return };
    let path = stand.path("billing.tss");
    let uri = within(path.clone(), None);
    assert_eq!(stand.device(&uri).create(2048).await.unwrap(), uri);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_signs(&*stand.signer(&uri)).await;
    let refused = refusal(&*other.signer(&uri)).await;
    assert_eq!(refused.code(), "tpm-key-unfit");
    assert!(refused.to_string().ends_with("this TPM did not make it, or has been cleared since"), "{refused}");
    // What we wrote others can read.
    let context = stand.path("context");
    let load = ["-Q", "-r", path.to_str().unwrap(), "-c", context.to_str().unwrap()];
    stand.tpm.tool("tpm2_load", &load).await;
}

#[tokio::test]
async fn a_key_file_that_the_tools_wrote_signs_whatever_its_parent() {
    let Some(stand) = Stand::new().await else { return };
    for (parent, value) in [(None, None), (None, Some("geheim")), (Some(0x8100_0001), Some("geheim"))] {
        let path = stand.path("tools.tss");
        stand.tpm.key_file(&path, parent, value, 2048).await;
        assert_signs(&*stand.signer(&within(path, value.map(|value| stand.value(value))))).await;
    }
}

/// Neither a handle nor a file tells reliably, so it has to be tried, once.
#[tokio::test]
async fn a_key_that_wants_a_value_is_tried_without_one_once() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, Some("geheim"), 2048).await;
    assert_eq!(refusal(&*stand.signer(&at(HANDLE, None))).await.code(), "pin-missing");
    for _ in 0..3 {
        assert_eq!(refusal(&*stand.signer(&at(HANDLE, None))).await.code(), "pin-missing");
    }
    assert_eq!(stand.tpm.lockout().await.counter, 1);
}

#[tokio::test]
async fn a_key_with_a_value_signs_and_nothing_stays_loaded() {
    let Some(stand) = Stand::new().await else { return };
    let value = stand.value("geheim");
    for uri in [within(stand.path("billing.tss"), Some(value.clone())), at(HANDLE, Some(value))] {
        stand.device(&uri).create(2048).await.unwrap();
        assert_signs(&*stand.signer(&uri)).await;
    }
    assert_eq!(stand.tpm.lockout().await.counter, 0);
    for kind in ["handles-transient", "handles-loaded-session", "handles-saved-session"] {
        assert_eq!(stand.tpm.tool("tpm2_getcap", &[kind]).await, "", "{kind}");
    }
}

/// Three identities on one key, each process started anew: whatever is asked for, the TPM has judged one value.
#[tokio::test]
async fn a_wrong_value_is_tried_once_by_all_and_the_right_one_is_taken_up() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, Some("geheim"), 2048).await;
    let uri = at(HANDLE, Some(stand.value("falsch")));
    for _ in 0..3 {
        let process = stand.signers();
        for _ in 0..3 {
            let identity = process.open(&uri, None).unwrap();
            for _ in 0..2 {
                let refused = refusal(&*identity).await;
                assert_eq!((refused.code(), refused.outcome()), ("pin-refused", "pin_error"));
                assert!(refused.to_string().contains("tpm:handle=0x81010042"), "{refused}");
            }
        }
    }
    assert_eq!(stand.tpm.lockout().await.counter, 1);
    let before = stand.signer(&uri);
    stand.value("geheim");
    assert_signs(&*before).await;
    assert_signs(&*stand.signer(&uri)).await;
    // Another one brings the TPM one step from locking.
    stand.value("auch falsch");
    assert_eq!(refusal(&*before).await.code(), "pin-refused");
    assert_eq!(refusal(&*before).await.code(), "pin-final-try");
    assert_eq!(stand.tpm.lockout().await.counter, 2);
    // It took this one from this process before, so there is nothing to be afraid of.
    stand.value("geheim");
    assert_signs(&*before).await;
}

#[tokio::test]
async fn the_last_attempt_before_the_lock_is_left_to_people() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, Some("geheim"), 2048).await;
    let uri = at(HANDLE, Some(stand.value("geheim")));
    stand.guess(2).await;
    let near = refusal(&*stand.signer(&uri)).await;
    assert_eq!(near.code(), "pin-final-try");
    assert!(near.remedy().unwrap().contains("tpm2_dictionarylockout --clear-lockout"), "{near}");
    assert_eq!(stand.tpm.lockout().await.counter, 2);
    stand.guess(1).await;
    let locked = refusal(&*stand.signer(&uri)).await;
    assert_eq!((locked.code(), locked.outcome()), ("pin-locked", "pin_error"));
    stand.tpm.clear_lockout().await;
    assert_signs(&*stand.signer(&uri)).await;
}

#[tokio::test]
async fn a_tpm_that_others_lock_meanwhile_says_so_and_blames_no_value() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, Some("geheim"), 2048).await;
    let unguessable = at(HANDLE + 1, None);
    stand.device(&unguessable).create(2048).await.unwrap();
    let signer = stand.signer(&at(HANDLE, Some(stand.value("geheim"))));
    assert_signs(&*signer).await;
    stand.guess(3).await;
    assert_eq!(refusal(&*signer).await.code(), "pin-locked");
    // A key that nobody can guess at works on.
    assert_signs(&*stand.signer(&unguessable)).await;
    stand.tpm.clear_lockout().await;
    assert_signs(&*signer).await;
}

#[tokio::test]
async fn a_tpm_that_is_killed_and_started_again_is_found_by_itself() {
    let Some(mut stand) = Stand::new().await else { return };
    let (persistent, file) = (at(HANDLE, None), within(stand.path("billing.tss"), None));
    for uri in [&persistent, &file] {
        stand.device(uri).create(2048).await.unwrap();
    }
    let clock = Arc::new(ManualClock::running());
    let signers = signers(&stand.tpm.tcti(), stand.folder.path(), clock.clone());
    let keys = [&persistent, &file].map(|uri| signers.open(uri, None).unwrap());
    assert_signs(&*keys[0]).await;
    stand.tpm.kill();
    let gone = refusal(&*keys[0]).await;
    assert_eq!((gone.code(), gone.outcome()), ("tpm-absent", "token_absent"));
    assert!(gone.to_string().contains(&stand.tpm.tcti()), "{gone}");
    stand.tpm.restart().await;
    // The pause is the TPM's and not a key's, and in it the earlier error is told.
    let cooling = refusal(&*keys[1]).await;
    assert!(matches!(cooling, SignError::Cooling(_)), "{cooling:?}");
    assert_eq!(cooling.code(), "tpm-absent");
    clock.advance(Duration::from_secs(1));
    for key in &keys {
        assert_signs(&**key).await;
        assert_eq!(key.reopened(), 1);
    }
}

#[tokio::test]
async fn the_pause_after_trouble_grows_to_half_a_minute_and_no_further() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::standing(1_000_000));
    let signer =
        signers("device:/nonexistent/tpm", folder.path(), clock.clone()).open(&at(HANDLE, None), None).unwrap();
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        let absent = refusal(&*signer).await;
        assert!(matches!(absent, SignError::TpmAbsent { .. }), "{absent:?} before {pause} s");
        assert!(absent.to_string().contains("No such file or directory"), "{absent}");
        clock.advance(Duration::from_millis(pause * 1_000 - 1));
        assert!(matches!(refusal(&*signer).await, SignError::Cooling(_)), "{pause} s");
        clock.advance(Duration::from_millis(1));
    }
}

/// Takes connections and never answers, as a driver does that waits for a dead chip.
#[tokio::test]
async fn a_tpm_that_never_answers_is_given_up_and_few_threads_wait_for_it() {
    let (first, second) = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let next = first.local_addr().unwrap().port().checked_add(1);
        if let Some(Ok(second)) = next.map(|next| TcpListener::bind(("127.0.0.1", next))) {
            break (first, second);
        }
    };
    let tcti = format!("swtpm:host=127.0.0.1,port={}", first.local_addr().unwrap().port());
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::running());
    let settings = Settings { limit: Duration::from_millis(300), ..settings(&tcti, folder.path()) };
    let signer = Signers::new(settings, clock.clone()).open(&at(HANDLE, None), None).unwrap();
    for _ in 0..5 {
        let hung = refusal(&*signer).await;
        assert_eq!((hung.code(), hung.outcome()), ("signer-hung", "device_error"));
        assert!(hung.to_string().contains(&tcti), "{hung}");
        clock.advance(Duration::from_secs(30));
    }
    first.set_nonblocking(true).unwrap();
    let connections: Vec<_> = first.incoming().map_while(Result::ok).collect();
    assert_eq!(connections.len(), 3);
    // The driver gives up after all: the threads end, and the TPM is asked again.
    drop((first, second, connections));
    until("the TPM is asked again", async || {
        clock.advance(Duration::from_secs(30));
        (refusal(&*signer).await.code() == "tpm-absent").then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_is_made_where_there_is_something_already() {
    let Some(stand) = Stand::new().await else { return };
    let (persistent, file) = (at(HANDLE, None), within(stand.path("billing.tss"), None));
    for uri in [&persistent, &file] {
        stand.device(uri).create(2048).await.unwrap();
        let key = stand.signer(uri).public_key().await.unwrap();
        let refused = stand.device(uri).create(2048).await.unwrap_err();
        assert_eq!(refused.code(), "key-exists");
        assert_eq!(stand.signer(uri).public_key().await.unwrap(), key);
    }
    // The key that is meant comes first.
    for (uri, order) in [(&file, [&file, &persistent]), (&persistent, [&persistent, &file])] {
        let found = stand.device(uri).keys().await.unwrap();
        for (key, expected) in found.iter().zip(order) {
            assert_eq!((&key.uri, key.bits, key.extractable), (&expected.to_string(), Some(2048), Some(false)));
            assert_eq!(key.mechanisms, ["rsapss", "rsassa"]);
        }
        assert_eq!(found.len(), if *uri == file { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_size_that_the_tpm_lacks_is_refused_before_anything_is_made() {
    let Some(stand) = Stand::new().await else { return };
    let uri = within(stand.path("billing.tss"), None);
    for bits in [1024, 4096, 70_000] {
        let refused = stand.device(&uri).create(bits).await.unwrap_err();
        assert_eq!(refused.code(), "key-size-unsupported", "{refused}");
        assert!(refused.to_string().ends_with("this TPM makes only those of 2048, 3072"), "{refused}");
    }
    assert!(!stand.path("billing.tss").exists());
    stand.device(&uri).create(3072).await.unwrap();
    assert_signs(&*stand.signer(&uri)).await;
}

#[tokio::test]
async fn a_tpm_whose_owner_has_a_password_is_named_as_such() {
    let Some(stand) = Stand::new().await else { return };
    let file = within(stand.path("billing.tss"), None);
    stand.device(&file).create(2048).await.unwrap();
    stand.tpm.persistent_key(HANDLE, None, 2048).await;
    stand.tpm.tool("tpm2_changeauth", &["-c", "owner", "eigentum"]).await;
    assert_eq!(stand.device(&at(0x8101_0043, None)).create(2048).await.unwrap_err().code(), "tpm-owned");
    assert_eq!(refusal(&*stand.signer(&file)).await.code(), "tpm-owned");
    // What is there already needs nobody's consent.
    assert_signs(&*stand.signer(&at(HANDLE, None))).await;
}

#[tokio::test]
async fn a_key_with_a_scheme_of_its_own_says_what_it_cannot_do() {
    let Some(stand) = Stand::new().await else { return };
    let [primary, context] = ["primary", "context"].map(|name| stand.path(name).to_str().unwrap().to_owned());
    stand.tpm.tool("tpm2_createprimary", &["-Q", "-C", "o", "-G", "ecc", "-c", &primary]).await;
    stand.tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
    for (handle, scheme, lacks) in
        [(HANDLE, "rsapss-sha256", Algorithm::Rs256), (HANDLE + 1, "rsassa-sha256", Algorithm::Ps256)]
    {
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
        let kind = format!("rsa2048:{scheme}:null");
        let create = ["-Q", "-C", &*primary, "-G", &kind, "-a", attributes, "-c", &context];
        stand.tpm.tool("tpm2_create", &create).await;
        stand.tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
        stand.tpm.tool("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &context, &format!("{handle:#x}")]).await;
        stand.tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
        let signer = stand.signer(&at(handle, None));
        for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
            let outcome = signer.sign(algorithm, MESSAGE).await;
            assert_eq!(
                outcome.map_err(|error| error.code()).err(),
                (algorithm == lacks).then_some("key-algorithm-unsupported")
            );
        }
    }
    assert_eq!(refusal(&*stand.signer(&at(0x8101_0099, None))).await.code(), "key-absent");
}
