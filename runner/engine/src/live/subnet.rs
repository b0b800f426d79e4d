//! Subnets for stacks: small, private, and in nobody's way.
//!
//! The engine's default pools hold about thirty networks and collide with hosts' routes, so
//! subnets are chosen here: away from the engine's networks and, as far as this host can
//! see, away from its routes. Runs beside each other begin at different places; if two meet
//! all the same, the engine refuses the second, which then takes the next.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;

use prodmirror_agent::wire::Cidr;

/// The address that the engine's host gets in a subnet: the first.
pub fn gateway(subnet: Cidr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.address()) + 1)
}

/// Whether two networks share an address.
fn overlap(a: Cidr, b: Cidr) -> bool {
    let shared = a.prefix().min(b.prefix());
    Cidr::new(a.address(), shared) == Cidr::new(b.address(), shared)
}

/// The range that subnets are taken from. Clouds, home routers and Docker's default pools
/// seldom use its middle.
const RANGE: (u32, u8) = (u32::from_be_bytes([10, 64, 0, 0]), 10);

/// Chooses subnets that overlap with nothing known.
#[derive(Debug)]
pub struct Allocator {
    used: Vec<Cidr>,
    next: u32,
}

impl Allocator {
    /// An allocator that keeps away from these.
    pub fn new(used: Vec<Cidr>) -> Self {
        // The standard hasher's random keys are all the randomness that is needed here.
        let mut random = RandomState::new().build_hasher();
        random.write_u32(std::process::id());
        Self {
            used,
            next: random.finish() as u32,
        }
    }

    /// The next free subnet with room for this many addresses besides the engine's own.
    /// It is not offered again. Nothing when the range is full.
    pub fn take(&mut self, addresses: u32) -> Option<Cidr> {
        // Network, broadcast and gateway address come on top; 16 is small enough.
        let size = addresses
            .checked_add(3)?
            .max(16)
            .checked_next_power_of_two()?;
        let prefix = 32 - u8::try_from(size.trailing_zeros()).ok()?;
        if prefix <= RANGE.1 {
            return None;
        }
        let slots = 1u32 << (prefix - RANGE.1);
        for turn in 0..slots {
            // An odd stride visits every slot once and keeps neighbours apart.
            let slot = self.next.wrapping_add(turn.wrapping_mul(0x9e37_79b1)) % slots;
            let subnet = Cidr::new(Ipv4Addr::from(RANGE.0 + slot * size), prefix)?;
            if !self.used.iter().any(|u| overlap(*u, subnet)) {
                self.used.push(subnet);
                self.next = self.next.wrapping_add(0x9e37_79b1);
                return Some(subnet);
            }
        }
        None
    }
}

/// The networks that this host has routes to, where the kernel tells (Linux).
pub fn host_routes() -> Vec<Cidr> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    routes(&table)
}

fn routes(table: &str) -> Vec<Cidr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            // The kernel prints addresses as numbers of its own byte order.
            let hex = |text: &str| Some(u32::from_be(u32::from_str_radix(text, 16).ok()?));
            let base = hex(fields.nth(1)?)?;
            let mask = hex(fields.nth(5)?)?;
            let prefix = u8::try_from(mask.leading_ones()).ok()?;
            // The default route leads everywhere and takes nothing.
            if prefix > 0 {
                Cidr::new(Ipv4Addr::from(base), prefix)
            } else {
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_overlap_when_one_holds_the_other() {
        assert!(overlap(subnet("10.64.0.0/10"), subnet("10.83.0.16/28")));
        assert!(!overlap(subnet("10.83.0.0/28"), subnet("10.83.0.16/28")));
        assert!(overlap(subnet("0.0.0.0/0"), subnet("10.83.0.16/28")));
    }

    #[test]
    fn what_is_used_is_never_offered() {
        let used = vec![subnet("10.64.0.0/11"), subnet("10.96.0.0/12")];
        let mut allocator = Allocator::new(used.clone());
        let mut got: Vec<Cidr> = Vec::new();
        for i in 0..300 {
            let s = allocator.take(i).unwrap();
            assert!(!used.iter().chain(&got).any(|u| overlap(*u, s)), "{s}");
            assert!(1u32 << (32 - s.prefix()) >= i + 3);
            got.push(s);
        }
    }

    #[test]
    fn a_full_range_gives_nothing() {
        assert_eq!(Allocator::new(vec![subnet("10.0.0.0/8")]).take(5), None);
        assert_eq!(Allocator::new(vec![]).take(u32::MAX), None);
        assert_eq!(Allocator::new(vec![]).take(1 << 23), None);
    }

    #[test]
    fn routes_are_read_without_the_default_one() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";
        if cfg!(target_endian = "little") {
            assert_eq!(routes(table), [subnet("172.17.0.0/16")]);
        }
    }
}
