//! A pod as services: one container is one service; several share the network of a holder.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::at::At;
use super::build::{Build, text_list};
use super::dict::Dict;
use super::network::{self, Net};
use super::policy::{self, Endpoint};
use super::workload::{Kind, Workload, is_sidecar};
use super::{container, security};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::spec::{Front, FrontMode};
use crate::stack::extension::OWN_ADDRESS;
use crate::yaml::Node;

/// What stands for the agent's image until the policy names it.
const AGENT: &str = "prodmirror/agent";

/// One pod, or several that are alike.
#[derive(Debug, Clone)]
pub struct Pod<'w> {
    /// What makes it.
    pub workload: &'w Workload<'w>,
    /// Its number, from 0.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What its workload is called.
    pub base: String,
    /// Whether the workload has pods that are services of their own beside it.
    pub has_siblings: bool,
    /// The service of its first container.
    pub service: String,
    /// The service that holds its network, when that is not the only container's own.
    pub holder: Option<String>,
    /// How many there are.
    pub replicas: u32,
}

impl Pod<'_> {
    /// What records call it.
    pub fn object(&self) -> String {
        format!("service:{}", self.service)
    }

    /// The service that has its network.
    pub fn owner(&self) -> &str {
        self.holder.as_deref().unwrap_or(&self.service)
    }

    /// What its containers mount.
    pub fn mounts(&self) -> impl Iterator<Item = &VolumeMount> {
        let spec = &self.workload.pod;
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
            .flat_map(|c| c.volume_mounts.iter().flatten())
    }

    /// What its containers mount of a volume one by one, each once.
    pub fn parts_of(&self, volume: &str) -> Vec<String> {
        let mounts = self.mounts().filter(|m| m.name == volume);
        let parts: BTreeSet<&str> = mounts.filter_map(|m| m.sub_path.as_deref()).collect();
        parts.into_iter().map(str::to_owned).collect()
    }

    /// A container by its name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        let pod = &self.workload.pod;
        let init = pod.init_containers.iter().flatten();
        init.chain(&pod.containers).find(|c| c.name == name)
    }

    /// The group that owns its volumes.
    pub fn fs_group(&self) -> Option<i64> {
        self.workload.pod.security_context.as_ref()?.fs_group
    }
}

/// What a container is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs to its end before the others start.
    Init,
    /// It starts before the others and goes on.
    Sidecar,
    /// It is one of those that the pod is for.
    Main,
}

/// Translates all pods of a workload.
pub fn translate<'w>(
    build: &mut Build<'_>,
    workload: &'w Workload<'w>,
    base: &str,
) -> Vec<Pod<'w>> {
    super::fields::pod(build, workload, base);
    security::unconfined(build, workload, base);
    let pods = pods(build, workload, base);
    for pod in &pods {
        one(build, pod);
    }
    pods
}

/// The pods of a workload: alike ones as one with a number, where they can be.
fn pods<'w>(build: &mut Build<'_>, workload: &'w Workload<'w>, base: &str) -> Vec<Pod<'w>> {
    let count = replicas(build, workload, base);
    let apart = count > 1 && is_individual(workload);
    let numbers = if apart { 0..count } else { 0..1 };
    let span = workload.object.span();
    let mut pods = Vec::new();
    for index in numbers {
        let first = match (apart, workload.kind) {
            (true, Kind::StatefulSet) => false,
            (true, Kind::Deployment | Kind::ReplicaSet) | (false, _) => index == 0,
            _ => false,
        };
        let service = match (first, workload.kind) {
            (true, _) => base.to_owned(),
            (_, Kind::StatefulSet) => build.free_name(&format!("{base}-{index}"), span),
            _ => build.free_name(&format!("{base}-{}", index + 1), span),
        };
        let shared = workload.is_shared();
        let holder = shared.then(|| build.free_name(&format!("{service}-pod"), span));
        pods.push(Pod {
            workload,
            index,
            name: workload.pod_name(index),
            base: base.to_owned(),
            has_siblings: apart,
            service,
            holder,
            replicas: if apart { 1 } else { count },
        });
    }
    pods
}

