//! Reports of rejected packets.

use std::time::Duration;

use prodmirror_agent::wire::{DeniedWhy, Event, LogKind};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval};

use super::guard::{BROADCAST, GATEWAY, LINK};
use super::once::Once;
use crate::netlink::Socket;
use crate::netlink::nflog::{Logged, packets};
use crate::output::{Failure, emit};

/// How often counts that grew are reported again.
const AGAIN: Duration = Duration::from_secs(10);

/// Room for a datagram of logged packets.
const DATAGRAM: usize = 64 * 1024;

/// Reports what comes over `log`, in a task of its own.
pub fn report(log: Socket) -> Result<(), Failure> {
    // SAFETY: a socket holds its one descriptor, open, until it is dropped.
    let log = unsafe { AsyncFd::register_with_interest(log, Interest::READABLE) }
        .map_err(|error| Failure::new("the packet log cannot be watched", error))?;
    tokio::spawn(async move {
        let mut seen = Once::new(LogKind::Denied);
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; DATAGRAM];
        loop {
            tokio::select! {
                ready = log.readable() => {
                    let Ok(mut ready) = ready else { return };
                    let read = ready.try_io(|log| log.get_ref().receive(&mut buffer));
                    let Ok(Ok(length)) = read else { continue };
                    for packet in packets(&buffer[..length]) {
                        if seen.is_new(&packet) {
                            emit(&denied(packet, 1));
                        }
                    }
                }
                _ = again.tick() => {
                    for (packet, count) in seen.grown() {
                        emit(&denied(packet, count));
                    }
                }
            }
        }
    });
    Ok(())
}

fn denied(packet: Logged, count: u64) -> Event {
    let why = match packet.prefix.as_str() {
        GATEWAY => DeniedWhy::Gateway,
        BROADCAST => DeniedWhy::Broadcast,
        LINK => DeniedWhy::Link,
        _ => DeniedWhy::Outside,
    };
    let proto = match i32::from(packet.protocol) {
        libc::IPPROTO_TCP => "tcp".to_owned(),
        libc::IPPROTO_UDP => "udp".to_owned(),
        libc::IPPROTO_ICMP => "icmp".to_owned(),
        libc::IPPROTO_ICMPV6 => "icmpv6".to_owned(),
        number => number.to_string(),
    };
    Event::Denied {
        proto,
        dst: packet.destination,
        port: packet.port,
        why,
        count,
    }
}
