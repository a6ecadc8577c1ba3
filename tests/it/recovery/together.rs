//! Several identities: two tokens and two modules at once, and one module for two.

use super::*;

#[tokio::test]
async fn keys_in_two_tokens_and_two_modules_sign_at_once_with_one_login_each() {
    let Some(parts) = Parts::new() else { return };
    let members = [("prod", 0, "01"), ("lab", 0, "02"), ("prod", 1, "03"), ("lab", 1, "04")];
    let members = members.map(|(token, module, id)| parts.member(token, module, "object=billing", id));
    let stage = parts.stage(&members).await;
    for _ in 0..3 {
        tokio::join!(stage.signs(0), stage.signs(1), stage.signs(2), stage.signs(3));
    }
    for n in 0..2 {
        let count = |function| stage.module(n).calls(function).len();
        let calls = (count("C_Initialize"), count("C_Login"), count("C_OpenSession"));
        assert_eq!(calls, (1, 2, 2), "{:#?}", stage.module(n).troubles());
    }
}

#[tokio::test]
async fn two_identities_with_keys_in_one_token_log_in_once() {
    let Some(parts) = Parts::new() else { return };
    let members = [("object=billing", "01"), ("object=payroll", "02")];
    let members = members.map(|(label, id)| parts.member("prod", 0, label, id));
    let stage = parts.stage(&members).await;
    for _ in 0..2 {
        tokio::join!(stage.signs(0), stage.signs(1));
    }
    let logins = || stage.module(0).calls("C_Login").len();
    assert_eq!((logins(), stage.module(0).calls("C_Initialize").len()), (1, 1));
    // And once more, not twice, after both have lost it.
    kill(stage.module(0).calls("C_Sign").last().unwrap().pid);
    tokio::join!(stage.signs(0), stage.signs(1));
    assert_eq!((logins(), stage.module(0).calls("C_Initialize").len()), (2, 2));
}
