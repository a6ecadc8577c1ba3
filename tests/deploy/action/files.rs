//! What stands in the action's folder: its declaration, its scripts, its list of hashes, and the workflows beside it.

use std::collections::BTreeSet;

use super::*;

const SCRIPTS: [&str; 4] = ["binary.js", "main.js", "post.js", "runner.js"];

fn script(name: &str) -> String {
    read(action().join("dist").join(name))
}

#[test]
fn the_scripts_are_few_lines_and_need_nothing_but_node() {
    let folder = fs::read_dir(action().join("dist")).unwrap();
    let found: BTreeSet<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(found.iter().eq(SCRIPTS), "{found:?}");
    let lines: usize = SCRIPTS.iter().map(|name| script(name).lines().count()).sum();
    assert!(lines < 300, "{lines} lines: it was to be read in one sitting");
    for name in SCRIPTS {
        for required in script(name).split("require('").skip(1) {
            assert!(required.starts_with("node:") || required.starts_with("./"), "{name}: {required:.30}");
        }
    }
}

#[test]
fn every_input_is_used_and_every_used_one_declared() {
    let declared: BTreeSet<String> = declared().into_iter().map(|(name, _)| name).collect();
    let scripts = SCRIPTS.map(script).concat();
    let used: BTreeSet<String> =
        scripts.split("input('").skip(1).map(|rest| rest.split('\'').next().unwrap().to_owned()).collect();
    assert_eq!(declared, used);
}

#[test]
fn every_output_is_declared_and_the_version_is_this_one() {
    let text = read(action().join("action.yml"));
    for output in ["endpoint", "socket", "pid", "log-file", "metrics-url"] {
        assert!(text.contains(&format!("\n  {output}:\n")), "{output}");
    }
    for run in ["using: node24", "main: dist/main.js", "post: dist/post.js", "post-if: always()"] {
        assert!(text.contains(run), "{run}");
    }
    let version = declared().into_iter().find(|(name, _)| name == "version").unwrap().1;
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

/// A commit after a release puts them here; what is there must be what `binary.js` can find.
#[test]
fn the_list_of_hashes_is_well_formed() {
    for line in read(action().join("SHA256SUMS")).lines().filter(|line| !line.starts_with('#')) {
        let (hash, name) = line.split_once("  ").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        assert!(name.starts_with("unsecret-") && name.contains("-unknown-linux-"), "{line}");
    }
}

#[test]
fn every_workflow_may_ask_for_oidc_tokens_and_gives_what_the_action_needs() {
    for name in ["long-job.yml", "azure-cli.yml", "terraform.yml", "matrix.yml"] {
        let workflow = read(action().join("..").join(name));
        for part in ["id-token: write", "/examples/github-actions/action@", "client-id:", "tenant-id:", "scopes:"] {
            assert!(workflow.contains(part), "{name}: {part}");
        }
        let known: BTreeSet<String> = declared().into_iter().map(|(name, _)| name).collect();
        let (_, step) = workflow.split_once("/examples/github-actions/action@").unwrap();
        let (_, with) = step.split_once("with:\n").unwrap();
        for line in with.lines().take_while(|line| line.starts_with("          ")) {
            let input = line.trim().split(':').next().unwrap();
            assert!(line.starts_with("           ") || known.contains(input), "{name}: {input}");
        }
    }
}
