//! Keys of what services use or are told: networks, volumes, files, orchestration, builds.

use serde_json::Value as Json;

use super::codec::{
    Context, Field, JsonMap, Reader, Record, Value, read_record, record, write_record,
};
use crate::mirror::{
    Build, Deployment, Develop, DiscreteResource, FileObject, GenericResource, Ipam, IpamPool,
    Model, Network, Placement, PlacementPreference, ResourceSet, Resources, RestartRule,
    RolloutRule, Volume, WatchRule,
};
use crate::source::Span;
use crate::yaml::Node;

record!(FileObject {
    name: "name",
    file: "file",
    environment: "environment",
    content: "content",
    external: "external",
    labels: "labels",
    driver: "driver",
    driver_opts: "driver_opts",
    template_driver: "template_driver",
}; extensions extensions; place declared);

record!(Model {
    name: "name",
    reference: "model",
    context_size: "context_size",
    runtime_flags: "runtime_flags",
}; extensions extensions);

record!(Deployment {
    mode: "mode",
    replicas: "replicas",
    labels: "labels",
    update: "update_config",
    rollback: "rollback_config",
    resources: "resources",
    restart: "restart_policy",
    placement: "placement",
    endpoint_mode: "endpoint_mode",
});

record!(RolloutRule {
    parallelism: "parallelism",
    delay: "delay",
    failure_action: "failure_action",
    monitor: "monitor",
    max_failure_ratio: "max_failure_ratio",
    order: "order",
});

record!(Resources {
    limits: "limits",
    reservations: "reservations",
});

record!(ResourceSet {
    cpus: "cpus",
    memory: "memory",
    pids: "pids",
    devices: "devices",
    generic: "generic_resources",
});

record!(GenericResource {
    discrete: "discrete_resource_spec",
});

record!(DiscreteResource {
    kind: "kind",
    value: "value",
});

record!(RestartRule {
    condition: "condition",
    delay: "delay",
    max_attempts: "max_attempts",
    window: "window",
});

record!(Placement {
    constraints: "constraints",
    preferences: "preferences",
    max_replicas_per_node: "max_replicas_per_node",
});

record!(PlacementPreference { spread: "spread" });

record!(Build {
    context: "context",
    dockerfile: "dockerfile",
    dockerfile_inline: "dockerfile_inline",
    entitlements: "entitlements",
    args: "args",
    provenance: "provenance",
    sbom: "sbom",
    ssh: "ssh",
    labels: "labels",
    cache_from: "cache_from",
    cache_to: "cache_to",
    no_cache: "no_cache",
    no_cache_filter: "no_cache_filter",
    additional_contexts: "additional_contexts",
    pull: "pull",
    extra_hosts: "extra_hosts",
    isolation: "isolation",
    network: "network",
    target: "target",
    secrets: "secrets",
    shm_size: "shm_size",
    tags: "tags",
    ulimits: "ulimits",
    platforms: "platforms",
    privileged: "privileged",
});

record!(Develop { watch: "watch" });

record!(WatchRule {
    path: "path",
    action: "action",
    target: "target",
    exec: "exec",
    ignore: "ignore",
    include: "include",
    initial_sync: "initial_sync",
});

record!(Network {
    name: "name",
    driver: "driver",
    driver_opts: "driver_opts",
    ipam: "ipam",
    external: "external",
    internal: "internal",
    attachable: "attachable",
    labels: "labels",
    enable_ipv4: "enable_ipv4",
    enable_ipv6: "enable_ipv6",
}; extensions extensions; place declared);

record!(Ipam {
    driver: "driver",
    pools: "config",
});

record!(IpamPool {
    subnet: "subnet",
    gateway: "gateway",
    ip_range: "ip_range",
    aux_addresses: "aux_addresses",
});

record!(Volume {
    name: "name",
    driver: "driver",
    driver_opts: "driver_opts",
    external: "external",
    labels: "labels",
}; extensions extensions; place declared);
