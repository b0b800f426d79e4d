//! What becomes of each field: mapped by another part of the translation, or dropped with a
//! reason. A field that is in no table is dropped as unknown.

use super::at::At;
use super::build::Build;
use super::cluster::Service;
use super::workload::Workload;
use crate::fidelity::{Class, Record, Severity};
use crate::yaml::{Node, Value};

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Another part of the translation maps it, or it says nothing about what runs.
    Mapped,
    /// It has no effect in a mirror.
    Dropped(Severity, &'static str),
}

use Fate::{Dropped, Mapped};

type Table = &'static [(&'static str, Fate)];

const PLACEMENT: Fate = Dropped(Severity::Info, "all pods run on one machine");
const IGNORED: Fate = Dropped(Severity::Info, "it changes nothing that runs in a mirror");
const ROLLOUT: Fate = Dropped(Severity::Info, "a mirror starts once and is not rolled out");

const WORKLOAD: Table = &[
    ("replicas", Mapped),
    ("selector", Mapped),
    ("template", Mapped),
    ("jobTemplate", Mapped),
    ("serviceName", Mapped),
    ("volumeClaimTemplates", Mapped),
    ("suspend", Mapped),
    ("parallelism", Mapped),
    ("backoffLimit", Mapped),
    ("progressDeadlineSeconds", Mapped),
    ("schedule", Mapped),
    ("strategy", ROLLOUT),
    ("updateStrategy", ROLLOUT),
    ("minReadySeconds", ROLLOUT),
    ("revisionHistoryLimit", ROLLOUT),
    ("paused", ROLLOUT),
    ("triggers", ROLLOUT),
    ("test", ROLLOUT),
    ("ttlSecondsAfterFinished", IGNORED),
    ("successfulJobsHistoryLimit", IGNORED),
    ("failedJobsHistoryLimit", IGNORED),
    ("manualSelector", IGNORED),
    ("persistentVolumeClaimRetentionPolicy", IGNORED),
    (
        "ordinals",
        Dropped(Severity::Medium, "pods are numbered from 0"),
    ),
    (
        "podManagementPolicy",
        Dropped(Severity::Low, "all pods start at once"),
    ),
    (
        "completions",
        Dropped(
            Severity::Low,
            "the job runs as often as it does at once in production",
        ),
    ),
    (
        "completionMode",
        Dropped(Severity::Medium, "the pods of the job have no index"),
    ),
    (
        "activeDeadlineSeconds",
        Dropped(
            Severity::Low,
            "the mirror has limits of its own for how long a start may take",
        ),
    ),
    ("podFailurePolicy", IGNORED),
    ("successPolicy", IGNORED),
    ("podReplacementPolicy", IGNORED),
    (
        "concurrencyPolicy",
        Dropped(Severity::Low, "the job runs once, when it is asked for"),
    ),
    ("startingDeadlineSeconds", IGNORED),
    ("timeZone", IGNORED),
];

