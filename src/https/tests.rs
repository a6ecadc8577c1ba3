//! The keeper over a real folder and a clock that is moved.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::*;
use crate::clock::ManualClock;
use crate::local_ca::LocalCa;
use crate::observe::Fanout;
use crate::problem::Problem as _;

const START: u64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

struct Place {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::standing(START)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("https")
    }

    fn open(&self, names: &[&str]) -> Keeper {
        self.provide(self.local(names)).unwrap()
    }

    fn local(&self, names: &[&str]) -> Provision {
        Provision::Local { folder: self.path(), names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn provide(&self, provision: Provision) -> Result<Keeper, HttpsError> {
        Keeper::open(provision, self.clock.clone(), Arc::new(Fanout::default()))
    }

    fn roots(&self) -> String {
        fs::read_to_string(self.path().join(ROOTS)).unwrap()
    }

    fn root_count(&self) -> usize {
        self.roots().matches("BEGIN CERTIFICATE").count()
    }

    fn pass(&self, keeper: &Keeper, time: Duration) {
        self.clock.advance(time);
        keeper.tend();
    }

    /// A pair of files, of which `other` has another key.
    fn company(&self, life: Duration, other: bool) -> (PathBuf, PathBuf) {
        let ca = LocalCa::create("company", self.clock.now(), life * 2).unwrap();
        let leaf = ca.leaf(&["*.contoso.example".into()], self.clock.now(), life).unwrap();
        let second = ca.leaf(&["localhost".into()], self.clock.now(), life).unwrap();
        let (certificate, key) = (self.folder.path().join("c.pem"), self.folder.path().join("c.key"));
        fs::write(&certificate, leaf.chain_pem()).unwrap();
        fs::write(&key, if other { &second } else { &leaf }.key_pem().expose()).unwrap();
        (certificate, key)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn mark(keeper: &Keeper) -> String {
    keeper.served.first().mark.hex()
}

#[test]
fn the_key_is_for_nobody_else_and_the_roots_are_for_everybody() {
    let place = Place::new();
    let _keeper = place.open(&["localhost"]);
    assert_eq!((mode(&place.path()), mode(&place.path().join(ROOTS))), (0o755, 0o644));
    let keys = place.path().join("keys");
    assert_eq!(mode(&keys), 0o700);
    for file in fs::read_dir(&keys).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    assert_eq!(place.root_count(), 1);
    assert!(!place.roots().contains("PRIVATE"));
}

#[test]
fn root_gives_away_nothing_that_was_linked_into_the_folder() {
    let place = Place::new();
    drop(place.open(&["localhost"]));
    let (keys, own) = (place.path().join("keys"), place.folder.path().join("own"));
    fs::write(&own, "").unwrap();
    let owner = fs::metadata(&own).unwrap().uid();
    fs::remove_file(keys.join("lock")).unwrap();
    fs::hard_link(&own, keys.join("lock")).unwrap();
    // Whoever is not root can give nothing away.
    let _ = chown(&keys, Some(65_534), Some(65_534));
    drop(place.open(&["localhost"]));
    assert_eq!(fs::metadata(&own).unwrap().uid(), owner);
}

#[test]
fn what_clients_trust_is_not_written_through_a_link() {
    let place = Place::new();
    let bundle = trusted(&place.path(), &["localhost".into()], place.clock.now()).unwrap();
    let (target, link) = (place.folder.path().join("target"), place.folder.path().join("link"));
    fs::create_dir(&target).unwrap();
    symlink(&target, &link).unwrap();
    assert_eq!(bundle.write(&link).unwrap_err().code(), "trust-folder-unwritable");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    bundle.write(&target).unwrap();
    assert_eq!(fs::read_dir(&target).unwrap().count(), 3);
}

#[test]
fn a_restart_shows_what_was_shown_before() {
    let place = Place::new();
    let before = mark(&place.open(&["localhost"]));
    place.clock.advance(DAY);
    assert_eq!(mark(&place.open(&["localhost"])), before);
}

#[test]
fn the_next_root_is_in_the_bundle_long_before_its_certificate_is_shown() {
    let place = Place::new();
    let keeper = place.open(&["localhost"]);
    let (first, old) = (mark(&keeper), place.roots());
    place.pass(&keeper, DAY * 239);
    assert_eq!(place.roots(), old);
    place.pass(&keeper, DAY * 2);
    assert_eq!((place.root_count(), mark(&keeper)), (2, first.clone()));
    assert!(place.roots().starts_with(&old));
    place.pass(&keeper, DAY * 95);
    assert_ne!(mark(&keeper), first);
    assert_eq!(place.root_count(), 2, "the old root stays until its end");
    place.pass(&keeper, DAY * 40);
    assert_eq!(place.root_count(), 1);
    // A second process at the same folder agrees.
    assert_eq!(mark(&place.open(&["localhost"])), mark(&keeper));
}

#[test]
fn more_names_get_a_new_certificate_and_old_clients_keep_theirs() {
    let place = Place::new();
    let keeper = place.open(&["localhost", "127.0.0.1"]);
    let first = mark(&keeper);
    keeper.provide(place.local(&["localhost", "127.0.0.1", "login.example"])).unwrap();
    assert_eq!((mark(&keeper), place.root_count()), (first.clone(), 2));
    assert!(keeper.served().has_name("login.example") && !keeper.served().has_name("other.example"));
    keeper.provide(place.local(&["localhost", "127.0.0.1"])).unwrap();
    assert_eq!(mark(&keeper), first);
    assert!(!keeper.served().has_name("login.example"), "what was withdrawn is shown no more");
}

#[test]
fn two_processes_that_start_at_once_make_one_certificate() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| mark(&place.open(&["localhost"])))).collect();
        let marks: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
    });
    assert_eq!(place.root_count(), 1);
}

