//! Mode `tunnel`: TCP connections into the stack over stdin and stdout.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use prodmirror_agent::mux::{self, Incoming};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::dns;
use crate::output::Failure;
use crate::sandbox::sink;

/// How long one address may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Serves streams until stdin ends.
pub async fn run() -> Result<u8, Failure> {
    // Where the engine has the sink for its DNS server, names that do not exist fail at once.
    // Where nothing can listen there, they only fail later.
    let _sink = sink::start(sink::Report::Nothing).await;
    let what = "the tunnel broke";
    let reader = stdin().map_err(|error| Failure::new(what, error))?;
    let writer = stdout().map_err(|error| Failure::new(what, error))?;
    let served = mux::serve(reader, writer, |incoming| {
        drop(tokio::spawn(join(incoming)))
    })
    .await;
    if let Err(error) = served {
        // Not on stdout, which carries frames.
        eprint_line(&format!("{what}: {error}"));
        return Ok(1);
    }
    Ok(0)
}

fn eprint_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(io::stderr(), "{text}");
}

/// Pipes are read by the runtime itself; anything else by a thread.
pub fn stdin() -> io::Result<Reader> {
    let fd = owned(io::stdin().as_fd())?;
    Ok(match pipe::Receiver::from_owned_fd(fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdin()),
    })
}

/// As [`stdin`], for what is written.
pub fn stdout() -> io::Result<Writer> {
    let fd = owned(io::stdout().as_fd())?;
    Ok(match pipe::Sender::from_owned_fd(fd) {
        Ok(pipe) => Box::new(pipe),
        Err(_) => Box::new(tokio::io::stdout()),
    })
}

fn owned(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}

/// Connects a stream and moves bytes until both sides have ended.
async fn join(incoming: Incoming) {
    let mut stream = incoming.stream;
    let mut target = match connect(&incoming.target).await {
        Ok(target) => target,
        Err(error) => return stream.refuse(&error.to_string()),
    };
    stream.accept();
    // When one side breaks, dropping both tells the other.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut target, 32768, 32768).await;
}

/// Connects to `host:port`, trying each address of the host.
pub async fn connect(target: &str) -> io::Result<TcpStream> {
    let bad = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{target}` is no host:port"),
        )
    };
    let (host, port) = target.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in dns::resolve(host).await? {
        let connecting = TcpStream::connect(SocketAddr::new(address, port));
        match timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "connecting timed out"),
        }
    }
    Err(last)
}
