//! Limits of resources.

use serde_json::{Value as Json, json};

use super::fields::{Fields, text_map};
use crate::mirror::{
    Device, DeviceRequest, Limits, ResourceSet, Service, Sourced, ThrottledDevice,
};

/// Puts the limits; an orchestrator's come before the container's own. Reserved processors
/// have no effect on a single engine.
pub(super) fn put(service: &Service, host: &mut Fields) {
    let own = &service.limits;
    let resources = service
        .deployment
        .as_ref()
        .and_then(|d| d.resources.as_ref());
    let limits = resources.and_then(|r| r.limits.as_ref()).map(|l| &l.value);
    let reserved = resources
        .and_then(|r| r.reservations.as_ref())
        .map(|r| &r.value);

    host.text("CgroupParent", &service.security.cgroup_parent);
    memory(own, limits, reserved, host);
    processors(own, limits, host);
    let pids = limits
        .and_then(|l| l.pids.as_ref())
        .filter(|p| p.value > 0)
        .or(own.pids.as_ref());
    host.number("PidsLimit", pids.map_or(0, |p| p.value));
    block_io(own, host);
    host.texts("DeviceCgroupRules", &own.device_cgroup_rules);
    devices(own, reserved, host);
    host.list("Ulimits", ulimits(own));
}

fn memory(
    own: &Limits,
    limits: Option<&ResourceSet>,
    reserved: Option<&ResourceSet>,
    host: &mut Fields,
) {
    let deployed = |set: Option<&ResourceSet>| {
        set.and_then(|s| s.memory.as_ref())
            .filter(|m| m.0 != 0)
            .cloned()
    };
    host.bytes("Memory", &deployed(limits).or_else(|| own.memory.clone()));
    host.bytes("MemorySwap", &own.memory_swap);
    host.bytes("MemorySwappiness", &own.memory_swappiness);
    host.bytes(
        "MemoryReservation",
        &deployed(reserved).or_else(|| own.memory_reservation.clone()),
    );
    host.flag("OomKillDisable", &own.oom_kill_disable);
}

fn processors(own: &Limits, limits: Option<&ResourceSet>, host: &mut Fields) {
    let deployed = limits.and_then(|l| l.cpus.as_ref()).map_or(0, |c| c.nano());
    let nano = match deployed {
        0 => own.cpus.as_ref().map_or(0, |c| c.nano()),
        deployed => deployed,
    };
    host.number("NanoCpus", nano);
    host.int("CpuShares", &own.cpu_shares);
    host.int("CpuQuota", &own.cpu_quota);
    host.int("CpuPeriod", &own.cpu_period);
    host.int("CpuRealtimePeriod", &own.cpu_rt_period);
    host.int("CpuRealtimeRuntime", &own.cpu_rt_runtime);
    host.int("CpuCount", &own.cpu_count);
    host.number(
        "CpuPercent",
        own.cpu_percent.as_ref().map_or(0, |p| (p.0 * 100.0) as i64),
    );
    host.text("CpusetCpus", &own.cpuset);
}

fn block_io(own: &Limits, host: &mut Fields) {
    let Some(io) = &own.block_io else { return };
    host.number(
        "BlkioWeight",
        io.weight.as_ref().map_or(0, |w| w.value.into()),
    );
    let weights = io.weight_device.iter().map(|d| {
        json!({
            "Path": d.path.as_ref().map_or("", |p| p.as_str()),
            "Weight": d.weight.as_ref().map_or(0, |w| w.value),
        })
    });
    host.list("BlkioWeightDevice", weights.collect());
    for (key, list) in [
        ("BlkioDeviceReadBps", &io.read_bps),
        ("BlkioDeviceReadIOps", &io.read_iops),
        ("BlkioDeviceWriteBps", &io.write_bps),
        ("BlkioDeviceWriteIOps", &io.write_iops),
    ] {
        host.list(key, list.iter().map(|d| throttle(d)).collect());
    }
}

fn throttle(device: &ThrottledDevice) -> Json {
    json!({
        "Path": device.path.as_ref().map_or("", |p| p.as_str()),
        "Rate": device.rate.as_ref().map_or(0, |r| r.0),
    })
}

fn devices(own: &Limits, reserved: Option<&ResourceSet>, host: &mut Fields) {
    let (cdi, plain): (Vec<&Sourced<Device>>, Vec<_>) = own.devices.iter().partition(|d| is_cdi(d));
    host.list("Devices", plain.iter().map(|d| mapping(d)).collect());

    let reserved = reserved.map_or(&[][..], |r| &r.devices);
    let mut requests: Vec<Json> = reserved.iter().map(|d| wish(d, &[])).collect();
    if !cdi.is_empty() {
        let ids: Vec<_> = cdi
            .iter()
            .filter_map(|d| d.source.as_ref().map(|s| s.value.clone()))
            .collect();
        requests.push(json!({ "Driver": "cdi", "DeviceIDs": ids }));
    }
    requests.extend(own.gpus.iter().map(|d| wish(d, &["gpu"])));
    host.list("DeviceRequests", requests);
}

/// Whether a device is the name of a CDI device, `vendor/class=name`, rather than a path.
fn is_cdi(device: &Device) -> bool {
    let (Some(source), Some(target)) = (&device.source, &device.target) else {
        return false;
    };
    let named = source
        .split_once('=')
        .and_then(|(kind, name)| Some((kind.split_once('/')?, name)));
    source == target
        && named.is_some_and(|((vendor, class), name)| {
            !vendor.is_empty() && !class.is_empty() && !class.contains('/') && !name.is_empty()
        })
}

fn mapping(device: &Device) -> Json {
    let text = |t: &Option<Sourced<String>>| t.as_ref().map_or("", |t| t.as_str()).to_owned();
    json!({
        "PathOnHost": text(&device.source),
        "PathInContainer": text(&device.target),
        "CgroupPermissions": text(&device.permissions),
    })
}

fn wish(request: &DeviceRequest, further: &[&str]) -> Json {
    let mut wish = Fields::new();
    wish.text("Driver", &request.driver);
    wish.int("Count", &request.count);
    wish.texts("DeviceIDs", &request.ids);
    let abilities: Vec<&str> = request
        .capabilities
        .iter()
        .map(|c| c.as_str())
        .chain(further.iter().copied())
        .collect();
    wish.set("Capabilities", json!([abilities]));
    wish.map("Options", text_map(&request.options));
    wish.into_json()
}

fn ulimits(own: &Limits) -> Vec<Json> {
    own.ulimits
        .iter()
        .map(|(name, limit)| json!({ "Name": name, "Soft": limit.soft(), "Hard": limit.hard() }))
        .collect()
}
