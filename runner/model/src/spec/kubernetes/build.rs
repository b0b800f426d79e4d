//! The translation in the making: what all parts of it add to.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{Cluster, Content};
use super::dict::{Dict, texts};
use super::ingress::Hosts;
use super::policy::Endpoint;
use super::supply::Supply;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::fidelity::{Class, Record, Severity};
use crate::policy::variable_of;
use crate::project::{Named, SecretSource, find};
use crate::secret::Secret;
use crate::source::Span;
use crate::spec::{Beyond, Plain};
use crate::stack::secret_ref;
use crate::yaml::{Mapping, Node, Spanned, ViaKind};

/// What all parts of a translation add to.
pub struct Build<'c> {
    /// The objects.
    pub cluster: &'c Cluster<'c>,
    /// What `mirror.yaml` supplies.
    pub supply: Supply<'c>,
    /// Secrets whose values it gives.
    pub given: &'c [Named<Spanned<SecretSource>>],
    /// Services of the document, by name.
    pub services: Mapping,
    /// What each service is to the workload that it is a part of.
    pub parts: BTreeMap<String, Part>,
    /// What Ingresses lead to.
    pub hosts: Hosts,
    /// The services by which pods are reached.
    pub endpoints: Vec<Endpoint>,
    /// Volumes of the document.
    pub volumes: Mapping,
    /// Configuration files of the document.
    pub configs: Mapping,
    /// Secrets of the document.
    pub secrets: Mapping,
    /// What Compose has no word for.
    pub beyond: Beyond,
    /// What is dropped, substituted or unknown.
    pub records: Vec<Record>,
    /// What is wrong.
    pub problems: Problems,
    variables: BTreeMap<(String, String, String), String>,
    missing: BTreeSet<String>,
    volume_keys: BTreeMap<(&'static str, String, String), String>,
    claims: BTreeSet<String>,
    names: BTreeSet<String>,
}

/// What a service is to its workload.
#[derive(Debug, Clone)]
pub struct Part {
    /// What the workload is called.
    pub base: String,
    /// Whether it is one of the containers that the pod is for.
    pub is_main: bool,
}

/// A value of a key of a ConfigMap or secret, ready to stand in a text.
#[derive(Debug, Clone)]
pub struct Value {
    /// The text, in which a token stands for a secret.
    pub text: String,
    /// Where it is.
    pub span: Span,
}

impl<'c> Build<'c> {
    /// Nothing translated yet.
    pub fn new(
        cluster: &'c Cluster<'c>,
        supply: Supply<'c>,
        given: &'c [Named<Spanned<SecretSource>>],
    ) -> Self {
        Self {
            cluster,
            supply,
            given,
            services: Mapping::default(),
            parts: BTreeMap::new(),
            hosts: Hosts::of(cluster),
            endpoints: Vec::new(),
            volumes: Mapping::default(),
            configs: Mapping::default(),
            secrets: Mapping::default(),
            beyond: Beyond::default(),
            records: Vec::new(),
            problems: Problems::default(),
            variables: BTreeMap::new(),
            missing: BTreeSet::new(),
            volume_keys: BTreeMap::new(),
            claims: super::volume::claim_keys(cluster),
            names: BTreeSet::new(),
        }
    }

    /// Keeps the names of workloads: nothing else is called so.
    pub fn reserve(&mut self, names: &[String]) {
        self.names.extend(names.iter().cloned());
    }

