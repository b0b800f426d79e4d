//! The environment of a container.

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{Container, EnvVarSource};

use super::at::At;
use super::build::Build;
use super::cluster::Content;
use super::dict::Dict;
use super::downward::{self, Found};
use super::expand::expand;
use super::pod::Pod;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Node, ViaKind};

/// A variable with its value.
#[derive(Debug, Clone)]
pub struct Var {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub span: Span,
    /// The object that it comes from, and where that is named.
    pub via: Option<(String, Span)>,
}

/// The variables of a container, as the kubelet gives them.
#[derive(Debug, Default)]
pub struct Env(pub IndexMap<String, Var>);

impl Env {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|v| v.value.clone())
    }

    fn set(&mut self, name: &str, var: Var) {
        self.0.insert(name.to_owned(), var);
    }

    /// As Compose has it.
    pub fn dict(&self, span: &Span) -> Dict {
        let mut dict = Dict::at(span);
        for (name, var) in &self.0 {
            let mut node = Node::str(var.value.clone(), var.span.clone());
            if let Some((of, at)) = &var.via {
                node = node.via(ViaKind::Reference { of: of.clone() }, at.clone());
            }
            dict.node(name, node);
        }
        dict
    }
}

/// Reads the environment of a container: `envFrom`, then `env`, then the addresses of services.
pub fn read(build: &mut Build<'_>, pod: &Pod<'_>, c: &Container, at: At<'_>) -> Env {
    let mut env = Env::default();
    let links = super::links::of(build.cluster, pod);
    sources(build, pod, c, at.get("envFrom"), &mut env);
    for (i, var) in c.env.iter().flatten().enumerate() {
        let at = at.get("env").item(i);
        if let Some(p) = bad_name(&var.name, at.get("name").span()) {
            build.once(p);
            continue;
        }
        let value = var.value.as_deref().unwrap_or_default();
        match &var.value_from {
            Some(source) if value.is_empty() => {
                let at = at.get("valueFrom");
                if let Some(found) = from_source(build, pod, c, source, at, &var.name) {
                    env.set(&var.name, found);
                }
            }
            _ => {
                let lookup = |name: &str| env.get(name).or_else(|| links.get(name).cloned());
                let value = expand(value, lookup);
                let span = at.get("value").span().clone();
                env.set(
                    &var.name,
                    Var {
                        value,
                        span,
                        via: None,
                    },
                );
            }
        }
    }
    for (name, value) in links {
        if !env.0.contains_key(&name) {
            let span = pod.workload.object.span().clone();
            env.set(
                &name,
                Var {
                    value,
                    span,
                    via: None,
                },
            );
        }
    }
    env
}

fn bad_name(name: &str, span: &Span) -> Option<Problem> {
    let bad = name.is_empty() || name.contains('=') || name.chars().any(char::is_control);
    bad.then(|| {
        let message = format!("`{}` cannot be the name of a variable", name.escape_debug());
        Problem::at(ProblemKind::InvalidValue, span, message)
    })
}

/// Whether a key becomes a variable; others are skipped, as the kubelet does.
fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty()
        && name.chars().all(fits)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name != "."
        && !name.starts_with("..")
}

fn sources(build: &mut Build<'_>, pod: &Pod<'_>, c: &Container, at: At<'_>, env: &mut Env) {
    let namespace = pod.workload.namespace();
    for (i, source) in c.env_from.iter().flatten().enumerate() {
        let at = at.item(i);
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(r) = &source.config_map_ref {
            let named = at.get("configMapRef").get("name").span();
            let keys = build.config_keys(namespace, &r.name);
            if keys.is_none() && r.optional != Some(true) {
                build.missing_config(namespace, &r.name, &[], named);
            }
            for key in keys.unwrap_or_default() {
                let name = format!("{prefix}{key}");
                let found = build.config((namespace, &r.name, &key), true, named);
                if let (true, Some((Content::Text(value), span))) = (is_variable(&name), found) {
                    let via = Some((format!("ConfigMap {}, key {key}", r.name), named.clone()));
                    env.set(&name, Var { value, span, via });
                } else {
                    skipped(build, pod, &name, named);
                }
            }
        }
        if let Some(r) = &source.secret_ref {
            let named = at.get("secretRef").get("name").span();
            let keys = build.secret_keys(namespace, &r.name);
            if keys.is_none() && r.optional != Some(true) {
                build.missing_keys(&r.name, &[], named);
            }
            for key in keys.unwrap_or_default() {
                let name = format!("{prefix}{key}");
                if !is_variable(&name) {
                    skipped(build, pod, &name, named);
                    continue;
                }
                let id = (namespace, r.name.as_str(), key.as_str());
                if let Some(found) = build.secret_text(id, false, named) {
                    let via = Some((format!("Secret {}, key {key}", r.name), named.clone()));
                    env.set(
                        &name,
                        Var {
                            value: found.text,
                            span: found.span,
                            via,
                        },
                    );
                }
            }
        }
    }
}

