//! The scenario language and its step kinds, against real servers.

mod coming_from;
mod containers;
mod dispatch;
mod examples;
mod flow;
mod grpc;
mod grpc_server;
mod http;
mod http_more;
mod inside;
mod kafka;
mod language;
mod local;
mod mistakes;
#[cfg(feature = "mongo")]
mod mongo;
#[cfg(feature = "mqtt")]
mod mqtt;
mod mysql;
#[cfg(feature = "nats")]
mod nats;
mod outside;
mod s3;
mod services;
mod site;
mod sqlite;
mod tcp;
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

use std::sync::Arc;

use prodmirror_engine::bus::Collected;
use prodmirror_engine::run::{CaseEnd, CaseOptions, Stop, play};
use prodmirror_engine::step::{Program, World, compile};
use prodmirror_model::event::{Mismatch, Outcome, What};
use prodmirror_model::source::SourceFile;

/// What came of a scenario.
pub struct Played {
    pub end: CaseEnd,
    pub events: Vec<What>,
}

/// The end of one step.
#[derive(Debug)]
pub struct Step {
    pub path: String,
    pub outcome: Outcome,
    pub attempts: u32,
    pub mismatches: Vec<Mismatch>,
    pub error: Option<String>,
    pub evidence: String,
}

/// Compiles scenarios that have no mistakes.
pub fn programs(text: &str) -> Vec<Program> {
    programs_of(&SourceFile::new("s.yaml", text))
}

/// Compiles a file of scenarios that have no mistakes.
pub fn programs_of(file: &Arc<SourceFile>) -> Vec<Program> {
    let (programs, problems) = compile(file);
    let errors: Vec<String> = problems
        .iter()
        .filter(|p| p.is_error())
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    programs
}

/// Plays the only scenario of a text.
pub async fn played(world: &Arc<dyn World>, text: &str) -> Played {
    let program = programs(text).remove(0);
    played_with(world, &program, &CaseOptions::default(), &Stop::new()).await
}

pub async fn played_with(
    world: &Arc<dyn World>,
    program: &Program,
    options: &CaseOptions,
    stop: &Stop,
) -> Played {
    let sink = Collected::default();
    let end = play(program, world, &sink, options, stop).await;
    Played {
        end,
        events: sink.all(),
    }
}

/// Plays steps that must pass; `steps` is their YAML list.
pub async fn passes(world: &Arc<dyn World>, steps: &str) -> Played {
    let played = played(world, &format!("scenario: it\nsteps:\n{steps}")).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    played
}

/// Plays steps of which the last must not pass, and gives its end.
pub async fn fails(world: &Arc<dyn World>, steps: &str) -> Step {
    let played = played(world, &format!("scenario: it\nsteps:\n{steps}")).await;
    assert_ne!(played.end.outcome, Outcome::Passed);
    played.steps().pop().unwrap()
}

/// Whether the words of a table were said, all that were not told at once.
#[derive(Default)]
pub struct Said(Vec<String>);

impl Said {
    pub fn see(&mut self, wanted: &str, told: &str) {
        if !told.contains(wanted) {
            self.0.push(format!("wanted {wanted}\ntold   {told}"));
        }
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{}", self.0.join("\n\n"));
        }
    }
}

impl Played {
    pub fn steps(&self) -> Vec<Step> {
        self.events
            .iter()
            .filter_map(|e| match e {
                What::StepFinished {
                    step,
                    outcome,
                    attempts,
                    mismatches,
                    error,
                    evidence,
                    ..
                } => Some(Step {
                    path: step.clone(),
                    outcome: *outcome,
                    attempts: *attempts,
                    mismatches: mismatches.clone(),
                    error: error.clone(),
                    evidence: evidence
                        .iter()
                        .map(|e| format!("{}: {}\n", e.title, e.text))
                        .collect(),
                }),
                _ => None,
            })
            .collect()
    }

    pub fn told(&self) -> String {
        let steps: Vec<String> = self.steps().iter().map(|s| format!("{s:#?}")).collect();
        format!("{:?}\n{}", self.end, steps.join("\n"))
    }
}

impl Step {
    /// `path: expected … got …` of each mismatch.
    pub fn said(&self) -> Vec<String> {
        self.mismatches
            .iter()
            .map(|m| {
                let path = m.path.as_deref().unwrap_or(&m.expectation);
                format!("{path}: expected {}, got {}", m.expected, m.actual)
            })
            .collect()
    }

    pub fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}
