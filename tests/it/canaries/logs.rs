//! Every log line of every target at TRACE, every refusal and every page, through good days and bad.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use unsecret::emulator::Fault;
use unsecret::ids::Door;
use unsecret::secret::local_key::LocalKey;

use super::Hunt;
use crate::support::far_end::ca;
use crate::support::http::Call;
use crate::support::proxy::Proxy;
use crate::support::world::{CLIENT, GITHUB_BEARER, GRAPH, Plan, Source, TENANT, VAULT, World, encoded};

pub(super) const ENTRA_SHAPED: &str = "xyz8Q~canary-of-a-real-client-secret-0123";
const WRONG_KEY: &str = "canary-of-a-wrong-local-key-0123456789";
const PROXY_PASSWORD: &str = "proxyuser:canary-of-the-proxy-password-0123";
pub(super) const PKCS12_PASSWORD: &str = "canary-of-the-pkcs12-password-0123";

/// One of each form, one whose directory is not there, and commands that end well and badly.
const SINKS: &str = r#"
[[identity.sink]]
file = "{folder}/sink.json"
scope = "https://graph.microsoft.com/.default"
format = "json"
reload = ["cat", "{folder}/sink.json"]
[[identity.sink]]
file = "{folder}/sink.pgpass"
scope = "https://graph.microsoft.com/.default"
format = "pgpass"
pgpass = "db:5432:*:billing"
reload = ["false"]
[[identity.sink]]
file = "{folder}/none/sink.header"
scope = "https://graph.microsoft.com/.default"
format = "header"
[[identity.sink]]
file = "{folder}/sink.assertion"
assertion = true
"#;

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs with every target at TRACE captured, on the runtime's own thread and on those for blocking work.
pub fn captured(work: impl Future<Output = ()>) -> String {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish();
    let dispatch = Dispatch::new(subscriber);
    let blocking = dispatch.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Until the thread ends.
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&blocking)))
        .build()
        .unwrap();
    tracing::dispatcher::with_default(&dispatch, || runtime.block_on(work));
    drop(runtime);
    lines.text()
}

