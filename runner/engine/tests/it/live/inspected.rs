//! A container that was captured by `docker inspect` comes out of the mirror as it was shown.

use std::collections::BTreeMap;

use prodmirror_engine::docker::Found;
use prodmirror_model::compile::{Inputs, compile};
use prodmirror_model::project::Project;
use serde_json::{Value, json};

use super::agree::{facts, inspected};
use super::rig::on_engine;

/// Where the captured container says something, and its mirror must say the same.
const OF_THE_SERVICE: [&str; 25] = [
    "/Config/Cmd",
    "/Config/Entrypoint",
    "/Config/Env",
    "/Config/Healthcheck/Interval",
    "/Config/Healthcheck/Retries",
    "/Config/Healthcheck/StartPeriod",
    "/Config/Healthcheck/Test",
    "/Config/Healthcheck/Timeout",
    "/Config/Labels/com.example.team",
    "/Config/OpenStdin",
    "/Config/StopSignal",
    "/Config/StopTimeout",
    "/Config/Tty",
    "/Config/User",
    "/Config/WorkingDir",
    "/HostConfig/CapDrop",
    "/HostConfig/CpuShares",
    "/HostConfig/GroupAdd",
    "/HostConfig/LogConfig",
    "/HostConfig/Memory",
    "/HostConfig/OomScoreAdj",
    "/HostConfig/PidsLimit",
    "/HostConfig/ReadonlyRootfs",
    "/HostConfig/ShmSize",
    "/HostConfig/Tmpfs",
];

/// The same, for what the service's network namespace holds.
const OF_THE_SANDBOX: [&str; 3] = [
    "/Config/Hostname",
    "/HostConfig/DnsSearch",
    "/HostConfig/Sysctls",
];

fn captured() -> Value {
    json!([{
        "Id": "6f0e0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab",
        "Name": "/shown-web-1",
        "Image": "sha256:1111",
        "State": { "Status": "running", "Running": true },
        "Config": {
            "Image": "registry.example/shop/web:1",
            "Hostname": "web-host",
            "User": "1000:1000",
            "Tty": true,
            "OpenStdin": true,
            "Env": ["A=1", "DOLLAR=a$b ${C}", "EMPTY="],
            "Cmd": ["hold"],
            "Entrypoint": ["/prodmirror-agent"],
            "WorkingDir": "/tmp",
            "StopSignal": "SIGINT",
            "StopTimeout": 2,
            "Healthcheck": {
                "Test": ["CMD", "/prodmirror-agent", "version"], "Interval": 5_000_000_000_i64,
                "Timeout": 3_000_000_000_i64, "StartPeriod": 10_000_000_000_i64, "Retries": 4,
            },
            "Labels": {
                "com.docker.compose.project": "shown", "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "1", "com.example.team": "store",
            },
        },
        "HostConfig": {
            "NetworkMode": "shown_front",
            "CapDrop": ["ALL"],
            "CpuShares": 512,
            "DnsSearch": ["corp.example"],
            "GroupAdd": ["44"],
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m" } },
            "Memory": 67_108_864, "MemorySwap": 134_217_728,
            "OomScoreAdj": 500,
            "PidsLimit": 32,
            "ReadonlyRootfs": true,
            "ShmSize": 33_554_432,
            "Sysctls": { "net.core.somaxconn": "512" },
            "Tmpfs": { "/run": "size=1m,mode=1777", "/tmp": "" },
        },
        "NetworkSettings": { "Networks": { "shown_front": { "Aliases": ["www"] } } },
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_container_is_mirrored_as_it_was_shown() {
    on_engine(|rig| async move {
        let image = rig.engine.image_id(&rig.agent).await.unwrap().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write("containers.json", captured().to_string());
        let mirror = format!(
            "production: [containers.json]\nimages: {{ under_test: {{ web: \"{image}\" }} }}\n"
        );
        write("mirror.yaml", mirror);
        let project = Project::load(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let inputs = Inputs {
            agent_image: rig.agent.clone(),
            ..Inputs::default()
        };
        let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
        let ready = compiled.ready().unwrap_or_else(|e| panic!("{e}"));
        let planned = ready
            .plan(&project, &BTreeMap::new(), facts(&rig))
            .unwrap_or_else(|e| panic!("{e}"));
        let stack = rig.up(planned).await.unwrap_or_else(|e| panic!("{e}"));
        let objects: Vec<Found> = rig.left(stack.run()).await;
        let shown = captured();
        for (role, fields) in [
            ("service", &OF_THE_SERVICE[..]),
            ("sandbox", &OF_THE_SANDBOX[..]),
        ] {
            let found = inspected(&rig, &objects, role, "web", 1).await;
            let live = found.unwrap_or_else(|| panic!("no {role}"));
            for field in fields {
                let wanted = shown[0].pointer(field);
                assert!(wanted.is_some(), "{field}");
                let actual = live.pointer(field);
                let same = match *field {
                    // The engine keeps no order there.
                    "/Config/Env" => has_all(actual, wanted),
                    // The engine adds the options that its own configuration has.
                    "/HostConfig/LogConfig" => logs_alike(actual, wanted),
                    _ => actual == wanted,
                };
                assert!(same, "{role} {field}: {actual:?} for {wanted:?}");
            }
        }
    })
    .await;
}

fn has_all(actual: Option<&Value>, wanted: Option<&Value>) -> bool {
    let list = |v: Option<&Value>| v.and_then(Value::as_array).cloned().unwrap_or_default();
    let actual = list(actual);
    list(wanted).iter().all(|w| actual.contains(w))
}

/// Whether a driver is the wanted one, with the wanted options among its own.
fn logs_alike(actual: Option<&Value>, wanted: Option<&Value>) -> bool {
    let (Some(actual), Some(wanted)) = (actual, wanted) else {
        return false;
    };
    let options = wanted["Config"].as_object().into_iter().flatten();
    actual["Type"] == wanted["Type"]
        && options
            .into_iter()
            .all(|(k, v)| actual["Config"].get(k) == Some(v))
}
