//! What is read, and what a change leaves alone.

use serde_json::{Value, json};

use super::*;
use crate::patch::Pointer;

fn at(path: &str) -> Pointer {
    path.split('/').skip(1).fold(Pointer::root(), |place, step| place.below(step))
}

fn add(path: &str, value: Value) -> Operation {
    Operation::Add { path: at(path), value }
}

fn replace(path: &str, value: Value) -> Operation {
    Operation::Replace { path: at(path), value }
}

fn remove(path: &str) -> Operation {
    Operation::Remove { path: at(path) }
}

fn changed(text: &str, operations: &[Operation]) -> String {
    let mut manifest = Manifest::read(text).unwrap();
    manifest.apply(0, operations).unwrap();
    manifest.text()
}

fn said(text: &str) -> Vec<Value> {
    Manifest::read(text).unwrap().documents().cloned().collect()
}

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    // Each pair is what sigs.k8s.io/yaml v1.6.0 makes of the text.
    for (text, value) in [
        ("yes", json!(true)),
        ("on", json!(true)),
        ("y", json!(true)),
        ("Off", json!(false)),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("", json!(null)),
        ("Null", json!(null)),
        ("nUll", json!("nUll")),
        ("0777", json!(511)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("-0b11", json!(-3)),
        ("1_000", json!(1000)),
        ("+12", json!(12)),
        ("08", json!(8)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e3", json!(1000)),
        (".5", json!(0.5)),
        ("1.", json!(1)),
        ("1.5", json!(1.5)),
        ("-1.25e2", json!(-125)),
        ("2001-01-01", json!("2001-01-01")),
        ("12:30:45", json!("12:30:45")),
        ("1.0.0", json!("1.0.0")),
        ("64Mi", json!("64Mi")),
        ("5m", json!("5m")),
        ("0x", json!("0x")),
        ("1e400", json!("1e400")),
        ("'yes'", json!("yes")),
        ("\"0777\"", json!("0777")),
        ("!!str 5", json!("5")),
        ("!!int \"5\"", json!(5)),
        ("!!float 1", json!(1)),
        ("!mine 5", json!("5")),
        ("|\n  a\n  b\n", json!("a\nb\n")),
        (">-\n  a\n  b\n", json!("a b")),
        ("|\n  no newline", json!("no newline")),
    ] {
        assert_eq!(said(&format!("a: {text}")), [json!({"a": value})], "{text}");
    }
}

#[test]
fn documents_are_told_apart_and_empty_ones_are_null() {
    assert_eq!(said(""), Vec::<Value>::new());
    assert_eq!(said("# only a comment\n"), Vec::<Value>::new());
    assert_eq!(
        said("---\n---\n# c\n--- \na: 1\n...\n# after\n---\nb: 2"),
        [json!(null), json!(null), json!({"a": 1}), json!({"b": 2})]
    );
    let text =
        "# head\n---\n# one\n---\n\na: 1 # x\r\n...\n# after\n%YAML 1.1\n---\nb: |+\n  2\n\n\n---\n{\"j\": [1, 2]}\n";
    let manifest = Manifest::read(text).unwrap();
    assert_eq!((manifest.text().as_str(), manifest.documents().len()), (text, 4));
}

#[test]
fn what_json_cannot_say_is_refused_with_its_line() {
    let wrong = |text: &str| Manifest::read(text).unwrap_err().to_string();
    assert_eq!(wrong("a: 1\n---\nb: 1\nc:\n  d: 1\n  d: 2\n"), "line 6: the key `d` stands twice in one mapping");
    assert_eq!(wrong("\n{a: 1, a: 2}"), "line 2: the key `a` stands twice in one mapping");
    assert!(wrong("a: .inf").starts_with("line 1: "), "{}", wrong("a: .inf"));
    assert!(wrong("a: 1\n~: 2").starts_with("line 2: the key `null`"), "{}", wrong("a: 1\n~: 2"));
    assert!(wrong("a: [1").starts_with("line 1, column "), "{}", wrong("a: [1"));
    assert!(wrong("a: !!int x").starts_with("line 1: "));
    assert!(wrong("a: &x [*x]").starts_with("line 1: "));
    let aliases = |n: i32| vec![format!("*a{n}"); 9].join(", ");
    let bomb: Vec<String> = (0..9).map(|n| format!("a{}: &a{} [{}]\n", n + 1, n + 1, aliases(n))).collect();
    let bomb = bomb.concat();
    assert!(wrong(&format!("a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n{bomb}")).contains("more than 1000000 values"));
}

#[test]
fn aliases_and_merges_say_what_they_stand_for() {
    assert_eq!(
        said("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n"),
        [json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}})]
    );
    assert_eq!(
        said("a: &x {b: 1}\nf: &y {b: 2, c: 3}\nd:\n  <<: [*x, *y]\n"),
        [json!({"a": {"b": 1}, "f": {"b": 2, "c": 3}, "d": {"b": 1, "c": 3}})]
    );
}

