//! What is tried: a client, a door, and what must come of it. Each runtime has a file of its own.

mod go;
mod java;
mod node;
mod python;
mod rust;

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::doors::Door;
use super::page;
use super::program::{Program, Raised, Runtime, Said};
use crate::support::world::{CLIENT, GRAPH, World};

/// At once; more only makes each of them slower on two cores.
const TOGETHER: usize = 3;

/// One client at one door. Written as `unmodified(…)`, `option(…)` or `no(…)`, and `.given(…)` where more must be set.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    client: &'static str,
    with: &'static str,
    door: Door,
    verdict: Verdict,
    given: &'static [(&'static str, &'static str)],
}

/// What must come of it.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Unmodified,
    Option(&'static str),
    No { class: &'static str, text: &'static str, received: &'static str },
}

/// A token, with nothing but the environment and the settings that every such application has.
const fn unmodified(client: &'static str, with: &'static str, door: Door) -> Case {
    Case { client, with, door, verdict: Verdict::Unmodified, given: &[] }
}

/// A token, with this in the application's code.
const fn option(client: &'static str, with: &'static str, door: Door, option: &'static str) -> Case {
    Case { client, with, door, verdict: Verdict::Option(option), given: &[] }
}

/// No token: this class is raised with this in its text, and this is what the broker received (`imds 400, imds 200 ×2`).
const fn no(
    client: &'static str,
    with: &'static str,
    door: Door,
    raised: (&'static str, &'static str),
    received: &'static str,
) -> Case {
    let (class, text) = raised;
    Case { client, with, door, verdict: Verdict::No { class, text, received }, given: &[] }
}

impl Case {
    /// With these variables besides the door's own.
    const fn given(self, given: &'static [(&'static str, &'static str)]) -> Self {
        Self { given, ..self }
    }
}

fn cases(runtime: Runtime) -> &'static [Case] {
    match runtime {
        Runtime::Python => python::CASES,
        Runtime::Node => node::CASES,
        Runtime::Go => go::CASES,
        Runtime::Java => java::CASES,
        Runtime::Rust => rust::CASES,
    }
}

/// Tries all of a runtime's cases and holds the page to what came of it.
pub async fn hold(runtime: Runtime) {
    let Some(program) = runtime.program() else { return };
    let (program, together) = (Arc::new(program), Arc::new(Semaphore::new(TOGETHER)));
    let mut running = JoinSet::new();
    for (place, case) in cases(runtime).iter().enumerate() {
        let (program, together) = (program.clone(), together.clone());
        running.spawn(async move {
            let _turn = together.acquire_owned().await.unwrap();
            (place, tried(runtime, &program, case).await)
        });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|(place, _)| *place);
    let problems: Vec<_> = rows.iter().filter_map(|(_, row)| row.as_ref().err().cloned()).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    let rows: String = rows.into_iter().filter_map(|(_, row)| row.ok()).collect();
    let heading =
        "| client | version | through | door | verdict | what has to be set |\n| --- | --- | --- | --- | --- | --- |\n";
    page::hold("docs/clients.md", runtime.name(), &format!("{heading}{rows}"));
}

/// One case; its row on the page, or what was wrong.
async fn tried(runtime: Runtime, program: &Program, case: &Case) -> Result<String, String> {
    let world = World::of(case.door.plan()).await;
    case.door.opened(&world).await;
    let mut environment = case.door.environment(&world);
    environment.extend(case.given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut asked = case.door.configuration(&world);
    asked.insert("client".to_owned(), case.client.into());
    asked.insert("with".to_owned(), case.with.into());
    if let Verdict::Option(_) = case.verdict {
        asked.insert("option".to_owned(), json!(true));
    }
    let trust = case.door.roots(&world).map(|roots| runtime.trust(&roots)).unwrap_or_default();
    let said = program.ask(&[environment.clone(), trust.clone()].concat(), &asked).await;
    if case.door.shows_trust() {
        environment.extend(trust);
    }
    let received = received(&world).await;
    judged(&world, case, &said, &received).map_err(|problem| {
        format!("{} {} at {}: {problem}; received: {received}", case.client, case.with, case.door.title())
    })?;
    let variables = environment.iter().map(|(name, _)| match case.given.iter().find(|(given, _)| given == name) {
        Some((name, value)) => format!("`{name}={value}`"),
        None => format!("`{name}`"),
    });
    let set: Vec<_> = variables.chain(case.door.configured().map(str::to_owned)).collect();
    let Case { client, with, door, .. } = case;
    let (version, title, set) = (&said.version, door.title(), set.join(", "));
    let verdict = match case.verdict {
        Verdict::Unmodified => "*unmodified*".to_owned(),
        Verdict::Option(option) => format!("*one option in code*: `{option}`"),
        Verdict::No { class, text, received } => format!("*no*: `{class}`, “{text}”; received: {received}"),
    };
    Ok(format!("| {client} | {version} | `{with}` | {title} | {verdict} | {set} |\n"))
}

fn judged(world: &World, case: &Case, said: &Said, received: &str) -> Result<(), String> {
    if let Verdict::No { class, text, received: expected } = case.verdict {
        let Some(raised) = &said.error else { return Err("a token".to_owned()) };
        let right = raised.class == class && raised.text.contains(text) && received == expected;
        return right.then_some(()).ok_or_else(|| shown(raised));
    }
    let token = match (&said.token, &said.error) {
        (Some(token), None) => token,
        (_, raised) => return Err(raised.as_ref().map_or_else(|| "neither token nor error".to_owned(), shown)),
    };
    let claims = world.emulator.verify(token).map_err(|refused| format!("no token of ours: {refused:?}"))?;
    if claims["aud"] != GRAPH || claims["appid"] != CLIENT {
        return Err(format!("a token for {} of {}", claims["aud"], claims["appid"]));
    }
    let end = claims["exp"].as_u64().unwrap();
    if said.expires_on.is_some_and(|said| said.abs_diff(end) > 60) {
        return Err(format!("said to end at {:?} instead of {end}", said.expires_on));
    }
    // Not by another door, nor past us.
    let exchanges = world.exchanges();
    let served = match case.door.label() {
        Some(door) => received.split(", ").any(|one| one.starts_with(&format!("{door} 200"))),
        None => received == "nothing",
    };
    (served && exchanges == 1).then_some(()).ok_or_else(|| format!("{exchanges} exchanges"))
}

fn shown(raised: &Raised) -> String {
    format!("{}: {}", raised.class, raised.text)
}

/// What the broker answered, by its own count: door and status, with the number where it is more than one.
pub async fn received(world: &World) -> String {
    let page = world.admin_page("/metrics").await;
    let mut answers: Vec<_> = page.lines().filter_map(answer).collect();
    answers.sort();
    if answers.is_empty() { "nothing".to_owned() } else { answers.join(", ") }
}

fn answer(line: &str) -> Option<String> {
    let (labels, count) = line.strip_prefix("unsecret_http_requests_total{")?.split_once("} ")?;
    let label = |name: &str| Some(labels.split_once(&format!("{name}=\""))?.1.split('"').next()?.to_owned());
    let (dialect, code) = (label("dialect")?, label("code")?);
    match count {
        "0" => None,
        "1" => Some(format!("{dialect} {code}")),
        count => Some(format!("{dialect} {code} ×{count}")),
    }
}
