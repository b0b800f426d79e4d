//! Stacks that were rendered before: their text is what runs, whatever renders today.

use std::collections::BTreeMap;

use super::{Stack, read_back};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::Mirror;
use crate::policy;
use crate::project::Project;
use crate::source::SourceFile;
use crate::stack::{Assembled, Rendered, Variable};

impl Stack {
    /// A stack of this text. Paths in it are relative to the project's directory; `name` is what
    /// messages call it, and `variables` are all that it asks for.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn of_text(
        project: &Project,
        name: &str,
        text: String,
        variables: BTreeMap<String, Variable>,
    ) -> Result<Self, Problems> {
        let text = Assembled {
            file: SourceFile::new(name, text),
            origins: Vec::new(),
        };
        read_back(
            project,
            Rendered {
                text,
                variables,
                // Only who renders compares with it.
                mirror: Mirror::default(),
            },
        )
    }

    /// Why a stack that somebody else wrote is not safe to start: everything that the policy
    /// would have taken away, and every way out. `allowed` are destinations (`host:port`) that
    /// the user lets it reach.
    pub fn dangers(&self, project: &Project, allowed: &[String]) -> Problems {
        let mut found = policy::recheck(&self.mirror, &self.mirror, project);
        let mut refuse = |what: String, help: &str| {
            found.push(Problem::new(ProblemKind::Forbidden, what).help(help));
        };
        let mut open = false;
        for to in &self.extension.egress.allow {
            open |= allowed.contains(to);
            if !allowed.contains(to) {
                refuse(
                    format!("the stack may reach {to}, outside of it"),
                    "when you trust it, allow it by name: `--allow-egress HOST:PORT`",
                );
            }
        }
        for (service, targets) in &self.extension.host_binds {
            for target in targets {
                refuse(
                    format!("`{service}` has a path of the machine mounted at {target}"),
                    "a stack of somebody else gets nothing of this machine",
                );
            }
        }
        for (key, network) in &self.mirror.networks {
            let closed = network.internal.as_ref().is_some_and(|i| i.value);
            if !closed && !open {
                refuse(
                    format!("the network `{key}` is not internal: it leads out"),
                    "only destinations that are allowed by name have such a network",
                );
            }
        }
        found
    }
}
