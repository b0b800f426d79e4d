//! Ports for debuggers: open before anything runs, and led into the network of the service
//! itself, where a debugger may listen for its own host only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::{Standing, standing};
use prodmirror_engine::reach::{Connection, Forwards, Inside, Way, Why, Wish};
use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::sync::Mutex;

use super::Port;

/// The mirror whose services are debugged, whether it is there already or not.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Where it runs.
    pub engine: Engine,
    /// Its project.
    pub project: String,
    /// Its run.
    pub run: String,
}

/// Opens the ports.
pub async fn open(mirror: &Mirror, ports: &[Port], forwards: &mut Forwards) {
    for port in ports {
        let wish = Wish {
            service: port.service.clone(),
            target: port.target,
            at: Ipv4Addr::LOCALHOST.into(),
            port: Some(port.target),
            exact: false,
            why: Why::Debugger,
        };
        let way = way(mirror.clone(), port.clone());
        if let Err(e) = forwards.add(&wish, Some(port.target), way).await {
            let Port {
                service, target, ..
            } = port;
            forwards.skip(format!(
                "{service}:{target} is not open for a debugger: {e}"
            ));
        }
    }
}

/// The way to a port inside of a service. It is looked for when somebody connects: the service
/// may not be there yet, and may have been made again.
fn way(mirror: Mirror, port: Port) -> Way {
    let known = Arc::new(Mutex::new(None::<Arc<Inside>>));
    Arc::new(move || {
        let (mirror, port, known) = (mirror.clone(), port.clone(), known.clone());
        Box::pin(async move { connect(&mirror, &port, &known).await })
    })
}

async fn connect(
    mirror: &Mirror,
    port: &Port,
    known: &Mutex<Option<Arc<Inside>>>,
) -> Result<Connection, Problem> {
    let kept = known.lock().await.clone();
    if let Some(inside) = kept
        && let Ok(connection) = inside.connect(port.target).await
    {
        return Ok(connection);
    }
    let stack = mirror.find().await?;
    let inside = Arc::new(stack.inside(&port.service, 1).await?);
    let connected = inside.connect(port.target).await;
    *known.lock().await = Some(inside);
    match connected {
        Ok(connection) => Ok(connection),
        // It may listen at the address that the others know, and there only.
        Err(p) => {
            let reach = stack.reach().await?;
            let connected = reach.connect(&port.service, port.target).await;
            connected.map_err(|_| p)
        }
    }
}

impl Mirror {
    async fn find(&self) -> Result<Standing, Problem> {
        let stacks = standing(&self.engine, Some(&self.project)).await?;
        let stack = stacks.into_iter().find(|s| s.run == self.run);
        stack.ok_or_else(|| {
            let what = format!("nothing of {} runs", self.project);
            Problem::new(ProblemKind::Missing, what)
        })
    }
}
