//! The running broker recovers by itself from all that a module does to it: SoftHSM behind forwarding modules.
//!
//! What a signer does in each case is in `pkcs11`; here it is what callers and operators see. Easy to get wrong: a fault of
//! the forwarding module is one of all its tokens, unless a token is taken away.

mod attached;
mod lasting;
mod passing;
mod processes;
mod together;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use unsecret::clock::{Clock as _, SystemClock};
use unsecret::ids::Guid;
use unsecret::local_ca::ClientCertificate;

use crate::support::forwarding::Forwarding;
use crate::support::http::{Answer, Call};
use crate::support::softhsm::{Softhsm, VARIABLE, finished};
use crate::support::world::{CLIENT, OTHER_CLIENT, Plan, Source, TENANT, World};

const PIN: &str = "user-2468";
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Resources that nobody has asked for yet: a request for one is an exchange, and so a signature.
const RESOURCES: usize = 24;
const CLIENTS: [&str; 4] =
    [CLIENT, OTHER_CLIENT, "77777777-dddd-4eee-8fff-777777777777", "88888888-dddd-4eee-8fff-888888888888"];
const NAMES: [&str; 4] = ["billing", "payroll", "archive", "mailing"];

/// Two modules with two tokens each, `prod` and `lab`. Each has a store of its own: `C_GetTokenInfo` of SoftHSM fails
/// while another process writes to the token, and every login does that.
struct Parts {
    stores: [Softhsm; 2],
    modules: [Forwarding; 2],
    folder: tempfile::TempDir,
}

/// An identity: which key signs for it, and the certificate over that.
struct Member {
    /// The token, and what the URI says of the key.
    key: (&'static str, &'static str),
    module: usize,
    certificate: String,
}

impl Parts {
    /// `None` without SoftHSM.
    fn new() -> Option<Self> {
        let stores = [Softhsm::new()?, Softhsm::new()?];
        for store in &stores {
            store.token("prod", PIN);
            store.token("lab", PIN);
        }
        let modules = [Forwarding::over(&stores[0]), Forwarding::over(&stores[1])];
        // The configuration has one environment for all modules.
        modules[1].keep_to(&stores[1]);
        Some(Self { stores, modules, folder: tempfile::tempdir().unwrap() })
    }

    /// A key with its public object, and the certificate over it.
    fn key(&self, module: usize, token: &str, label: &str, id: &str) -> String {
        let (certificate, key) = self.certificate();
        let mut import = self.stores[module].child("softhsm2-util");
        import.arg("--import").arg(key).args(["--token", token, "--pin", PIN, "--label", label, "--id", id]);
        finished(import);
        certificate
    }

    /// The same for a key that wants the PIN for each signature, and has no public object.
    fn careful_key(&self, token: &str, label: &str, id: &str) -> String {
        let (certificate, key) = self.certificate();
        let store = &self.stores[0];
        let mut import = store.tool(store.module(), token);
        import.args(["--login", "--pin", PIN, "--write-object"]).arg(key);
        import.args([
            "--type",
            "privkey",
            "--usage-sign",
            "--sensitive",
            "--always-auth",
            "--label",
            label,
            "--id",
            id,
        ]);
        finished(import);
        assert!(store.attributes(token, id).contains("always authenticate"));
        certificate
    }

    /// A certificate, and the file with its key.
    fn certificate(&self) -> (String, PathBuf) {
        let made = ClientCertificate::create("in a token", SystemClock::new().now(), LIFE).unwrap();
        let key = self.folder.path().join("key.pem");
        fs::write(&key, made.key_pem.expose()).unwrap();
        (made.certificate_pem, key)
    }

    /// An identity with a key of its own.
    fn member(&self, token: &'static str, module: usize, label: &'static str, id: &str) -> Member {
        let certificate = self.key(module, token, label.trim_start_matches("object="), id);
        Member { key: (token, label), module, certificate }
    }

    /// `billing` in `prod`, `payroll` in `lab` beside it, and `archive` behind the second module.
    fn three(&self) -> [Member; 3] {
        [
            self.member("prod", 0, "object=billing", "01"),
            self.member("lab", 0, "object=payroll", "02"),
            self.member("prod", 1, "object=archive", "03"),
        ]
    }