/// How many pods run: as many as production declares, unless `mirror.yaml` says otherwise.
fn replicas(build: &mut Build<'_>, workload: &Workload<'_>, base: &str) -> u32 {
    let declared = workload.replicas;
    let key = if workload.kind == Kind::Job {
        "parallelism"
    } else {
        "replicas"
    };
    let at = workload.object.spec().get(key);
    let supplied = build.supply.replicas(workload.name());
    let wanted = supplied.or_else(|| build.supply.replicas(base));
    let Some(node) = wanted else { return declared };
    match node.as_int().and_then(|n| u32::try_from(n).ok()) {
        Some(n) if n <= 100 => {
            if n != declared {
                let why = "`supply.kubernetes.replicas` of mirror.yaml says so";
                let object = format!("service:{base}");
                let record = build.record(
                    (&object, "replicas"),
                    (Class::Substituted, Severity::Medium),
                    (&declared.to_string(), why),
                    at.span(),
                );
                record.actual = n.to_string();
            }
            n
        }
        _ => {
            let message = format!("the replicas of `{base}` are not a number from 0 to 100");
            build.once(Problem::at(ProblemKind::InvalidValue, &node.span, message));
            declared
        }
    }
}

/// Whether each pod has something of its own: a name that is known, volumes, containers that
/// belong together.
fn is_individual(workload: &Workload<'_>) -> bool {
    let own_volume = |v: &k8s_openapi::api::core::v1::Volume| {
        let memory = super::volume::is_own_memory(workload, v);
        (v.empty_dir.is_some() && !memory) || v.ephemeral.is_some()
    };
    let containers = workload.pod.containers.iter();
    let init = workload.pod.init_containers.iter().flatten();
    let mut fields = containers
        .chain(init)
        .flat_map(|c| c.env.iter().flatten())
        .filter_map(|e| e.value_from.as_ref()?.field_ref.as_ref());
    workload.kind == Kind::StatefulSet
        || workload.is_shared()
        || workload.pod.volumes.iter().flatten().any(own_volume)
        || fields.any(|f| matches!(f.field_path.as_str(), "metadata.name" | "metadata.uid"))
}