#[test]
fn the_capture_hears_every_target_on_every_thread() {
    let text = captured(async {
        tracing::trace!(target: "hyper::proto", "one");
        tokio::spawn(async { tracing::debug!("two") }).await.unwrap();
        tokio::task::spawn_blocking(|| tracing::trace!(target: "reqwest", "three")).await.unwrap();
    });
    for word in ["one", "two", "three"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn no_secret_reaches_a_log_a_refusal_or_a_page() {
    for source in Source::ALL {
        let hunt = Mutex::new(Hunt::default());
        let text = captured(async {
            let found = live(source).await;
            *hunt.lock().unwrap() = found;
        });
        let hunt = hunt.into_inner().unwrap();
        assert!(text.contains("INFO") && text.contains("WARN"), "{source:?}: little was logged: {text}");
        let of_sinks =
            ["sink written", "sink not written", "no new token for a sink", "the file is written all the same"];
        assert!(of_sinks.iter().all(|words| text.contains(words)), "{source:?}: little was said of sinks");
        hunt.search(&format!("the log ({source:?})"), &text);
        assert!(!text.contains("eyJ"), "the log holds a token that nobody planted");
    }
}

/// What a caller hears when nothing is held any more and every pause is over.
async fn on_a_bad_day(world: &World) -> String {
    world.pass(Duration::from_secs(2 * 3_600)).await;
    imds(world, VAULT).send().await.body
}

/// A day behind a proxy, with what went wrong; what must not have been told.
async fn live(source: Source) -> Hunt {
    let folder = tempfile::tempdir().unwrap();
    let inspection = ca("inspection CA");
    let proxy = Proxy::start(PROXY_PASSWORD, &inspection).await;
    let world = world(source, &proxy, inspection.certificate_pem(), folder.path()).await;
    let entra = url::Url::parse(&world.emulator.authority_host()).unwrap();
    proxy.lead_to(([127, 0, 0, 1], entra.port().unwrap()).into(), world.emulator.ca_pem());
    let mut hunt = planted(&world);
    let mut refusals = Vec::new();
    world.until("an assertion is written", async |world| world.path("sink.assertion").exists().then_some(())).await;
    hunt.hide("an assertion in a file", &std::fs::read_to_string(world.path("sink.assertion")).unwrap());

    for (door, call) in world.every_door(GRAPH) {
        // There are two identities here, and IMDS carries no key to tell which.
        let call = if door == "imds" { imds(&world, GRAPH) } else { call };
        let answer = call.send().await;
        hunt.hide(&format!("an access token from {door}"), &answer.token());
    }
    for (door, call) in world.more_doors(GRAPH) {
        // Two identities: without a key somebody has to be named, and a form is taken whole.
        let call = if door == "cloud-shell" { call.body(format!("resource={GRAPH}&client_id={CLIENT}")) } else { call };
        hunt.hide(&format!("an access token from {door}"), &call.send().await.token());
    }
    let token = imds(&world, GRAPH).send().await.token();
    for call in misplaced(&world, &token) {
        let answer = call.send().await;
        assert_ne!(answer.status, 200);
        refusals.push(answer.body);
    }
    let faults = [
        Fault::Garbage,
        Fault::Html { status: 200 },
        Fault::Status { status: 503, retry_after: Some(1) },
        Fault::Refuse { number: 700_016, error: "unauthorized_client".to_owned(), status: 400 },
        Fault::Refuse { number: 7_000_222, error: "invalid_client".to_owned(), status: 401 },
        Fault::Reset,
    ];
    let misplaced = refusals.len();
    for fault in faults {
        world.emulator.set_fault(None, fault);
        refusals.push(on_a_bad_day(&world).await);
    }
    world.emulator.clear_faults();
    if source == Source::File {
        let good = std::fs::read_to_string(world.path("token")).unwrap();
        let good = good.trim();
        for bad in [&good[..good.len() / 2], &good[..good.len() - 20], &good.replace('.', "!"), &format!("x{good}")] {
            world.put_token(bad);
            refusals.push(on_a_bad_day(&world).await);
        }
    }
    std::fs::write(folder.path().join("proxy-password"), "other:canary-of-another-proxy-password").unwrap();
    hunt.hide("the other proxy password", "other:canary-of-another-proxy-password");
    refusals.push(on_a_bad_day(&world).await);
    refusals.retain(|body| !body.contains("access_token"));
    assert!(refusals.len() >= misplaced + 5, "hardly anything failed");
    for body in &refusals {
        hunt.search("a refusal", body);
    }
    failed_reloads(&world, &hunt).await;
    for page in ["/metrics", "/readyz?verbose", "/readyz", "/livez", "/nothing"] {
        hunt.search(page, &world.admin_page(page).await);
    }
    let journal = world.emulator.journal();
    assert!(!journal.is_empty());
    for name in ["sink.json", "sink.pgpass", "sink.assertion"] {
        let last = std::fs::read_to_string(world.path(name)).unwrap();
        assert!(last.contains("eyJ"), "{name} holds no token");
    }
    hunt.search("the journal", &format!("{journal:?} {journal:#?}"));
    hunt.search("Debug of what runs", &format!("{:?} {:#?} {:?}", world.app, world.app, world.emulator));
    world.app.stop().await;
    hunt
}

fn imds(world: &World, resource: &str) -> Call {
    world.imds(resource).query(&format!("client_id={CLIENT}"))
}

async fn world(source: Source, proxy: &Proxy, roots: &str, folder: &Path) -> World {
    std::fs::write(folder.join("proxy-password"), PROXY_PASSWORD).unwrap();
    std::fs::write(folder.join("pkcs12-password"), PKCS12_PASSWORD).unwrap();
    std::fs::write(folder.join("app.p12"), pkcs12(PKCS12_PASSWORD)).unwrap();
    let other = LocalKey::generate().unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let out = format!("proxy = \"{}\"\nproxy_auth_file = \"{}\"\n", proxy.url(), at("proxy-password"));
    // This proxy knows one way only, which is not that to the runner's endpoint.
    let (first_out, roots) = if source == Source::Github { ("", None) } else { (out.as_str(), Some(roots.to_owned())) };
    let plan = Plan {
        source,
        identity: format!("{first_out}any_local_caller = true\n"),
        callers: Some(
            "[[identity.caller]]\nkey_file = \"{folder}/caller.key\"\n[[identity.caller]]\nuid = 0\n[[identity.caller]]\n\
             key_env = \"OTHER_KEY\"\n"
                .to_owned()
                + SINKS,
        ),
        environment: vec![("OTHER_KEY", other.secret().expose().to_owned())],
        more: format!(
            "[[identity]]\nname = \"pkcs12\"\ntenant = \"{TENANT}\"\nclient_id = \"55555555-dddd-4eee-8fff-666666666666\"\n\
             authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = [\"*\"]\nrequired = false\n\
             any_local_caller = true\n{out}\
             assertion = {{ certificates = [{{ certificate = \"{p12}\", \
             key = \"file:{p12}?password-source=file:{password}\" }}] }}\n",
            p12 = at("app.p12"),
            password = at("pkcs12-password"),
        ),
        ca_pem: roots,
        listen: format!("doors = {:?}", Door::ALL.map(Door::as_str)),
        ..Plan::default()
    };
    World::of(plan).await
}

/// A key and its certificate, as an administrator would export them.
pub(super) fn pkcs12(password: &str) -> Vec<u8> {
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap().self_signed(&key).unwrap();
    let certificate = Certificate::from_der(certificate.der()).unwrap();
    let chain = PrivateKeyChain::new("1", PrivateKey::from_der(&key.serialize_der()).unwrap(), [certificate]);
    let mut store = KeyStore::new();
    store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(password).write().unwrap()
}

/// All that the broker was given and must keep to itself.
pub(super) fn planted(world: &World) -> Hunt {
    let mut hunt = Hunt::default();
    let token = std::fs::read_to_string(world.path("token")).unwrap();
    hunt.hide("the platform token", token.trim());
    let pem = std::fs::read_to_string(world.path("billing.key")).unwrap();
    let lines: Vec<_> = pem.lines().filter(|line| !line.contains("-----")).collect();
    for line in &lines[1..lines.len() - 1] {
        hunt.hide("the certificate's key", line);
    }
    hunt.hide("the local key", world.key.secret().expose());
    if let Some((_, other)) = world.plan.environment.first() {
        hunt.hide("the local key in a variable", other);
    }
    hunt.hide("GitHub's bearer", GITHUB_BEARER);
    hunt.hide("the proxy's password", PROXY_PASSWORD.split_once(':').unwrap().1);
    hunt.hide("the proxy's password in base64", &STANDARD.encode(PROXY_PASSWORD));
    hunt.hide("the password of PKCS#12", PKCS12_PASSWORD);
    hunt.hide("a real client secret", ENTRA_SHAPED);
    hunt.hide("a wrong local key", WRONG_KEY);
    hunt
}

/// Secrets in the wrong places: what a confused application or a tired administrator sends.
fn misplaced(world: &World, token: &str) -> Vec<Call> {
    let key = world.key.secret().expose();
    let mut calls = vec![world.oauth_as(CLIENT, ENTRA_SHAPED, GRAPH), world.oauth_as(CLIENT, WRONG_KEY, GRAPH)];
    for secret in [ENTRA_SHAPED, key, token] {
        calls.push(imds(world, secret));
        calls.push(world.imds(GRAPH).query(&format!("client_id={}", encoded(secret))));
        calls.push(world.imds(GRAPH).query(&format!("mi_res_id={}", encoded(secret))));
        calls.push(world.oauth_as(secret, key, GRAPH));
        calls.push(world.oauth_as(CLIENT, key, secret));
        calls.push(Call::get(world.http(), format!("/{}/oauth2/token", &secret[..40])));
        calls.push(Call::get(world.http(), format!("/{}", encoded(&secret[..40]))).header("metadata", secret));
        for rest in ["oauth2/token", "oauth2/tokens"] {
            let path = format!("/cloud-shell/{}/{rest}", encoded(secret));
            calls.push(Call::form(world.http(), path, &[("resource", secret)]));
        }
        calls.push(
            Call::get(world.http(), format!("/token?scope={0}&client_id={0}", encoded(secret)))
                .header("metadata", "true"),
        );
        let fields = [("grant_type", secret), ("client_id", CLIENT), ("client_secret", key), ("token_type", secret)];
        calls.push(Call::form(world.http(), format!("/{TENANT}/oauth2/v2.0/token"), &fields));
        let fields = [("grant_type", "client_credentials"), ("client_assertion", secret), ("scope", secret)];
        calls.push(Call::form(world.http(), format!("/{}/oauth2/v2.0/token", encoded(&secret[..36])), &fields));
    }
    calls.extend([ENTRA_SHAPED, key, token].into_iter().flat_map(|secret| to_the_authority(world, secret)));
    let platform_token = std::fs::read_to_string(world.path("token")).unwrap();
    calls.extend([ENTRA_SHAPED, WRONG_KEY, token, &platform_token].map(|secret| to_the_token_proxy(world, secret)));
    let app_service = format!("/msi/token?api-version=2019-08-01&resource={}", encoded(GRAPH));
    for secret in [ENTRA_SHAPED, WRONG_KEY] {
        for header in ["x-identity-header", "secret", "x-ms-identity"] {
            calls.push(Call::get(world.http(), app_service.clone()).header(header, secret));
        }
        let shell = format!("/cloud-shell/{}/oauth2/token", encoded(secret));
        calls.push(
            Call::form(world.http(), shell, &[("resource", GRAPH), ("client_id", CLIENT)]).header("metadata", "true"),
        );
        let script = Call::get(world.http(), format!("/header?resource={GRAPH}")).header("metadata", "true");
        calls.push(script.header("authorization", &format!("Bearer {secret}")));
        let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}")));
        let fields = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
        let form = Call::form(world.http(), format!("/{TENANT}/oauth2/v2.0/token"), &fields);
        calls.push(form.header("authorization", &basic));
    }
    calls
}

/// A secret as a tenant, and in what instance discovery is asked about.
fn to_the_authority(world: &World, secret: &str) -> Vec<Call> {
    let tenant = encoded(&secret[..36]);
    vec![
        Call::get(world.http(), format!("/{tenant}/v2.0/.well-known/openid-configuration")),
        Call::get(world.http(), format!("/token-proxy/{tenant}/discovery/v2.0/keys")),
        Call::get(
            world.http(),
            format!("/common/discovery/instance?authorization_endpoint=https://localhost/{tenant}/authorize"),
        ),
    ]
}

/// A secret as the assertion of a workload identity.
fn to_the_token_proxy(world: &World, secret: &str) -> Call {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", secret),
    ];
    Call::form(world.http(), format!("/token-proxy/{TENANT}/oauth2/v2.0/token"), &fields)
}

