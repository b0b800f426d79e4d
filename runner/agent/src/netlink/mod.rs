//! Netlink: messages and sockets of netfilter and of routing, no more than the guard needs.

mod message;
pub mod nflog;
pub mod nftables;
pub mod route;
mod socket;

pub use message::{Attributes, Message, Received, netfilter_header};
pub use socket::{Protocol, Socket};

/// Address families of netfilter.
pub mod family {
    /// None in particular.
    pub const UNSPEC: u8 = 0;
    /// IPv4 and IPv6 at once.
    pub const INET: u8 = 1;
    /// IPv4.
    pub const IPV4: u8 = 2;
    /// Frames of interfaces.
    pub const NETDEV: u8 = 5;
    /// IPv6.
    pub const IPV6: u8 = 10;
}
