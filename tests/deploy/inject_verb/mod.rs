//! `unsecret inject` as a shell has it: whole streams in, whole streams out, and nothing half-written.

use std::io::Write as _;
use std::process::{Command, Stdio};

const APPLICATION: &str = "11111111-2222-4333-8444-555555555555";
const TENANT: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";

/// Status, stdout, stderr.
fn inject(more: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.env_clear().arg("inject").args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const SETTINGS: [&str; 4] = ["--tenant-id", TENANT, "--resource", "https://vault.azure.net"];

const STREAM: &str = "\
# Everything of the shop.
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: api
  annotations: {unsecret.dev/client-id: 11111111-2222-4333-8444-555555555555}
---
apiVersion: apps/v1
kind: Deployment   # the one that matters
metadata: {name: billing}
spec:
  template:
    metadata:
      labels:
        unsecret.dev/inject: \"true\"
    spec:
      serviceAccountName: api
      containers:
        # does the work
        - name: app
          image: app:1   # pinned
          fieldOfTomorrow: {x: 1}
---
# not ours
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: foreign}
spec: {template: {metadata: {labels: {unsecret.dev/inject: \"true\"}}}}
---
apiVersion: v1
kind: List
items:
- apiVersion: batch/v1
  kind: CronJob
  metadata:
    name: nightly
  spec:
    jobTemplate:
      spec:
        template:
          metadata: {labels: {unsecret.dev/inject: \"true\"}}
          spec:
            serviceAccountName: api
            containers:
            - name: job
              image: job:1
- apiVersion: v1
  kind: Pod
  metadata:
    name: plain
  spec:
    containers:
    - name: app
      image: app:1
";

#[test]
fn a_stream_keeps_every_line_and_a_second_pass_changes_nothing() {
    let (status, once, said) = inject(&SETTINGS, STREAM);
    assert_eq!(status, Some(0), "{said}");
    let mut lines = once.lines();
    for line in STREAM.lines().filter(|line| !line.contains("{labels: {")) {
        assert!(lines.any(|other| other == line), "`{line}` is gone or moved:\n{once}");
    }
    assert!(said.contains("deployment/billing: injected\n"), "{said}");
    assert!(said.contains("cronjob/nightly: injected\n"), "{said}");
    assert!(said.contains("pod/plain: unchanged, not labelled"), "{said}");
    assert!(!said.contains("foreign"), "{said}");
    assert_eq!(once.matches("restartPolicy: Always").count(), 2, "{once}");

    let (status, twice, said) = inject(&SETTINGS, &once);
    assert_eq!((status, twice == once), (Some(0), true), "{said}\n{twice}");
    assert!(said.contains("deployment/billing: unchanged, injected before\n"), "{said}");
}

#[test]
fn all_labels_what_its_author_did_not() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: plain # mine\nspec:\n  containers:\n  - name: app\n    image: app:1\n";
    let (status, out, said) = inject(&[&SETTINGS[..], &["--all", "--client-id", APPLICATION]].concat(), pod);
    assert_eq!(status, Some(0), "{said}");
    assert!(out.contains("  name: plain # mine\n") && out.contains("    unsecret.dev/inject: \"true\"\n"), "{out}");
    let off = pod.replace("# mine", "\n  labels: {unsecret.dev/inject: \"false\"}");
    let (status, out, said) = inject(&[&SETTINGS[..], &["--all", "--client-id", APPLICATION]].concat(), &off);
    assert_eq!((status, out), (Some(0), off), "{said}");
}

#[test]
fn before_native_sidecars_the_broker_is_a_container() {
    let old = [&SETTINGS[..], &["--kube-version", "v1.28.4"]].concat();
    let (status, out, said) = inject(&old, STREAM);
    assert_eq!((status, out.contains("restartPolicy: Always")), (Some(0), false), "{said}");
    let (status, _, said) = inject(&["--kube-version", "new"], STREAM);
    assert_eq!(status, Some(2), "{said}");
}

#[test]
fn a_denial_writes_nothing_and_says_what_to_do() {
    let host = STREAM.replace(
        "      serviceAccountName: api\n      containers:",
        "      hostNetwork: true\n      serviceAccountName: api\n      containers:",
    );
    let (status, out, said) = inject(&SETTINGS, &host);
    assert_eq!((status, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("deployment/billing: denied\n") && said.contains("remedy: "), "{said}");
    assert!(said.contains("code: inject-denied\n"), "{said}");
}

#[test]
fn what_is_no_manifest_is_refused_with_its_line() {
    let (status, out, said) = inject(&SETTINGS, "a: 1\n---\nb: 1\nb: 2\n");
    assert_eq!((status, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("line 4: the key `b` stands twice"), "{said}");
    assert_eq!(inject(&SETTINGS, "# nothing\n"), (Some(0), "# nothing\n".to_owned(), String::new()));
}

#[test]
fn the_charts_values_file_is_taken_as_it_is() {
    let values = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/unsecret/values.yaml");
    let (status, out, said) = inject(&[&["--values", values], &SETTINGS[..]].concat(), STREAM);
    assert_eq!(status, Some(0), "{said}");
    assert!(out.contains("name: unsecret\n"), "{out}");
}
