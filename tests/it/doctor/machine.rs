//! Breakages of this machine: configuration, sockets, caller keys.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::{Clinic, broken, links};
use crate::support::world::Plan;

/// A client secret as Entra makes them.
const ENTRA_SHAPED: &str = "abc8Q~canary-of-a-client-secret-01234567";

#[tokio::test]
async fn a_port_that_another_program_has() {
    let clinic = Clinic::new().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    // It is no web server: it greets, and that is all.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = other.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"220 ready\r\n");
        }
    });
    let text = clinic.world.config_text().replacen("http = [\"127.0.0.1:0\"]", &format!("http = [\"{address}\"]"), 1);
    let examined = clinic.examine_as(&text, &[]).await;
    let words = ["listen-port-in-use", "listen.http", "ss -ltnp", "another port"];
    clinic.breaks(&examined, "port-taken", 10, "sockets", &words);
    assert_eq!(broken(&examined.stdout).len(), 1, "the rest is walked and good: {}", examined.stdout);
}

#[tokio::test]
async fn a_socket_that_another_program_has() {
    let clinic = Clinic::of(Plan { listen: "unix = \"{folder}/other.sock\"".to_owned(), ..Plan::default() }).await;
    // World's own broker has it by now, and answers; a second name has a stranger behind it.
    let path = clinic.world.path("stranger.sock");
    let _stranger = UnixListener::bind(&path).unwrap();
    let text = clinic.world.config_text().replace("other.sock", "stranger.sock");
    let examined = clinic.examine_as(&text, &[]).await;
    clinic.breaks(&examined, "socket-taken", 10, "sockets", &["listen-socket-in-use", "another program answers there"]);
    assert!(path.exists(), "nothing of another's is removed");
    let text = clinic.world.config_text();
    let beside = clinic.examine_as(&text, &[]).await;
    assert!(beside.stdout.contains("a running broker answers at unix:"), "{}", beside.stdout);
}

#[tokio::test]
async fn a_socket_that_could_be_made_is_not_made() {
    let clinic = Clinic::new().await;
    let text = clinic.world.config_text().replacen(
        "admin = ",
        &format!("unix = \"{}\"\nadmin = ", clinic.world.path("u.sock").display()),
        1,
    );
    let examined = clinic.examine_as(&text, &[]).await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    assert!(!clinic.world.path("u.sock").exists());
    let left = std::fs::read_dir(clinic.world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let probes: Vec<_> = left.filter(|name| name.to_str().unwrap().starts_with('d')).collect();
    assert!(probes.is_empty(), "{probes:?}");
}

#[tokio::test]
async fn a_wrong_configuration_shows_every_problem_and_reaches_nothing_else() {
    let clinic = Clinic::new().await;
    let text = clinic.world.config_text().replace("[listen]", "[listen]\nwiat = \"1s\"");
    let examined = clinic.examine_as(&text.replace("scopes = ", "scops = "), &[]).await;
    clinic.breaks(&examined, "configuration", 2, "configuration", &["`listen.wiat`", "config-unknown-key"]);
    assert!(examined.stdout.contains("`identity[0].scops`"), "{}", examined.stdout);
    let rest: Vec<_> = links(&examined.stdout).into_iter().filter(|(state, _)| state == "not reached").collect();
    assert_eq!(rest.len(), 10, "{}", examined.stdout);
}

#[tokio::test]
async fn a_missing_key_file() {
    let clinic = Clinic::new().await;
    std::fs::remove_file(clinic.world.path("caller.key")).unwrap();
    let examined = clinic.examine().await;
    let words = ["config-local-key", "FOLDER/caller.key", "unsecret caller add --file PATH"];
    clinic.breaks(&examined, "missing-key-file", 11, "callers", &words);
    assert_eq!(broken(&examined.stdout).len(), 1, "{}", examined.stdout);
    assert_eq!(clinic.world.exchanges(), 1, "the rest is walked");
}

#[tokio::test]
async fn a_real_client_secret_in_the_key_file() {
    let clinic = Clinic::new().await;
    std::fs::write(clinic.world.path("caller.key"), ENTRA_SHAPED).unwrap();
    let examined = clinic.examine().await;
    let words = ["config-entra-secret", "real Entra client secret", "unsecret caller add", "revoke the secret"];
    clinic.breaks(&examined, "secret-shaped-key", 11, "callers", &words);
    assert!(!examined.stdout.contains("canary") && !examined.stderr.contains("canary"));
}

#[tokio::test]
async fn an_identity_that_nobody_may_use() {
    let clinic = Clinic::new().await;
    let text = clinic.world.config_text();
    let text = text.replace("any_local_caller = true\n", "");
    let (start, end) = (text.find("[[identity.caller]]").unwrap(), text.find("caller.key\"").unwrap());
    let text = format!("{}{}", &text[..start], &text[end + "caller.key\"".len()..]);
    let examined = clinic.examine_as(&text, &[]).await;
    clinic.breaks(&examined, "no-caller", 11, "callers", &["config-no-caller", "any_local_caller = true"]);
}

#[tokio::test]
async fn a_rule_that_can_match_nobody_is_doubtful() {
    let clinic =
        Clinic::of(Plan { callers: Some("[[identity.caller]]\nuid = 1000".to_owned()), ..Plan::default() }).await;
    let examined = clinic.examine().await;
    assert_eq!(examined.status, 0);
    assert!(examined.stdout.contains("can match nobody"), "{}", examined.stdout);
    assert!(examined.stdout.ends_with("nothing is broken; see what is doubtful\n"), "{}", examined.stdout);
}
