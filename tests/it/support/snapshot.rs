//! Texts that the program is held to, in `tests/it/snapshots/`. `UNSECRET_BLESS=1` writes them instead of comparing.
//!
//! For what a person reads and should read with care when it changes: help, errors, reports. Easy to get wrong: whatever
//! differs from run to run (ports, scratch paths, times) is made the same before, by the test that knows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "it", "snapshots"].iter().collect()
}

fn blessing() -> bool {
    std::env::var_os("UNSECRET_BLESS").is_some()
}

/// Holds `real` to the snapshot `name` (`help/run.txt`): what differs, if it does.
pub fn compare(name: &str, real: &str) -> Result<(), String> {
    let path = root().join(name);
    if blessing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, real).unwrap();
        return Ok(());
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    if held == real {
        return Ok(());
    }
    let line = held.lines().zip(real.lines()).take_while(|(held, real)| held == real).count();
    let (held, real) = (held.lines().nth(line).unwrap_or("(end)"), real.lines().nth(line).unwrap_or("(end)"));
    Err(format!("tests/it/snapshots/{name}:{}\n  held  {held}\n  real  {real}", line + 1))
}

/// Fails with all that differs.
pub fn held(differences: impl IntoIterator<Item = Result<(), String>>) {
    let differences: Vec<String> = differences.into_iter().filter_map(Result::err).collect();
    assert!(
        differences.is_empty(),
        "\n{}\nIf this is meant, write them anew with UNSECRET_BLESS=1 and read the difference.",
        differences.join("\n")
    );
}

/// Fails for snapshots of `folder` that no test names any more; blessing removes them.
pub fn no_others(folder: &str, names: impl IntoIterator<Item = String>) {
    let names: BTreeSet<String> = names.into_iter().collect();
    assert!(!names.is_empty(), "{folder}: nothing is held to anything");
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if names.contains(path.file_name().unwrap().to_str().unwrap()) {
            continue;
        }
        assert!(blessing(), "{} belongs to nothing: delete it, or bless", path.display());
        fs::remove_file(path).unwrap();
    }
}
