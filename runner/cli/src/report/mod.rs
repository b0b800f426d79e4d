//! Reports: what people and CI systems get to see of a run.
//!
//! Reporters see events and the summary made from them, never the engine, so every report
//! can be made again from `events.jsonl`.

mod diff;
mod failure;
pub mod github;
mod html;
mod json;
mod junit;
mod log;
pub mod look;
mod output;
pub mod replay;
pub mod terminal;
mod timeline;

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_engine::bus::Subscriber;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::Event;
use prodmirror_model::summary::Summary;

pub use output::Target;

/// Writes one report.
pub trait Reporter: Send {
    /// Takes one event, which `so_far` already holds.
    ///
    /// # Errors
    /// When something could not be written.
    fn on(&mut self, event: &Event, so_far: &Summary) -> io::Result<()> {
        let _ = (event, so_far);
        Ok(())
    }

    /// The run is over, or what is known of it ends here.
    ///
    /// # Errors
    /// When something could not be written.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}

/// A kind of report that can be asked for with `--report NAME=PATH`.
pub struct Kind {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// Makes the reporter.
    pub make: fn(Target) -> Box<dyn Reporter>,
}

/// All kinds of reports.
pub const KINDS: &[Kind] = &[
    junit::KIND,
    junit::GITLAB,
    html::KIND,
    json::KIND,
    timeline::KIND,
];

/// A report that was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its kind.
    pub kind: &'static Kind,
    /// Where it goes.
    pub target: Target,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Wanted {
    /// Reads `KIND=PATH`; the path `-` is standard output.
    ///
    /// # Errors
    /// A problem when there is no such kind or no path.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = |message: String| Problem::new(ProblemKind::InvalidValue, message);
        let known = || {
            let each = KINDS.iter().map(|k| format!("{} ({})", k.name, k.help));
            each.collect::<Vec<_>>().join(", ")
        };
        let Some((name, path)) = text.split_once('=') else {
            return Err(
                invalid(format!("`{text}` does not say where the report goes")).help(format!(
                    "write KIND=PATH, as in junit=junit.xml; kinds: {}",
                    known()
                )),
            );
        };
        let Some(kind) = KINDS.iter().find(|k| k.name == name) else {
            let problem = invalid(format!("there is no report of kind `{name}`"));
            return Err(match nearest(name, KINDS.iter().map(|k| k.name)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("kinds: {}", known())),
            });
        };
        if path.is_empty() {
            return Err(invalid(format!("the path of the {name} report is empty"))
                .help("name a file, or `-` for standard output"));
        }
        Ok(Self {
            kind,
            target: Target::parse(path),
        })
    }

    /// A report of that kind into a file. Panics never: `None` when there is no such kind.
    pub fn file(kind: &str, path: impl Into<PathBuf>) -> Option<Self> {
        Some(Self {
            kind: KINDS.iter().find(|k| k.name == kind)?,
            target: Target::File(path.into()),
        })
    }

    fn make(&self) -> Running {
        Running {
            name: format!("{} report {}", self.kind.name, self.target),
            reporter: (self.kind.make)(self.target.clone()),
            broken: false,
            gone: false,
        }
    }
}

/// What went wrong while reports were written: lowercase fragments, each once.
#[derive(Debug, Clone, Default)]
pub struct ReportProblems(Arc<Mutex<Vec<String>>>);

impl ReportProblems {
    /// All so far.
    pub fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn push(&self, problem: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(problem);
    }
}

/// All report files of a run, as one subscriber of the bus.
pub struct Reports {
    summary: Summary,
    running: Vec<Running>,
    problems: ReportProblems,
}

struct Running {
    name: String,
    reporter: Box<dyn Reporter>,
    /// It failed before; said once, and tried again at the end.
    broken: bool,
    /// It broke down and is asked no more.
    gone: bool,
}

impl Reports {
    /// The reports that were asked for.
    pub fn new(wanted: &[Wanted]) -> Self {
        Self {
            summary: Summary::new(),
            running: wanted.iter().map(Wanted::make).collect(),
            problems: ReportProblems::default(),
        }
    }

    /// What went wrong; to be asked after the bus has finished.
    pub fn problems(&self) -> ReportProblems {
        self.problems.clone()
    }

    /// Adds a reporter that is no file; `name` is what messages call it.
    pub fn add(&mut self, name: &str, reporter: Box<dyn Reporter>) {
        self.running.push(Running {
            name: name.to_owned(),
            reporter,
            broken: false,
            gone: false,
        });
    }

    fn each(&mut self, f: impl Fn(&mut dyn Reporter, &Summary) -> io::Result<()>) {
        for r in self.running.iter_mut().filter(|r| !r.gone) {
            // One that breaks down takes no other with it.
            let one = AssertUnwindSafe(|| f(r.reporter.as_mut(), &self.summary));
            match std::panic::catch_unwind(one) {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    if !r.broken {
                        self.problems
                            .push(format!("{} could not be written: {e}", r.name));
                    }
                    r.broken = true;
                }
                Err(_) => {
                    self.problems.push(format!(
                        "{} broke down; `prodmirror report` may make it again from the events",
                        r.name
                    ));
                    r.gone = true;
                }
            }
        }
    }
}

impl Subscriber for Reports {
    fn on(&mut self, event: &Event) {
        self.summary.apply(event);
        self.each(|r, summary| r.on(event, summary));
    }

    fn finish(&mut self) {
        self.each(|r, summary| r.finish(summary));
    }
}

#[cfg(test)]
mod tests;
