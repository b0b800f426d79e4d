//! A task: containers that start, stop and (mostly) share a network together.

use std::path::Path;

use super::compose::Part;
use super::container::{self, Within};
use super::deployed::Deployed;
use super::env::Around;
use super::limits::TaskLimits;
use super::network::Network;
use super::notes::{Fact, Notes};
use super::object::Object;
use super::peers;
use super::volumes::Volumes;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::source::Span;
use crate::spec::Beyond;
use crate::yaml::{Node, Spanned, Value};

/// How the containers of a task are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All share one network, which is the task's own.
    AwsVpc,
    /// Each has its own, on the bridge of its host.
    Bridge,
    /// All share that of their host.
    Host,
    /// They have none.
    None,
}

/// A container of a task.
#[derive(Debug)]
pub(super) struct Member<'n> {
    /// The container definition.
    pub node: &'n Node,
    /// Its name in the task.
    pub name: Spanned<String>,
    /// The name of its service.
    pub key: String,
}

/// A task.
#[derive(Debug)]
pub(super) struct Task<'n> {
    /// The task definition; a list of containers without one.
    pub node: &'n Node,
    /// Its family.
    pub family: Spanned<String>,
    /// Where its file is.
    pub dir: &'n Path,
    /// How its containers are connected.
    pub mode: Mode,
    /// Whether it runs on Fargate.
    pub fargate: bool,
    /// Whether a service runs it.
    pub is_service: bool,
    /// Limits of all containers together.
    pub limits: TaskLimits,
    /// Its containers.
    pub members: Vec<Member<'n>>,
    /// The service that holds what they share, where there is something.
    pub holder: Option<String>,
}

/// What the tasks add to.
pub(super) struct Output<'o> {
    /// `services` of the document.
    pub services: &'o mut Part,
    /// The volumes of all tasks.
    pub volumes: &'o mut Volumes,
    /// What Compose has no word for.
    pub beyond: &'o mut Beyond,
    /// Whether there are other tasks.
    pub alone: bool,
}

/// The mode and the launch type of a task definition.
pub(super) fn placed(node: &Node, deployed: &[&Deployed], notes: &mut Notes) -> (Mode, bool) {
    let needs: Vec<&str> = node
        .get("requiresCompatibilities")
        .and_then(Node::as_seq)
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
        .collect();
    let launched = deployed.iter().find_map(|d| d.launch_type.as_deref());
    let fargate = match launched {
        Some(launched) => launched == "FARGATE",
        None => needs.contains(&"FARGATE") && !needs.contains(&"EC2"),
    };
    let mode = node.get("networkMode").filter(|m| !m.is_null());
    let text = mode.and_then(Node::scalar_text).unwrap_or_default();
    let mode = match text.as_str() {
        "" if needs.contains(&"FARGATE") || fargate => Mode::AwsVpc,
        "" | "bridge" | "default" => Mode::Bridge,
        "awsvpc" => Mode::AwsVpc,
        "host" => Mode::Host,
        "none" => Mode::None,
        other => {
            let span = mode.map_or(&node.span, |m| &m.span);
            notes.invalid(
                span,
                format!("`{other}` is no network mode: there are awsvpc, bridge, host and none"),
            );
            Mode::AwsVpc
        }
    };
    (mode, fargate)
}

/// Whether something of a task needs a holder: a network of several containers, or another
/// namespace that they share.
pub(super) fn needs_holder(node: &Node, mode: Mode, containers: usize) -> bool {
    let shared = |key: &str| node.get(key).and_then(Node::as_str) == Some("task");
    let network = matches!(mode, Mode::AwsVpc | Mode::Host);
    containers > 1 && (network || shared("pidMode") || shared("ipcMode"))
}

