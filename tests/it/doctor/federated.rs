//! Breakages of a federated source: its file, its token, its issuer, and what Entra says to them.

use serde_json::{Value, json};
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::emulator::{Fault, PlatformToken};

use super::snapshot::NO_TENANT;
use super::{Clinic, broken, doctor, links};
use crate::support::world::{
    AUDIENCE, CLIENT, ISSUER, OTHER_CLIENT, Plan, SUBJECT, Source, TENANT, TokenFile, World, platform_token,
};

impl Clinic {
    /// Puts this token where the platform's is.
    pub(super) fn present(&self, token: &PlatformToken) {
        self.world.put_token(self.world.emulator.platform_token(ISSUER, token).unwrap().expose());
    }
}

fn token() -> PlatformToken {
    PlatformToken::new(SUBJECT, AUDIENCE)
}

#[tokio::test]
async fn a_wrong_tenant() {
    let clinic = Clinic::new().await;
    let other = NO_TENANT;
    let examined = clinic.examine_as(&clinic.world.config_text().replace(TENANT, other), &[]).await;
    clinic.breaks(&examined, "wrong-tenant", 17, "exchange", &["AADSTS90002", "remedy", "tenant", other]);
}

#[tokio::test]
async fn a_wrong_client_id() {
    let clinic = Clinic::new().await;
    let examined = clinic.examine_as(&clinic.world.config_text().replace(CLIENT, OTHER_CLIENT), &[]).await;
    let words = ["AADSTS700016", OTHER_CLIENT, TENANT, "does not know this client id"];
    clinic.breaks(&examined, "wrong-client-id", 17, "exchange", &words);
}

#[tokio::test]
async fn a_subject_that_differs_by_letter_case() {
    let clinic = Clinic::new().await;
    clinic.present(&PlatformToken::new(SUBJECT.replace("billing", "Billing"), AUDIENCE));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "subject-case", 17, "exchange", &["nothing but letter case differs", "default:Billing"]);
    assert!(examined.stdout.contains("az ad app federated-credential create"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_subject_that_no_credential_has() {
    let clinic = Clinic::new().await;
    clinic.present(&PlatformToken::new("system:serviceaccount:default:shop", AUDIENCE));
    let examined = clinic.examine().await;
    let words = ["AADSTS700213", "subject", "system:serviceaccount:default:shop"];
    clinic.breaks(&examined, "subject", 17, "exchange", &words);
}

#[tokio::test]
async fn an_audience_that_the_credential_does_not_have() {
    let plan = Plan {
        assertion: Some("{ file = \"{folder}/token\", audience = \"api://unsecret\" }".to_owned()),
        ..Plan::default()
    };
    let clinic = Clinic::of(plan).await;
    clinic.present(&PlatformToken::new(SUBJECT, "api://unsecret"));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "audience", 17, "exchange", &["AADSTS700212", "api://unsecret", "one audience"]);
    assert!(examined.stdout.contains("\"audiences\": [\n    \"api://unsecret\"\n  ]"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_token_for_another_audience_than_configured() {
    let clinic = Clinic::new().await;
    clinic.present(&PlatformToken::new(SUBJECT, "https://kubernetes.default.svc"));
    let examined = clinic.examine().await;
    let words = ["assertion-audience", "https://kubernetes.default.svc", AUDIENCE];
    clinic.breaks(&examined, "token-audience", 13, "assertion", &words);
    assert_eq!(clinic.world.exchanges(), 0);
}

#[tokio::test]
async fn a_trailing_slash_of_the_issuer() {
    let clinic = Clinic::new().await;
    let slash = format!("{ISSUER}/");
    clinic.world.emulator.alter_issuer(ISSUER, "issuer", Some(json!(slash))).unwrap();
    clinic.present(&token().claim("iss", slash.as_str()));
    let examined = clinic.examine().await;
    let words = ["AADSTS700211", "the issuer ends in a slash, and `https://issuer.example` without it is another"];
    clinic.breaks(&examined, "issuer-slash", 17, "exchange", &words);
}

#[tokio::test]
async fn an_issuer_that_says_another_name_than_the_token() {
    let clinic = Clinic::new().await;
    clinic.present(&token().claim("iss", format!("{ISSUER}/")));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "issuer-mismatch", 16, "issuer", &["issuer-mismatch", "the slash at the end included"]);
}

#[tokio::test]
async fn an_expired_token_file() {
    let clinic = Clinic::new().await;
    let hour_ago = SystemClock::new().now().epoch() - 3_600;
    clinic.present(&token().claim("exp", hour_ago));
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "expired",
        13,
        "assertion",
        &["assertion-expired", "platform renews the token", "min ago"],
    );
    assert_eq!(clinic.world.exchanges(), 0, "Entra is not asked with what it surely refuses");
}

#[tokio::test]
async fn a_missing_token_file() {
    let clinic = Clinic::of(Plan { token_file: TokenFile::Missing, ..Plan::default() }).await;
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "missing-file",
        12,
        "source",
        &["token-file-missing", "FOLDER/token", "mount the projected"],
    );
    let states: Vec<_> = links(&examined.stdout).into_iter().map(|(state, shown)| (shown.link, state)).collect();
    for (link, wanted) in
        [("assertion", "not reached"), ("outbound", "good"), ("clock", "good"), ("token", "not reached")]
    {
        assert!(states.contains(&(link.to_owned(), wanted.to_owned())), "{link}: {states:?}");
    }
}

#[tokio::test]
async fn an_unreadable_token_file() {
    let clinic = Clinic::new().await;
    // Root may read every file, but nobody a directory.
    std::fs::remove_file(clinic.world.path("token")).unwrap();
    std::fs::create_dir(clinic.world.path("token")).unwrap();
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "unreadable-file",
        12,
        "source",
        &["token-file-unreadable", "a readable file, not a directory"],
    );
}

