//! A world of servers in this process, on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use prodmirror_engine::step::world::{
    Connection, Cursor, ExecOutput, ExecRequest, Later, LogLine, World,
};
use prodmirror_model::diag::{Problem, ProblemKind};

/// Names and ports, and where they are.
#[derive(Default)]
pub struct Local {
    pub hosts: BTreeMap<(String, u16), SocketAddr>,
    pub secrets: BTreeMap<String, String>,
    pub roots: Vec<Vec<u8>>,
    /// A host whose mention is a fault of the runner.
    pub breaks: Option<String>,
}

impl Local {
    pub fn host(mut self, name: &str, port: u16, address: SocketAddr) -> Self {
        self.hosts.insert((name.to_owned(), port), address);
        self
    }

    pub fn world(self) -> Arc<dyn World> {
        Arc::new(self)
    }

    fn find(&self, host: &str, port: u16) -> Result<SocketAddr, Problem> {
        assert_ne!(self.breaks.as_deref(), Some(host), "a fault on purpose");
        if let Some(a) = self.hosts.get(&(host.to_owned(), port)) {
            return Ok(*a);
        }
        let kind = if self.hosts.keys().any(|(h, _)| h == host) {
            ProblemKind::Start
        } else {
            ProblemKind::Forbidden
        };
        Err(Problem::new(
            kind,
            format!("{host}:{port} is not part of the stack"),
        ))
    }
}

fn nothing(what: &str) -> Problem {
    Problem::new(
        ProblemKind::Unsupported,
        format!("this world has no {what}"),
    )
}

impl World for Local {
    fn stack(&self) -> &str {
        "local"
    }

    fn services(&self) -> Vec<String> {
        self.hosts.keys().map(|(h, _)| h.clone()).collect()
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<Connection, Problem>> {
        Box::pin(async move {
            let address = self.find(host, port)?;
            let stream = tokio::net::TcpStream::connect(address).await.map_err(|e| {
                Problem::new(
                    ProblemKind::Start,
                    format!("could not connect to {host}:{port}: {e}"),
                )
            })?;
            stream.set_nodelay(true).unwrap();
            Ok(Box::new(stream) as Connection)
        })
    }

    fn address<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<SocketAddr, Problem>> {
        Box::pin(async move { self.find(host, port) })
    }

    fn exec(&self, _: ExecRequest) -> Later<'_, Result<ExecOutput, Problem>> {
        Box::pin(async { Err(nothing("containers")) })
    }

    fn env(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn log_end(&self) -> Cursor {
        Cursor::default()
    }

    fn log_lines(&self, _: &str, _: Cursor) -> Vec<LogLine> {
        Vec::new()
    }

    fn log_changed(&self, _: Cursor) -> Later<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.roots.clone()
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        self.secrets.clone()
    }
}
