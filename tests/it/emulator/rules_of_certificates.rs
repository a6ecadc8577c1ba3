//! The cases of the rules about certificate assertions.

use serde_json::Value;

use super::ask::Key;
use super::rules::{Case, request};
use super::world::{NOW, OTHER_CLIENT, World};

pub(super) async fn cases(world: &World) -> Vec<Case> {
    let good = || world.certificate();
    let stranger = unsecret::secret::Fingerprint::of(b"some other certificate").base64url();
    let over = world.over.sha256();
    let used = "a jti that was used before";
    assert_eq!(good().claim("jti", used).send(world).await.status(), 200);
    vec![
        request("not-a-jwt", good(), |ask| ask.form("client_assertion", "one.two")),
        request("issuer-missing", good(), |ask| ask.claim("iss", Value::Null)),
        request("certificate-type", good(), |ask| ask.header("typ", "at+jwt")),
        request("certificate-algorithm", good(), |ask| ask.header("alg", "ES256")),
        request("thumbprint-missing", good(), |ask| ask.header("x5t#S256", Value::Null)),
        request("certificate-subject-missing", good(), |ask| ask.claim("sub", Value::Null)),
        request("certificate-subject", good(), |ask| ask.claim("sub", OTHER_CLIENT)),
        request("certificate-client", good(), |ask| ask.form("client_id", OTHER_CLIENT)),
        request("certificate-audience-missing", good(), |ask| ask.claim("aud", Value::Null)),
        request("certificate-audience", good(), |ask| {
            ask.claim("aud", "https://login.microsoftonline.com/common/oauth2/v2.0/token")
        }),
        request("certificate-end-missing", good(), |ask| ask.claim("exp", Value::Null)),
        request("certificate-assertion-expired", good(), |ask| ask.claim("exp", NOW)),
        request("certificate-assertion-early", good(), |ask| ask.claim("nbf", NOW + 1)),
        request("certificate-unknown", good(), move |ask| ask.header("x5t#S256", stranger.as_str())),
        request("certificate-over", good(), move |ask| ask.header("x5t#S256", over.as_str())),
        request("certificate-signature", good(), |ask| ask.signed_by(Key::Over)),
        request("certificate-id-missing", good(), |ask| ask.claim("jti", Value::Null)),
        request("certificate-replayed", good(), move |ask| ask.claim("jti", used)),
    ]
}
