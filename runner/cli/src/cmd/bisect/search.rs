//! The search: combinations are run as it asks for them, until it has an answer.

use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use prodmirror_model::bundle::Signature;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::CaseId;
use prodmirror_model::isolate::{
    Answer, Ask, Atoms, Options, Outcome, Search, Step, Undecided, Verdict,
};

use super::tell;
use super::trial::{Bench, Judged, Trial};
use crate::exit::Exit;
use crate::signals;

/// How it ended.
pub enum Ended {
    /// With an answer.
    Answered(Box<Answered>),
    /// Before: what was told says why.
    Early(Exit),
}

/// An answer, and what it rests on.
pub struct Answered {
    pub answer: Answer,
    /// The case that was run, and how it fails in B.
    pub failure: Option<(CaseId, Signature)>,
    /// Each run, in the order in which they ended.
    pub runs: Vec<Run>,
    pub took: Duration,
}

/// One run.
pub struct Run {
    pub number: u32,
    pub atoms: Vec<usize>,
    pub verdict: Verdict,
    /// Why it is no clear verdict.
    pub why: String,
    pub took: Duration,
}

impl Answered {
    /// The smallest combination that is known to fail.
    pub fn smallest(&self) -> Option<Vec<usize>> {
        match &self.answer.outcome {
            Outcome::Found { causes, .. } => causes.first().map(|c| c.atoms()),
            Outcome::Undecided { smallest, .. } => smallest.clone(),
            _ => None,
        }
    }
}

/// Searches.
///
/// # Errors
/// A combination could not be written.
pub async fn search(bench: &Bench<'_>, atoms: &Atoms, options: Options) -> Result<Ended, Problems> {
    let began = Instant::now();
    let stop = signals::stop();
    let invalid = |e: prodmirror_model::isolate::Invalid| {
        Problem::new(ProblemKind::InvalidValue, e.to_string())
    };
    let mut search = Search::new(atoms, options).map_err(invalid)?;
    let mut log = Log {
        bench,
        runs: Vec::new(),
    };
    let all: Vec<usize> = (0..atoms.atoms.len()).collect();
    let first = bench.trial(1, &all, None).await?;
    if let Some(exit) = log.over(&first) {
        return Ok(Ended::Early(exit));
    }
    if first.cases.is_empty() {
        // It never came so far that a scenario could fail.
        bench
            .session
            .note(&std::fs::read_to_string(first.dir.join("output.txt")).unwrap_or_default());
        return Ok(Ended::Early(first.exit));
    }
    let failure = first
        .failure()
        .map(|(case, signature)| (case.id.clone(), signature));
    search
        .know(&all, log.first(&first, &all, failure.as_ref()))
        .map_err(invalid)?;
    let (signature, only) = match &failure {
        Some((case, signature)) => (signature.clone(), Some(plain(&case.name))),
        None => (nothing(), None),
    };
    let mut number = 1;
    let mut running = FuturesUnordered::new();
    let answer = loop {
        match search.next() {
            Step::Done { answer, .. } => break *answer,
            Step::Judge { start, .. } => {
                for ask in start {
                    number += 1;
                    running.push(one(bench, number, ask, only.clone()));
                }
            }
        }
        let Some((number, ask, trial)) = running.next().await else {
            let text = "the search waits for a run that does not run";
            return Err(Problem::new(ProblemKind::InvalidValue, text).into());
        };
        let trial = trial?;
        if stop.is_stopping() || log.over(&trial).is_some() {
            // What else runs hears of it by itself.
            while running.next().await.is_some() {}
            let exit = log.over(&trial).unwrap_or(Exit::Interrupted);
            return Ok(Ended::Early(exit));
        }
        let judged = trial.judge(&signature);
        let verdict = judged.verdict;
        log.add((number, &ask.atoms), judged, &trial);
        search.tell(ask.id, verdict).map_err(invalid)?;
    };
    // Runs that were asked for ahead of time are ended properly, too.
    while running.next().await.is_some() {}
    Ok(Ended::Answered(Box::new(Answered {
        answer,
        failure,
        runs: log.runs,
        took: began.elapsed(),
    })))
}

async fn one(
    bench: &Bench<'_>,
    number: u32,
    ask: Ask,
    only: Option<String>,
) -> (u32, Ask, Result<Trial, Problem>) {
    let trial = bench.trial(number, &ask.atoms, only).await;
    (number, ask, trial)
}

/// A failure that none is like: nothing failed.
fn nothing() -> Signature {
    Signature {
        outcome: None,
        step: None,
        reason: None,
    }
}

/// The name of a scenario without the mark of its flags.
fn plain(name: &str) -> String {
    let marked = name
        .strip_suffix(']')
        .and_then(|n| n.rsplit_once(" [flag "));
    marked.map_or(name, |(plain, _)| plain).to_owned()
}

/// What was run, told line by line.
struct Log<'b> {
    bench: &'b Bench<'b>,
    runs: Vec<Run>,
}

impl Log<'_> {
    /// The exit code of what ends the whole search.
    fn over(&self, trial: &Trial) -> Option<Exit> {
        let ends = matches!(trial.exit, Exit::Engine | Exit::Interrupted);
        ends.then_some(trial.exit)
    }

    /// B as it is: what fails there is what is searched for.
    fn first(
        &mut self,
        trial: &Trial,
        all: &[usize],
        failure: Option<&(CaseId, Signature)>,
    ) -> Verdict {
        let judged = match failure {
            Some((_, signature)) => Judged {
                verdict: Verdict::Same,
                why: signature.text(),
            },
            None => trial.judge(&nothing()),
        };
        let verdict = judged.verdict;
        self.add((1, all), judged, trial);
        verdict
    }

    fn add(&mut self, (number, atoms): (u32, &[usize]), judged: Judged, trial: &Trial) {
        let run = Run {
            number,
            atoms: atoms.to_vec(),
            verdict: judged.verdict,
            why: judged.why,
            took: trial.took,
        };
        let line = tell::line(self.bench.sides, &run);
        self.bench.session.note(&self.bench.sides.redact(&line));
        self.runs.push(run);
    }
}

/// Whether the answer is that A itself could not be run.
pub fn is_unstarted(answer: &Answer) -> bool {
    matches!(
        &answer.outcome,
        Outcome::Undecided {
            why: Undecided::Baseline(Verdict::Unresolved),
            ..
        }
    )
}
