//! Lays the functions that `run` uses beside each other in the program.
//!
//! The kernel maps 64 KiB and more around each page that is touched, so functions that lie scattered among those of other
//! verbs bring these along: 2 to 3 MB of resident memory (docs/performance.md). Nothing depends on it. Easy to get wrong:
//! linkers differ, so this speaks only to the one that came with the compiler, and keeps out of where another was chosen.
//!
//! And lets the packages with the feature `tpm` be linked for an older glibc than this machine's libtss2 is made for.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of functions as they are, then with `*` for what differs between builds, a line each; `cargo bench --bench order` writes them.
const USED: &str = "benches/order/used-functions.txt";
/// Set, it leaves the functions where they are: valgrind finds no names in a section of our own, so the list is made thus.
const OFF: &str = "UNSECRET_NO_ORDER";
/// Where the list was made. On others names and linkers are different.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tell(&format!("rerun-if-changed={USED}"));
    tell(&format!("rerun-if-env-changed={OFF}"));
    if env::var_os("CARGO_FEATURE_TPM").is_some() {
        // What libtss2 itself wants of glibc is a matter of the machine that it is on at run time.
        tell("rustc-link-arg-bins=-Wl,--allow-shlib-undefined");
    }
    let Some(folder) = own_linker() else { return Ok(()) };
    let mut script = "SECTIONS\n{\n  .text.used :\n  {\n".to_owned();
    for name in fs::read_to_string(USED)?.lines() {
        writeln!(script, "    *(.text.{name} .text.unlikely.{name})")?;
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    let file = Path::new(&env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("used-functions.ld");
    fs::write(&file, script)?;
    for argument in [&format!("-B{}", folder.display()), "-fuse-ld=lld", "-T", &file.display().to_string()] {
        tell(&format!("rustc-link-arg-bins={argument}"));
    }
    Ok(())
}

/// The directory of the linker that came with the compiler, where it is there and nobody wants another.
fn own_linker() -> Option<PathBuf> {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let chosen = env::var_os(OFF).is_some()
        || env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if chosen || !is("PROFILE", "release") || !is("TARGET", TARGET) || !is("HOST", TARGET) {
        return None;
    }
    let said = Command::new(env::var_os("RUSTC")?).args(["--print", "sysroot"]).output().ok()?;
    let folder =
        Path::new(String::from_utf8(said.stdout).ok()?.trim()).join("lib/rustlib").join(TARGET).join("bin/gcc-ld");
    folder.join("ld.lld").exists().then_some(folder)
}

/// Cargo reads what a build script prints.
fn tell(text: &str) {
    println!("cargo::{text}");
}
