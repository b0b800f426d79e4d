//! Mode `relay`: leads TCP connections to the destinations that the configuration names, and
//! to nothing else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use prodmirror_agent::wire::{Event, Ready, RelayConfig, RelayPort};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::output::{Failure, emit};
use crate::tunnel::connect;

/// Listens on every port, says so, and relays until the program is stopped.
pub async fn run(config: RelayConfig) -> Result<u8, Failure> {
    let name: Rc<str> = config.name.as_str().into();
    let ports = config.ports.iter().map(|p| p.port).collect();
    let local = LocalSet::new();
    for port in config.ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.port)).await;
        let listener = listener.map_err(|error| {
            Failure::new(
                format!("the relay cannot listen on port {}", port.port),
                error,
            )
        })?;
        local.spawn_local(accept(Rc::clone(&name), port, listener));
    }
    emit(&Event::Ready(Ready {
        name: Some(config.name),
        ports: Some(ports),
        ..Ready::new("relay")
    }));
    local.run_until(std::future::pending()).await
}

/// Accepts connections for ever, each in a task of its own.
async fn accept(name: Rc<str>, port: RelayPort, listener: TcpListener) {
    let to: Rc<str> = port.to.into();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (name, to) = (Rc::clone(&name), Rc::clone(&to));
                spawn_local(connection(name, to, stream, peer));
            }
            // Out of descriptors: the ones in use will come free.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(relay: Rc<str>, to: Rc<str>, near: TcpStream, peer: SocketAddr) {
    let (ended, near) = join(near, &to).await;
    emit(&Event::Relayed {
        relay: relay.to_string(),
        from: peer.ip(),
        to: to.to_string(),
        error: ended.err().map(|error| error.to_string()),
    });
    // After the event: whoever sees the end of the connection can read what came of it.
    drop(near);
}

/// Moves bytes until both sides have ended. A client whose connection did not come about, or
/// broke, gets a reset, not an end that looks like the destination's.
async fn join(mut near: TcpStream, to: &str) -> (io::Result<()>, TcpStream) {
    let moved = async {
        near.set_nodelay(true)?;
        let mut far = connect(to).await?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    let ended = moved.await.map(|_| ());
    if ended.is_err() {
        let _ = near.set_zero_linger();
    }
    (ended, near)
}
