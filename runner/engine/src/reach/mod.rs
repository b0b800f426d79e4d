//! How the runner gets to a service: by its address where this host can route to it, through
//! a tunnel into the stack where it cannot. Callers see neither.

mod carry;
mod forward;
mod gateway;
mod inside;
mod names;
mod tunnel;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use carry::{carry, carry_run, is_listening};
pub use forward::{Forward, Forwards, Way, Why, Wish};
pub use gateway::WayIn;
pub use inside::Inside;
pub use names::{Named, Names, Target};
pub use tunnel::TunnelClient;

use crate::docker::Engine;

/// How long a connection may take: services are one hop away.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A two-way stream of bytes to a service.
pub trait Conn: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Conn for T {}

/// A connection to a service.
pub type Connection = Box<dyn Conn>;

/// The way to the services, stubs and declared names of one stack, and to nothing else.
/// Cloning is cheap and shares it; its forwarders end with its last clone.
#[derive(Debug, Clone)]
pub struct Reach {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    names: RwLock<Names>,
    way_in: WayIn,
    /// Whether this host routes to the stack's networks.
    direct: bool,
    tunnel: OnceCell<TunnelClient>,
    /// Loopback addresses that stand for ports behind the tunnel.
    forwarded: Mutex<HashMap<SocketAddr, SocketAddr>>,
    over: CancellationToken,
    _ends: DropGuard,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.names();
        let names: Vec<&str> = names.all().collect();
        f.debug_struct("Reach")
            .field("names", &names)
            .field("direct", &self.direct)
            .finish()
    }
}

impl Inner {
    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach {
    /// The way to these names. Whether this host can route to the stack's networks is found
    /// out here.
    pub fn new(engine: Engine, names: Names, way_in: WayIn) -> Self {
        let direct = way_in.is_direct();
        Self::over(engine, names, way_in, direct)
    }

    /// The same, always through the tunnel.
    pub fn tunnelled(engine: Engine, names: Names, way_in: WayIn) -> Self {
        Self::over(engine, names, way_in, false)
    }

    fn over(engine: Engine, names: Names, way_in: WayIn, direct: bool) -> Self {
        let over = CancellationToken::new();
        let inner = Inner {
            engine,
            names: RwLock::new(names),
            way_in,
            direct,
            tunnel: OnceCell::new(),
            forwarded: Mutex::default(),
            _ends: over.clone().drop_guard(),
            over,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Connects to a port of a service, stub or declared name (with several replicas: to the
    /// next of them).
    ///
    /// # Errors
    /// [`ProblemKind::Forbidden`] for any other name or address, with the nearest known name;
    /// [`ProblemKind::Start`] when nothing answers there.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Connection, Problem> {
        let to = self.target(host, port)?;
        let connecting = async {
            if self.inner.direct {
                let stream = TcpStream::connect(to).await.map_err(|e| e.to_string())?;
                let _ = stream.set_nodelay(true);
                return Ok(Box::new(stream) as Connection);
            }
            let tunnel = self.tunnel().await.map_err(|p| p.to_string())?;
            let stream = tunnel.connect(&to.ip().to_string(), port).await;
            Ok(Box::new(stream.map_err(|e| e.to_string())?) as Connection)
        };
        let connected = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        connected.map_err(|why| {
            let message = format!("could not connect to {host}:{port}: {why}");
            Problem::new(ProblemKind::Start, message)
        })
    }

    /// An address at which this process reaches the port, for client libraries that want one.
    /// It holds as long as this way does.
    ///
    /// # Errors
    /// As [`Reach::connect`]; a port where nothing listens is no error yet.
    pub async fn address(&self, host: &str, port: u16) -> Result<SocketAddr, Problem> {
        let to = self.target(host, port)?;
        if self.inner.direct {
            return Ok(to);
        }
        let mut forwarded = self.inner.forwarded.lock().await;
        if let Some(here) = forwarded.get(&to) {
            return Ok(*here);
        }
        let tunnel = self.tunnel().await?;
        let here = forward_port(tunnel.clone(), to, self.inner.over.clone()).await;
        let here = here.map_err(|e| {
            let message = format!("could not listen for {host}:{port} on this host: {e}");
            Problem::new(ProblemKind::Start, message)
        })?;
        forwarded.insert(to, here);
        Ok(here)
    }

    /// Whether a name belongs to the stack.
    pub fn knows(&self, host: &str) -> bool {
        self.inner.names().knows(host)
    }

    /// All names of the stack that lead to a container, together with those that lead to the
    /// same ones.
    pub fn named(&self) -> Vec<Named> {
        self.inner.names().grouped()
    }

    /// The way to one port, for whoever connects to it again and again.
    pub fn way(&self, host: &str, port: u16) -> Way {
        let (reach, host) = (self.clone(), host.to_owned());
        Arc::new(move || {
            let (reach, host) = (reach.clone(), host.clone());
            Box::pin(async move { reach.connect(&host, port).await })
        })
    }

    /// Lets names lead elsewhere from now on: containers were made again.
    pub fn rename(&self, names: Names) {
        let old = &self.inner.names;
        *old.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Whether this host routes to the stack's containers.
    pub fn is_direct(&self) -> bool {
        self.inner.direct
    }

    fn target(&self, host: &str, port: u16) -> Result<SocketAddr, Problem> {
        Ok(SocketAddr::new(
            self.inner.names().find(host)?.address,
            port,
        ))
    }

    async fn tunnel(&self) -> Result<&TunnelClient, Problem> {
        let inner = &self.inner;
        inner
            .tunnel
            .get_or_try_init(|| inner.way_in.open(&inner.engine))
            .await
    }
}

/// Listens on a loopback port and joins every connection to one through the tunnel.
async fn forward_port(
    tunnel: TunnelClient,
    to: SocketAddr,
    over: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let here = listener.local_addr()?;
    tokio::spawn(over.clone().run_until_cancelled_owned(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (tunnel, over) = (tunnel.clone(), over.clone());
            tokio::spawn(over.run_until_cancelled_owned(async move {
                let _ = near.set_nodelay(true);
                if let Ok(mut far) = tunnel.connect(&to.ip().to_string(), to.port()).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            }));
        }
    }));
    Ok(here)
}
