//! A listener on every address of this host, which remembers what it hears.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client that is let in hears.
pub const ANSWER: &str = "host";

/// A listener for TCP and UDP on one port, IPv4 and IPv6.
pub struct Host {
    pub port: u16,
    heard: Arc<Mutex<BTreeSet<String>>>,
}

impl Host {
    pub fn listen() -> Self {
        let (tcp, udp) = loop {
            let any = SocketAddr::from(([0u16; 8], 0));
            // Where there is no IPv6, the listener has IPv4 only.
            let tcp = TcpListener::bind(any)
                .or_else(|_| TcpListener::bind("0.0.0.0:0"))
                .unwrap();
            let at = tcp.local_addr().unwrap();
            if let Ok(udp) = UdpSocket::bind(at) {
                break (tcp, udp);
            }
        };
        let port = tcp.local_addr().unwrap().port();
        let heard = Arc::<Mutex<BTreeSet<String>>>::default();
        let (by_tcp, by_udp) = (Arc::clone(&heard), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let heard = Arc::clone(&by_tcp);
                std::thread::spawn(move || client(stream, &heard));
            }
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                by_udp.lock().unwrap().insert(text);
                let _ = udp.send_to(ANSWER.as_bytes(), from);
            }
        });
        Self { port, heard }
    }

    /// The first bytes of everything that came. A connection that sent nothing is there as the
    /// empty text.
    pub fn heard(&self) -> BTreeSet<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until something has come that holds `text`.
    #[track_caller]
    pub fn hears(&self, text: &str) {
        for _ in 0..600 {
            if self.heard().iter().any(|h| h.contains(text)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the listener did not hear {text:?}, but {:?}", self.heard());
    }

    /// Asserts that nothing has come at all.
    #[track_caller]
    pub fn is_silent(&self) {
        assert_eq!(self.heard(), BTreeSet::new());
    }
}

fn client(mut stream: std::net::TcpStream, heard: &Mutex<BTreeSet<String>>) {
    // It counts as soon as it is there; the text follows, if the client says something.
    heard.lock().unwrap().insert(String::new());
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut buffer = [0; 2048];
    let length = stream.read(&mut buffer).unwrap_or(0);
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let answer = match text.starts_with("GET ") || text.starts_with("POST ") {
        true => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhost",
        false => ANSWER,
    };
    let _ = stream.write_all(answer.as_bytes());
    heard.lock().unwrap().insert(text);
}

/// The addresses of this host towards others, IPv4 and IPv6. Nothing is sent.
pub fn addresses() -> Vec<IpAddr> {
    let towards = [("0.0.0.0:0", "192.0.2.9:9"), ("[::]:0", "[2001:db8::9]:9")];
    towards
        .iter()
        .filter_map(|(from, to)| {
            let socket = UdpSocket::bind(from).ok()?;
            socket.connect(to).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
        .collect()
}
