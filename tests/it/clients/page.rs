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
    if env::var_os("UNSECRET_BLESS").is_some() {
        fs::write(&path, format!("{before}{marker}{real}{END}{after}")).unwrap();
        return;
    }
    for (held, real) in held.lines().zip(real.lines()) {
        assert_eq!(held, real, "{page}, {name}: run this test with UNSECRET_BLESS=1 and read the difference");
    }
    assert_eq!(held.lines().count(), real.lines().count(), "{page}, {name}: run this test with UNSECRET_BLESS=1");
}
