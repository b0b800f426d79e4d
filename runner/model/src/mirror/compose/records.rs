//! Which key of a service in the normal form of Compose is which field of the model.

use serde_json::Value as Json;

use super::codec::{
    Context, Field, JsonMap, Reader, Record, Value, read_record, record, write_record,
};
use crate::mirror::{
    Attachment, BindOptions, BlockIo, CredentialSpec, Device, DeviceRequest, EnvFile, FileUse,
    Health, Hook, Image, ImageOptions, Limits, Logging, ModelUse, Mount, Mounts, Namespaces, Port,
    Process, Provider, Security, Service, ServiceNetwork, ThrottledDevice, TmpfsOptions,
    VolumeOptions, WeightedDevice,
};
use crate::source::Span;
use crate::yaml::Node;

record!(Service {
    container_name: "container_name",
    env: "environment",
    env_files: "env_file",
    labels: "labels",
    label_files: "label_file",
    annotations: "annotations",
    config_files: "configs",
    secrets: "secrets",
    health: "healthcheck",
    depends_on: "depends_on",
    restart: "restart",
    scale: "scale",
    deployment: "deploy",
    post_start: "post_start",
    pre_stop: "pre_stop",
    logging: "logging",
    attach: "attach",
    profiles: "profiles",
    develop: "develop",
    provider: "provider",
    models: "models",
} parts image, process, network, mounts, limits, security, namespaces; extensions extensions; place name);

record!(Image {
    reference: "image",
    platform: "platform",
    pull_policy: "pull_policy",
    build: "build",
});

record!(Process {
    entrypoint: "entrypoint",
    command: "command",
    working_dir: "working_dir",
    user: "user",
    groups: "group_add",
    tty: "tty",
    stdin_open: "stdin_open",
    init: "init",
    stop_signal: "stop_signal",
    stop_grace: "stop_grace_period",
});

record!(ServiceNetwork {
    mode: "network_mode",
    attachments: "networks",
    hostname: "hostname",
    domainname: "domainname",
    mac_address: "mac_address",
    dns: "dns",
    dns_search: "dns_search",
    dns_options: "dns_opt",
    extra_hosts: "extra_hosts",
    links: "links",
    external_links: "external_links",
    ports: "ports",
    expose: "expose",
});

record!(Attachment {
    aliases: "aliases",
    driver_opts: "driver_opts",
    gateway_priority: "gw_priority",
    interface_name: "interface_name",
    ipv4_address: "ipv4_address",
    ipv6_address: "ipv6_address",
    link_local_ips: "link_local_ips",
    mac_address: "mac_address",
    priority: "priority",
}; place declared; explicit explicit);

record!(Port {
    name: "name",
    mode: "mode",
    host_ip: "host_ip",
    target: "target",
    published: "published",
    protocol: "protocol",
    app_protocol: "app_protocol",
});

record!(Mounts {
    list: "volumes",
    tmpfs: "tmpfs",
    volumes_from: "volumes_from",
    volume_driver: "volume_driver",
    storage_opt: "storage_opt",
});

record!(BindOptions {
    selinux: "selinux",
    propagation: "propagation",
    create_host_path: "create_host_path",
    recursive: "recursive",
});

record!(VolumeOptions {
    labels: "labels",
    no_copy: "nocopy",
    subpath: "subpath",
});

record!(TmpfsOptions {
    size: "size",
    mode: "mode",
});

record!(ImageOptions { subpath: "subpath" });

record!(Limits {
    memory: "mem_limit",
    memory_reservation: "mem_reservation",
    memory_swap: "memswap_limit",
    memory_swappiness: "mem_swappiness",
    oom_kill_disable: "oom_kill_disable",
    oom_score_adj: "oom_score_adj",
    cpus: "cpus",
    cpu_shares: "cpu_shares",
    cpu_quota: "cpu_quota",
    cpu_period: "cpu_period",
    cpu_rt_period: "cpu_rt_period",
    cpu_rt_runtime: "cpu_rt_runtime",
    cpu_count: "cpu_count",
    cpu_percent: "cpu_percent",
    cpuset: "cpuset",
    pids: "pids_limit",
    shm_size: "shm_size",
    ulimits: "ulimits",
    block_io: "blkio_config",
    devices: "devices",
    device_cgroup_rules: "device_cgroup_rules",
    gpus: "gpus",
});

record!(BlockIo {
    weight: "weight",
    weight_device: "weight_device",
    read_bps: "device_read_bps",
    read_iops: "device_read_iops",
    write_bps: "device_write_bps",
    write_iops: "device_write_iops",
});

record!(WeightedDevice {
    path: "path",
    weight: "weight",
});

record!(ThrottledDevice {
    path: "path",
    rate: "rate",
});

record!(Device {
    source: "source",
    target: "target",
    permissions: "permissions",
});

record!(DeviceRequest {
    capabilities: "capabilities",
    driver: "driver",
    count: "count",
    ids: "device_ids",
    options: "options",
});

record!(Security {
    privileged: "privileged",
    cap_add: "cap_add",
    cap_drop: "cap_drop",
    options: "security_opt",
    read_only_root: "read_only",
    sysctls: "sysctls",
    cgroup_parent: "cgroup_parent",
    runtime: "runtime",
    isolation: "isolation",
    credential_spec: "credential_spec",
    engine_socket: "use_api_socket",
});

record!(CredentialSpec {
    config: "config",
    file: "file",
    registry: "registry",
});

record!(Namespaces {
    pid: "pid",
    ipc: "ipc",
    uts: "uts",
    cgroup: "cgroup",
    user: "userns_mode",
});

record!(EnvFile {
    path: "path",
    required: "required",
    format: "format",
});

record!(FileUse {
    source: "source",
    target: "target",
    uid: "uid",
    gid: "gid",
    mode: "mode",
});

record!(Health {
    test: "test",
    interval: "interval",
    timeout: "timeout",
    retries: "retries",
    start_period: "start_period",
    start_interval: "start_interval",
    disable: "disable",
});

record!(Hook {
    command: "command",
    user: "user",
    privileged: "privileged",
    working_dir: "working_dir",
    env: "environment",
});

record!(Logging {
    driver: "driver",
    options: "options",
});

record!(Provider {
    kind: "type",
    options: "options",
});

record!(ModelUse {
    endpoint_var: "endpoint_var",
    model_var: "model_var",
}; explicit explicit);

/// `type` must be there: what the mount is depends on it.
impl Record for Mount {
    fn take(reader: &mut Reader<'_>, cx: &mut Context) -> Self {
        let kind: Option<_> = reader.field("type", cx);
        Self {
            kind: kind.unwrap_or_default(),
            source: reader.field("source", cx),
            target: reader.field("target", cx),
            read_only: reader.field("read_only", cx),
            consistency: reader.field("consistency", cx),
            bind: reader.field("bind", cx),
            volume: reader.field("volume", cx),
            tmpfs: reader.field("tmpfs", cx),
            image: reader.field("image", cx),
        }
    }

    fn put(&self, out: &mut JsonMap) {
        out.insert("type".into(), self.kind.write());
        self.source.write_field("source", out);
        self.target.write_field("target", out);
        self.read_only.write_field("read_only", out);
        self.consistency.write_field("consistency", out);
        self.bind.write_field("bind", out);
        self.volume.write_field("volume", out);
        self.tmpfs.write_field("tmpfs", out);
        self.image.write_field("image", out);
    }
}

impl Value for Mount {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        read_record(node, cx)
    }

    fn write(&self) -> Json {
        write_record(self)
    }
}
