//! `process`, `restart` and `scale`: the containers of a service.

use std::time::Duration;

use prodmirror_model::diag::Problem;
use prodmirror_model::template::{Data, Document};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::context::reach_error;
use super::fields::args;
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// How long a service may take to stop and to be ready again.
const AGAIN: Duration = Duration::from_secs(300);

/// `process`
pub(super) static PROCESS: Kind = Kind {
    name: "process",
    fields: &["processes", "count", "duration"],
    help: "lists what runs in a service: command, user, age and memory of each process",
    example: "process: { service: worker, contains: celery }",
    usual: None,
    compile: process,
};

/// `restart`
pub(super) static RESTART: Kind = Kind {
    name: "restart",
    fields: &["service", "duration"],
    help: "stops a service as a deployment does, starts it, and waits until it is ready again",
    example: "restart: { service: orders }",
    usual: None,
    compile: restart,
};

/// `scale`
pub(super) static SCALE: Kind = Kind {
    name: "scale",
    fields: &["service", "before", "running", "duration"],
    help: "stops replicas of a service, or starts those again that were stopped",
    example: "scale: { service: worker, replicas: 0 }",
    usual: None,
    compile: scale,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessArgs {
    service: Spanned<String>,
    #[serde(default)]
    replica: Option<u32>,
    #[serde(default)]
    contains: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartArgs {
    service: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScaleArgs {
    service: Spanned<String>,
    replicas: u32,
}

enum ServiceAct {
    Process(ProcessArgs),
    Restart(RestartArgs),
    Scale(ScaleArgs),
}

fn process(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(ServiceAct::Process(args(node, PROCESS.name, PROCESS.example)?).into())
}

fn restart(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(ServiceAct::Restart(args(node, RESTART.name, RESTART.example)?).into())
}

fn scale(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(ServiceAct::Scale(args(node, SCALE.name, SCALE.example)?).into())
}

impl ServiceAct {
    fn service(&self) -> &Spanned<String> {
        match self {
            Self::Process(a) => &a.service,
            Self::Restart(a) => &a.service,
            Self::Scale(a) => &a.service,
        }
    }

    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let name = self.service().value.as_str();
        let world = context.world;
        match self {
            Self::Process(a) => {
                let part = a.contains.as_ref().map(|d| d.render_text(context.scope));
                let part = part.transpose()?.unwrap_or_default();
                let all = world.processes(name, a.replica.unwrap_or(0)).await;
                let all = all.map_err(reach_error)?;
                let lines: Vec<String> = all
                    .iter()
                    .map(|p| {
                        format!(
                            "{} {} {} s {} KiB {}",
                            p.pid, p.user, p.seconds, p.memory_kib, p.command
                        )
                    })
                    .collect();
                context.trail.add("processes", lines.join("\n"));
                let found: Vec<Json> = all
                    .iter()
                    .filter(|p| p.command.contains(&part))
                    .map(|p| {
                        json!({
                            "pid": p.pid, "parent": p.parent, "user": p.user, "seconds": p.seconds,
                            "memory_kib": p.memory_kib, "command": p.command,
                        })
                    })
                    .collect();
                let document = Document::default().with("count", found.len());
                Ok(document.with("processes", found).into())
            }
            Self::Restart(_) => {
                let took = world.restart(name).await.map_err(reach_error)?;
                let mut document = Document::default().with("service", name);
                document.took(took);
                Ok(document.into())
            }
            Self::Scale(a) => {
                let done = world.scale(name, a.replicas).await.map_err(reach_error)?;
                let mut document = Document::default()
                    .with("service", name)
                    .with("before", done.before)
                    .with("running", done.running);
                document.took(done.took);
                Ok(document.into())
            }
        }
    }
}

impl Act for ServiceAct {
    fn title(&self) -> String {
        let name = &self.service().value;
        match self {
            Self::Process(_) => format!("processes of {name}"),
            Self::Restart(_) => format!("restart {name}"),
            Self::Scale(a) => format!("scale {name} to {}", a.replicas),
        }
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(self.service()));
    }

    fn limit(&self) -> Duration {
        AGAIN
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
