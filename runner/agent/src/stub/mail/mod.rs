//! Ports that take mail, and how it is read back.

mod smtp;
mod store;

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use prodmirror_agent::wire::{Event, MailLine};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::output::{Failure, emit};
use smtp::{Next, Session, Taken};
pub use store::Store;

/// Where messages are read back: a name in the network namespace, which only programs of the
/// stub's own container can reach.
const CONTROL: &str = "\0prodmirror-mail";
/// How long a client may be silent (RFC 5321, 4.5.3.2).
const SILENCE: Duration = Duration::from_secs(300);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Recipients that an event names.
const NAMED: usize = 20;

/// A port that takes mail.
pub struct MailPort {
    /// The messages.
    pub store: Rc<Store>,
    /// What the stub is called in events, and how it greets.
    pub stub: String,
    /// The port.
    pub number: u16,
    /// TLS, where there is a certificate.
    pub tls: Option<TlsAcceptor>,
    /// Whether TLS begins when the client asks for it.
    pub starttls: bool,
}

impl MailPort {
    /// Serves a connection to its end.
    pub async fn serve(&self, stream: TcpStream, from: IpAddr) {
        let offered = self.tls.as_ref().filter(|_| self.starttls);
        let at_once = self.tls.as_ref().filter(|_| !self.starttls);
        let store = Rc::clone(&self.store);
        let host = if self.stub.is_empty() {
            "localhost"
        } else {
            &self.stub
        };
        let tls = at_once.is_some();
        let mut session = Session::new(store, host, self.number, tls, offered.is_some());
        // The client's errors are the client's business.
        let _ = match at_once {
            Some(tls) => self.secured(&mut session, tls, stream, from, true).await,
            None => self.plain(&mut session, offered, stream, from).await,
        };
    }

    async fn plain(
        &self,
        session: &mut Session,
        tls: Option<&TlsAcceptor>,
        mut stream: TcpStream,
        from: IpAddr,
    ) -> io::Result<()> {
        match (self.talk(session, &mut stream, from, true).await?, tls) {
            (Next::StartTls, Some(tls)) => {
                session.secured();
                self.secured(session, tls, stream, from, false).await
            }
            _ => Ok(()),
        }
    }

    async fn secured(
        &self,
        session: &mut Session,
        tls: &TlsAcceptor,
        stream: TcpStream,
        from: IpAddr,
        greets: bool,
    ) -> io::Result<()> {
        let why = match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(mut stream)) => {
                self.talk(session, &mut stream, from, greets).await?;
                return stream.shutdown().await;
            }
            Ok(Err(error)) => format!("the TLS handshake failed: {error}"),
            Err(_) => "the TLS handshake did not end".to_owned(),
        };
        emit(&Event::StubRefused {
            stub: self.stub.clone(),
            port: self.number,
            from,
            why,
        });
        Ok(())
    }

    /// Speaks until the session ends or wants TLS.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        session: &mut Session,
        stream: &mut S,
        from: IpAddr,
        greets: bool,
    ) -> io::Result<Next> {
        if greets {
            stream.write_all(session.greeting().as_bytes()).await?;
        }
        let mut buffer = vec![0; 16 * 1024];
        let mut out = Vec::new();
        loop {
            let Ok(read) = timeout(SILENCE, stream.read(&mut buffer)).await else {
                stream.write_all(b"421 4.4.2 nothing was said\r\n").await?;
                return Ok(Next::Close);
            };
            let read = read?;
            if read == 0 {
                return Ok(Next::Close);
            }
            let next = session.feed(&buffer[..read], &mut out);
            // Told before the client hears of it: who waits for the client finds it told.
            for taken in session.taken() {
                self.tell(from, taken);
            }
            let written = timeout(SILENCE, async {
                stream.write_all(&out).await?;
                stream.flush().await
            });
            written.await.map_err(|_| io::ErrorKind::TimedOut)??;
            out.clear();
            if next != Next::More {
                return Ok(next);
            }
        }
    }

    fn tell(&self, from: IpAddr, mut taken: Taken) {
        taken.to.truncate(NAMED);
        emit(&Event::StubMail {
            stub: self.stub.clone(),
            port: self.number,
            from,
            id: taken.id,
            sender: taken.from,
            recipients: taken.to,
            size: taken.size,
        });
    }
}

/// Lets programs of this container read the messages back, for ever.
pub fn control(store: Rc<Store>) -> io::Result<impl Future<Output = ()> + use<>> {
    let listener = UnixListener::bind(CONTROL)?;
    Ok(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let store = Rc::clone(&store);
                    spawn_local(async move {
                        // Who asked may have gone.
                        let _ = answer(&store, stream).await;
                    });
                }
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    })
}

/// Answers `AFTER MILLISECONDS`: waits so long for a message with a greater number than
/// `AFTER`, then gives all that there are.
async fn answer(store: &Store, stream: UnixStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(64).read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(mut after)), Some(Ok(wait))) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    tokio::select! {
        _ = timeout(Duration::from_millis(wait), store.come(after)) => {}
        // Nothing more is said by who asked: this is its end.
        _ = stream.read_u8() => return Ok(()),
    }
    while let Some(kept) = store.after(after) {
        after = kept.envelope.id;
        write(&mut stream, &MailLine::Mail(kept.to_wire())).await?;
    }
    let (last, dropped) = (store.last(), store.dropped());
    write(&mut stream, &MailLine::End { last, dropped }).await?;
    stream.shutdown().await
}

async fn write(stream: &mut BufReader<UnixStream>, line: &MailLine) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    stream.write_all(&text).await
}

/// Mode `mail`: prints the messages of the stub in whose container this runs.
pub async fn read(args: &[String]) -> Result<u8, Failure> {
    let [after, wait] = args else {
        return Err(Failure::usage("mail: two numbers: AFTER MILLISECONDS"));
    };
    let copied = async {
        let mut stream = UnixStream::connect(CONTROL).await?;
        stream
            .write_all(format!("{after} {wait}\n").as_bytes())
            .await?;
        let mut out = tokio::io::stdout();
        tokio::io::copy(&mut stream, &mut out).await?;
        out.flush().await
    };
    match copied.await {
        Ok(()) => Ok(0),
        Err(error) => Err(Failure::new("the messages cannot be read", error)),
    }
}
