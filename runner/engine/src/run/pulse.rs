//! Whether the engine is still there while a run goes on: steps that reach services by their
//! address would not notice, and a verdict on what nobody keeps any more is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::event::What;

use super::stop::Stop;
use crate::bus::Sink;
use crate::docker::{Engine, EngineError};
use crate::live::lease::KeeperEnd;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take: one that is busy answers late.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An engine that refuses connections for so long is lost; a restart is shorter.
const REFUSING_FOR: Duration = Duration::from_secs(10);
/// An engine that takes connections and answers nothing for so long is lost.
const SILENT_FOR: Duration = Duration::from_secs(40);
/// An engine that answers for so long after the keeper's end is not lost, nor are the stacks.
const TRUSTED_AFTER: Duration = Duration::from_secs(3);

/// Asks the engine for a sign of life, and ends the run when there is none for too long, or
/// when the run's keeper took an outage, or a runner that stood still for too long, for its
/// death. Drop it to end it.
pub async fn pulse(engine: Engine, stop: Stop, sink: Arc<dyn Sink>, keeper: KeeperEnd) {
    let mut away: Option<Instant> = None;
    let mut heard: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = keeper.ended(), if heard.is_none() => {
                heard = Some(Instant::now());
                stop.doubt(true);
            }
        }
        // What fails from now on fails since the keeper removes it: no verdict is due to that.
        if let Some(why) = keeper.lapsed() {
            let why =
                format!("the lease of the run lapsed: {why}; its keeper has removed its stacks");
            sink.emit(What::Warning {
                message: why.clone(),
            });
            stop.lose(why);
            return;
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, engine.ping()).await;
        let answer = asked.unwrap_or(Err(EngineError::Timeout));
        let lost = match (&answer, away) {
            (Ok(()), None) => {
                if heard.is_some_and(|since| since.elapsed() >= TRUSTED_AFTER) {
                    stop.doubt(false);
                }
                None
            }
            (Ok(()), Some(since)) => {
                away = None;
                let text = back(since, &engine);
                sink.emit(What::Warning {
                    message: text.clone(),
                });
                let gone = keeper.is_ended();
                gone.then(|| format!("{text}; the run's keeper has removed its stacks meanwhile"))
            }
            (Err(e), since) => {
                let since = since.unwrap_or_else(|| now_or_before(e));
                away = Some(since);
                (since.elapsed() >= limit(e)).then(|| lost(since, &engine, e))
            }
        };
        if let Some(why) = lost {
            sink.emit(What::Warning {
                message: why.clone(),
            });
            stop.lose(why);
            return;
        }
    }
}

/// When an outage began that is seen now.
fn now_or_before(e: &EngineError) -> Instant {
    let now = Instant::now();
    match e {
        EngineError::Timeout => now.checked_sub(ANSWER_WITHIN).unwrap_or(now),
        _ => now,
    }
}

fn limit(e: &EngineError) -> Duration {
    match e {
        EngineError::Timeout => SILENT_FOR,
        _ => REFUSING_FOR,
    }
}

fn lost(since: Instant, engine: &Engine, e: &EngineError) -> String {
    format!(
        "the engine was lost: {} has given no answer for {} s ({e}); see whether it still runs \
         (`docker info`)",
        engine.endpoint(),
        since.elapsed().as_secs()
    )
}

fn back(since: Instant, engine: &Engine) -> String {
    format!(
        "the engine at {} gave no answer for {:.1} s",
        engine.endpoint(),
        since.elapsed().as_secs_f64()
    )
}
