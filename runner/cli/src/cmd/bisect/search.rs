//! The search: combinations are run as it asks for them, until it has an answer.

use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use prodmirror_model::bundle::{Likeness, Signature};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::CaseId;
use prodmirror_model::isolate::{
    Answer, Ask, Atoms, Options, Outcome, Search, Step, Undecided, Verdict,
};

use super::tell;
use super::trial::{Bench, Judged, Trial};
use crate::exit::Exit;
use crate::signals;

/// A case, and how it failed.
type Failure = (CaseId, Signature);

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
    pub failure: Option<Failure>,
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
    let mut search = Search::new(atoms, options).map_err(invalid)?;
    let mut log = Log {
        bench,
        runs: Vec::new(),
    };
    let all: Vec<usize> = (0..atoms.atoms.len()).collect();
    let failure = match log.until_it_fails(&all, &mut search).await? {
        Ok(failure) => failure,
        Err(exit) => return Ok(Ended::Early(exit)),
    };
    let (signature, only) = match &failure {
        Some((case, signature)) => (signature.clone(), Some(case.name.clone())),
        None => (nothing(), None),
    };
    let mut number = u32::try_from(log.runs.len()).unwrap_or(u32::MAX);
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

fn invalid(e: prodmirror_model::isolate::Invalid) -> Problem {
    Problem::new(ProblemKind::InvalidValue, e.to_string())
}

/// A failure that none is like: nothing failed.
fn nothing() -> Signature {
    Signature {
        outcome: None,
        step: None,
        reason: None,
    }
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

    /// B as it is: what fails there is what is searched for. A failure that comes and goes is
    /// waited for as often as B is run before anything else.
    ///
    /// An exit code when it never came so far that a scenario could fail.
    async fn until_it_fails(
        &mut self,
        all: &[usize],
        search: &mut Search,
    ) -> Result<Result<Option<Failure>, Exit>, Problem> {
        let of_bundle = self.bench.of_bundle.map(|b| b.case.clone());
        for number in 1..=self.bench.args.repeats {
            let trial = self.bench.trial(number, all, of_bundle.clone()).await?;
            if let Some(exit) = self.over(&trial) {
                return Ok(Err(exit));
            }
            if trial.cases.is_empty() {
                let said = std::fs::read_to_string(trial.dir.join("output.txt"));
                self.bench.session.note(&said.unwrap_or_default());
                return Ok(Err(trial.exit));
            }
            let failed = trial.failure();
            let failure = failed.map(|(case, signature)| (case.id.clone(), signature));
            let judged = match &failure {
                Some((_, signature)) => Judged {
                    verdict: Verdict::Same,
                    why: signature.text(),
                },
                None => trial.judge(&nothing()),
            };
            let known = search.know(all, judged.verdict);
            known.map_err(invalid)?;
            self.add((number, all), judged, &trial);
            if failure.is_some() {
                self.compare(failure.as_ref());
                return Ok(Ok(failure));
            }
        }
        Ok(Ok(None))
    }

    /// Warns when it is not the failure that a bundle is of.
    fn compare(&self, failure: Option<&Failure>) {
        if let (Some(bundle), Some((_, seen))) = (self.bench.of_bundle, failure)
            && let Likeness::Other(why) = bundle.failure.like(seen)
        {
            let text = format!("warning: it fails here otherwise than in the bundle: {why}\n");
            self.bench.session.note(&self.bench.sides.redact(&text));
        }
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
