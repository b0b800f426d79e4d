//! Which connections services may open to each other, where production restricts that.
//!
//! The guard of a sandbox knows addresses only, and has to know them before anything runs. So
//! the services of such a stack get theirs from here: from the top of each network, away from
//! where the engine begins to count for what joins later.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use prodmirror_agent::wire::{Cidr, LinkConfig, PortRange};
use prodmirror_model::plan::ContainerPlan;
use serde_json::{Value, json};

use super::board::ReplicaKey;
use super::body;
use super::context::{Context, MadeNetwork, key_of};

/// The addresses of the replicas of a stack, by key of the network. Empty where nothing is
/// restricted: the engine gives them then.
pub type Addresses = BTreeMap<String, BTreeMap<ReplicaKey, Ipv4Addr>>;

/// Gives each replica an address in each of its networks, if there is one whose connections
/// are restricted.
pub fn addresses(chosen: &[&ContainerPlan], networks: &BTreeMap<String, MadeNetwork>) -> Addresses {
    let mut given = Addresses::new();
    if chosen.iter().all(|c| c.care.links.is_empty()) {
        return given;
    }
    for plan in chosen {
        for attachment in body::attachments(plan) {
            let Some(network) = networks.get(&attachment.network) else {
                continue;
            };
            let all = given.entry(attachment.network).or_default();
            if let Some(address) = from_the_top(network.subnet, all.len()) {
                all.insert(key_of(plan), address);
            }
        }
    }
    given
}

/// An address below the broadcast address; none where the gateway would be met.
fn from_the_top(subnet: Cidr, number: usize) -> Option<Ipv4Addr> {
    let last = u32::from(subnet.broadcast()?);
    let address = last.checked_sub(u32::try_from(number).ok()? + 1)?;
    (address > u32::from(super::subnet::gateway(subnet))).then(|| Ipv4Addr::from(address))
}

/// Puts the address of a replica into the settings of its endpoint.
pub fn settle(ctx: &Context, key: &ReplicaKey, network: &str, endpoint: &mut Value) {
    let address = ctx.addresses.get(network).and_then(|all| all.get(key));
    if let (Some(address), Some(endpoint)) = (address, endpoint.as_object_mut()) {
        let fixed = json!({"IPv4Address": address.to_string()});
        endpoint.insert("IPAMConfig".to_owned(), fixed);
    }
}

/// What the guard of a replica has to know of its restrictions.
pub fn config(ctx: &Context, plan: &ContainerPlan) -> Vec<LinkConfig> {
    let links = plan.care.links.iter().map(|link| LinkConfig {
        to: of_services(ctx, plan, &link.to),
        ports: link
            .ports
            .iter()
            .filter_map(|p| PortRange::try_from(p.clone()).ok())
            .collect(),
    });
    links.filter(|l| !l.to.is_empty()).collect()
}

/// The addresses of services in the networks of a replica, but for its own.
fn of_services(ctx: &Context, plan: &ContainerPlan, services: &[String]) -> Vec<Ipv4Addr> {
    let own = key_of(plan);
    let networks = body::attachments(plan).into_iter();
    let all = networks.filter_map(|a| ctx.addresses.get(&a.network));
    all.flatten()
        .filter(|(key, _)| **key != own && services.contains(&key.0))
        .map(|(_, address)| *address)
        .collect()
}

/// Who has an address, and what forbids a service to reach it: for people.
pub fn explain(ctx: &Context, from: &ReplicaKey, to: IpAddr) -> Option<(String, String)> {
    let IpAddr::V4(to) = to else { return None };
    let mut all = ctx.addresses.values().flatten();
    let (service, _) = all.find(|(_, a)| **a == to)?.0;
    let mut plans = ctx.plan.containers.iter();
    let plan = plans.find(|c| key_of(c) == *from)?;
    let mut links = plan.care.links.iter();
    let link = links.find(|l| l.to.contains(service))?;
    Some((service.clone(), link.by.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_from_the_top_down_to_the_gateway() {
        let subnet: Cidr = "10.83.0.16/29".parse().unwrap();
        let all: Vec<_> = (0..8).map_while(|n| from_the_top(subnet, n)).collect();
        let wanted = [22, 21, 20, 19, 18].map(|last| Ipv4Addr::new(10, 83, 0, last));
        assert_eq!(all, wanted);
    }
}
