//! Networks, sandboxes and services of one test, all of which go when it ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use prodmirror_agent::wire::{CONFIG_ENV, DNS_SINK, Event, LABEL_RUN, PROGRAM_PATH};
use prodmirror_engine::docker::{
    Engine, EngineEnv, ExecSpec, LogQuery, NewContainer, NewNetwork, NewVolume, OutputFrom,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long anything may take before the test gives up.
pub const SOON: Duration = Duration::from_secs(30);

/// The engine and the run that a test's objects belong to.
pub struct Rig {
    pub engine: Engine,
    pub image: String,
    pub run: String,
    others: Mutex<Vec<String>>,
}

/// A network of the test.
pub struct Net {
    pub id: String,
    pub name: String,
    pub subnet: String,
    pub gateway: Ipv4Addr,
    pub broadcast: Ipv4Addr,
}

/// A running container and what it has printed.
pub struct Running {
    pub id: String,
    pub events: Arc<Events>,
}

/// Events of a container so far.
#[derive(Default)]
pub struct Events {
    seen: Mutex<Vec<Event>>,
    more: Notify,
}

impl Events {
    pub fn all(&self) -> Vec<Event> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until an event satisfies a condition.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let search = async {
            loop {
                let more = self.more.notified();
                if let Some(event) = self.all().into_iter().find(&wanted) {
                    return event;
                }
                more.await;
            }
        };
        match timeout(SOON, search).await {
            Ok(event) => event,
            Err(_) => panic!("no {what}; there was {:#?}", self.all()),
        }
    }
}

