//! The pages that tests write: a section per runtime, between two marker lines. `UNSECRET_BLESS=1` writes it anew.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

const END: &str = "<!-- end of results -->";

/// The tests of two runtimes write into one page.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds the section `name` of `page` to what really came out.
pub fn hold(page: &str, name: &str, real: &str) {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).unwrap();
    let marker = format!("<!-- results: {name} -->\n");
    let (before, rest) = text.split_once(&marker).unwrap_or_else(|| panic!("{page} has no line {marker}"));
    let (held, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: no {END} after {marker}"));
    let real = format!("\n{real}\n");
    if blessing() {
        fs::write(&path, format!("{before}{marker}{real}{END}{after}")).unwrap();
        return;
    }
    for (held, real) in held.lines().zip(real.lines()) {
        assert_eq!(held, real, "{page}, {name}: run this test with UNSECRET_BLESS=1 and read the difference");
    }
    assert_eq!(held.lines().count(), real.lines().count(), "{page}, {name}: run this test with UNSECRET_BLESS=1");
}

/// Whether the pages are written anew.
pub fn blessing() -> bool {
    env::var_os("UNSECRET_BLESS").is_some()
}

/// Whether the page holds this text.
pub fn has(page: &str, text: &str) -> bool {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap().contains(text)
}

/// A text in a table's cell, without what differs from run to run: ports, ids, times.
pub fn steady(text: &str) -> String {
    let words = text.split(' ').map(|word| match word {
        word if word.contains("://127.0.0.1:") || word.contains("://localhost:") => "…",
        word if word.len() == 36 && word.matches('-').count() == 4 => "…",
        word if word.len() >= 8 && word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(['-', ':']) => "…",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
