//! What `docs/kubernetes.md` lists, held to the code.

use std::fs;
use std::path::Path;

use unsecret::inject::{Reason, annotation_table};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubernetes.md");
const TABLE: &str = "| annotation | value |";

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

#[test]
fn the_table_of_annotations_is_that_of_the_code() {
    let page = page();
    let start = page.find(TABLE).expect("the page has the table");
    let end = start + page[start..].find("\n\n").unwrap() + 1;
    let table = annotation_table();
    if std::env::var_os("UNSECRET_BLESS").is_some() {
        fs::write(Path::new(PAGE), format!("{}{table}{}", &page[..start], &page[end..])).unwrap();
        return;
    }
    assert!(
        page[start..end] == table,
        "write it anew: UNSECRET_BLESS=1 cargo test --test deploy inject::page\n{table}"
    );
}

#[test]
fn every_reason_is_on_the_page() {
    let page = page();
    for reason in Reason::ALL {
        assert!(page.contains(&format!("`{}`", reason.as_str())), "{}", reason.as_str());
    }
}
