//! The rules of Ingresses, one for each path.

use k8s_openapi::api::networking::v1::{HTTPIngressPath, IngressBackend, IngressSpec};

use super::super::cluster::Cluster;
use super::super::objects::Object;
use crate::source::Span;
use crate::yaml::from_node;

/// What ingress-nginx is asked for.
const REWRITE: &str = "nginx.ingress.kubernetes.io/rewrite-target";
const USE_REGEX: &str = "nginx.ingress.kubernetes.io/use-regex";

/// What a path of a host leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The namespace of the Service.
    pub namespace: String,
    /// Empty where it is no Service.
    pub service: String,
    /// Number of the Service's port, or what is written where it has no such port.
    pub port: String,
}

/// How a path is compared, those first that count first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathKind {
    /// It is the same.
    Exact,
    /// Its beginning matches a regular expression.
    Regex,
    /// It is the same or below it.
    Prefix,
    /// For all that no other rule is for.
    Default,
}

impl PathKind {
    /// What the agent calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Regex => "regex",
            Self::Prefix => "prefix",
            Self::Default => "default",
        }
    }
}

/// What one path of one host leads to.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The Ingress, as records call it.
    pub of: String,
    /// The host in lower case, which may begin with a star; empty for any.
    pub host: String,
    /// How the path is compared.
    pub kind: PathKind,
    /// The path.
    pub path: String,
    /// The path by which the service is asked instead.
    pub rewrite: Option<String>,
    /// Where it leads.
    pub backend: Backend,
    /// Where it is declared.
    pub at: Span,
}

impl Rule {
    /// Whether its host is the name of one.
    pub fn is_for_one_host(&self) -> bool {
        !self.host.is_empty() && !self.host.starts_with('*')
    }

    /// Whether it changes nothing of a request.
    pub fn is_plain(&self) -> bool {
        self.rewrite.is_none() && self.kind != PathKind::Regex
    }
}

/// The rules of an Ingress.
pub fn of(cluster: &Cluster<'_>, object: &Object) -> Vec<Rule> {
    let spec = object.spec().node().map(from_node::<IngressSpec>);
    let spec = spec.and_then(Result::ok).unwrap_or_default();
    let to = |to: &IngressBackend| backend(cluster, &object.namespace, to);
    let mut all = Vec::new();
    for rule in spec.rules.iter().flatten() {
        let host = rule.host.as_deref().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        for path in rule.http.iter().flat_map(|h| &h.paths) {
            let (kind, text, rewrite) = compared(object, path);
            all.push(Rule {
                of: object.title(),
                host: host.clone(),
                kind,
                path: text,
                rewrite,
                backend: to(&path.backend),
                at: object.span().clone(),
            });
        }
    }
    if let Some(default) = &spec.default_backend {
        all.push(Rule {
            of: object.title(),
            host: String::new(),
            kind: PathKind::Default,
            path: String::new(),
            rewrite: None,
            backend: to(default),
            at: object.span().clone(),
        });
    }
    all
}

/// How a path is compared, and what it is rewritten to. Paths whose kind is left to the
/// controller are prefixes, as ingress-nginx and most others take them.
fn compared(object: &Object, path: &HTTPIngressPath) -> (PathKind, String, Option<String>) {
    let rewrite = object.annotations.get(REWRITE).cloned();
    let says_regex = object.annotations.get(USE_REGEX).map(String::as_str) == Some("true");
    let text = path.path.clone().unwrap_or_else(|| "/".to_owned());
    let looks_so = text.contains(['(', ')', '[', ']', '*', '+', '?', '|', '^', '$', '\\']);
    let kind = match path.path_type.as_str() {
        "Exact" => PathKind::Exact,
        _ if says_regex || (rewrite.is_some() && looks_so) => PathKind::Regex,
        _ => PathKind::Prefix,
    };
    (kind, text, rewrite)
}

fn backend(cluster: &Cluster<'_>, namespace: &str, backend: &IngressBackend) -> Backend {
    let of = backend.service.as_ref();
    let service = of.map(|s| s.name.clone()).unwrap_or_default();
    let port = of.and_then(|s| s.port.as_ref());
    let number = port.and_then(|p| p.number);
    let name = port.and_then(|p| p.name.clone());
    // A port has a number and may have a name: either is the same port.
    let mut services = cluster.services.iter();
    let known = services.find(|s| s.object.namespace == namespace && s.object.name == service);
    let mut ports = known
        .into_iter()
        .flat_map(|s| s.spec.ports.iter().flatten());
    let known = ports.find(|p| Some(p.port) == number || (name.is_some() && p.name == name));
    let number = known.map(|p| p.port).or(number);
    Backend {
        namespace: namespace.to_owned(),
        service,
        port: number.map_or(name.unwrap_or_default(), |n| n.to_string()),
    }
}
