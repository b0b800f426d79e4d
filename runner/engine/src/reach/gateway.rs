//! The gateway: a container in the stack's networks through which a runner connects that
//! cannot route to them. It ends with the runner's connection.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::json;

use super::tunnel::TunnelClient;
use crate::docker::{Engine, NewContainer};

/// What is needed to get into a stack.
#[derive(Debug, Clone, Default)]
pub struct WayIn {
    /// Ids of its networks.
    pub networks: Vec<String>,
    /// Addresses of the engine's host in them.
    pub gateways: Vec<Ipv4Addr>,
    /// Labels of the gateway.
    pub labels: BTreeMap<String, String>,
    /// The beginning of its name.
    pub name: String,
}

impl WayIn {
    /// Whether this host is the engine's: it has the networks' own addresses, which nobody
    /// else can have. Being able to bind them tells, with any engine and any privilege.
    pub(super) fn is_direct(&self) -> bool {
        self.gateways
            .iter()
            .all(|g| UdpSocket::bind((*g, 0)).is_ok())
    }

    /// Starts the gateway and connects through it.
    pub(super) async fn open(&self, engine: &Engine) -> Result<TunnelClient, Problem> {
        let doing = "start the gateway into the stack";
        let failed = |e: crate::docker::EngineError| e.problem(doing);
        let image = engine.load_agent().await?;
        let first = self.networks.first().map_or("none", String::as_str);
        let body = json!({
            "Image": image,
            "Cmd": ["tunnel"],
            "Labels": self.labels,
            "OpenStdin": true,
            "StdinOnce": true,
            "AttachStdin": true,
            "HostConfig": {
                "NetworkMode": first,
                "AutoRemove": true,
                "ReadonlyRootfs": true,
                // It stands in several networks and must not route between them.
                "Sysctls": {"net.ipv4.ip_forward": "0"},
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                // Every byte of every connection would land in it.
                "LogConfig": {"Type": "none"},
            },
        });
        // Other processes may have gateways into the same stack.
        let name = format!("{}-{}", self.name, uuid::Uuid::new_v4().simple());
        let new = NewContainer {
            name,
            body,
            platform: None,
        };
        let id = engine.create_container(&new).await.map_err(failed)?.id;
        let opened = self.start(engine, &id).await;
        if opened.is_err() {
            let _ = engine.remove_container(&id).await;
        }
        opened
    }

    async fn start(&self, engine: &Engine, id: &str) -> Result<TunnelClient, Problem> {
        let doing = "start the gateway into the stack";
        let failed = |e: crate::docker::EngineError| e.problem(doing);
        for network in self.networks.iter().skip(1) {
            engine
                .connect_network(network, id, &json!({}))
                .await
                .map_err(failed)?;
        }
        let attached = engine.attach(id, true).await.map_err(failed)?;
        engine.start_container(id).await.map_err(failed)?;
        TunnelClient::over(attached)
            .await
            .map_err(|e| Problem::new(ProblemKind::Start, format!("could not {doing}: {e}")))
    }
}
