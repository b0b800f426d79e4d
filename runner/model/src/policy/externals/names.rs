//! Names and addresses that belong to a mirror.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::hosts::candidates;
use crate::mirror::Mirror;
use crate::policy::names_of;

/// Names and addresses that belong to the mirror.
pub(super) struct Names {
    known: BTreeSet<String>,
    networks: Vec<String>,
    subnets: Vec<(IpAddr, u8)>,
}

const OWN_ADDRESS_KEYS: [&str; 18] = [
    "DOMAIN",
    "DOMAIN_NAME",
    "PUBLIC_URL",
    "PUBLIC_HOST",
    "PUBLIC_HOSTNAME",
    "SITE_URL",
    "ROOT_URL",
    "BASE_URL",
    "EXTERNAL_URL",
    "EXTERNAL_HOST",
    "EXTERNAL_HOSTNAME",
    "FRONTEND_HOST",
    "WEBHOOK_URL",
    "SERVER_NAME",
    "VIRTUAL_HOST",
    "LETSENCRYPT_HOST",
    "FRONTEND_URL",
    "APP_URL",
];

impl Names {
    pub(super) fn of(mirror: &Mirror) -> Self {
        let mut known: BTreeSet<String> = names_of(mirror).into_keys().collect();
        let mut subnets = Vec::new();
        for (key, s) in &mirror.services {
            let first = key
                .split(['-', '_', '.'])
                .next()
                .unwrap_or(key)
                .to_ascii_uppercase();
            for host in &s.network.extra_hosts {
                let own = host
                    .address
                    .parse::<IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback());
                if own {
                    known.insert(host.host.to_ascii_lowercase());
                }
            }
            for a in s.network.attachments.values() {
                known.extend(a.ipv4_address.iter().map(|a| a.value.clone()));
                known.extend(a.ipv6_address.iter().map(|a| a.value.clone()));
            }
            // What is called the site's own address is not a dependency.
            for var in &s.env {
                let name = var.name.to_ascii_uppercase();
                // `GITLAB_HOST` of `gitlab` is where people find it.
                let of_itself = name
                    .strip_prefix(&first)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .is_some_and(|end| matches!(end, "HOST" | "HOSTNAME" | "URL" | "DOMAIN"));
                let own = of_itself
                    || OWN_ADDRESS_KEYS.iter().any(|k| {
                        let rest = name.strip_suffix(k);
                        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
                    });
                if let (true, Some(value)) = (own, &var.value) {
                    known.extend(candidates(value, true).into_iter().map(|c| c.host));
                }
            }
        }
        let pools = mirror.networks.values().filter_map(|n| n.ipam.as_ref());
        for pool in pools.flat_map(|i| &i.pools) {
            let subnet = pool.subnet.as_ref().and_then(|s| s.split_once('/'));
            if let Some((base, bits)) = subnet
                && let (Ok(base), Ok(bits)) = (base.parse(), bits.parse())
            {
                subnets.push((base, bits));
            }
        }
        Self {
            known,
            networks: mirror.networks.keys().cloned().collect(),
            subnets,
        }
    }

    pub(super) fn is_own(&self, host: &str) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || host == "255.255.255.255"
                || self.known.contains(host)
                || self
                    .subnets
                    .iter()
                    .any(|(base, bits)| in_subnet(ip, *base, *bits));
        }
        if self.known.contains(host) || host == "localhost" || host.ends_with(".localhost") {
            return true;
        }
        if let Some(rest) = host.strip_prefix("tasks.") {
            return self.known.contains(rest);
        }
        host.split_once('.').is_some_and(|(name, network)| {
            self.known.contains(name) && self.networks.iter().any(|n| n == network)
        })
    }
}

fn in_subnet(ip: IpAddr, base: IpAddr, bits: u8) -> bool {
    let (ip, base, width) = match (ip, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let shift = width - u32::from(bits).min(width);
    ip.checked_shr(shift).unwrap_or(0) == base.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let ip = |t: &str| t.parse().unwrap();
        assert!(in_subnet(ip("10.1.2.3"), ip("10.1.0.0"), 16));
        assert!(!in_subnet(ip("10.2.2.3"), ip("10.1.0.0"), 16));
        assert!(in_subnet(ip("10.2.2.3"), ip("0.0.0.0"), 0));
        assert!(!in_subnet(ip("10.2.2.3"), ip("::"), 0));
    }
}
