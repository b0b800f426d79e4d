//! What is substituted: the stack starts, and what it must not reach hears nothing and stays as
//! it was. One stack takes all these ways at once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use prodmirror_engine::docker::Found;
use serde_json::{Value, json};

use super::PROBE;
use crate::engine::{Beside, IMAGE};
use crate::held::{self, Held};
use crate::host::{Host, addresses};
use crate::project::Project;

/// Rules that find something in this stack.
pub const RULES: &[&str] = &[
    "host-network",
    "host-pid",
    "host-ipc",
    "host-uts",
    "host-cgroup",
    "host-users",
    "capability",
    "security-option",
    "sysctl",
    "runtime",
    "isolation",
    "cgroup-parent",
    "annotation",
    "storage-option",
    "logging-driver",
    "host-file",
    "extra-host",
    "name-server",
    "external-link",
    "published-port",
    "endpoint-option",
    "external-network",
    "network-driver",
    "network-option",
    "ipam-driver",
    "network-name",
    "open-network",
    "external-volume",
    "volume-driver",
    "volume-option",
    "volume-name",
    "config-store",
    "secret-store",
];

/// What stands in the engine's own network where production would be.
struct Outside {
    host: Host,
    /// A directory of this host with a file in it.
    precious: tempfile::TempDir,
    /// Names of a volume and a network that are not the stack's.
    volume: String,
    network: String,
    /// A port of this host that nobody uses.
    published: u16,
}

impl Outside {
    fn new(beside: &Beside) -> Self {
        let precious = tempfile::tempdir().unwrap();
        std::fs::write(precious.path().join("precious"), "data").unwrap();
        let name = beside.name();
        let (volume, network) = (format!("{name}-volume"), format!("{name}-network"));
        let free = TcpListener::bind("0.0.0.0:0").unwrap();
        let published = free.local_addr().unwrap().port();
        Self {
            host: Host::listen(),
            precious,
            volume,
            network,
            published,
        }
    }

    /// Options of a volume that is the directory.
    fn device(&self) -> [(&str, &str); 3] {
        [
            ("type", "none"),
            ("o", "bind"),
            ("device", self.precious.path().to_str().unwrap()),
        ]
    }

    fn compose(&self) -> String {
        let Self {
            host,
            volume,
            network,
            published,
            ..
        } = self;
        let (port, device) = (host.port, self.precious.path().display());
        let base = format!("image: {IMAGE}\n    init: true\n    command: [sleep, infinity]");
        let says = |text: &str| {
            format!(
                "image: {IMAGE}\n    init: true\n    command: [python3, -uc, \"import time; print('{text}'); time.sleep(600)\"]"
            )
        };
        format!(
            r#"
services:
  probe:
    {base}
    volumes: ['./probe.py:/probe.py:ro', '/etc/localtime:/etc/localtime:ro']
    extra_hosts: ['host.docker.internal=host-gateway', 'prod.example=172.17.0.1']
    dns: [172.17.0.1]
    external_links: ['prod-db:db']
    ports: ['{published}:8000']
    networks: {{ default: {{ driver_opts: {{ com.example.option: a }} }}, corp: null, wide: null, bridged: null }}
    configs: [c]
    secrets: [s]
  spaces:
    {base}
    network_mode: host
    pid: host
    ipc: host
    uts: host
    cgroup: host
    userns_mode: host
  rights:
    {base}
    cap_add: [NET_ADMIN, SYS_ADMIN, SYS_MODULE, DAC_READ_SEARCH, BPF, SYS_RAWIO, MAC_ADMIN]
    security_opt: ['seccomp=unconfined', 'apparmor=unconfined', 'systempaths=unconfined', 'label=disable']
    sysctls: {{ kernel.panic: 1 }}
    runtime: kata
    isolation: hyperv
    cgroup_parent: /pm-test
    annotations: {{ run.oci.handler: krun }}
    storage_opt: {{ size: 1G }}
  syslog:
    {syslog}
    logging: {{ driver: syslog, options: {{ syslog-address: 'tcp://127.0.0.1:{port}' }} }}
  gelf:
    {gelf}
    logging: {{ driver: gelf, options: {{ gelf-address: 'udp://127.0.0.1:{port}', gelf-compression-type: none }} }}
  fluentd:
    {fluentd}
    logging: {{ driver: fluentd, options: {{ fluentd-address: '127.0.0.1:{port}' }} }}
  data:
    {base}
    volumes: ['external:/external', 'nfs:/nfs', 'cifs:/cifs', 'device:/device', 'driven:/driven', 'named:/named']
networks:
  corp: {{ external: true, name: {network} }}
  wide: {{ driver: macvlan, driver_opts: {{ parent: eth0 }}, name: {network} }}
  bridged: {{ driver_opts: {{ com.docker.network.bridge.name: docker0 }}, ipam: {{ driver: infoblox }} }}
configs:
  c: {{ content: a, template_driver: golang }}
secrets:
  s: {{ file: ./probe.py, template_driver: golang }}
volumes:
  external: {{ external: true, name: {volume} }}
  nfs: {{ driver_opts: {{ type: nfs, o: 'addr=127.0.0.1,port={port},nfsvers=4,soft', device: ':/' }} }}
  cifs: {{ driver_opts: {{ type: cifs, o: 'addr=127.0.0.1,port={port},username=a,password=b', device: '//127.0.0.1/s' }} }}
  device: {{ driver_opts: {{ type: none, o: bind, device: {device} }} }}
  driven: {{ driver: rexray, driver_opts: {{ size: 1 }} }}
  named: {{ name: {volume} }}
"#,
            syslog = says("from-syslog"),
            gelf = says("from-gelf"),
            fluentd = says("from-fluentd"),
        )
    }
}

