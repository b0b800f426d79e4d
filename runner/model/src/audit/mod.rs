//! The audit: what production's own description says that will fail in production, found
//! without starting anything.
//!
//! [`RULES`] has one function for each kind of finding. They look at the mirror as it was
//! read, so every format is audited alike, and at what the caller knows about the world
//! around it ([`Surroundings`]).

mod finding;
mod look;
mod ports;
mod rules;
pub(crate) use rules::words;
mod suppress;
mod table;
#[cfg(test)]
mod tests;
pub mod zone;

pub use finding::{Finding, Found};
pub use look::{ImageFacts, Look, Surroundings};
pub use suppress::Audit;
pub use table::{RULES, Rule};

use crate::diag::Problems;
use crate::mirror::Mirror;
use crate::project::Project;
use crate::secret::Secret;
use crate::spec::Beyond;

/// What is audited.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// Production as its files describe it, with references in the place of secrets.
    pub mirror: &'r Mirror,
    /// What its files say beyond Compose.
    pub beyond: &'r Beyond,
    /// The project that reads it.
    pub project: &'r Project,
    /// What reading it found.
    pub problems: &'r Problems,
    /// What the caller knows beside it.
    pub surroundings: &'r Surroundings,
}

/// Runs every rule.
///
/// # Errors
/// Rules that `mirror.yaml` switches off and that do not exist.
pub fn audit(request: Request<'_>) -> Result<Audit, Problems> {
    suppress::check(request.project)?;
    let look = Look::new(request);
    let mut found = Found::default();
    for rule in RULES {
        found.begin(rule);
        (rule.find)(&look, &mut found);
    }
    Ok(suppress::apply(found.finish(), request.project))
}

/// Every secret that stands in plain text in production's files: variables, passwords in URLs,
/// options, keys. Whoever shows parts of those files takes them out before.
pub fn secrets(mirror: &Mirror, project: &Project) -> Vec<Secret> {
    rules::credentials::secrets(&look::texts(mirror), &look::bodies(mirror, project))
}
