//! Workloads: the objects that make pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use sha2::{Digest, Sha256};

use super::at::At;
use super::objects::Object;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::yaml::{Node, from_node};

/// Kinds of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Deployment`, and OpenShift's `DeploymentConfig`.
    Deployment,
    /// `ReplicaSet`, `ReplicationController`.
    ReplicaSet,
    /// `StatefulSet`
    StatefulSet,
    /// `DaemonSet`
    DaemonSet,
    /// `Job`
    Job,
    /// `CronJob`
    CronJob,
    /// `Pod`
    Pod,
}

impl Kind {
    /// Whether its pods are meant to end.
    pub fn ends(self) -> bool {
        matches!(self, Self::Job | Self::CronJob)
    }
}

/// A workload.
#[derive(Debug)]
pub struct Workload<'o> {
    /// The object.
    pub object: &'o Object,
    /// Its kind.
    pub kind: Kind,
    /// The place of its pod: metadata and spec.
    pub template: At<'o>,
    /// What its pods are.
    pub pod: PodSpec,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its pods.
    pub annotations: BTreeMap<String, String>,
    /// How many pods it asks for.
    pub replicas: u32,
}

/// The kind of workload that an object is.
pub fn kind_of(object: &Object) -> Option<Kind> {
    let known_group = matches!(
        object.group.as_str(),
        "" | "apps" | "extensions" | "batch" | "apps.openshift.io"
    );
    let kind = match object.kind.as_str() {
        "Deployment" | "DeploymentConfig" => Kind::Deployment,
        "ReplicaSet" | "ReplicationController" => Kind::ReplicaSet,
        "StatefulSet" => Kind::StatefulSet,
        "DaemonSet" => Kind::DaemonSet,
        "Job" => Kind::Job,
        "CronJob" => Kind::CronJob,
        "Pod" => Kind::Pod,
        _ => return None,
    };
    known_group.then_some(kind)
}

/// More pods than this are not run on one machine; nobody means it.
pub const MAX_REPLICAS: u32 = 100;

impl<'o> Workload<'o> {
    /// Reads a workload.
    pub fn read(object: &'o Object, kind: Kind, problems: &mut Problems) -> Option<Self> {
        let template = match kind {
            Kind::Pod => At::of(&object.node),
            Kind::CronJob => object.spec().get("jobTemplate").get("spec").get("template"),
            _ => object.spec().get("template"),
        };
        let spec = template.get("spec");
        let Some(node) = spec.node() else {
            problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    object.span(),
                    format!("the {} `{}` has no pod spec", object.kind, object.name),
                )
                .help("a patch is read by the kustomization that applies it, not by itself"),
            );
            return None;
        };
        let pod = match from_node::<PodSpec>(node) {
            Ok(pod) => pod,
            Err(p) => {
                let what = format!("the {} `{}`: {}", object.kind, object.name, p.message);
                problems.push(Problem { message: what, ..p });
                return None;
            }
        };
        if pod.containers.is_empty() {
            problems.push(Problem::at(
                ProblemKind::Missing,
                spec.span(),
                format!("the {} `{}` has no containers", object.kind, object.name),
            ));
            return None;
        }
        let texts = |key: &str| {
            let map = template.get("metadata").get(key).node();
            let map = map.and_then(Node::as_map);
            map.into_iter()
                .flat_map(|m| m.iter())
                .filter_map(|(k, v)| Some((k.to_owned(), v.scalar_text()?)))
                .collect()
        };
        let (labels, annotations) = (texts("labels"), texts("annotations"));
        let replicas = declared_replicas(object, kind, problems)?;
        Some(Self {
            object,
            kind,
            template,
            pod,
            labels,
            annotations,
            replicas,
        })
    }

    /// Whether it leaves to others how many pods it has.
    pub fn is_scaled(&self) -> bool {
        let scales = matches!(
            self.kind,
            Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet
        );
        let declared = self.object.spec().get("replicas").node();
        scales && declared.is_none_or(Node::is_null)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'o str {
        &self.object.namespace
    }

    /// Its name.
    pub fn name(&self) -> &'o str {
        &self.object.name
    }

    /// The place of its pod spec.
    pub fn spec(&self) -> At<'o> {
        self.template.get("spec")
    }

    /// Init containers that go on beside the others.
    pub fn sidecars(&self) -> impl Iterator<Item = &Container> {
        let init = self.pod.init_containers.iter().flatten();
        init.filter(|c| is_sidecar(c))
    }

    /// Whether several containers run at once, so that they share a network.
    pub fn is_shared(&self) -> bool {
        self.pod.containers.len() + self.sidecars().count() > 1
    }

    /// The name of its pod of a number, from 0: what the controller would make up is made of a
    /// hash, so that it stays the same.
    pub fn pod_name(&self, index: u32) -> String {
        let name = self.name();
        match self.kind {
            Kind::Pod => name.to_owned(),
            Kind::StatefulSet => format!("{name}-{index}"),
            Kind::Deployment => {
                let set = letters(&[self.namespace(), name, "set"], 9);
                let pod = letters(&[self.namespace(), name, &index.to_string()], 5);
                format!("{}-{set}-{pod}", shortened(name, 47))
            }
            _ => {
                let pod = letters(&[self.namespace(), name, &index.to_string()], 5);
                format!("{}-{pod}", shortened(name, 57))
            }
        }
    }
}

/// Whether an init container goes on beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn shortened(name: &str, most: usize) -> &str {
    name.get(..most)
        .unwrap_or(name)
        .trim_end_matches(['-', '.'])
}

/// Letters as Kubernetes makes them up: none that could spell a word.
pub fn letters(of: &[&str], count: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Sha256::digest(of.join("/").as_bytes());
    let letter = |b: &u8| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]);
    digest.iter().take(count).map(letter).collect()
}

fn declared_replicas(object: &Object, kind: Kind, problems: &mut Problems) -> Option<u32> {
    if matches!(kind, Kind::Pod | Kind::DaemonSet | Kind::CronJob) {
        return Some(1);
    }
    let key = if kind == Kind::Job {
        "parallelism"
    } else {
        "replicas"
    };
    let at = object.spec().get(key);
    let Some(node) = at.node().filter(|n| !n.is_null()) else {
        return Some(1);
    };
    match node.as_int() {
        Some(n) if (0..=i64::from(MAX_REPLICAS)).contains(&n) => u32::try_from(n).ok(),
        _ => {
            problems.push(Problem::at(
                ProblemKind::InvalidValue,
                at.span(),
                format!(
                    "`{key}` of the {} `{}` is not a number from 0 to {MAX_REPLICAS}",
                    object.kind, object.name
                ),
            ));
            None
        }
    }
}