    /// A name for a service that no other one has, as near to a wanted one as can be.
    pub fn free_name(&mut self, wanted: &str, span: &Span) -> String {
        let wanted = plain_key(wanted);
        let mut name = wanted.clone();
        let mut n = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}-{n}");
            n += 1;
        }
        if name != wanted {
            self.record(
                (&format!("service:{name}"), "name"),
                (Class::Substituted, Severity::Info),
                (&wanted, "another container has the name"),
                span,
            );
        }
        name
    }

    /// Adds a service that is a part of a workload.
    pub fn add(&mut self, name: &str, service: Dict, (base, is_main): (&str, bool)) {
        self.services.insert(name, service.done());
        let base = base.to_owned();
        self.parts.insert(name.to_owned(), Part { base, is_main });
    }

    /// Adds a record.
    pub fn record(
        &mut self,
        (object, field): (&str, &str),
        (class, severity): (Class, Severity),
        (declared, reason): (&str, &str),
        span: &Span,
    ) -> &mut Record {
        let mut r = Record::new(object, field, class, severity).at(span);
        declared.clone_into(&mut r.declared);
        reason.clone_into(&mut r.reason);
        "kubernetes".clone_into(&mut r.rule);
        self.records.push(r);
        let last = self.records.len() - 1;
        &mut self.records[last]
    }

    /// Adds a problem, once.
    pub fn once(&mut self, problem: Problem) {
        let key = format!("{}{:?}", problem.message, problem.help);
        if self.missing.insert(key) {
            self.problems.push(problem);
        }
    }

    /// The name by which `mirror.yaml` calls a key of a secret.
    pub fn secret_name(&self, namespace: &str, name: &str, key: &str) -> String {
        match self.cluster.is_ambiguous("Secret", name) {
            true => format!("{namespace}.{name}.{key}"),
            false => format!("{name}.{key}"),
        }
    }

    /// The name under which `mirror.yaml` gives a key of a secret: with the secret's name, or
    /// the key alone.
    fn given_name(&self, asked: &str, key: &str) -> Option<String> {
        let mut names = [asked, key].into_iter();
        let given = names.find(|name| find(self.given, name).is_some());
        given.map(str::to_owned)
    }

    /// The variable that holds a key of a secret, and whether its value is written in base64.
    /// A value that nobody has is a problem, unless it is optional.
    pub fn secret(
        &mut self,
        (namespace, name, key): (&str, &str, &str),
        optional: bool,
        span: &Span,
    ) -> Option<(String, bool)> {
        let asked = self.secret_name(namespace, name, key);
        let content = self.cluster.secret(namespace, name, key);
        if let Some(given) = self.given_name(&asked, key) {
            let variable = variable_of(&given);
            self.beyond.asked.insert(given);
            return Some((variable, false));
        }
        if content.is_none() && optional {
            return None;
        }
        self.beyond.asked.insert(asked.clone());
        let id = (namespace.to_owned(), name.to_owned(), key.to_owned());
        let encoded = matches!(content, Some(Ok(Content::Base64(_))));
        if let Some(known) = self.variables.get(&id) {
            return Some((known.clone(), encoded));
        }
        let value = match content {
            Some(Ok(Content::Text(text) | Content::Base64(text))) => text,
            Some(Err(p)) => {
                self.once(p);
                String::new()
            }
            None => {
                self.once(missing_secret(name, key, &asked, span));
                String::new()
            }
        };
        let variable = self.free_variable(&asked);
        self.variables.insert(id, variable.clone());
        if let Some(object) = self.cluster.find("Secret", namespace, name) {
            let (object, at) = (object.title(), object.span().clone());
            let plain = Plain { object, at };
            self.beyond.plain.insert(variable.clone(), plain);
        }
        let secret = Secret::new(value);
        self.beyond.values.insert(variable.clone(), secret);
        Some((variable, encoded))
    }

    fn free_variable(&self, name: &str) -> String {
        let mut base: String = variable_of(name)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if base.starts_with(|c: char| c.is_ascii_digit()) {
            base.insert(0, '_');
        }
        let given = |n: &str| self.given.iter().any(|s| variable_of(&s.name) == n);
        let taken = |n: &str| self.beyond.values.contains_key(n) || given(n);
        if !taken(&base) {
            return base;
        }
        let mut n = 2;
        while taken(&format!("{base}_{n}")) {
            n += 1;
        }
        format!("{base}_{n}")
    }

    /// A key of a secret as it stands in a text.
    pub fn secret_text(
        &mut self,
        id: (&str, &str, &str),
        optional: bool,
        span: &Span,
    ) -> Option<Value> {
        let (variable, encoded) = self.secret(id, optional, span)?;
        if encoded {
            let (_, name, key) = id;
            let message = format!("`{key}` of the secret `{name}` is no text");
            self.once(
                Problem::at(ProblemKind::InvalidValue, span, message)
                    .help("a variable takes texts only; mount it as a file"),
            );
        }
        // An empty value is no secret, and a stack asks for none.
        let empty = self
            .beyond
            .values
            .get(&variable)
            .is_some_and(|v| v.expose().is_empty());
        let text = match empty {
            true => String::new(),
            false => secret_ref::token(&variable),
        };
        Some(Value {
            text,
            span: span.clone(),
        })
    }

    /// A key of a ConfigMap.
    pub fn config(
        &mut self,
        (namespace, name, key): (&str, &str, &str),
        optional: bool,
        span: &Span,
    ) -> Option<(Content, Span)> {
        if let Some((node, content)) = self.cluster.config(namespace, name, key) {
            return match content {
                Ok(content) => Some((content, node.span.clone())),
                Err(p) => {
                    self.once(p);
                    None
                }
            };
        }
        if let Some(node) = self.supply.config_map(name).and_then(|m| m.get(key)) {
            let text = node.scalar_text().unwrap_or_default();
            return Some((Content::Text(text), node.span.clone()));
        }
        if !optional {
            self.missing_config(namespace, name, &[key], span);
        }
        None
    }

    /// The keys of a ConfigMap.
    pub fn config_keys(&mut self, namespace: &str, name: &str) -> Option<Vec<String>> {
        if let Some(keys) = self.cluster.config_keys(namespace, name) {
            return Some(keys.into_iter().map(str::to_owned).collect());
        }
        let supplied = self.supply.config_map(name)?.as_map()?;
        Some(supplied.keys().map(str::to_owned).collect())
    }

    /// Says that a ConfigMap, or a key of it, is nowhere. `keys` are those that somebody asks for,
    /// as far as that is known.
    pub fn missing_config(&mut self, namespace: &str, name: &str, keys: &[&str], span: &Span) {
        // Everybody has it: the cluster itself puts it into every namespace.
        let there = self.cluster.find("ConfigMap", namespace, name).is_some();
        let message = match there {
            true => format!("the ConfigMap `{name}` has no key `{}`", keys.join("`, `")),
            false => format!("the ConfigMap `{name}` is in none of the files"),
        };
        let lines: String = known(keys)
            .map(|k| format!("\n        {}: TEXT", crate::stack::encode::key(k)))
            .collect();
        let name = crate::stack::encode::key(name);
        self.once(Problem::at(ProblemKind::Missing, span, message).help(format!(
            "add its manifest to `production`, or supply it in mirror.yaml:\nsupply:\n  kubernetes:\n    config_maps:\n      {name}:{lines}"
        )));
    }

    /// The keys of a secret.
    pub fn secret_keys(&mut self, namespace: &str, name: &str) -> Option<Vec<String>> {
        let supplied = self.supply.secret_keys(name);
        supplied.or_else(|| self.cluster.secret_keys(namespace, name))
    }

    /// Says that nobody knows what a secret holds. `keys` are those that somebody asks for, as
    /// far as that is known.
    pub fn missing_keys(&mut self, name: &str, keys: &[&str], span: &Span) {
        let message = format!("the secret `{name}` is in none of the files");
        let list: Vec<String> = known(keys).map(crate::stack::encode::key).collect();
        let list = list.join(", ");
        let values: String = known(keys)
            .map(|k| crate::stack::encode::key(&format!("{name}.{k}")))
            .map(|k| format!("\n  {k}: {{ stub: VALUE }}   # or {{ env: NAME }}, {{ file: PATH }}"))
            .collect();
        let key = crate::stack::encode::key(name);
        self.once(Problem::at(ProblemKind::Missing, span, message).help(format!(
            "name its keys and give their values in mirror.yaml:\nsupply:\n  kubernetes:\n    secrets:\n      {key}: [{list}]\nsecrets:{values}"
        )));
    }

    /// A configuration file of the document; gives its key.
    pub fn config_file(&mut self, key: &str, content: &Content, span: &Span, of: &str) -> String {
        // Compose takes no empty content: a blank in base64 is nothing at all.
        let blank = " ".to_owned();
        let (text, encoded) = match content {
            Content::Text(text) if text.is_empty() => (&blank, true),
            Content::Text(text) => (text, false),
            Content::Base64(text) => (text, true),
        };
        let base = plain_key(key);
        let same = |node: &Node| {
            let known = node.get("content").and_then(Node::as_str);
            known == Some(text.as_str()) && node.span == *span
        };
        let mut key = base.clone();
        let mut n = 2;
        while let Some(other) = self.configs.get(&key) {
            if same(other) {
                return key;
            }
            key = format!("{base}-{n}");
            n += 1;
        }
        let mut config = Dict::at(span);
        let via = ViaKind::Reference { of: of.to_owned() };
        config.node(
            "content",
            Node::str(text.clone(), span.clone()).via(via, span.clone()),
        );
        self.configs.insert(key.clone(), config.done());
        if encoded {
            self.beyond.extension.base64.push(key.clone());
        }
        key
    }

    /// A secret of the document; gives its key.
    pub fn secret_file(&mut self, id: (&str, &str, &str), span: &Span) -> Option<String> {
        let (variable, encoded) = self.secret(id, false, span)?;
        let asked = self.secret_name(id.0, id.1, id.2);
        let key = plain_key(&self.given_name(&asked, id.2).unwrap_or(asked));
        if !self.secrets.contains_key(&key) {
            let mut secret = Dict::at(span);
            secret.text("environment", variable, span);
            self.secrets.insert(key.clone(), secret.done());
            if encoded {
                self.beyond.extension.base64.push(key.clone());
            }
        }
        Some(key)
    }

    /// A named volume of the document; gives its key. What it is (a claim of a namespace, a
    /// volume of a pod, a part of another one) tells it apart from others of the same name.
    pub fn volume(
        &mut self,
        (kind, of, name): (&'static str, &str, &str),
        wanted: &str,
        span: &Span,
        memory: Option<Option<i64>>,
    ) -> String {
        let id = (kind, of.to_owned(), name.to_owned());
        if let Some(known) = self.volume_keys.get(&id) {
            return known.clone();
        }
        let base = plain_key(wanted);
        let taken = |key: &String| {
            self.volumes.contains_key(key) || (kind != "claim" && self.claims.contains(key))
        };
        let mut key = base.clone();
        let mut n = 2;
        while taken(&key) {
            key = format!("{base}-{n}");
            n += 1;
        }
        let mut volume = Dict::at(span);
        if let Some(size) = memory {
            let size = size.map_or(String::new(), |s| format!("size={s},"));
            let mut options = Dict::at(span);
            options.text("type", "tmpfs", span);
            options.text("device", "tmpfs", span);
            options.text("o", format!("{size}mode=0777"), span);
            volume.text("driver", "local", span);
            volume.dict("driver_opts", options);
        }
        self.volumes.insert(key.clone(), volume.done());
        self.volume_keys.insert(id, key.clone());
        key
    }
}

fn missing_secret(name: &str, key: &str, asked: &str, span: &Span) -> Problem {
    let asked = crate::stack::encode::key(asked);
    Problem::at(
        ProblemKind::Missing,
        span,
        format!("nothing says what `{key}` of the secret `{name}` holds"),
    )
    .help(format!(
        "give it a value in mirror.yaml:\nsecrets:\n  {asked}: {{ stub: VALUE }}   # or {{ env: NAME }}, {{ file: PATH }}"
    ))
}

/// A name as keys of Compose have it.
pub fn plain_key(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let key: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    match key.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => key,
        false => format!("k{key}"),
    }
}

/// A list of texts as a node.
pub fn text_list<T: Into<String>>(items: impl IntoIterator<Item = T>, span: &Span) -> Node {
    super::dict::list(texts(items, span), span)
}

/// Keys to write into a block; one to be replaced where none is known.
fn known<'k>(keys: &'k [&'k str]) -> impl Iterator<Item = &'k str> {
    let none = keys.is_empty().then_some("KEY");
    none.into_iter().chain(keys.iter().copied())
}
