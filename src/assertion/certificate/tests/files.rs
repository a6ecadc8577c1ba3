//! Files that are replaced, and certificates that end.

use std::path::PathBuf;

use super::scripted::{Mood, Scripted, Stage};
use super::*;
use crate::signer::{FileSigner, KeyUri, SignError, Signer};

const DAY: u64 = 86_400;

/// Opens files, and hands out one scripted key for everything else.
#[derive(Debug)]
struct Ring(Arc<Scripted>);

impl Keys for Ring {
    fn open(&self, key: &KeyUri, _: &[u8]) -> Result<Arc<dyn Signer>, SignError> {
        match key {
            KeyUri::File { path, .. } => Ok(Arc::new(FileSigner::open(path, None)?)),
            _ => Ok(self.0.clone()),
        }
    }
}

struct Folder {
    dir: tempfile::TempDir,
    keys: Arc<dyn Keys>,
}

impl Folder {
    fn new(token: &Arc<Scripted>) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keys: Arc::new(Ring(token.clone())) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// In place of what was there, by rename.
    fn put(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn put_certificate(&self, key: usize, from: (i32, u8), until: (i32, u8)) {
        let mut params = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, 1);
        self.put("app.pem", &params.self_signed(&KEYS[key]).unwrap().pem());
    }

    fn put_pair(&self, key: usize) {
        self.put_certificate(key, (2020, 1), (2090, 1));
        self.put("app.key", &KEYS[key].serialize_pem());
    }

    fn in_file(&self) -> KeyUri {
        KeyUri::File { path: self.path("app.key"), password_file: None }
    }

    fn stage(&self, key: KeyUri) -> Stage {
        let pair = Pair { certificate: self.path("app.pem"), key };
        Stage::new(vec![Credential::open(&pair, &self.keys).unwrap()])
    }
}

/// The next look at the files.
async fn look(stage: &Stage) {
    stage.clock.advance(Duration::from_secs(10));
    stage.source.tend().await;
}

#[tokio::test]
async fn a_replaced_pair_is_taken_up_and_told() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    let stage = folder.stage(folder.in_file());
    let old = stage.mark(&[]).await;
    look(&stage).await;
    assert_eq!(stage.heard.of("Certificates").len(), 0, "nothing was replaced");
    folder.put_pair(1);
    assert_eq!(stage.mark(&[]).await, old, "not looked at yet");
    look(&stage).await;
    let new = stage.mark(&[]).await;
    assert_ne!(new, old);
    let told = stage.heard.of("Certificates");
    assert!(told.len() == 1 && told[0].contains(&new.hex()) && !told[0].contains(&old.hex()), "{told:?}");
}

#[tokio::test]
async fn a_certificate_without_its_key_is_not_taken_until_the_key_follows() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    let stage = folder.stage(folder.in_file());
    let old = stage.mark(&[]).await;
    folder.put_certificate(1, (2020, 1), (2090, 1));
    for _ in 0..3 {
        look(&stage).await;
        assert_eq!(stage.mark(&[]).await, old);
    }
    assert_eq!(stage.source.status()[0].kept.as_ref().unwrap().code, "key-certificate-mismatch");
    let told = stage.heard.of("CertificateKept");
    assert!(told.len() == 1 && told[0].contains(&old.hex()) && told[0].contains("app.pem"), "{told:?}");
    folder.put("app.key", &KEYS[1].serialize_pem());
    look(&stage).await;
    assert_ne!(stage.mark(&[]).await, old);
    assert_eq!(stage.source.status()[0].kept, None);
}

#[tokio::test]
async fn half_a_file_and_one_that_is_gone_leave_the_old_one_in_use() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    let stage = folder.stage(folder.in_file());
    let old = stage.mark(&[]).await;
    let whole = fs::read_to_string(folder.path("app.pem")).unwrap();
    folder.put("app.pem", &whole[..whole.len() / 2]);
    look(&stage).await;
    assert_eq!(stage.source.status()[0].kept.as_ref().unwrap().code, "certificate-invalid");
    fs::remove_file(folder.path("app.pem")).unwrap();
    look(&stage).await;
    assert_eq!(stage.source.status()[0].kept.as_ref().unwrap().code, "certificate-unreadable");
    assert_eq!(stage.mark(&[]).await, old);
    folder.put("app.pem", &whole);
    look(&stage).await;
    assert_eq!((stage.source.status()[0].kept.clone(), stage.mark(&[]).await), (None, old));
    assert_eq!(stage.heard.of("CertificateKept").len(), 2);
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_waits_for_its_day() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    let stage = folder.stage(folder.in_file());
    let old = stage.mark(&[]).await;
    // NOW is in January 2027.
    folder.put_certificate(0, (2027, 3), (2090, 1));
    look(&stage).await;
    assert_eq!(stage.mark(&[]).await, old);
    assert_eq!(stage.source.status()[0].kept.as_ref().unwrap().code, "certificate-not-valid");
    stage.clock.advance(Duration::from_secs(90 * DAY));
    look(&stage).await;
    assert_ne!(stage.mark(&[]).await, old);
}

#[tokio::test]
async fn a_new_certificate_for_a_key_in_hardware_waits_until_the_hardware_can_be_asked() {
    let token = Scripted::new(0, Mood::Well);
    let folder = Folder::new(&token);
    folder.put_certificate(0, (2020, 1), (2090, 1));
    let stage = folder.stage(KeyUri::Pkcs11(crate::signer::Pkcs11Uri::default()));
    let old = stage.mark(&[]).await;
    folder.put_certificate(0, (2020, 1), (2091, 1));
    token.set(Mood::Absent);
    for _ in 0..3 {
        look(&stage).await;
    }
    assert_eq!(stage.source.status()[0].kept.as_ref().unwrap().code, "token-absent");
    assert_eq!(stage.heard.of("CertificateKept").len(), 1);
    token.set(Mood::Well);
    look(&stage).await;
    assert_ne!(stage.mark(&[]).await, old);
}

#[tokio::test]
async fn an_end_is_told_at_30_and_at_7_days_once_each() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    // NOW is 15 January 2027, so 45 days are left.
    folder.put_certificate(0, (2026, 1), (2027, 3));
    let stage = folder.stage(folder.in_file());
    let mut told = Vec::new();
    for _ in 0..46 {
        look(&stage).await;
        told.push(stage.heard.of("CertificateEnding").len());
        stage.clock.advance(Duration::from_secs(DAY));
    }
    assert_eq!((told[10], told[20], told[30], told[45]), (0, 1, 1, 2), "{told:?}");
    let told = stage.heard.of("CertificateEnding");
    assert!(
        told[0].contains("days_left: 29, warned_at: 30") && told[1].contains("days_left: 6, warned_at: 7"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_never_had_30_days_is_told_at_7_only() {
    let folder = Folder::new(&Scripted::new(0, Mood::Well));
    folder.put_pair(0);
    let mut params = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2027, 1, 10);
    params.not_after = rcgen::date_time_ymd(2027, 1, 30);
    folder.put("app.pem", &params.self_signed(&KEYS[0]).unwrap().pem());
    let stage = folder.stage(folder.in_file());
    for _ in 0..10 {
        look(&stage).await;
        stage.clock.advance(Duration::from_secs(DAY));
    }
    let told = stage.heard.of("CertificateEnding");
    assert!(told.len() == 1 && told[0].contains("warned_at: 7"), "{told:?}");
}
