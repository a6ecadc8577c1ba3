//! Nothing secret comes out of a walk, in either form, on good days and bad, with every log switched on.

use unsecret::emulator::Fault;

use super::{Clinic, Examined, PASSWORD};
use crate::canaries::Hunt;
use crate::support::world::Source;

fn hunt(clinic: &Clinic) -> Hunt {
    let mut hunt = Hunt::default();
    let file = |name: &str| std::fs::read_to_string(clinic.world.path(name)).unwrap();
    hunt.hide("the platform's token", file("token").trim());
    hunt.hide("the local key", file("caller.key").trim());
    hunt.hide("the proxy's password", PASSWORD.split_once(':').unwrap().1);
    let key: String = file("billing.key").lines().filter(|line| !line.starts_with("-----")).collect();
    hunt.hide("the signing key", &key[..64]);
    hunt
}

fn search(clinic: &Clinic, what: &str, examined: &Examined) {
    for text in [&examined.stdout, &examined.stderr] {
        hunt(clinic).search(what, text);
        assert!(!text.contains("eyJ"), "{what} shows a JWT");
    }
}

#[tokio::test]
async fn no_walk_shows_a_token_an_assertion_a_key_or_a_password() {
    for source in [Source::File, Source::Certificate] {
        let clinic = Clinic::with_source(source).await;
        let key = clinic.world.path("caller.key").display().to_string();
        for arguments in [&[][..], &["--json"], &["--federated-credential"], &["--key-file", &key]] {
            let text = clinic.world.config_text().replace("[listen]", "[log]\nlevel = \"trace\"\n[listen]");
            let examined = clinic.examine_as(&text, arguments).await;
            assert_eq!(examined.status, 0, "{}", examined.stdout);
            search(&clinic, &format!("doctor {arguments:?} ({source:?})"), &examined);
        }
    }
}

#[tokio::test]
async fn what_was_pasted_in_a_paths_place_is_not_repeated() {
    let clinic = Clinic::new().await;
    let hunt = hunt(&clinic);
    let token = std::fs::read_to_string(clinic.world.path("token")).unwrap();
    let key = std::fs::read_to_string(clinic.world.path("caller.key")).unwrap();
    let offline = super::doctor(&["--offline", token.trim()], &[]).await;
    let presented = clinic.examine_as(&clinic.world.config_text(), &["--key-file", key.trim()]).await;
    for (examined, status, code) in
        [(offline, 12, "pasted-token-unreadable"), (presented, 11, "presented-key-unreadable")]
    {
        assert_eq!(examined.status, status, "{code}");
        assert!(examined.stdout.contains(code), "{code}");
        hunt.search(code, &(examined.stdout + &examined.stderr));
    }
}

#[tokio::test]
async fn no_bad_day_shows_them_either() {
    let clinic = Clinic::new().await;
    let faults = [
        Fault::Garbage,
        Fault::Html { status: 503 },
        Fault::Propagation,
        Fault::Refuse { number: 7_000_274, error: "invalid_client".to_owned(), status: 401 },
    ];
    for fault in faults {
        clinic.world.emulator.set_fault(None, fault.clone());
        for arguments in [&[][..], &["--json"]] {
            let examined = clinic.examine_as(&clinic.world.config_text(), arguments).await;
            assert_eq!(examined.status, 17, "{fault:?}: {}", examined.stdout);
            search(&clinic, fault.name(), &examined);
        }
    }
    let whole = std::fs::read_to_string(clinic.world.path("token")).unwrap();
    let hunt = hunt(&clinic);
    for broken in [&whole[..whole.len() - 30], &whole[30..], "canary-of-a-token-without-any-dots"] {
        clinic.world.put_token(broken);
        let examined = clinic.examine_as(&clinic.world.config_text(), &["--json"]).await;
        hunt.search("a broken token", &examined.stdout);
        assert!(!examined.stdout.contains("canary"), "{}", examined.stdout);
    }
}