/// Runs a test on the engine, then removes what it made, whether it passed or not.
pub async fn on_engine<F, T>(test: T)
where
    T: FnOnce(Arc<Rig>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
        println!("skipped: no engine");
        return;
    }
    let rig = Arc::new(Rig::connect().await);
    let ended = tokio::spawn(test(Arc::clone(&rig))).await;
    let others = std::mem::take(&mut *rig.others.lock().unwrap());
    for run in others.iter().chain([&rig.run]) {
        rig.clean(run).await;
    }
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Rig {
    async fn connect() -> Self {
        let vars: BTreeMap<String, String> = std::env::vars().collect();
        let env = EngineEnv::from_vars(|name| vars.get(name).map(String::as_str));
        let engine = Engine::connect(&env).await.expect("an engine");
        let image = engine.load_agent().await.expect("the agent's image");
        Self::of_run(engine, image)
    }

    fn of_run(engine: Engine, image: String) -> Self {
        let run = uuid::Uuid::new_v4().to_string();
        Self {
            engine,
            image,
            run,
            others: Mutex::default(),
        }
    }

    /// Another run on the same engine; it goes with this one.
    pub fn other_run(&self) -> Self {
        let other = Self::of_run(self.engine.clone(), self.image.clone());
        self.others.lock().unwrap().push(other.run.clone());
        other
    }

    /// Removes everything of a run.
    pub async fn clean(&self, run: &str) {
        for object in self.objects(run).await {
            if let Err(error) = self.engine.remove(&object).await {
                println!("{object:?} was left: {error}");
            }
        }
    }

    /// Everything of a run.
    pub async fn objects(&self, run: &str) -> Vec<prodmirror_engine::docker::Found> {
        self.engine
            .find(&[format!("{LABEL_RUN}={run}")])
            .await
            .unwrap()
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL_RUN.to_owned(), self.run.clone())])
    }

    /// An internal network on a subnet that nobody uses.
    pub async fn network(&self) -> Net {
        for _ in 0..20 {
            let random = *uuid::Uuid::new_v4().as_bytes();
            let [second, third, block] = [200 + random[0] % 50, random[1], (random[2] % 4) * 64];
            let gateway = Ipv4Addr::new(10, second, third, block + 1);
            let subnet = format!("10.{second}.{third}.{block}/26");
            let name = format!("agent-test-{}", uuid::Uuid::new_v4());
            let new = NewNetwork {
                name: name.clone(),
                subnet: subnet.clone(),
                gateway,
                internal: true,
                labels: self.labels(),
                options: BTreeMap::new(),
            };
            if let Ok(id) = self.engine.create_network(&new).await {
                let broadcast = Ipv4Addr::new(10, second, third, block + 63);
                return Net {
                    id,
                    name,
                    subnet,
                    gateway,
                    broadcast,
                };
            }
        }
        panic!("no subnet is free");
    }

    /// A volume.
    pub async fn volume(&self) -> String {
        let name = format!("agent-test-{}", uuid::Uuid::new_v4());
        let new = NewVolume {
            name: name.clone(),
            labels: self.labels(),
            options: BTreeMap::new(),
        };
        self.engine.create_volume(&new).await.unwrap();
        name
    }

    /// Makes a container of the agent's image, not yet started. `body` comes on top.
    pub async fn create(&self, args: &[&str], body: Value) -> String {
        let mut whole = json!({ "Image": self.image, "Cmd": args, "Labels": self.labels() });
        merge(&mut whole, body);
        let name = format!("agent-test-{}", uuid::Uuid::new_v4());
        let new = NewContainer {
            name,
            body: whole,
            platform: None,
        };
        self.engine.create_container(&new).await.unwrap().id
    }

    /// Starts a container and follows its events.
    pub async fn start(&self, id: String) -> Running {
        self.engine.start_container(&id).await.unwrap();
        let events = self.follow(&id);
        Running { id, events }
    }

    fn follow(&self, id: &str) -> Arc<Events> {
        let events = Arc::<Events>::default();
        let query = LogQuery {
            follow: true,
            ..LogQuery::default()
        };
        let mut log = self.engine.logs(id, &query);
        let sink = Arc::clone(&events);
        tokio::spawn(async move {
            let mut text = String::new();
            while let Some(Ok(output)) = log.next().await {
                text.push_str(&String::from_utf8_lossy(&output.bytes));
                while let Some((line, rest)) = text.split_once('\n') {
                    if let Some(event) = Event::parse(line) {
                        sink.seen.lock().unwrap().push(event);
                    }
                    text = rest.to_owned();
                }
                sink.more.notify_waiters();
            }
        });
        events
    }

    /// A sandbox on a network under a name; `config` comes on top of its usual configuration.
    pub async fn sandbox(&self, net: &Net, alias: &str, config: Value) -> Running {
        let id = self
            .create(&["sandbox"], sandbox_body(net, alias, config))
            .await;
        let sandbox = self.start(id).await;
        sandbox
            .events
            .wait_for("ready", |event| matches!(event, Event::Ready(_)))
            .await;
        sandbox
    }

    /// A service with the engine's usual rights in a sandbox's network namespace.
    pub async fn service(&self, sandbox: &Running, args: &[&str]) -> Running {
        let mode = format!("container:{}", sandbox.id);
        let id = self
            .create(args, json!({ "HostConfig": { "NetworkMode": mode } }))
            .await;
        let service = self.start(id).await;
        service
            .events
            .wait_for("ready", |event| matches!(event, Event::Ready(_)))
            .await;
        service
    }

    /// Runs the agent's probe in a container.
    pub async fn probe(&self, container: &Running, args: &[&str]) -> Probed {
        let mut command = vec![PROGRAM_PATH.to_owned(), "probe".to_owned()];
        command.extend(args.iter().map(|arg| (*arg).to_owned()));
        let spec = ExecSpec {
            container: container.id.clone(),
            command,
            ..ExecSpec::default()
        };
        let mut running = self.engine.exec(&spec).await.unwrap();
        let mut text = String::new();
        while let Some(output) = running.output.next().await {
            let output = output.unwrap();
            assert_eq!(output.from, OutputFrom::Stdout, "{output:?}");
            text.push_str(&String::from_utf8_lossy(&output.bytes));
        }
        match Event::parse(&text) {
            Some(Event::Probe {
                ok,
                ms,
                answer,
                error,
                ..
            }) => Probed {
                ok,
                ms,
                answer,
                error,
            },
            _ => panic!("no answer to {args:?}: {text}"),
        }
    }

    /// The address of a container in a network.
    pub async fn address(&self, container: &Running, net: &Net) -> IpAddr {
        self.engine
            .inspect_container(&container.id)
            .await
            .unwrap()
            .addresses[&net.name]
    }
}

/// What came of a probe.
#[derive(Debug)]
pub struct Probed {
    pub ok: bool,
    pub ms: f64,
    pub answer: Option<String>,
    pub error: Option<String>,
}

/// The container that mode `sandbox` asks for.
pub fn sandbox_body(net: &Net, alias: &str, config: Value) -> Value {
    let mut whole = json!({ "subnets": [net.subnet], "gateways": [net.gateway] });
    merge(&mut whole, config);
    json!({
        "Env": [format!("{CONFIG_ENV}={whole}")],
        "HostConfig": {
            "NetworkMode": net.name,
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN", "NET_BIND_SERVICE"],
            "ReadonlyRootfs": true,
            "Dns": [DNS_SINK],
        },
        "NetworkingConfig": { "EndpointsConfig": { &net.name: { "Aliases": [alias] } } },
    })
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// One file as an archive.
pub fn file(name: &str, content: &str) -> bytes::Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, name, content.as_bytes())
        .unwrap();
    archive.into_inner().unwrap().into()
}
