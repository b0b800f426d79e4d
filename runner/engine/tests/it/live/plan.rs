//! Small plans whose services are the agent itself, in the modes that listen and hold.

use std::collections::BTreeMap;

use prodmirror_model::plan::{
    Condition, ContainerPlan, Dependency, FileContent, FilePlan, NetworkPlan, Plan,
};
use prodmirror_model::secret::Secret;
use serde_json::{Value, json};

const PROGRAM: &str = "/prodmirror-agent";

/// A service to be.
pub struct Service(pub ContainerPlan);

/// A service that runs the agent with these arguments.
pub fn service(name: &str, arguments: &[&str]) -> Service {
    Service(ContainerPlan {
        service: name.to_owned(),
        replica: 1,
        body: json!({
            "Cmd": arguments,
            "Env": [],
            "HostConfig": {"NetworkMode": "default"},
            "NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": [name]}}},
        }),
        ..ContainerPlan::default()
    })
}

/// A service that echoes on port 7000.
pub fn echo(name: &str) -> Service {
    service(name, &["probe", "listen", "tcp:7000"])
}

impl Service {
    /// Gives it a health check that runs the agent.
    pub fn checked(mut self, arguments: &[&str], retries: u32) -> Self {
        let test: Vec<&str> = ["CMD", PROGRAM].iter().chain(arguments).copied().collect();
        // An interval that would make any start that waits for the engine's check fail.
        self.0.body["Healthcheck"] =
            json!({"Test": test, "Interval": 3_000_000_000u64, "Retries": retries});
        self
    }

    /// Healthy when its port 7000 answers.
    pub fn healthy_when_listening(self) -> Self {
        self.checked(&["probe", "tcp", "127.0.0.1:7000"], 3)
    }

    pub fn needs(mut self, service: &str, condition: Condition) -> Self {
        let (required, restart) = (true, false);
        self.0.depends_on.push(Dependency {
            service: service.to_owned(),
            condition,
            required,
            restart,
        });
        self
    }

    pub fn restarts_with(mut self, service: &str) -> Self {
        self = self.needs(service, Condition::Started);
        self.0.depends_on.last_mut().unwrap().restart = true;
        self
    }

    pub fn can_do_without(mut self, service: &str, condition: Condition) -> Self {
        self = self.needs(service, condition);
        self.0.depends_on.last_mut().unwrap().required = false;
        self
    }

    pub fn host(mut self, key: &str, value: Value) -> Self {
        self.0.body["HostConfig"][key] = value;
        self
    }

    pub fn file(mut self, target: &str, content: FileContent) -> Self {
        let (mode, uid, gid, read_only) = (None, 0, 0, true);
        let target = target.to_owned();
        self.0.files.push(FilePlan {
            target,
            content,
            mode,
            uid,
            gid,
            read_only,
        });
        self
    }

    pub fn secret_env(mut self, name: &str, value: &str) -> Self {
        let env = self.0.body["Env"].as_array_mut().unwrap();
        env.push(json!(format!("{name}=***")));
        self.0
            .secret_env
            .insert(name.to_owned(), Secret::new(value));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut ContainerPlan)) -> Self {
        change(&mut self.0);
        self
    }
}

/// A plan with one network, `default`.
pub fn plan(services: impl IntoIterator<Item = Service>) -> Plan {
    Plan {
        project: "live-test".to_owned(),
        networks: vec![network("default")],
        volumes: Vec::new(),
        containers: services.into_iter().map(|s| s.0).collect(),
        ..Plan::default()
    }
}

pub fn network(key: &str) -> NetworkPlan {
    NetworkPlan {
        key: key.to_owned(),
        labels: BTreeMap::new(),
        internal: true,
        options: BTreeMap::new(),
        addresses: 4,
    }
}
