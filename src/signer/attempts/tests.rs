//! Every row of the policy, on real files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use super::*;
use crate::problem::Problem as _;

struct Place {
    state: tempfile::TempDir,
    attempts: Attempts,
}

impl Place {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let attempts = Attempts::new(state.path().join("state/logins"));
        Self { state, attempts }
    }

    fn folder(&self) -> &Path {
        &self.attempts.directory
    }

    fn begin(&self, pin: &str, standing: Standing) -> Result<Attempt, SignError> {
        self.attempts.begin("token", &self::pin(pin), standing, false)
    }

    fn forced(&self, pin: &str, standing: Standing) -> Result<Attempt, SignError> {
        self.attempts.begin("token", &self::pin(pin), standing, true)
    }

    /// The code of the refusal.
    fn refusal(&self, pin: &str, standing: Standing) -> &'static str {
        self.begin(pin, standing).unwrap_err().code()
    }

    fn forced_refusal(&self, pin: &str, standing: Standing) -> &'static str {
        self.forced(pin, standing).unwrap_err().code()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_by_key(|name| name.rsplit('.').next().map(str::to_owned));
        names
    }

    /// The only record.
    fn record(&self) -> std::path::PathBuf {
        let name = self.files().into_iter().find(|name| name.to_lowercase().ends_with(".json")).unwrap();
        self.folder().join(name)
    }
}

fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.as_bytes().to_vec()))
}

use Standing::{Clear, CountLow, FinalTry, Locked};

#[test]
fn a_refused_pin_is_never_tried_again_and_another_one_is_not_touched_by_that() {
    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    for standing in [Clear, CountLow] {
        assert_eq!(place.refusal("wrong", standing), "pin-refused");
        assert_eq!(place.forced_refusal("wrong", standing), "pin-refused");
    }
    place.attempts.begin("another", &pin("wrong"), Clear, false).unwrap().unjudged();
    place.begin("right", Clear).unwrap().accepted();
    assert_eq!(place.refusal("wrong", Clear), "pin-refused", "also after another was taken");
}

#[test]
fn an_interrupted_attempt_gets_a_second_chance_where_the_token_counts_nothing() {
    let place = Place::new();
    drop(place.begin("pin", Clear).unwrap());
    assert_eq!(place.refusal("pin", CountLow), "pin-interrupted");
    drop(place.begin("pin", Clear).unwrap());
    assert_eq!(place.refusal("pin", Clear), "pin-interrupted");
    place.begin("other", Clear).unwrap().unjudged();
    drop(place.forced("pin", CountLow).unwrap());
    place.forced("pin", Clear).unwrap().accepted();
    place.begin("pin", Clear).unwrap().accepted();
}

#[test]
fn a_process_that_is_killed_leaves_its_attempt_interrupted() {
    let place = Place::new();
    // As the kernel does it: the lock goes, the record stays.
    let Attempt { lock, .. } = place.begin("pin", Clear).unwrap();
    drop(lock);
    assert_eq!(place.refusal("pin", CountLow), "pin-interrupted");
}

#[test]
fn failures_that_the_token_counts_and_we_do_not_stop_everything_but_force() {
    let place = Place::new();
    assert_eq!(place.refusal("pin", CountLow), "pin-count-low");
    assert_eq!(place.files(), ["key"], "nothing is kept of what was not tried");
    place.forced("pin", CountLow).unwrap().accepted();
    place.begin("pin", Clear).unwrap().accepted();
}

#[test]
fn one_failure_of_our_own_explains_the_tokens_count_and_two_do_not() {
    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    place.begin("also wrong", CountLow).unwrap().refused();
    assert_eq!(place.refusal("right", CountLow), "pin-count-low");
    place.forced("right", CountLow).unwrap().accepted();
    assert_eq!(place.refusal("new", CountLow), "pin-count-low", "refusals before a success explain nothing");
}

#[test]
fn our_failure_explains_nothing_once_the_token_has_forgotten_it_or_another_may_be_counted() {
    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    place.begin("other", Clear).unwrap().unjudged();
    assert_eq!(place.refusal("right", CountLow), "pin-count-low", "the token said Clear in between");

    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    drop(place.begin("hung", CountLow).unwrap());
    assert_eq!(place.refusal("right", CountLow), "pin-count-low", "two may be counted");
}

#[test]
fn an_attempt_of_our_own_that_was_cut_short_explains_the_tokens_count_too() {
    let place = Place::new();
    drop(place.begin("wrong", Clear).unwrap());
    assert_eq!(place.refusal("wrong", CountLow), "pin-interrupted");
    place.begin("right", CountLow).unwrap().accepted();

    let place = Place::new();
    drop(place.begin("wrong", Clear).unwrap());
    drop(place.begin("wrong", Clear).unwrap());
    place.begin("right", CountLow).unwrap().accepted();
}

