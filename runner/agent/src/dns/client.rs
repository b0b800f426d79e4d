//! Asking the container's resolver. A static program cannot rely on the C library's
//! resolver, which loads modules that an empty image does not have.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use super::MAX_MESSAGE;
use super::message::{Code, Reply, query, type_number};

/// Docker's embedded resolver.
pub const ENGINE_RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 11), 53);

/// How long one server may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks `server` over UDP, from the address `from`.
pub async fn exchange_udp(
    from: Ipv4Addr,
    server: SocketAddr,
    message: &[u8],
) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((from, 0)).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; MAX_MESSAGE];
    let exchange = async {
        socket.send(message).await?;
        loop {
            let length = socket.recv(&mut buffer).await?;
            // Not a stray answer to an earlier question.
            if buffer[..length].get(..2) == message.get(..2) {
                return Ok::<_, io::Error>(length);
            }
        }
    };
    let length = timeout(ANSWER, exchange).await.map_err(|_| timed_out())??;
    buffer.truncate(length);
    Ok(buffer)
}

/// Asks `server` over TCP, from the address `from`.
pub async fn exchange_tcp(
    from: Ipv4Addr,
    server: SocketAddr,
    message: &[u8],
) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let exchange = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let mut stream = socket.connect(server).await?;
        stream
            .write_all(&[&length.to_be_bytes(), message].concat())
            .await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    timeout(ANSWER, exchange).await.map_err(|_| timed_out())?
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the resolver did not answer")
}

/// The addresses of a host name: an address itself, a line of `/etc/hosts`, or what
/// the servers of `/etc/resolv.conf` say.
pub async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut local = in_hosts(&hosts, host);
    // Mirrors are IPv4; `::1 localhost` would only be refused.
    local.retain(IpAddr::is_ipv4);
    if !local.is_empty() {
        return Ok(local);
    }
    let config = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no DNS server is configured");
    for server in servers(&config) {
        match ask(server, host).await {
            Ok(addresses) => return Ok(addresses),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn in_hosts(hosts: &str, wanted: &str) -> Vec<IpAddr> {
    let lines = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words
                .any(|name| name.eq_ignore_ascii_case(wanted))
                .then_some(address)
        })
        .collect()
}

pub(super) fn servers(config: &str) -> impl Iterator<Item = SocketAddr> {
    config.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        Some(SocketAddr::new(words.next()?.parse().ok()?, 53))
    })
}

async fn ask(server: SocketAddr, host: &str) -> io::Result<Vec<IpAddr>> {
    let id = std::process::id() as u16 ^ 0x5d17;
    let a = type_number("A").unwrap_or(1);
    let message = query(id, host, a)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a host name"))?;
    let any = Ipv4Addr::UNSPECIFIED;
    let mut answer = exchange_udp(any, server, &message).await?;
    if Reply::read(&answer, id).is_some_and(|reply| reply.truncated) {
        answer = exchange_tcp(any, server, &message).await?;
    }
    let reply = Reply::read(&answer, id).ok_or(io::ErrorKind::InvalidData)?;
    match reply.code {
        code if code == Code::Ok as u8 && !reply.addresses.is_empty() => Ok(reply.addresses),
        code if code == Code::Ok as u8 || code == Code::NoSuchName as u8 => {
            Err(io::Error::new(io::ErrorKind::NotFound, "no such host"))
        }
        // What an engine's resolver says when there is nobody whom it could ask.
        code if code == Code::ServerFailure as u8 => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no such host (the resolver failed)",
        )),
        code => Err(io::Error::other(format!(
            "the resolver answered with code {code}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_servers_are_read() {
        let hosts = "127.0.0.1 localhost\n::1 localhost\n10.1.2.3 Db db.corp # main\nbad line\n";
        assert_eq!(
            in_hosts(hosts, "db"),
            ["10.1.2.3".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(in_hosts(hosts, "localhost").len(), 2);
        let config = "search corp\nnameserver 127.0.0.11\noptions ndots:0\nnameserver bad\n";
        let expected: SocketAddr = "127.0.0.11:53".parse().unwrap();
        assert_eq!(servers(config).collect::<Vec<_>>(), [expected]);
    }
}