/// The containers of the running stack.
struct Stack<'b> {
    beside: &'b Beside,
    all: Vec<(Found, Value)>,
}

impl Stack<'_> {
    fn of(&self, role: &str, service: &str) -> &(Found, Value) {
        let mut all = self.all.iter();
        all.find(|(f, _)| {
            f.label("dev.prodmirror.role") == role && f.label("dev.prodmirror.service") == service
        })
        .unwrap_or_else(|| panic!("no {role} of {service}"))
    }

    fn exec(&self, service: &str, command: &[&str]) -> String {
        self.beside.exec(&self.of("service", service).0.id, command)
    }

    fn services(&self) -> impl Iterator<Item = &(Found, Value)> {
        self.all
            .iter()
            .filter(|(f, _)| f.label("dev.prodmirror.role") != "keeper")
    }
}

#[test]
fn a_stack_with_every_way_out_reaches_nothing() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let outside = Outside::new(&beside);
    beside.volume(&outside.volume, &[]);
    let touch = "touch /v/precious; ls /v";
    let bind = json!({ "Binds": [format!("{}:/v", outside.volume)] });
    assert_eq!(beside.run(&["sh", "-c", touch], bind.clone()), "precious\n");
    beside.network(&outside.network);
    let name = beside.name();
    let project = Project::with(&[
        (
            "mirror.yaml",
            &format!("project: {name}\nproduction: [compose.yaml]\n"),
        ),
        ("compose.yaml", &outside.compose()),
        ("probe.py", PROBE),
        (
            "scenarios/a.yaml",
            &format!("scenario: a\nsteps:\n{}", held::step("probe")),
        ),
    ]);
    let held = Held::start(&project, &["run", "--offline"], &beside.env());
    let all = beside.containers(name).into_iter();
    let all = all.map(|(f, text)| (f, serde_json::from_str(&text).unwrap()));
    let stack = Stack {
        beside: &beside,
        all: all.collect(),
    };
    reaches_nothing(&stack, &outside);
    is_in_no_namespace_of_the_host(&stack);
    has_no_rights(&stack);
    touches_no_data(&stack, &outside);
    looks_harmless(&stack, &outside);
    let probe = stack.of("service", "probe").0.id.clone();
    let said = held.go_on(&beside, &probe, &project);
    said.is(0, &["1 passed"]);
    assert_eq!(beside.run(&["ls", "/v"], bind), "precious\n");
    outside.host.is_silent();
    let run = held::run_dir(&project).unwrap();
    let fidelity = std::fs::read_to_string(run.join("fidelity.json")).unwrap();
    for rule in RULES {
        assert!(
            fidelity.contains(&format!("\"rule\": \"{rule}\"")),
            "{rule} found nothing"
        );
    }
}

/// Every way over the network, from inside.
fn reaches_nothing(stack: &Stack<'_>, outside: &Outside) {
    let port = outside.host.port.to_string();
    let mut command: Vec<String> = [
        "python3",
        "/probe.py",
        &port,
        "172.17.0.1",
        "host.docker.internal",
        "prod.example",
        "db",
    ]
    .map(str::to_owned)
    .to_vec();
    command.extend(addresses().iter().map(ToString::to_string));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    // A busy engine may lose what a command printed; an answer that names a way stands.
    let answer = |said: &str| said.lines().find(|l| l.starts_with('[')).map(str::to_owned);
    let mut printed = stack.exec("probe", &command);
    if answer(&printed).is_none() {
        printed = stack.exec("probe", &command);
    }
    assert_eq!(answer(&printed).as_deref(), Some("[]"), "{printed}");
    outside.host.is_silent();
    for address in addresses() {
        let at = SocketAddr::new(address, outside.published);
        let reached = TcpStream::connect_timeout(&at, Duration::from_secs(2));
        assert!(reached.is_err(), "{at} is published");
    }
}

fn is_in_no_namespace_of_the_host(stack: &Stack<'_>) {
    for space in ["net", "pid", "ipc", "uts", "cgroup", "mnt"] {
        let path = format!("/proc/self/ns/{space}");
        let own = std::fs::read_link(&path).unwrap();
        let theirs = stack.exec("spaces", &["readlink", &path]);
        assert!(theirs.starts_with(space), "{theirs}");
        assert_ne!(theirs.trim(), own.to_str().unwrap(), "the host's");
    }
}

