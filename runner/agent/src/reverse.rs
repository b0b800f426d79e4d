//! Mode `reverse`: ports of this network namespace that lead out to processes beside the tool.
//!
//! It runs by `exec` in the container that stands in a service's place, with the tool at the
//! other end of its stdin and stdout, and ends with it. A port is listened on only while a
//! process takes its connections there: otherwise the kernel refuses them, at once.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use prodmirror_agent::mux::{self, Opener};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::output::Failure;
use crate::tunnel;

/// How often it is tried again whether a process takes connections.
const PAUSE: Duration = Duration::from_millis(100);
/// The log of the container: what this says is about the service, and whoever reads the
/// service's log is to read it there.
const LOG: &str = "/proc/1/fd/1";

/// Carries the ports until stdin ends.
pub async fn run(args: &[String]) -> Result<u8, Failure> {
    let port = |text: &String| {
        let number = text.parse::<u16>().ok().filter(|p| *p > 0);
        number.ok_or_else(|| Failure::usage(format!("reverse: `{text}` is no port")))
    };
    let ports = args.iter().map(port).collect::<Result<Vec<u16>, _>>()?;
    if ports.is_empty() {
        return Err(Failure::usage("reverse: no port was given"));
    }
    let what = "the way out broke";
    let reader = tunnel::stdin().map_err(|error| Failure::new(what, error))?;
    let writer = tunnel::stdout().map_err(|error| Failure::new(what, error))?;
    let opener = mux::start(reader, writer).await;
    let opener = opener.map_err(|error| Failure::new(what, error))?;
    for port in ports {
        tokio::spawn(carry(opener.clone(), port));
    }
    opener.ended().await;
    Ok(0)
}

/// Listens on a port whenever the process behind it takes connections.
async fn carry(opener: Opener, port: u16) {
    let mut said = None;
    loop {
        match opener.open(&port.to_string()).await {
            // That it could be opened is all that was asked.
            Ok(stream) => drop(stream),
            Err(error) => {
                let why = format!("connections to port {port} are refused: {error}");
                if said.as_ref() != Some(&why) {
                    log(&why);
                    said = Some(why);
                }
                sleep(PAUSE).await;
                continue;
            }
        }
        let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
            Ok(listener) => listener,
            Err(error) => {
                // One that was here before may be leaving.
                let why = format!("port {port} cannot be listened on: {error}");
                if said.as_ref() != Some(&why) {
                    log(&why);
                    said = Some(why);
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        if said.take().is_some() {
            log(&format!("connections to port {port} are taken"));
        }
        serve(&opener, port, listener).await;
    }
}

/// Takes connections until one could not be handed on.
async fn serve(opener: &Opener, port: u16, listener: TcpListener) {
    let (gone, mut is_gone) = tokio::sync::mpsc::channel(1);
    loop {
        let near = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => near,
                // Out of descriptors: the ones in use will come free.
                Err(_) => {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            _ = is_gone.recv() => return,
        };
        let (opener, gone) = (opener.clone(), gone.clone());
        tokio::spawn(async move {
            if !join(&opener, port, near).await {
                let _ = gone.try_send(());
            }
        });
    }
}

/// Moves bytes until both sides have ended; false when nobody took the connection. A client
/// whose connection did not come about, or broke, gets a reset, not an end that looks like the
/// process's.
async fn join(opener: &Opener, port: u16, mut near: TcpStream) -> bool {
    let _ = near.set_nodelay(true);
    let Ok(mut far) = opener.open(&port.to_string()).await else {
        let _ = near.set_zero_linger();
        return false;
    };
    let moved = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, 32768, 32768).await;
    if moved.is_err() {
        let _ = near.set_zero_linger();
    }
    true
}

/// Says something in the container's log; where that cannot be written, to whoever started this.
fn log(text: &str) {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(LOG)
        .and_then(|mut log| writeln!(log, "{text}"));
    if written.is_err() {
        let _ = writeln!(io::stderr(), "{text}");
    }
}
