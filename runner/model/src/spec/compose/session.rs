//! One load: what its phases share.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::dotenv::{self, Around, Vars};
use super::extends::Extended;
use super::files::Store;
use super::request::{Environment, Setting, ValueSource, Variable, VariableUse};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::spec::swarm::Stacks;
use crate::yaml::{Node, Spanned};

/// What the phases of one load share.
pub(super) struct Session<'a> {
    /// The files.
    pub store: Store<'a>,
    /// What `~` stands for.
    pub home: Option<String>,
    /// What was asked for by interpolation.
    pub notes: Notes,
    /// Files that `extends` has read, by path and environment.
    pub extended: HashMap<(String, usize), Arc<Extended>>,
    /// Further problems of the document in which the first one was found.
    pub also: Vec<Problem>,
    /// Documents that stand in the place of files of other formats, by absolute path.
    pub translated: HashMap<String, Node>,
    /// Files that are read as `docker stack deploy` reads them, by absolute path.
    pub stack_files: BTreeSet<String>,
    /// The name that those are deployed under.
    pub stack_name: String,
    /// What was found in them.
    pub stacks: Stacks,
}

/// Where one set of files stands: the project's own, or an included one.
#[derive(Clone)]
pub(super) struct Context {
    /// Where its relative paths start; absolute.
    pub dir: String,
    /// Its variables.
    pub env: Arc<Environment>,
    /// The files that led here, for cycles.
    pub included: Vec<(String, Span)>,
}

/// What interpolation found out on its way.
#[derive(Default)]
pub(super) struct Notes {
    /// Files whose values go into services, where they are named.
    pub value_files: Vec<Spanned<String>>,
    /// Variables that were asked for.
    pub variables: BTreeMap<String, Variable>,
    /// What is worth knowing.
    pub warnings: Vec<Problem>,
    /// What was said already: the message and the place.
    said: HashSet<(String, String)>,
}

impl Notes {
    /// Remembers a file whose values go into a service.
    pub fn value_file(&mut self, path: &str, named_at: &Span) {
        let file = Spanned::new(path.to_owned(), named_at.clone());
        self.value_files.push(file);
    }

    /// Adds a warning, once.
    pub fn warn(&mut self, problem: Problem) {
        let problem = problem.warning();
        let place = problem.span.as_ref().map(Span::to_string);
        let key = (problem.message.clone(), place.unwrap_or_default());
        if self.said.insert(key) {
            self.warnings.push(problem);
        }
    }

    /// Remembers that a value asked for a variable.
    pub fn used(&mut self, name: &str, at: &Span, source: ValueSource) {
        if source == ValueSource::Unset {
            self.unset(name, at);
        }
        let variable = self.variables.entry(name.to_owned()).or_default();
        // One value may name a variable several times, one after the other.
        let mut recent = variable.uses.iter().rev().take(4);
        let again = recent.any(|u| u.at == *at && u.source == source);
        if !again {
            variable.uses.push(VariableUse {
                at: at.clone(),
                source,
            });
        }
    }

    fn unset(&mut self, name: &str, at: &Span) {
        self.warn(
            Problem::at(
                ProblemKind::UnsetVariable,
                at,
                format!("the variable {name} is not set; the empty string takes its place"),
            )
            .about(name)
            .help(format!(
                "set it in an env file, or write ${{{name}:-default}} or ${{{name}:?reason}}"
            )),
        );
    }
}

impl Session<'_> {
    /// Reads files of variables, later ones over earlier ones; those of `around` win inside
    /// of their values.
    pub fn read_env_files(
        &mut self,
        paths: &[(String, Option<Span>)],
        around: &Environment,
    ) -> Result<Environment, Problem> {
        let mut vars = Vars::new();
        for (path, named_at) in paths {
            let file = self.store.text(path, named_at.as_ref())?;
            let mut outside = Outside {
                first: around,
                notes: &mut self.notes,
            };
            dotenv::read(&file, &mut vars, &mut outside)?;
        }
        Ok(Environment { vars })
    }
}

/// A project's environment around a file of variables.
pub(super) struct Outside<'a> {
    /// The environment.
    pub first: &'a Environment,
    /// Who hears of unset variables.
    pub notes: &'a mut Notes,
}

impl Around for Outside<'_> {
    fn value(&self, name: &str) -> Option<Setting> {
        self.first.get(name).cloned()
    }

    fn unset(&mut self, name: &str, at: &Span) {
        self.notes.used(name, at, ValueSource::Unset);
    }
}
