//! The stack of a bundle that `up --at` left running, written down for the commands that are
//! given in the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prodmirror_engine::live::Standing;
use prodmirror_model::plan::Plan;
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::cmd::Session;

/// What is known of it. No value of a secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The name under which it runs.
    pub project: String,
    /// Its run.
    pub run: String,
    /// The bundle, as it was named.
    pub bundle: String,
    /// Variables of each service whose values are secret.
    pub variables: BTreeMap<String, BTreeSet<String>>,
    /// The variables that the stack asks for.
    pub asked: BTreeSet<String>,
    /// Whether services have files whose contents are secret.
    pub files: bool,
}

fn file(cwd: &Path) -> PathBuf {
    cwd.join(".prodmirror").join("at.json")
}

impl Kept {
    /// What is to be remembered of a plan that is started.
    pub fn of(plan: &Plan, run: &str, bundle: &str, asked: BTreeSet<String>) -> Self {
        let mut variables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for c in plan.containers.iter().filter(|c| !c.secret_env.is_empty()) {
            let all = variables.entry(c.service.clone()).or_default();
            all.extend(c.secret_env.keys().cloned());
        }
        let files = plan.containers.iter().flat_map(|c| &c.files);
        Self {
            project: plan.project.clone(),
            run: run.to_owned(),
            bundle: bundle.to_owned(),
            variables,
            asked,
            files: files.into_iter().any(|f| f.content.is_secret()),
        }
    }

    /// What was left running from this directory, if anything.
    pub fn read(cwd: &Path) -> Option<Self> {
        let text = std::fs::read(file(cwd)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, cwd: &Path) -> std::io::Result<()> {
        let file = file(cwd);
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
    }

    /// Takes it away.
    pub fn remove(cwd: &Path) {
        let _ = std::fs::remove_file(file(cwd));
    }

    /// Takes secrets out of what its services print: the values are those that its containers
    /// have, and those of this environment.
    pub async fn redactor(&self, session: &Session, stack: &Standing) -> Redactor {
        let redactor = Redactor::new();
        let mut known = BTreeSet::new();
        for name in &self.asked {
            if let Some(value) = session.context.env.get(name) {
                redactor.add(name, &Secret::new(value.clone()));
                known.insert(name.as_str());
            }
        }
        let secret = |service: &str| self.variables.get(service);
        for member in stack.members() {
            let Some(names) = secret(&member.service) else {
                continue;
            };
            let shown = stack.engine().show_container(&member.id).await;
            let shown = shown.unwrap_or_default();
            let env = shown["Config"]["Env"].as_array().into_iter().flatten();
            for (name, value) in env.filter_map(|e| e.as_str()?.split_once('=')) {
                if let Some(name) = names.get(name) {
                    redactor.add(name, &Secret::new(value.to_owned()));
                    known.insert(name.as_str());
                }
            }
        }
        let unknown: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        let unknown: Vec<&str> = unknown.into_iter().filter(|n| !known.contains(n)).collect();
        if self.files && !unknown.is_empty() {
            session.note(&format!(
                "warning: services have files with secrets whose values are not known here ({}): they are not taken out of what is printed\n  help: set them as when it was started\n",
                unknown.join(", ")
            ));
        }
        redactor
    }
}
