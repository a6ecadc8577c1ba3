//! Sinks of the real binary: killed in the middle of anything, under any umask.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::support::world::{ISSUER, platform_token};

/// More files make more moments at which a write is under way.
const FILES: usize = 12;
const KILLS: usize = 24;

/// A world whose sinks are all in one folder.
async fn sinking(mode: &str) -> (World, PathBuf) {
    let sink = |n: usize| {
        format!(
            "[[identity.sink]]\nfile = \"{{folder}}/out/{n}.token\"\nmode = \"{mode}\"\n\
             scope = \"https://graph.microsoft.com/.default\"\n"
        )
    };
    // The world's own broker has none: what is written here is the binary's.
    let mut world = World::new().await;
    world.plan.more = (0..FILES).map(sink).collect();
    let folder = world.path("out");
    std::fs::create_dir(&folder).unwrap();
    (world, folder)
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What tells one writing of a file from another: an inode may be used again.
fn written(folder: &Path) -> BTreeSet<(String, u64, i64, i64)> {
    let named = |name: String| {
        let data = std::fs::symlink_metadata(folder.join(&name)).ok()?;
        Some((name, data.ino(), data.mtime(), data.mtime_nsec()))
    };
    names(folder).into_iter().filter(|name| !is_draft(name)).filter_map(named).collect()
}

fn is_draft(name: &str) -> bool {
    name.starts_with('.')
}

/// Reads every file over and over, as clients do, until told to stop: each is whole and nobody else's.
fn watch(folder: &Path, stop: &AtomicBool, seen: &AtomicU64, check: impl Fn(&str)) {
    while !stop.load(Ordering::Relaxed) {
        for n in 0..FILES {
            let path = folder.join(format!("{n}.token"));
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            check(&text);
            // By name: it may have been replaced since, by one that has the same.
            let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o640, "{}", path.display());
            seen.fetch_add(1, Ordering::Relaxed);
        }
        for name in names(folder).into_iter().filter(|name| is_draft(name)) {
            // Gone by now, or not for others to read.
            if let Ok(data) = std::fs::symlink_metadata(folder.join(&name)) {
                assert_eq!(data.permissions().mode() & 0o007, 0, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_process_killed_at_any_moment_leaves_whole_files_and_the_next_one_cleans_up() {
    let (world, folder) = sinking("0640").await;
    let config = config(&world);
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let world = Arc::new(world);
    let reader = std::thread::spawn({
        let (folder, stop, seen, world) = (folder.clone(), Arc::clone(&stop), Arc::clone(&seen), Arc::clone(&world));
        move || watch(&folder, &stop, &seen, |text| drop(world.claims(text)))
    });
    let mut torn = 0;
    for kill in 0..KILLS {
        let mut child = unsecret(&["run", "--config", &config]).spawn().unwrap();
        let before = written(&folder);
        // Some are killed when a draft is seen, the others after a number of files, so that each moment has its turn.
        let moment = async {
            let enough = || written(&folder).difference(&before).count() > kill % FILES;
            while !(enough() || kill % 2 == 0 && names(&folder).iter().any(|name| is_draft(name))) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, moment).await.expect("something is written");
        child.start_kill().unwrap();
        child.wait().await.unwrap();
        torn += names(&folder).iter().filter(|name| is_draft(name)).count();
    }
    let last = Running::start(unsecret(&["run", "--config", &config])).await;
    last.until_ready().await;
    until("only the files are left", async || (names(&folder).len() == FILES).then_some(())).await;
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader found every file whole, with its mode");
    assert!(seen.load(Ordering::Relaxed) > 100, "hardly anything was read");
    println!("killed {KILLS} times, {torn} drafts left behind");
    last.stop().await;
    assert_eq!(names(&folder).len(), FILES, "the files stay");
}

#[tokio::test]
async fn the_umask_has_no_say_in_who_may_read() {
    for (umask, wanted) in [("000", 0o600), ("077", 0o600), ("777", 0o600)] {
        let (world, folder) = sinking("0600").await;
        let script = format!("umask {umask}; exec \"$0\" run --config \"$1\"");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_unsecret"), &config(&world)]);
        let running = Running::start(prepared(shell, &[])).await;
        running.until_ready().await;
        for name in names(&folder) {
            let mode = std::fs::metadata(folder.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, wanted, "umask {umask}: {name}");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_reload_hands_the_sinks_their_new_orders_and_the_log_tells_of_them() {
    let (mut world, folder) = sinking("0600").await;
    let running = Running::of(&world).await;
    running.until_ready().await;
    assert_eq!(names(&folder).len(), FILES);
    world.plan.more = "[[identity.sink]]\nfile = \"{folder}/out/assertion\"\nassertion = true\n".to_owned();
    config(&world);
    running.signal(Signal::HUP);
    until("only the new one is left", async || {
        (names(&folder) == BTreeSet::from(["assertion".to_owned()])).then_some(())
    })
    .await;
    running.until_says("sink withdrawn").await;
    running.until_says("configuration reloaded").await;
    let written = format!("sink written identity=\"billing\" file={}", folder.join("assertion").display());
    running.until_says(&written).await;
    assert!(!running.said().contains("eyJ"), "a token in the log");
    running.stop().await;
    assert!(folder.join("assertion").exists());
}

#[tokio::test]
async fn a_platform_token_that_is_too_short_for_the_sdks_is_warned_of() {
    let (mut world, folder) = sinking("0600").await;
    world.plan.more = "[[identity.sink]]\nfile = \"{folder}/out/assertion\"\nassertion = true\n".to_owned();
    let mut token = platform_token();
    token.life = Duration::from_secs(300);
    world.put_token(world.emulator.platform_token(ISSUER, &token).unwrap().expose());
    let running = Running::of(&world).await;
    running.until_says("the platform's token is short-lived").await;
    until("it is written all the same", async || folder.join("assertion").exists().then_some(())).await;
    running.stop().await;
}
