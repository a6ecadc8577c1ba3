//! Breakages of sinks: what keeps the broker from writing a file, and what stands there in its place.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{Clinic, Examined, links};
use crate::support::world::GRAPH;

impl Clinic {
    /// With a sink of these lines, whose file lies in a directory of its own.
    async fn with_sink(&self, lines: &str) -> Examined {
        let table = format!(
            "[[identity.sink]]\nfile = \"{}\"\nscope = \"{GRAPH}/.default\"\n{lines}\n",
            self.world.path("sinks/graph.token").display()
        );
        self.examine_as(&format!("{}\n{table}", self.world.config_text()), &[]).await
    }

    fn make_sink_folder(&self) {
        fs::create_dir(self.world.path("sinks")).unwrap();
    }
}

/// Every finding at the link, with its state.
fn found(examined: &Examined) -> Vec<(String, String)> {
    let all = links(&examined.stdout).into_iter();
    all.filter(|(_, shown)| shown.link == "sinks").map(|(state, shown)| (state, shown.text)).collect()
}

#[tokio::test]
async fn a_directory_that_is_not_there() {
    let clinic = Clinic::new().await;
    let examined = clinic.with_sink("").await;
    let words = ["sink-directory-missing", "FOLDER/sinks", "make the directory before the broker starts"];
    clinic.breaks(&examined, "sink-folder", 19, "sinks", &words);
    assert!(!clinic.world.path("sinks").exists(), "nothing is made that was not there");
}

#[tokio::test]
async fn a_command_that_is_not_there() {
    let clinic = Clinic::new().await;
    clinic.make_sink_folder();
    let examined = clinic.with_sink("reload = [\"systemctll\", \"reload\", \"canary\"]").await;
    let words = ["sink-reload-not-started", "`systemctll`", "absolute path"];
    clinic.breaks(&examined, "sink-command", 19, "sinks", &words);
    assert!(!examined.stdout.contains("canary"), "a command's arguments are nobody's business");
}

#[tokio::test]
async fn a_file_with_another_mode_is_doubtful() {
    let clinic = Clinic::new().await;
    clinic.make_sink_folder();
    let file = clinic.world.path("sinks/graph.token");
    fs::write(&file, "canary-of-a-held-token").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let examined = clinic.with_sink("").await;
    let [(state, text)] = &found(&examined)[..] else { panic!("{}", examined.stdout) };
    assert_eq!((examined.status, state.as_str()), (0, "doubtful"));
    assert!(text.contains("its mode is 0644, not 0600") && text.contains("set them by hand"), "{text}");
    assert!(!examined.stdout.contains("canary"));
}

#[tokio::test]
async fn a_file_that_is_older_than_any_token_is_doubtful() {
    let clinic = Clinic::new().await;
    clinic.make_sink_folder();
    let file = clinic.world.path("sinks/graph.token");
    fs::write(&file, "token").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let written = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
    let examined = clinic.with_sink("").await;
    let [(state, text)] = &found(&examined)[..] else { panic!("{}", examined.stdout) };
    assert_eq!(state, "doubtful");
    assert!(text.contains(" min ago") && text.contains("no access token lives that long"), "{text}");
}

#[tokio::test]
async fn a_sink_that_can_be_written_is_good_and_nothing_is_left_of_the_trial() {
    let clinic = Clinic::new().await;
    clinic.make_sink_folder();
    let examined = clinic.with_sink("reload = [\"true\"]").await;
    let [(state, text)] = &found(&examined)[..] else { panic!("{}", examined.stdout) };
    assert_eq!((examined.status, state.as_str()), (0, "good"), "{}", examined.stdout);
    assert!(text.contains("can be written; it is not there now") && text.contains("look for `true`"), "{text}");
    assert_eq!(fs::read_dir(clinic.world.path("sinks")).unwrap().count(), 0);
}

#[tokio::test]
async fn beside_a_running_broker_a_file_that_is_missing_is_doubtful() {
    let clinic = Clinic::new().await;
    clinic.make_sink_folder();
    let table = format!(
        "[[identity.sink]]\nfile = \"{}\"\nscope = \"{GRAPH}/.default\"\n",
        clinic.world.path("sinks/graph.token").display()
    );
    let text = clinic.world.config_text();
    let text = text.replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{}\"]", clinic.world.http()), 1);
    let examined = clinic.examine_as(&format!("{text}\n{table}"), &[]).await;
    let [(state, text)] = &found(&examined)[..] else { panic!("{}", examined.stdout) };
    assert_eq!((examined.status, state.as_str()), (0, "doubtful"), "{}", examined.stdout);
    assert!(text.contains("a broker runs, and there is no") && text.contains("/readyz?verbose"), "{text}");
}
