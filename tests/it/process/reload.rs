//! SIGHUP: the new configuration, or the old one and a word why.

use rustix::process::Signal;

use super::{Running, config, put};
use crate::support::world::{GRAPH, Plan, VAULT, World, until};

const SUCCESSFUL: &str = "unsecret_config_last_reload_successful ";

async fn until_reloaded(broker: &Running, successful: &str) {
    let line = format!("{SUCCESSFUL}{successful}");
    let told = async || broker.page("/metrics").await.body.lines().any(|found| found == line).then_some(());
    until(&line, told).await;
}

#[tokio::test]
async fn sighup_takes_a_good_file_over_and_goes_on_with_the_old_when_it_is_broken() {
    let world = World::new().await;
    let broker = Running::of(&world).await;
    let (graph, vault) = (broker.imds(GRAPH).send().await.token(), broker.imds(VAULT).send().await.token());
    until_reloaded(&broker, "1").await;

    let misspelt = world.config_text().replace("scopes = [", "scops = [");
    put(&world, "config.toml", &misspelt);
    broker.signal(Signal::HUP);
    until_reloaded(&broker, "0").await;
    broker.until_says("the old configuration goes on").await;
    let said = broker.said();
    assert!(said.contains("identity[0].scops") && said.contains("config-invalid"), "{said}");
    assert_eq!(broker.imds(VAULT).send().await.token(), vault);

    // A good file, which withdraws what was held.
    let narrow = world.config_text().replace(&format!(", \"{VAULT}/.default\""), "");
    put(&world, "config.toml", &narrow);
    broker.signal(Signal::HUP);
    until_reloaded(&broker, "1").await;
    let refused = broker.imds(VAULT).send().await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(broker.imds(GRAPH).send().await.token(), graph, "what did not change is kept");
    assert_eq!(world.exchanges(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn a_changed_listener_is_refused_by_name() {
    let mut world = World::of(Plan::default()).await;
    let broker = Running::of(&world).await;
    world.plan.unix = true;
    config(&world);
    broker.signal(Signal::HUP);
    until_reloaded(&broker, "0").await;
    broker.until_says("reload-listener-changed").await;
    assert!(broker.said().contains("`listen.unix`"), "{}", broker.said());
    broker.imds(GRAPH).send().await.token();
    broker.stop().await;
}