#[test]
fn a_folder_that_cannot_be_had_is_no_reason_not_to_serve_and_is_used_once_it_is_there() {
    let place = Place::new();
    // Not a matter of permissions, which root has all of.
    fs::write(place.path(), "in the way").unwrap();
    let keeper = place.open(&["localhost"]);
    let shown = mark(&keeper);
    fs::remove_file(place.path()).unwrap();
    place.pass(&keeper, LOOK_EVERY);
    assert_eq!((mark(&keeper), place.root_count()), (shown.clone(), 1));
    assert_eq!(mark(&place.open(&["localhost"])), shown);
}

#[test]
fn what_somebody_else_put_there_is_passed_over() {
    let place = Place::new();
    let shown = mark(&place.open(&["localhost"]));
    let keys = place.path().join("keys");
    let mut files = fs::read_dir(&keys).unwrap().map(|file| file.unwrap().path());
    let ours = files.find(|path| path.extension().is_some_and(|end| end == "pem")).unwrap();
    let half = fs::read_to_string(&ours).unwrap();
    fs::write(keys.join("0-half.pem"), &half[..half.len() / 2]).unwrap();
    fs::write(keys.join("killed.pem.new"), &half[..40]).unwrap();
    assert_eq!(mark(&place.open(&["localhost"])), shown);
}

#[test]
fn the_other_forms_of_the_bundle_follow_once_they_are_there() {
    let place = Place::new();
    let keeper = place.open(&["localhost"]);
    let names = ["localhost".to_owned()];
    let bundle = trusted(&place.path(), &names, place.clock.now()).unwrap();
    assert_eq!(bundle.roots(), place.roots());
    bundle.write(&place.path()).unwrap();
    let (combined, store) = (place.path().join(COMBINED), place.path().join(TRUST_STORE));
    let before = fs::read(&store).unwrap();
    place.pass(&keeper, DAY * 241);
    assert!(fs::read_to_string(&combined).unwrap().starts_with(&place.roots()));
    assert_ne!(fs::read(&store).unwrap(), before);
}

#[test]
fn who_asks_what_to_trust_makes_a_certificate_only_where_there_is_none() {
    let place = Place::new();
    let bundle = trusted(&place.path(), &["localhost".to_owned()], place.clock.now()).unwrap();
    let keeper = place.open(&["localhost"]);
    assert_eq!((bundle.count(), bundle.roots()), (1, place.roots()));
    // Other names: the broker's configuration decides, not the verb's.
    let again = trusted(&place.path(), &["other.example".to_owned()], place.clock.now()).unwrap();
    assert_eq!(again, bundle);
    drop(keeper);
}

#[test]
fn files_that_do_not_fit_stop_the_start_by_name() {
    let place = Place::new();
    let code = |(certificate, key): (PathBuf, PathBuf)| {
        place.provide(Provision::Files { certificate, key }).map(drop).unwrap_err().code()
    };
    let (certificate, key) = place.company(DAY, false);
    assert_eq!(code((certificate.clone(), "/no/such/key".into())), "https-file-unreadable");
    assert_eq!(code((key.clone(), key.clone())), "https-certificate-invalid");
    assert_eq!(code((certificate.clone(), certificate)), "https-key-invalid");
    assert_eq!(code(place.company(DAY, true)), "https-key-mismatch");
    let past = place.company(DAY, false);
    place.clock.advance(DAY * 2);
    assert_eq!(code(past), "https-certificate-expired");
}

#[test]
fn a_replaced_pair_is_shown_once_it_is_whole_and_the_good_one_until_then() {
    let place = Place::new();
    let (certificate, key) = place.company(DAY * 90, false);
    let keeper = place.provide(Provision::Files { certificate: certificate.clone(), key: key.clone() }).unwrap();
    let first = mark(&keeper);
    place.company(DAY * 90, true);
    place.pass(&keeper, LOOK_EVERY);
    assert_eq!(mark(&keeper), first, "half replaced");
    fs::remove_file(&key).unwrap();
    place.pass(&keeper, LOOK_EVERY);
    assert_eq!(mark(&keeper), first, "gone");
    place.company(DAY * 90, false);
    place.pass(&keeper, LOOK_EVERY);
    assert_ne!(mark(&keeper), first);
    assert!(keeper.served().has_name("a.contoso.example"));
    assert!(!keeper.served().has_name("a.b.contoso.example") && !keeper.served().has_name("contoso.example"));
    let elsewhere = Provision::Files { certificate: "/no/such".into(), key };
    let second = mark(&keeper);
    assert_eq!(keeper.provide(elsewhere).unwrap_err().code(), "https-file-unreadable");
    assert_eq!(mark(&keeper), second);
}
