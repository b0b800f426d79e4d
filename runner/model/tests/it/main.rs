//! Tests of the model over many files. Each module gives its trials; one that needs something
//! that is not here (the corpus of real specs) is reported as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic fails a trial, and counts are printed"
)]

mod compose;
mod corpus_files;
mod ecs;
mod ecs_corpus;
mod engine_corpus;
mod inspect;
mod kubernetes;
mod mirror_corpus;
mod pipeline;
mod plan_corpus;
mod swarm;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let args = Arguments::from_args();
    let trials: Vec<Trial> = [
        compose::trials(),
        ecs::trials(),
        ecs_corpus::trials(),
        engine_corpus::trials(),
        inspect::trials(),
        kubernetes::trials(),
        mirror_corpus::trials(),
        pipeline::trials(),
        plan_corpus::trials(),
        swarm::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&args, trials).exit();
}
