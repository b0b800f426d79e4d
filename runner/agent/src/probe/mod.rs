//! Mode `probe`: asks one question from inside a stack, or listens there.

mod ask;
mod http;
mod listen;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

pub use ask::own_address;
use prodmirror_agent::wire::{Ask, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::dns;
use crate::output::{Failure, emit};
use crate::tunnel;

/// How long an answer may take where one is expected.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a datagram's answer is waited for.
const DATAGRAM: Duration = Duration::from_millis(300);
/// How often `connect-loop` tries.
const PACE: Duration = Duration::from_millis(50);

/// Does what the arguments say; exit code 1 when it did not work.
pub async fn run(args: &[String]) -> Result<u8, Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["listen", ports @ ..] = words.as_slice() {
        return listen::run(ports).await;
    }
    if let ["connect-loop", target] = words.as_slice() {
        return connect_loop(target).await;
    }
    let start = Instant::now();
    let done = match words.as_slice() {
        ["tcp", target] => tcp(target, "").await,
        ["tcp", target, text] => tcp(target, text).await,
        ["udp", target] => udp(target, "probe").await,
        ["udp", target, text] => udp(target, text).await,
        ["dns", name] => ask(name, "A").await,
        ["dns", name, kind] => ask(name, kind).await,
        ["ask", question, milliseconds] => asked(question, milliseconds).await?,
        ["http", url] => http::get(url, None).await,
        ["http", url, "--ca", file] => http::get(url, Some(file)).await,
        _ => {
            return Err(Failure::usage(format!(
                "probe: unexpected arguments `{}`",
                args.join(" ")
            )));
        }
    };
    let ok = done.is_ok();
    let (answer, error) = match done {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let ms = start.elapsed().as_secs_f64() * 1e3;
    emit(&Event::Probe {
        ok,
        what: args.join(" "),
        ms,
        answer,
        error,
    });
    Ok(u8::from(!ok))
}

/// Asks the question of a readiness check.
async fn asked(question: &str, milliseconds: &str) -> Result<io::Result<String>, Failure> {
    let question: Ask = serde_json::from_str(question)
        .map_err(|error| Failure::usage(format!("probe ask: {error}")))?;
    let within = milliseconds
        .parse()
        .map_err(|error| Failure::usage(format!("probe ask: {error}")))?;
    let answered = timeout(Duration::from_millis(within), ask::run(&question)).await;
    Ok(answered.unwrap_or_else(|_| Err(late())))
}

/// Connects; with a text, sends it and gives what comes back.
async fn tcp(target: &str, text: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = tunnel::connect(target).await?;
        if text.is_empty() {
            return Ok(String::new());
        }
        stream.write_all(text.as_bytes()).await?;
        let mut answer = vec![0; 64 * 1024];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    timeout(ANSWER, exchange).await.map_err(|_| late())?
}

async fn udp(target: &str, text: &str) -> io::Result<String> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "no host:port");
    let (host, port) = target.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let address = dns::resolve(host).await?.first().copied().ok_or_else(bad)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.set_broadcast(true)?;
    // Not connected: a broadcast is answered from another address.
    socket
        .send_to(text.as_bytes(), SocketAddr::new(address, port))
        .await?;
    let mut answer = vec![0; 64 * 1024];
    let length = timeout(DATAGRAM, socket.recv(&mut answer))
        .await
        .map_err(|_| late())??;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Asks the container's resolver, as an application would, and gives the addresses.
async fn ask(name: &str, kind: &str) -> io::Result<String> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "no DNS question");
    let number = dns::type_number(kind).ok_or_else(bad)?;
    let message = dns::query(1, name, number).ok_or_else(bad)?;
    let any = Ipv4Addr::UNSPECIFIED;
    let answer = dns::exchange_udp(any, dns::ENGINE_RESOLVER.into(), &message).await?;
    let reply = dns::Reply::read(&answer, 1).ok_or(io::ErrorKind::InvalidData)?;
    if reply.code != dns::Code::Ok as u8 {
        return Err(io::Error::other(format!("code {}", reply.code)));
    }
    let addresses: Vec<_> = reply.addresses.iter().map(ToString::to_string).collect();
    Ok(addresses.join(" "))
}

/// Connects again and again until the program is stopped; one event per change of outcome.
async fn connect_loop(target: &str) -> Result<u8, Failure> {
    let mut last = None;
    loop {
        let start = Instant::now();
        let error = tcp(target, "").await.err().map(|error| error.to_string());
        if last.as_ref() != Some(&error) {
            emit(&Event::Probe {
                ok: error.is_none(),
                what: format!("connect-loop {target}"),
                ms: start.elapsed().as_secs_f64() * 1e3,
                answer: None,
                error: error.clone(),
            });
            last = Some(error);
        }
        tokio::time::sleep(PACE).await;
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
