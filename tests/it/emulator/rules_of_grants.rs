//! The cases of the rules about codes, refresh tokens and on-behalf-of.

use unsecret::emulator::Fault;
use unsecret::ids::Guid;

use super::ask::{Ask, json_of};
use super::grants::{code, redeem, refresh_token, right_behalf, right_code, right_refresh};
use super::rules::{Case, request};
use super::world::{ADA, BOB, CLIENT, GRAPH, OTHER_CLIENT, PAGE, REDIRECT, World, right_secret};

const DAY: i64 = 86_400;

pub(super) async fn cases(world: &World) -> Vec<Case> {
    let mut cases = codes(world).await;
    cases.extend(refreshes(world).await);
    cases.extend(behalves(world).await);
    cases
}

/// Made by an authority whose clock was behind.
async fn earlier<T>(world: &World, seconds: i64, make: impl Future<Output = T>) -> T {
    world.emulator.set_fault(None, Fault::ClockOffset { seconds: -seconds });
    let outcome = make.await;
    world.emulator.clear_faults();
    outcome
}

async fn codes(world: &World) -> Vec<Case> {
    let others = code(world, OTHER_CLIENT, REDIRECT).await;
    let expired = earlier(world, 600, code(world, CLIENT, REDIRECT)).await;
    let redeemed = code(world, CLIENT, REDIRECT).await;
    assert_eq!(redeem(&redeemed).send(world).await.status(), 200);
    let page = redeem(&code(world, CLIENT, PAGE).await).form("redirect_uri", PAGE).without("client_secret");
    vec![
        request("code-missing", right_code(world).await, |ask| ask.without("code")),
        request("redirect-missing", right_code(world).await, |ask| ask.without("redirect_uri")),
        request("code-unknown", right_code(world).await, |ask| ask.form("code", "1.unknown")),
        request("code-client", right_code(world).await, move |ask| ask.form("code", others.clone())),
        request("code-single-page", page.from(Some("https://page.example")), |ask| ask.from(None)),
        request("code-expired", right_code(world).await, move |ask| ask.form("code", expired.clone())),
        request("redirect-different", right_code(world).await, |ask| ask.form("redirect_uri", format!("{REDIRECT}/"))),
        request("verifier-missing", right_code(world).await, |ask| ask.without("code_verifier")),
        request("verifier-wrong", right_code(world).await, |ask| ask.form("code_verifier", "another")),
        request("code-redeemed", right_code(world).await, move |ask| ask.form("code", redeemed.clone())),
    ]
}

async fn refreshes(world: &World) -> Vec<Case> {
    let others = refresh_token(world, OTHER_CLIENT, ADA).await;
    let idle = earlier(world, 90 * DAY, refresh_token(world, CLIENT, ADA)).await;
    let old = earlier(world, 80 * DAY, refresh_token(world, CLIENT, ADA)).await;
    let revoked = refresh_token(world, CLIENT, BOB).await;
    world.emulator.revoke_sign_ins(BOB).unwrap();
    let used = refresh_token(world, CLIENT, ADA).await;
    assert_eq!(right_refresh(&used).send(world).await.status(), 200);
    let mut cases = vec![];
    let wrong = [
        ("refresh-unknown", "1.r.unknown".to_owned()),
        ("refresh-client", others),
        ("refresh-idle", idle),
        ("refresh-revoked", revoked),
        ("refresh-frequency", old),
        ("refresh-used", used),
    ];
    for (rule, token) in wrong {
        let good = right_refresh(&refresh_token(world, CLIENT, ADA).await);
        cases.push(request(rule, good, move |ask| ask.form("refresh_token", token.clone())));
    }
    let good = right_refresh(&refresh_token(world, CLIENT, ADA).await);
    cases.push(request("refresh-missing", good, |ask| ask.without("refresh_token")));
    cases
}

async fn behalves(world: &World) -> Vec<Case> {
    let client = Guid::parse(OTHER_CLIENT).unwrap();
    let minted = |scope: &str| world.emulator.user_token(ADA, &client, scope).unwrap().expose().to_owned();
    let own = format!("api://{CLIENT}/access_as_user");
    let expired = earlier(world, 3_600, async { minted(&own) }).await;
    let elsewhere = minted(&format!("{GRAPH}/User.Read"));
    let altered = format!("{}AAAA", minted(&own));
    let answer = right_secret().form("scope", format!("api://{CLIENT}/.default")).send(world).await;
    let app_only = json_of(answer).await["access_token"].as_str().map(str::to_owned).unwrap();
    let good = || right_behalf(world);
    let presents =
        |rule: &'static str, token: String| request(rule, good(), move |ask: Ask| ask.form("assertion", token.clone()));
    vec![
        request("behalf-assertion-missing", good(), |ask| ask.without("assertion")),
        request("behalf-use", good(), |ask| ask.without("requested_token_use")),
        presents("behalf-not-a-jwt", "one.two".to_owned()),
        presents("behalf-signature", altered),
        presents("behalf-audience", elsewhere),
        presents("behalf-expired", expired),
        presents("behalf-app-only", app_only),
        request("consent", good(), |ask| ask.form("scope", format!("{GRAPH}/Mail.Send"))),
    ]
}