fn has_no_rights(stack: &Stack<'_>) {
    let status = stack.exec("rights", &["cat", "/proc/self/status"]);
    let field = |name: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
    // What the engine gives to every container, and nothing more.
    let usual: u64 = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31]
        .iter()
        .map(|n| 1 << n)
        .sum();
    assert_eq!(bounding & !usual, 0, "{bounding:x}");
    assert_eq!(field("Seccomp:"), "2");
    let write = "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null && echo written; true";
    assert_eq!(stack.exec("rights", &["sh", "-c", write]), "");
    let host = &stack.of("service", "rights").1["HostConfig"];
    for paths in ["MaskedPaths", "ReadonlyPaths"] {
        assert!(
            host[paths].as_array().is_some_and(|p| !p.is_empty()),
            "{host}"
        );
    }
}

fn touches_no_data(stack: &Stack<'_>, outside: &Outside) {
    for dir in ["/external", "/nfs", "/cifs", "/device", "/driven", "/named"] {
        let listed = stack.exec(
            "data",
            &["sh", "-c", &format!("ls -A {dir} && touch {dir}/written")],
        );
        assert_eq!(listed, "", "{dir}");
    }
    let left: Vec<_> = std::fs::read_dir(outside.precious.path())
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// What the engine shows of each container.
fn looks_harmless(stack: &Stack<'_>, outside: &Outside) {
    for (found, shown) in stack.services() {
        let host = &shown["HostConfig"];
        let at = format!("{}: {host}", found.name);
        let text = |key: &str| host[key].as_str().unwrap_or_default().to_owned();
        let is_empty = |key: &str| match &host[key] {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        let driver = host["LogConfig"]["Type"].as_str().unwrap();
        assert!(["json-file", "local", "none"].contains(&driver), "{at}");
        assert_eq!(host["Privileged"], false, "{at}");
        assert!(
            !["host", "bridge", "default"].contains(&text("NetworkMode").as_str()),
            "{at}"
        );
        for key in [
            "PidMode",
            "UTSMode",
            "UsernsMode",
            "CgroupParent",
            "Devices",
            "DeviceCgroupRules",
            "DeviceRequests",
            "PortBindings",
            "ExtraHosts",
            "Links",
            "VolumesFrom",
            "VolumeDriver",
            "StorageOpt",
            "Annotations",
        ] {
            assert!(is_empty(key), "{key} of {at}");
        }
        assert!(
            ["", "private", "shareable"].contains(&text("IpcMode").as_str()),
            "{at}"
        );
        // Engines with the first version of cgroups have it so for all that do not say.
        if found.name.ends_with("-spaces-1") {
            assert_ne!(text("CgroupnsMode"), "host", "{at}");
        }
        assert_eq!(text("Runtime"), "runc", "{at}");
        let whole = shown.to_string();
        for taken in [
            "unconfined",
            "docker.sock",
            "kernel.panic",
            outside.precious.path().to_str().unwrap(),
            &outside.network,
            &outside.volume,
        ] {
            assert!(!whole.contains(taken), "{taken} in {}: {whole}", found.name);
        }
        if found.label("dev.prodmirror.role") == "sandbox" {
            assert_eq!(host["Dns"], json!(["127.83.77.53"]), "{at}");
        }
    }
    let networks = stack.beside.networks(stack.beside.name());
    assert!(!networks.is_empty());
    for network in networks {
        assert_eq!(network["Internal"], true, "{network}");
        assert_eq!(network["Driver"], "bridge", "{network}");
    }
}

#[test]
fn a_plain_container_is_heard() {
    // Shows that the test above would notice.
    let Some(beside) = Beside::connect() else {
        return;
    };
    let outside = Outside::new(&beside);
    let port = outside.host.port.to_string();
    let reached = beside.run(&["python3", "-c", PROBE, &port], json!({}));
    let gateway = serde_json::from_str::<Vec<String>>(reached.lines().last().unwrap()).unwrap();
    assert_eq!(gateway.len(), 2, "{reached}");
    for how in ["tcp", "udp", "raw", "frame"] {
        outside.host.hears(&format!("{how} 1"));
    }
    let address = format!("127.0.0.1:{port}");
    let drivers: [(&str, BTreeMap<&str, String>); 3] = [
        (
            "syslog",
            BTreeMap::from([("syslog-address", format!("tcp://{address}"))]),
        ),
        (
            "gelf",
            BTreeMap::from([
                ("gelf-address", format!("udp://{address}")),
                ("gelf-compression-type", "none".into()),
            ]),
        ),
        ("fluentd", BTreeMap::from([("fluentd-address", address)])),
    ];
    for (driver, options) in drivers {
        let text = format!("plain-{driver}");
        beside.run(
            &["echo", &text],
            json!({ "LogConfig": { "Type": driver, "Config": options } }),
        );
        outside.host.hears(&text);
    }
    let volume = format!("{}-device", beside.name());
    beside.volume(&volume, &outside.device());
    let listed = beside.run(&["ls", "/v"], json!({ "Binds": [format!("{volume}:/v")] }));
    assert_eq!(listed, "precious\n");
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let theirs = beside.run(
        &["readlink", "/proc/self/ns/pid"],
        json!({ "PidMode": "host" }),
    );
    assert_eq!(theirs.trim(), own.to_str().unwrap());
}
