//! `listen.doors`: who goes by it, and who says what is open.

use tokio::process::Command;

use crate::support::http::Call;
use crate::support::world::{GRAPH, Plan, World};

/// The binary with a configuration file; status, stdout, stderr.
async fn unsecret(world: &World, text: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let file = world.path("doors.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.args(arguments).arg("--config").arg(&file).env_clear();
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn with(doors: &str, identity: &str) -> Plan {
    Plan { listen: format!("doors = [{doors}]"), identity: identity.to_owned(), ..Plan::default() }
}

#[tokio::test]
async fn check_prints_which_are_open_and_warns_of_those_that_nobody_can_pass() {
    let world = World::new().await;
    for (doors, identity, printed, warned) in [
        (r#""cloud-shell", "imds""#, "", "imds, cloud-shell", "opens `imds`, which can admit nobody"),
        (r#""cloud-shell", "app-service-2017""#, "", "app-service-2017, cloud-shell", ""),
        (r#""imds""#, "any_local_caller = true\n", "imds", ""),
        (r#""token-proxy""#, "", "token-proxy", "`listen.https` is not set"),
    ] {
        let (status, stdout, stderr) = unsecret(&world, &world.text_of(&with(doors, identity)), &["check"]).await;
        assert_eq!(status, Some(0), "{stderr}");
        assert!(stdout.contains(&format!("\ndoors      {printed}\n")), "{stdout}");
        let told: Vec<_> = stderr.lines().filter(|line| line.contains("listen.doors")).collect();
        assert_eq!(told.len(), usize::from(!warned.is_empty()), "{stderr}");
        assert!(stderr.contains(warned), "{stderr}");
    }
    let usual = world.config_text().lines().filter(|line| !line.starts_with("doors")).collect::<Vec<_>>().join("\n");
    let (_, stdout, stderr) = unsecret(&world, &usual.replace("any_local_caller = true", ""), &["check"]).await;
    assert!(stdout.contains("\ndoors      imds, app-service, oauth, plain\n"), "{stdout}");
    assert!(!stderr.contains("listen.doors"), "nobody asked for them: {stderr}");
}

#[tokio::test]
async fn a_reload_opens_and_closes_doors_while_their_tokens_are_held() {
    let mut world = World::new().await;
    let (every, more) = (world.every_door(GRAPH), world.more_doors(GRAPH));
    for (name, call) in every.iter().chain(&more) {
        assert_eq!(call.clone().send().await.status, 200, "{name}");
    }
    for (doors, open) in [(r#""plain""#, "plain"), (r#""cloud-shell""#, "cloud-shell"), (r#""oauth""#, "oauth")] {
        world.plan = with(doors, "any_local_caller = true\n");
        world.reload().await.unwrap();
        for (name, call) in every.iter().chain(&more) {
            let answer = call.clone().send().await;
            assert_eq!(answer.status, if name.starts_with(open) { 200 } else { 404 }, "{name} with {open}");
        }
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn doctor_shows_a_key_at_a_door_that_is_open() {
    for door in ["app-service", "app-service-2017", "cloud-shell", "plain", "oauth"] {
        let world = World::of(with(&format!("\"{door}\""), "")).await;
        let text = world.config_text().replacen("127.0.0.1:0", &world.http().to_string(), 1);
        let text = text.replacen("127.0.0.1:0", &world.admin().to_string(), 1);
        let key = world.path("caller.key").display().to_string();
        let (status, stdout, stderr) = unsecret(&world, &text, &["doctor", "--key-file", &key]).await;
        assert_eq!(status, Some(0), "{door}: {stdout}{stderr}");
        assert!(stdout.contains("the key is accepted"), "{door}: {stdout}");
        let by_rules = stdout.contains("no open door takes a key by GET");
        assert_eq!(by_rules, door == "oauth", "{door}: {stdout}");
        let closed = world.metric(r#"unsecret_http_requests_total{code="404",dialect="app-service"}"#).await;
        assert!(closed < 0.5, "{door}: no closed door was tried");
    }
}

#[tokio::test]
async fn the_lines_for_scripts_run() {
    let world = World::new().await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doors.md")).unwrap();
    let blocks: Vec<_> = page.split("<!-- tested: doors_open -->\n```sh\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let script = block.split("\n```").next().unwrap();
        let script = script
            .replace("127.0.0.1:4780", &world.http().to_string())
            .replace("/etc/unsecret/billing.caller", world.path("caller.key").to_str().unwrap());
        let output = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).output().await.unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("\"access_token\"") && stdout.contains("\"authorization\":\"Bearer "), "{script}");
    }
}

#[tokio::test]
async fn a_tricked_server_gets_nothing_at_the_door_for_scripts() {
    let world = World::new().await;
    let target = format!("/token?resource={GRAPH}");
    for call in [
        Call::get(world.http(), target.clone()),
        Call::get(world.http(), target.clone()).header("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
        Call::get(world.http(), target.replace("/token", "/header")).header("authorization", "Basic YTpi"),
    ] {
        let answer = call.send().await;
        assert!(answer.status == 400 && answer.body.contains("barrier-header-missing"), "{}", answer.body);
    }
    assert_eq!(world.exchanges(), 0);
}
