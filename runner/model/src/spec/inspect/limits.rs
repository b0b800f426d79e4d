//! What a container may use at most.

use crate::fidelity::{Class, Severity};
use crate::yaml::{Node, Value};

use super::draft::Draft;
use super::field::{copy_texts, filled, int, list, mapping, shown, text};

/// Whole numbers that Compose has under another name; zero says nothing.
const NUMBERS: [(&str, &str); 11] = [
    ("CpuShares", "cpu_shares"),
    ("CpuPeriod", "cpu_period"),
    ("CpuQuota", "cpu_quota"),
    ("CpuRealtimePeriod", "cpu_rt_period"),
    ("CpuRealtimeRuntime", "cpu_rt_runtime"),
    ("CpuCount", "cpu_count"),
    ("CpuPercent", "cpu_percent"),
    ("Memory", "mem_limit"),
    ("MemoryReservation", "mem_reservation"),
    ("OomScoreAdj", "oom_score_adj"),
    ("PidsLimit", "pids_limit"),
];

/// The size of `/dev/shm` that a container has unless it asks for another.
const USUAL_SHM: i64 = 64 * 1024 * 1024;

pub(super) fn read(d: &mut Draft<'_>) {
    let host = d.c.host;
    for (field, key) in NUMBERS {
        let unlimited = field == "PidsLimit" && int(host, field).is_some_and(|n| n < 0);
        if let Some(node) = host.get(field).filter(|_| int(host, field).is_some())
            && !unlimited
        {
            d.set(key, node.clone());
        }
    }
    if let (Some(nanos), Some(node)) = (int(host, "NanoCpus"), host.get("NanoCpus")) {
        let cpus = Node::str(decimal(nanos), node.span.clone());
        d.set("cpus", cpus);
    }
    // The engine fills in twice the memory where swap is not limited by itself.
    if let Some(swap) = int(host, "MemorySwap")
        && int(host, "Memory").is_none_or(|m| swap != m.saturating_mul(2))
        && let Some(node) = host.get("MemorySwap")
    {
        d.set("memswap_limit", node.clone());
    }
    let swappiness = host.get("MemorySwappiness");
    if let Some(node) = swappiness.filter(|n| n.as_int().is_some_and(|n| n > 0)) {
        d.set("mem_swappiness", node.clone());
    }
    if let Some(node) = filled(host, "OomKillDisable") {
        d.set("oom_kill_disable", node.clone());
    }
    if int(host, "ShmSize").is_some_and(|n| n != USUAL_SHM)
        && let Some(node) = host.get("ShmSize")
    {
        d.set("shm_size", node.clone());
    }
    if let Some(node) = filled(host, "CpusetCpus") {
        d.set("cpuset", node.clone());
    }
    ulimits(d);
    block_io(d);
    devices(d);
}

/// Billionths as a decimal number.
fn decimal(nanos: i64) -> String {
    let (whole, part) = (nanos / 1_000_000_000, (nanos % 1_000_000_000).abs());
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:09}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

fn ulimits(d: &mut Draft<'_>) {
    let limits = list(d.c.host, "Ulimits");
    let Some(first) = limits.first() else { return };
    let mut out = Node::map(first.span.clone());
    for limit in limits {
        let Some(name) = text(limit, "Name") else {
            continue;
        };
        let value = |field: &str| limit.get(field).and_then(Node::as_int).unwrap_or(0);
        let number = |n: i64| Node::int(n, limit.span.clone());
        let (soft, hard) = (value("Soft"), value("Hard"));
        let node = if soft == hard {
            number(soft)
        } else {
            let pair = [("soft", Some(number(soft))), ("hard", Some(number(hard)))];
            mapping(&limit.span, pair)
        };
        if let Some(map) = out.as_map_mut() {
            map.insert(name, node);
        }
    }
    d.set("ulimits", out);
}

fn block_io(d: &mut Draft<'_>) {
    let host = d.c.host;
    let mut out = Node::map(host.span.clone());
    let Some(map) = out.as_map_mut() else { return };
    if let Some(weight) = filled(host, "BlkioWeight") {
        map.insert("weight", weight.clone());
    }
    for (field, key, value) in [
        ("BlkioWeightDevice", "weight_device", "weight"),
        ("BlkioDeviceReadBps", "device_read_bps", "rate"),
        ("BlkioDeviceReadIOps", "device_read_iops", "rate"),
        ("BlkioDeviceWriteBps", "device_write_bps", "rate"),
        ("BlkioDeviceWriteIOps", "device_write_iops", "rate"),
    ] {
        let Some(node) = filled(host, field) else {
            continue;
        };
        let engines = if value == "weight" { "Weight" } else { "Rate" };
        let item = |n: &Node| {
            let entries = [
                ("path", n.get("Path").cloned()),
                (value, n.get(engines).cloned()),
            ];
            mapping(&n.span, entries)
        };
        let items = list(host, field).iter().map(item).collect();
        map.insert(key, Node::new(Value::Seq(items), node.span.clone()));
    }
    if !map.is_empty() {
        d.set("blkio_config", out);
    }
}

fn devices(d: &mut Draft<'_>) {
    let host = d.c.host;
    for device in list(host, "Devices") {
        let node = mapping(
            &device.span,
            [
                ("source", filled(device, "PathOnHost").cloned()),
                ("target", filled(device, "PathInContainer").cloned()),
                ("permissions", filled(device, "CgroupPermissions").cloned()),
            ],
        );
        if node.get("source").is_some() {
            d.push("devices", node);
        }
    }
    for request in list(host, "DeviceRequests") {
        let sets = list(request, "Capabilities");
        let all = int(request, "Count") == Some(-1);
        let count = match filled(request, "Count") {
            Some(n) if all => Some(Node::str("all", n.span.clone())),
            other => other.cloned(),
        };
        let node = mapping(
            &request.span,
            [
                ("driver", filled(request, "Driver").cloned()),
                ("count", count),
                ("device_ids", filled(request, "DeviceIDs").map(copy_texts)),
                ("capabilities", sets.first().map(copy_texts)),
                ("options", filled(request, "Options").cloned()),
            ],
        );
        d.push("gpus", node);
        if sets.len() > 1 {
            let severity = Severity::Low;
            let record = d.note("gpus.capabilities", Class::Dropped, severity, &request.span);
            record.declared = shown(request);
            record.reason = "Compose has one set of capabilities for a request".to_owned();
        }
    }
}