/// Translates a task into services.
pub(super) fn translate(
    task: &Task<'_>,
    deployed: &[&Deployed],
    around: &mut Around<'_, '_>,
    out: &mut Output<'_>,
    notes: &mut Notes,
) {
    notes.object = format!("task:{}", task.family.value);
    let Some(mut object) = object_of(task.node, notes) else {
        return;
    };
    let volumes = out.volumes.of_task(
        &mut object,
        &super::names::clean(&task.family),
        task.dir,
        notes,
    );
    let shared = namespaces(&mut object, notes);
    let platform = platform(&mut object, task, notes);
    rest(&mut object, notes);
    object.finish(notes);
    let names = peers::names(task, deployed, around.supply, out.alone, notes);
    let replicas = peers::replicas(task, deployed, notes);
    if replicas.as_ref().is_some_and(|r| r.value == 0) && task.holder.is_some() {
        return;
    }
    host(task, notes);
    let mut common = Network::default();
    let at = out.services.0.len();
    for member in &task.members {
        let mut own = Network::default();
        let shares_network = task.holder.is_some() && task.mode != Mode::Bridge;
        let mut within = Within {
            task,
            members: &task.members,
            volumes: &volumes,
            network: if shares_network {
                &mut common
            } else {
                &mut own
            },
            beyond: out.beyond,
        };
        let Some(mut service) = container::translate(member, &mut within, around, notes) else {
            continue;
        };
        service.text("platform", platform.clone());
        attach(task, &shared, &mut service, &member.node.span);
        if !shares_network {
            own.aliases(names.of(member, &task.members));
            if service.0.get("network_mode").and_then(Node::as_str) != Some("none") {
                own.write(&mut service, &member.node.span);
            }
            scale(&replicas, &mut service);
        }
        out.services
            .set(&member.key, service.node(&member.node.span));
    }
    if let Some(holder) = &task.holder {
        common.aliases(names.all());
        let service = hold(task, &shared, common);
        out.services.set(holder, service);
        out.beyond
            .holders
            .insert(holder.clone(), task.node.span.clone());
        // It is read first, before those that share what it holds.
        let last = out.services.0.len() - 1;
        out.services.0.0.move_index(last, at);
    }
}

/// The object of a task definition; a list of containers is one without further keys.
fn object_of<'n>(node: &'n Node, notes: &mut Notes) -> Option<Object<'n>> {
    static NOTHING: std::sync::LazyLock<Node> =
        std::sync::LazyLock::new(|| Node::map(Span::generated()));
    if node.get("containerDefinitions").is_some() {
        Object::of(node, "", notes)
    } else {
        Object::of(&NOTHING, "", notes)
    }
}

/// Namespaces that the containers of a task share, by the key of Compose.
struct Shared {
    pid: Option<Spanned<String>>,
    ipc: Option<Spanned<String>>,
}

fn namespaces(task: &mut Object<'_>, notes: &mut Notes) -> Shared {
    let mut read = |key: &'static str, allowed: &[&str]| {
        let mode = task.word(key, notes)?;
        if !allowed.contains(&mode.as_str()) {
            let message = format!("`{key}: {}` is none of {}", mode.value, allowed.join(", "));
            notes.invalid(&mode.span, message);
            return None;
        }
        Some(mode)
    };
    Shared {
        pid: read("pidMode", &["host", "task"]),
        ipc: read("ipcMode", &["host", "task", "none"]),
    }
}

/// Lets a container share what its task shares.
fn attach(task: &Task<'_>, shared: &Shared, service: &mut Part, span: &Span) {
    let of_holder = |at: &Span| {
        let holder = task.holder.as_ref()?;
        Some(Node::str(format!("service:{holder}"), at.clone()))
    };
    if service.0.get("network_mode").is_none() {
        let mode = match task.mode {
            Mode::AwsVpc => of_holder(span),
            Mode::Bridge => None,
            Mode::Host => of_holder(span).or_else(|| Some(Node::str("host", span.clone()))),
            Mode::None => Some(Node::str("none", span.clone())),
        };
        if let Some(mode) = mode {
            service.set("network_mode", mode);
        }
    }
    for (key, mode) in [("pid", &shared.pid), ("ipc", &shared.ipc)] {
        let Some(mode) = mode else { continue };
        match mode.as_str() {
            "task" => {
                if let Some(node) = of_holder(&mode.span) {
                    service.set(key, node);
                }
            }
            other => service.set(key, Node::str(other, mode.span.clone())),
        }
    }
}

/// The containers of a task on the network of its host share one that is their own.
fn host(task: &Task<'_>, notes: &mut Notes) {
    if task.mode == Mode::Host && task.holder.is_some() {
        notes.object = format!("task:{}", task.family.value);
        let fact = Fact {
            field: "networkMode",
            declared: "host".to_owned(),
            actual: "one network for the containers of the task",
            reason: "it would share a network that is not the stack's",
            span: &task.family.span,
        };
        notes.substituted(Severity::High, fact);
    }
}

