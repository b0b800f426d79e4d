//! One scenario from its first to its last step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::event::{CaseId, Outcome, What};
use prodmirror_model::scenario::Step;
use prodmirror_model::template::Scope;
use serde_json::Value as Json;

use super::inspect::Inspector;
use super::seed::Seed;
use super::snapshots::Outside;
use super::steps::{Flow, Player, Trouble};
use super::stop::Stop;
use super::window::Window;
use crate::bus::Sink;
use crate::step::world::World;
use crate::step::{Marks, Program, Sessions};

/// How long a scenario may take unless it says otherwise.
const LONGEST: Duration = Duration::from_secs(600);
/// How long `finally` may take in all.
const FINALLY: Duration = Duration::from_secs(60);
/// As good as no limit: somebody looks on.
const UNHURRIED: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a scenario is played.
#[derive(Debug, Clone, Default)]
pub struct CaseOptions {
    /// Seed of everything random in it.
    pub seed: u64,
    /// Values that take the place of those under `vars`.
    pub vars: BTreeMap<String, Json>,
    /// The command that runs just this scenario again.
    pub rerun: Option<String>,
    /// Which repetition it is, from 1, and of how many, when it is played more than once.
    pub repetition: Option<(u32, u32)>,
    /// Whether `shell` steps may run programs on this machine.
    pub allow_shell: bool,
    /// What expectations do outside of their values; shared by the cases of a run.
    pub outside: Outside,
    /// Which of its steps are done.
    pub window: Window,
    /// Who looks on.
    pub inspector: Option<Arc<dyn Inspector>>,
}

impl CaseOptions {
    /// The case that a program is when it is played so. Repetitions are cases of their own, as
    /// pytest-repeat names them: `checkout [2-5]`.
    pub fn case(&self, program: &Program) -> CaseId {
        self.of(program.case())
    }