const POD: Table = &[
    ("containers", Mapped),
    ("initContainers", Mapped),
    ("volumes", Mapped),
    ("restartPolicy", Mapped),
    ("terminationGracePeriodSeconds", Mapped),
    ("securityContext", Mapped),
    ("hostNetwork", Mapped),
    ("hostPID", Mapped),
    ("hostIPC", Mapped),
    ("shareProcessNamespace", Mapped),
    ("hostAliases", Mapped),
    ("hostname", Mapped),
    ("subdomain", Mapped),
    ("dnsConfig", Mapped),
    ("enableServiceLinks", Mapped),
    ("serviceAccountName", Mapped),
    ("serviceAccount", Mapped),
    ("automountServiceAccountToken", Mapped),
    ("dnsPolicy", IGNORED),
    ("affinity", PLACEMENT),
    ("nodeSelector", PLACEMENT),
    ("nodeName", PLACEMENT),
    ("tolerations", PLACEMENT),
    ("topologySpreadConstraints", PLACEMENT),
    ("schedulerName", PLACEMENT),
    ("schedulingGates", PLACEMENT),
    ("priority", PLACEMENT),
    ("priorityClassName", PLACEMENT),
    ("preemptionPolicy", PLACEMENT),
    ("overhead", PLACEMENT),
    ("os", IGNORED),
    (
        "imagePullSecrets",
        Dropped(
            Severity::Info,
            "images are pulled with the credentials of whoever runs the mirror",
        ),
    ),
    (
        "activeDeadlineSeconds",
        Dropped(Severity::Low, "the pod is not ended after a time"),
    ),
    (
        "readinessGates",
        Dropped(
            Severity::Medium,
            "a controller outside of these files says when the pod is ready",
        ),
    ),
    (
        "runtimeClassName",
        Dropped(Severity::Medium, "the engine's own runtime runs it"),
    ),
    (
        "setHostnameAsFQDN",
        Dropped(Severity::Low, "the host name is the short one"),
    ),
    (
        "hostUsers",
        Dropped(Severity::Medium, "the engine decides on user namespaces"),
    ),
    ("ephemeralContainers", IGNORED),
    (
        "resourceClaims",
        Dropped(Severity::High, "the mirror has no such devices"),
    ),
    (
        "resources",
        Dropped(
            Severity::Medium,
            "limits of the pod as a whole are not in the mirror",
        ),
    ),
];

const CONTAINER: Table = &[
    ("name", Mapped),
    ("image", Mapped),
    ("imagePullPolicy", Mapped),
    ("command", Mapped),
    ("args", Mapped),
    ("workingDir", Mapped),
    ("env", Mapped),
    ("envFrom", Mapped),
    ("ports", Mapped),
    ("resources", Mapped),
    ("volumeMounts", Mapped),
    ("startupProbe", Mapped),
    ("readinessProbe", Mapped),
    ("livenessProbe", Mapped),
    ("lifecycle", Mapped),
    ("securityContext", Mapped),
    ("stdin", Mapped),
    ("tty", Mapped),
    ("restartPolicy", Mapped),
    ("stdinOnce", IGNORED),
    ("terminationMessagePath", IGNORED),
    ("terminationMessagePolicy", IGNORED),
    ("resizePolicy", IGNORED),
    (
        "volumeDevices",
        Dropped(Severity::High, "the mirror has no block devices"),
    ),
];

const SERVICE: Table = &[
    ("ports", Mapped),
    ("selector", Mapped),
    ("clusterIP", Mapped),
    ("type", Mapped),
    ("externalName", Mapped),
    ("clusterIPs", IGNORED),
    ("ipFamilies", IGNORED),
    ("ipFamilyPolicy", IGNORED),
    ("internalTrafficPolicy", IGNORED),
    ("externalTrafficPolicy", IGNORED),
    ("healthCheckNodePort", IGNORED),
    ("loadBalancerIP", IGNORED),
    ("loadBalancerClass", IGNORED),
    (
        "loadBalancerSourceRanges",
        Dropped(Severity::Low, "published ports are this machine's own"),
    ),
    ("allocateLoadBalancerNodePorts", IGNORED),
    ("trafficDistribution", IGNORED),
    (
        "publishNotReadyAddresses",
        Dropped(
            Severity::Low,
            "names lead to pods from their start on, ready or not",
        ),
    ),
    (
        "externalIPs",
        Dropped(
            Severity::Medium,
            "the mirror has no addresses of production",
        ),
    ),
    (
        "sessionAffinity",
        Dropped(Severity::Low, "clients are not bound to a pod"),
    ),
    ("sessionAffinityConfig", IGNORED),
];

