//! Files that volumes put together: keys of ConfigMaps and secrets, and what a pod says of
//! itself.

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection,
};

use super::at::At;
use super::build::Build;
use super::cluster::Content;
use super::dict::Dict;
use super::downward;
use super::env::resolved;
use super::pod::Pod;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::Node;

/// Permission bits of files that ask for none.
const MODE: i32 = 0o644;
/// Where clients of the Kubernetes API look for their identity.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A file of a volume.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path in the volume.
    pub path: String,
    /// Key of the configuration file or secret that holds it.
    pub key: String,
    /// Whether that is a secret.
    pub secret: bool,
    /// Permission bits.
    pub mode: u32,
    /// Where production says so.
    pub span: Span,
}

/// The files of a volume; `None` when it is of another kind.
pub fn of(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    c: &Container,
    v: &Volume,
    at: At<'_>,
) -> Option<Vec<Entry>> {
    let mut gather = Gather {
        build,
        pod,
        container: c,
        parts: pod.parts_of(&v.name),
        entries: Vec::new(),
        mode: MODE,
    };
    if let Some(source) = &v.config_map {
        gather.mode = source.default_mode.unwrap_or(MODE);
        let optional = source.optional == Some(true);
        gather.config_map(
            &source.name,
            source.items.as_deref(),
            optional,
            at.get("configMap"),
        );
    } else if let Some(source) = &v.secret {
        gather.mode = source.default_mode.unwrap_or(MODE);
        let name = source.secret_name.clone().unwrap_or_default();
        let optional = source.optional == Some(true);
        let at = at.get("secret");
        gather.secret(
            &name,
            source.items.as_deref(),
            optional,
            (at, at.get("secretName")),
        );
    } else if let Some(source) = &v.downward_api {
        gather.mode = source.default_mode.unwrap_or(MODE);
        gather.downward(source.items.as_deref(), at.get("downwardAPI"));
    } else if let Some(source) = &v.projected {
        gather.mode = source.default_mode.unwrap_or(MODE);
        for (i, part) in source.sources.iter().flatten().enumerate() {
            let at = at.get("projected").get("sources").item(i);
            gather.projection(part, at);
        }
    } else {
        return None;
    }
    Some(gather.entries)
}

struct Gather<'g, 'c, 'p> {
    build: &'g mut Build<'c>,
    pod: &'g Pod<'p>,
    container: &'g Container,
    /// What containers mount of it one by one.
    parts: Vec<String>,
    entries: Vec<Entry>,
    mode: i32,
}

