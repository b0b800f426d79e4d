//! Mode `front`: takes connections and datagrams on the ports by which a service is called,
//! and passes them on to those on which it listens.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prodmirror_agent::wire::Event;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::hold;
use crate::output::{Failure, emit, warn};
use crate::probe::own_address;
use crate::tunnel;

/// How long a client of datagrams is remembered.
const IDLE: Duration = Duration::from_secs(60);
const BUFFER: usize = 64 * 1024;

/// One port and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forward {
    port: u16,
    /// Empty = the address that was called.
    host: String,
    target: u16,
    udp: bool,
}

/// Reads `80=8080`, `80=8080/tcp`, `53=dns:5353/udp`.
fn parse(text: &str) -> Option<Forward> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (port, to) = ports.split_once('=')?;
    let (host, target) = to.rsplit_once(':').unwrap_or(("", to));
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return None,
    };
    let number = |text: &str| text.parse().ok().filter(|n| *n > 0);
    Some(Forward {
        port: number(port)?,
        host: host.to_owned(),
        target: number(target)?,
        udp,
    })
}

/// Listens on all ports, says so, and passes on until the program is stopped.
pub async fn run(args: &[String]) -> Result<u8, Failure> {
    for text in args {
        let forward = parse(text).ok_or_else(|| {
            Failure::usage(format!("front: `{text}` is not PORT=[HOST:]PORT[/udp]"))
        })?;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, forward.port));
        let what = format!("port {} cannot be listened on", forward.port);
        if forward.udp {
            let socket = UdpSocket::bind(any).await;
            let socket = socket.map_err(|error| Failure::new(what, error))?;
            tokio::spawn(datagrams(Arc::new(socket), forward));
        } else {
            let listener = TcpListener::bind(any).await;
            let listener = listener.map_err(|error| Failure::new(what, error))?;
            tokio::spawn(connections(listener, forward));
        }
    }
    emit(&Event::ready("front"));
    hold::reap().await
}

async fn connections(listener: TcpListener, forward: Forward) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(pass_on(stream, forward.clone()))),
            Err(error) => {
                warn("a connection could not be taken", error);
                // Out of descriptors, most likely: some have to be given back first.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn pass_on(mut stream: TcpStream, forward: Forward) {
    let target = if forward.host.is_empty() {
        match stream.local_addr() {
            Ok(called) => TcpStream::connect((called.ip(), forward.target)).await,
            Err(error) => Err(error),
        }
    } else {
        tunnel::connect(&format!("{}:{}", forward.host, forward.target)).await
    };
    let Ok(mut target) = target else {
        // The caller sees what it would see of a port that nobody listens on, a moment later.
        let _ = stream.set_zero_linger();
        return;
    };
    let _ = stream.set_nodelay(true);
    let _ = target.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
}

type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

async fn datagrams(socket: Arc<UdpSocket>, forward: Forward) {
    let clients = Clients::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let known = clients.lock().await.get(&from).cloned();
        let target = match known {
            Some(target) => target,
            None => match open(&forward).await {
                Some(target) => {
                    let target = Arc::new(target);
                    clients.lock().await.insert(from, target.clone());
                    let back = answers(socket.clone(), target.clone(), from, clients.clone());
                    tokio::spawn(back);
                    target
                }
                None => continue,
            },
        };
        let _ = target.send(&buffer[..length]).await;
    }
}

async fn open(forward: &Forward) -> Option<UdpSocket> {
    let address: IpAddr = match forward.host.as_str() {
        "" => own_address(),
        host => *crate::dns::resolve(host).await.ok()?.first()?,
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect((address, forward.target)).await.ok()?;
    Some(socket)
}

async fn answers(socket: Arc<UdpSocket>, target: Arc<UdpSocket>, to: SocketAddr, clients: Clients) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(Ok(length)) = timeout(IDLE, target.recv(&mut buffer)).await {
        let _ = socket.send_to(&buffer[..length], to).await;
    }
    clients.lock().await.remove(&to);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn forwards_are_read() {
        let forward = |port, host: &str, target, udp| Forward {
            port,
            host: host.into(),
            target,
            udp,
        };
        assert_eq!(parse("80=8080"), Some(forward(80, "", 8080, false)));
        assert_eq!(
            parse("80=web:8080/tcp"),
            Some(forward(80, "web", 8080, false))
        );
        assert_eq!(parse("53=5353/udp"), Some(forward(53, "", 5353, true)));
        for bad in ["", "80", "80=", "=80", "0=1", "80=70000", "80=81/sctp"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn connections_are_passed_on_to_the_address_that_was_called() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = service.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = service.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&asked).await.unwrap();
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let forward = Forward {
            port,
            host: String::new(),
            target,
            udp: false,
        };
        tokio::spawn(connections(listener, forward));
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"ping");
    }

    #[tokio::test]
    async fn datagrams_are_passed_on_and_back() {
        let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = service.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (n, from) = service.recv_from(&mut buffer).await.unwrap();
            service.send_to(&buffer[..n], from).await.unwrap();
        });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let forward = Forward {
            port: at.port(),
            host: "127.0.0.1".into(),
            target,
            udp: true,
        };
        tokio::spawn(datagrams(Arc::new(socket), forward));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"ping", at).await.unwrap();
        let mut answer = [0; 64];
        let n = client.recv(&mut answer).await.unwrap();
        assert_eq!(&answer[..n], b"ping");
    }
}
