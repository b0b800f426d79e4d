//! NFLOG: copies of packets that a rule logs. Numbers are those of
//! `linux/netfilter/nfnetlink_log.h`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Attributes, Message, Protocol, Received, Socket, family, netfilter_header};

const SUBSYSTEM: u16 = 4 << 8;
const PACKET: u16 = SUBSYSTEM;
const CONFIG: u16 = SUBSYSTEM | 1;
const ATTRIBUTE_PAYLOAD: u16 = 9;
const ATTRIBUTE_PREFIX: u16 = 10;

/// How much of a packet is copied: an IPv6 header, some options, the ports.
pub const COPY: u32 = 96;

/// Where a logged packet wanted to go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The prefix of the rule that logged it.
    pub prefix: String,
    /// Transport protocol number.
    pub protocol: u8,
    /// Destination.
    pub destination: IpAddr,
    /// Destination port, where the protocol has one.
    pub port: Option<u16>,
}

/// Subscribes to a group; every packet is delivered at once.
pub fn subscribe(group: u16) -> io::Result<Socket> {
    let socket = Socket::open(Protocol::Netfilter)?;
    let mode = [&COPY.to_be_bytes()[..], &[2, 0]].concat();
    let config = |attributes| Message {
        kind: CONFIG,
        flags: (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16,
        header: netfilter_header(family::UNSPEC, group),
        attributes,
    };
    let steps = [
        config(Attributes::new().bytes(1, &[1])),
        config(Attributes::new().bytes(2, &mode)),
        config(Attributes::new().be32(5, 1)),
    ];
    for step in steps {
        socket.request(&[step]).map_err(|(_, error)| error)?;
    }
    socket.ignore_overruns()?;
    socket.set_nonblocking()?;
    Ok(socket)
}

/// The packets in a datagram from the kernel.
pub fn packets(datagram: &[u8]) -> impl Iterator<Item = Logged> {
    Received::all(datagram)
        .filter(|message| message.kind == PACKET)
        .filter_map(|message| {
            let find = |wanted| message.attributes().find(|(kind, _)| *kind == wanted);
            let prefix = find(ATTRIBUTE_PREFIX)
                .map(|(_, text)| text)
                .unwrap_or_default();
            let prefix = String::from_utf8_lossy(prefix)
                .trim_end_matches('\0')
                .to_owned();
            let (protocol, destination, port) = destination(find(ATTRIBUTE_PAYLOAD)?.1)?;
            Some(Logged {
                prefix,
                protocol,
                destination,
                port,
            })
        })
}

/// Reads protocol, destination and port from a packet that begins with its IP header.
fn destination(packet: &[u8]) -> Option<(u8, IpAddr, Option<u16>)> {
    let (protocol, address, transport) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (
                packet[9],
                IpAddr::from(Ipv4Addr::from(octets)),
                packet.get(header..),
            )
        }
        6 => {
            let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (
                packet[6],
                IpAddr::from(Ipv6Addr::from(octets)),
                packet.get(40..),
            )
        }
        _ => return None,
    };
    let has_port = matches!(
        protocol as i32,
        libc::IPPROTO_TCP | libc::IPPROTO_UDP | libc::IPPROTO_SCTP
    );
    let port = transport
        .and_then(|transport| transport.get(2..4))
        .filter(|_| has_port)
        .map(|port| u16::from_be_bytes([port[0], port[1]]));
    Some((protocol, address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_destination_of_packets() {
        let mut packet = vec![
            0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 9, 8, 7, 6,
        ];
        packet.extend_from_slice(&[0x30, 0x39, 0x01, 0xbb]);
        let address: IpAddr = "9.8.7.6".parse().unwrap();
        assert_eq!(destination(&packet), Some((6, address, Some(443))));
        packet[9] = 1;
        assert_eq!(destination(&packet), Some((1, address, None)));
        for cut in 0..20 {
            assert_eq!(destination(&packet[..cut]), None);
        }
    }
}
