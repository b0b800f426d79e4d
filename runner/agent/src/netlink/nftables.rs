//! Tables, chains and rules of nftables, in the form the kernel takes them.
//! Numbers are those of `linux/netfilter/nf_tables.h`.

use std::io;
use std::net::Ipv4Addr;

use super::{Attributes, Message, Socket, family, netfilter_header};

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const CHANGE: u16 = REQUEST | libc::NLM_F_ACK as u16;
const CREATE: u16 = CHANGE | libc::NLM_F_CREATE as u16;
const APPEND: u16 = CREATE | libc::NLM_F_APPEND as u16;

const REGISTER: u32 = 1;
const REGISTER_PORT: u32 = 2;

/// What a base chain is hooked to.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where packets are looked at.
    pub place: Place,
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// Order among the chains of the hook.
    pub priority: i32,
    /// Whether what reaches the chain's end is dropped.
    pub drop: bool,
}

/// Places where packets are looked at, by the kernel's numbers.
#[derive(Debug, Clone)]
pub enum Place {
    /// What the namespace's own processes send (families of the Internet).
    LocalOut,
    /// What is about to leave by an interface (families of the Internet).
    PostRouting,
    /// Every frame that leaves by an interface (family [`family::NETDEV`]), of these interfaces.
    Egress(Vec<String>),
}

impl Place {
    fn number(&self) -> u32 {
        match self {
            Self::LocalOut => 3,
            Self::PostRouting => 4,
            Self::Egress(_) => 1,
        }
    }
}

/// A table in the making. It replaces one of the same name, all at once.
#[derive(Debug)]
pub struct Table {
    family: u8,
    name: &'static str,
    messages: Vec<(String, Message)>,
}

impl Table {
    /// An empty table.
    pub fn new(family: u8, name: &'static str) -> Self {
        let mut table = Self {
            family,
            name,
            messages: Vec::new(),
        };
        let named = || Attributes::new().text(1, name);
        // Creating before deleting makes the deletion succeed whether or not there was one.
        table.push("table", NEW_TABLE, CREATE, named());
        table.push("old table", DELETE_TABLE, CHANGE, named());
        table.push("table", NEW_TABLE, CREATE, named());
        table
    }

    fn push(&mut self, what: impl Into<String>, kind: u16, flags: u16, attributes: Attributes) {
        let message = Message {
            kind,
            flags,
            header: netfilter_header(self.family, 0),
            attributes,
        };
        self.messages.push((what.into(), message));
    }

    /// Adds a chain; one without a hook is only jumped to.
    pub fn chain(&mut self, name: &str, hook: Option<Hook>) {
        let mut chain = Attributes::new().text(1, self.name).text(3, name);
        if let Some(hook) = hook {
            let mut place = Attributes::new()
                .be32(1, hook.place.number())
                .be32(2, hook.priority as u32);
            if let Place::Egress(interfaces) = &hook.place {
                let named = |list: Attributes, name: &String| list.text(1, name);
                place = place.nest(4, interfaces.iter().fold(Attributes::new(), named));
            }
            chain = chain
                .nest(4, place)
                .be32(5, u32::from(!hook.drop))
                .text(7, hook.kind);
        }
        self.push(format!("chain {name}"), NEW_CHAIN, CREATE, chain);
    }

    /// Adds a rule to the end of a chain. `what` is how errors call it.
    pub fn rule(&mut self, chain: &str, what: &str, expressions: Vec<Expression>) {
        let list = expressions
            .into_iter()
            .fold(Attributes::new(), |list, expression| {
                let body = Attributes::new()
                    .text(1, expression.name)
                    .nest(2, expression.data);
                list.nest(1, body)
            });
        let rule = Attributes::new()
            .text(1, self.name)
            .text(2, chain)
            .nest(4, list);
        self.push(format!("rule {what}"), NEW_RULE, APPEND, rule);
    }

    /// Puts the table in place, whole or not at all.
    pub fn install(self, socket: &Socket) -> Result<(), (String, io::Error)> {
        let edge = |kind| Message {
            kind,
            flags: REQUEST,
            header: netfilter_header(family::UNSPEC, SUBSYSTEM >> 8),
            attributes: Attributes::new(),
        };
        let (names, mut messages): (Vec<_>, Vec<_>) = self.messages.into_iter().unzip();
        messages.insert(0, edge(BATCH_BEGIN));
        messages.push(edge(BATCH_END));
        socket.request(&messages).map_err(|(index, error)| {
            let name = index.checked_sub(1).and_then(|index| names.get(index));
            (
                name.cloned().unwrap_or_else(|| "nftables".to_owned()),
                error,
            )
        })
    }
}

/// One step of a rule.
#[derive(Debug, Clone)]
pub struct Expression {
    name: &'static str,
    data: Attributes,
}

/// How [`compare`] compares.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Comparison {
    /// Equal.
    Equal = 0,
    /// Not equal.
    NotEqual = 1,
    /// Less or equal, as bytes.
    AtMost = 3,
    /// Greater or equal, as bytes.
    AtLeast = 5,
}

