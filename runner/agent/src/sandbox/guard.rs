//! The guard: rules on what leaves the namespace.
//!
//! They live in the namespace's own netfilter, in a table of their own, so they are
//! in nobody's way, the engine's rules for its resolver included, and end with the namespace.

use std::net::Ipv4Addr;

use prodmirror_agent::wire::{Cidr, PortRange, SandboxConfig};

use crate::netlink::nftables::{
    Comparison, Expression, Header, Hook, Meta, Place, Table, accept, compare, connection_state,
    drop_packet, go_to, limit, log, mask, meta, payload, reject_prohibited, reject_tcp,
};
use crate::netlink::{Protocol, Socket, family, nflog, route};
use crate::output::{Failure, warn};

/// NFLOG group of rejected packets; groups belong to their namespace.
pub const LOG_GROUP: u16 = 83;

/// How many rejected packets a second are looked at.
const LOGGED_PER_SECOND: u64 = 500;

const TABLE: &str = "prodmirror";
const OUT: &str = "out";
/// Chains that reject, which are also the prefixes of what they log.
pub const GATEWAY: &str = "gateway";
/// See [`GATEWAY`].
pub const BROADCAST: &str = "broadcast";
/// See [`GATEWAY`].
pub const OUTSIDE: &str = "outside";

/// See [`GATEWAY`].
pub const LINK: &str = "link";

/// Offset of the destination port in a TCP, UDP or SCTP header.
const DESTINATION_PORT: u32 = 2;
/// Offset of the destination in an IPv4 header.
const IPV4_DESTINATION: u32 = 16;
/// ICMPv6 types by which a kernel finds neighbours and routers: 130 to 143.
const NEIGHBOUR_DISCOVERY: (u8, u8) = (130, 143);
/// Connection states established and related, in the kernel's bits.
const REPLIES: u32 = 2 | 4;

/// Gives the namespace a way for everything, which the guard then rejects and reports. Newer
/// engines set no default route on internal networks: without one the kernel would refuse
/// what leads outside before the guard can see it.
pub fn lead_everything_here() {
    if let Err(error) = route::add_default() {
        warn(
            "attempts to leave the stack may fail without a report",
            error,
        );
    }
}

/// Installs the guard. Gives the socket that rejected packets are logged to, or none
/// where the kernel cannot log packets (a warning says so).
pub fn install(config: &SandboxConfig) -> Result<Option<Socket>, Failure> {
    let socket = Socket::open(Protocol::Netfilter)
        .map_err(|error| Failure::new("the guard could not be installed: no netlink", error))?;
    let logged = nflog::subscribe(LOG_GROUP)
        .map_err(|error| error.to_string())
        .and_then(|log| match rules(config, true).install(&socket) {
            Ok(()) => Ok(log),
            Err((what, error)) => Err(format!("{what}: {error}")),
        });
    match logged {
        Ok(log) => Ok(Some(log)),
        Err(why) => {
            rules(config, false)
                .install(&socket)
                .map_err(|(what, error)| {
                    Failure::new(format!("the guard could not be installed: {what}"), error)
                })?;
            warn("rejected attempts will not be reported", why);
            Ok(None)
        }
    }
}

