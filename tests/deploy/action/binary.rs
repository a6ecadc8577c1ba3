//! Which program runs, and that no other one does.

use std::os::unix::fs::PermissionsExt as _;

use unsecret::secret::Fingerprint;

use super::endpoint::{Endpoint, Reply};
use super::*;

/// A program that is no broker, and says that it ran.
const PROGRAM: &[u8] = b"#!/bin/sh\necho the fetched program ran\n";
const RAN: &str = "the fetched program ran";

fn sha256(bytes: &[u8]) -> String {
    Fingerprint::of(bytes).hex()
}

/// A job that has to fetch; the server that has the release.
async fn fetching() -> Option<(Job, Endpoint)> {
    let mut job = Job::new().await?;
    let server = Endpoint::start(vec![Reply::Body(200, PROGRAM.to_vec())]);
    job.input("binary-path", "");
    job.input("sha256", &sha256(PROGRAM));
    job.set("GITHUB_SERVER_URL", &server.url(""));
    job.set("GITHUB_ACTION_REPOSITORY", "contoso/unsecret");
    Some((job, server))
}

fn cached(job: &Job) -> Option<PathBuf> {
    let version = fs::read_dir(job.file("tools/unsecret")).ok()?.next()?.unwrap().path();
    Some(fs::read_dir(version).unwrap().next()?.unwrap().path().join("unsecret"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_with_another_hash_does_not_run() {
    let Some(mut job) = Job::new().await else { return };
    job.input("sha256", &sha256(b"another program"));
    job.main().await.failed("it was not run");
    assert!(job.left_behind().is_empty());

    let Some((mut job, _server)) = fetching().await else { return };
    job.input("sha256", &sha256(b"another program"));
    let main = job.main().await;
    main.failed("it was not run");
    assert!(!main.said.contains(RAN) && cached(&job).is_none(), "{}", main.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_once_is_taken_from_the_tool_cache_while_it_is_the_same() {
    let Some((job, server)) = fetching().await else { return };
    for _ in 0..2 {
        let main = job.main().await;
        main.failed("unsecret did not start");
        assert!(main.said.contains(RAN), "{}", main.said);
        assert_eq!(server.asked(), 1);
    }
    let file = cached(&job).unwrap();
    let name = file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.contains("-unknown-linux-"), "{name}");
    fs::write(&file, "#!/bin/sh\necho something else ran\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let main = job.main().await;
    assert!(main.said.contains(RAN) && !main.said.contains("something else ran"), "{}", main.said);
    assert_eq!(server.asked(), 2);
    job.post().await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_listed_or_not_there_is_said_so() {
    let Some((mut job, _server)) = fetching().await else { return };
    job.input("sha256", "");
    job.input("version", "99.0.0");
    job.main().await.failed("no SHA-256 of unsecret-99.0.0-");

    let Some((mut job, _server)) = fetching().await else { return };
    let empty = Endpoint::start(vec![Reply::status(404)]);
    job.set("GITHUB_SERVER_URL", &empty.url(""));
    job.main().await.failed("/contoso/unsecret/releases/download/v0.1.0/unsecret-0.1.0-");
    job.set("GITHUB_ACTION_REPOSITORY", "");
    job.main().await.failed("set binary-path");
    assert_eq!(empty.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_does_not_start_shows_the_log() {
    let Some(mut job) = Job::new().await else { return };
    job.input("tenant-id", "no tenant");
    let main = job.main().await;
    main.failed("unsecret did not start");
    assert!(main.said.contains("::group::The log of unsecret"), "{}", main.said);
    assert!(main.said.contains("UNSECRET_TENANT"), "{}", main.said);
    job.post().await.succeeded();
    assert!(job.left_behind().is_empty());
}
