//! What a step can reach: the services of one stack, and nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

pub use prodmirror_agent::wire::Resolved;
use prodmirror_model::diag::{Problem, ProblemKind};

pub use crate::live::{
    Cursor, DataDone, ExecOutput, ExecRequest, FileKind, FileRequest, LogLine, Lookup, OneOff,
    OneOffOutput, Process, Replicas, ServiceFile,
};
pub use crate::reach::{Conn, Connection};

/// A future that can be sent.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stub that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailStub {
    /// The host for which it stands.
    pub host: String,
    /// The service that plays it.
    pub service: String,
}

/// The stack that a scenario runs against, as its steps see it.
///
/// Names and ports are production's own. An implementation refuses every name that is
/// neither a service nor a stub nor declared.
pub trait World: Send + Sync {
    /// Its identity within the run.
    fn stack(&self) -> &str;

    /// Its services.
    fn services(&self) -> Vec<String>;

    /// Connects to a port.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<Connection, Problem>>;

    /// An address at which this process reaches the port, for client libraries that cannot
    /// take a connection.
    fn address<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<SocketAddr, Problem>>;

    /// Runs a command in a service.
    fn exec(&self, request: ExecRequest) -> Later<'_, Result<ExecOutput, Problem>>;

    /// The environment with which a service was started, secrets included.
    fn env(&self, service: &str) -> BTreeMap<String, String>;

    /// The present end of the stack's log.
    fn log_end(&self) -> Cursor;

    /// Waits until it is known of all services that have ended that they did.
    fn settled(&self) -> Later<'_, ()> {
        Box::pin(async {})
    }

    /// The lines of a service after a cursor.
    fn log_lines(&self, service: &str, after: Cursor) -> Vec<LogLine>;

    /// Waits until there is a line after the cursor.
    fn log_changed(&self, after: Cursor) -> Later<'_, ()>;

    /// Remembers what a volume holds, under a name; absent = the only one with data.
    fn save_data<'a>(
        &'a self,
        volume: Option<&'a str>,
        name: &'a str,
    ) -> Later<'a, Result<DataDone, Problem>> {
        let _ = (volume, name);
        Box::pin(async { Err(no_data()) })
    }

    /// Puts back what a volume held; absent name = at the start.
    fn restore_data<'a>(
        &'a self,
        volume: Option<&'a str>,
        name: Option<&'a str>,
    ) -> Later<'a, Result<DataDone, Problem>> {
        let _ = (volume, name);
        Box::pin(async { Err(no_data()) })
    }

    /// Stops a service by its own signal, starts it, and waits until it is ready again.
    fn restart<'a>(&'a self, service: &'a str) -> Later<'a, Result<Duration, Problem>> {
        let _ = service;
        Box::pin(async { Err(no("services that could be restarted")) })
    }

    /// Stops replicas of a service, or starts those that were stopped, until so many run.
    fn scale<'a>(&'a self, service: &'a str, to: u32) -> Later<'a, Result<Replicas, Problem>> {
        let _ = (service, to);
        Box::pin(async { Err(no("services that could be scaled")) })
    }

    /// What runs in a replica of a service (0 = the first).
    fn processes<'a>(
        &'a self,
        service: &'a str,
        replica: u32,
    ) -> Later<'a, Result<Vec<Process>, Problem>> {
        let _ = (service, replica);
        Box::pin(async { Err(no("processes that could be listed")) })
    }

    /// Runs a container to its end, beside a service.
    fn run_once(&self, one: OneOff) -> Later<'_, Result<OneOffOutput, Problem>> {
        let _ = one;
        Box::pin(async { Err(no("place for a container")) })
    }

    /// A file of a service as it is at present; nothing where there is none.
    fn read_file<'a>(
        &'a self,
        ask: &'a FileRequest,
    ) -> Later<'a, Result<Option<ServiceFile>, Problem>> {
        let _ = ask;
        Box::pin(async {
            Err(Problem::new(
                ProblemKind::Unsupported,
                "this stack has no files that could be read",
            ))
        })
    }

    /// What a service is told about a name.
    fn resolve<'a>(&'a self, ask: &'a Lookup) -> Later<'a, Result<Resolved, Problem>> {
        let _ = ask;
        Box::pin(async { Err(no("resolver that could be asked")) })
    }

    /// Its stubs that take mail.
    fn mail_stubs(&self) -> Vec<MailStub> {
        Vec::new()
    }

    /// Certificates (DER) of the authorities that steps trust: those that sign the stack's
    /// own stubs.
    fn roots(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Values of `secrets.<name>` in templates; the redactor knows them already.
    fn secrets(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

fn no(what: &str) -> Problem {
    Problem::new(
        ProblemKind::Unsupported,
        format!("this stack has no {what}"),
    )
}

fn no_data() -> Problem {
    Problem::new(
        ProblemKind::Unsupported,
        "this stack has no data that could be remembered",
    )
}
