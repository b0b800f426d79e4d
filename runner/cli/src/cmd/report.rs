//! `report`: reports made again from a run's events.

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;

use super::Session;
use crate::args::ReportArgs;
use crate::exit::Exit;
use crate::report::{Wanted, replay};
use crate::runs::Runs;

/// Writes the reports.
pub fn run(session: &Session, args: &ReportArgs) -> Exit {
    match write(session, args) {
        Ok(()) => Exit::Ok,
        Err(problems) => {
            session.tell(&problems, &Redactor::new());
            Exit::Invalid
        }
    }
}

fn write(session: &Session, args: &ReportArgs) -> Result<(), Problems> {
    let wanted: Vec<Wanted> = args
        .reports
        .iter()
        .map(|r| Wanted::parse(r))
        .collect::<Result<_, _>>()?;
    let from = match &args.from {
        Some(path) => session.context.cwd.join(path),
        None => Runs::above(&session.context.cwd, session.global.project.as_deref())
            .last()
            .map(|dir| dir.join("events.jsonl"))
            .ok_or_else(|| {
                Problem::new(ProblemKind::MissingFile, "there is no run here yet")
                    .help("name its events with --from FILE")
            })?,
    };
    for damaged in replay::again(&from, &wanted).map_err(Problems)? {
        session.note(&format!("warning: {damaged}\n"));
    }
    Ok(())
}
