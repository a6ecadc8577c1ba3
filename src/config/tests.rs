//! Reading configurations, right and wrong, through the front door.

use super::*;

const GOOD: &str = r#"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "/var/run/secrets/unsecret/token" }
any_local_caller = true
"#;

fn nothing() -> Environment {
    Environment::default()
}

fn read(text: &str) -> Result<Config, ConfigProblems> {
    Config::from_text(text, "c.toml", &nothing())
}

#[test]
fn a_small_file_gives_a_whole_configuration() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.listen.http, ["127.0.0.1:4780".parse().unwrap()]);
    assert_eq!(config.listen.wait, Duration::from_secs(10));
}
