//! Frames that do not come through the guard.
//!
//! A program with `CAP_NET_RAW`, which engines give to every container, can write whole Ethernet
//! frames; they pass none of the guard's chains and reach the engine's host. So what has passed
//! the guard gets a mark that nobody else knows, and the interfaces let nothing else out but ARP.

use std::io::{self, Read as _};

use crate::netlink::nftables::{
    Comparison, Header, Hook, Meta, Place, Table, accept, compare, meta, payload, set_mark,
};
use crate::netlink::{Protocol, Socket, family};

const MARKS: &str = "prodmirror_marks";
const FRAMES: &str = "prodmirror_frames";
const OUT: &str = "out";
/// Offset of the protocol in an Ethernet header.
const PROTOCOL: u32 = 12;
const ARP: [u8; 2] = [0x08, 0x06];

/// Keeps in what did not come through the guard. False where the kernel cannot do it.
pub fn guard() -> bool {
    install().is_ok()
}

fn install() -> io::Result<()> {
    let mark = secret_mark()?;
    let socket = Socket::open(Protocol::Netfilter)?;
    for table in [marks(mark), frames(mark, interfaces()?)] {
        table.install(&socket).map_err(|(_, error)| error)?;
    }
    Ok(())
}

/// Marks what leaves after the guard let it pass.
fn marks(mark: u32) -> Table {
    let mut table = Table::new(family::INET, MARKS);
    let hook = Hook {
        place: Place::PostRouting,
        kind: "filter",
        priority: i32::MAX,
        drop: false,
    };
    table.chain(OUT, Some(hook));
    table.rule(OUT, "mark", set_mark(mark));
    table
}

fn frames(mark: u32, interfaces: Vec<String>) -> Table {
    let mut table = Table::new(family::NETDEV, FRAMES);
    let hook = Hook {
        place: Place::Egress(interfaces),
        kind: "filter",
        priority: 0,
        drop: true,
    };
    table.chain(OUT, Some(hook));
    let marked = vec![
        meta(Meta::Mark),
        compare(Comparison::Equal, &mark.to_ne_bytes()),
        accept(),
    ];
    table.rule(OUT, "marked", marked);
    let arp = vec![
        payload(Header::Link, PROTOCOL, 2),
        compare(Comparison::Equal, &ARP),
        accept(),
    ];
    table.rule(OUT, "ARP", arp);
    table
}

/// A mark other than 0, which is every packet's at first.
fn secret_mark() -> io::Result<u32> {
    let mut bytes = [0; 4];
    let mut random = std::fs::File::open("/dev/urandom")?;
    loop {
        random.read_exact(&mut bytes)?;
        match u32::from_ne_bytes(bytes) {
            0 => {}
            mark => return Ok(mark),
        }
    }
}

/// The interfaces of this namespace but loopback.
fn interfaces() -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let names = text
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()));
    Ok(names.filter(|n| *n != "lo").map(str::to_owned).collect())
}