impl Gather<'_, '_, '_> {
    fn projection(&mut self, part: &VolumeProjection, at: At<'_>) {
        if let Some(s) = &part.config_map {
            let optional = s.optional == Some(true);
            self.config_map(&s.name, s.items.as_deref(), optional, at.get("configMap"));
        }
        if let Some(s) = &part.secret {
            let at = at.get("secret");
            let optional = s.optional == Some(true);
            self.secret(&s.name, s.items.as_deref(), optional, (at, at.get("name")));
        }
        if let Some(s) = &part.downward_api {
            self.downward(s.items.as_deref(), at.get("downwardAPI"));
        }
        if let Some(s) = &part.service_account_token {
            let at = at.get("serviceAccountToken");
            self.build.record(
                (&self.pod.object(), "serviceAccountToken"),
                (Class::Substituted, Severity::High),
                (s.audience.as_deref().unwrap_or_default(), "there is no Kubernetes API in the mirror: the token is a stand-in that nobody accepts"),
                at.span(),
            );
            self.put_text(&s.path, "service-account-token", TOKEN, at.span(), None);
        }
        if part.cluster_trust_bundle.is_some() {
            self.build.record(
                (&self.pod.object(), "clusterTrustBundle"),
                (Class::Dropped, Severity::High),
                (
                    "",
                    "the certificates that the cluster trusts are not in these files",
                ),
                at.span(),
            );
        }
    }

    fn config_map(&mut self, name: &str, items: Option<&[KeyToPath]>, optional: bool, at: At<'_>) {
        let namespace = self.pod.workload.namespace();
        let named = at.get("name");
        let keys = self.build.config_keys(namespace, name);
        if keys.is_none() {
            if !optional {
                let keys: Vec<&str> = match items {
                    Some(items) if !items.is_empty() => {
                        items.iter().map(|i| i.key.as_str()).collect()
                    }
                    _ => self.parts.iter().map(String::as_str).collect(),
                };
                self.build
                    .missing_config(namespace, name, &keys, named.span());
            }
            return;
        }
        for (key, path, mode, span) in chosen(items, keys, (at, named)) {
            let id = (namespace, name, key.as_str());
            if let Some((content, place)) = self.build.config(id, optional, &span) {
                let of = format!("ConfigMap {name}, key {key}");
                let file = self
                    .build
                    .config_file(&format!("{name}.{key}"), &content, &place, &of);
                self.put(&path, file, false, mode, &span);
            }
        }
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: bool,
        (at, named): (At<'_>, At<'_>),
    ) {
        let namespace = self.pod.workload.namespace();
        let mut keys = self.build.secret_keys(namespace, name);
        if keys.is_none() {
            if optional {
                return;
            }
            if items.is_none_or(<[_]>::is_empty) {
                let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
                self.build.missing_keys(name, &parts, named.span());
                return;
            }
            keys = Some(Vec::new());
        }
        for (key, path, mode, span) in chosen(items, keys, (at, named)) {
            let id = (namespace, name, key.as_str());
            if let Some(file) = self.build.secret_file(id, &span) {
                self.put(&path, file, true, mode, &span);
            }
        }
    }

    fn downward(&mut self, items: Option<&[DownwardAPIVolumeFile]>, at: At<'_>) {
        for (i, item) in items.into_iter().flatten().enumerate() {
            let at = at.get("items").item(i);
            let span = at.span().clone();
            let (found, path) = if let Some(r) = &item.field_ref {
                if let Some(text) = downward::map_file(self.pod, &r.field_path) {
                    self.put_text(&item.path, &item.path, &text, &span, item.mode);
                    continue;
                }
                (downward::field(self.pod, r), r.field_path.clone())
            } else if let Some(r) = &item.resource_field_ref {
                let of = r.container_name.as_deref().unwrap_or_default();
                let c = self.pod.container(of).unwrap_or(self.container);
                (downward::resource(c, r), r.resource.clone())
            } else {
                continue;
            };
            let field = format!("downwardAPI.{}", item.path);
            let text = resolved(self.build, self.pod, found, (&field, &path), &span);
            if let Some(text) = text {
                self.put_text(&item.path, &item.path, &text, &span, item.mode);
            }
        }
    }

    fn put_text(&mut self, path: &str, key: &str, text: &str, span: &Span, mode: Option<i32>) {
        let key = format!("{}.{}", self.pod.service, key.replace('/', "-"));
        let content = Content::Text(text.to_owned());
        let file = self
            .build
            .config_file(&key, &content, span, "the pod itself");
        self.put(path, file, false, mode, span);
    }

    fn put(&mut self, path: &str, key: String, secret: bool, mode: Option<i32>, span: &Span) {
        if let Some(p) = bad_path(path, span) {
            self.build.once(p);
            return;
        }
        self.entries.retain(|e| e.path != path);
        let mode = mode.unwrap_or(self.mode);
        self.entries.push(Entry {
            path: path.to_owned(),
            key,
            secret,
            mode: u32::try_from(mode).unwrap_or(0o644) & 0o777,
            span: span.clone(),
        });
    }
}

/// A token that no API accepts.
const TOKEN: &str = "prodmirror-stand-in";

