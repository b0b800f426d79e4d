//! Taking secret values out of a mirror, so that its text only asks for them.

use std::collections::BTreeMap;

use super::secret_ref;
use crate::mirror::{EnvVar, FileObject, Mirror, Sourced};
use crate::policy::variable_of;
use crate::project::{Project, SecretSource};
use crate::secret::Secret;

/// Where the value of a stack's variable comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// From where `mirror.yaml` says.
    Declared {
        /// The name of the secret in `mirror.yaml`.
        secret: String,
        /// Where its value comes from.
        source: SecretSource,
    },
    /// It stands in production's files.
    Text(Secret),
    /// A configuration file or secret takes it from production's variable of this name.
    Environment,
}

/// Replaces each secret value by a reference to a variable.
pub fn take_out(mirror: &mut Mirror, project: &Project) -> BTreeMap<String, Variable> {
    let mut out = Taken {
        project,
        variables: BTreeMap::new(),
    };
    for (key, service) in &mut mirror.services {
        let hooks = service
            .post_start
            .iter_mut()
            .chain(service.pre_stop.iter_mut());
        let vars = service
            .env
            .iter_mut()
            .chain(hooks.flat_map(|h| h.value.env.iter_mut()));
        for var in vars.filter(|v| v.sensitive) {
            out.variable(key, var);
        }
    }
    let objects = mirror
        .secrets
        .iter_mut()
        .chain(mirror.config_files.iter_mut());
    for (_, object) in objects {
        out.object(object);
    }
    // Tokens anywhere else: commands, labels, health checks, contents of files.
    let text = mirror.to_compose().to_string();
    for name in secret_ref::names(&text) {
        if !out.declared(name) {
            let variable = out.variables.entry(name.to_owned());
            variable.or_insert(Variable::Environment);
        }
    }
    out.variables
}

struct Taken<'p> {
    project: &'p Project,
    variables: BTreeMap<String, Variable>,
}

impl Taken<'_> {
    fn declared(&mut self, name: &str) -> bool {
        let declared = self
            .project
            .secrets
            .iter()
            .find(|s| s.name.value == name || variable_of(&s.name) == name);
        if let Some(s) = declared {
            let secret = s.name.value.clone();
            let source = s.value.value.clone();
            self.variables
                .insert(name.to_owned(), Variable::Declared { secret, source });
        }
        declared.is_some()
    }

    fn variable(&mut self, service: &str, var: &mut EnvVar) {
        let Some(value) = &mut var.value else { return };
        if value.is_empty() || secret_ref::holds_secret(value) {
            return;
        }
        let name = self.name_for(service, &var.name, value);
        let secret = Variable::Text(Secret::new(value.value.clone()));
        self.variables.insert(name.clone(), secret);
        value.value = secret_ref::token(&name);
    }

    /// The variable's own name, where no other value has it; else one with the service's.
    fn name_for(&self, service: &str, name: &Sourced<String>, value: &str) -> String {
        let mine = Variable::Text(Secret::new(value));
        let own: String = clean(name);
        let long = format!("{}_{own}", clean(service).to_ascii_uppercase());
        let numbered = (2..).map(|n| format!("{long}_{n}"));
        [own, long.clone()]
            .into_iter()
            .chain(numbered)
            .find(|n| {
                let declared = self
                    .project
                    .secrets
                    .iter()
                    .any(|s| variable_of(&s.name) == *n);
                !declared && self.variables.get(n).is_none_or(|v| *v == mine)
            })
            .unwrap_or(long)
    }

    fn object(&mut self, object: &FileObject) {
        let Some(name) = &object.environment else {
            return;
        };
        if !self.declared(name) {
            self.variables
                .entry(name.value.clone())
                .or_insert(Variable::Environment);
        }
    }
}

fn clean(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out
}
