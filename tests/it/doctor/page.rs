//! docs/troubleshooting.md shows what doctor prints.

use super::Clinic;
use crate::support::world::SUBJECT;
use unsecret::emulator::PlatformToken;

/// The lines of the block that says it is held here.
fn shown() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md")).unwrap();
    let (_, rest) = page.split_once("<!-- tested: doctor/page -->\n").unwrap();
    let lines = rest.lines().skip(1).take_while(|line| *line != "```");
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_shows_lines_that_are_printed_in_that_order() {
    let clinic = Clinic::new().await;
    clinic.present(&PlatformToken::new(SUBJECT.replace("billing", "Billing"), "api://AzureADTokenExchange"));
    let examined = clinic.examine().await;
    let printed = clinic.steady(&examined.stdout);
    let mut printed = printed.lines();
    let shown = shown();
    assert!(shown.len() > 10, "{shown:?}");
    // A line of three dots stands for those that are left out.
    for line in shown.iter().filter(|line| line.trim() != "…") {
        assert!(printed.any(|real| real == line), "not printed, or not in this order: {line}");
    }
}
