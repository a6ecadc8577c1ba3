//! What goes wrong in a module is cured within the call where it can be, and never touches another module.

use std::process::Command;

use unsecret::problem::Problem as _;

use super::*;
use crate::support::forwarding::{Call, Forwarding};

/// A module with a key that has signed once.
async fn signing(bench: &Bench, module: &Forwarding) -> (Arc<dyn Signer>, Vec<u8>) {
    let signer = bench.open(&bench.uri("object=billing", &module.path()), None);
    let public = signer.public_key().await.unwrap();
    proves(&*signer, Algorithm::Ps256, &public).await;
    (signer, public)
}

fn children(calls: &[Call]) -> usize {
    let mut pids: Vec<_> = calls.iter().map(|call| call.pid).collect();
    pids.dedup();
    pids.len()
}

#[tokio::test]
async fn a_lost_session_is_opened_again_in_the_same_child() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let (signer, public) = signing(&bench, &module).await;
    let lost = [
        "CKR_SESSION_HANDLE_INVALID",
        "CKR_SESSION_CLOSED",
        "CKR_USER_NOT_LOGGED_IN",
        "CKR_OBJECT_HANDLE_INVALID",
        "CKR_KEY_HANDLE_INVALID",
    ];
    for (n, result) in (1..).zip(lost) {
        module.fail("C_SignInit", result, 1);
        proves(&*signer, Algorithm::Ps256, &public).await;
        assert_eq!(signer.reopened(), n, "{result}");
        assert_eq!(module.calls("C_Login").len() as u64, n + 1, "{result}");
    }
    assert_eq!(children(&module.all_calls()), 1);
}

#[tokio::test]
async fn a_module_that_stays_broken_until_c_finalize_is_started_anew() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let (signer, public) = signing(&bench, &module).await;
    let broken = [
        "CKR_DEVICE_ERROR",
        "CKR_GENERAL_ERROR",
        "CKR_FUNCTION_FAILED",
        "CKR_TOKEN_NOT_PRESENT",
        "CKR_CRYPTOKI_NOT_INITIALIZED",
        "CKR_SESSION_HANDLE_INVALID",
    ];
    for (n, result) in (2..).zip(broken) {
        module.fail_until_finalize("C_Sign", result);
        proves(&*signer, Algorithm::Ps256, &public).await;
        assert_eq!(module.calls("C_Initialize").len(), n, "{result}");
    }
}

#[tokio::test]
async fn a_crash_is_cured_within_the_call() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let (signer, public) = signing(&bench, &module).await;
    module.crash("C_Sign");
    proves(&*signer, Algorithm::Ps256, &public).await;
    let pid = module.calls("C_Sign").last().unwrap().pid;
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    proves(&*signer, Algorithm::Ps256, &public).await;
    assert_eq!((module.calls("C_Initialize").len(), signer.reopened()), (3, 2));
}

#[tokio::test]
async fn a_hang_is_ended_told_and_cured_by_the_next_call() {
    let Some(bench) = Bench::with_limit(Duration::from_secs(4)) else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let (module, other) = (Forwarding::over(&bench.softhsm), Forwarding::over(&bench.softhsm));
    let (signer, public) = signing(&bench, &module).await;
    let (untouched, _) = signing(&bench, &other).await;
    module.hang("C_Sign");
    let (hung, ()) = tokio::join!(failure(&*signer), async {
        // Meanwhile another module serves.
        proves(&*untouched, Algorithm::Ps256, &public).await;
    });
    assert_eq!((hung.code(), hung.outcome()), ("signer-hung", "device_error"));
    assert!(hung.to_string().contains("call `C_Sign` in `prod`: no answer within 4s"), "{hung}");
    let hanging = module.calls("C_Sign").last().unwrap().pid;
    gone(hanging).await;

    module.release("C_Sign");
    // At once, and without a call, while it rests.
    let calls = module.all_calls().len();
    assert_eq!(refusal(&*signer).await, "signer-hung");
    assert_eq!(module.all_calls().len(), calls);
    bench.clock.advance(Duration::from_secs(1));
    proves(&*signer, Algorithm::Ps256, &public).await;
    assert_eq!(other.calls("C_Initialize").len(), 1);
    assert_eq!(untouched.reopened(), 0);
}

