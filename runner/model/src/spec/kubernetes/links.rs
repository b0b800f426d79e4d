//! Variables with the addresses of services, which the kubelet gives to every container.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::pod::Pod;

/// The variables that a pod's containers get. Where production has the address of a service,
/// the mirror has its name: it is the same for as long as the service is there.
pub fn of(cluster: &Cluster<'_>, pod: &Pod<'_>) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    if pod.workload.pod.enable_service_links == Some(false) {
        return links;
    }
    let namespace = pod.workload.namespace();
    let services = cluster.services.iter();
    for s in services.filter(|s| s.object.namespace == namespace) {
        if s.is_headless() || s.is_external() {
            continue;
        }
        let host = &s.object.name;
        let name = host.to_ascii_uppercase().replace(['-', '.'], "_");
        for (i, p) in s.spec.ports.iter().flatten().enumerate() {
            let (port, protocol) = (p.port, p.protocol.as_deref().unwrap_or("TCP"));
            let url = format!("{}://{host}:{port}", protocol.to_ascii_lowercase());
            let mut set = |key: String, value: String| {
                links.insert(format!("{name}_{key}"), value);
            };
            if i == 0 {
                set("SERVICE_HOST".into(), host.clone());
                set("SERVICE_PORT".into(), port.to_string());
                set("PORT".into(), url.clone());
            }
            if let Some(named) = &p.name {
                let named = named.to_ascii_uppercase().replace(['-', '.'], "_");
                set(format!("SERVICE_PORT_{named}"), port.to_string());
            }
            let prefix = format!("PORT_{port}_{protocol}");
            set(prefix.clone(), url);
            set(format!("{prefix}_PROTO"), protocol.to_ascii_lowercase());
            set(format!("{prefix}_PORT"), port.to_string());
            set(format!("{prefix}_ADDR"), host.clone());
        }
    }
    links
}