#[tokio::test]
async fn a_runner_that_refuses_the_job() {
    let world = World::with_source(Source::Github).await;
    let clinic = Clinic { proxy: Clinic::new().await.proxy, world };
    let url = clinic.world.github_url();
    let job = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary-request-token-of-another-job"),
    ];
    let path = clinic.world.path("config.toml");
    std::fs::write(&path, clinic.world.config_text()).unwrap();
    let examined = doctor(&["--config", path.to_str().unwrap()], &job).await;
    clinic.breaks(&examined, "runner-refuses", 12, "source", &["github-refused", "permissions: id-token: write"]);
    assert!(!examined.stdout.contains("canary"));
    let without = doctor(&["--config", path.to_str().unwrap()], &[]).await;
    assert_eq!(without.status, 2, "without the job's variables the configuration is wrong: {}", without.stdout);
    assert!(without.stdout.contains("ACTIONS_ID_TOKEN_REQUEST_URL"), "{}", without.stdout);
}

#[tokio::test]
async fn a_half_written_token() {
    let clinic = Clinic::new().await;
    let whole = std::fs::read_to_string(clinic.world.path("token")).unwrap();
    clinic.world.put_token(&whole[..whole.len() / 2]);
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "half-written", 12, "source", &["assertion-incomplete", "whole, by rename"]);
}

#[tokio::test]
async fn an_issuer_that_signs_with_es256() {
    let clinic = Clinic::new().await;
    clinic.present(&token().header("alg", "ES256"));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "es256", 13, "assertion", &["assertion-algorithm", "`ES256`", "RS256"]);
}

#[tokio::test]
async fn an_issuer_that_entra_cannot_dial() {
    let clinic = Clinic::new().await;
    clinic.present(&token().claim("iss", "http://kubernetes.default.svc"));
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "issuer-url", 16, "issuer", &["issuer-url-unfit", "it is not https", "public https URL"]);
}

#[tokio::test]
async fn an_empty_authorization_endpoint() {
    let clinic = Clinic::new().await;
    clinic.world.emulator.alter_issuer(ISSUER, "authorization_endpoint", Some(json!(""))).unwrap();
    let examined = clinic.examine().await;
    let words = ["issuer-document-incomplete", "`authorization_endpoint`", "trips over an empty one"];
    clinic.breaks(&examined, "empty-endpoint", 16, "issuer", &words);
    assert!(broken(&examined.stdout)[1].text.contains("AADSTS501661"), "Entra says the same: {}", examined.stdout);
}

