//! Standing before the engine's resolver.
//!
//! Where the engine does not forward unknown names on internal networks, queries to its
//! resolver are led here, asked of the resolver, and reported when it has no answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prodmirror_agent::wire::DnsFront;
use tokio::time::timeout;

use super::sink::{Answer, CHECK_NAME, Sink, listen};
use crate::dns::{self, Code, ENGINE_RESOLVER, Question};
use crate::netlink::nftables::{
    Comparison, Expression, Header, Hook, Meta, Place, Table, accept, compare, meta, payload,
    redirect_to,
};
use crate::netlink::{Protocol, Socket, family};
use crate::output::Failure;

/// Where the front listens, and from where it asks, so that its own queries are not led back.
const FRONT: Ipv4Addr = Ipv4Addr::new(127, 83, 77, 54);
const PORT: u16 = 53;
const TABLE: &str = "prodmirror_dns";
const CHAIN: &str = "out";
/// Before the engine's own redirection, which is at -100.
const PRIORITY: i32 = -110;
/// How long the engine may take to pass the check name on.
const CHECK: Duration = Duration::from_millis(500);

struct Front(Arc<Sink>);

/// Whether the sink has to stand in front: whether the engine keeps unknown names to itself.
pub async fn is_needed(wish: DnsFront, sink: &Sink) -> bool {
    match wish {
        DnsFront::Always => return true,
        DnsFront::Never => return false,
        DnsFront::Auto => {}
    }
    let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if !resolv_conf.contains(&ENGINE_RESOLVER.ip().to_string()) {
        return false;
    }
    let Some(query) = dns::query(1, CHECK_NAME, 1) else {
        return false;
    };
    let ask = dns::exchange_udp(Ipv4Addr::LOCALHOST, ENGINE_RESOLVER.into(), &query);
    let _ = timeout(CHECK, ask).await;
    !sink.heard_check()
}

/// Leads queries to the engine's resolver here.
pub async fn start(sink: &Arc<Sink>) -> Result<(), Failure> {
    listen(FRONT, Arc::new(Front(Arc::clone(sink)))).await?;
    let what = "DNS queries cannot be led to the sink";
    let socket = Socket::open(Protocol::Netfilter).map_err(|error| Failure::new(what, error))?;
    redirection()
        .install(&socket)
        .map_err(|(rule, error)| Failure::new(format!("{what}: {rule}"), error))
}

fn redirection() -> Table {
    let mut table = Table::new(family::IPV4, TABLE);
    table.chain(
        CHAIN,
        Some(Hook {
            place: Place::LocalOut,
            kind: "nat",
            priority: PRIORITY,
            drop: false,
        }),
    );
    let own = [address(12, FRONT), vec![accept()]].concat();
    table.rule(CHAIN, "the front's own queries", own);
    for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_TCP] {
        let steps = [
            address(16, *ENGINE_RESOLVER.ip()),
            vec![
                meta(Meta::Protocol),
                compare(Comparison::Equal, &[protocol as u8]),
                payload(Header::Transport, 2, 2),
                compare(Comparison::Equal, &PORT.to_be_bytes()),
            ],
            redirect_to(FRONT, PORT),
        ];
        table.rule(CHAIN, "queries to the engine's resolver", steps.concat());
    }
    table
}

/// Compares an address of the IPv4 header: 12 is the source's offset, 16 the destination's.
fn address(offset: u32, address: Ipv4Addr) -> Vec<Expression> {
    vec![
        payload(Header::Network, offset, 4),
        compare(Comparison::Equal, &address.octets()),
    ]
}

impl Answer for Front {
    async fn answer(&self, query: Vec<u8>, tcp: bool) -> Option<Vec<u8>> {
        let engine = SocketAddr::from(ENGINE_RESOLVER);
        let asked = match tcp {
            true => dns::exchange_tcp(FRONT, engine, &query).await,
            false => dns::exchange_udp(FRONT, engine, &query).await,
        };
        let Ok(answer) = asked else {
            return dns::answer_without_records(&query, Code::ServerFailure);
        };
        if answer
            .get(3)
            .is_some_and(|flags| flags & 0xf == Code::Ok as u8)
        {
            return Some(answer);
        }
        match Question::read(&query) {
            Ok(question) => {
                self.0.report(&question);
                dns::answer_without_records(&query, Code::NoSuchName)
            }
            Err(code) => dns::answer_without_records(&query, code),
        }
    }
}
