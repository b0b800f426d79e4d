//! From a mirror to a plan.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::deviations::DEVIATIONS;
use super::draft::Draft;
use super::order::{Order, order};
use super::{
    Care, ContainerPlan, Hook, Hooks, NetworkOf, Plan, PlanOptions, PortPlan, directories, dropped,
    network,
};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::fidelity::{Record, Severity};
use crate::mirror::{Argv, Condition, EnvVar, Mirror, Service, Sourced};
use crate::secret::Secret;
use crate::stack::Extension;
use crate::stack::extension::Link;

/// What stands in a body for a secret value.
const REDACTED: &str = "***";

/// Plans a stack: what Docker Compose would create, changed by the rules of the deviation
/// table and by nothing else.
///
/// # Errors
/// All that is wrong at once: circles, unknown references, missing files and values, and what
/// an engine would refuse.
pub fn plan(mirror: &Mirror, options: &PlanOptions) -> Result<Plan, Problems> {
    let extension = Extension::of(mirror)?;
    let mut builder = Builder {
        mirror,
        options,
        order: after_ends(order(mirror)?, &extension),
        project: match extension.production.as_str() {
            "" => mirror.name.value.clone(),
            name => name.to_owned(),
        },
        plan: Plan {
            project: mirror.name.value.clone(),
            networks: network::networks(mirror, options),
            volumes: network::volumes(mirror, &extension),
            ..Plan::default()
        },
        problems: Problems::default(),
        extension,
    };
    for name in &builder.order.services.clone() {
        if let Some(service) = mirror.services.get(name) {
            builder.problems.0.extend(refusals(service, options));
            builder.add(service);
        }
    }
    let Builder {
        mut plan, problems, ..
    } = builder;
    let mut further = everywhere(&plan);
    further.extend(dropped::records(mirror, options));
    plan.fidelity.records.append(&mut further);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(plan)
}

/// Puts in what Compose has no word for: to wait for an end with any exit code.
fn after_ends(mut order: Order, extension: &Extension) -> Order {
    for (service, awaited) in &extension.after_end {
        let needs = order.waits_for.get_mut(service).into_iter().flatten();
        for need in needs.filter(|n| awaited.contains(&n.service)) {
            if need.condition == Condition::Started {
                need.condition = Condition::Ended;
            }
        }
    }
    order
}

/// Records of the rules that hold for every container alike.
fn everywhere(plan: &Plan) -> Vec<Record> {
    let sandboxes = plan.containers.iter().any(|c| c.network == NetworkOf::Own);
    let rules = DEVIATIONS.iter().filter(|rule| match rule.name {
        "labels" => !plan.containers.is_empty(),
        "sandbox" | "resolver" | "networks" => sandboxes,
        "mounts" => !plan.volumes.is_empty(),
        _ => false,
    });
    rules
        .map(|rule| {
            let mut record = Record::new("stack", rule.field, rule.class, Severity::Info);
            record.actual = rule.mirror.into();
            record.reason = rule.reason.into();
            record.raise = rule.raise.into();
            record.rule = rule.name.into();
            record
        })
        .collect()
}

/// A plan in the making.
struct Builder<'a> {
    mirror: &'a Mirror,
    options: &'a PlanOptions,
    order: Order,
    /// The name under which production's containers run.
    project: String,
    plan: Plan,
    problems: Problems,
    /// What the stack says beyond Compose.
    extension: Extension,
}

