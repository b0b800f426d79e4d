//! Every way out of a mirror that is not a container network.

use super::rule::{Does, Look, Rule};
use super::{files, mounts, namespaces, net, rights};
use crate::fidelity::Severity;

macro_rules! rules {
    ($($name:literal $does:ident $severity:ident $look:ident $function:path: $why:literal;)*) => {
        &[$(Rule {
            name: $name,
            does: Does::$does,
            severity: Severity::$severity,
            why: $why,
            look: Look::$look($function),
        }),*]
    };
}

/// The rules, in the order in which they look at an object.
pub static RULES: &[Rule] = rules! {
    "host-network" Substitute High Service namespaces::network_mode:
        "it would share a network that is not the stack's";
    "foreign-network" Refuse Blocker Service namespaces::foreign_network:
        "it would share the network of a container that the spec does not describe";
    "host-pid" Substitute High Service namespaces::pid:
        "it would see and signal the processes of the engine's host";
    "host-ipc" Substitute High Service namespaces::ipc:
        "it would share memory with the engine's host";
    "host-uts" Substitute Medium Service namespaces::uts:
        "it could change the host name of the engine's host";
    "host-cgroup" Substitute Medium Service namespaces::cgroup:
        "it would see the control groups of the engine's host";
    "host-users" Substitute High Service namespaces::user:
        "its root would be root of the engine's host";
    "foreign-namespace" Refuse Blocker Service namespaces::foreign:
        "it would share a namespace of a container that the spec does not describe";
    "privileged" Refuse Blocker Service rights::privileged:
        "it would have all rights and devices of the engine's host";
    "privileged-hook" Refuse Blocker Service rights::privileged_hook:
        "it would have all rights and devices of the engine's host";
    "capability" Substitute High Service rights::capability:
        "with it a service can change its network's guard or the engine's host";
    "device" Refuse Blocker Service rights::device:
        "it is a device of the engine's host";
    "device-rule" Refuse Blocker Service rights::device_rule:
        "it opens devices of the engine's host";
    "gpus" Refuse Blocker Service rights::gpus:
        "they are devices of the engine's host";
    "security-option" Substitute High Service rights::security_option:
        "it takes away the engine's confinement or needs a profile of its host";
    "sysctl" Substitute Medium Service rights::sysctl:
        "it is a parameter of the whole engine's host";
    "runtime" Substitute Medium Service rights::runtime:
        "another runtime may confine less, and few engines have it";
    "isolation" Substitute Low Service rights::isolation:
        "it is a technology of Windows engines";
    "cgroup-parent" Substitute Low Service rights::cgroup_parent:
        "it places the service among processes of the engine's host";
    "credential-spec" Refuse Blocker Service rights::credential_spec:
        "it carries credentials of a production domain";
    "api-socket" Refuse Blocker Service rights::api_socket:
        "whoever has the engine's socket has its host";
    "annotation" Substitute Low Service rights::annotation:
        "it can steer the runtime's hooks on the engine's host";
    "provider" Refuse Blocker Service rights::provider:
        "it is a program that runs outside of the stack";
    "model" Refuse Blocker Service rights::model:
        "a program outside of the stack answers for it";
    "storage-option" Substitute Medium Service rights::storage:
        "it depends on the engine's storage driver";
    "logging-driver" Substitute Low Service rights::logging:
        "the engine itself would send the lines out of the mirror";
    "socket" Refuse Blocker Service mounts::socket:
        "whoever has a socket of the engine's host talks to its programs";
    "host-file" Substitute Medium Service mounts::host_file:
        "it is a file of the engine's host; the image's own is used";
    "bind" Refuse Blocker Service mounts::bind:
        "it is a path of the engine's host, outside of the project";
    "special-mount" Refuse Blocker Service mounts::special_mount:
        "it leads to the engine's host or its cluster";
    "volumes-from" Refuse Blocker Service mounts::volumes_from:
        "it has volumes of a container that the spec does not describe";
    "service-volume-driver" Substitute Medium Service mounts::service_volume_driver:
        "the driver's volumes are outside of the stack";
    "extra-host" Substitute High Service net::extra_host:
        "it is an address outside of the stack";
    "name-server" Substitute Low Service net::name_server:
        "it would be asked for names that the stack does not know";
    "external-link" Substitute High Service net::external_link:
        "it is a container that the spec does not describe";
    "published-port" Substitute Info Service net::published_port:
        "other machines could reach it";
    "endpoint-option" Substitute Low Service net::endpoint_option:
        "it can change the network of the engine's host";
    "external-network" Substitute Medium Network net::external_network:
        "others than the stack are in it";
    "network-driver" Substitute Low Network net::network_driver:
        "it leads out of the engine's host";
    "network-option" Substitute Low Network net::network_option:
        "it can change the network of the engine's host";
    "ipam-driver" Substitute Low Network net::ipam_driver:
        "it asks a program outside of the stack";
    "network-name" Substitute Info Network net::network_name:
        "names are global on an engine; it may be that of another stack";
    "open-network" Substitute Info Network net::open_network:
        "its services could reach everything";
    "external-volume" Substitute High Volume mounts::external_volume:
        "it may be production's own data";
    "volume-driver" Substitute Medium Volume mounts::volume_driver:
        "its data is outside of the stack";
    "volume-option" Substitute Medium Volume mounts::volume_option:
        "it mounts something outside of the stack";
    "volume-name" Substitute Info Volume mounts::volume_name:
        "names are global on an engine; it may be that of other data";
    "config-store" Substitute Medium Config files::store:
        "only an orchestrator has it";
    "config-path" Refuse Blocker Config files::host_path:
        "it is a path outside of the project";
    "secret-store" Substitute Medium Secret files::store:
        "only an orchestrator has it";
    "secret-path" Refuse Blocker Secret files::host_path:
        "it is a path outside of the project";
};

/// What gives secrets, configuration files and binds of the project their content: nothing to
/// allow there.
pub(super) static CONTENT: &[Rule] = rules! {
    "secret-value" Substitute Low Secret files::given_secret:
        "secrets of production stay there";
    "config-content" Substitute Low Config files::external_config:
        "the spec does not hold it";
    "project-bind" Substitute Low Service mounts::project_bind:
        "the service would write into the project's own files";
};
