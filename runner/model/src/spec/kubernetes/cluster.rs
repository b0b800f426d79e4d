//! The objects of a cluster by what refers to them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ServiceSpec;

use super::at::At;
use super::kinds;
use super::objects::Object;
use super::workload::{self, Workload};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::yaml::{Node, from_node};

/// What a secret's key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes that are no text, in base64.
    Base64(String),
}

/// A Service.
#[derive(Debug)]
pub struct Service<'o> {
    /// The object.
    pub object: &'o Object,
    /// Its spec.
    pub spec: ServiceSpec,
}

/// All objects, by what refers to them.
#[derive(Debug, Default)]
pub struct Cluster<'o> {
    /// Workloads, in order.
    pub workloads: Vec<Workload<'o>>,
    /// Services, in order.
    pub services: Vec<Service<'o>>,
    /// All that are Kubernetes' own, or of a kind that only one group has, by kind, namespace
    /// and name.
    named: BTreeMap<(&'o str, &'o str, &'o str), &'o Object>,
    /// Namespaces in which something runs or listens.
    pub namespaces: BTreeSet<&'o str>,
}

impl<'o> Cluster<'o> {
    /// Sorts objects.
    pub fn of(objects: &'o [Object], problems: &mut Problems) -> Self {
        let mut cluster = Self::default();
        let own = || objects.iter().filter(|o| kinds::is_own(o));
        for object in own() {
            let key = (
                object.kind.as_str(),
                object.namespace.as_str(),
                object.name.as_str(),
            );
            cluster.named.insert(key, object);
        }
        for object in own() {
            let key = (
                object.kind.as_str(),
                object.namespace.as_str(),
                object.name.as_str(),
            );
            let is_last = cluster
                .named
                .get(&key)
                .is_some_and(|o| std::ptr::eq(*o, object));
            if !is_last {
                continue;
            }
            if object.kind == "Service" {
                cluster.services.extend(service(object, problems));
            } else if let Some(kind) = workload::kind_of(object) {
                cluster
                    .workloads
                    .extend(Workload::read(object, kind, problems));
            }
        }
        cluster.scale();
        let running = cluster.workloads.iter().map(|w| w.namespace());
        let listening = cluster.services.iter().map(|s| s.object.namespace.as_str());
        cluster.namespaces = running.chain(listening).collect();
        cluster
    }

    /// Workloads that leave it to an autoscaler how many pods they have start with the least.
    fn scale(&mut self) {
        let mut least: BTreeMap<(&str, String, String), u32> = BTreeMap::new();
        for scaler in self.all("HorizontalPodAutoscaler") {
            let spec = scaler.spec();
            let text = |key: &str| {
                let node = spec.get("scaleTargetRef").get(key).node();
                node.and_then(Node::as_str).unwrap_or_default().to_owned()
            };
            let number = spec.get("minReplicas").node().and_then(Node::as_int);
            let number = number.and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
            let of = (scaler.namespace.as_str(), text("kind"), text("name"));
            least.insert(of, number.clamp(1, workload::MAX_REPLICAS));
        }
        for workload in self.workloads.iter_mut().filter(|w| w.is_scaled()) {
            let object = workload.object;
            let (kind, name) = (object.kind.clone(), object.name.clone());
            let number = least.get(&(object.namespace.as_str(), kind, name));
            workload.replicas = number.copied().unwrap_or(workload.replicas);
        }
    }

    /// An object.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&'o Object> {
        self.named.get(&(kind, namespace, name)).copied()
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &'static str) -> impl Iterator<Item = &'o Object> {
        let all = self.named.iter().filter(move |((k, ..), _)| *k == kind);
        all.map(|(_, object)| *object)
    }

    /// Whether a secret of this name is in several namespaces.
    pub fn is_ambiguous(&self, kind: &str, name: &str) -> bool {
        let same = self
            .named
            .keys()
            .filter(|(k, _, n)| *k == kind && *n == name);
        same.count() > 1
    }

