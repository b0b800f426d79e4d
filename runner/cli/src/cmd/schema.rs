//! `schema`: the JSON Schemas of our own files.

use prodmirror_engine::step::catalog;
use prodmirror_model::schema;

use super::Session;
use crate::args::{SchemaArgs, SchemaOf};
use crate::exit::Exit;

/// Prints a schema.
pub fn run(session: &Session, args: &SchemaArgs) -> Exit {
    let schema = match args.of {
        SchemaOf::Scenario => schema::scenario(&catalog::docs()),
        SchemaOf::Mirror => schema::mirror(),
    };
    session.print(&format!("{schema:#}\n"));
    Exit::Ok
}