#[tokio::test]
async fn a_key_that_the_issuer_does_not_publish() {
    let clinic = Clinic::new().await;
    clinic.world.emulator.rotate_issuer_key(ISSUER).unwrap();
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "key-not-published",
        16,
        "issuer",
        &["issuer-key-missing", "publish the key it signs with"],
    );
    assert!(broken(&examined.stdout)[1].text.contains("AADSTS7000272"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_token_that_was_altered_on_its_way() {
    let clinic = Clinic::new().await;
    let one = |claim: &str| {
        let token = clinic.world.emulator.platform_token(ISSUER, &platform_token().claim("jti", claim)).unwrap();
        token.expose().to_owned()
    };
    let (head, signature) = (one("a"), one("b"));
    let (head, signature) = (head.rsplit_once('.').unwrap().0, signature.rsplit_once('.').unwrap().1);
    std::fs::write(clinic.world.path("token"), format!("{head}.{signature}")).unwrap();
    let examined = clinic.examine().await;
    clinic.breaks(&examined, "altered-token", 16, "issuer", &["issuer-signature-mismatch", "arrive as it was issued"]);
    assert!(broken(&examined.stdout)[1].text.contains("AADSTS7000274"), "{}", examined.stdout);
}

#[tokio::test]
async fn a_flaw_that_entra_overlooks_is_doubtful_and_not_broken() {
    let clinic = Clinic::new().await;
    // Ours looks at it; the emulator, as Entra does for what it has cached, does not.
    clinic.world.emulator.alter_issuer(ISSUER, "response_types_supported", Some(Value::Array(Vec::new()))).unwrap();
    let examined = clinic.examine().await;
    assert_eq!(examined.status, 0, "{}", examined.stdout);
    let links = links(&examined.stdout);
    let (state, shown) = links.iter().find(|(_, shown)| shown.link == "issuer").unwrap();
    assert!(state == "doubtful" && shown.text.contains("Entra took the token all the same"), "{}", shown.text);
}

#[tokio::test]
async fn an_unknown_resource() {
    let clinic = Clinic::of(Plan { scopes: vec!["https://graph.windoze.net"], ..Plan::default() }).await;
    let examined = clinic.examine().await;
    let words = ["AADSTS500011", "https://graph.windoze.net", "the identity is in order"];
    clinic.breaks(&examined, "unknown-resource", 17, "exchange", &words);
    assert!(!examined.stdout.contains("federated-credential create"), "no credential would help");
    // Another scope may be asked for.
    let asked = clinic.examine_as(&clinic.world.config_text(), &["--scope", "https://vault.azure.net/.default"]).await;
    assert_eq!(asked.status, 0, "{}", asked.stdout);
}

#[tokio::test]
async fn a_conditional_access_policy() {
    let clinic = Clinic::new().await;
    let refuse = Fault::Refuse { number: 53_003, error: "access_denied".to_owned(), status: 403 };
    clinic.world.emulator.set_fault(None, refuse);
    let examined = clinic.examine().await;
    let words = ["AADSTS53003", "conditional", "a policy of the tenant says no", "correlation id"];
    clinic.breaks(&examined, "conditional-access", 17, "exchange", &words);
}

#[tokio::test]
async fn a_throttled_tenant() {
    let clinic = Clinic::new().await;
    clinic.world.emulator.set_fault(None, Fault::Throttle { retry_after: Some(30) });
    let examined = clinic.examine().await;
    clinic.breaks(
        &examined,
        "throttled",
        17,
        "exchange",
        &["AADSTS90055", "Entra asks to be left alone for", "reduce how many"],
    );
    assert_eq!(clinic.world.exchanges(), 1, "who is throttled asks no second time");
}

#[tokio::test]
async fn a_file_that_hangs_is_given_up() {
    let clinic = Clinic::new().await;
    // Opening a pipe for reading waits for a writer, as a dead network volume does. Not where the world's own broker reads.
    rustix::fs::mkfifoat(rustix::fs::CWD, clinic.world.path("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let examined = clinic.examine_as(&clinic.world.config_text().replace("/token\"", "/pipe\""), &[]).await;
    clinic.breaks(&examined, "hanging-file", 12, "source", &["source-too-slow", "for what hangs"]);
    assert!(examined.stderr.contains("… waiting for what proves billing"), "{}", examined.stderr);
}