fn rules(config: &SandboxConfig, with_log: bool) -> Table {
    let mut table = Table::new(family::INET, TABLE);
    for chain in [GATEWAY, BROADCAST, OUTSIDE, LINK] {
        reject_chain(&mut table, chain, with_log);
    }
    table.chain(
        OUT,
        Some(Hook {
            place: Place::LocalOut,
            kind: "filter",
            priority: 0,
            drop: true,
        }),
    );
    pass_replies_and_loopback(&mut table);
    for gateway in &config.gateways {
        let what = format!("gateway {gateway}");
        table.rule(
            OUT,
            &what,
            to(Cidr::new(*gateway, 32), vec![go_to(GATEWAY)]),
        );
    }
    for subnet in &config.subnets {
        for address in heard_by_all(*subnet) {
            let what = format!("broadcast {address}");
            table.rule(
                OUT,
                &what,
                to(Cidr::new(address, 32), vec![go_to(BROADCAST)]),
            );
        }
    }
    for link in &config.links {
        for address in &link.to {
            for ports in &link.ports {
                let mut steps = to(Cidr::new(*address, 32), through(*ports));
                steps.push(accept());
                table.rule(OUT, &format!("link {address}"), steps);
            }
            let what = format!("no link {address}");
            table.rule(OUT, &what, to(Cidr::new(*address, 32), vec![go_to(LINK)]));
        }
    }
    for allowed in config.subnets.iter().chain(&config.allow) {
        table.rule(
            OUT,
            &format!("allow {allowed}"),
            to(Some(*allowed), vec![accept()]),
        );
    }
    table.rule(OUT, "outside", vec![go_to(OUTSIDE)]);
    table
}

fn reject_chain(table: &mut Table, chain: &str, with_log: bool) {
    table.chain(chain, None);
    if with_log {
        let steps = vec![limit(LOGGED_PER_SECOND), log(LOG_GROUP, chain, nflog::COPY)];
        table.rule(chain, "log", steps);
    }
    let tcp = compare(Comparison::Equal, &[libc::IPPROTO_TCP as u8]);
    table.rule(
        chain,
        "reset",
        vec![meta(Meta::Protocol), tcp, reject_tcp()],
    );
    table.rule(chain, "reject", vec![reject_prohibited()]);
}

fn pass_replies_and_loopback(table: &mut Table) {
    let replies = vec![
        connection_state(),
        mask(&REPLIES.to_ne_bytes()),
        compare(Comparison::NotEqual, &[0; 4]),
        accept(),
    ];
    table.rule(OUT, "replies", replies);
    let mut loopback = [0; 16];
    loopback[..2].copy_from_slice(b"lo");
    let loopback = vec![
        meta(Meta::OutName),
        compare(Comparison::Equal, &loopback),
        accept(),
    ];
    table.rule(OUT, "loopback", loopback);
    // The kernel itself looks for neighbours and routers; nobody asked for that.
    let discovery = vec![
        meta(Meta::Family),
        compare(Comparison::Equal, &[family::IPV6]),
        meta(Meta::Protocol),
        compare(Comparison::Equal, &[libc::IPPROTO_ICMPV6 as u8]),
        payload(Header::Transport, 0, 1),
        compare(Comparison::AtLeast, &[NEIGHBOUR_DISCOVERY.0]),
        compare(Comparison::AtMost, &[NEIGHBOUR_DISCOVERY.1]),
        drop_packet(),
    ];
    table.rule(OUT, "neighbour discovery", discovery);
}

/// A rule for IPv4 packets to a network; one for nothing when there is no network.
fn to(network: Option<Cidr>, then: Vec<Expression>) -> Vec<Expression> {
    let Some(network) = network else {
        return Vec::new();
    };
    let mut steps = vec![
        meta(Meta::Family),
        compare(Comparison::Equal, &[family::IPV4]),
        payload(Header::Network, IPV4_DESTINATION, 4),
    ];
    if network.prefix() < 32 {
        steps.push(mask(&network.mask().octets()));
    }
    steps.push(compare(Comparison::Equal, &network.address().octets()));
    steps.extend(then);
    steps
}

/// Matches packets to ports of a protocol.
fn through(ports: PortRange) -> Vec<Expression> {
    vec![
        meta(Meta::Protocol),
        compare(Comparison::Equal, &[ports.protocol]),
        payload(Header::Transport, DESTINATION_PORT, 2),
        compare(Comparison::AtLeast, &ports.first.to_be_bytes()),
        compare(Comparison::AtMost, &ports.last.to_be_bytes()),
    ]
}

/// Addresses of a network that every host in it hears, the engine's host included.
fn heard_by_all(subnet: Cidr) -> impl Iterator<Item = Ipv4Addr> {
    subnet
        .broadcast()
        .into_iter()
        .flat_map(move |last| [subnet.address(), last])
}