/// Says what becomes of the fields of a workload, its pod and its containers.
pub fn pod(build: &mut Build<'_>, workload: &Workload<'_>, base: &str) {
    let object = format!("service:{base}");
    let spec = workload.object.spec();
    if workload.kind != super::workload::Kind::Pod {
        check(build, &object, spec, WORKLOAD, "spec");
    }
    if workload.kind == super::workload::Kind::CronJob {
        let job = spec.get("jobTemplate").get("spec");
        check(build, &object, job, WORKLOAD, "jobTemplate.spec");
    }
    let at = workload.spec();
    check(build, &object, at, POD, "pod");
    for (key, containers) in [
        ("initContainers", workload.pod.init_containers.as_ref()),
        ("containers", Some(&workload.pod.containers)),
    ] {
        for (i, c) in containers.into_iter().flatten().enumerate() {
            let path = format!("{key}[{}]", c.name);
            check(build, &object, at.get(key).item(i), CONTAINER, &path);
        }
    }
    if let Some(typed) = k8s_json(&workload.pod)
        && let Some(node) = at.node()
    {
        unknown(build, &object, node, &typed, "pod");
    }
}

/// Says what becomes of the fields of a Service.
pub fn service(build: &mut Build<'_>, service: &Service<'_>) {
    let object = format!("kubernetes-service:{}", service.object.name);
    let at = service.object.spec();
    check(build, &object, at, SERVICE, "spec");
    if let (Some(typed), Some(node)) = (k8s_json(&service.spec), at.node()) {
        unknown(build, &object, node, &typed, "spec");
    }
}

fn k8s_json<T: serde::Serialize>(typed: &T) -> Option<serde_json::Value> {
    serde_json::to_value(typed).ok()
}

fn check(build: &mut Build<'_>, object: &str, at: At<'_>, table: Table, path: &str) {
    let Some(map) = at.node().and_then(Node::as_map) else {
        return;
    };
    for (key, node) in map.iter() {
        if is_nothing(node) {
            continue;
        }
        let fate = table.iter().find(|(name, _)| *name == key);
        // Fields that Kubernetes does not have either are found by the typed form.
        let Some((_, Dropped(severity, reason))) = fate else {
            continue;
        };
        let mut r = Record::new(object, format!("{path}.{key}"), Class::Dropped, *severity);
        r = r.at(at.key(key));
        r.declared = node.scalar_text().unwrap_or_default();
        (*reason).clone_into(&mut r.reason);
        "kubernetes-field".clone_into(&mut r.rule);
        build.records.push(r);
    }
}

fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Seq(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Str(text) => text.is_empty(),
        Value::Bool(b) => !*b,
        _ => false,
    }
}

/// Fields that the typed form of an object did not keep: Kubernetes does not have them, or a
/// newer one than is known here.
pub fn unknown(
    build: &mut Build<'_>,
    object: &str,
    node: &Node,
    typed: &serde_json::Value,
    path: &str,
) {
    match (&node.value, typed) {
        (Value::Map(map), serde_json::Value::Object(known)) => {
            for (key, entry) in &map.0 {
                let path = format!("{path}.{key}");
                match known.get(key) {
                    Some(below) => unknown(build, object, &entry.node, below, &path),
                    None if entry.node.is_null() => {}
                    None => {
                        let why = "Kubernetes 1.33 has no such field here: it would ignore it, or refuse the object";
                        let mut r = Record::new(object, path, Class::Unknown, Severity::Medium);
                        r = r.at(&entry.key);
                        r.declared = entry.node.scalar_text().unwrap_or_default();
                        why.clone_into(&mut r.reason);
                        "correct its name, or remove it".clone_into(&mut r.raise);
                        "kubernetes-unknown".clone_into(&mut r.rule);
                        build.records.push(r);
                    }
                }
            }
        }
        (Value::Seq(items), serde_json::Value::Array(known)) => {
            for (i, (node, typed)) in items.iter().zip(known).enumerate() {
                unknown(build, object, node, typed, &format!("{path}[{i}]"));
            }
        }
        _ => {}
    }
}