/// The service that holds what a task's containers share.
fn hold(task: &Task<'_>, shared: &Shared, network: Network) -> Node {
    let span = &task.node.span;
    let mut service = Part::default();
    // The policy puts in the agent's own.
    service.set("image", Node::str("prodmirror/agent", span.clone()));
    match task.mode {
        Mode::Bridge | Mode::None => service.set("network_mode", Node::str("none", span.clone())),
        Mode::AwsVpc | Mode::Host => network.write(&mut service, span),
    }
    if let Some(ipc) = shared.ipc.as_ref().filter(|i| i.value == "task") {
        service.set("ipc", Node::str("shareable", ipc.span.clone()));
    }
    service.node(span)
}

fn scale(replicas: &Option<Spanned<i64>>, service: &mut Part) {
    if let Some(n) = replicas {
        let mut deploy = Part::default();
        deploy.set("replicas", Node::int(n.value, n.span.clone()));
        service.set("deploy", deploy.node(&n.span));
    }
}

fn platform(task: &mut Object<'_>, of: &Task<'_>, notes: &mut Notes) -> Option<Spanned<String>> {
    let mut platform = task.object("runtimePlatform", notes)?;
    let architecture = platform.word("cpuArchitecture", notes);
    let system = platform.word("operatingSystemFamily", notes);
    platform.finish(notes);
    if let Some(system) = system.filter(|s| s.value != "LINUX") {
        notes.refuse(
            Problem::at(
                ProblemKind::Unsupported,
                &system.span,
                format!(
                    "the task `{}` runs on {}: only Linux containers are mirrored",
                    of.family.value, system.value
                ),
            )
            .help("leave the file out of `production`"),
        );
        return None;
    }
    let architecture = architecture?;
    let name = match architecture.as_str() {
        "X86_64" => "linux/amd64",
        "ARM64" => "linux/arm64",
        other => {
            notes.invalid(
                &architecture.span,
                format!("`{other}` is neither X86_64 nor ARM64"),
            );
            return None;
        }
    };
    Some(Spanned::new(name.to_owned(), architecture.span))
}

/// What the mirror goes without, and what describes the registration only.
fn rest(task: &mut Object<'_>, notes: &mut Notes) {
    let role = task.node("taskRoleArn").filter(|r| r.as_str() != Some(""));
    if let Some(role) = role {
        let reason = "the mirror has no identity in AWS: calls of its API fail or meet a stub";
        notes.dropped(Severity::High, "taskRoleArn", role, reason);
    }
    let reason =
        "no agent acts for the task: images come from the engine, secrets from mirror.yaml";
    task.drop("executionRoleArn", Severity::Low, reason, notes);
    let reason = "no proxy takes the task's traffic";
    task.drop("proxyConfiguration", Severity::High, reason, notes);
    let reason = "no engine has these accelerators";
    task.drop("inferenceAccelerators", Severity::High, reason, notes);
    let reason = "the engine has no limit for the files of a container";
    task.drop("ephemeralStorage", Severity::Low, reason, notes);
    let reason = "the mirror is one container instance";
    task.drop("placementConstraints", Severity::Info, reason, notes);
    for key in [
        "family",
        "networkMode",
        "containerDefinitions",
        "cpu",
        "memory",
        "requiresCompatibilities",
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
        "tags",
        "enableFaultInjection",
    ] {
        task.node(key);
    }
}

/// What the agent gives every container, and the mirror does not.
pub(super) fn agent(task: &Task<'_>, notes: &mut Notes) {
    notes.object = format!("task:{}", task.family.value);
    let fact = Fact {
        field: "metadata endpoint",
        declared: "ECS_CONTAINER_METADATA_URI_V4, AWS_EXECUTION_ENV, and what belongs to roles and regions".to_owned(),
        actual: "",
        reason: "the agent answers for the metadata of a task; there is none",
        span: &task.family.span,
    };
    notes.substituted(Severity::Low, fact);
}

/// The containers of a task definition or of a bare list.
pub(super) fn containers(node: &Node) -> &[Node] {
    let list = node.get("containerDefinitions").unwrap_or(node);
    match &list.value {
        Value::Seq(items) => items,
        Value::Map(_) if node.get("containerDefinitions").is_none() => std::slice::from_ref(node),
        _ => &[],
    }
}