/// Configurations that have a secret where it does not belong.
async fn failed_reloads(world: &World, hunt: &Hunt) {
    for plan in spoiled(world) {
        let error = world.app.reload(world.config_of(&plan)).await.unwrap_err();
        hunt.search("a failed reload", &format!("{error} {error:?} {error:#?}"));
    }
}

/// The plan of a world with a secret pasted into one setting after another.
pub(super) fn spoiled(world: &World) -> Vec<Plan> {
    let good = world.plan.clone();
    let mut plans = Vec::new();
    for secret in [ENTRA_SHAPED, world.key.secret().expose()] {
        for setting in ["key_file", "key_env", "key_sha256", "uid"] {
            let callers = format!("[[identity.caller]]\n{setting} = \"{secret}\"\n");
            plans.push(Plan { callers: Some(callers), ..good.clone() });
        }
        for setting in ["client_secret", "object_id", "prefetch", "key"] {
            plans.push(Plan { identity: format!("{}{setting} = \"{secret}\"\n", good.identity), ..good.clone() });
        }
    }
    plans
}

/// The plan of a world with each source in turn.
pub(super) fn every_source(world: &World) -> Vec<Plan> {
    Source::ALL.into_iter().map(|source| Plan { source, ..world.plan.clone() }).collect()
}
