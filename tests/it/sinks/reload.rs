//! A new configuration: sinks that stay, change, come and go.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::support::world::GRAPH;

const STAYS: &str = "file = \"{folder}/stays\"\nscope = \"https://graph.microsoft.com/.default\"";
const GOES: &str = "file = \"{folder}/goes\"\nscope = \"https://vault.azure.net/.default\"";
const ASSERTION: &str = "file = \"{folder}/assertion\"\nassertion = true";

#[tokio::test]
async fn unchanged_sinks_go_on_withdrawn_ones_take_their_file_along_and_new_ones_are_written() {
    let mut world = World::of(with_sinks(&[STAYS, GOES, ASSERTION])).await;
    world.until_ready().await;
    let inode = |name: &str| world.path(name).metadata().unwrap().ino();
    let (stays, assertion) = (inode("stays"), inode("assertion"));
    let exchanges = world.exchanges();
    world.plan.more = with_sinks(&[
        STAYS,
        ASSERTION,
        "file = \"{folder}/comes\"\nscope = \"https://graph.microsoft.com/.default\"\nformat = \"header\"",
    ])
    .more;
    world.reload().await.unwrap();
    until("the withdrawn file is gone", async || (!world.path("goes").exists()).then_some(())).await;
    until("the new file is there", async || world.path("comes").exists().then_some(())).await;
    assert_eq!(world.exchanges(), exchanges, "the token was held");
    let inode = |name: &str| world.path(name).metadata().unwrap().ino();
    assert_eq!((inode("stays"), inode("assertion")), (stays, assertion), "not written again");
    let page = world.admin_page("/metrics").await;
    assert!(!page.contains("unsecret_sink_expiry_timestamp_seconds{file=\"/goes"), "{page}");
    let before = read(&world.path("stays"));
    world.write_token();
    world.pass(REFRESH).await;
    assert_eq!(until_replaced(&world.path("stays"), &before).await, world.imds(GRAPH).send().await.token());
}

#[tokio::test]
async fn a_changed_mode_is_written_anew_and_a_refused_reload_changes_nothing() {
    let mut world = World::of(with_sinks(&[STAYS])).await;
    world.until_ready().await;
    let good = world.plan.more.clone();
    world.plan.more = with_sinks(&[STAYS, STAYS]).more;
    world.reload().await.unwrap_err();
    world.plan.more = good + "mode = \"0640\"\n";
    world.reload().await.unwrap();
    until("the mode is changed", async || {
        (world.path("stays").metadata().unwrap().permissions().mode() & 0o7777 == 0o640).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_leaves_the_files() {
    let world = World::of(with_sinks(&[STAYS, ASSERTION])).await;
    world.until_ready().await;
    let files = [world.path("stays"), world.path("assertion")].map(|path| (read(&path), path));
    world.app.stop().await;
    for (content, path) in files {
        assert_eq!(read(&path), content);
    }
}

#[tokio::test]
async fn a_file_that_somebody_removed_comes_back_with_a_reload() {
    let world = World::of(with_sinks(&[STAYS, ASSERTION])).await;
    world.until_ready().await;
    let before = read(&world.path("stays"));
    for name in ["stays", "assertion"] {
        std::fs::remove_file(world.path(name)).unwrap();
    }
    world.reload().await.unwrap();
    until("both are back", async || (world.path("stays").exists() && world.path("assertion").exists()).then_some(()))
        .await;
    assert_eq!(read(&world.path("stays")), before);
}

#[tokio::test]
async fn a_file_that_goes_to_another_identity_is_written_for_it_and_leaves_no_series_behind() {
    let mut world = World::of(with_sinks(&[STAYS])).await;
    world.until_ready().await;
    let before = read(&world.path("stays"));
    world.plan.environment = vec![("UNSECRET_NAME", "reports".to_owned())];
    world.reload().await.unwrap();
    let after = until_replaced(&world.path("stays"), &before).await;
    assert_ne!(after, before);
    until("only the new identity is shown", async || {
        let page = world.admin_page("/metrics").await;
        let mut ends = page.lines().filter(|line| line.starts_with("unsecret_sink_expiry_timestamp_seconds{"));
        (ends.next()?.contains("identity=\"reports\"") && ends.next().is_none()).then_some(())
    })
    .await;
}
