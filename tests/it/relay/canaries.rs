//! What users bring along and what they get appears in nothing but the answer.

use std::sync::Mutex;

use unsecret::emulator::Fault;

use super::{ADA, SECRET, VERIFIER, Web, users_token, world};
use crate::canaries::{Hunt, captured};

/// A day of a web application; what must not have been told.
async fn live() -> Hunt {
    let world = world().await;
    let web = Web::billing(&world);
    let mut hunt = Hunt::default();
    hunt.hide("the verifier", VERIFIER);
    hunt.hide("the deleted secret", SECRET);
    hunt.hide("the local key", &web.key);
    let mut refusals = Vec::new();
    let code = web.code(ADA).await;
    hunt.hide("a code", &code);
    let answer = web.redeem(&code).await;
    for name in ["access_token", "id_token", "refresh_token"] {
        hunt.hide(name, &answer.text(name));
    }
    let refresh = answer.text("refresh_token");
    let renewed = web.refresh(&refresh).await;
    hunt.hide("the next refresh token", &renewed.text("refresh_token"));
    let token = users_token(&world, ADA);
    hunt.hide("a user's token", &token);
    for _ in 0..2 {
        hunt.hide("a token on behalf", &web.behalf(&token).await.token());
    }
    refusals.push(web.redeem(&code).await);
    let other = web.code(ADA).await;
    hunt.hide("another code", &other);
    for key in ["", SECRET, &other, &token] {
        refusals.push(web.clone().with_key(key).redeem(&other).await);
    }
    // In the wrong fields, as a confused application sends them.
    for secret in [&code, &refresh, &token] {
        refusals.push(web.ask(&[("grant_type", secret)]).await);
        refusals.push(web.ask(&[("grant_type", "refresh_token"), ("refresh_token", secret), ("claims", secret)]).await);
        refusals.push(web.ask(&[("grant_type", "authorization_code"), ("code", secret), ("code", secret)]).await);
    }
    for fault in [
        Fault::Reset,
        Fault::Garbage,
        Fault::Html { status: 200 },
        Fault::Interact { number: 50_076 },
        Fault::Refuse { number: 700_016, error: "unauthorized_client".into(), status: 400 },
    ] {
        world.emulator.set_fault(None, fault);
        refusals.push(web.redeem(&other).await);
        refusals.push(web.refresh(&refresh).await);
        refusals.push(web.behalf(&users_token(&world, ADA)).await);
    }
    for refusal in &refusals {
        assert_ne!(refusal.status, 200, "nothing was refused");
        hunt.search("a refusal", &refusal.body);
    }
    for page in ["/metrics", "/readyz?verbose"] {
        hunt.search(page, &world.admin_page(page).await);
    }
    hunt.search("the journal", &format!("{:?}", world.emulator.journal()));
    hunt.search("Debug of what runs", &format!("{:?} {:#?}", world.app, world.emulator));
    world.app.stop().await;
    hunt
}

#[test]
fn no_log_refusal_or_page_holds_what_belongs_to_a_user() {
    let hunt = Mutex::new(Hunt::default());
    let text = captured(async { *hunt.lock().unwrap() = live().await });
    assert!(text.contains("on_behalf_of") && text.contains("WARN"), "little was logged");
    hunt.into_inner().unwrap().search("the log at TRACE", &text);
    assert!(!text.contains("eyJ"), "the log holds a token that nobody planted");
}
