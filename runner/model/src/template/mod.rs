//! `{{ … }}` in the values of a step.
//!
//! A value that is exactly one `{{ expr }}` keeps its type; anything else around it makes a
//! text. Templates are compiled when the scenario is read. A plain path such as
//! `{{ steps.order.json.id }}` is looked up directly, so that numbers stay exactly as they
//! came; everything else is Tera's.

mod data;
mod engine;
mod locate;
mod path;
mod scan;
mod scope;
#[cfg(test)]
mod tests;

pub use data::{Data, Text};
pub use locate::{locate, part_of};
pub use scan::{Tag, has_tags, tags};
pub(crate) use scope::RESERVED;
pub use scope::{Document, Scope, is_reserved};
