//! Addresses of the loopback network at which processes beside the tool reach services: one for
//! each service, so that its ports can be production's.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Plan;

/// How many mirrors can have such addresses at once.
pub const BLOCKS: u8 = 8;

/// The address of a service in a block; services are counted from 1.
pub fn loopback(block: u8, service: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 77, block, service)
}

impl Plan {
    /// The number of a service: its place among all by name. None for those beyond the 254th.
    pub fn number_of(&self, service: &str) -> Option<u8> {
        let services: BTreeSet<&str> = self.containers.iter().map(|c| c.service.as_str()).collect();
        let place = services.into_iter().position(|s| s == service)?;
        u8::try_from(place + 1).ok().filter(|n| *n < 255)
    }

    /// All addresses that a service may get.
    pub fn loopbacks_of(&self, service: &str) -> Vec<Ipv4Addr> {
        let number = self.number_of(service);
        number
            .into_iter()
            .flat_map(|n| (0..BLOCKS).map(move |block| loopback(block, n)))
            .collect()
    }
}
