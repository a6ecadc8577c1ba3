//! Two identities in one broker: who gets whose token, now and after a reload. No token ever crosses.

mod matrix;
mod random;
mod reload;
mod shared_connection;
mod socket;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use unsecret::secret::local_key::LocalKey;

use crate::support::http::{Answer, Call, Place};
use crate::support::world::{
    AUDIENCE, CLIENT, GRAPH, ISSUER, OTHER_CLIENT, Plan, SUBJECT, TENANT, World, encoded, imds,
};

/// The two identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    A,
    B,
}

impl Who {
    fn client_id(self) -> &'static str {
        match self {
            Self::A => CLIENT,
            Self::B => OTHER_CLIENT,
        }
    }

    fn object_id(self) -> &'static str {
        match self {
            Self::A => "aaaaaaaa-0000-4000-8000-000000000001",
            Self::B => "bbbbbbbb-0000-4000-8000-000000000002",
        }
    }

    fn resource_id(self) -> &'static str {
        match self {
            Self::A => "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a",
            Self::B => "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/b",
        }
    }
}

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    None,
    Of(Who),
    Wrong,
    EntraShaped,
}

/// How a caller names an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Nothing,
    Client(Who),
    Object(Who),
    Resource(Who),
    Unknown,
}

/// The doors, the OAuth ones in each way of showing a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Imds,
    AppService,
    AppService2017,
    OauthV2,
    OauthV2Basic,
    OauthV1,
    CloudShell,
    Plain,
    PlainBearer,
}

impl Door {
    const ALL: [Self; 9] = [
        Self::Imds,
        Self::AppService,
        Self::AppService2017,
        Self::OauthV2,
        Self::OauthV2Basic,
        Self::OauthV1,
        Self::CloudShell,
        Self::Plain,
        Self::PlainBearer,
    ];

    /// Where the socket makes a caller known, these take it at its word, as IMDS does.
    fn may_go_without_key(self) -> bool {
        matches!(self, Self::CloudShell | Self::Plain | Self::PlainBearer)
    }

    fn is_oauth(self) -> bool {
        matches!(self, Self::OauthV2 | Self::OauthV2Basic | Self::OauthV1)
    }

    fn is_app_service(self) -> bool {
        matches!(self, Self::AppService | Self::AppService2017)
    }
}

impl Named {
    const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Client(Who::A),
        Self::Client(Who::B),
        Self::Object(Who::A),
        Self::Object(Who::B),
        Self::Resource(Who::A),
        Self::Resource(Who::B),
        Self::Unknown,
    ];

    /// Name and value of the parameter.
    fn field(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Nothing => None,
            Self::Client(who) => Some(("client_id", who.client_id())),
            Self::Object(who) => Some(("object_id", who.object_id())),
            Self::Resource(who) => Some(("mi_res_id", who.resource_id())),
            Self::Unknown => Some(("client_id", "99999999-dddd-4eee-8fff-999999999999")),
        }
    }

    /// The OAuth doors know client ids only.
    fn fits(self, door: Door) -> bool {
        !door.is_oauth() || matches!(self, Self::Client(_) | Self::Unknown | Self::Nothing)
    }
}

impl Key {
    const ALL: [Self; 5] = [Self::None, Self::Of(Who::A), Self::Of(Who::B), Self::Wrong, Self::EntraShaped];
}

/// Distinctive, so that a refusal that repeats it is noticed.
const ENTRA_SHAPED: &str = "abc8Q~canarycanarycanarycanarycanarycana";
const WRONG: &str = "canary-wrong-key-canary-wrong-key-canary";

/// How the second identity's key stands in the configuration; the first one's is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    File,
    Variable,
    Hash,
}

/// A world with both.
struct Pair {
    world: World,
    other: LocalKey,
}

/// What may differ between two configurations of the pair.
#[derive(Clone, Copy, Debug)]
struct Rules {
    kept: Kept,
    /// `any_local_caller` of each.
    open: [bool; 2],
    /// The uid that each admits on the socket.
    uid: [Option<u32>; 2],
}

impl Rules {
    const CLOSED: Self = Self { kept: Kept::File, open: [false; 2], uid: [None; 2] };
}

impl Pair {
    async fn of(rules: Rules) -> Self {
        let other = LocalKey::generate().unwrap();
        let world = World::of(plan(rules, &other)).await;
        std::fs::write(world.path("other.key"), other.secret().expose()).unwrap();
        Self { world, other }
    }

    async fn reload(&mut self, rules: Rules) {
        self.world.plan = plan(rules, &self.other);
        self.world.reload().await.unwrap();
    }

    fn key(&self, key: Key) -> Option<&str> {
        match key {
            Key::None => None,
            Key::Of(Who::A) => Some(self.world.key.secret().expose()),
            Key::Of(Who::B) => Some(self.other.secret().expose()),
            Key::Wrong => Some(WRONG),
            Key::EntraShaped => Some(ENTRA_SHAPED),
        }
    }