fn one(build: &mut Build<'_>, pod: &Pod<'_>) {
    let workload = pod.workload;
    let net = network::of(build, pod);
    if let Some(holder) = &pod.holder {
        hold(build, pod, holder, &net);
    }
    let mut before: Vec<(String, &'static str)> = Vec::new();
    let spec = workload.spec();
    for (i, c) in workload.pod.init_containers.iter().flatten().enumerate() {
        let role = if is_sidecar(c) {
            Role::Sidecar
        } else {
            Role::Init
        };
        let at = spec.get("initContainers").item(i);
        let name = build.free_name(&format!("{}-{}", pod.service, c.name), at.span());
        add(build, pod, (c, at, role), &name, &before, &net);
        let condition = match role {
            Role::Sidecar => "service_started",
            _ => "service_completed_successfully",
        };
        before.push((name, condition));
    }
    let first = default_container(workload);
    for (i, c) in workload.pod.containers.iter().enumerate() {
        let at = spec.get("containers").item(i);
        let name = match i == first {
            true => pod.service.clone(),
            false => build.free_name(&format!("{}-{}", pod.service, c.name), at.span()),
        };
        add(build, pod, (c, at, Role::Main), &name, &before, &net);
    }
    front(build, pod, &net);
    build.endpoints.push(Endpoint {
        service: pod.owner().to_owned(),
        workload: policy::number_of(build.cluster, workload),
        forwards: net.forwards,
        is_front: false,
    });
}

/// The container that is meant when the pod is named.
fn default_container(workload: &Workload<'_>) -> usize {
    let named = workload
        .annotations
        .get("kubectl.kubernetes.io/default-container");
    let containers = workload.pod.containers.iter();
    let of_name = |name: &str| containers.clone().position(|c| c.name == name);
    named
        .and_then(|n| of_name(n))
        .or_else(|| of_name(workload.name()))
        .unwrap_or(0)
}

/// Adds the service of a container.
fn add(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at, role): (&Container, At<'_>, Role),
    name: &str,
    before: &[(String, &'static str)],
    net: &Net,
) {
    let mut service = container::read(build, pod, (c, at, role), name);
    let span = at.span();
    match &pod.holder {
        Some(holder) => {
            let shared = format!("service:{holder}");
            service.text("network_mode", shared.clone(), span);
            service.text("ipc", shared.clone(), span);
            if pod.workload.pod.share_process_namespace == Some(true) {
                service.text("pid", shared, span);
            }
        }
        None => {
            let own = (role == Role::Main).then_some(net);
            network::attach(build, pod, own, &mut service);
            security::namespaces(build, pod, &mut service);
        }
    }
    let mut depends = Dict::at(span);
    for (other, condition) in before {
        let mut on = Dict::at(span);
        on.text("condition", *condition, span);
        depends.dict(other, on);
    }
    service.dict("depends_on", depends);
    deploy(pod, &mut service);
    let is_main = role == Role::Main;
    build.add(name, service, (&pod.base, is_main));
    let node = build.services.get(name);
    if node.is_some_and(mentions_address) {
        build.beyond.extension.own_address.push(name.to_owned());
    }
}

fn mentions_address(node: &Node) -> bool {
    match &node.value {
        crate::yaml::Value::Str(text) => text.contains(OWN_ADDRESS),
        crate::yaml::Value::Seq(items) => items.iter().any(mentions_address),
        crate::yaml::Value::Map(map) => map.iter().any(|(_, n)| mentions_address(n)),
        _ => false,
    }
}

/// How many there are, and whether they are meant to end.
fn deploy(pod: &Pod<'_>, service: &mut Dict) {
    let at = pod.workload.object.spec();
    let mut deploy = Dict::at(at.span());
    if pod.replicas != 1 {
        let span = at.get("replicas").span();
        deploy.int("replicas", i64::from(pod.replicas), span);
    }
    if pod.workload.kind.ends() {
        deploy.text("mode", "replicated-job", pod.workload.object.span());
    }
    service.dict("deploy", deploy);
    if pod.workload.kind == Kind::CronJob || is_suspended(pod.workload) {
        let span = pod.workload.object.span();
        service.node("profiles", text_list(["jobs"], span));
    }
}

/// Whether a job waits until somebody starts it.
pub fn is_suspended(workload: &Workload<'_>) -> bool {
    let suspend = workload.object.spec().get("suspend").node();
    workload.kind == Kind::Job && suspend.and_then(Node::as_bool) == Some(true)
}

/// The service that holds the network of a pod.
fn hold(build: &mut Build<'_>, pod: &Pod<'_>, holder: &str, net: &Net) {
    let span = pod.workload.spec().span();
    let mut service = Dict::at(span);
    service.text("image", AGENT, span);
    service.text("ipc", "shareable", span);
    network::attach(build, pod, Some(net), &mut service);
    security::namespaces(build, pod, &mut service);
    deploy_holder(pod, &mut service);
    build.add(holder, service, (&pod.base, false));
    build.beyond.holders.insert(holder.to_owned(), span.clone());
}

fn deploy_holder(pod: &Pod<'_>, service: &mut Dict) {
    deploy(pod, service);
    // What it holds may end; it does not.
    let span = pod.workload.object.spec();
    if pod.workload.kind.ends() {
        let mut deploy = Dict::at(span.span());
        if pod.replicas != 1 {
            deploy.int("replicas", i64::from(pod.replicas), span.span());
        }
        service.node("deploy", deploy.done());
    }
}

/// The service that takes connections on the ports of Services, where these are not the pod's.
fn front(build: &mut Build<'_>, pod: &Pod<'_>, net: &Net) {
    let Some(at) = &net.forwards_at else { return };
    let owner = pod.owner();
    let span = pod.workload.object.span();
    let name = build.free_name(&format!("{}-front", pod.service), span);
    let mut service = Dict::at(at);
    service.text("image", AGENT, at);
    service.text("network_mode", format!("service:{owner}"), at);
    deploy_holder(pod, &mut service);
    build.add(&name, service, (&pod.base, false));
    let front = Front {
        at: at.clone(),
        does: FrontMode::Front,
        forwards: net.forwards.clone(),
    };
    build.beyond.fronts.insert(name, front);
}
