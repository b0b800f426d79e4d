//! `schema`: the JSON Schemas of our own files, and the pages on the kinds of steps.

use std::path::Path;

use prodmirror_engine::step::catalog;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::schema;
use prodmirror_model::source::io_reason;

use super::Session;
use crate::args::{SchemaArgs, SchemaOf};
use crate::exit::Exit;

/// Prints a schema or pages, or writes them.
pub fn run(session: &Session, args: &SchemaArgs) -> Exit {
    let schema = match args.of {
        SchemaOf::Scenario => schema::scenario(&catalog::docs()),
        SchemaOf::Mirror => schema::mirror(),
        SchemaOf::Reference => return reference(session, args.out.as_deref()),
    };
    let text = format!("{schema:#}\n");
    match &args.out {
        None => session.print(&text),
        Some(path) => {
            if let Err(p) = write(&session.context.cwd.join(path), &text) {
                return session.fail(p);
            }
        }
    }
    Exit::Ok
}

fn reference(session: &Session, dir: Option<&Path>) -> Exit {
    for (name, text) in catalog::pages() {
        match dir {
            None => session.print(&text),
            Some(dir) => {
                if let Err(p) = write(&session.context.cwd.join(dir).join(name), &text) {
                    return session.fail(p);
                }
            }
        }
    }
    Exit::Ok
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let made = match path.parent() {
        Some(dir) => std::fs::create_dir_all(dir),
        None => Ok(()),
    };
    made.and_then(|()| std::fs::write(path, text)).map_err(|e| {
        let what = format!("cannot write {}: {}", path.display(), io_reason(&e));
        Problem::new(ProblemKind::Conflict, what).help("name another place with --out")
    })
}
