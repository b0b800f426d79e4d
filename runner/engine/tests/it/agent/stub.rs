//! Stubs under the names of the externals that they stand for.

use prodmirror_agent::wire::{Event, StubConfig};
use prodmirror_engine::agent::RunCa;
use serde_json::json;

use super::rig::{Rig, Running, file, on_engine};

const NAME: &str = "api.payments.example";

async fn stub(rig: &Rig, network: &str, config: &StubConfig) -> Running {
    let body = json!({
        "HostConfig": {
            "NetworkMode": network, "CapDrop": ["ALL"], "CapAdd": ["NET_BIND_SERVICE"],
        },
        "NetworkingConfig": { "EndpointsConfig": { network: { "Aliases": [NAME] } } },
    });
    let id = rig.create(&["stub", "--config", "/stub.json"], body).await;
    let text = serde_json::to_string(config).unwrap();
    rig.engine
        .put_archive(&id, "/", file("stub.json", &text))
        .await
        .unwrap();
    let stub = rig.start(id).await;
    stub.events
        .wait_for("ready", |event| matches!(event, Event::Ready(_)))
        .await;
    stub
}

#[tokio::test]
async fn a_stub_answers_under_the_external_name_with_tls() {
    on_engine(async |rig| {
        let net = rig.network().await;
        let ca = RunCa::new(&rig.run).unwrap();
        let mut config: StubConfig = serde_json::from_value(json!({
            "name": "payments",
            "listen": [{ "port": 443 }, { "port": 80 }, { "port": 25, "raw": { "kind": "bytes", "text": "220 hi\r\n" } }],
            "routes": [{
                "method": "GET", "path": "/v1/charges/*",
                "respond": { "status": 201, "json": { "id": "{{match.1}}", "n": "{{counter}}" }, "template": true },
            }],
        }))
        .unwrap();
        config.listen[0].tls = Some(ca.issue(&[NAME.to_owned()]).unwrap());
        let stub = stub(&rig, &net.name, &config).await;
        let sandbox = rig.sandbox(&net, "a", json!({})).await;
        let service = rig.service(&sandbox, &["hold"]).await;
        rig.engine.put_archive(&service.id, "/", file("ca.pem", ca.pem())).await.unwrap();
        let url = format!("https://{NAME}/v1/charges/ch_7?x=1");
        let probed = rig.probe(&service, &["http", &url, "--ca", "/ca.pem"]).await;
        assert_eq!(probed.answer.as_deref(), Some("201\n{\"id\":\"ch_7\",\"n\":1}"), "{probed:?}");
        let wanted = |event: &Event| {
            matches!(event, Event::StubRequest { stub, port: 443, method, path, status: 201, route: Some(0), .. }
                if stub == "payments" && method == "GET" && path == "/v1/charges/ch_7")
        };
        stub.events.wait_for("stub_request", wanted).await;
        let other = rig.probe(&service, &["http", &format!("http://{NAME}/other")]).await;
        assert_eq!(other.answer.as_deref(), Some("404\n{\"error\":\"no stub route\"}"));
        let raw = rig.probe(&service, &["tcp", &format!("{NAME}:25"), "x"]).await;
        assert_eq!(raw.answer.as_deref(), Some("220 hi\r\n"));
        // Without the run's authority nobody trusts the stub.
        let distrusted = rig.probe(&service, &["http", &url]).await;
        assert!(!distrusted.ok);
        stub.events.wait_for("refused", |event| matches!(event, Event::StubRefused { port: 443, .. })).await;
        // What was asked is shown to the stub's own container, not to the stack.
        let path = "/__prodmirror/requests";
        let outside = rig.probe(&service, &["http", &format!("http://{NAME}{path}")]).await;
        assert!(outside.answer.unwrap().starts_with("404"));
        let inside = rig.probe(&stub, &["http", &format!("http://127.0.0.1{path}")]).await;
        let text = inside.answer.unwrap();
        assert!(text.starts_with("200\n"), "{text}");
        let kept: serde_json::Value = serde_json::from_str(&text[4..]).unwrap();
        assert_eq!(kept["total"], 3);
        assert_eq!(kept["requests"][0]["path"], "/v1/charges/ch_7");
        assert_eq!(kept["requests"][0]["query"], "x=1");
    })
    .await;
}
