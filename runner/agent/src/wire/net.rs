//! IPv4 networks in CIDR notation.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network: an address and the number of its fixed leading bits.
/// The host bits of the address are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

/// A text that is no IPv4 address and no IPv4 CIDR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CidrError {
    text: String,
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no IPv4 address or network (like 10.1.2.0/24)",
            self.text
        )
    }
}

impl std::error::Error for CidrError {}

impl Cidr {
    /// The network of `prefix` bits that holds `address`; `None` when `prefix` is above 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        if prefix > 32 {
            return None;
        }
        let bits = u32::from(address) & mask_bits(prefix);
        Some(Self {
            address: Ipv4Addr::from(bits),
            prefix,
        })
    }

    /// The first address: the network's own.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Number of fixed leading bits, 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The netmask.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(mask_bits(self.prefix))
    }

    /// The broadcast address; `None` for networks of one or two addresses, which have none.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        (self.prefix < 31)
            .then(|| Ipv4Addr::from(u32::from(self.address) | !mask_bits(self.prefix)))
    }

    /// Whether `address` lies in this network.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask_bits(self.prefix) == u32::from(self.address)
    }
}

fn mask_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let error = || CidrError {
            text: text.to_owned(),
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().map_err(|_| error())?),
            None => (text, 32),
        };
        let address = address.parse().map_err(|_| error())?;
        Self::new(address, prefix).ok_or_else(error)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_networks_and_addresses() {
        let cidr: Cidr = "10.83.0.7/26".parse().unwrap();
        assert_eq!(cidr.to_string(), "10.83.0.0/26");
        assert_eq!(cidr.mask(), Ipv4Addr::new(255, 255, 255, 192));
        assert_eq!(cidr.broadcast(), Some(Ipv4Addr::new(10, 83, 0, 63)));
        assert!(cidr.contains(Ipv4Addr::new(10, 83, 0, 63)));
        assert!(!cidr.contains(Ipv4Addr::new(10, 83, 0, 64)));
        let one: Cidr = "10.90.0.7".parse().unwrap();
        assert_eq!((one.prefix(), one.broadcast()), (32, None));
        let all: Cidr = "1.2.3.4/0".parse().unwrap();
        assert_eq!(all.to_string(), "0.0.0.0/0");
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::1/128", "10.0.0.0/", "a/8"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
