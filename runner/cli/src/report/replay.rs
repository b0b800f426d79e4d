//! Reports made again from the events of a run, also of one that was killed.

use std::io::{BufRead, BufReader};
use std::path::Path;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Event;
use prodmirror_model::source::io_reason;
use prodmirror_model::summary::Summary;

use super::Wanted;

/// What was read from an events file.
#[derive(Debug)]
pub struct Replay {
    /// The state of the run at the last event.
    pub summary: Summary,
    /// Lines that could not be read; the last line of a killed run may be one.
    pub damaged: Vec<String>,
}

/// Reads an events file.
///
/// # Errors
/// When it cannot be read, or holds no event at all.
pub fn read(path: &Path) -> Result<Replay, Problem> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|e| {
        Problem::new(
            ProblemKind::MissingFile,
            format!("cannot read {name}: {}", io_reason(&e)),
        )
        .help("name the events.jsonl of a run, as in .prodmirror/runs/<run>/events.jsonl")
    })?;
    let mut replay = Replay {
        summary: Summary::new(),
        damaged: Vec::new(),
    };
    let mut read = 0usize;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let got = lines.read_until(b'\n', &mut line).map_err(|e| {
            Problem::new(
                ProblemKind::MissingFile,
                format!("cannot read {name}: {}", io_reason(&e)),
            )
        })?;
        if got == 0 {
            break;
        }
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) => {
                replay.summary.apply(&event);
                read += 1;
            }
            Err(e) => replay.damaged.push(format!("{name}:{number}: {e}")),
        }
    }
    if read == 0 {
        let why = replay.damaged.first().cloned();
        let problem = Problem::new(
            ProblemKind::Syntax,
            format!("{name} holds no event of a run"),
        );
        return Err(match why {
            Some(why) => problem.help(why),
            None => problem.help("the file is empty: the run was ended before it began"),
        });
    }
    Ok(replay)
}

/// Writes reports of a run from its summary.
///
/// # Errors
/// One problem for each report that could not be written.
pub fn write(summary: &Summary, wanted: &[Wanted]) -> Result<(), Vec<Problem>> {
    let problems: Vec<Problem> = wanted
        .iter()
        .filter_map(|w| {
            let mut running = w.make();
            let e = running.reporter.finish(summary).err()?;
            Some(Problem::new(
                ProblemKind::MissingFile,
                format!("{} could not be written: {}", running.name, io_reason(&e)),
            ))
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// Brings the JUnit report of a run that was killed up to what its events say, and removes what
/// it had half written. For the process that cleans up after it.
///
/// # Errors
/// As [`read`] and [`write`].
pub fn complete_junit(events: &Path, junit: &Path) -> Result<(), Vec<Problem>> {
    let replay = read(events).map_err(|p| vec![p])?;
    super::output::remove_unfinished(junit);
    let wanted: Vec<Wanted> = Wanted::file("junit", junit).into_iter().collect();
    write(&replay.summary, &wanted)
}
