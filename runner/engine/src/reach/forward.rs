//! Loopback ports that lead to ports of services, for people and their tools.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use prodmirror_model::diag::Problem;
use prodmirror_model::plan::PortPlan;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Connection, Reach};

/// Makes a connection, each time that it is asked.
pub type Way =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Connection, Problem>> + Send + Sync + 'static>;

/// Why a port is forwarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The spec publishes it.
    #[default]
    Declared,
    /// It was asked for.
    Asked,
    /// It is a real port at the address of a name of production.
    Name,
    /// It was opened for a debugger.
    Debugger,
}

/// One forwarded port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Service, or another name of production that leads to it.
    pub service: String,
    /// Port in the service.
    pub target: u16,
    /// The host port that the spec declares, when it is a single number.
    pub declared: Option<u16>,
    /// Where it is reached from this host.
    pub address: SocketAddr,
    /// Why it is there.
    #[serde(default)]
    pub why: Why,
}

impl Forward {
    /// Whether another port than the declared one had to be taken, because that is in use.
    pub fn is_other_port(&self) -> bool {
        self.declared.is_some_and(|d| d != self.address.port())
    }
}

/// A port that is to be forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Service, or another name of production that leads to it.
    pub service: String,
    /// Port in the service.
    pub target: u16,
    /// Address of this host to listen at.
    pub at: IpAddr,
    /// Port of this host; absent = any.
    pub port: Option<u16>,
    /// Whether no other port of this host would do.
    pub exact: bool,
    /// Why it is wanted.
    pub why: Why,
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
            forwards.publish(reach, service, port, Why::Declared).await;
        }
        forwards
    }

    /// Listens on 127.0.0.1 for one more port, unless it is forwarded already.
    pub async fn publish(&mut self, reach: &Reach, service: &str, port: &PortPlan, why: Why) {
        if port.protocol != "tcp" {
            let what = format!("{service}:{}/{}", port.target, port.protocol);
            self.skip(format!("{what} is not forwarded: only TCP is"));
            return;
        }
        let same = |f: &&Forward| f.service == service && f.target == port.target;
        let wanted = |f: &Forward| why != Why::Declared || f.declared == port.published;
        if self.list.iter().filter(same).any(wanted) {
            // Replicas share a port: connections take turns.
            return;
        }
        // Who asked for a port finds it under its own number where that can be.
        let own = (why != Why::Declared).then_some(port.target);
        let wish = Wish {
            service: service.to_owned(),
            target: port.target,
            at: Ipv4Addr::LOCALHOST.into(),
            port: port.published.or(own),
            exact: false,
            why,
        };
        let declared = port.published;
        if let Err(e) = self
            .add(&wish, declared, reach.way(service, port.target))
            .await
        {
            self.skip(format!(
                "{service}:{}/tcp is not forwarded: {e}",
                port.target
            ));
        }
    }

    /// Listens for one more port, and leads its connections by `way`.
    ///
    /// # Errors
    /// It cannot be listened there.
    pub async fn add(
        &mut self,
        wish: &Wish,
        declared: Option<u16>,
        way: Way,
    ) -> std::io::Result<SocketAddr> {
        let listener = listen(wish).await?;
        let address = listener.local_addr()?;
        self.list.push(Forward {
            service: wish.service.clone(),
            target: wish.target,
            declared,
            address,
            why: wish.why,
        });
        self.tasks.spawn(serve(listener, way, wish.why));
        Ok(address)
    }

    /// Notes a port that is not forwarded, with the reason.
    pub fn skip(&mut self, what: String) {
        if !self.skipped.contains(&what) {
            self.skipped.push(what);
        }
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

async fn listen(wish: &Wish) -> std::io::Result<TcpListener> {
    let wanted = TcpListener::bind((wish.at, wish.port.unwrap_or(0))).await;
    match wanted {
        // In use, or below 1024 without the right: any port will do.
        Err(_) if !wish.exact => TcpListener::bind((wish.at, 0)).await,
        wanted => wanted,
    }
}

async fn serve(listener: TcpListener, way: Way, why: Why) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut near, _)) = accepted else {
                    // Out of file descriptors: some must be closed first.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                let far = way();
                open.spawn(async move {
                    let _ = near.set_nodelay(true);
                    let far = tokio::select! {
                        far = far => far,
                        // A debugger may take its first client for its only one: it is not
                        // called for somebody who has gone.
                        () = gone(&near), if why == Why::Debugger => return,
                    };
                    if let Ok(mut far) = far {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
}

/// Waits until the other side has gone without having said anything.
async fn gone(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}
