//! The command after a write.

use super::*;

fn sink(script: &str) -> String {
    format!(
        "file = \"{{folder}}/graph.token\"\nscope = \"https://graph.microsoft.com/.default\"\nreload = [\"sh\", \"-c\", \"{script}\"]"
    )
}

/// Waits until the command has ended so, as often as wanted; it must not have more often.
async fn until_ended(world: &World, outcome: &str, times: u32) {
    let file = world.path("graph.token");
    let labels = format!("{{file=\"{}\",identity=\"billing\",outcome=\"{outcome}\"}}", file.display());
    let series = format!("unsecret_sink_reloads_total{labels}");
    let counted = until("the command ended", async || {
        let counted = world.metric(&series).await;
        (counted >= f64::from(times)).then_some(counted)
    })
    .await;
    assert!(counted < f64::from(times) + 0.5, "{counted} times");
}

#[tokio::test]
async fn the_command_runs_once_for_each_write_and_finds_the_new_file() {
    let world =
        World::of(with_sinks(&[&sink("cat {folder}/graph.token >> {folder}/seen; echo >> {folder}/seen")])).await;
    for write in 1..5 {
        until_ended(&world, "success", write).await;
        let seen = read(&world.path("seen"));
        assert_eq!(seen.lines().count(), write as usize);
        assert_eq!(seen.lines().last().unwrap(), read(&world.path("graph.token")));
        world.write_token();
        world.pass(REFRESH).await;
    }
    until_ended(&world, "success", 5).await;
    // News of other slots, and an order that changes nothing, are no writes.
    world.imds(crate::support::world::VAULT).send().await.token();
    world.reload().await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    until_ended(&world, "success", 5).await;
    assert_eq!(read(&world.path("seen")).lines().count(), 5);
}

#[tokio::test]
async fn a_command_that_fails_undoes_nothing_and_runs_again_after_the_next_write() {
    let world = World::of(with_sinks(&[&sink("exit 3")])).await;
    world.until_ready().await;
    until_ended(&world, "sink-reload-failed", 1).await;
    let first = read(&world.path("graph.token"));
    world.write_token();
    world.pass(REFRESH).await;
    until_ended(&world, "sink-reload-failed", 2).await;
    assert_ne!(read(&world.path("graph.token")), first);
    world.until_ready().await;
}
