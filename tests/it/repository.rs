//! The image, the gate and the packages: files outside `src/` that must agree with it.

use std::fs;
use std::path::PathBuf;

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The instructions of the Dockerfile, continued lines joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let joined = file("Dockerfile").replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_once(' ').unwrap()).map(|(word, rest)| (word.to_owned(), rest.to_owned())).collect()
}

fn last(word: &str) -> String {
    instructions().into_iter().rev().find(|(it, _)| it == word).unwrap_or_else(|| panic!("no {word}")).1
}

#[test]
fn the_image_runs_as_a_numbered_user_without_a_shell() {
    assert_eq!(last("USER"), "65532:65532");
    assert_eq!(last("ENTRYPOINT"), r#"["/usr/local/bin/unsecret"]"#);
    assert_eq!(last("CMD"), r#"["run"]"#);
    assert!(last("HEALTHCHECK").ends_with(r#"CMD ["/usr/local/bin/unsecret", "health"]"#), "{}", last("HEALTHCHECK"));
    let after_base = instructions().into_iter().skip_while(|(_, rest)| !rest.starts_with("${BASE_IMAGE}"));
    assert!(after_base.into_iter().all(|(word, _)| word != "RUN"), "the base image has no shell");
}

#[test]
fn the_images_bases_are_pinned_and_of_one_debian() {
    let bases: Vec<String> = instructions()
        .into_iter()
        .filter(|(word, rest)| word == "ARG" && rest.contains("_IMAGE="))
        .map(|(_, rest)| rest.split_once('=').unwrap().1.to_owned())
        .collect();
    assert_eq!(bases.len(), 2);
    for base in &bases {
        assert!(!base.ends_with(":latest") && base.contains(':'), "{base}");
    }
    // A binary built against a newer glibc than its base has does not start.
    assert!(bases[0].contains("bookworm") && bases[1].contains("debian12"), "{bases:?}");
    let mut stages = Vec::new();
    for (_, rest) in instructions().into_iter().filter(|(word, _)| word == "FROM") {
        let (base, stage) = rest.split_once(" AS ").unwrap_or((&rest, ""));
        assert!(
            base.starts_with("${") || stages.iter().any(|stage| stage == base),
            "a base beside the arguments: {base}"
        );
        stages.push(stage.to_owned());
    }
}

#[test]
fn the_image_without_a_tag_of_its_own_is_the_one_without_features() {
    assert_eq!((last("FROM").as_str(), last("COPY").split_once(' ').unwrap().0), ("base", "--from=builder"));
    let builds =
        instructions().into_iter().filter(|(word, rest)| word == "RUN" && rest.contains("cargo auditable build"));
    let builds: Vec<_> = builds.map(|(_, rest)| rest.contains("--features tpm")).collect();
    assert_eq!(builds, [false, true]);
}

#[test]
fn all_that_the_image_copies_is_in_the_build_context() {
    let ignored = file(".dockerignore");
    assert!(ignored.lines().any(|line| line == "*"), "secrets and target/ stay out unless named");
    for (_, rest) in instructions().into_iter().filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from")) {
        let words: Vec<&str> = rest.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
            assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is not let in");
        }
    }
}

#[test]
fn a_shipped_binary_unwinds() {
    // A waiter of a panicking exchange is freed by unwinding.
    assert!(!file("Cargo.toml").contains("panic = \"abort\""));
}

#[test]
fn every_step_of_the_gate_is_explained() {
    let (gate, page) = (file(".ci/run"), file("CONTRIBUTING.md"));
    let (_, list) = gate.split_once("${@:-").unwrap();
    let steps: Vec<&str> = list.split('}').next().unwrap().split_whitespace().collect();
    assert!(steps.len() > 8 && steps.last() == Some(&"tests"), "{steps:?}");
    for step in steps {
        assert!(page.contains(&format!("| `{step}` |")), "CONTRIBUTING.md does not explain the step `{step}`");
    }
}

#[test]
fn the_gate_names_no_machine() {
    for path in [".ci/run", ".ci/coverage", ".ci/requirements.txt"] {
        let text = file(path);
        for trace in ["/root", "/home", "/work/", "http://", "https://", "index-url"] {
            assert!(!text.contains(trace), "{path} names {trace}");
        }
    }
}

#[test]
fn the_hot_path_is_closed_to_locks() {
    // Where a held token is found and answered. `clippy.toml` says which types are meant.
    for path in ["src/front/mod.rs", "src/broker/slot.rs", "src/broker/table.rs", "src/dialect/body.rs"] {
        assert!(file(path).contains("#![deny(clippy::disallowed_types)]"), "{path}");
    }
}

#[test]
fn both_licences_are_there_in_full() {
    assert!(file("LICENSE-APACHE").contains("END OF TERMS AND CONDITIONS"));
    assert!(file("LICENSE-MIT").contains("THE SOFTWARE IS PROVIDED \"AS IS\""));
    assert!(file("Cargo.toml").contains("license = \"Apache-2.0 OR MIT\""));
}
