//! Branches at the same time, over and over, with the hits counted.

use std::time::{Duration, Instant};

use prodmirror_model::check::{Expectation, check};
use prodmirror_model::event::{Mismatch, Outcome};
use prodmirror_model::scenario::{Race, Step};
use prodmirror_model::template::Document;
use serde_json::{Value as Json, json};

use super::attempt::StepEnd;
use super::steps::{Flow, Player};
use crate::step::{Sessions, StepError, Trail};

/// Hits of which the mismatches are told.
const TOLD: usize = 3;

/// What a race came to.
pub(super) struct RaceEnd {
    pub document: Document,
    pub mismatches: Vec<Mismatch>,
}

/// One run of a race.
struct Run {
    branches: Vec<Json>,
    mismatches: Vec<Mismatch>,
    ends: Vec<StepEnd>,
}

impl Player<'_> {
    /// All runs of a race.
    pub async fn race(
        &self,
        race: &Race,
        expect: &[Expectation],
        flow: &Flow,
        sessions: &Sessions,
        trail: &mut Trail,
    ) -> Result<RaceEnd, StepError> {
        let begun = Instant::now();
        let seed = match race.seed {
            Some(n) => super::seed::Seed::new(n),
            None => self.seed.clone(),
        };
        let mut hits: Vec<u32> = Vec::new();
        let mut mismatches = Vec::new();
        let mut last = Vec::new();
        for number in 0..race.runs {
            let mut rng = seed.part(&number.to_string());
            // The first run starts all branches at once.
            let spread = if number == 0 {
                0
            } else {
                u64::try_from(race.spread.as_micros()).unwrap_or(0)
            };
            let offsets: Vec<Duration> = race
                .branches
                .iter()
                .map(|_| Duration::from_micros(rng.below(spread + 1)))
                .collect();
            let run = self
                .run_once(race, expect, number, &offsets, flow, sessions)
                .await?;
            if !run.mismatches.is_empty() {
                hits.push(number);
                if hits.len() <= TOLD {
                    for (i, end) in run.ends.into_iter().enumerate() {
                        trail.absorb(&format!("run {number}, branch {i}:"), end.evidence);
                    }
                    mismatches.extend(run.mismatches);
                }
            }
            last = run.branches;
        }
        if let Some(first) = hits.first() {
            let with = race
                .seed
                .map_or_else(String::new, |s| format!(", seed {s}"));
            mismatches.insert(
                0,
                Mismatch {
                    expectation: "the race is harmless".into(),
                    kind: "race".into(),
                    place: None,
                    expected: format!("0 hits in {} runs", race.runs),
                    actual: format!(
                        "{} hits in {} runs (the first in run {first}{with})",
                        hits.len(),
                        race.runs
                    ),
                    path: None,
                    hint: None,
                },
            );
        }
        trail.add(
            "race",
            format!("{} hits in {} runs: {hits:?}", hits.len(), race.runs),
        );
        let mut document = Document::default()
            .with("runs", race.runs)
            .with("hits", hits.len())
            .with("branches", last);
        document.took(begun.elapsed());
        Ok(RaceEnd {
            document,
            mismatches,
        })
    }

    async fn run_once(
        &self,
        race: &Race,
        expect: &[Expectation],
        number: u32,
        offsets: &[Duration],
        flow: &Flow,
        sessions: &Sessions,
    ) -> Result<Run, StepError> {
        let mut base = flow.clone();
        base.scope.set("race", json!({ "run": number }));
        for step in &race.before {
            let end = self.perform(step, &mut base, sessions).await;
            if end.outcome != Outcome::Passed {
                return Err(StepError::transport(format!(
                    "{} before run {number}: {}",
                    step.path,
                    end.why()
                )));
            }
        }
        let mut flows: Vec<Flow> = (0..race.branches.len())
            .map(|i| {
                let mut f = base.clone();
                f.scope.set("race", json!({ "run": number, "branch": i }));
                f
            })
            .collect();
        let own: Vec<Sessions> = (0..race.branches.len())
            .map(|i| sessions.branch(i))
            .collect();
        let runs = race
            .branches
            .iter()
            .zip(&mut flows)
            .zip(&own)
            .zip(offsets)
            .map(|(((b, f), s), offset)| self.racer(&b.steps, f, s, *offset));
        let ends = futures_util::future::join_all(runs).await;
        let branches: Vec<Json> = ends.iter().map(document).collect();

        let mut mismatches: Vec<Mismatch> = Vec::new();
        for (i, end) in ends
            .iter()
            .enumerate()
            .filter(|(_, e)| e.outcome != Outcome::Passed)
        {
            mismatches.extend(trouble(end, &format!("run {number}, branch {i}")));
        }
        let of_run = Document::default()
            .with("run", number)
            .with("branches", branches.clone());
        let verdict = check(expect, &of_run, &base.scope)?;
        mismatches.extend(
            verdict
                .mismatches
                .into_iter()
                .map(|m| in_run(m, &format!("run {number}"))),
        );
        for step in &race.after {
            let end = self.perform(step, &mut base, sessions).await;
            if end.outcome != Outcome::Passed {
                mismatches.extend(trouble(&end, &format!("after run {number}")));
            }
        }
        for end in self.broken_invariants(&mut base, sessions).await {
            mismatches.extend(trouble(&end, &format!("invariant after run {number}")));
        }
        Ok(Run {
            branches,
            mismatches,
            ends,
        })
    }

    /// The steps of one branch; the last end.
    async fn racer(
        &self,
        steps: &[Step],
        flow: &mut Flow,
        sessions: &Sessions,
        offset: Duration,
    ) -> StepEnd {
        if !offset.is_zero() {
            tokio::time::sleep(offset).await;
        }
        let mut last = StepEnd::skipped();
        for step in steps {
            last = self.perform(step, flow, sessions).await;
            if last.outcome != Outcome::Passed && !step.soft {
                break;
            }
        }
        last
    }
}

fn document(end: &StepEnd) -> Json {
    end.document
        .as_ref()
        .map_or(Json::Null, |d| Json::Object(d.fields.clone()))
}

/// What did not hold in a branch, or why it gave nothing.
fn trouble(end: &StepEnd, place: &str) -> Vec<Mismatch> {
    match &end.error {
        Some(e) => vec![Mismatch {
            expectation: "an answer".into(),
            kind: "race".into(),
            place: None,
            expected: "an answer".into(),
            actual: e.clone(),
            path: Some(place.to_owned()),
            hint: None,
        }],
        None => end
            .mismatches
            .iter()
            .cloned()
            .map(|m| in_run(m, place))
            .collect(),
    }
}

fn in_run(mut m: Mismatch, place: &str) -> Mismatch {
    m.path = Some(match m.path {
        Some(p) => format!("{place}: {p}"),
        None => place.to_owned(),
    });
    m
}