const POD: &str = "\
# A pod.
apiVersion: v1
kind: Pod # of ours
metadata:
  name: a   # its name
  annotations: {}
spec:
  # The one that matters.
  containers:
  # first
  - name: app # c
    image: \"x\"   # pinned

    # none yet
    env:
    - {name: A, value: 'b'}
    # last
    - name: B
      value: c
  - name: other
  volumes:  # none
";

#[test]
fn a_change_leaves_every_other_line_alone() {
    let new = changed(
        POD,
        &[
            add("/metadata/annotations/unsecret.dev~1injected", json!("1")),
            add("/metadata/labels", json!({"a": "yes"})),
            add(
                "/spec/initContainers",
                json!([{"name": "unsecret", "args": ["run"], "ports": [{"containerPort": 9464}]}]),
            ),
            add("/spec/containers/0/env/0", json!({"name": "Z", "value": "x: y"})),
            add("/spec/containers/0/env/-", json!({"name": "D"})),
            add("/spec/containers/1/env", json!([{"name": "Q", "value": "1"}])),
            replace("/spec/containers/0/image", json!("z")),
            replace("/spec/volumes", json!([{"name": "v", "emptyDir": {}}])),
        ]
        .map(unescaped),
    );
    assert_eq!(
        new,
        "\
# A pod.
apiVersion: v1
kind: Pod # of ours
metadata:
  name: a   # its name
  annotations:
    unsecret.dev/injected: \"1\"
  labels:
    a: \"yes\"
spec:
  # The one that matters.
  containers:
  # first
  - name: app # c
    image: z   # pinned

    # none yet
    env:
    - name: Z
      value: \"x: y\"
    - {name: A, value: 'b'}
    # last
    - name: B
      value: c
    - name: D
  - name: other
    env:
    - name: Q
      value: \"1\"
  volumes:  # none
  - name: v
    emptyDir: {}
  initContainers:
  - name: unsecret
    args:
    - run
    ports:
    - containerPort: 9464
"
    );
}

/// The paths above are written as JSON has them.
fn unescaped(operation: Operation) -> Operation {
    match operation {
        Operation::Add { path, value } => Operation::Add {
            path: path.steps().iter().fold(Pointer::root(), |p, s| p.below(s.replace("~1", "/"))),
            value,
        },
        other => other,
    }
}

#[test]
fn indented_lists_stay_indented() {
    let text = "spec:\n    containers:\n      # a comment\n      - name: a\n";
    let new = changed(
        text,
        &[
            add("/spec/containers/0", json!({"name": "b", "args": ["x"]})),
            add("/spec/volumes", json!([1])),
            add("/spec/m", json!({"a": {"b": 1}})),
        ],
    );
    assert_eq!(
        new,
        "spec:\n    containers:\n      - name: b\n        args:\n          - x\n      # a comment\n      - name: a\n    m:\n        a:\n            b: 1\n    volumes:\n      - 1\n"
    );
}

#[test]
fn what_is_removed_takes_its_lines_along_and_no_comments_above() {
    let text =
        "a:\n  # keep\n  b: 1 # gone\n  c: 2\nd:\n- x: 1\n  # keep too\n  u: 2\n- z: 1\n- w:\n    - 1\n    - 2\n";
    let new = changed(text, &[remove("/a/b"), remove("/d/0/x"), remove("/d/1"), remove("/d/1/w/0")]);
    assert_eq!(new, "a:\n  # keep\n  c: 2\nd:\n-\n  # keep too\n  u: 2\n- w:\n    - 2\n");
    assert_eq!(changed("d:\n- x: 1\n  u: 2\n", &[remove("/d/0/x")]), "d:\n- u: 2\n");
    assert_eq!(changed("a:\n  b: 1\nc: 2\n", &[remove("/a/b")]), "a: {}\nc: 2\n");
    assert_eq!(changed("- 1\n- 2", &[remove("/1")]), "- 1\n");
}