fn skipped(build: &mut Build<'_>, pod: &Pod<'_>, name: &str, span: &Span) {
    build.record(
        (&pod.object(), &format!("environment.{name}")),
        (Class::Mirrored, Severity::Info),
        (
            name,
            "no variable can be called so: Kubernetes skips it as well",
        ),
        span,
    );
}

fn from_source(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    c: &Container,
    source: &EnvVarSource,
    at: At<'_>,
    name: &str,
) -> Option<Var> {
    let namespace = pod.workload.namespace();
    if let Some(r) = &source.config_map_key_ref {
        let span = at.get("configMapKeyRef").get("key").span();
        let id = (namespace, r.name.as_str(), r.key.as_str());
        let (content, place) = build.config(id, r.optional == Some(true), span)?;
        let (Content::Text(value) | Content::Base64(value)) = content;
        let via = Some((format!("ConfigMap {}, key {}", r.name, r.key), span.clone()));
        return Some(Var {
            value,
            span: place,
            via,
        });
    }
    if let Some(r) = &source.secret_key_ref {
        let span = at.get("secretKeyRef").get("key").span();
        let id = (namespace, r.name.as_str(), r.key.as_str());
        let found = build.secret_text(id, r.optional == Some(true), span)?;
        let via = Some((format!("Secret {}, key {}", r.name, r.key), span.clone()));
        return Some(Var {
            value: found.text,
            span: found.span,
            via,
        });
    }
    let (found, path, span) = if let Some(r) = &source.field_ref {
        let span = at.get("fieldRef").get("fieldPath").span();
        (downward::field(pod, r), r.field_path.clone(), span)
    } else if let Some(r) = &source.resource_field_ref {
        let span = at.get("resourceFieldRef").get("resource").span();
        let of = r.container_name.as_deref().unwrap_or(&c.name);
        let other = pod.container(of).unwrap_or(c);
        (downward::resource(other, r), r.resource.clone(), span)
    } else {
        build.once(
            Problem::at(
                ProblemKind::Unsupported,
                at.span(),
                format!("`{name}` has a source that is not known"),
            )
            .help("there are configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef"),
        );
        return None;
    };
    let value = resolved(
        build,
        pod,
        found,
        (&format!("environment.{name}"), &path),
        span,
    )?;
    let via = Some((path, span.clone()));
    Some(Var {
        value,
        span: span.clone(),
        via,
    })
}

/// The text of a value of the downward API, with a record where it is made up.
pub fn resolved(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    found: Found,
    (field, path): (&str, &str),
    span: &Span,
) -> Option<String> {
    match found {
        Found::Known(value) => Some(value),
        Found::MadeUp(value) => {
            let of = (pod.object(), field.to_owned());
            let why = "production decides it only when the pod runs";
            let severity = match path.starts_with("limits.") {
                true => Severity::Medium,
                false => Severity::Info,
            };
            let record = build.record(
                (&of.0, &of.1),
                (Class::Substituted, severity),
                (path, why),
                span,
            );
            record.actual.clone_from(&value);
            Some(value)
        }
        Found::Unknown => {
            let message = format!("pods have no field `{path}` that containers can see");
            build.once(Problem::at(ProblemKind::InvalidValue, span, message));
            None
        }
    }
}
