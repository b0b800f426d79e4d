//! The way to ports that a service opens on its own loopback. Nobody else in the stack can
//! reach those, as in production; a debugger has to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prodmirror_agent::wire::PROGRAM_PATH;
use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::sync::Mutex;

use super::tunnel::TunnelClient;
use super::{CONNECT_WITHIN, Connection};
use crate::docker::{Attached, Engine, ExecSpec};

/// The addresses at which a program listens that is there for its own host only.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The way into the network namespace of one service: its sandbox, where an agent is.
pub struct Inside {
    engine: Engine,
    sandbox: String,
    service: String,
    tunnel: Mutex<Option<TunnelClient>>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside")
            .field("service", &self.service)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

impl Inside {
    /// The way into this container, which is the sandbox of the service.
    pub fn new(engine: Engine, sandbox: String, service: String) -> Self {
        Self {
            engine,
            sandbox,
            service,
            tunnel: Mutex::default(),
        }
    }

    /// Connects to a port of the service as it does itself: by its loopback.
    ///
    /// # Errors
    /// [`ProblemKind::Start`] when nothing answers there, or the sandbox is gone.
    pub async fn connect(&self, port: u16) -> Result<Connection, Problem> {
        let failed = |why: String| {
            let message = format!(
                "could not connect to port {port} in {}: {why}",
                self.service
            );
            Problem::new(ProblemKind::Start, message)
        };
        let tunnel = self.tunnel().await?;
        let mut last = String::new();
        for address in LOOPBACK {
            let host = match address {
                IpAddr::V4(a) => a.to_string(),
                IpAddr::V6(a) => format!("[{a}]"),
            };
            match tokio::time::timeout(CONNECT_WITHIN, tunnel.connect(&host, port)).await {
                Ok(Ok(stream)) => return Ok(Box::new(stream)),
                // The answer of IPv4 says more: few services listen on the other.
                Ok(Err(e)) if last.is_empty() => last = e.to_string(),
                Ok(Err(_)) => {}
                Err(_) => return Err(failed("no answer in time".to_owned())),
            }
        }
        Err(failed(last))
    }

    /// The tunnel; a new one when the last is over.
    async fn tunnel(&self) -> Result<TunnelClient, Problem> {
        let mut kept = self.tunnel.lock().await;
        if let Some(tunnel) = kept.as_ref().filter(|t| t.ended().is_none()) {
            return Ok(tunnel.clone());
        }
        let doing = format!("get into the network of {}", self.service);
        let spec = ExecSpec {
            container: self.sandbox.clone(),
            command: vec![PROGRAM_PATH.to_owned(), "tunnel".to_owned()],
            stdin: true,
            ..ExecSpec::default()
        };
        let failed =
            |why: &str| Problem::new(ProblemKind::Start, format!("could not {doing}: {why}"));
        let opening = async {
            let io = self.engine.exec(&spec).await;
            let io = io.map_err(|e| e.problem(&doing))?;
            let attached = Attached {
                output: io.output,
                input: io.input,
            };
            let tunnel = TunnelClient::over(attached).await;
            tunnel.map_err(|e| failed(&e.to_string()))
        };
        let opened = tokio::time::timeout(CONNECT_WITHIN, opening).await;
        let tunnel = opened.unwrap_or_else(|_| Err(failed("no answer in time")))?;
        *kept = Some(tunnel.clone());
        Ok(tunnel)
    }
}
