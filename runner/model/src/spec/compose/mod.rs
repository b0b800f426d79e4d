//! The Compose Specification as Docker Compose v2 reads it.

mod request;

pub use request::{
    Environment, Input, LoadRequest, Loaded, Setting, TextRequest, ValueSource, Variable,
    VariableUse,
};

use crate::diag::{Problem, ProblemKind, Problems};

/// Reads Compose files into their normal form.
///
/// # Errors
/// Everything that refuses the files, with its place.
pub fn load(_request: &LoadRequest) -> Result<Loaded, Problems> {
    Err(Problem::new(
        ProblemKind::Unsupported,
        "the Compose reader is being moved in",
    )
    .into())
}

/// Reads a Compose text that is already in memory, by the same phases; no file is read but
/// those that are given with it.
///
/// # Errors
/// Everything that refuses the text, with its place.
pub fn load_text(_request: &TextRequest) -> Result<Loaded, Problems> {
    Err(Problem::new(
        ProblemKind::Unsupported,
        "the Compose reader is being moved in",
    )
    .into())
}