impl Builder<'_> {
    /// Whether others wait for the end of a service.
    fn is_awaited(&self, service: &Service) -> bool {
        let mut waits = self.extension.after_end.values().flatten();
        waits.any(|name| *name == service.name.value)
    }

    /// Plans all containers of a service.
    fn add(&mut self, service: &Service) {
        let network = network::network_of(self.mirror, service, self.options, &mut self.problems);
        for replica in 1..=service.replicas() {
            let draft = Draft::new(&self.project, self.mirror, service, self.options);
            let mut draft = match draft.of_replica(replica) {
                Ok(draft) => draft,
                Err(found) => return self.problems.0.extend(found.0),
            };
            for rule in &DEVIATIONS {
                if let Some(apply) = rule.apply {
                    apply(&mut draft, rule);
                }
            }
            // All replicas are alike: what is wrong or different is said once.
            if replica == 1 {
                self.plan.fidelity.records.append(&mut draft.records);
                self.problems.0.append(&mut draft.problems.0);
            }
            for volume in std::mem::take(&mut draft.volumes) {
                if self.plan.volumes.iter().all(|v| v.key != volume.key) {
                    self.plan.volumes.push(volume);
                }
            }
            let name = &service.name.value;
            let directories = self.extension.directories.get(name);
            draft.files = directories::gather(draft.files, directories.map_or(&[], Vec::as_slice));
            let waits_for = self.order.waits_for.get(name);
            self.plan.containers.push(ContainerPlan {
                depends_on: waits_for.cloned().unwrap_or_default(),
                care: care(self.mirror, &self.extension, name),
                one_shot: is_one_shot(self.mirror, service) || self.is_awaited(service),
                end: self.extension.ends.get(&service.name.value).copied(),
                ..container(draft, network.clone())
            });
        }
    }
}

fn container(mut draft: Draft<'_>, network: NetworkOf) -> ContainerPlan {
    let service = draft.service;
    let text = |t: &Option<Sourced<String>>| t.as_ref().map(|t| t.value.clone());
    let secret_env = hide_secrets(&mut draft);
    ContainerPlan {
        service: service.name.value.clone(),
        replica: draft.replica,
        image: draft
            .body
            .get("Image")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned(),
        platform: text(&service.image.platform),
        pull_policy: text(&service.image.pull_policy),
        body: Json::Object(draft.body),
        secret_env,
        network,
        files: draft.files,
        stop_grace: service.process.stop_grace.as_ref().map(|g| g.value),
        hooks: Hooks {
            post_start: service.post_start.iter().map(|h| hook(h)).collect(),
            pre_stop: service.pre_stop.iter().map(|h| hook(h)).collect(),
        },
        ports: ports(service),
        ..ContainerPlan::default()
    }
}

/// What an orchestrator does for a service.
fn care(mirror: &Mirror, extension: &Extension, service: &str) -> Care {
    let listed = |list: &[String]| list.iter().any(|s| s == service);
    Care {
        probes: extension.probes.get(service).cloned().unwrap_or_default(),
        own_address: listed(&extension.own_address),
        patient: listed(&extension.patient),
        non_root: listed(&extension.non_root),
        links: links(mirror, extension, service),
    }
}

/// The restrictions of a service's connections, with the names of all that they are about.
fn links(mirror: &Mirror, extension: &Extension, service: &str) -> Vec<Link> {
    let links = extension.links.get(service).cloned().unwrap_or_default();
    let named = |mut link: Link| {
        if link.outside {
            link.to.extend(extension.stubs.keys().cloned());
            let services = mirror.services.iter();
            let relays = services.filter(|(name, s)| is_relay(name, s));
            link.to.extend(relays.map(|(name, _)| name.clone()));
        }
        link
    };
    links.into_iter().map(named).collect()
}

/// Whether a service is a relay, which services find under the name of an allowed destination.
fn is_relay(name: &str, service: &Service) -> bool {
    let command = match &service.process.command.value {
        Argv::Set(words) => words.first(),
        _ => None,
    };
    name.starts_with("egress-") && command.is_some_and(|c| c.value == "relay")
}

/// Takes secret values out of the body.
fn hide_secrets(draft: &mut Draft<'_>) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for var in draft.service.env.iter().filter(|v| v.sensitive) {
        if let Some(value) = &var.value {
            secrets.insert(var.name.value.clone(), Secret::new(value.value.clone()));
        }
    }
    if let Some(Json::Array(env)) = draft.body.get_mut("Env") {
        for entry in env {
            let name = entry.as_str().and_then(|e| e.split('=').next());
            if let Some(name) = name.filter(|name| secrets.contains_key(*name)) {
                *entry = json!(format!("{name}={REDACTED}"));
            }
        }
    }
    secrets
}

