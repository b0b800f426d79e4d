//! Reports made again from the events of a run, also of one that was killed.

use std::io::{self, BufRead, BufReader};
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
    read_with(path, |_, _| ())
}

/// As [`read`]; every event that can be read is given to `each`, with what is known by then.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, mut each: impl FnMut(&Event, &Summary)) -> Result<Replay, Problem> {
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
                each(&event, &replay.summary);
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

/// Makes reports of a run again from its events, and says which lines could not be read.
///
/// # Errors
/// As [`read`]; one problem for each report that could not be written.
pub fn again(path: &Path, wanted: &[Wanted]) -> Result<Vec<String>, Vec<Problem>> {
    let mut running: Vec<super::Running> = wanted.iter().map(Wanted::make).collect();
    let mut broken: Vec<Option<io::Error>> = running.iter().map(|_| None).collect();
    let replay = read_with(path, |event, so_far| {
        for (r, broken) in running.iter_mut().zip(&mut broken) {
            if let (None, Err(e)) = (&broken, r.reporter.on(event, so_far)) {
                *broken = Some(e);
            }
        }
    });
    let replay = replay.map_err(|p| vec![p])?;
    let finished = running.iter_mut().zip(broken).filter_map(|(r, broken)| {
        let e = broken.or_else(|| r.reporter.finish(&replay.summary).err())?;
        Some(not_written(&r.name, &e))
    });
    let problems: Vec<Problem> = finished.collect();
    if problems.is_empty() {
        Ok(replay.damaged)
    } else {
        Err(problems)
    }
}

fn not_written(name: &str, e: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::MissingFile,
        format!("{name} could not be written: {}", io_reason(e)),
    )
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
            Some(not_written(&running.name, &e))
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