    /// `hardware` are lines inside `[pkcs11]`.
    fn plan(&self, members: &[Member], hardware: &str) -> Plan {
        let certificates = members
            .iter()
            .zip(NAMES)
            .map(|(member, name)| (&*format!("{name}.pem").leak(), member.certificate.clone()));
        let places = |n: usize| {
            let Member { key: (token, key), module, .. } = &members[n];
            let module = self.modules[*module].path();
            let key =
                format!("pkcs11:token={token};{key}?module-path={}&pin-source=file:{{folder}}/pin", module.display());
            format!(r#"{{ certificates = [{{ certificate = "{{folder}}/{}.pem", key = "{key}" }}] }}"#, NAMES[n])
        };
        let resources: Vec<_> = (0..RESOURCES).map(|n| &*resource(n).leak()).collect();
        let scopes: Vec<_> = resources.iter().map(|resource| format!("{resource}/.default")).collect();
        let others = (1..members.len()).map(|n| {
            let (name, client, assertion) = (NAMES[n], CLIENTS[n], places(n));
            format!(
                "[[identity]]\nname = \"{name}\"\ntenant = \"{TENANT}\"\nclient_id = \"{client}\"\n\
                 authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = {scopes:?}\n\
                 assertion = {assertion}\nany_local_caller = true\n"
            )
        });
        let variable = format!("environment = {{ {VARIABLE} = \"{}\" }}\n", self.stores[0].config().display());
        let known = resources.iter().map(|resource| format!("[[resource]]\nids = [\"{resource}\", \"{resource}/\"]\n"));
        let applications = CLIENTS[1..members.len()].iter();
        let applications = applications.map(|client| {
            format!("[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{client}\"\nroles = [\"Data.Read\"]\n")
        });
        Plan {
            source: Source::Certificate,
            assertion: Some(places(0)),
            more: format!("{}[pkcs11]\n{variable}{hardware}", others.collect::<String>()),
            emulator: known.chain(applications).collect(),
            scopes: resources.clone(),
            files: certificates.chain([("pin", PIN.to_owned())]).collect(),
            environment: vec![("STATE_DIRECTORY", self.folder.path().join("state").display().to_string())],
            ..Plan::default()
        }
    }

    async fn stage(self, members: &[Member]) -> Stage {
        self.stage_with(members, "").await
    }

    async fn stage_with(self, members: &[Member], hardware: &str) -> Stage {
        let world = World::of(self.plan(members, hardware)).await;
        for (member, client) in members.iter().zip(CLIENTS) {
            world.emulator.add_certificate(&Guid::parse(client).unwrap(), &member.certificate).unwrap();
        }
        Stage { world, parts: self, asked: AtomicUsize::new(0) }
    }
}

/// A broker over such parts.
struct Stage {
    world: World,
    parts: Parts,
    asked: AtomicUsize,
}

impl Stage {
    /// With [`Parts::three`], each of which has signed, and the token that `billing` holds. `None` without SoftHSM.
    async fn three(hardware: &str) -> Option<(Self, String)> {
        let parts = Parts::new()?;
        let members = parts.three();
        let stage = parts.stage_with(&members, hardware).await;
        let held = stage.next();
        let token = stage.ask(0, &held).await.token();
        stage.signs(1).await;
        stage.signs(2).await;
        stage.world.until_ready().await;
        assert_eq!(held, resource(0));
        Some((stage, token))
    }

    fn module(&self, n: usize) -> &Forwarding {
        &self.parts.modules[n]
    }

    /// A resource that nobody has asked for.
    fn next(&self) -> String {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(n < RESOURCES, "more resources are wanted");
        resource(n)
    }

    fn call(&self, who: usize, resource: &str) -> Call {
        self.world.imds(resource).query(&format!("client_id={}", CLIENTS[who]))
    }

    async fn ask(&self, who: usize, resource: &str) -> Answer {
        self.call(who, resource).send().await
    }

    /// The identity gets a token for which somebody has to sign, at once.
    async fn signs(&self, who: usize) {
        let answer = self.ask(who, &self.next()).await;
        assert_eq!(answer.status, 200, "{}: {}", NAMES[who], answer.body);
    }

    /// The identity is refused a token for now; the code.
    async fn fails(&self, who: usize) -> String {
        let answer = self.ask(who, &self.next()).await;
        assert_eq!(answer.status, 503, "{}: {}", NAMES[who], answer.body);
        crate::support::unavailable::code(&answer).to_owned()
    }

    /// The identity gets a token again; the clock goes on by a second at a time, and by at most a minute.
    async fn back_within_a_minute(&self, who: usize) {
        let (end, resource) = (self.world.clock.now().mono + Duration::from_secs(60), self.next());
        loop {
            let answer = self.ask(who, &resource).await;
            if answer.status == 200 {
                return;
            }
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(self.world.clock.now().mono < end, "{}", answer.body);
            self.world.pass(Duration::from_secs(1)).await;
        }
    }

    /// Every door gives `billing` what is held, though nothing can be signed.
    async fn serves(&self, held: &str) {
        for (door, call) in self.world.every_door(&resource(0)) {
            let call = if door == "imds" { call.query(&format!("client_id={CLIENT}")) } else { call };
            assert_eq!(call.send().await.token(), held, "{door}");
        }
    }

    /// The line of the identity's certificate on `/readyz?verbose`.
    async fn line(&self, who: usize) -> String {
        let (page, name) = (self.world.admin_page("/readyz?verbose").await, format!("{}.pem", NAMES[who]));
        page.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("{page}")).to_owned()
    }

    /// How many operations of the identity's key have failed.
    async fn failures(&self, who: usize) -> usize {
        let page = self.world.admin_page("/metrics").await;
        let identity = format!("identity=\"{}\"", NAMES[who]);
        let of = page.lines().filter(|line| line.starts_with("unsecret_signer_operations_total{"));
        let failed = of.filter(|line| line.contains(&identity) && !line.contains("outcome=\"ok\""));
        failed.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    }

    async fn resets(&self, who: usize) -> f64 {
        let series = format!("unsecret_signer_session_resets_total{{identity=\"{}\"}}", NAMES[who]);
        self.world.metric(&series).await
    }

    /// The second module was loaded once, its token was logged in to once, by one process, which still signs.
    async fn second_module_is_untouched(&self) {
        self.signs(2).await;
        let module = self.module(1);
        let calls = (module.calls("C_Initialize").len(), module.calls("C_Login").len());
        assert_eq!(calls, (1, 1), "{:#?}", module.troubles());
        let (first, last) = (module.calls("C_Initialize")[0].pid, module.calls("C_Sign").last().unwrap().pid);
        assert_eq!(first, last);
        assert_eq!((self.resets(2).await, self.failures(2).await), (0.0, 0));
    }
}

fn resource(n: usize) -> String {
    format!("https://r{n}.example")
}

/// `kill -9`.
fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Whether a process still does something.
fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie waits for whoever started it, and does nothing any more.
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}
