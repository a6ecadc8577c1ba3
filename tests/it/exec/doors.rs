//! `--door`: each leads its clients to itself, and is the only one open.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::process::Command;

use super::{Running, exec, put_config};
use crate::support::http::{Answer, Call, Place};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, VAULT, World, encoded};

const DOORS: [&str; 4] = ["app-service", "app-service-2017", "cloud-shell", "oauth"];

/// A child that told its variables and waits for its stdin to close.
struct Told {
    child: Running,
    variables: BTreeMap<String, String>,
}

impl Told {
    async fn start(mut command: Command) -> Self {
        command.args(["--", "sh", "-c", "env -0 | base64 -w0; echo; cat >/dev/null"]);
        let mut child = Running::start(command);
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, child.line().await).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
        Self { child, variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Where it is, and the key of this run: by the variables that its clients look for.
    fn door(&self) -> (SocketAddr, String) {
        let url =
            ["IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_AUTHORITY_HOST"].into_iter().find_map(|name| self.get(name));
        let (address, path) = url.unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
        let in_the_path = path.strip_prefix("cloud-shell/").and_then(|rest| rest.strip_suffix("/oauth2/token"));
        let key = ["IDENTITY_HEADER", "AZURE_CLIENT_SECRET"].into_iter().find_map(|name| self.get(name));
        (address.parse().unwrap(), key.or(in_the_path).unwrap().to_owned())
    }
}

/// What the clients of each door send there, for a resource.
fn requests(at: SocketAddr, key: &str, resource: &str) -> [(&'static str, Call); 7] {
    let (what, scope) = (encoded(resource), format!("{resource}/.default"));
    let oauth =
        [("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", key), ("scope", &scope)];
    let shell = |path: &str| Call::form(at, path, &[("resource", resource)]).header("metadata", "true");
    let msi = |version: &str| Call::get(at, format!("/msi/token?api-version={version}&resource={what}"));
    [
        ("app-service", msi("2019-08-01").header("x-identity-header", key)),
        ("app-service-2017", msi("2017-09-01").header("secret", key)),
        ("app-service-2017", msi("2019-08-01").header("x-ms-identity", key)),
        ("cloud-shell", shell(&format!("/cloud-shell/{key}/oauth2/token"))),
        ("oauth", Call::form(at, format!("/{TENANT}/oauth2/v2.0/token"), &oauth)),
        ("imds", crate::support::world::imds(at, resource)),
        ("plain", Call::get(at, format!("/token?resource={what}")).header("x-identity-header", key)),
    ]
}

async fn own(world: &World, door: &str) -> Told {
    let mut command = exec(["--config", &put_config(world), "--door", door]);
    command.env("AZURE_CLIENT_ID", CLIENT).env("APPSETTING_WEBSITE_SITE_NAME", "shop").env("MSI_SECRET", "old");
    Told::start(command).await
}

#[tokio::test]
async fn the_door_that_was_asked_for_is_open_and_no_other_is() {
    let world = World::new().await;
    for door in DOORS {
        let mut told = own(&world, door).await;
        let (at, key) = told.door();
        for (other, call) in requests(at, &key, GRAPH) {
            let answer = call.send().await;
            if other == door {
                assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
            } else {
                assert!(
                    answer.status == 404 && answer.body.contains("door-closed"),
                    "{other} at {door}: {}",
                    answer.body
                );
            }
        }
        let strange = if door == "cloud-shell" { "/oauth2/token?resource=x" } else { "/msi/token" };
        let bare = Call::get(at, strange).header("metadata", "true").send().await;
        assert!(matches!(bare.status.as_u16(), 401 | 404), "{door} to whoever found the port: {}", bare.body);
        assert_eq!(told.child.end().await, Some(0));
    }
}

#[tokio::test]
async fn each_door_has_the_variables_that_its_clients_look_for() {
    let world = World::new().await;
    let mut old = own(&world, "app-service-2017").await;
    let (at, key) = old.door();
    assert_eq!(old.get("MSI_ENDPOINT"), Some(format!("http://{at}/msi/token").as_str()));
    assert_eq!((old.get("MSI_SECRET"), old.get("IDENTITY_HEADER")), (Some(&*key), Some(&*key)));
    assert_eq!((old.get("DEFAULT_IDENTITY_CLIENT_ID"), old.get("AZURE_CLIENT_ID")), (Some(CLIENT), Some(CLIENT)));
    assert_eq!((old.get("APPSETTING_WEBSITE_SITE_NAME"), old.get("IDENTITY_ENDPOINT")), (Some("shop"), None));
    assert_eq!(old.child.end().await, Some(0));
    let mut shell = own(&world, "cloud-shell").await;
    let (at, key) = shell.door();
    assert!(key.starts_with("uns_"));
    assert_eq!(shell.get("MSI_ENDPOINT"), Some(format!("http://{at}/cloud-shell/{key}/oauth2/token").as_str()));
    for gone in ["MSI_SECRET", "IDENTITY_HEADER", "AZURE_CLIENT_ID", "APPSETTING_WEBSITE_SITE_NAME"] {
        assert_eq!(shell.get(gone), None, "{gone} would lead past it");
    }
    assert_eq!(shell.child.end().await, Some(0));
    let said = shell.child.said().await;
    assert!(!said.contains(&key), "{said}");
}

#[tokio::test]
async fn the_old_doors_stand_in_front_of_a_running_broker_too() {
    let uid = rustix::process::geteuid().as_raw();
    let callers = Some(format!("[[identity.caller]]\nuid = {uid}\n"));
    let plan = Plan { unix: true, identity: String::new(), callers, scopes: vec![GRAPH], ..Plan::default() };
    let world = World::of(plan).await;
    let Place::Unix(socket) = world.unix() else { unreachable!() };
    for door in ["app-service-2017", "cloud-shell"] {
        let mut told = Told::start(exec(["--via", socket.to_str().unwrap(), "--door", door])).await;
        let (at, key) = told.door();
        for (other, call) in requests(at, &key, GRAPH) {
            let answer = call.send().await;
            if other == door {
                assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
            } else {
                assert!(answer.status == 404 && answer.body.contains("private-door-path"), "{other}: {}", answer.body);
            }
        }
        for wanted in [VAULT, "https://else.example"] {
            let (_, call) = requests(at, &key, wanted).into_iter().find(|(other, _)| *other == door).unwrap();
            assert_shape(door, &call.send().await);
        }
        let (_, wrong) =
            requests(at, &key.to_uppercase(), GRAPH).into_iter().find(|(other, _)| *other == door).unwrap();
        assert_eq!(wrong.send().await.status, 401, "{door}");
        assert_eq!(told.child.end().await, Some(0));
    }
    assert_eq!(world.exchanges(), 1);
}

/// A refusal of the broker's, in the shape of this door.
fn assert_shape(door: &str, answer: &Answer) {
    let (status, json) = (answer.status.as_u16(), answer.json());
    assert_eq!(status, 403, "{}", answer.body);
    let text = if door == "cloud-shell" { &json["error"]["message"] } else { &json["message"] };
    assert!(text.as_str().is_some_and(|text| text.contains("resource-not-allowed")), "{}", answer.body);
    assert_eq!(json["statusCode"].as_u64(), (door != "cloud-shell").then_some(403));
}