/// Facts about a packet that are not in it.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Meta {
    /// Its mark (4 bytes, host byte order).
    Mark = 3,
    /// Name of the interface it leaves by (16 bytes).
    OutName = 7,
    /// Family of its network header (1 byte).
    Family = 15,
    /// Its transport protocol (1 byte).
    Protocol = 16,
}

/// Which header [`payload`] reads from.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Header {
    /// Ethernet.
    Link = 0,
    /// IP.
    Network = 1,
    /// TCP, UDP, ICMP.
    Transport = 2,
}

/// Loads a fact.
pub fn meta(key: Meta) -> Expression {
    let data = Attributes::new().be32(1, REGISTER).be32(2, key as u32);
    Expression { name: "meta", data }
}

/// Gives the packet a mark.
pub fn set_mark(mark: u32) -> Vec<Expression> {
    let set = Attributes::new()
        .be32(2, Meta::Mark as u32)
        .be32(3, REGISTER);
    vec![
        load(REGISTER, &mark.to_ne_bytes()),
        Expression {
            name: "meta",
            data: set,
        },
    ]
}

fn load(register: u32, value: &[u8]) -> Expression {
    Expression {
        name: "immediate",
        data: Attributes::new()
            .be32(1, register)
            .nest(2, Attributes::new().bytes(1, value)),
    }
}

/// Loads bytes of the packet.
pub fn payload(header: Header, offset: u32, length: u32) -> Expression {
    let data = Attributes::new()
        .be32(1, REGISTER)
        .be32(2, header as u32)
        .be32(3, offset)
        .be32(4, length);
    Expression {
        name: "payload",
        data,
    }
}

/// Loads the connection's state (4 bytes, host byte order).
pub fn connection_state() -> Expression {
    Expression {
        name: "ct",
        data: Attributes::new().be32(1, REGISTER).be32(2, 0),
    }
}

/// Ends the rule unless what was loaded compares to `value`.
pub fn compare(comparison: Comparison, value: &[u8]) -> Expression {
    let data = Attributes::new()
        .be32(1, REGISTER)
        .be32(2, comparison as u32)
        .nest(3, Attributes::new().bytes(1, value));
    Expression { name: "cmp", data }
}

/// Keeps only the bits of `mask` in what was loaded.
pub fn mask(mask: &[u8]) -> Expression {
    let zero = vec![0; mask.len()];
    let data = Attributes::new()
        .be32(1, REGISTER)
        .be32(2, REGISTER)
        .be32(3, mask.len() as u32)
        .nest(4, Attributes::new().bytes(1, mask))
        .nest(5, Attributes::new().bytes(1, &zero));
    Expression {
        name: "bitwise",
        data,
    }
}

fn verdict(code: i32, chain: Option<&str>) -> Expression {
    let mut verdict = Attributes::new().be32(1, code as u32);
    if let Some(chain) = chain {
        verdict = verdict.text(2, chain);
    }
    let data = Attributes::new()
        .be32(1, 0)
        .nest(2, Attributes::new().nest(2, verdict));
    Expression {
        name: "immediate",
        data,
    }
}

/// Lets the packet pass.
pub fn accept() -> Expression {
    verdict(1, None)
}

/// Drops the packet without a word.
pub fn drop_packet() -> Expression {
    verdict(0, None)
}

/// Goes on in another chain for good.
pub fn go_to(chain: &str) -> Expression {
    verdict(-4, Some(chain))
}

/// Ends the rule for what exceeds a number of packets per second.
pub fn limit(per_second: u64) -> Expression {
    let data = Attributes::new()
        .be64(1, per_second)
        .be64(2, 1)
        .be32(3, per_second as u32)
        .be32(4, 0);
    Expression {
        name: "limit",
        data,
    }
}

/// Sends the packet's head to an NFLOG group.
pub fn log(group: u16, prefix: &str, bytes: u32) -> Expression {
    let data = Attributes::new()
        .bytes(1, &group.to_be_bytes())
        .text(2, prefix)
        .be32(3, bytes)
        .bytes(4, &1u16.to_be_bytes());
    Expression { name: "log", data }
}

/// Refuses a TCP packet with a reset.
pub fn reject_tcp() -> Expression {
    Expression {
        name: "reject",
        data: Attributes::new().be32(1, 1).bytes(2, &[0]),
    }
}

/// Refuses a packet with ICMP "administratively prohibited" of its family.
pub fn reject_prohibited() -> Expression {
    Expression {
        name: "reject",
        data: Attributes::new().be32(1, 2).bytes(2, &[3]),
    }
}

/// Sends a connection to another IPv4 address and port.
pub fn redirect_to(address: Ipv4Addr, port: u16) -> Vec<Expression> {
    let nat = Attributes::new()
        .be32(1, 1)
        .be32(2, u32::from(family::IPV4))
        .be32(3, REGISTER)
        .be32(4, REGISTER)
        .be32(5, REGISTER_PORT)
        .be32(6, REGISTER_PORT);
    vec![
        load(REGISTER, &address.octets()),
        load(REGISTER_PORT, &port.to_be_bytes()),
        Expression {
            name: "nat",
            data: nat,
        },
    ]
}
