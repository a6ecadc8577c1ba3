//! `unsecret env`: each format is read by what it is for, and the variables it gives lead to the door.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::support::http::Call;
use crate::support::parts::{Level, missing};
use crate::support::world::{CLIENT, GRAPH, TENANT, World, encoded};

const ODD: &str = "a'b \"c\" $(touch pwned) `x` \\n ;#\u{2019} é";

type Variables = BTreeMap<String, String>;

fn unsecret(arguments: &[&str], given: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.arg("env").args(arguments).env_clear().envs(given.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn printed(arguments: &[&str], given: &[(&str, &str)]) -> String {
    let (status, stdout, stderr) = unsecret(arguments, given);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    stdout
}

/// What a command sees, given as `NAME=value` with zeroes between.
fn seen(mut command: Command, given: &[(&str, &str)]) -> Variables {
    let path = std::env::var_os("PATH").unwrap();
    let output = command.env_clear().env("PATH", path).envs(given.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap()).map(owned).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

async fn check(world: &World, variables: &Variables) {
    let at = variables["IDENTITY_ENDPOINT"].strip_prefix(&format!("http://{}", world.http())).unwrap();
    let call = Call::get(world.http(), format!("{at}?api-version=2019-08-01&resource={}", encoded(GRAPH)));
    let answer = call.header("x-identity-header", &variables["IDENTITY_HEADER"]).send().await;
    assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
    let near = format!("{ODD},localhost,127.0.0.1,::1,169.254.169.254");
    assert_eq!((&variables["NO_PROXY"], &variables["no_proxy"]), (&near, &near));
    assert_eq!(variables["AZURE_TOKEN_CREDENTIALS"], "prod");
}

/// Arguments that name the world's door and key.
fn of(world: &World, format: &str) -> Vec<String> {
    let at = format!("http://{}/", world.http());
    let key = world.path("caller.key").display().to_string();
    ["--at", &at, "--key-file", &key, "--format", format].map(str::to_owned).to_vec()
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

const LEFTOVERS: [(&str, &str); 4] =
    [("AZURE_CLIENT_SECRET", "x"), ("IDENTITY_SERVER_THUMBPRINT", "x"), ("MSI_ENDPOINT", "x"), ("NO_PROXY", ODD)];

#[tokio::test]
async fn a_shell_takes_the_variables_and_loses_the_leftovers() {
    let world = World::new().await;
    let script = printed(&borrowed(&of(&world, "sh")), &LEFTOVERS);
    for shell in ["sh", "bash"] {
        let mut command = Command::new(shell);
        command.args(["-euc", "eval \"$1\"; exec env -0", shell, &script]);
        let variables = seen(command, &LEFTOVERS);
        check(&world, &variables).await;
        for (gone, _) in &LEFTOVERS[..3] {
            assert_eq!(variables.get(*gone), None, "{shell}");
        }
    }
    assert!(!std::path::Path::new("pwned").exists());
}

#[tokio::test]
async fn twice_is_as_good_as_once() {
    let world = World::new().await;
    let arguments = of(&world, "dotenv");
    let once = printed(&borrowed(&arguments), &[("NO_PROXY", ".corp")]);
    let line = once.lines().find_map(|line| line.strip_prefix("NO_PROXY=")).unwrap();
    assert_eq!(printed(&borrowed(&arguments), &[("NO_PROXY", line), ("no_proxy", line)]), once);
}

/// The common ground of dotenv readers: bare, single-quoted as it stands, double-quoted with backslashes.
fn dotenv(text: &str) -> Variables {
    let value = |text: &str| -> String {
        if let Some(inner) = text.strip_prefix('\'') {
            return inner.strip_suffix('\'').unwrap().to_owned();
        }
        let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return text.to_owned();
        };
        let mut letters = inner.chars();
        let mut value = String::new();
        while let Some(letter) = letters.next() {
            value.push(match letter {
                '\\' => match letters.next().unwrap() {
                    'n' => '\n',
                    other => other,
                },
                other => other,
            });
        }
        value
    };
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once('=').unwrap());
    lines.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

#[tokio::test]
async fn a_file_of_variables_reads_back() {
    let world = World::new().await;
    let text = printed(&borrowed(&of(&world, "dotenv")), &LEFTOVERS);
    check(&world, &dotenv(&text)).await;
    assert!(text.lines().last().unwrap().contains("AZURE_CLIENT_SECRET"), "it says what must not be beside it: {text}");
    let plain = printed(&borrowed(&of(&world, "dotenv")), &[]);
    assert!(!plain.contains(['\'', '"']), "Docker takes quotes for part of a value: {plain}");
}

#[tokio::test]
async fn node_reads_the_file_of_variables() {
    let help = Command::new("node").arg("--help").output();
    if !help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--env-file")) {
        return missing(Level::Full, "node with --env-file");
    }
    let world = World::new().await;
    let file = world.path(".env");
    std::fs::write(&file, printed(&borrowed(&of(&world, "dotenv")), &[("NO_PROXY", "a b#c,$d")])).unwrap();
    let print = "process.stdout.write(Object.entries(process.env).map((pair) => pair.join('=') + '\\0').join(''))";
    let mut command = Command::new("node");
    command.arg(format!("--env-file={}", file.display())).args(["-e", print]);
    let variables = seen(command, &[]);
    assert_eq!(variables["IDENTITY_HEADER"], world.key.secret().expose());
    assert_eq!(variables["NO_PROXY"], "a b#c,$d,localhost,127.0.0.1,::1,169.254.169.254");
}

/// As the runner reads the file: `NAME=value`, or `NAME<<DELIMITER`, lines, `DELIMITER`.
fn github_file(text: &str) -> Variables {
    let mut lines = text.lines();
    let mut variables = Variables::new();
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").unwrap();
        let value: Vec<_> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        variables.insert(name.to_owned(), value.join("\n"));
    }
    variables
}

#[tokio::test]
async fn github_gets_the_variables_in_its_file_and_the_key_masked() {
    let world = World::new().await;
    let file = world.path("github.env");
    std::fs::write(&file, "BEFORE<<x\nstays\nx\n").unwrap();
    let given: Vec<_> = LEFTOVERS.into_iter().chain([("GITHUB_ENV", file.to_str().unwrap())]).collect();
    let (status, stdout, stderr) = unsecret(&borrowed(&of(&world, "github")), &given);
    assert_eq!(status, Some(0));
    assert_eq!(stdout, format!("::add-mask::{}\n", world.key.secret().expose()), "and nothing else");
    let variables = github_file(&std::fs::read_to_string(&file).unwrap());
    check(&world, &variables).await;
    assert_eq!(variables["BEFORE"], "stays");
    assert_eq!((variables["MSI_ENDPOINT"].as_str(), variables.get("MSI_SECRET")), ("", None));
    assert!(stderr.contains("cannot unset") && !stderr.contains("uns_"), "{stderr}");
}

#[tokio::test]
async fn a_file_for_github_that_has_to_be_made_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let file = world.path("new.env");
    let (status, ..) = unsecret(&borrowed(&of(&world, "github")), &[("GITHUB_ENV", file.to_str().unwrap())]);
    assert_eq!(status, Some(0));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn other_doors_get_other_variables() {
    let world = World::new().await;
    let config = world.path("config.toml");
    std::fs::write(&config, world.config_text()).unwrap();
    let mut arguments = of(&world, "dotenv");
    arguments.extend(["--door", "oauth", "--config", config.to_str().unwrap()].map(str::to_owned));
    let oauth = dotenv(&printed(&borrowed(&arguments), &[]));
    assert_eq!((oauth["AZURE_TENANT_ID"].as_str(), oauth["AZURE_CLIENT_ID"].as_str()), (TENANT, CLIENT));
    let key = world.key.secret().expose();
    assert_eq!(oauth.get("AZURE_TOKEN_CREDENTIALS"), None);
    assert_eq!((oauth["AZURE_CLIENT_SECRET"].as_str(), oauth.get("IDENTITY_HEADER")), (key, None));
    let answer = world.oauth_as(&oauth["AZURE_CLIENT_ID"], &oauth["AZURE_CLIENT_SECRET"], GRAPH).send().await;
    answer.token();
    let at = format!("http://{}", world.http());
    let imds = dotenv(&printed(&["--door", "imds", "--at", &at, "--format", "dotenv"], &[]));
    assert_eq!(imds["AZURE_POD_IDENTITY_AUTHORITY_HOST"], format!("{at}/"));
    assert_eq!(imds["AZURE_TOKEN_CREDENTIALS"], "prod");
    assert!(!imds.values().any(|value| value.starts_with("uns_")));
}

/// Who names the configuration has said where its broker listens; a wrong port would show at the first call only.
#[tokio::test]
async fn the_door_is_where_the_configuration_has_it() {
    let world = World::new().await;
    let config = world.path("config.toml");
    let identity = world.config_text();
    let identity = &identity[identity.find("[[identity]]").unwrap()..];
    let place = |listen: &str| {
        std::fs::write(&config, format!("[listen]\n{listen}\n{identity}")).unwrap();
        unsecret(&["--door", "imds", "--format", "dotenv", "--config", config.to_str().unwrap()], &[])
    };
    for (listen, at) in [
        ("http = [\"127.0.0.1:4999\"]", "http://127.0.0.1:4999/"),
        ("http = [\"0.0.0.0:4999\"]\nunsafe_any_address = true", "http://127.0.0.1:4999/"),
        ("", "http://127.0.0.1:4780/"),
    ] {
        let (status, stdout, stderr) = place(listen);
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{listen}");
        assert_eq!(dotenv(&stdout)["AZURE_POD_IDENTITY_AUTHORITY_HOST"], at, "{listen}");
    }
    let (status, _, stderr) = place("http = []\nunix = \"/nowhere/unsecret.sock\"");
    assert!(status == Some(1) && stderr.ends_with("\ncode: env-door-missing\n"), "{stderr}");
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "too short, and a canary").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, code) in [
        (&[][..], "env-key-missing"),
        (&["--key-file", "/nowhere/key"], "env-key-unreadable"),
        (&["--key-file", file], "env-key-unfit"),
        (&["--door", "imds", "--format", "github"], "env-github-missing"),
    ] {
        let (status, stdout, stderr) = unsecret(arguments, &[]);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.ends_with(&format!("\ncode: {code}\n")) && !stderr.contains("canary"), "{stderr}");
    }
}