#[test]
fn a_failure_by_force_explains_nothing_where_others_failed_before() {
    let place = Place::new();
    place.forced("wrong", CountLow).unwrap().refused();
    assert_eq!(place.refusal("right", CountLow), "pin-count-low");
    let place = Place::new();
    drop(place.forced("wrong", CountLow).unwrap());
    assert_eq!(place.refusal("right", CountLow), "pin-count-low");
}

#[test]
fn a_token_that_would_lock_or_is_locked_is_left_alone_even_by_force() {
    let place = Place::new();
    for (standing, code) in [(FinalTry, "pin-final-try"), (Locked, "pin-locked")] {
        assert_eq!(place.refusal("pin", standing), code);
        assert_eq!(place.forced_refusal("pin", standing), code);
    }
}

#[test]
fn an_attempt_that_the_token_did_not_judge_does_not_count() {
    let place = Place::new();
    for _ in 0..5 {
        place.begin("pin", Clear).unwrap().unjudged();
    }
    drop(place.begin("pin", Clear).unwrap());
    place.begin("pin", Clear).unwrap().unjudged();
    assert_eq!(place.refusal("pin", CountLow), "pin-interrupted", "what was before stays");
}

#[test]
fn a_pin_that_was_taken_leaves_nothing_on_disk() {
    let place = Place::new();
    place.begin("pin", Clear).unwrap().accepted();
    assert_eq!(place.files(), ["key"]);
    place.begin("wrong", Clear).unwrap().refused();
    let refused = fs::read(place.record()).unwrap();
    place.begin("pin", CountLow).unwrap().accepted();
    let after = fs::read_to_string(place.record()).unwrap();
    assert!(after.len() <= refused.len(), "{after}");
}

#[test]
fn of_many_at_once_exactly_one_tries() {
    let place = Place::new();
    let tried = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                // Each opens the files anew, as another process would.
                match place.begin("wrong", Clear) {
                    Ok(attempt) => {
                        tried.fetch_add(1, Ordering::SeqCst);
                        attempt.refused();
                    }
                    Err(refusal) => assert_eq!(refusal.code(), "pin-refused"),
                }
            });
        }
    });
    assert_eq!(tried.load(Ordering::SeqCst), 1);
}

#[test]
fn the_lock_is_held_to_the_verdict_although_its_file_comes_and_goes() {
    let place = Place::new();
    let under_way = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let attempt = place.begin("right", Clear).unwrap();
                    assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    attempt.accepted();
                }
            });
        }
    });
}

#[test]
fn nobody_else_may_look_and_no_pin_is_in_the_files() {
    let place = Place::new();
    place.begin("canary", Clear).unwrap().refused();
    let attempt = place.begin("canary too", CountLow).unwrap();
    assert!(!format!("{attempt:?}").contains("canary"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.folder()), 0o700);
    assert_eq!(place.files().len(), 3);
    for name in place.files() {
        let path = place.folder().join(&name);
        assert_eq!(mode(&path), 0o600, "{name}");
        assert!(!String::from_utf8_lossy(&fs::read(path).unwrap()).contains("canary") && !name.contains("token"));
    }
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    attempt.unjudged();
    place.begin("third", CountLow).unwrap().unjudged();
    assert_eq!(mode(place.folder()), 0o700, "closed again");
}

#[test]
fn a_record_that_cannot_be_read_is_no_permission() {
    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    let record = place.record();
    for damage in ["", "{}", "{\"refused\":[],\"ours\":0,\"interrupted\":{},\"later\":1}"] {
        fs::write(&record, damage).unwrap();
        let refusal = place.forced("right", Clear).unwrap_err();
        assert_eq!(refusal.code(), "state-damaged", "{damage}");
        assert!(refusal.remedy().unwrap().contains(record.to_str().unwrap()), "{:?}", refusal.remedy());
    }
}

#[test]
fn records_without_their_key_are_no_fresh_start() {
    let place = Place::new();
    place.begin("wrong", Clear).unwrap().refused();
    let key = place.folder().join("key");
    fs::write(&key, "short").unwrap();
    assert_eq!(place.refusal("wrong", Clear), "state-damaged");
    fs::remove_file(&key).unwrap();
    assert_eq!(place.refusal("wrong", Clear), "state-damaged");
    assert!(!key.exists());
    fs::remove_file(place.record()).unwrap();
    place.begin("wrong", Clear).unwrap().unjudged();
}

#[test]
fn what_cannot_be_recorded_is_not_tried() {
    let place = Place::new();
    fs::write(place.state.path().join("state"), "a file in the way").unwrap();
    assert_eq!(place.refusal("pin", Clear), "state-unwritable");

    let place = Place::new();
    place.begin("pin", Clear).unwrap().accepted();
    std::os::unix::fs::symlink("/etc/passwd", place.folder().join("key.lock")).unwrap();
    fs::remove_file(place.folder().join("key")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.folder().join("key")).unwrap();
    assert_eq!(place.refusal("pin", Clear), "state-unwritable", "links are not followed");
}
