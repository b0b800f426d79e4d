//! The addresses of this machine at which a mirror's services are reached: which there are to
//! be, which there are, and where that is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use prodmirror_engine::docker::Engine;
use prodmirror_model::plan::{BLOCKS, ContainerPlan, FileContent, FilePlan, Plan, loopback};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UdpSocket};

use super::rewrite::{Names, mentions};
use crate::open::Opened;

/// Whoever has this address of a block has the block: it is the last, and of no service.
const LAST: u8 = 254;
const LOCK_PORT: u16 = 47_077;

/// The addresses of one mirror.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct List {
    /// The run of the mirror.
    pub run: String,
    /// The process that listens there.
    #[serde(default)]
    pub pid: Option<i32>,
    /// The certificate of the authority that signs its stubs.
    #[serde(default)]
    pub authority: Option<String>,
    /// Its services.
    pub services: Vec<Entry>,
}

/// The addresses of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The service.
    pub service: String,
    /// Its number, which is the end of its address.
    pub number: u8,
    /// Its ports.
    pub ports: BTreeSet<u16>,
    /// Where each of them is reached.
    #[serde(default)]
    pub at: BTreeMap<u16, SocketAddr>,
}

impl List {
    /// Where it is written.
    pub fn path(root: &Path) -> PathBuf {
        root.join(".prodmirror").join("addresses.json")
    }

    /// Reads one.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let new = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(new.as_file(), self)?;
        new.persist(path).map_err(|e| e.error)?;
        Ok(())
    }

    /// The services that a mirror is to have addresses of, with their ports: what specs, images
    /// and stubs say, and what is named in their configuration.
    pub async fn wanted(opened: &Opened, engine: &Engine, plan: &Plan, run: &str) -> Self {
        let images: BTreeSet<&str> = plan.containers.iter().map(|c| c.image.as_str()).collect();
        let asked = images.into_iter().map(|image| async move {
            let config = engine.image_config(image).await;
            (image, config.map(|c| c.ports).unwrap_or_default())
        });
        let images: BTreeMap<&str, BTreeSet<u16>> = join_all(asked).await.into_iter().collect();
        let names = Names::of(plan);
        let mut services: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        for c in plan.containers.iter().filter(|c| !is_relay(c)) {
            let ports = services.entry(&c.service).or_default();
            ports.extend(declared(c));
            ports.extend(images.get(c.image.as_str()).into_iter().flatten());
            if let Some(stub) = opened
                .stack()
                .and_then(|s| s.extension.stubs.get(&c.service))
            {
                ports.extend(&stub.ports);
            }
        }
        for text in texts(plan) {
            for (service, port) in mentions(&text, &names) {
                if let Some(ports) = services.get_mut(service) {
                    ports.insert(port);
                }
            }
        }
        let entry = |(service, ports): (&str, BTreeSet<u16>)| {
            Some(Entry {
                service: service.to_owned(),
                number: plan.number_of(service).filter(|n| *n < LAST)?,
                ports,
                at: BTreeMap::new(),
            })
        };
        Self {
            run: run.to_owned(),
            pid: None,
            authority: None,
            services: services.into_iter().filter_map(entry).collect(),
        }
    }
}

/// Whether it leads to an allowed destination outside, which this machine reaches by itself.
pub fn is_relay(container: &ContainerPlan) -> bool {
    container.is_stand_in() && container.body["Cmd"][0].as_str() == Some("relay")
}

/// The TCP ports that the spec names.
pub fn declared(container: &ContainerPlan) -> BTreeSet<u16> {
    let exposed = container.body["ExposedPorts"].as_object();
    let exposed = exposed.into_iter().flatten().filter_map(|(port, _)| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        number.parse().ok().filter(|_| protocol == "tcp")
    });
    let published = container.ports.iter().filter(|p| p.protocol == "tcp");
    exposed.chain(published.map(|p| p.target)).collect()
}

/// All texts of a plan that may name addresses.
fn texts(plan: &Plan) -> Vec<String> {
    let mut texts = Vec::new();
    for c in &plan.containers {
        let env = c.body["Env"].as_array().into_iter().flatten();
        texts.extend(env.filter_map(|v| v.as_str().map(str::to_owned)));
        texts.extend(c.secret_env.values().map(|s| s.expose().to_owned()));
        texts.extend(c.files.iter().filter_map(text_of));
    }
    texts
}

fn text_of(file: &FilePlan) -> Option<String> {
    match &file.content {
        FileContent::Text(text) => Some(text.clone()),
        FileContent::Secret(secret) => Some(secret.expose().to_owned()),
        FileContent::HostPath(path) => {
            let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() < 1 << 20);
            small.then(|| std::fs::read_to_string(path).ok()).flatten()
        }
        _ => None,
    }
}

/// Listening sockets, each with whose it is.
pub type Open = Vec<(TcpListener, String, u16)>;

/// Opens all ports of a list and writes into it where they are. The second of what it gives
/// keeps other mirrors away from the addresses.
pub async fn open(list: &mut List) -> (Open, Option<UdpSocket>) {
    let (block, lock) = block().await;
    let mut open = Open::new();
    for entry in &mut list.services {
        let own = block.map(|block| IpAddr::V4(loopback(block, entry.number)));
        for port in &entry.ports {
            if let Some((listener, at)) = listen(own, *port).await {
                entry.at.insert(*port, at);
                open.push((listener, entry.service.clone(), *port));
            }
        }
    }
    (open, lock)
}

/// The first block that no other mirror has; none where the system has one loopback address
/// only.
async fn block() -> (Option<u8>, Option<UdpSocket>) {
    for block in 0..BLOCKS {
        match UdpSocket::bind((loopback(block, LAST), LOCK_PORT)).await {
            Ok(lock) => return (Some(block), Some(lock)),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            Err(_) => break,
        }
    }
    (None, None)
}

/// Listens on the port of the address if that can be had, else on any port of it, else on any
/// port of 127.0.0.1.
async fn listen(own: Option<IpAddr>, port: u16) -> Option<(TcpListener, SocketAddr)> {
    let common = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let wanted = own.into_iter().flat_map(|ip| [(ip, port), (ip, 0)]);
    for at in wanted.chain([(common, 0)]) {
        if let Ok(listener) = TcpListener::bind(at).await
            && let Ok(at) = listener.local_addr()
        {
            return Some((listener, at));
        }
    }
    None
}
