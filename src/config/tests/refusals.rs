//! Wrong configurations, each with what is said of it.

use super::*;

/// The line to add to (or, with a key of `GOOD`, to put in place of a line of) the good file; the path that is named;
/// a piece of the message or remedy.
const IDENTITY_LINES: [(&str, &str, &str); 40] = [
    ("name = \"b c\"", "identity[0].name", "is \"b c\", but an identity name has 1 to 64"),
    ("tenant = \"common\"", "identity[0].tenant", "not `common`"),
    ("tenant = 3", "identity[0].tenant", "is the number 3, but must be a string"),
    ("tenant_aliases = [\"contoso\"]", "identity[0].tenant_aliases[0]", "is \"contoso\""),
    ("client_id = \"33333333\"", "identity[0].client_id", "a GUID looks like"),
    ("object_id = \"x\"", "identity[0].object_id", "a GUID looks like"),
    ("resource_id = \"x\"", "identity[0].resource_id", "begins with /subscriptions/"),
    ("scopes = []", "identity[0].scopes", "or `[\"*\"]` for any"),
    ("scopes = \"*\"", "identity[0].scopes", "is the string \"*\", but must be an array of strings"),
    ("scopes = [\"*\", 3]", "identity[0].scopes[1]", "is the number 3"),
    ("scopes = [\"https://vault.azure.net\"]", "identity[0].scopes[0]", "write `https://vault.azure.net/.default`"),
    ("scopes = [\"https://a.b/Read\"]", "identity[0].scopes[0]", "write `https://a.b/.default`"),
    ("scopes = [\"api://a/Read\"]", "identity[0].scopes[0]", "write `api://a/.default`"),
    ("scopes = [\"User.Read\"]", "identity[0].scopes[0]", "write `https://graph.microsoft.com/.default`, for example"),
    ("scopes = [\"*\", \"a/.default\"]", "identity[0].scopes[0]", "`*` must stand alone"),
    ("prefetch = [\"https://a.b/.default\"]", "identity[0].prefetch[0]", "add `https://a.b/.default` to `scopes`"),
    ("any_local_caller = false", "identity[0]", "does not say who may use it"),
    ("any_local_caller = \"true\"", "identity[0].any_local_caller", "must be true or false"),
    ("cloud = \"Public\"", "identity[0].cloud", "write \"public\""),
    ("cloud = \"gov\"", "identity[0].cloud", "write \"usgov\""),
    ("cloud = \"germany\"", "identity[0].cloud", "write \"public\" or \"usgov\" or \"china\""),
    ("authority_host = \"http://x\"", "identity[0].authority_host", "an https URL without a path"),
    ("authority_host = \"http://x:1/y\"", "identity[0].authority_host", "write `https://x:1`"),
    ("authority_host = \"https://u:p@x\"", "identity[0].authority_host", "microsoftonline.com\"`, for example"),
    ("ca_file = \"\"", "identity[0].ca_file", "must be a path"),
    ("proxy = \"http://u:p@x:1\"", "identity[0].proxy", "must not hold a user or password"),
    ("proxy = \"socks5://x:1\"", "identity[0].proxy", "must be an http URL"),
    ("proxy_auth_file = \"/x\"", "identity[0].proxy_auth_file", "is set, but no proxy is"),
    ("assertion = {}", "identity[0].assertion", "is missing: nothing proves who we are"),
    ("assertion = \"/x\"", "identity[0].assertion", "is the string \"/x\", but must be a table"),
    ("assertion = { file = \"/x\", github = {} }", "identity[0].assertion", "has 2 sources (file, github)"),
    ("assertion = { fiel = \"/x\" }", "identity[0].assertion.fiel", "write `file`, the nearest known key"),
    ("assertion = { certificates = [] }", "identity[0].assertion.certificates", "is [], but must hold a certificate"),
    (
        "assertion = { certificates = [{ certificate = \"/c\", key = \"/k\" }] }",
        "identity[0].assertion.certificates[0].key",
        "write `file:/k`",
    ),
    (
        "assertion = { certificates = [{ key = \"file:/k\" }] }",
        "identity[0].assertion.certificates[0].certificate",
        "is missing",
    ),
    (
        "assertion = { file = \"/x\", algorithm = \"RS256\" }",
        "identity[0].assertion.algorithm",
        "belongs to `certificates`",
    ),
    ("client_secret = \"x\"", "identity[0].client_secret", "delete it: no secret belongs into this file"),
    ("caller = [{ uid = 4294967295 }]", "identity[0].caller[0].uid", "must be from 0 to 4294967294"),
    ("caller = [{ uid = 1, gid = 1 }]", "identity[0].caller[0]", "has 2 keys, but a rule has one"),
    ("caller = [{}]", "identity[0].caller[0]", "is empty"),
];

