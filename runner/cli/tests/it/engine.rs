//! The engine, beside the program under test: plain containers that show what a test would
//! notice, and what the engine says of a run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use prodmirror_engine::docker::{
    Engine, EngineEnv, ExecSpec, Found, LogQuery, NewContainer, NewNetwork, NewVolume,
};
use serde_json::{Value, json};

/// The image of services: Python and nothing else. `prodmirror images build` makes it.
pub const IMAGE: &str = "registry.shop.example/python:3.11";
const LABEL: &str = "dev.prodmirror.test";

/// The label of everything that runs of a project make: a mirror is not called as production is.
fn of_mirror(project: &str) -> String {
    format!("dev.prodmirror.project={project}-mirror")
}

/// The engine and what a test makes there; all of it goes with this.
pub struct Beside {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
    name: String,
}

impl Beside {
    /// None where there is no engine, or none whose host is this one.
    pub fn connect() -> Option<Self> {
        if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
            println!("skipped: no engine");
            return None;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let vars: BTreeMap<String, String> = std::env::vars().collect();
        let env = EngineEnv::from_vars(|name| vars.get(name).map(String::as_str));
        let engine = runtime.block_on(Engine::connect(&env)).expect("an engine");
        if !engine.facts().local {
            println!("skipped: the engine's host is not this one");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pm-test-{}-{count}", std::process::id());
        Some(Self {
            engine,
            runtime,
            name,
        })
    }

    /// How the program under test finds the same engine.
    pub fn env(&self) -> Vec<(&'static str, &'static str)> {
        static HOST: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let host = HOST.get_or_init(|| std::env::var("DOCKER_HOST").ok());
        host.iter().map(|h| ("DOCKER_HOST", h.as_str())).collect()
    }

    /// A name that no other test uses.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL.to_owned(), self.name.clone())])
    }

    /// Makes a volume called `name`.
    pub fn volume(&self, name: &str, options: &[(&str, &str)]) {
        let options = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let new = NewVolume {
            name: name.to_owned(),
            labels: self.labels(),
            options: options.collect(),
        };
        self.runtime
            .block_on(self.engine.create_volume(&new))
            .unwrap();
    }

    /// Makes a network that leads out.
    pub fn network(&self, name: &str) {
        let used = self.runtime.block_on(self.engine.used_subnets()).unwrap();
        let free = (0..=255u8).find_map(|third| {
            let subnet = format!("10.247.{third}.0/29");
            let taken = used
                .iter()
                .any(|u| u.subnet.starts_with(&format!("10.247.{third}.")));
            (!taken).then_some((subnet, std::net::Ipv4Addr::new(10, 247, third, 1)))
        });
        let (subnet, gateway) = free.unwrap();
        let new = NewNetwork {
            name: name.to_owned(),
            subnet,
            gateway,
            internal: false,
            labels: self.labels(),
            options: BTreeMap::new(),
        };
        self.runtime
            .block_on(self.engine.create_network(&new))
            .unwrap();
    }

    /// Runs a plain container to its end and gives what it printed.
    pub fn run(&self, command: &[&str], host: Value) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let new = NewContainer {
            name: format!("{}-{count}", self.name),
            body: json!({ "Image": IMAGE, "Cmd": command, "Labels": self.labels(), "HostConfig": host }),
            platform: None,
        };
        self.runtime.block_on(async {
            let id = self.engine.create_container(&new).await.unwrap().id;
            self.engine.start_container(&id).await.unwrap();
            while self.engine.inspect_container(&id).await.unwrap().running {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            let mut out = String::new();
            let driver = host["LogConfig"]["Type"].as_str().unwrap_or_default();
            if matches!(driver, "" | "json-file") {
                out = self.logs(&id).await;
            }
            self.engine.remove_container(&id).await.unwrap();
            out
        })
    }

    async fn logs(&self, id: &str) -> String {
        use futures_util::StreamExt as _;
        let mut logs = self.engine.logs(id, &LogQuery::default());
        let mut out = Vec::new();
        while let Some(Ok(piece)) = logs.next().await {
            out.extend_from_slice(&piece.bytes);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The containers of a project's runs: who they are, and all that the engine shows.
    pub fn containers(&self, project: &str) -> Vec<(Found, String)> {
        let label = of_mirror(project);
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for found in self.engine.find_containers(&[label]).await.unwrap() {
                let shown = self.engine.inspect_raw(&found).await.unwrap();
                all.push((found, shown));
            }
            all
        })
    }

    /// All objects of a project's runs: what they are, and all that the engine shows.
    pub fn objects(&self, project: &str) -> Vec<(Found, String)> {
        let label = of_mirror(project);
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for found in self.engine.find(&[label]).await.unwrap() {
                let shown = self.engine.inspect_raw(&found).await.unwrap();
                all.push((found, shown));
            }
            all
        })
    }

    /// The networks of a project's runs, as the engine shows them.
    pub fn networks(&self, project: &str) -> Vec<Value> {
        let label = of_mirror(project);
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for found in self.engine.find_networks(&[label]).await.unwrap() {
                let shown = self.engine.inspect_raw(&found).await.unwrap();
                all.push(serde_json::from_str(&shown).unwrap());
            }
            all
        })
    }

    /// Runs a command in a container to its end and gives what it printed.
    pub fn exec(&self, container: &str, command: &[&str]) -> String {
        let spec = ExecSpec {
            container: container.to_owned(),
            command: command.iter().map(|c| (*c).to_owned()).collect(),
            ..ExecSpec::default()
        };
        self.runtime.block_on(async {
            use futures_util::StreamExt as _;
            let mut io = self.engine.exec(&spec).await.unwrap();
            let mut out = Vec::new();
            while let Some(Ok(piece)) = io.output.next().await {
                out.extend_from_slice(&piece.bytes);
            }
            String::from_utf8_lossy(&out).into_owned()
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let label = format!("{LABEL}={}", self.name);
        self.runtime.block_on(async {
            for found in self.engine.find(&[label]).await.unwrap_or_default() {
                let _ = self.engine.remove(&found).await;
            }
        });
    }
}
