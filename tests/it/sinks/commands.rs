//! The command after a write.

use super::*;

fn sink(script: &str) -> String {
    format!(
        "file = \"{{folder}}/graph.token\"\nscope = \"https://graph.microsoft.com/.default\"\nreload = [\"sh\", \"-c\", \"{script}\"]"
    )
}

async fn metric(world: &World, outcome: &str) -> f64 {
    let file = world.path("graph.token");
    let labels = format!("{{file=\"{}\",identity=\"billing\",outcome=\"{outcome}\"}}", file.display());
    world.metric(&format!("unsecret_sink_reloads_total{labels}")).await
}

#[tokio::test]
async fn the_command_runs_once_for_each_write_and_finds_the_new_file() {
    let world =
        World::of(with_sinks(&[&sink("cat {folder}/graph.token >> {folder}/seen; echo >> {folder}/seen")])).await;
    let seen = async |lines: usize| {
        until("the command ran", async || {
            let seen = std::fs::read_to_string(world.path("seen")).ok()?;
            (seen.lines().count() >= lines && metric(&world, "success").await as usize == lines).then_some(seen)
        })
        .await
    };
    assert_eq!(seen(1).await.trim(), read(&world.path("graph.token")));
    for write in 2..5 {
        world.write_token();
        world.pass(REFRESH).await;
        let lines = seen(write).await;
        assert_eq!(lines.lines().count(), write);
        assert_eq!(lines.lines().last().unwrap(), read(&world.path("graph.token")));
    }
    // News of other slots, and an order that changes nothing, are no writes.
    world.imds(crate::support::world::VAULT).send().await.token();
    world.reload().await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(seen(4).await.lines().count(), 4);
}

#[tokio::test]
async fn a_command_that_fails_undoes_nothing_and_runs_again_after_the_next_write() {
    let world = World::of(with_sinks(&[&sink("exit 3")])).await;
    world.until_ready().await;
    until("it failed once", async || (metric(&world, "sink-reload-failed").await == 1.0).then_some(())).await;
    let first = read(&world.path("graph.token"));
    world.write_token();
    world.pass(REFRESH).await;
    until("it failed twice", async || (metric(&world, "sink-reload-failed").await == 2.0).then_some(())).await;
    assert_ne!(read(&world.path("graph.token")), first);
    world.until_ready().await;
}
