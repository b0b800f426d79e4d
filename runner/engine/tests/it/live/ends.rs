//! Services that end, and what is known of it.

use std::time::Duration;

use prodmirror_model::event::{ServiceState, What};
use serde_json::json;

use super::plan::{plan, service};
use super::rig::on_engine;

const DEBIAN: &str = "registry.shop.example/debian:bookworm";

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_engine_shows_is_told_of() {
    on_engine(|rig| async move {
        let names = ["a", "b", "c", "d"];
        let sleeps = names.map(|name| {
            service(name, &[]).with(|c| {
                c.image = DEBIAN.into();
                c.body["Cmd"] = json!(["sleep", "infinity"]);
            })
        });
        let stack = rig.up(plan(sleeps)).await.unwrap();
        for name in names {
            let id = stack.containers(name).unwrap().remove(0);
            rig.engine.kill_container(&id, "SIGKILL").await.unwrap();
            let within = Duration::from_secs(20);
            let ended = tokio::time::timeout(within, rig.engine.wait_container(&id)).await;
            assert_eq!(ended.unwrap().unwrap(), 137);
            stack.hear_of_ends().await;
            let told = rig.sink.all().into_iter().any(|what| {
                matches!(what, What::Service { service, state: ServiceState::Died, .. } if service == name)
            });
            assert!(told, "{name}");
        }
    })
    .await;
}