#[test]
fn flow_style_and_json_stay_what_they_are() {
    assert_eq!(
        changed(
            "a: {b: 1, c: [x]} # f\n",
            &[add("/a/c/0", json!("w")), add("/a/c/-", json!(true)), add("/a/d", json!({"e": "n"}))]
        ),
        "a: {b: 1, c: [w, x, true], d: {e: \"n\"}} # f\n"
    );
    assert_eq!(changed("a: {b: 1, c: [x]}\n", &[remove("/a/b")]), "a: {c: [x]}\n");
    let text =
        "{\n  \"kind\": \"Pod\",\n  \"spec\": {\n    \"containers\": [\n      {\"name\": \"a\"}\n    ]\n  }\n}\n";
    let new = changed(text, &[add("/spec/containers/0", json!({"name": "b"})), add("/spec/x", json!("y"))]);
    assert_eq!(
        new,
        "{\n  \"kind\": \"Pod\",\n  \"spec\": {\n    \"containers\": [\n      {\"name\": \"b\"},\n      {\"name\": \"a\"}\n    ],\n    \"x\": \"y\"\n  }\n}\n"
    );
    assert_eq!(changed("[a: b, c]\n", &[add("/0/d", json!(1))]), "[{a: b, d: 1}, c]\n");
}

#[test]
fn a_place_that_others_share_is_refused() {
    let text = "a: &x\n  b: 1\n  s: &s t\nc: *x\nd:\n  <<: *x\n  e: 2\nf: *s\n";
    let mut manifest = Manifest::read(text).unwrap();
    for (operation, line) in [
        (add("/c/z", json!(1)), 4),
        (add("/a/z", json!(1)), 1),
        (remove("/d/b"), 6),
        (remove("/a"), 1),
        (replace("/a/s", json!("u")), 1),
    ] {
        let wrong = manifest.apply(0, std::slice::from_ref(&operation)).unwrap_err();
        assert!(matches!(wrong, ManifestError::Shared { line: found, .. } if found == line), "{operation:?} {wrong:?}");
    }
    assert_eq!(manifest.text(), text);
    manifest.apply(0, &[replace("/f", json!("own")), add("/d/g", json!(1)), replace("/d/e", json!(3))]).unwrap();
    assert_eq!(manifest.text(), "a: &x\n  b: 1\n  s: &s t\nc: *x\nd:\n  <<: *x\n  e: 3\n  g: 1\nf: own\n");
}

#[test]
fn a_failed_test_changes_nothing() {
    let mut manifest = Manifest::read("a: 1\n").unwrap();
    let operations = [add("/b", json!(1)), Operation::Test { path: at("/a"), value: json!(2) }];
    assert!(matches!(manifest.apply(0, &operations), Err(ManifestError::Place { .. })));
    assert!(matches!(manifest.apply(1, &[]), Err(ManifestError::Place { .. })));
    assert_eq!(manifest.text(), "a: 1\n");
}

#[test]
fn line_breaks_of_windows_and_a_missing_last_one_stay() {
    assert_eq!(
        changed("a:\r\n  b: 1\r\nc: 2\r\n", &[add("/a/d", json!([1]))]),
        "a:\r\n  b: 1\r\n  d:\r\n  - 1\r\nc: 2\r\n"
    );
    assert_eq!(changed("a: 1", &[add("/b", json!(2))]), "a: 1\nb: 2");
    assert_eq!(changed("a: |+\n  x\n\n\nb: 1\n", &[add("/c", json!(2)), remove("/b")]), "a: |+\n  x\n\n\nc: 2\n");
    assert_eq!(changed("a: |\n  x", &[add("/b", json!(2))]), "a: |-\n  x\nb: 2");
}

#[test]
fn a_carriage_return_alone_is_refused_with_its_place() {
    let wrong = Manifest::read("a: 1\nb: 2\rc: 3\r\n").unwrap_err();
    assert_eq!(wrong.to_string(), "line 2, column 5: a carriage return stands here without a line feed behind it");
}