const LISTEN_LINES: [(&str, &str, &str); 17] = [
    ("http = [\"0.0.0.0:4780\"]", "listen.http[0]", "or, if all who reach that address may ask for tokens"),
    ("http = [\"localhost:4780\"]", "listen.http[0]", "must be an address and a port"),
    ("http = [\"169.254.169.254:81\"]", "listen.http[0]", "must be a loopback address"),
    ("http = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "listen.http[1]", "a second time"),
    ("http = []", "listen.http", "no door is open"),
    ("http = \"127.0.0.1:4780\"", "listen.http", "write `http = [\"127.0.0.1:4780\"]`"),
    ("htpp = []", "listen.htpp", "write `http`, the nearest known key"),
    ("admin = \"9464\"", "listen.admin", "or `off`"),
    ("admin = \"127.0.0.1:4780\"", "listen.admin", "`listen.http` has that address"),
    ("wait = 10", "listen.wait", "is the number 10, but must be a string"),
    ("wait = \"10\"", "listen.wait", "must be a time from 0s to 60s"),
    ("wait = \"-1s\"", "listen.wait", "write `wait = \"10s\"`"),
    ("drain = \"2h\"", "listen.drain", "must be a time from 0s to 3600s"),
    ("hosts = [\"http://x\"]", "listen.hosts[0]", "without scheme, port or path"),
    ("unix = \"run/x.sock\"", "listen.unix", "must be an absolute path"),
    ("unix_mode = \"0660\"", "listen.unix_mode", "`listen.unix` is not"),
    ("unix = \"/x\"\nunix_mode = \"0888\"", "listen.unix_mode", "must be permission bits in octal"),
];

fn check(text: &str, path: &str, piece: &str) {
    let problems = read(text).expect_err(text);
    let [problem] = problems.items() else { panic!("more than one problem: {}", problems.report()) };
    assert_eq!(problem.path, path, "{}", problems.report());
    assert!(problems.report().contains(piece), "{piece:?} in {}", problems.report());
}

#[test]
fn each_wrong_identity_has_one_problem_with_its_path_and_a_way_out() {
    for (line, path, piece) in IDENTITY_LINES {
        let key = line.split(' ').next().unwrap();
        let kept: Vec<_> = GOOD.lines().filter(|good| good.split(' ').next() != Some(key)).collect();
        check(&format!("{}\n{line}\n", kept.join("\n")), path, piece);
    }
}

#[test]
fn each_wrong_listen_table_has_one_problem_with_its_path_and_a_way_out() {
    for (line, path, piece) in LISTEN_LINES {
        check(&format!("{GOOD}\n[listen]\n{line}\n"), path, piece);
    }
}

#[test]
fn what_stands_in_the_wrong_place_is_sent_to_the_right_one() {
    check(&format!("json = true\n{GOOD}"), "json", "move it to `log.json`");
    check(&format!("log = 3\n{GOOD}"), "log", "write `[log]` above its keys");
    check("[identity]\nname = \"x\"\n", "identity", "write `[[identity]]` above its keys");
    check("", "identity", "there is nothing to hand out");
    check(&format!("{GOOD}[log]\nlevel = \"inof\"\n"), "log.level", "must be a level");
}

#[test]
fn each_missing_setting_is_named() {
    for key in ["name", "tenant", "client_id", "scopes", "assertion"] {
        let kept: Vec<_> = GOOD.lines().filter(|good| !good.starts_with(key)).collect();
        check(&kept.join("\n"), &format!("identity[0].{key}"), "is missing");
    }
}

#[test]
fn every_problem_is_reported_at_once_in_the_order_of_the_file() {
    let text = "\
[listen]
wait = 3
http = [\"0.0.0.0:1\", \"nonsense\"]
[[identity]]
name = \"b c\"
scope = [\"*\"]
cloud = \"publc\"
[[identity.caller]]
uid = -1
";
    let problems = read(text).unwrap_err();
    let places: Vec<_> = problems.items().iter().map(|item| (item.place.as_str(), item.path.as_str())).collect();
    let expected = [
        ("c.toml, line 2", "listen.wait"),
        ("c.toml, line 3", "listen.http[0]"),
        ("c.toml, line 3", "listen.http[1]"),
        ("c.toml, line 4", "identity[0].tenant"),
        ("c.toml, line 4", "identity[0].client_id"),
        ("c.toml, line 4", "identity[0].assertion"),
        ("c.toml, line 5", "identity[0].name"),
        ("c.toml, line 6", "identity[0].scope"),
        ("c.toml, line 7", "identity[0].cloud"),
        ("c.toml, line 9", "identity[0].caller[0].uid"),
    ];
    assert_eq!(places, expected, "{}", problems.report());
}

#[test]
fn a_text_that_is_no_toml_is_reported_by_line_and_not_quoted() {
    let problems = read("[listen]\nwait = canary\n[log\n").unwrap_err();
    assert!(problems.items().iter().all(|item| item.mistake == Mistake::Syntax), "{}", problems.report());
    assert_eq!(problems.items()[0].place, "c.toml, line 2");
    assert!(!problems.report().contains("canary"));
}

#[test]
fn identities_that_cannot_be_told_apart_are_refused() {
    let other = |from: &str, to: &str| format!("{GOOD}{}", GOOD.replace(from, to));
    check(&other("\"billing\"", "\"reports\""), "identity[1].client_id", "in the same tenant");
    check(&other("33333333", "44444444"), "identity[1].name", "letter case and punctuation aside");
    let alias = GOOD.replace("\"11111111-", "\"21111111-").replace("\"billing\"", "\"reports\"");
    let text = format!("{GOOD}{alias}tenant_aliases = [\"11111111-aaaa-4bbb-8ccc-222222222222\"]\n");
    check(&text, "identity[1].client_id", "in the same tenant");
    let key = format!("caller = [{{ key_sha256 = \"{}\" }}]\n", "ab".repeat(32));
    let second = GOOD.replace("billing", "reports").replace("33333333", "44444444");
    let object = "object_id = \"55555555-eeee-4fff-8aaa-666666666666\"\n";
    check(&format!("{GOOD}{object}{second}{object}"), "identity[1].object_id", "has the same one");
    let (lower, upper) = ("resource_id = \"/subscriptions/x\"\n", "resource_id = \"/subscriptions/X\"\n");
    check(&format!("{GOOD}{lower}{second}{upper}"), "identity[1].resource_id", "has the same one");
    check(&format!("{GOOD}{key}{second}{key}"), "identity[1].caller[0]", "same key as identity[0].caller[0]");
}

#[test]
fn github_without_its_variables_says_which_permission_is_missing() {
    let text = GOOD.replace("{ file = \"/var/run/secrets/unsecret/token\" }", "{ github = {} }");
    let problems = read(&text).unwrap_err();
    assert_eq!(problems.items().len(), 2);
    assert!(problems.report().contains("permissions: id-token: write"));
}

#[test]
fn githubs_bearer_goes_over_plain_http_to_this_machine_only() {
    let text = GOOD.replace("{ file = \"/var/run/secrets/unsecret/token\" }", "{ github = {} }");
    for (url, good) in [("https://x.y/?a=b", true), ("http://127.0.0.1:9/?a=b", true), ("http://x.y/?a=b", false)] {
        let pairs = [("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer")];
        assert_eq!(Config::from_text(&text, "c.toml", &environment(&pairs)).is_ok(), good, "{url}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_and_never_repeated() {
    let secret = format!("abc8Q~{}", "canary".repeat(5));
    let ours = "uns_canary";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, &secret).unwrap();
    let env = environment(&[("KEY", &secret), ("HTTPS_PROXY", "http://canary:canary@proxy:1")]);
    for line in [
        format!("caller = [{{ key_file = {file:?} }}]"),
        "caller = [{ key_env = \"KEY\" }]".to_owned(),
        format!("caller = [{{ key_file = {secret:?} }}]"),
        format!("caller = [{{ key_env = {secret:?} }}]"),
        format!("caller = [{{ key_sha256 = {secret:?} }}]"),
        format!("caller = [{{ key_file = {ours:?} }}]"),
        format!("caller = [{{ key_sha256 = {ours:?} }}]"),
        format!("caller = [{{ uid = {ours:?} }}]"),
        format!("caller = [{ours:?}]"),
        format!("object_id = {secret:?}"),
        format!("client_secret = {secret:?}"),
        "proxy = \"http://canary:canary@proxy:1\"".to_owned(),
        "proxy_auth_file = [\"uns_canary\"]".to_owned(),
    ] {
        let problems = Config::from_text(&format!("{GOOD}{line}\n"), "c.toml", &env).expect_err(&line);
        let said = format!("{}{problems}{problems:?}", problems.report());
        assert!(!said.contains("canary"), "{line}: {said}");
    }
    for line in [format!("caller = [{{ key_file = {file:?} }}]"), "caller = [{ key_env = \"KEY\" }]".to_owned()] {
        let env = environment(&[("KEY", &secret)]);
        let problems = Config::from_text(&format!("{GOOD}{line}\n"), "c.toml", &env).unwrap_err();
        assert_eq!(problems.items()[0].mistake, Mistake::EntraSecret, "{line}");
    }
}
