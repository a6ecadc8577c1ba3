//! `unsecret explain` as a shell sees it: what it knows, what it says of typical inputs, and what it never repeats.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use unsecret::explain;

use crate::support::snapshot;

/// The first column of the table in contract A11, row by row: the numbers that have to be explained.
const A11: &[&str] = &[
    "70021",
    "700211",
    "700212",
    "700213",
    "7002137, 7002138",
    "700214",
    "70025",
    "7000226",
    "70022",
    "70023",
    "70024",
    "700221",
    "50166, 90061, 501661",
    "900610",
    "7000272",
    "7000274",
    "5002727",
    "5002738",
    "5002723",
    "700222, 700226, 700229",
    "700231",
    "700236",
    "700223, 700238, 7002381",
    "700233-700237, 7002131, 7002241",
    "700024",
    "700027",
    "700021",
    "50048",
    "700022, 700023",
    "700028-700032, 7000212-7000214, 7000221",
    "50027",
    "90014",
    "50013, 500133, 500131, 500132",
    "50012",
    "700016, 700011",
    "7000229, 7000217",
    "7000112",
    "7000215",
    "7000222",
    "7000216, 7000218, 7000219",
    "700025",
    "70001, 900144",
    "9002313",
    "70003",
    "70011, 1002012",
    "28000, 28002, 28003, 28004",
    "901002",
    "500011, 50001, 500012",
    "500014",
    "650057, 650056, 65005, 650053",
    "90002",
    "900023",
    "50049",
    "900439, 900440, 90038, 900382, 900432",
    "53003",
    "53000, 53001",
    "530032, 530031, 530034, 530035",
    "500761",
    "500212, 500213",
    "500341",
    "500200",
    "50196",
    "90055",
    "50033, 90006, 90012, 90024, 90030-90033, 90035, 90039, 90041, 90058, 90090, 90091, 29100, 50004, 50087, 50000",
    "90092, 100002",
    "100007",
    "392200",
    "392204",
    "500180, 500181",
    "50171",
    "51000",
    "1000610-1000614",
    "29003, 29004",
];

struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str], stdin: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unsecret"))
        .arg("explain")
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Written beside the reading: it may answer before it has read all.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `700028-700032, 7000221`, written out.
fn numbers(cell: &str) -> Vec<u32> {
    let one = |part: &str| match part.split_once('-') {
        Some((first, last)) => (first.parse().unwrap()..=last.parse().unwrap()).collect::<Vec<u32>>(),
        None => vec![part.parse().unwrap()],
    };
    cell.split(", ").flat_map(one).collect()
}

fn listed() -> BTreeSet<String> {
    let ended = run(&["--list", "--json"], b"");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let found = object["found"].as_array().unwrap();
    found.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_number_of_the_contract_is_explained() {
    let (wanted, listed) = (A11.iter().flat_map(|cell| numbers(cell)).collect::<BTreeSet<_>>(), listed());
    let missing: Vec<_> = wanted.iter().filter(|number| !listed.contains(&format!("AADSTS{number}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(wanted.len(), 144);
    assert_eq!(listed.iter().filter(|name| name.starts_with("AADSTS")).count(), wanted.len());
    for number in wanted {
        let one = explain::number(number);
        assert!(one.known && !one.causes.is_empty() && !one.checks.is_empty(), "AADSTS{number}");
    }
}

/// `pages` holds `docs/errors.md` to the codes in the source; this holds what is explained to `docs/errors.md`.
#[test]
fn every_code_of_the_program_is_explained() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md")).unwrap();
    let codes: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(codes.len() > 100, "found only {} codes", codes.len());
    let listed = listed();
    let missing: Vec<_> = codes.iter().filter(|code| !listed.contains(**code)).collect();
    assert!(missing.is_empty(), "give them a layer, causes and checks in src/explain/codes.toml: {missing:?}");
}

#[test]
fn an_unknown_number_says_so_and_gives_the_walk() {
    let ended = run(&["AADSTS123456"], b"");
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    assert!(ended.stdout.contains("this version does not know the number"), "{}", ended.stdout);
    assert!(ended.stdout.contains("✗ probably") && ended.stdout.contains("✓ passed"), "{}", ended.stdout);
}

#[test]
fn text_without_anything_known_ends_with_1_and_says_what_to_paste() {
    let ended = run(&[], b"it does not work");
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.starts_with("error: nothing in it is known here\nremedy: paste the whole answer"));
    assert!(ended.stderr.contains("network: DNS, proxy and TLS"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("does not work"), "the text came back");
    assert_eq!(run(&["--json"], b"").status, 1, "an empty stdin is nothing known");
}

#[test]
fn a_file_named_in_place_of_a_text_is_told_how_to_be_read() {
    let ended = run(&["Cargo.toml"], b"");
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("remedy: to have a file read: unsecret explain < FILE"), "{}", ended.stderr);
}

#[test]
fn odd_bytes_and_floods_are_survived() {
    let ended = run(&["-"], b"\xff\xfe\xfd\x00 \xc3\x28 AADSTS700213");
    assert!(matches!(ended.status, 0 | 1), "{}", ended.stderr);
    assert_eq!(run(&[], b"\x80\x80 AADSTS700213 \xf0\x9f").status, 0);
    let mut flood = b"AADSTS700213 ".to_vec();
    flood.resize(3 * 1024 * 1024, b'A');
    flood.extend_from_slice(b" AADSTS700024");
    let ended = run(&[], &flood);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, "warning: only the first 1 MiB is read\n"));
    assert!(ended.stdout.contains("AADSTS700213") && !ended.stdout.contains("AADSTS700024"));
}

