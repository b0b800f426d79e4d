//! What a stack is made of, service by service, to see what a change of production's files
//! changes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use prodmirror_engine::docker::Engine;
use prodmirror_model::plan::{FileContent, FilePlan, Plan};
use serde_json::json;

use crate::open::Opened;

/// What a stack is made of. It holds secrets and is never shown.
pub struct Shape {
    /// Networks and volumes, by what they are called.
    common: BTreeMap<String, String>,
    services: BTreeMap<String, Service>,
}

#[derive(Default)]
struct Service {
    text: String,
    /// Files and directories of this machine that it is given.
    files: Vec<PathBuf>,
}

/// What differs between two shapes, in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differs(pub Vec<String>);

impl Shape {
    /// The shape of an opened project; nothing where it has no stack. It is that of the plan
    /// before certificates are made for it, which are others each time.
    pub fn of(opened: &Opened, engine: &Engine) -> Option<Self> {
        let stack = opened.stack()?;
        let values = opened.values(stack).ok()?;
        let host = engine.facts().for_plan(None);
        let plan = stack.plan(&opened.project, &values, host).ok()?;
        Some(Self::of_plan(&plan, opened))
    }

    fn of_plan(plan: &Plan, opened: &Opened) -> Self {
        let mut common = BTreeMap::new();
        for n in &plan.networks {
            common.insert(format!("network {}", n.key), json!(n).to_string());
        }
        for v in &plan.volumes {
            common.insert(format!("volume {}", v.key), json!(v).to_string());
        }
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        for c in &plan.containers {
            let s = services.entry(c.service.clone()).or_default();
            s.text.push_str(&json!(c).to_string());
            for (name, value) in &c.secret_env {
                s.text.push_str(&format!("\n{name}={}", value.expose()));
            }
            of_files(&c.files, s);
        }
        // What pins its image decides what runs, too.
        for (service, s) in &mut services {
            if let Some(needed) = opened.images.get(service) {
                s.text.push_str(&format!("\n{needed:?}"));
            }
        }
        if let Some(lock) = &opened.lock {
            common.insert("mirror.lock".into(), prodmirror_model::lock::write(lock));
        }
        Self { common, services }
    }

    /// Files that services are given.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.services.values().flat_map(|s| &s.files)
    }

    /// What is another one in a later shape, or is given one of these files.
    pub fn differs(&self, later: &Self, changed: &BTreeSet<PathBuf>) -> Differs {
        let mut all = Vec::new();
        let names: BTreeSet<&String> = self.common.keys().chain(later.common.keys()).collect();
        for name in names {
            all.extend(
                word(self.common.get(name), later.common.get(name)).map(|w| format!("{name} {w}")),
            );
        }
        let names: BTreeSet<&String> = self.services.keys().chain(later.services.keys()).collect();
        for name in names {
            let (a, b) = (self.services.get(name), later.services.get(name));
            let given = b.is_some_and(|s| {
                s.files
                    .iter()
                    .any(|f| changed.iter().any(|c| c.starts_with(f)))
            });
            let word = match word(a.map(|s| &s.text), b.map(|s| &s.text)) {
                None if given => Some("is given a file that changed"),
                word => word,
            };
            all.extend(word.map(|w| format!("service {name} {w}")));
        }
        Differs(all)
    }
}

fn word(a: Option<&String>, b: Option<&String>) -> Option<&'static str> {
    match (a, b) {
        (None, Some(_)) => Some("is new"),
        (Some(_), None) => Some("is gone"),
        (Some(a), Some(b)) if a != b => Some("changed"),
        _ => None,
    }
}

fn of_files(files: &[FilePlan], to: &mut Service) {
    for file in files {
        if let FileContent::HostPath(path) = &file.content {
            to.files.push(path.clone());
        }
        for secret in file.content.secrets() {
            to.text
                .push_str(&format!("\n{}={}", file.target, secret.expose()));
        }
    }
}
