//! The DNS sink: every name that reaches it is one that nobody declared, and does
//! not exist, at once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prodmirror_agent::wire::{DNS_SINK, Event, LogKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::once::Once;
use crate::dns::{self, Code, Question};
use crate::output::{Failure, emit};

/// A name that nobody has, by which the sink finds out where it stands.
pub const CHECK_NAME: &str = "where-is-the-sink.prodmirror.invalid";

const PORT: u16 = 53;
/// How long a TCP client may be silent.
const IDLE: Duration = Duration::from_secs(30);

/// Whether names that do not exist are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// As events on stdout.
    Events,
    /// Not at all.
    Nothing,
}

/// What is known of the names that were asked for.
#[derive(Debug)]
pub struct Sink {
    to: Report,
    seen: Mutex<Once<(String, u16)>>,
    heard_check: AtomicBool,
}

impl Sink {
    /// Whether the check name has come through the engine's resolver.
    pub fn heard_check(&self) -> bool {
        self.heard_check.load(Ordering::Relaxed)
    }

    /// Reports a question whose name does not exist, the first time it is asked.
    pub fn report(&self, question: &Question) {
        if question.name == CHECK_NAME {
            self.heard_check.store(true, Ordering::Relaxed);
            return;
        }
        if self.to == Report::Nothing {
            return;
        }
        let key = (question.name.clone(), question.kind);
        let new = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_new(&key);
        if new {
            emit(&Event::Dns {
                name: key.0,
                qtype: dns::type_name(key.1),
                verdict: "nxdomain".to_owned(),
            });
        }
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let code = match Question::read(query) {
            Ok(question) => {
                self.report(&question);
                Code::NoSuchName
            }
            Err(code) => code,
        };
        dns::answer_without_records(query, code)
    }
}

/// What answers a query; `None` to say nothing.
pub trait Answer: Send + Sync + 'static {
    /// Answers a query that came over TCP or UDP.
    fn answer(&self, query: Vec<u8>, tcp: bool) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

impl Answer for Sink {
    async fn answer(&self, query: Vec<u8>, _: bool) -> Option<Vec<u8>> {
        Sink::answer(self, &query)
    }
}

/// Starts the sink on UDP and TCP.
pub async fn start(to: Report) -> Result<Arc<Sink>, Failure> {
    let sink = Arc::new(Sink {
        to,
        seen: Mutex::new(Once::new(LogKind::Dns)),
        heard_check: AtomicBool::new(false),
    });
    listen(DNS_SINK, Arc::clone(&sink)).await?;
    Ok(sink)
}

/// Has `answer` answer the queries to an address of the namespace, in tasks of their own.
pub async fn listen<A: Answer>(address: Ipv4Addr, answer: Arc<A>) -> Result<(), Failure> {
    let at = SocketAddrV4::new(address, PORT);
    let failure = |error| Failure::new(format!("the DNS sink cannot listen on {at}"), error);
    let udp = UdpSocket::bind(at).await.map_err(failure)?;
    let tcp = TcpListener::bind(at).await.map_err(failure)?;
    tokio::spawn(serve_udp(Arc::new(udp), Arc::clone(&answer)));
    tokio::spawn(async move {
        loop {
            match tcp.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve_tcp(stream, Arc::clone(&answer)))),
                // Out of descriptors: the ones in use will come free.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    Ok(())
}

async fn serve_udp<A: Answer>(socket: Arc<UdpSocket>, answer: Arc<A>) {
    let mut buffer = vec![0; dns::MAX_MESSAGE];
    loop {
        // Errors here are those of earlier answers, whose clients are gone.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let query = buffer[..length].to_vec();
        let (socket, answer) = (Arc::clone(&socket), Arc::clone(&answer));
        tokio::spawn(async move {
            if let Some(reply) = answer.answer(query, false).await {
                let _ = socket.send_to(&reply, client).await;
            }
        });
    }
}

async fn serve_tcp<A: Answer>(mut stream: TcpStream, answer: Arc<A>) {
    while let Ok(Ok(length)) = timeout(IDLE, stream.read_u16()).await {
        let mut query = vec![0; usize::from(length)];
        if !matches!(
            timeout(IDLE, stream.read_exact(&mut query)).await,
            Ok(Ok(_))
        ) {
            return;
        }
        let Some(reply) = answer.answer(query, true).await else {
            return;
        };
        let Ok(length) = u16::try_from(reply.len()) else {
            return;
        };
        if stream
            .write_all(&[&length.to_be_bytes()[..], &reply].concat())
            .await
            .is_err()
        {
            return;
        }
    }
}