/// Planted wherever a token, a key or a PIN may stand in what people paste.
const PLANTED: &[&str] = &[
    "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOnRydWUsInN1YiI6InNlY3JldCJ9.c2lnbmF0dXJlLWNhbmFyeQ",
    "abc8Q~canary-of-a-client-secret-in-Entra",
    "uns_canaryCanaryCanaryCanaryCanaryCanary",
    "pin-canary-7391",
];

#[test]
fn no_token_no_secret_and_no_pin_of_the_input_comes_out() {
    for secret in PLANTED {
        let inputs = [
            format!(
                "POST /token HTTP/1.1\nAuthorization: Bearer {secret}\n\nclient_assertion={secret}&client_secret={secret}"
            ),
            format!(r#"HTTP/1.1 200 OK{nl}{nl}{{"access_token":"{secret}","token_type":"Bearer"}}"#, nl = "\n"),
            format!(
                r#"{{"error":"{secret}","error_description":"AADSTS700024: {secret} Trace ID: {secret}","correlation_id":"{secret}","error_codes":[700024],"timestamp":"{secret}"}}"#
            ),
            format!(
                "WWW-Authenticate: Bearer error=\"insufficient_claims\", claims=\"{secret}\"\nRetry-After: {secret}"
            ),
            (*secret).to_owned(),
            format!("Current time: {secret}Z, expiry time of assertion {secret}Z HTTP/1.1 {secret} pin={secret}"),
            format!("code=wrong-local-key key={secret} pkcs11:token=x?pin-value={secret}"),
        ];
        for input in inputs {
            for args in [&[] as &[&str], &["--json"], &[input.as_str()], &["--json", input.as_str()]] {
                let ended = run(args, input.as_bytes());
                let said = format!("{}{}", ended.stdout, ended.stderr);
                for piece in secret.split('.').chain([*secret]) {
                    // Not shown: the failure would leak it into the log of the tests.
                    assert!(!said.contains(piece), "a planted secret came out, of an input of {} bytes", input.len());
                }
            }
        }
    }
}

const IDS: &str = "Trace ID: 0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10 Correlation ID: 1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10 \
                   Timestamp: 2026-01-02 03:04:05Z";

/// What people paste, each with the name of its snapshot.
fn typical() -> Vec<(&'static str, String)> {
    vec![
        (
            "subject",
            format!(
                r#"{{"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found for presented assertion subject 'repo:contoso/billing:ref:refs/heads/main'. {IDS}","error_codes":[700213]}}"#
            ),
        ),
        (
            "clock",
            format!(
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n\r\n{{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-02T03:04:05.1234567Z, assertion valid from 2026-01-02T02:40:00.0000000Z, expiry time of assertion 2026-01-02T02:50:00.0000000Z. {IDS}\"}}"
            ),
        ),
        (
            "log-line",
            "2026-01-02T03:04:05Z WARN unsecret::audit: no token code=entra-policy aadsts=53003 identity=billing correlation_id=1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10".into(),
        ),
        (
            "graph",
            "HTTP/1.1 403 Forbidden\n\n{\"error\":{\"code\":\"Authorization_RequestDenied\",\"message\":\"Insufficient privileges to complete the operation.\",\"innerError\":{\"client-request-id\":\"1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10\"}}}".into(),
        ),
        (
            "challenge",
            "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\"".into(),
        ),
        ("throttled", "HTTP/1.1 429 Too Many Requests\nRetry-After: 17\n\n".into()),
        (
            "no-credential",
            "azure.identity.CredentialUnavailableError: ManagedIdentityCredential authentication unavailable, no response from the IMDS endpoint.".into(),
        ),
        (
            "own-door",
            "HTTP/1.1 401 Unauthorized\n\n{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: The local key presented is not one of this identity. (unsecret: wrong-local-key) Correlation ID: 1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10\",\"error_codes\":[7000215]}".into(),
        ),
        ("loop", format!("invalid_request: AADSTS50196: The server terminated an operation because it encountered a client request loop. {IDS}")),
    ]
}

#[test]
fn typical_inputs_are_explained_as_somebody_last_read() {
    let held = typical().into_iter().map(|(name, input)| {
        let ended = run(&[], input.as_bytes());
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{name}");
        snapshot::compare(&format!("explain/{name}.txt"), &ended.stdout)
    });
    snapshot::held(held);
    snapshot::no_others("explain", typical().iter().map(|(name, _)| format!("{name}.txt")));
}

#[test]
fn programs_read_the_same_as_people() {
    let (_, input) = typical().swap_remove(1);
    let ended = run(&["--json"], input.as_bytes());
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let first = &object["found"][0];
    assert_eq!(
        (first["name"].as_str(), first["layer"].as_str()),
        (Some("AADSTS700024"), Some("client-authentication"))
    );
    assert_eq!(first["walk"][4], serde_json::json!({ "layer": "client-authentication", "mark": "here" }));
    assert_eq!(first["retry"], "fresh-assertion");
    assert_eq!(object["seen"]["status"], 401);
    assert_eq!(object["seen"]["clock"], "by Entra's clock the assertion had expired 14 min before");
}
