//! How the runner gets to a service: by its address where this host can route to it, through
//! a tunnel into the stack where it cannot. Callers see neither.

mod names;
mod tunnel;

use std::net::SocketAddr;
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use names::{Names, Target};
pub use tunnel::TunnelClient;

/// A two-way stream of bytes to a service.
pub trait Conn: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Conn for T {}

/// A connection to a service.
pub type Connection = Box<dyn Conn>;

/// The way to the services, stubs and declared names of one stack, and to nothing else.
#[derive(Debug, Clone)]
pub struct Reach {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    names: Names,
}

impl Reach {
    /// Connects to a port of a service, stub or declared name (with several replicas: to the
    /// next of them).
    ///
    /// # Errors
    /// [`ProblemKind::Forbidden`] for any other name or address, with the nearest known name;
    /// [`ProblemKind::Start`] when nothing answers there.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Connection, Problem> {
        let address = self.address(host, port).await?;
        let stream = TcpStream::connect(address).await.map_err(|e| {
            Problem::new(
                ProblemKind::Start,
                format!("could not connect to {host}:{port}: {e}"),
            )
        })?;
        let _ = stream.set_nodelay(true);
        Ok(Box::new(stream))
    }

    /// An address at which this process reaches the port, for client libraries that want one.
    /// It holds until the stack is removed.
    ///
    /// # Errors
    /// As [`Reach::connect`]; a port where nothing listens is no error yet.
    pub async fn address(&self, host: &str, port: u16) -> Result<SocketAddr, Problem> {
        let target = self.inner.names.find(host)?;
        Ok(SocketAddr::new(target.address, port))
    }

    /// Whether a name belongs to the stack.
    pub fn knows(&self, host: &str) -> bool {
        self.inner.names.find(host).is_ok()
    }
}

impl From<Names> for Reach {
    fn from(names: Names) -> Self {
        Self {
            inner: Arc::new(Inner { names }),
        }
    }
}
