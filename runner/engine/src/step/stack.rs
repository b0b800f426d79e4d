//! A running stack as the world of a scenario's steps.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_agent::wire::StubConfig;
use prodmirror_model::diag::Problem;
use prodmirror_model::plan::{FileContent, Plan};
use prodmirror_model::secret::Secret;

use super::world::{
    Connection, Cursor, DataDone, ExecOutput, ExecRequest, FileRequest, Later, LogLine, Lookup,
    MailStub, OneOff, OneOffOutput, Process, Replicas, Resolved, ServiceFile, World,
};
use crate::live::LiveStack;

/// A running stack, with what steps need to know of its making.
pub struct StackWorld {
    stack: Arc<LiveStack>,
    /// By service and by network alias.
    env: BTreeMap<String, BTreeMap<String, Secret>>,
    secrets: BTreeMap<String, Secret>,
    roots: Vec<Vec<u8>>,
    mail: Vec<MailStub>,
}

impl StackWorld {
    /// The world of a stack that was made from this plan.
    pub fn new(stack: Arc<LiveStack>, plan: &Plan) -> Self {
        Self {
            stack,
            env: environments(plan),
            secrets: BTreeMap::new(),
            roots: Vec::new(),
            mail: mail_stubs(plan),
        }
    }

    /// Gives templates `secrets.<name>`. The redactor must know the values.
    #[must_use]
    pub fn with_secrets(mut self, secrets: BTreeMap<String, Secret>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Trusts authorities, such as that which signs the stack's stubs: their certificates as
    /// DER.
    #[must_use]
    pub fn with_roots(mut self, roots: Vec<Vec<u8>>) -> Self {
        self.roots = roots;
        self
    }
}

/// The environment of each service, under its name and its aliases.
fn environments(plan: &Plan) -> BTreeMap<String, BTreeMap<String, Secret>> {
    let mut all: BTreeMap<String, BTreeMap<String, Secret>> = BTreeMap::new();
    for c in &plan.containers {
        let mut env: BTreeMap<String, Secret> = c.body["Env"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
            .collect();
        env.extend(c.secret_env.iter().map(|(k, v)| (k.clone(), v.clone())));
        let networks = c.body["NetworkingConfig"]["EndpointsConfig"].as_object();
        let aliases = networks
            .into_iter()
            .flat_map(|n| n.values())
            .filter_map(|e| e["Aliases"].as_array())
            .flatten()
            .filter_map(|a| a.as_str());
        for alias in aliases {
            all.entry(alias.to_owned()).or_insert_with(|| env.clone());
        }
        all.insert(c.service.clone(), env);
    }
    all
}

/// The stubs that take mail: their configuration says so.
fn mail_stubs(plan: &Plan) -> Vec<MailStub> {
    let stubs = plan.containers.iter().filter(|c| c.is_stand_in());
    stubs
        .filter_map(|c| {
            let config = c.files.iter().find_map(|f| match &f.content {
                FileContent::Text(text) => serde_json::from_str::<StubConfig>(text).ok(),
                // With a certificate and its key.
                FileContent::Secret(text) => serde_json::from_str(text.expose()).ok(),
                _ => None,
            })?;
            let takes = config.listen.iter().any(|l| l.mail.is_some());
            takes.then(|| MailStub {
                host: config.name,
                service: c.service.clone(),
            })
        })
        .collect()
}

fn exposed(values: &BTreeMap<String, Secret>) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|(k, v)| (k.clone(), v.expose().to_owned()))
        .collect()
}

impl World for StackWorld {
    fn stack(&self) -> &str {
        self.stack.id()
    }

    fn services(&self) -> Vec<String> {
        self.stack.services().keys().cloned().collect()
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<Connection, Problem>> {
        Box::pin(self.stack.reach().connect(host, port))
    }

    fn address<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, Result<SocketAddr, Problem>> {
        Box::pin(self.stack.reach().address(host, port))
    }

    fn exec(&self, request: ExecRequest) -> Later<'_, Result<ExecOutput, Problem>> {
        Box::pin(self.stack.exec(request))
    }

    fn env(&self, service: &str) -> BTreeMap<String, String> {
        self.env.get(service).map(exposed).unwrap_or_default()
    }

    fn log_end(&self) -> Cursor {
        self.stack.logs().cursor()
    }

    fn settled(&self) -> Later<'_, ()> {
        Box::pin(self.stack.hear_of_ends())
    }

    fn log_lines(&self, service: &str, after: Cursor) -> Vec<LogLine> {
        self.stack.logs().lines(service, after)
    }

    fn log_changed(&self, after: Cursor) -> Later<'_, ()> {
        Box::pin(self.stack.logs().changed(after))
    }

    fn save_data<'a>(
        &'a self,
        volume: Option<&'a str>,
        name: &'a str,
    ) -> Later<'a, Result<DataDone, Problem>> {
        Box::pin(self.stack.save_data(volume, name))
    }

    fn restore_data<'a>(
        &'a self,
        volume: Option<&'a str>,
        name: Option<&'a str>,
    ) -> Later<'a, Result<DataDone, Problem>> {
        Box::pin(self.stack.restore_data(volume, name))
    }

    fn restart<'a>(&'a self, service: &'a str) -> Later<'a, Result<Duration, Problem>> {
        Box::pin(self.stack.restart_and_wait(service))
    }

    fn scale<'a>(&'a self, service: &'a str, to: u32) -> Later<'a, Result<Replicas, Problem>> {
        Box::pin(self.stack.scale(service, to))
    }

    fn processes<'a>(
        &'a self,
        service: &'a str,
        replica: u32,
    ) -> Later<'a, Result<Vec<Process>, Problem>> {
        Box::pin(self.stack.processes(service, replica))
    }

    fn run_once(&self, one: OneOff) -> Later<'_, Result<OneOffOutput, Problem>> {
        Box::pin(self.stack.run_once(one))
    }

    fn read_file<'a>(
        &'a self,
        ask: &'a FileRequest,
    ) -> Later<'a, Result<Option<ServiceFile>, Problem>> {
        Box::pin(self.stack.read_file(ask))
    }

    fn resolve<'a>(&'a self, ask: &'a Lookup) -> Later<'a, Result<Resolved, Problem>> {
        Box::pin(self.stack.resolve(ask))
    }

    fn mail_stubs(&self) -> Vec<MailStub> {
        self.mail.clone()
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.roots.clone()
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        exposed(&self.secrets)
    }
}
