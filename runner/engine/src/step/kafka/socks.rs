//! A way for the client library to the brokers: each address that it asks for is a name of the
//! stack, since brokers announce themselves by production's own names.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::step::world::World;

/// How long a client may take to say where it wants to.
const PATIENCE: Duration = Duration::from_secs(10);

/// A SOCKS5 server (RFC 1928) on loopback, gone when it is dropped.
pub(super) struct Socks {
    pub address: String,
    refused: Arc<Mutex<Option<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Socks {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Socks {
    pub async fn start(world: &Arc<dyn World>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let refused = Arc::new(Mutex::new(None));
        let (world, why) = (world.clone(), refused.clone());
        let serving = tokio::spawn(async move {
            // Its connections go with it.
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    made = listener.accept() => match made {
                        Ok((stream, _)) => {
                            let (world, why) = (world.clone(), why.clone());
                            open.spawn(async move {
                                // What goes wrong is told to the client, or ends its connection.
                                let _ = serve(stream, &world, &why).await;
                            });
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    },
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            refused,
            serving,
        })
    }

    /// Why the last address that could not be reached could not.
    pub fn refused(&self) -> Option<String> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take()
    }
}

async fn serve(
    mut stream: TcpStream,
    world: &Arc<dyn World>,
    why: &Mutex<Option<String>>,
) -> io::Result<()> {
    const GRANTED: u8 = 0;
    const NOT_ALLOWED: u8 = 2;
    const UNREACHABLE: u8 = 4;
    stream.set_nodelay(true)?;
    let (host, port) = tokio::time::timeout(PATIENCE, wanted(&mut stream)).await??;
    let (code, mut to) = match world.connect(&host, port).await {
        Ok(connection) => (GRANTED, Some(connection)),
        Err(p) => {
            let code = match p.kind {
                ProblemKind::Forbidden | ProblemKind::UnknownReference => NOT_ALLOWED,
                _ => UNREACHABLE,
            };
            let words = words(&host, port, &p);
            *why.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
            (code, None)
        }
    };
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if let Some(to) = &mut to {
        tokio::io::copy_bidirectional(&mut stream, to).await?;
    }
    Ok(())
}

fn words(host: &str, port: u16, p: &Problem) -> String {
    match p.kind {
        ProblemKind::Forbidden | ProblemKind::UnknownReference => format!(
            "a broker announces itself as {host}:{port}, which steps cannot reach: {}; see its advertised listeners",
            p.message
        ),
        _ => p.message.clone(),
    }
}

/// Greets and reads where the client wants to.
async fn wanted(stream: &mut TcpStream) -> io::Result<(String, u16)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let [version, methods] = read(stream).await?;
    if version != 5 {
        return Err(bad("no SOCKS5"));
    }
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await?;
    if !offered.contains(&0) {
        stream.write_all(&[5, 0xff]).await?;
        return Err(bad("no method"));
    }
    stream.write_all(&[5, 0]).await?;
    let [_, command, _, kind] = read(stream).await?;
    if command != 1 {
        return Err(bad("no connect"));
    }
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(stream).await?).to_string(),
        4 => std::net::Ipv6Addr::from(read::<16>(stream).await?).to_string(),
        3 => {
            let [length] = read(stream).await?;
            let mut name = vec![0; usize::from(length)];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_| bad("no name"))?
        }
        _ => return Err(bad("no address")),
    };
    Ok((host, u16::from_be_bytes(read(stream).await?)))
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
