//! How much it may take, how many there are, and what happens when one ends.

use crate::compare::fact::Case;
use crate::mirror::{Bytes, ResourceSet, Restart, Sourced};

/// Limits and reservations.
pub(super) fn limits(case: &mut Case<'_>) {
    let service = case.service;
    let resources = service
        .deployment
        .as_ref()
        .and_then(|d| d.resources.as_ref());
    let set = |s: Option<&Sourced<ResourceSet>>| s.map(|s| s.value.clone()).unwrap_or_default();
    let limits = set(resources.and_then(|r| r.limits.as_ref()));
    let reserved = set(resources.and_then(|r| r.reservations.as_ref()));
    let own = &service.limits;
    let memory = [
        (
            "limits.memory",
            limits.memory.as_ref().or(own.memory.as_ref()),
        ),
        (
            "reservations.memory",
            reserved.memory.as_ref().or(own.memory_reservation.as_ref()),
        ),
        ("limits.memory_swap", own.memory_swap.as_ref()),
        ("limits.shm", own.shm_size.as_ref()),
    ];
    for (field, size) in memory {
        if let Some(size) = size {
            case.put(field, human(size.value), &size.span);
        }
    }
    for (field, cpus) in [
        ("limits.cpus", limits.cpus.as_ref().or(own.cpus.as_ref())),
        ("reservations.cpus", reserved.cpus.as_ref()),
    ] {
        if let Some(cpus) = cpus {
            case.put(field, cpus.value.to_string(), &cpus.span);
        }
    }
    if let Some(pids) = limits.pids.as_ref().or(own.pids.as_ref()) {
        case.put("limits.pids", pids.value.to_string(), &pids.span);
    }
    for (name, limit) in &own.ulimits {
        let text = format!("{} to {}", limit.soft(), limit.hard());
        case.put(format!("ulimits.{name}"), text, &limit.span);
    }
}

fn human(bytes: Bytes) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, bits) in units {
        let size = 1_i64 << bits;
        if bytes.0 >= size && bytes.0 % size == 0 {
            return format!("{} {unit}", bytes.0 / size);
        }
    }
    format!("{bytes} bytes")
}

/// How many containers there are.
pub(super) fn replicas(case: &mut Case<'_>) {
    let service = case.service;
    let deployment = service.deployment.as_ref();
    let written = service
        .scale
        .as_ref()
        .or(deployment.and_then(|d| d.replicas.as_ref()));
    let span = written.map_or(&service.name.span, |r| &r.span);
    case.put("replicas", service.replicas().to_string(), span);
    if let Some(mode) = deployment.and_then(|d| d.mode.as_ref()) {
        case.put("deploy.mode", mode.value.clone(), &mode.span);
    }
}

/// Whether it starts again when it ends.
pub(super) fn restart(case: &mut Case<'_>) {
    let service = case.service;
    let rule = service.deployment.as_ref().and_then(|d| d.restart.as_ref());
    if let Some(condition) = rule.and_then(|r| r.condition.as_ref()) {
        case.put("restart", condition.value.clone(), &condition.span);
        return;
    }
    // Absent is the same as `no`.
    if let Some(restart) = service.restart.as_ref().filter(|r| r.value != Restart::No) {
        case.put("restart", restart.value.to_string(), &restart.span);
    }
}