/// The keys that become files: those that are listed, else all.
fn chosen(
    items: Option<&[KeyToPath]>,
    keys: Option<Vec<String>>,
    (at, named): (At<'_>, At<'_>),
) -> Vec<(String, String, Option<i32>, Span)> {
    match items.filter(|i| !i.is_empty()) {
        Some(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let span = at.get("items").item(i).span().clone();
                (item.key.clone(), item.path.clone(), item.mode, span)
            })
            .collect(),
        None => keys
            .unwrap_or_default()
            .into_iter()
            .map(|key| (key.clone(), key, None, named.span().clone()))
            .collect(),
    }
}

fn bad_path(path: &str, span: &Span) -> Option<Problem> {
    let bad = path.is_empty()
        || path.starts_with('/')
        || path.starts_with("..")
        || path.chars().any(char::is_control)
        || path.contains(':')
        || path
            .split('/')
            .any(|p| p == ".." || p == "." || p.is_empty());
    bad.then(|| {
        let message = format!("`{}` is not a path in a volume", path.escape_debug());
        Problem::at(ProblemKind::PathEscape, span, message)
            .help("it is relative, and has no part that is `..` or empty")
    })
}

/// The identity of a pod for the Kubernetes API, where it is one that somebody gave rights to.
pub fn service_account(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    configs: &mut Vec<Node>,
    name: &str,
    c: &Container,
) {
    let spec = &pod.workload.pod;
    let account = spec.service_account_name.as_ref();
    let account = account.or(spec.service_account.as_ref());
    let Some(account) = account.filter(|a| *a != "default") else {
        return;
    };
    let namespace = pod.workload.namespace();
    let object = build.cluster.find("ServiceAccount", namespace, account);
    let of_account = object.and_then(|o| {
        let node = At::of(&o.node).get("automountServiceAccountToken").node();
        node.and_then(Node::as_bool)
    });
    let mounted = spec.automount_service_account_token.or(of_account);
    let mut own = c.volume_mounts.iter().flatten();
    if mounted == Some(false) || own.any(|m| m.mount_path.starts_with(SERVICE_ACCOUNT)) {
        return;
    }
    let at = pod.workload.spec().get("serviceAccountName");
    let severity = match has_rights(build, namespace, account) {
        true => Severity::High,
        false => Severity::Info,
    };
    build.record(
        (&format!("service:{name}"), "serviceAccountName"),
        (Class::Substituted, severity),
        (
            account,
            "there is no Kubernetes API in the mirror: the token is a stand-in that nobody accepts",
        ),
        at.span(),
    );
    let files = [("token", TOKEN), ("namespace", namespace), ("ca.crt", "")];
    for (file, text) in files {
        let content = Content::Text(text.to_owned());
        let key = format!("service-account.{namespace}.{file}");
        let span = Span::generated();
        let key = build.config_file(&key, &content, &span, "the service account");
        let mut dict = Dict::at(at.span());
        dict.text("source", key, at.span());
        dict.text("target", format!("{SERVICE_ACCOUNT}/{file}"), at.span());
        dict.int("mode", 0o644, at.span());
        configs.push(dict.done());
    }
    let directories = &mut build.beyond.extension.directories;
    directories
        .entry(name.to_owned())
        .or_default()
        .push(SERVICE_ACCOUNT.to_owned());
}

/// Whether a role is bound to a service account.
fn has_rights(build: &Build<'_>, namespace: &str, account: &str) -> bool {
    let bindings = build
        .cluster
        .all("RoleBinding")
        .chain(build.cluster.all("ClusterRoleBinding"));
    let mut subjects = bindings.flat_map(|b| {
        let subjects = At::of(&b.node).get("subjects").node();
        let subjects = subjects.and_then(Node::as_seq).unwrap_or(&[]);
        subjects.iter().map(move |s| (b, s))
    });
    subjects.any(|(b, s)| {
        let text = |key: &str| s.get(key).and_then(Node::as_str);
        let of = text("namespace").unwrap_or(&b.namespace);
        text("kind") == Some("ServiceAccount") && text("name") == Some(account) && of == namespace
    })
}
