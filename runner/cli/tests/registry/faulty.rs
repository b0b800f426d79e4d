//! A proxy before a registry that answers the first attempts with errors.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running proxy; it ends with the test's process.
pub struct Faulty {
    /// Host and port, as references begin.
    pub at: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Statuses of attempts to come.
    faults: VecDeque<u16>,
    /// The status that the present attempt gets.
    present: Option<u16>,
    /// How many requests for manifests were answered with an error.
    answered: usize,
}

impl Faulty {
    /// Starts before a registry.
    pub fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let (shared, registry) = (state.clone(), registry.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (shared, registry) = (shared.clone(), registry.clone());
                std::thread::spawn(move || serve(client, &registry, &shared));
            }
        });
        Self { at, state }
    }

    /// The next attempts get these statuses.
    pub fn fail_with(&self, statuses: &[u16]) {
        self.state.lock().unwrap().faults.extend(statuses);
    }

    /// How many requests were answered with an error, and how many errors are left.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.answered, state.faults.len())
    }
}

/// One request on each connection.
fn serve(mut client: TcpStream, registry: &str, state: &Mutex<State>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head[0] == 0x16 {
            // Somebody tries TLS first.
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let fault = {
        let mut state = state.lock().unwrap();
        if path == "/v2/" {
            // Every attempt of an engine begins so.
            state.present = state.faults.pop_front();
        }
        let fault = state.present.filter(|_| path.contains("/manifests/"));
        state.answered += usize::from(fault.is_some());
        fault
    };
    if let Some(status) = fault {
        let answer = format!(
            "HTTP/1.1 {status} x\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return client.write_all(answer.as_bytes());
    }
    let mut upstream = TcpStream::connect(registry)?;
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    upstream.write_all(head.as_bytes())?;
    io::copy(&mut upstream, &mut client)?;
    Ok(())
}
