//! Kinds of objects that nothing in a mirror stands for, and why that matters or does not.

use super::objects::Object;
use super::workload;
use crate::fidelity::{Class, Record, Severity};

struct Dropped {
    kinds: &'static [&'static str],
    severity: Severity,
    reason: &'static str,
}

const DROPPED: &[Dropped] = &[
    Dropped {
        kinds: &[
            "Namespace",
            "PriorityClass",
            "RuntimeClass",
            "StorageClass",
            "CSIDriver",
            "VolumeSnapshotClass",
            "IngressClass",
            "GatewayClass",
            "CustomResourceDefinition",
            "ControllerRevision",
            "Event",
            "Lease",
            "ImageStream",
            "Template",
        ],
        severity: Severity::Info,
        reason: "it runs nothing itself",
    },
    Dropped {
        kinds: &[
            "PodDisruptionBudget",
            "VerticalPodAutoscaler",
            "ResourceQuota",
            "PodSecurityPolicy",
            "Node",
        ],
        severity: Severity::Info,
        reason: "it is about the cluster, not about what runs",
    },
    Dropped {
        kinds: &["LimitRange"],
        severity: Severity::Medium,
        reason: "the limits that it gives to containers without any are not in the mirror",
    },
    Dropped {
        kinds: &["HorizontalPodAutoscaler"],
        severity: Severity::Low,
        reason: "the mirror does not scale: the declared number of pods runs, or the least where none is declared",
    },
    Dropped {
        kinds: &["ScaledObject"],
        severity: Severity::Low,
        reason: "the mirror does not scale: the declared number of pods runs",
    },
    Dropped {
        kinds: &[
            "Role",
            "ClusterRole",
            "RoleBinding",
            "ClusterRoleBinding",
            "ServiceAccount",
        ],
        severity: Severity::Low,
        reason: "there is no Kubernetes API in the mirror",
    },
    Dropped {
        kinds: &["MutatingWebhookConfiguration"],
        severity: Severity::High,
        reason: "what runs in production is changed when it is admitted; the files do not say how",
    },
    Dropped {
        kinds: &["ValidatingWebhookConfiguration", "APIService"],
        severity: Severity::Low,
        reason: "there is no Kubernetes API in the mirror",
    },
    Dropped {
        kinds: &[
            "HTTPRoute",
            "GRPCRoute",
            "TCPRoute",
            "TLSRoute",
            "Gateway",
            "Route",
            "VirtualService",
            "DestinationRule",
            "ServiceEntry",
            "Sidecar",
            "EnvoyFilter",
            "PeerAuthentication",
            "RequestAuthentication",
            "AuthorizationPolicy",
            "IngressRoute",
            "Middleware",
        ],
        severity: Severity::Medium,
        reason: "requests reach the services directly: routes, rewrites, TLS and authentication of gateways and meshes are not in the mirror",
    },
    Dropped {
        kinds: &[
            "ExternalSecret",
            "SealedSecret",
            "SecretStore",
            "ClusterSecretStore",
        ],
        severity: Severity::Info,
        reason: "the values of the secret are asked for in mirror.yaml",
    },
    Dropped {
        kinds: &["PersistentVolume"],
        severity: Severity::Low,
        reason: "claims have volumes of the mirror; what production's hold is given under `data`",
    },
];

/// Kinds that other parts of the translation speak for, with the groups whose kinds they are:
/// others have kinds of the same names.
const SPOKEN_FOR: [(&str, &[&str]); 9] = [
    ("Service", &[""]),
    ("ConfigMap", &[""]),
    ("Secret", &[""]),
    ("PersistentVolumeClaim", &[""]),
    ("Ingress", &["networking.k8s.io", "extensions"]),
    ("NetworkPolicy", &["networking.k8s.io", "extensions"]),
    ("Endpoints", &[""]),
    ("EndpointSlice", &["discovery.k8s.io"]),
    ("Kustomization", &["kustomize.config.k8s.io"]),
];

/// Kinds of workloads that other groups may have as well are told apart by their group.
const WORKLOADS: [&str; 9] = [
    "Deployment",
    "DeploymentConfig",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
];

fn is_spoken_for(object: &Object) -> bool {
    let spoken = SPOKEN_FOR.iter().find(|(kind, _)| *kind == object.kind);
    spoken.is_some_and(|(_, groups)| groups.contains(&object.group.as_str()))
}

/// Whether an object is what its kind says, and not of another group's kind of the same name.
pub fn is_own(object: &Object) -> bool {
    let kind = object.kind.as_str();
    let told_apart = WORKLOADS.contains(&kind) || SPOKEN_FOR.iter().any(|(k, _)| *k == kind);
    !told_apart || is_spoken_for(object) || workload::kind_of(object).is_some()
}

/// What becomes of an object that nothing in the mirror stands for.
pub fn dropped(object: &Object) -> Option<Record> {
    if workload::kind_of(object).is_some() || is_spoken_for(object) {
        return None;
    }
    let known = DROPPED
        .iter()
        .find(|d| d.kinds.contains(&object.kind.as_str()));
    let (severity, reason) = match known {
        Some(d) => (d.severity, d.reason),
        None => (
            Severity::Medium,
            "a controller that is not in these files acts on it: what it makes is not in the mirror",
        ),
    };
    let mut title = object.title();
    if !is_own(object) {
        // As kubectl tells it apart.
        let kind = object.kind.len();
        title.insert_str(kind, &format!(".{}", object.group));
    }
    let mut record = Record::new(title, "", Class::Dropped, severity).at(object.span());
    record.declared = match object.group.as_str() {
        "" => object.kind.clone(),
        group => format!("{} ({group})", object.kind),
    };
    record.reason = reason.to_owned();
    record.rule = "kubernetes-kind".to_owned();
    Some(record)
}
