//! A result that a module gives once is cured within the call: no caller notices.

use super::*;

/// The module gives this result once, in each of the functions that a signature goes through.
async fn is_cured_within_the_call(result: &str) {
    let Some((stage, held)) = Stage::three("").await else { return };
    for (n, function) in (1..).zip(["C_SignInit", "C_Sign"]) {
        stage.module(0).fail(function, result, 1);
        stage.signs(0).await;
        let results: Vec<_> = stage.module(0).calls(function).into_iter().map(|call| call.result).collect();
        assert_eq!(results.iter().filter(|one| *one == result).count(), 1, "{function}: {results:?}");
        assert!(stage.resets(0).await >= f64::from(n), "{function}: the key was not opened anew");
    }
    assert_eq!(stage.failures(0).await, 0, "a caller might have noticed");
    assert!(stage.line(0).await.ends_with(", signs with PS256"), "{}", stage.line(0).await);
    stage.signs(1).await;
    stage.serves(&held).await;
    stage.second_module_is_untouched().await;
}

macro_rules! cured {
    ($($name:ident: $result:literal),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                is_cured_within_the_call($result).await;
            }
        )*
    };
}

cured! {
    a_session_handle_that_is_invalid_is_cured_within_the_call: "CKR_SESSION_HANDLE_INVALID",
    a_session_that_was_closed_is_cured_within_the_call: "CKR_SESSION_CLOSED",
    a_login_that_was_lost_is_cured_within_the_call: "CKR_USER_NOT_LOGGED_IN",
    a_device_error_is_cured_within_the_call: "CKR_DEVICE_ERROR",
    a_general_error_is_cured_within_the_call: "CKR_GENERAL_ERROR",
    a_function_that_failed_is_cured_within_the_call: "CKR_FUNCTION_FAILED",
    a_token_that_was_not_present_is_cured_within_the_call: "CKR_TOKEN_NOT_PRESENT",
    a_module_that_forgot_that_it_was_initialized_is_cured_within_the_call: "CKR_CRYPTOKI_NOT_INITIALIZED",
}

#[tokio::test]
async fn a_module_that_stays_broken_until_c_finalize_is_cured_within_the_call() {
    let Some((stage, held)) = Stage::three("").await else { return };
    for function in ["C_Sign", "C_OpenSession", "C_GetSlotList"] {
        stage.module(0).fail_until_finalize(function, "CKR_DEVICE_ERROR");
        // So that the session has to be opened anew, and its token found.
        stage.module(0).fail("C_SignInit", "CKR_SESSION_HANDLE_INVALID", 1);
        stage.signs(0).await;
        stage.signs(1).await;
    }
    assert_eq!(stage.module(0).calls("C_Initialize").len(), 4, "one process more for each time");
    assert_eq!(stage.failures(0).await, 0);
    stage.serves(&held).await;
    stage.second_module_is_untouched().await;
}

#[tokio::test]
async fn a_module_that_crashes_is_cured_within_the_call() {
    let Some((stage, held)) = Stage::three("").await else { return };
    stage.module(0).crash("C_Sign");
    stage.signs(0).await;
    assert!(stage.module(0).calls("C_Sign").iter().any(|call| call.result == "crash"));
    stage.signs(1).await;
    stage.serves(&held).await;
    stage.second_module_is_untouched().await;
}

#[tokio::test]
async fn a_child_that_is_killed_is_replaced_within_the_call() {
    let Some((stage, held)) = Stage::three("").await else { return };
    let pid = stage.module(0).calls("C_Sign").last().unwrap().pid;
    kill(pid);
    stage.serves(&held).await;
    stage.signs(0).await;
    stage.signs(1).await;
    assert_ne!(stage.module(0).calls("C_Sign").last().unwrap().pid, pid);
    assert!(stage.resets(0).await >= 1.0);
    stage.second_module_is_untouched().await;
}
