//! Names: declared ones resolve, all others do not exist, at once.

use prodmirror_agent::wire::Event;
use serde_json::{Value, json};

use super::rig::on_engine;

/// The most that a name which does not exist may cost.
const AT_ONCE_MS: f64 = 100.0;

async fn check_names(config: Value) {
    on_engine(async move |rig| {
        let net = rig.network().await;
        let sandbox = rig.sandbox(&net, "db.prod.example", config).await;
        let service = rig.service(&sandbox, &["hold"]).await;
        let address = rig.address(&sandbox, &net).await.to_string();
        let declared = rig.probe(&service, &["dns", "DB.prod.example"]).await;
        assert_eq!(declared.answer, Some(address), "{declared:?}");
        for kind in ["A", "AAAA"] {
            let name = "Telemetry.Vendor.Example";
            let probed = rig.probe(&service, &["dns", name, kind]).await;
            assert_eq!(
                probed.error.as_deref(),
                Some("code 3"),
                "{kind}: {probed:?}"
            );
            assert!(probed.ms < AT_ONCE_MS, "{kind}: {probed:?}");
            println!("{kind} of a name that does not exist: {:.1} ms", probed.ms);
            let wanted = |event: &Event| {
                matches!(event, Event::Dns { name, qtype, verdict }
                    if name == "telemetry.vendor.example" && qtype == kind && verdict == "nxdomain")
            };
            sandbox.events.wait_for(kind, wanted).await;
        }
        let reverse = rig
            .probe(&service, &["dns", "1.2.0.192.in-addr.arpa", "PTR"])
            .await;
        assert!(!reverse.ok && reverse.ms < AT_ONCE_MS, "{reverse:?}");
        // Each is reported once.
        rig.probe(&service, &["dns", "telemetry.vendor.example"])
            .await;
        let reported = |event: &Event| matches!(event, Event::Dns { qtype, .. } if qtype == "A");
        assert_eq!(sandbox.events.all().into_iter().filter(reported).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn undeclared_names_do_not_exist() {
    check_names(json!({})).await;
}

#[tokio::test]
async fn undeclared_names_do_not_exist_behind_the_front() {
    check_names(json!({ "dns_front": "always" })).await;
}