fn hook(hook: &crate::mirror::Hook) -> Hook {
    let env = |var: &EnvVar| match &var.value {
        Some(value) => format!("{}={}", var.name.value, value.value),
        None => var.name.value.clone(),
    };
    Hook {
        command: match &hook.command.value {
            Argv::Set(args) => args.iter().map(|a| a.value.clone()).collect(),
            Argv::Inherit | Argv::Clear => Vec::new(),
        },
        user: hook.user.as_ref().map(|u| u.value.clone()),
        privileged: hook.privileged.as_ref().is_some_and(|p| p.value),
        working_dir: hook.working_dir.as_ref().map(|d| d.value.clone()),
        environment: hook.env.iter().map(env).collect(),
    }
}

/// The ports that the spec publishes; one that stands for several of the host has none there.
fn ports(service: &Service) -> Vec<PortPlan> {
    let ports = service.network.ports.iter();
    ports
        .filter_map(|port| {
            Some(PortPlan {
                target: port.target.as_ref()?.value,
                protocol: port
                    .protocol
                    .as_ref()
                    .map_or("tcp", |p| p.as_str())
                    .to_owned(),
                published: port.published.as_ref().and_then(|p| p.parse().ok()),
            })
        })
        .collect()
}

/// Whether a service is meant to run to its end: others wait for that, or it is a job.
fn is_one_shot(mirror: &Mirror, service: &Service) -> bool {
    let awaited = mirror
        .services
        .values()
        .flat_map(|s| &s.depends_on)
        .any(|d| {
            d.service.value == service.name.value
                && d.condition() == Condition::CompletedSuccessfully
        });
    let mode = service.deployment.as_ref().and_then(|d| d.mode.as_ref());
    awaited || mode.is_some_and(|m| m.ends_with("-job"))
}

/// What an engine, or Docker Compose before it, would refuse.
fn refusals(service: &Service, options: &PlanOptions) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = &service.name.value;
    if let Some(fixed) = service
        .container_name
        .as_ref()
        .filter(|_| service.replicas() > 1)
    {
        let message = format!(
            "service {name} has {} containers and one container_name",
            service.replicas()
        );
        problems.push(Problem::at(ProblemKind::Conflict, &fixed.span, message));
    }
    let known = &options.host.runtimes;
    if let Some(runtime) = &service.security.runtime
        && !known.is_empty()
        && !known.contains(&runtime.value)
    {
        let message = format!("service {name} needs the runtime {runtime}, which the engine lacks");
        let help = format!("it has {}", known.join(", "));
        problems.push(Problem::at(ProblemKind::Unsupported, &runtime.span, message).help(help));
    }
    for mount in &service.mounts.list {
        let part = mount.volume.as_ref().and_then(|v| v.subpath.as_ref());
        if let Some(part) = part.filter(|_| !options.host.api_at_least(1, 45)) {
            let message = format!(
                "service {name} mounts a part of a volume; the engine is older than Docker 26"
            );
            problems.push(Problem::at(ProblemKind::Unsupported, &part.span, message));
        }
        let image = *mount.kind == crate::mirror::MountKind::Image;
        if image && !options.host.api_at_least(1, 48) {
            let message =
                format!("service {name} mounts an image; the engine is older than Docker 28");
            problems.push(Problem::at(ProblemKind::Unsupported, &mount.span, message));
        }
    }
    problems
}

impl Plan {
    /// All secret values of the plan, for whoever takes them out of output.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.containers.iter().flat_map(|container| {
            let files = container.files.iter();
            let files = files.flat_map(|file| file.content.secrets());
            container.secret_env.values().chain(files)
        })
    }

    /// The records about one service.
    pub fn records_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Record> {
        let records = self.fidelity.records.iter();
        records.filter(move |r| r.object.strip_prefix("service:") == Some(service))
    }
}
