//! On which ports a service listens, as far as its description says so.

use std::collections::BTreeSet;

use super::Look;
use crate::mirror::{Argv, Service, Sourced};

/// Ports of servers that nearly always keep them, by the last part of the image's name.
const WELL_KNOWN: [(&str, &[u16]); 24] = [
    ("postgres", &[5432]),
    ("postgresql", &[5432]),
    ("postgis", &[5432]),
    ("timescaledb", &[5432]),
    ("pgvector", &[5432]),
    ("mysql", &[3306, 33060]),
    ("mariadb", &[3306]),
    ("redis", &[6379]),
    ("valkey", &[6379]),
    ("keydb", &[6379]),
    ("memcached", &[11211]),
    ("mongo", &[27017]),
    ("mongodb", &[27017]),
    ("rabbitmq", &[5672, 5671, 15672, 15692, 4369, 25672]),
    ("nats", &[4222, 6222, 8222]),
    ("elasticsearch", &[9200, 9300]),
    ("opensearch", &[9200, 9300, 9600]),
    ("zookeeper", &[2181, 2888, 3888, 8080]),
    ("etcd", &[2379, 2380]),
    ("consul", &[8300, 8301, 8302, 8500, 8502, 8600]),
    ("vault", &[8200, 8201]),
    ("minio", &[9000, 9001]),
    ("clickhouse-server", &[8123, 9000, 9009]),
    ("cassandra", &[9042, 7000, 7001, 7199, 9160]),
];

/// What is known of a service's ports.
pub(super) struct Listens {
    /// Ports that it is said to listen on.
    pub(super) ports: BTreeSet<u16>,
    /// Further numbers in its description that may be ports.
    mentioned: BTreeSet<u16>,
}

impl Listens {
    /// What is known of the ports at a service's address: its own, those of the others in its
    /// pod or task, and those at which they are called.
    pub(super) fn at(look: &Look<'_>, key: &str) -> Self {
        let mut all = Self {
            ports: BTreeSet::new(),
            mentioned: BTreeSet::new(),
        };
        for (key, service) in look.group(key) {
            let one = Self::of(look, key, service);
            all.ports.extend(one.ports);
            all.mentioned.extend(one.mentioned);
            let front = look.beyond.fronts.get(key);
            for forward in front.iter().flat_map(|f| &f.forwards) {
                let called = forward
                    .split('=')
                    .next()
                    .and_then(|p| p.parse::<u16>().ok());
                all.ports.extend(called);
                all.mentioned.extend(called);
            }
        }
        all
    }

    /// What the description of a service says of its ports.
    pub(super) fn of(look: &Look<'_>, key: &str, service: &Service) -> Self {
        let mut ports = declared(service);
        ports.extend(well_known(service));
        if let Some(image) = look.image(service) {
            ports.extend(&image.ports);
        }
        let mut mentioned = ports.clone();
        for text in look.texts.iter().filter(|t| t.service == key) {
            // The address of another service says nothing about its own ports.
            if !text.value.contains("://") || text.field != "environment" {
                numbers(text.value, &mut mentioned);
            }
        }
        let test = service.health.iter().filter_map(|h| h.test.as_ref());
        for part in test.flat_map(|t| t.iter()) {
            numbers(part, &mut mentioned);
        }
        for body in look.bodies.iter().filter(|b| b.service == key) {
            numbers(&body.file.text, &mut mentioned);
        }
        for name in &service.config_files {
            let object = name
                .source
                .as_ref()
                .and_then(|s| look.mirror.config_files.get(s.as_str()));
            if let Some(content) = object.and_then(|o| o.content.as_ref()) {
                numbers(content, &mut mentioned);
            }
        }
        Self { ports, mentioned }
    }

    /// Whether nothing speaks for a port although something is known of the service's ports.
    pub(super) fn contradict(&self, port: u16) -> bool {
        !self.ports.is_empty() && !self.mentioned.contains(&port)
    }

    /// The known ports for people.
    pub(super) fn list(&self) -> String {
        let all: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        all.join(", ")
    }
}

/// Ports that the spec itself says: those that are exposed and those behind published ones.
pub(super) fn declared(service: &Service) -> BTreeSet<u16> {
    let mut ports = exposed(service);
    let targets = service.network.ports.iter();
    ports.extend(targets.filter_map(|p| p.target.as_ref().map(|t| t.value)));
    ports
}

/// Ports that are exposed.
pub(super) fn exposed(service: &Service) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for entry in &service.network.expose {
        let range = entry.split('/').next().unwrap_or(entry);
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>()) {
            ports.extend(from..=to);
        }
    }
    ports
}

/// Ports of a well-known server.
pub(super) fn well_known(service: &Service) -> BTreeSet<u16> {
    let reference = service.image.reference.as_ref();
    let name = reference.map_or("", |r| repository(r));
    WELL_KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, ports)| ports.iter().copied().collect())
        .unwrap_or_default()
}

/// The last part of a repository's name.
fn repository(reference: &Sourced<String>) -> &str {
    let name = reference.split('@').next().unwrap_or("");
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Ports that a service reaches itself at: its own, those of its health check, and those that
/// its variables call its port.
pub(super) fn own(service: &Service) -> BTreeSet<u16> {
    let mut ports = declared(service);
    ports.extend(well_known(service));
    let test = service.health.iter().filter_map(|h| h.test.as_ref());
    for part in test.flat_map(|t| t.iter()) {
        numbers(part, &mut ports);
    }
    for var in &service.env {
        let own = matches!(
            var.name.as_str(),
            "PORT"
                | "HTTP_PORT"
                | "HTTPS_PORT"
                | "SERVER_PORT"
                | "APP_PORT"
                | "LISTEN_PORT"
                | "GRPC_PORT"
        );
        if let (true, Some(value)) = (own, &var.value) {
            numbers(value, &mut ports);
        }
    }
    if let Argv::Set(args) = &service.process.command.value {
        for arg in args.iter().filter(|a| !a.contains("://")) {
            numbers(arg, &mut ports);
        }
    }
    ports
}

/// Every number in a text that could be a port.
fn numbers(text: &str, out: &mut BTreeSet<u16>) {
    let parts = text.split(|c: char| !c.is_ascii_digit());
    out.extend(
        parts
            .filter_map(|p| p.parse::<u16>().ok())
            .filter(|p| *p > 0),
    );
}
