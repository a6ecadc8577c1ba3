//! GitHub's identity token: asked for anew each time, with our audience, and each refusal with its remedy.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use unsecret::assertion::{AssertionError, AssertionSource as _, GithubSource, Wanted};
use unsecret::clock::ManualClock;
use unsecret::fault::Class;
use unsecret::outbound::Outbound;
use unsecret::problem::Problem as _;
use unsecret::secret::Secret;

use super::settings;
use crate::support::far_end::{FarEnd, Reply, ca};

const WANTED: Wanted<'_> = Wanted { token_url: "https://login/token", refused: &[] };

fn jwt(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(claims), part("signature"))
}

fn good() -> Reply {
    let token = jwt(r#"{"aud":"api://AzureADTokenExchange","sub":"repo:o/r","exp":9999}"#);
    Reply::http(200, &[], &format!(r#"{{"count":1,"value":"{token}"}}"#))
}

struct Runner {
    far: FarEnd,
    source: GithubSource,
    _dir: tempfile::TempDir,
}

impl Runner {
    async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca("far end CA");
        std::fs::write(dir.path().join("ca.pem"), ca.certificate_pem()).unwrap();
        let far = FarEnd::start(&ca, replies).await;
        let source = GithubSource::new(
            Arc::new(Outbound::new(settings(dir.path().join("ca.pem")))),
            &format!("{}/oidc?api-version=2.0", far.host()).parse().unwrap(),
            Secret::new(jwt(r#"{"exp":5000}"#)),
            "api://AzureADTokenExchange".to_owned(),
            Arc::new(ManualClock::standing(1_000)),
        );
        Self { far, source, _dir: dir }
    }

    async fn failure(&self) -> AssertionError {
        self.source.assertion(WANTED).await.unwrap_err()
    }
}

#[tokio::test]
async fn the_audience_joins_the_query_that_is_there() {
    let runner = Runner::new([good()]).await;
    let assertion = runner.source.assertion(WANTED).await.unwrap();
    assert_eq!(assertion.facts.subject.as_deref(), Some("repo:o/r"));
    let head = runner.far.seen().remove(0).head;
    let line = "GET /oidc?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange HTTP/1.1";
    assert_eq!(head.lines().next(), Some(line));
    assert!(head.contains(&format!("authorization: Bearer {}\r\n", jwt(r#"{"exp":5000}"#))), "{head}");
    assert!(head.contains("accept: application/json; api-version=2.0\r\n"), "{head}");
    assert_eq!(runner.source.source_expires(), Some(5_000));
    assert!(!format!("{:?}", runner.source).contains("eyJ"));
}

#[tokio::test]
async fn each_refusal_has_its_name_and_remedy() {
    for (reply, code, class) in [
        (Reply::http(403, &[], ""), "github-refused", Class::Configuration),
        (Reply::http(500, &[], ""), "github-unavailable", Class::Transient),
        (Reply::http(403, &[("content-type", "text/html")], "blocked"), "github-unavailable", Class::Transient),
        (Reply::http(200, &[], "{}"), "github-malformed", Class::Transient),
        (Reply::http(200, &[], r#"{"value":"a.b"}"#), "assertion-incomplete", Class::Transient),
        (Reply::Reset, "connection-broken", Class::Transient),
    ] {
        let problem = Runner::new([reply]).await.failure().await;
        assert_eq!((problem.code(), problem.class()), (code, class));
    }
    let refused = Runner::new([Reply::http(401, &[], "")]).await.failure().await;
    assert!(refused.remedy().unwrap().contains("`permissions: id-token: write`"));
    let owner = jwt(r#"{"aud":"https://github.com/o","exp":9999}"#);
    let owners = Runner::new([Reply::http(200, &[], &format!(r#"{{"value":"{owner}"}}"#))]).await.failure().await;
    assert_eq!(owners.code(), "assertion-audience");
}
