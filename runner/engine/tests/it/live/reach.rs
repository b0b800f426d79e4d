use std::sync::Arc;

use prodmirror_engine::live::{UpOptions, standing};
use prodmirror_engine::reach::{Names, Reach, Target, WayIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::plan::{echo, network, plan};
use super::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn services_are_reached_through_the_tunnel_as_well() {
    on_engine(|rig| async move {
        let mut p = plan([
            echo("web"),
            echo("db").with(|c| {
                c.body["HostConfig"]["NetworkMode"] = serde_json::json!("back");
                c.body["NetworkingConfig"]["EndpointsConfig"] = serde_json::json!({"back": {}});
            }),
        ]);
        p.networks.push(network("back"));
        let stack = rig.up_with(p, UpOptions::new(rig.run(), "1")).await;
        let stack = stack.unwrap_or_else(|e| panic!("{e}"));
        let objects = rig.left(stack.run()).await;
        let mut names = Names::default();
        for sandbox in objects
            .iter()
            .filter(|o| o.label("dev.prodmirror.role") == "sandbox")
        {
            let state = rig.engine.inspect_container(&sandbox.id).await.unwrap();
            let service = sandbox.label("dev.prodmirror.service").to_owned();
            let address = *state.addresses.values().next().unwrap();
            names.add(
                &service.clone(),
                Target {
                    service,
                    replica: 1,
                    address,
                },
            );
        }
        let networks = objects
            .iter()
            .filter(|o| o.label("dev.prodmirror.role") == "network");
        let labels = objects[0].labels.clone();
        let way_in = WayIn {
            networks: networks.map(|n| n.id.clone()).collect(),
            gateways: Vec::new(),
            labels,
            name: format!("live-test-{}", stack.run()),
        };
        let reach = Arc::new(Reach::tunnelled(rig.engine.clone(), names, way_in));
        let mut all = Vec::new();
        for i in 0..20u32 {
            let reach = reach.clone();
            all.push(tokio::spawn(async move {
                let mut c = reach
                    .connect(if i % 2 == 0 { "web" } else { "db" }, 7000)
                    .await
                    .unwrap();
                let sent = vec![i as u8; 100_000];
                let (mut read, mut write) = tokio::io::split(&mut c);
                let mut got = vec![0; sent.len()];
                let (a, b) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
                a.unwrap();
                b.unwrap();
                assert_eq!(got, sent);
            }));
        }
        for one in all {
            one.await.unwrap();
        }
        let here = reach.address("web", 7000).await.unwrap();
        assert!(here.ip().is_loopback());
        assert_eq!(reach.address("web", 7000).await.unwrap(), here);
        let mut near = TcpStream::connect(here).await.unwrap();
        near.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        assert!(
            reach
                .connect("web", 1)
                .await
                .err()
                .unwrap()
                .message
                .contains("could not connect to web:1")
        );
        assert!(reach.connect("elsewhere", 80).await.is_err());

        drop((reach, near));
        let run = stack.run().to_owned();
        stack.down(None).await;
        rig.assert_clean(&run).await;
        assert!(
            standing(&rig.engine, None)
                .await
                .unwrap()
                .iter()
                .all(|s| s.run != run)
        );
    })
    .await;
}
