//! `docs/metrics.md` lists exactly the metrics there are. `UNSECRET_BLESS=1` rewrites the list.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use unsecret::metrics::TABLE;

const HEADING: &str = "| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n";

fn rows() -> String {
    let mut rows = String::new();
    for family in TABLE {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(rows, "| `{}` | {} | {} | {} |", family.name, family.kind, labels.join(", "), family.help);
    }
    rows
}

#[test]
fn the_page_lists_exactly_the_metrics_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(HEADING).unwrap_or_else(|| panic!("no table with the heading\n{HEADING}"));
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    let (listed, after) = rest.split_at(end);
    if env::var_os("UNSECRET_BLESS").is_some() {
        fs::write(&path, format!("{before}{HEADING}{}{after}", rows())).unwrap();
        return;
    }
    assert_eq!(listed, rows(), "run this test with UNSECRET_BLESS=1 to rewrite the table");
}