    /// The same repetition of a case.
    pub(super) fn of(&self, case: CaseId) -> CaseId {
        match self.repetition {
            None => case,
            Some((i, n)) => CaseId {
                name: format!("{} [{i}-{n}]", case.name),
                ..case
            },
        }
    }
}

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseEnd {
    /// How.
    pub outcome: Outcome,
    /// One line that says why, when it did not pass.
    pub reason: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Plays a scenario on a stack. Emits everything from `CaseStarted` to `CaseFinished`.
pub async fn play(
    program: &Program,
    world: &Arc<dyn World>,
    sink: &dyn Sink,
    options: &CaseOptions,
    stop: &Stop,
) -> CaseEnd {
    let begun = Instant::now();
    let case = options.case(program);
    sink.emit(What::CaseStarted {
        case: case.clone(),
        stack: world.stack().to_owned(),
    });
    let (outcome, reason) = match missing_service(program, world) {
        Some(service) => (
            Outcome::Skipped,
            Some(format!(
                "it requires the service `{service}`, which the stack does not have"
            )),
        ),
        None => run(program, world, sink, options, stop, &case).await,
    };
    let took = begun.elapsed();
    // A service that died in it is told of before its end.
    tokio::select! {
        () = world.settled() => {}
        () = stop.stopping() => {}
    }
    sink.emit(What::CaseFinished {
        case,
        outcome,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        reason: reason.clone(),
        rerun: if outcome == Outcome::Passed {
            None
        } else {
            options.rerun.clone()
        },
    });
    CaseEnd {
        outcome,
        reason,
        took,
    }
}

fn missing_service(program: &Program, world: &Arc<dyn World>) -> Option<String> {
    let needed = &program.scenario.requires.services;
    if needed.is_empty() {
        return None;
    }
    let there = world.services();
    needed
        .iter()
        .find(|s| !there.contains(&s.value))
        .map(|s| s.value.clone())
}

async fn run(
    program: &Program,
    world: &Arc<dyn World>,
    sink: &dyn Sink,
    options: &CaseOptions,
    stop: &Stop,
    case: &CaseId,
) -> (Outcome, Option<String>) {
    let secrets = world
        .secrets()
        .into_iter()
        .map(|(k, v)| (k, Json::from(v)))
        .collect();
    let marks = Marks {
        scenario: world.log_end(),
        ..Marks::default()
    };
    let mut flow = Flow::new(Scope::with_secrets(secrets), marks);
    // A repetition does the same again.
    let seed = Seed::new(options.seed).part(&program.case().name);
    super::flow::given(&program.scenario, &seed, &mut flow.scope);
    flow.scope
        .set_hooks(options.outside.hooks(&program.scenario));
    if let Err(reason) = variables(program, options, &mut flow.scope) {
        return (Outcome::Errored, Some(reason));
    }
    match program
        .scenario
        .skip
        .as_ref()
        .map(|s| s.reason(&flow.scope))
    {
        Some(Ok(Some(reason))) => return (Outcome::Skipped, Some(reason)),
        Some(Err(m)) => {
            let reason = format!("`skip`: {}: {}", m.expectation, m.actual);
            return (Outcome::Errored, Some(reason));
        }
        Some(Ok(None)) | None => {}
    }
    let mut player = Player::new(program, world, sink, case, seed);
    player.allow_shell = options.allow_shell;
    player.window = options.window.clone();
    player.inspector = options.inspector.as_deref();
    let sessions = Sessions::default();
    let scenario = &program.scenario;

    let limit = match options.inspector {
        Some(_) => UNHURRIED,
        None => scenario.timeout.unwrap_or(LONGEST),
    };
    let mut first = tokio::select! {
        biased;
        t = player.body(&mut flow, &sessions) => t,
        () = stop.stopping() => {
            let t = Trouble::new(Outcome::Errored, stop.why());
            player.abandon(&t);
            Some(t)
        }
        () = tokio::time::sleep(limit) => {
            let text = format!("the scenario took longer than {}", humantime::format_duration(limit));
            let t = Trouble::new(Outcome::TimedOut, text);
            player.abandon(&t);
            Some(t)
        }
    };
    if let Some(t) = first {
        first = Some(decided(t, stop).await);
    }
    let last = finish(&player, &scenario.finally, &mut flow, &sessions, stop).await;
    first = first.or(last);
    match first {
        None => (Outcome::Passed, None),
        Some(t) => (t.outcome, Some(t.reason)),
    }
}

/// What failed on a stack that nobody keeps any more is no verdict on it: the reason is that the
/// engine was lost, also when a step was quicker to notice.
async fn decided(trouble: Trouble, stop: &Stop) -> Trouble {
    match stop.decided().await {
        Some(why) if !trouble.reason.contains(why) => {
            let text = format!("{why}; this scenario ended with: {}", trouble.reason);
            Trouble::new(Outcome::Errored, text)
        }
        _ => trouble,
    }
}

/// `finally`: whatever happened before, but not after the second signal.
async fn finish(
    player: &Player<'_>,
    steps: &[Step],
    flow: &mut Flow,
    sessions: &Sessions,
    stop: &Stop,
) -> Option<Trouble> {
    if steps.is_empty() || stop.is_now() {
        return None;
    }
    tokio::select! {
        biased;
        t = player.every(steps, flow, sessions) => t,
        () = stop.stopped() => {
            let t = Trouble::new(Outcome::Errored, format!("in `finally`: {}", stop.why()));
            player.abandon(&t);
            Some(t)
        }
        () = tokio::time::sleep(if player.inspector.is_some() { UNHURRIED } else { FINALLY }) => {
            let text = format!("`finally` took longer than {}", humantime::format_duration(FINALLY));
            let t = Trouble::new(Outcome::TimedOut, text);
            player.abandon(&t);
            Some(t)
        }
    }
}

fn variables(program: &Program, options: &CaseOptions, scope: &mut Scope) -> Result<(), String> {
    for (name, data) in &program.scenario.vars {
        let value = match options.vars.get(name) {
            Some(v) => v.clone(),
            None => data.render(scope).map_err(|p| p.to_string())?,
        };
        scope.set(name, value);
    }
    if options.window.from.is_some() {
        // They may stand for what steps that are left out would have captured.
        for (name, value) in &options.vars {
            scope.set(name, value.clone());
        }
    }
    Ok(())
}
