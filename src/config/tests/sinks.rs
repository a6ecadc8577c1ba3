//! `[[identity.sink]]`, right and wrong.

use std::os::unix::fs::symlink;

use super::*;

const SCOPE: &str = "scope = \"https://graph.microsoft.com/.default\"";

fn sinks(text: &str) -> Vec<SinkSettings> {
    read(text).unwrap().identities.remove(0).sinks
}

fn one(lines: &str) -> String {
    format!("{GOOD}[[identity.sink]]\n{lines}\n")
}

fn check(text: &str, path: &str, piece: &str) {
    let problems = read(text).expect_err(text);
    let [problem] = problems.items() else { panic!("more than one problem: {}", problems.report()) };
    assert_eq!(problem.path, path, "{}", problems.report());
    assert!(problems.report().contains(piece), "{piece:?} in {}", problems.report());
}

#[test]
fn a_sink_says_what_to_write_where_and_for_whom() {
    let text = format!(
        "{}\n[[identity.sink]]\nfile = \"/run/u/pg\"\n{SCOPE}\nformat = \"pgpass\"\npgpass = 'db\\:1:5432:*:app'\n\
         owner = \"app\"\ngroup = \"7\"\nreload = [\"systemctl\", \"reload\", \"pgbouncer\"]\n",
        one("file = \"/run/u/assertion\"\nassertion = true\nmode = \"0640\"")
    );
    let resource = Resource::parse("https://graph.microsoft.com").unwrap();
    let format = TokenFormat::Pgpass(r"db\:1:5432:*:app".to_owned());
    let expected = [
        SinkSettings {
            file: "/run/u/assertion".into(),
            content: SinkContent::Assertion,
            mode: 0o640,
            owner: None,
            group: None,
            reload: Vec::new(),
        },
        SinkSettings {
            file: "/run/u/pg".into(),
            content: SinkContent::Token { resource, format },
            mode: 0o600,
            owner: Some("app".to_owned()),
            group: Some("7".to_owned()),
            reload: ["systemctl", "reload", "pgbouncer"].map(str::to_owned).to_vec(),
        },
    ];
    assert_eq!(sinks(&text), expected);
}

#[test]
fn an_identity_that_serves_a_sink_needs_no_caller() {
    let text = one(&format!("file = \"/run/u/a\"\n{SCOPE}")).replace("any_local_caller = true\n", "");
    let config = read(&text).unwrap();
    assert!(!config.identities[0].entry.any_local_caller && config.identities[0].entry.callers.is_empty());
}

#[test]
fn each_wrong_sink_has_one_problem_with_its_path_and_a_way_out() {
    let file = "file = \"/run/u/a\"";
    let cases = [
        (SCOPE.to_owned(), ".file", "is missing"),
        (format!("file = \"a\"\n{SCOPE}"), ".file", "must be the absolute path of a file"),
        (format!("file = \"/run/u/\"\n{SCOPE}"), ".file", "must be the absolute path of a file"),
        (format!("file = \"/run/{}\"\n{SCOPE}", "x".repeat(201)), ".file", "at most 200 bytes"),
        (file.to_owned(), "", "does not say what to write"),
        (format!("{file}\nassertion = false"), "", "or `assertion = true`"),
        (format!("{file}\n{SCOPE}\nassertion = true"), "", "writes one thing"),
        (format!("{file}\nscope = \"https://a.b\""), ".scope", "ending in /.default"),
        (format!("{file}\nscope = \"https://a.b/.default\""), ".scope", "add `https://a.b/.default` to `scopes`"),
        (format!("{file}\nassertion = true\nformat = \"raw\""), ".format", "an assertion is always written alone"),
        (format!("{file}\nassertion = true\npgpass = \"a:b:c:d\""), ".pgpass", "an assertion is always written alone"),
        (format!("{file}\n{SCOPE}\nformat = \"jsno\""), ".format", "write \"json\""),
        (format!("{file}\n{SCOPE}\nformat = \"pgpass\""), ".pgpass", "is missing"),
        (format!("{file}\n{SCOPE}\npgpass = \"a:b:c:d\""), ".pgpass", "write `format = \"pgpass\"`"),
        (format!("{file}\n{SCOPE}\nmode = \"0644\""), ".mode", "others may not"),
        (format!("{file}\n{SCOPE}\nmode = \"1640\""), ".mode", "others may not"),
        (format!("{file}\n{SCOPE}\nmode = \"rw\""), ".mode", "must be permission bits in octal"),
        (format!("{file}\n{SCOPE}\ngroup = \"\""), ".group", "must be a name or a number"),
        (format!("{file}\n{SCOPE}\nreload = [\"\"]"), ".reload", "names no program"),
        (format!("{file}\n{SCOPE}\nreload = \"systemctl reload x\""), ".reload", "must be an array of strings"),
        (format!("{file}\n{SCOPE}\nrelaod = [\"x\"]"), ".relaod", "write `reload`, the nearest known key"),
    ];
    for (lines, key, piece) in cases {
        check(&one(&lines), &format!("identity[0].sink[0]{key}"), piece);
    }
    check(&format!("{GOOD}sink = 3\n"), "identity[0].sink", "write `[[identity.sink]]` above its keys");
}

