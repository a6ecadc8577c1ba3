//! Trouble that lasts: what is held is served, the pages tell of it, and within a minute of its end all is well.

use super::*;

/// Long enough for every backoff to have grown to its longest.
async fn goes_on_for_minutes(stage: &Stage, held: &str) {
    let resource = stage.next();
    for _ in 0..6 {
        stage.world.pass(Duration::from_secs(30)).await;
        assert_eq!(stage.ask(0, &resource).await.status, 503);
    }
    stage.serves(held).await;
    let line = stage.line(0).await;
    assert!(line.contains("key not usable") && line.contains(", remedy: "), "{line}");
    assert!(!line.contains(PIN), "{line}");
    assert!(stage.failures(0).await >= 3, "the metrics do not tell of it");
}

async fn is_well_again(stage: &Stage) {
    stage.back_within_a_minute(0).await;
    stage.back_within_a_minute(1).await;
    assert!(stage.line(0).await.ends_with(", signs with PS256"), "{}", stage.line(0).await);
    assert!(stage.resets(0).await >= 1.0, "the metrics do not tell that the key was opened anew");
    stage.world.until_ready().await;
    stage.second_module_is_untouched().await;
}

/// The function gives this result for minutes.
async fn is_back_within_a_minute(function: &str, result: &str, code: &str) {
    let Some((stage, held)) = Stage::three("").await else { return };
    stage.module(0).fail_always(function, result);
    assert_eq!(stage.fails(0).await, code);
    goes_on_for_minutes(&stage, &held).await;
    stage.module(0).mend(function);
    is_well_again(&stage).await;
}

macro_rules! back {
    ($($name:ident: $function:literal $result:literal $code:literal),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                is_back_within_a_minute($function, $result, $code).await;
            }
        )*
    };
}

back! {
    after_minutes_of_invalid_session_handles_it_is_back: "C_SignInit" "CKR_SESSION_HANDLE_INVALID" "signer-session-lost",
    after_minutes_of_closed_sessions_it_is_back: "C_Sign" "CKR_SESSION_CLOSED" "signer-session-lost",
    after_minutes_of_lost_logins_it_is_back: "C_SignInit" "CKR_USER_NOT_LOGGED_IN" "signer-session-lost",
    after_minutes_of_device_errors_it_is_back: "C_Sign" "CKR_DEVICE_ERROR" "signer-device-error",
    after_minutes_of_general_errors_it_is_back: "C_Sign" "CKR_GENERAL_ERROR" "signer-device-error",
    after_minutes_of_failed_functions_it_is_back: "C_Sign" "CKR_FUNCTION_FAILED" "signer-device-error",
    after_minutes_without_a_token_in_the_slot_it_is_back: "C_Sign" "CKR_TOKEN_NOT_PRESENT" "signer-device-error",
}

#[tokio::test]
async fn a_token_that_is_removed_and_put_back_is_back_and_the_other_in_its_module_is_served_throughout() {
    let Some((stage, held)) = Stage::three("").await else { return };
    stage.module(0).absent("prod");
    assert_eq!(stage.fails(0).await, "token-absent");
    stage.signs(1).await;
    goes_on_for_minutes(&stage, &held).await;
    stage.signs(1).await;
    assert_eq!((stage.failures(1).await, stage.resets(1).await), (0, 0.0), "the other token noticed");
    stage.module(0).present("prod");
    is_well_again(&stage).await;
}

#[tokio::test]
async fn a_token_that_a_module_sees_only_after_c_finalize_is_back() {
    let Some((stage, held)) = Stage::three("").await else { return };
    stage.parts.stores[0].take_away("lab");
    stage.module(0).fail("C_SignInit", "CKR_SESSION_HANDLE_INVALID", 1);
    assert_eq!(stage.fails(1).await, "token-absent");
    stage.back_within_a_minute(0).await;
    assert!(stage.line(1).await.contains("[token-absent]"), "{}", stage.line(1).await);
    stage.serves(&held).await;
    stage.parts.stores[0].put_back("lab");
    is_well_again(&stage).await;
}

#[tokio::test]
async fn a_module_that_crashes_at_its_start_too_is_back() {
    let Some((stage, held)) = Stage::three("").await else { return };
    stage.module(0).crash("C_Sign");
    stage.module(0).crash("C_Initialize");
    assert_eq!(stage.fails(0).await, "signer-died");
    stage.serves(&held).await;
    assert!(stage.line(0).await.contains("[signer-died]"), "{}", stage.line(0).await);
    is_well_again(&stage).await;
}

#[tokio::test]
async fn a_signature_that_never_comes_is_given_up_and_the_key_is_back() {
    let Some((stage, held)) = Stage::three("limit = \"4s\"\n").await else { return };
    stage.module(0).hang("C_Sign");
    let (refused, ()) = tokio::join!(stage.fails(0), async {
        // Meanwhile the doors and the second module serve.
        stage.serves(&held).await;
        stage.signs(2).await;
    });
    assert_eq!(refused, "signer-hung");
    let hanging = stage.module(0).calls("C_Sign").last().unwrap().pid;
    crate::support::world::until("the child that hangs is ended", async || (!alive(hanging)).then_some(())).await;
    assert!(stage.line(0).await.contains("[signer-hung]"), "{}", stage.line(0).await);
    stage.module(0).release("C_Sign");
    is_well_again(&stage).await;
}

#[tokio::test]
async fn readiness_goes_with_the_last_held_token_and_comes_back_with_the_key() {
    let Some((stage, _)) = Stage::three("").await else { return };
    let readiness = async || Call::get(stage.world.admin(), "/readyz").send().await.status.as_u16();
    stage.module(0).fail_always("C_Sign", "CKR_DEVICE_ERROR");
    stage.fails(0).await;
    assert_eq!(readiness().await, 200, "what is held can be served");
    // Longer than any token lives; and then for as long as this machine needs to try the key once more.
    for _ in 0..12 {
        stage.world.pass(Duration::from_secs(600)).await;
    }
    let unready = async |world: &World| {
        world.pass(Duration::from_secs(1)).await;
        (readiness().await != 200).then_some(())
    };
    stage.world.until("it is not ready any more", unready).await;
    assert!(stage.line(0).await.contains("[signer-device-error]"), "{}", stage.line(0).await);
    stage.module(0).mend("C_Sign");
    stage.back_within_a_minute(0).await;
    stage.back_within_a_minute(1).await;
    stage.world.until_ready().await;
}