    fn call(&self, place: Place, door: Door, named: Named, key: Key) -> Call {
        let key = self.key(key);
        match door {
            Door::Imds => managed(imds(place, GRAPH), named, key.map(|key| ("x-identity-header", key))),
            Door::AppService => {
                let target = format!("/msi/token?api-version=2019-08-01&resource={}", encoded(GRAPH));
                managed(Call::get(place, target), named, key.map(|key| ("x-identity-header", key)))
            }
            Door::AppService2017 => {
                let target = format!("/msi/token?api-version=2017-09-01&resource={}", encoded(GRAPH));
                managed(Call::get(place, target), named, key.map(|key| ("secret", key)))
            }
            Door::OauthV2 | Door::OauthV2Basic | Door::OauthV1 => oauth(place, door, named, key),
            Door::CloudShell => {
                let path = key.map_or("/oauth2/token".to_owned(), |key| format!("/cloud-shell/{key}/oauth2/token"));
                let fields: Vec<_> = std::iter::once(("resource", GRAPH)).chain(named.field()).collect();
                Call::form(place, path, &fields).header("metadata", "true")
            }
            Door::Plain | Door::PlainBearer => {
                let call = Call::get(place, format!("/token?resource={}", encoded(GRAPH))).header("metadata", "true");
                let bearer = key.map(|key| format!("Bearer {key}"));
                let header = match (door, bearer.as_deref()) {
                    (Door::PlainBearer, bearer) => bearer.map(|bearer| ("authorization", bearer)),
                    _ => key.map(|key| ("x-identity-header", key)),
                };
                managed(call, named, header)
            }
        }
    }
}

fn managed(call: Call, named: Named, header: Option<(&str, &str)>) -> Call {
    let call = match named.field() {
        Some((name, value)) => call.query(&format!("{name}={}", encoded(value))),
        None => call,
    };
    match header {
        Some((name, value)) => call.header(name, value),
        None => call,
    }
}

fn oauth(place: Place, door: Door, named: Named, key: Option<&str>) -> Call {
    let (path, what) = match door {
        Door::OauthV1 => ("oauth2/token", ("resource", GRAPH.to_owned())),
        _ => ("oauth2/v2.0/token", ("scope", format!("{GRAPH}/.default"))),
    };
    let id = named.field().map(|(_, value)| value);
    let mut fields = vec![("grant_type", "client_credentials"), (what.0, &what.1)];
    let mut basic = None;
    if let (Door::OauthV2Basic, Some(key)) = (door, key) {
        basic = Some(format!("Basic {}", STANDARD.encode(format!("{}:{key}", id.unwrap_or_default()))));
    } else {
        fields.extend(id.map(|id| ("client_id", id)));
        fields.extend(key.map(|key| ("client_secret", key)));
    }
    let call = Call::form(place, format!("/{TENANT}/{path}"), &fields);
    match basic {
        Some(basic) => call.header("authorization", &basic),
        None => call,
    }
}

/// Both identities prove themselves with the same platform token, so nothing but the rules keeps them apart.
fn plan(rules: Rules, other: &LocalKey) -> Plan {
    let ids = |who: Who| format!("object_id = \"{}\"\nresource_id = \"{}\"\n", who.object_id(), who.resource_id());
    let open = |who: Who| format!("any_local_caller = {}\n", rules.open[who as usize]);
    let uid = |who: Who| match rules.uid[who as usize] {
        Some(uid) => format!("[[identity.caller]]\nuid = {uid}\n"),
        None => String::new(),
    };
    let key = match rules.kept {
        Kept::File => "key_file = \"{folder}/other.key\"".to_owned(),
        Kept::Variable => "key_env = \"REPORTS_KEY\"".to_owned(),
        Kept::Hash => format!("key_sha256 = \"{}\"", other.fingerprint().hex()),
    };
    Plan {
        identity: format!("{}{}", open(Who::A), ids(Who::A)),
        more: format!(
            "{}\n[[identity]]\nname = \"reports\"\ntenant = \"{TENANT}\"\nclient_id = \"{OTHER_CLIENT}\"\n\
             authority_host = \"{{authority}}\"\nca_file = \"{{folder}}/ca.pem\"\nscopes = [\"{GRAPH}/.default\"]\n\
             assertion = {{ file = \"{{folder}}/token\" }}\n{}{}[[identity.caller]]\n{key}\n{}",
            uid(Who::A),
            open(Who::B),
            ids(Who::B),
            uid(Who::B),
        ),
        emulator: format!(
            "[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{OTHER_CLIENT}\"\n\
             [[application.federated_credential]]\nissuer = \"{ISSUER}\"\nsubject = \"{SUBJECT}\"\naudience = \"{AUDIENCE}\"\n"
        ),
        environment: vec![("REPORTS_KEY", other.secret().expose().to_owned())],
        files: vec![("other.key", other.secret().expose().to_owned())],
        unix: true,
        listen: "doors = [\"imds\", \"app-service\", \"app-service-2017\", \"oauth\", \"cloud-shell\", \"plain\"]"
            .to_owned(),
        ..Plan::default()
    }
}

/// Whose token an answer holds, or status and code of the refusal.
fn outcome(world: &World, answer: &Answer) -> Result<Who, (u16, String)> {
    if answer.status == StatusCode::OK {
        let claims = world.claims(&answer.token());
        let who = [Who::A, Who::B].into_iter().find(|who| claims["appid"] == who.client_id()).unwrap();
        return Ok(who);
    }
    assert!(!answer.body.contains("canary"), "a refusal repeats what was shown");
    assert!(!answer.body.contains("access_token"));
    let code = answer.body.split_once("(unsecret: ").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    Err((answer.status.as_u16(), code.to_owned()))
}
