//! Listening ports that echo what they get.

use std::net::Ipv4Addr;

use prodmirror_agent::wire::Event;
use tokio::net::{TcpListener, UdpSocket};

use crate::output::{Failure, emit};

/// Echoes on each of `tcp:PORT` and `udp:PORT`, until the program is stopped.
pub async fn run(ports: &[&str]) -> Result<u8, Failure> {
    for port in ports {
        let bad = || Failure::usage(format!("probe listen: `{port}` is no tcp:PORT or udp:PORT"));
        let (kind, number) = port.split_once(':').ok_or_else(bad)?;
        let number: u16 = number.parse().map_err(|_| bad())?;
        let failure = |error| Failure::new(format!("cannot listen on {port}"), error);
        let at = (Ipv4Addr::UNSPECIFIED, number);
        match kind {
            "tcp" => drop(tokio::spawn(tcp(TcpListener::bind(at)
                .await
                .map_err(failure)?))),
            "udp" => drop(tokio::spawn(udp(UdpSocket::bind(at)
                .await
                .map_err(failure)?))),
            _ => return Err(bad()),
        }
    }
    emit(&Event::ready("probe"));
    std::future::pending().await
}

async fn tcp(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
    }
}

async fn udp(socket: UdpSocket) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let _ = socket.send_to(&buffer[..length], client).await;
    }
}