/// Waits until the process has ended.
async fn gone(pid: u32) {
    let alive = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie waits for whoever started it, and does nothing any more.
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    tokio::time::timeout(Duration::from_secs(30), async {
        while alive() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("process {pid} goes on"));
}

#[tokio::test]
async fn rests_grow_to_half_a_minute_and_end_with_a_signature() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let (signer, public) = signing(&bench, &module).await;
    module.fail_always("C_Sign", "CKR_DEVICE_ERROR");
    for rest in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(refusal(&*signer).await, "signer-device-error");
        bench.clock.advance(Duration::from_millis(rest * 1_000 - 1));
        let calls = module.all_calls().len();
        assert_eq!(refusal(&*signer).await, "signer-device-error");
        assert_eq!(module.all_calls().len(), calls, "a call after less than {rest} s");
        bench.clock.advance(Duration::from_millis(1));
    }
    module.mend("C_Sign");
    proves(&*signer, Algorithm::Ps256, &public).await;
    module.fail_always("C_Sign", "CKR_DEVICE_ERROR");
    assert_eq!(refusal(&*signer).await, "signer-device-error");
    module.mend("C_Sign");
    bench.clock.advance(Duration::from_secs(1));
    proves(&*signer, Algorithm::Ps256, &public).await;
}

#[tokio::test]
async fn a_token_that_is_taken_away_comes_back_and_its_neighbour_does_not_notice() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.key("prod", "billing", "01", 2048);
    softhsm.token("lab", PIN);
    softhsm.key("lab", "billing", "02", 2048);
    bench.write_pin("lab", PIN);
    let module = Forwarding::over(softhsm);
    let (signer, public) = signing(&bench, &module).await;
    let neighbour = bench.open(&bench.uri_in("lab", "object=billing", &module.path()), None);
    let neighbours = neighbour.public_key().await.unwrap();

    module.absent("prod");
    assert_eq!(refusal(&*signer).await, "token-absent");
    for _ in 0..3 {
        proves(&*neighbour, Algorithm::Ps256, &neighbours).await;
        bench.clock.advance(Duration::from_secs(30));
        assert_eq!(refusal(&*signer).await, "token-absent");
    }
    assert_eq!(neighbour.reopened(), 0);
    module.present("prod");
    bench.clock.advance(Duration::from_secs(30));
    proves(&*signer, Algorithm::Ps256, &public).await;
    proves(&*neighbour, Algorithm::Ps256, &neighbours).await;
}

#[tokio::test]
async fn a_token_that_a_module_sees_only_when_it_starts_is_found_by_a_fresh_child() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.key("prod", "billing", "01", 2048);
    softhsm.token("lab", PIN);
    softhsm.key("lab", "billing", "02", 2048);
    bench.write_pin("lab", PIN);
    let public = softhsm.public("lab", "02");
    softhsm.take_away("lab");
    let module = softhsm.module();
    let here = bench.open(&bench.uri("object=billing", module), None);
    let heres = here.public_key().await.unwrap();
    let away = bench.open(&bench.uri_in("lab", "object=billing", module), None);
    assert_eq!(refusal(&*away).await, "token-absent");
    softhsm.put_back("lab");
    bench.clock.advance(Duration::from_secs(1));
    proves(&*away, Algorithm::Ps256, &public).await;
    proves(&*here, Algorithm::Ps256, &heres).await;
}

#[test]
fn the_child_ends_with_its_parent_even_while_a_call_hangs() {
    let Some(bench) = Bench::with_limit(Duration::from_secs(300)) else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let parent = tokio::runtime::Runtime::new().unwrap();
    let pid = parent.block_on(async {
        let (signer, _) = signing(&bench, &module).await;
        module.hang("C_Sign");
        tokio::spawn(async move { signer.sign(Algorithm::Ps256, MESSAGE).await });
        hanging(&module).await
    });
    // As at the end of a process: nobody says goodbye, the socket closes.
    parent.shutdown_background();
    tokio::runtime::Runtime::new().unwrap().block_on(gone(pid));
}

/// Waits for a call that hangs; its process.
async fn hanging(module: &Forwarding) -> u32 {
    let found = async {
        loop {
            match module.calls("C_Sign").last() {
                Some(call) if call.result == "hang" => break call.pid,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("no call hangs"))
}
