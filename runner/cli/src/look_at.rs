//! Production as it is described, for commands that only look: nothing is started, secrets
//! need no values, and required variables that nobody set are no end.

use prodmirror_engine::agent;
use prodmirror_model::audit;
use prodmirror_model::compile::{Compiled, Inputs, compile};
use prodmirror_model::diag::Problems;
use prodmirror_model::project::Project;
use prodmirror_model::redact::Redactor;
use prodmirror_model::stack::secret_ref::{Part, parts};

use crate::args::Global;
use crate::cmd::host_arch;
use crate::context::Context;

/// A project and what its files say.
pub struct Looked {
    /// The project.
    pub project: Project,
    /// What became of it.
    pub compiled: Compiled,
}

/// Looks at the project that the command line or the directory names.
///
/// # Errors
/// What keeps its files from being read.
pub fn project(global: &Global, context: &Context) -> Result<Looked, Problems> {
    let path = match &global.project {
        Some(path) => context.cwd.join(path),
        None => Project::find(&context.cwd)?,
    };
    loaded(Project::load(&path)?, global, context)
}

/// Looks at a project that was read already.
///
/// # Errors
/// What keeps production's files from being read.
pub fn loaded(project: Project, global: &Global, context: &Context) -> Result<Looked, Problems> {
    let inputs = Inputs {
        shell: context.env.clone(),
        whole_shell: global.pass_env,
        agent_image: agent::image_tag(host_arch())?,
        stand_ins: true,
        ..Inputs::default()
    };
    let compiled = compile(&project, &inputs)?;
    Ok(Looked { project, compiled })
}

/// Takes out of what is printed all secrets that stand in production's own files.
pub fn redactor(all: &[&Looked]) -> Redactor {
    let redactor = Redactor::new();
    for looked in all {
        for secret in audit::secrets(&looked.compiled.production, &looked.project) {
            redactor.add("of production's files", &secret);
        }
    }
    redactor
}

/// A text with `${NAME}` where the value of a declared secret stands.
pub fn with_names(text: &str) -> String {
    let part = |p| match p {
        Part::Text(t) => t.to_owned(),
        Part::Secret(name) => format!("${{{name}}}"),
    };
    parts(text).into_iter().map(part).collect()
}
