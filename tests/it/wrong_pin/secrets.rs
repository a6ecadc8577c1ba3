//! PINs stand in no log, no page, no record, and nothing that the system shows of the processes.

use std::fs;

use super::Hsm;
use crate::canaries::Hunt;

const RIGHT: &str = "canary-right-pin-0123456789";
const WRONG: &str = "zzzyyxw-canary-of-the-wrong-pin";

#[tokio::test]
async fn a_pin_is_in_nothing_that_comes_out() {
    let Some(hsm) = Hsm::with_pin(2, RIGHT).await else { return };
    let stand = &hsm.stand;
    let config = stand.path("config.toml");
    fs::write(&config, format!("{}[log]\nlevel = \"trace\"\n", fs::read_to_string(&config).unwrap())).unwrap();
    let mut hunt = Hunt::default();
    hunt.hide("the right PIN", RIGHT);
    hunt.hide("the wrong PIN", WRONG);

    stand.write_pin(WRONG);
    let broker = stand.start();
    broker.until_says("pin-refused").await;
    let doctor = || super::Stand::ended(&["doctor", "--config", config.to_str().unwrap()]).1;
    let list = || stand.key(&["list", &stand.keys[0]]).1;
    let mut texts = vec![hsm.key_test(&[]).1, doctor(), list(), broker.page("/readyz?verbose").await.1];
    stand.write_pin(RIGHT);
    broker.until_ready().await;
    texts.extend([hsm.key_test(&["--json"]).1, doctor(), list()]);
    for page in ["/readyz?verbose", "/metrics"] {
        texts.push(broker.page(page).await.1);
    }
    for text in &texts {
        hunt.search("a page or a verb", text);
    }
    let said = broker.said();
    assert!(said.contains("DEBUG") && said.contains("pin-refused"), "little was logged: {said}");
    hunt.search("the log", &said);

    let module = hsm.module.calls("C_SignInit").into_iter().map(|call| call.pid);
    let module = module.into_iter().find(|pid| fs::exists(format!("/proc/{pid}")).unwrap()).unwrap();
    for pid in [broker.child.id(), module] {
        for name in ["cmdline", "environ", "status", "limits"] {
            // What a process that keeps its memory to itself does not show is shown to nobody.
            let shown = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            hunt.search(name, &String::from_utf8_lossy(&shown));
        }
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"], "a core file would hold the PIN");
    }
    let records: Vec<_> =
        fs::read_dir(stand.path("state/logins")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(records.len() >= 2, "{records:?}");
    for record in records {
        hunt.search("a record", &String::from_utf8_lossy(&fs::read(&record).unwrap()));
        hunt.search("a record's name", record.to_str().unwrap());
    }
}
