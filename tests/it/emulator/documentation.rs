//! `docs/emulator.md` says what the program does. `UNSECRET_BLESS=1` rewrites the parts that come from it.

use std::fmt::Write as _;
use std::path::Path;

use unsecret::emulator::{ADMIN_PATHS, AUTHORIZE_RULES, Fault, GRAPH_RULES, READY_MADE, RULES, Rule, Settings};

#[test]
fn the_page_shows_the_ready_made_settings_the_admin_paths_and_every_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/emulator.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let settings = format!("<!-- file: src/emulator/settings/ready_made.toml -->\n```toml\n{READY_MADE}```\n");
    let mut wanted = page.clone();
    for (name, text) in [
        ("settings", settings),
        ("authorize", authorize_rules()),
        ("admin", admin()),
        ("rules", rules()),
        ("graph", graph_rules()),
    ] {
        wanted = replaced(&wanted, name, &text);
    }
    if std::env::var_os("UNSECRET_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "docs/emulator.md is out of date: UNSECRET_BLESS=1 cargo test --test it documentation");
    }
}

#[test]
fn the_settings_that_show_every_key_are_right() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/emulator.md")).unwrap();
    let block = page.split("<!-- every key -->").nth(1).unwrap();
    let text = block.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let settings = Settings::from_toml(text).unwrap();
    assert!(settings.issuers[0].github.is_some());
}

#[test]
fn the_page_shows_every_fault_as_the_admin_path_takes_it() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/emulator.md")).unwrap();
    let block = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: Vec<_> = block.lines().map(|line| serde_json::from_str::<Fault>(line).unwrap().name()).collect();
    let all = [
        "throttle",
        "status",
        "refuse",
        "interact",
        "propagation",
        "html",
        "garbage",
        "slow-body",
        "huge-body",
        "hang",
        "hold",
        "reset",
        "outage",
        "clock-offset",
    ];
    assert_eq!(shown, all);
}

fn replaced(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name} begin -->\n"), format!("<!-- {name} end -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{text}{end}{after}")
}

fn admin() -> String {
    let mut text = String::from("| method | path | what it does |\n| --- | --- | --- |\n");
    for (method, path, what) in ADMIN_PATHS {
        writeln!(text, "| `{method}` | `{path}` | {what} |").unwrap();
    }
    text
}

fn graph_rules() -> String {
    let mut text =
        String::from("| rule | `error.code` | status | required | a guess |\n| --- | --- | ---: | --- | --- |\n");
    for rule in GRAPH_RULES {
        let guess = if rule.guess.is_empty() { "–" } else { rule.guess };
        writeln!(text, "| `{}` | `{}` | {} | {} | {guess} |", rule.name, rule.code, rule.status, rule.requires)
            .unwrap();
    }
    text
}

fn rules() -> String {
    let mut text = format!("{} rules, in the order of the checks.\n\n", RULES.len());
    text += &table(RULES);
    text
}

fn authorize_rules() -> String {
    let says = "Rules of the authorize endpoint; 400 is a page, 302 a redirect with the error.\n\n";
    format!("{says}{}", table(AUTHORIZE_RULES))
}

fn table(list: &[&Rule]) -> String {
    let mut text = String::new();
    text += "| rule | AADSTS | status | `error` | required | contract | a guess |\n| --- | ---: | ---: | --- | --- | --- | --- |\n";
    for rule in list {
        let guess = if rule.guess.is_empty() { "–" } else { rule.guess };
        writeln!(
            text,
            "| `{}` | {} | {} | `{}` | {} | {} | {guess} |",
            rule.name, rule.number, rule.status, rule.error, rule.requires, rule.cites
        )
        .unwrap();
    }
    text
}
