//! Connections into a stack through a gateway container.

use std::io::ErrorKind;
use std::time::Instant;

use prodmirror_agent::wire::DNS_SINK;
use prodmirror_engine::reach::TunnelClient;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::rig::{Net, Rig, SOON, on_engine};

async fn tunnel(rig: &Rig, net: &Net) -> (String, TunnelClient) {
    let body = json!({
        "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true,
        "HostConfig": {
            "NetworkMode": net.name, "CapDrop": ["ALL"], "CapAdd": ["NET_BIND_SERVICE"], "ReadonlyRootfs": true,
            "LogConfig": { "Type": "none" }, "Dns": [DNS_SINK],
        },
    });
    let id = rig.create(&["tunnel"], body).await;
    let attached = rig.engine.attach(&id, true).await.unwrap();
    rig.engine.start_container(&id).await.unwrap();
    let client = timeout(SOON, TunnelClient::over(attached))
        .await
        .unwrap()
        .unwrap();
    (id, client)
}

#[tokio::test]
async fn services_are_reached_through_the_tunnel() {
    on_engine(async |rig| {
        let net = rig.network().await;
        let sandbox = rig.sandbox(&net, "db", json!({})).await;
        rig.service(&sandbox, &["probe", "listen", "tcp:7000"])
            .await;
        let (gateway, client) = tunnel(&rig, &net).await;
        let stream = timeout(SOON, client.connect("db", 7000))
            .await
            .unwrap()
            .unwrap();
        let data: Vec<u8> = (0..8 << 20).map(|index: usize| (index / 7) as u8).collect();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sent = data.clone();
        let start = Instant::now();
        let send = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
            writer
        });
        let mut back = Vec::new();
        timeout(SOON, reader.read_to_end(&mut back))
            .await
            .unwrap()
            .unwrap();
        println!("8 MiB there and back in {:?}", start.elapsed());
        assert!(back == data);
        drop(send.await.unwrap());

        let mut stream = client.connect("db", 7000).await.unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            stream.write_all(b"x").await.unwrap();
            stream.read_u8().await.unwrap();
        }
        println!("round trip {:?}", start.elapsed() / 100);

        let refused = client.connect("db", 7001).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let unknown = timeout(SOON, client.connect("nobody", 1))
            .await
            .unwrap()
            .unwrap_err();
        assert!(unknown.to_string().contains("no such host"), "{unknown}");

        // With its last user the gateway ends.
        drop((client, stream, reader));
        let ended = async {
            while rig
                .engine
                .inspect_container(&gateway)
                .await
                .unwrap()
                .running
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, ended).await.expect("the gateway ends");
    })
    .await;
}

#[tokio::test]
async fn a_lost_gateway_ends_its_connections() {
    on_engine(async |rig| {
        let net = rig.network().await;
        let sandbox = rig.sandbox(&net, "db", json!({})).await;
        rig.service(&sandbox, &["probe", "listen", "tcp:7000"])
            .await;
        let (gateway, client) = tunnel(&rig, &net).await;
        let mut stream = client.connect("db", 7000).await.unwrap();
        rig.engine.remove_container(&gateway).await.unwrap();
        assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
        assert!(client.connect("db", 7000).await.is_err());
        assert!(client.ended().is_some());
    })
    .await;
}
