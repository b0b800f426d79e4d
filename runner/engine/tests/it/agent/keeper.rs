//! The keeper of a run's lease.

use std::time::Duration;

use prodmirror_agent::wire::{CONFIG_ENV, KeeperConfig, LABEL_KEEP, LABEL_RUN};
use prodmirror_engine::docker::{Attached, Found};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::rig::{Net, Rig, SOON, on_engine};

/// A started keeper and its stdin.
struct Keeper {
    id: String,
    attached: Attached,
}

impl Keeper {
    async fn start(rig: &Rig, grace: Duration) -> Self {
        let config = KeeperConfig {
            run: rig.run.clone(),
            grace_ms: grace.as_millis() as u64,
            socket: "/var/run/docker.sock".to_owned(),
        };
        let config = serde_json::to_string(&config).unwrap();
        let body = json!({
            "Env": [format!("{CONFIG_ENV}={config}")],
            "OpenStdin": true, "StdinOnce": true, "AttachStdin": true,
            "HostConfig": {
                "NetworkMode": "none", "AutoRemove": true,
                "Binds": ["/var/run/docker.sock:/var/run/docker.sock"],
            },
        });
        let id = rig.create(&["keeper"], body).await;
        let attached = rig.engine.attach(&id, true).await.unwrap();
        rig.engine.start_container(&id).await.unwrap();
        let mut keeper = Self { id, attached };
        keeper.write(b"\n").await;
        keeper
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.attached.input.write_all(bytes).await.unwrap();
        self.attached.input.flush().await.unwrap();
    }
}

/// Waits until the keeper's container is gone.
async fn gone(rig: &Rig, keeper: &str) {
    let gone = async {
        while rig.engine.inspect_container(keeper).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, gone)
        .await
        .expect("the keeper ends and is removed");
}

/// A small stack: a network, a sandbox, a service in it, a volume.
async fn stack(rig: &Rig) -> Net {
    let net = rig.network().await;
    rig.volume().await;
    let sandbox = rig.sandbox(&net, "a", json!({})).await;
    rig.service(&sandbox, &["hold"]).await;
    net
}

fn names(objects: &[Found]) -> Vec<&str> {
    objects.iter().map(|object| object.name.as_str()).collect()
}

#[tokio::test]
async fn the_end_of_its_input_removes_the_run_and_nothing_else() {
    on_engine(async |rig| {
        let other = rig.other_run();
        tokio::join!(stack(&rig), stack(&other));
        let keeper = Keeper::start(&rig, SOON).await;
        let Keeper { id, attached } = keeper;
        drop(attached);
        gone(&rig, &id).await;
        let (left, others) = (rig.objects(&rig.run).await, other.objects(&other.run).await);
        assert!(left.is_empty(), "left: {:?}", names(&left));
        assert_eq!(others.len(), 4, "{:?}", names(&others));
    })
    .await;
}

#[tokio::test]
async fn silence_removes_the_run() {
    on_engine(async |rig| {
        stack(&rig).await;
        let mut keeper = Keeper::start(&rig, Duration::from_millis(1500)).await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            keeper.write(b"\n").await;
        }
        // Beats kept it for longer than the grace.
        assert_eq!(rig.objects(&rig.run).await.len(), 5);
        gone(&rig, &keeper.id).await;
        assert!(rig.objects(&rig.run).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_release_leaves_everything() {
    on_engine(async |rig| {
        stack(&rig).await;
        let mut keeper = Keeper::start(&rig, SOON).await;
        keeper.write(b"release\n").await;
        gone(&rig, &keeper.id).await;
        assert_eq!(rig.objects(&rig.run).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_stays_with_what_it_needs() {
    on_engine(async |rig| {
        let net = stack(&rig).await;
        let sandbox = rig.sandbox(&net, "kept", json!({})).await;
        let body = json!({
            "Labels": { LABEL_KEEP: "true", LABEL_RUN: rig.run },
            "HostConfig": { "NetworkMode": format!("container:{}", sandbox.id) },
        });
        let kept = rig.create(&["hold"], body).await;
        rig.engine.start_container(&kept).await.unwrap();
        let Keeper { id, attached } = Keeper::start(&rig, SOON).await;
        drop(attached);
        gone(&rig, &id).await;
        let left = rig.objects(&rig.run).await;
        let ids: Vec<_> = left.iter().map(|object| object.id.as_str()).collect();
        assert_eq!(left.len(), 3, "{:?}", names(&left));
        for id in [&kept, &sandbox.id, &net.id] {
            assert!(ids.contains(&id.as_str()), "{id} is gone");
        }
        assert!(rig.engine.inspect_container(&kept).await.unwrap().running);
    })
    .await;
}
