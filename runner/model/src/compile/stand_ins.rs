//! Reading production's files although required variables have no value.

use super::{Inputs, load_request};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::project::{Project, is_variable};
use crate::spec::{self, ReadRequest};
use crate::stack::secret_ref;

/// Reads production's files; the problems are those of required variables that stand-ins took
/// the place of.
pub(super) fn load(
    project: &Project,
    inputs: &Inputs,
) -> Result<(spec::Production, Problems), Problems> {
    let mut request = load_request(project, inputs);
    let mut lacking = Problems::default();
    loop {
        let problems = match spec::read(&ReadRequest {
            project,
            load: request.clone(),
            rendered: &inputs.rendered,
        }) {
            Ok(read) => return Ok((read, lacking)),
            Err(problems) => problems,
        };
        let required = |p: &&Problem| p.kind == ProblemKind::RequiredVariable;
        let missing = problems.0.iter().find(required);
        let name = missing.and_then(|p| p.subject.clone());
        match (missing, name) {
            // Set once, it cannot be missing again: each turn takes one name off the list.
            (Some(p), Some(name)) if inputs.stand_ins && is_variable(&name) => {
                let token = secret_ref::token(&name);
                lacking.push(p.clone());
                if request.shell.insert(name, token.clone()) == Some(token) {
                    return Err(problems);
                }
            }
            _ => return Err(problems),
        }
    }
}
