//! Loopback ports that lead to the ports which services publish, for people and their tools.

use std::net::{Ipv4Addr, SocketAddr};

use prodmirror_model::plan::PortPlan;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Reach;

/// One forwarded port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Service.
    pub service: String,
    /// Port in the service.
    pub target: u16,
    /// The host port that the spec declares, when it is a single number.
    pub declared: Option<u16>,
    /// Where it is reached from this host.
    pub address: SocketAddr,
}

impl Forward {
    /// Whether another port than the declared one had to be taken, because that is in use.
    pub fn is_other_port(&self) -> bool {
        self.declared.is_some_and(|d| d != self.address.port())
    }
}

/// Forwarded ports; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Forwards {
    list: Vec<Forward>,
    skipped: Vec<String>,
    tasks: JoinSet<()>,
}

impl Forwards {
    /// Listens on 127.0.0.1 for every published TCP port: on the declared one if it is free,
    /// else on any. Nothing is opened to other hosts.
    pub async fn open(reach: &Reach, ports: &[(String, PortPlan)]) -> Self {
        let mut forwards = Self::default();
        for (service, port) in ports {
            let what = format!("{service}:{}/{}", port.target, port.protocol);
            if port.protocol != "tcp" {
                forwards
                    .skipped
                    .push(format!("{what} is not forwarded: only TCP is"));
                continue;
            }
            let same = |f: &&Forward| f.service == *service && f.target == port.target;
            if forwards
                .list
                .iter()
                .any(|f| same(&f) && f.declared == port.published)
            {
                // Replicas share a port: connections take turns.
                continue;
            }
            match listen(port.published).await {
                Ok((listener, address)) => {
                    forwards.list.push(Forward {
                        service: service.clone(),
                        target: port.target,
                        declared: port.published,
                        address,
                    });
                    let (reach, service) = (reach.clone(), service.clone());
                    forwards
                        .tasks
                        .spawn(serve(listener, reach, service, port.target));
                }
                Err(e) => forwards
                    .skipped
                    .push(format!("{what} is not forwarded: {e}")),
            }
        }
        forwards
    }

    /// What is forwarded.
    pub fn list(&self) -> &[Forward] {
        &self.list
    }

    /// What is not, each with the reason.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

async fn listen(declared: Option<u16>) -> std::io::Result<(TcpListener, SocketAddr)> {
    let wanted = TcpListener::bind((Ipv4Addr::LOCALHOST, declared.unwrap_or(0))).await;
    let listener = match wanted {
        Ok(listener) => listener,
        // In use, or below 1024 without the right: any port will do.
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, reach: Reach, service: String, target: u16) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut near, _)) = accepted else {
                    // Out of file descriptors: some must be closed first.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                let (reach, service) = (reach.clone(), service.clone());
                open.spawn(async move {
                    let _ = near.set_nodelay(true);
                    if let Ok(mut far) = reach.connect(&service, target).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
}