#[test]
fn the_fields_of_a_password_file_are_four() {
    let pgpass = |fields: &str, mode: &str| {
        one(&format!("file = \"/a\"\n{SCOPE}\nformat = \"pgpass\"\npgpass = '{fields}'\nmode = \"{mode}\""))
    };
    for good in ["db:5432:*:app", r"\:\::1:2:\\", "*:*:*:*"] {
        assert_eq!(sinks(&pgpass(good, "0600")).len(), 1, "{good}");
    }
    for wrong in ["", "db:5432:app", "db:5432:*:app:x", "db::*:app", r"db:5432:*:a\b", r"db:5432:*:a\", "#db:1:2:3"] {
        check(&pgpass(wrong, "0600"), "identity[0].sink[0].pgpass", "must be four fields");
    }
    check(
        &pgpass("db:5432:*:app", "0640"),
        "identity[0].sink[0].mode",
        "ignore a password file that its group may read",
    );
}

#[test]
fn a_file_has_one_purpose_however_it_is_spelled() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let sink = |file: &str| format!("[[identity.sink]]\nfile = \"{file}\"\n{SCOPE}\n");
    let (one, other) = (sink(real.join("a").to_str().unwrap()), sink(link.join("a").to_str().unwrap()));
    check(&format!("{GOOD}{one}{other}"), "identity[0].sink[1].file", "but so is `identity[0].sink[0].file`");
    let second = GOOD.replace("billing", "reports").replace("33333333", "44444444");
    check(&format!("{GOOD}{one}{second}{one}"), "identity[1].sink[0].file", "a file of its own");
    let token = sink("/var/run/secrets/unsecret/token");
    check(&format!("{GOOD}{token}"), "identity[0].sink[0].file", "but so is `identity[0].assertion.file`");
    let own = format!("[[identity.sink]]\nfile = {:?}\n{SCOPE}\n", std::path::absolute("c.toml").unwrap());
    check(&format!("{GOOD}{own}"), "identity[0].sink[0].file", "but so is `--config`");
    let signed = GOOD.replace(
        "{ file = \"/var/run/secrets/unsecret/token\" }",
        "{ certificates = [{ certificate = \"/c\", key = \"file:/k.pfx?password-source=file:/p\" }] }",
    );
    for path in ["/c", "/k.pfx", "/p"] {
        check(&format!("{signed}{}", sink(path)), "identity[0].sink[0].file", "assertion.certificates[0].");
    }
    let proxied =
        format!("[listen]\nunix = \"/s\"\n{GOOD}proxy = \"http://p:1\"\nproxy_auth_file = \"/a\"\nca_file = \"/r\"\n");
    for path in ["/a", "/r", "/s"] {
        check(&format!("{proxied}{}", sink(path)), "identity[0].sink[0].file", "but so is `");
    }
}

#[test]
fn githubs_tokens_in_a_file_are_warned_of() {
    let text = one("file = \"/run/u/a\"\nassertion = true")
        .replace("{ file = \"/var/run/secrets/unsecret/token\" }", "{ github = {} }");
    let pairs = [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x.y/?a=b"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer")];
    let config = Config::from_text(&text, "c.toml", &environment(&pairs)).unwrap();
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.contains("`identity[0].sink[0].assertion`") && warning.contains("live five minutes"), "{warning}");
}

#[test]
fn sinks_come_from_variables_by_their_place() {
    let pairs = [
        ("UNSECRET_SINK_FILE", "/run/u/a, /run/u/b"),
        ("UNSECRET_SINK_SCOPE", ",https://graph.microsoft.com/.default"),
        ("UNSECRET_SINK_ASSERTION", "true,"),
        ("UNSECRET_SINK_RELOAD", ",systemctl reload x"),
    ];
    let config = Config::from_text(GOOD, "c.toml", &environment(&pairs)).unwrap();
    let [one, other] = config.identities[0].sinks.as_slice() else { panic!("two sinks") };
    assert_eq!((one.file.to_str(), &one.content), (Some("/run/u/a"), &SinkContent::Assertion));
    assert!(matches!(other.content, SinkContent::Token { .. }));
    assert_eq!(
        (&one.reload, other.reload.as_slice()),
        (&Vec::new(), ["systemctl", "reload", "x"].map(str::to_owned).as_slice())
    );
}

#[test]
fn a_sink_alone_does_not_change_which_tokens_an_identity_has() {
    let before = read(GOOD).unwrap().identities.remove(0);
    assert!(before.mints_like(&read(&one(&format!("file = \"/run/u/a\"\n{SCOPE}"))).unwrap().identities[0]));
}