    /// The keys of a secret: of the object itself, or of the one that a controller makes it from.
    pub fn secret_keys(&self, namespace: &str, name: &str) -> Option<Vec<String>> {
        let keys = |at: At<'_>| -> Vec<String> {
            let map = at.node().and_then(Node::as_map);
            map.map(|m| m.keys().map(str::to_owned).collect())
                .unwrap_or_default()
        };
        if let Some(object) = self.find("Secret", namespace, name) {
            let at = At::of(&object.node);
            let mut all = keys(at.get("data"));
            all.extend(keys(at.get("stringData")));
            all.sort();
            all.dedup();
            return Some(all);
        }
        if let Some(object) = self.find("SealedSecret", namespace, name) {
            return Some(keys(object.spec().get("encryptedData")));
        }
        let made = self.all("ExternalSecret").find(|o| {
            let target = o.spec().get("target").get("name").node();
            let target = target.and_then(Node::as_str).unwrap_or(&o.name);
            o.namespace == namespace && target == name
        })?;
        let data = made.spec().get("data").node().and_then(Node::as_seq)?;
        let key = |n: &Node| n.get("secretKey").and_then(Node::as_str).map(str::to_owned);
        Some(data.iter().filter_map(key).collect())
    }

    /// What a key of a secret holds; `None` when the files do not say.
    pub fn secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Option<Result<Content, Problem>> {
        let object = self.find("Secret", namespace, name)?;
        let at = At::of(&object.node);
        let (section, node, read): (_, _, fn(&Node) -> _) =
            match at.get("stringData").node().and_then(|n| n.get(key)) {
                Some(text) => ("stringData", text, plain),
                None => ("data", at.get("data").node()?.get(key)?, decoded),
            };
        // The place of the value would show it.
        let at_key = |p: Problem| Problem {
            span: Some(at.get(section).key(key).clone()),
            ..p
        };
        Some(read(node).map_err(at_key))
    }

    /// What a key of a ConfigMap holds.
    pub fn config(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Option<(&'o Node, Result<Content, Problem>)> {
        let object = self.find("ConfigMap", namespace, name)?;
        let at = At::of(&object.node);
        if let Some(node) = at.get("data").node().and_then(|n| n.get(key)) {
            return Some((node, plain(node)));
        }
        let node = at.get("binaryData").node()?.get(key)?;
        Some((node, decoded(node)))
    }

    /// The keys of a ConfigMap.
    pub fn config_keys(&self, namespace: &str, name: &str) -> Option<Vec<&'o str>> {
        let object = self.find("ConfigMap", namespace, name)?;
        let at = At::of(&object.node);
        let maps = [at.get("data").node(), at.get("binaryData").node()];
        let maps = maps.into_iter().flatten().filter_map(Node::as_map);
        Some(maps.flat_map(|m| m.keys()).collect())
    }

    /// Services that send to a workload.
    pub fn services_of<'s>(
        &'s self,
        workload: &'s Workload<'o>,
    ) -> impl Iterator<Item = &'s Service<'o>> {
        self.services.iter().filter(|s| s.selects(workload))
    }
}

fn plain(node: &Node) -> Result<Content, Problem> {
    match node.as_str() {
        Some(text) => Ok(Content::Text(text.to_owned())),
        None if node.is_null() => Ok(Content::Text(String::new())),
        None => Err(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("expected a text, found {}", node.kind()),
        )
        .help("quote it: Kubernetes takes texts only here")),
    }
}

fn decoded(node: &Node) -> Result<Content, Problem> {
    let Content::Text(text) = plain(node)? else {
        return Ok(Content::Text(String::new()));
    };
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(&text).map_err(|_| {
        Problem::at(ProblemKind::InvalidValue, &node.span, "this is not base64")
            .help("write the text itself under `stringData`, or encode it")
    })?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Content::Text(text),
        Err(_) => Content::Base64(text),
    })
}

fn service<'o>(object: &'o Object, problems: &mut Problems) -> Option<Service<'o>> {
    let spec = match object.spec().node() {
        Some(node) => match from_node::<ServiceSpec>(node) {
            Ok(spec) => spec,
            Err(p) => {
                problems.push(p);
                return None;
            }
        },
        None => ServiceSpec::default(),
    };
    Some(Service { object, spec })
}

impl Service<'_> {
    /// Whether it gives an address for each of its pods instead of one of its own.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip.as_deref() == Some("None")
    }

    /// Whether it stands for a name outside of the cluster.
    pub fn is_external(&self) -> bool {
        self.spec.type_.as_deref() == Some("ExternalName")
    }

    /// Whether it sends to a workload's pods.
    pub fn selects(&self, workload: &Workload<'_>) -> bool {
        let Some(selector) = self.spec.selector.as_ref().filter(|s| !s.is_empty()) else {
            return false;
        };
        !self.is_external()
            && self.object.namespace == workload.namespace()
            && selector
                .iter()
                .all(|(k, v)| workload.labels.get(k) == Some(v))
    }
}
