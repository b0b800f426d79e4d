//! Checks that an orchestrator makes: whether a container has started, and whether it is ready.
//!
//! They are made early, at rising intervals, as health checks are: production counts from one
//! success as well.

use std::time::{Duration, Instant};

use prodmirror_agent::wire::{Ask, Event, PROGRAM_PATH};
use prodmirror_model::plan::{ContainerPlan, NetworkOf};
use prodmirror_model::stack::extension::{ProbeAction, ProbeSpec};

use super::board::{Phase, Status};
use super::context::{Context, key_of};
use super::error::{Failed, LiveError};
use super::exec::{self, ExecOutput};
use super::watch::verdict;
use crate::docker::{EngineError, ExecSpec};

/// Pause after the first failed check.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause between checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How much of a check's output is kept.
const KEPT_OUTPUT: usize = 4096;
/// Beside the check's own time: what it takes to start a process in a container.
const SLACK: Duration = Duration::from_secs(5);

/// Makes a check until it has succeeded as often as it must.
///
/// # Errors
/// The service ended for good, or failed the check for longer than it may.
pub async fn until_passed(
    ctx: &Context,
    plan: &ContainerPlan,
    id: &str,
    probe: &ProbeSpec,
) -> Result<(), LiveError> {
    let key = key_of(plan);
    let Some(spec) = command(ctx, plan, id, probe) else {
        ctx.warn(format!(
            "service `{}` has no network of the stack, so nothing asks whether it is ready",
            plan.service
        ));
        return Ok(());
    };
    let within = Duration::from_secs(probe.timeout.into());
    // A command may hang; the agent keeps the time itself.
    let patience = match probe.action {
        ProbeAction::Exec(_) => within,
        _ => within + SLACK,
    };
    let given_up = probe.given_up_after().map(Duration::from_secs);
    let given_up = given_up.map(|all| Instant::now() + all);
    let ended = |s: &Status| matches!(s.phase, Phase::Ended { .. });
    let (mut pause, mut passed) = (FIRST_PAUSE, 0);
    loop {
        let begun = Instant::now();
        let run = exec::run(&ctx.engine, &spec, None, KEPT_OUTPUT);
        let asked = ctx.until(async {
            tokio::select! {
                done = tokio::time::timeout(patience, run) => Some(done),
                _ = ctx.board.wait(&key, ended) => None,
            }
        });
        let Some(done) = asked.await? else {
            return match verdict(ctx, &key) {
                Some(what) => Err(ctx.failure(&key, what).await),
                None => Ok(()),
            };
        };
        let output = match done {
            Ok(done) => judged(&probe.action, done),
            Err(_) => Err(format!("the check took longer than {patience:?}")),
        };
        match output {
            Ok(()) => {
                passed += 1;
                if passed >= probe.successes {
                    return Ok(());
                }
                // What follows a success is no longer a matter of starting up.
                pause = FIRST_PAUSE;
            }
            Err(output) => {
                passed = 0;
                ctx.board
                    .update(&key, |s| s.health_output.clone_from(&output));
                let running = matches!(ctx.board.get(&key).phase, Phase::Running | Phase::Healthy);
                if running && given_up.is_some_and(|at| Instant::now() > at) {
                    let output = format!("its startup probe has not passed in time: {output}");
                    return Err(ctx.failure(&key, Failed::Unhealthy { output }).await);
                }
            }
        }
        let pause_now = pause.max(begun.elapsed().min(LONGEST_PAUSE));
        ctx.until(tokio::time::sleep(pause_now)).await?;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// What is run for a check: its own command in the service, or the agent beside it.
fn command(ctx: &Context, plan: &ContainerPlan, id: &str, probe: &ProbeSpec) -> Option<ExecSpec> {
    let ask = match &probe.action {
        ProbeAction::Exec(command) => {
            return Some(ExecSpec {
                container: id.to_owned(),
                command: command.clone(),
                ..ExecSpec::default()
            });
        }
        ProbeAction::Http {
            port,
            path,
            tls,
            host,
            headers,
        } => Ask::Http {
            port: *port,
            path: path.clone(),
            tls: *tls,
            host: host.clone(),
            headers: headers.clone(),
        },
        ProbeAction::Tcp { port, host } => Ask::Tcp {
            port: *port,
            host: host.clone(),
        },
        ProbeAction::Grpc { port, service } => Ask::Grpc {
            port: *port,
            service: service.clone(),
        },
    };
    let owner = match &plan.network {
        NetworkOf::Own => key_of(plan),
        NetworkOf::Service(other) => ctx.sandboxes.owner(other, plan.replica)?,
        NetworkOf::None | NetworkOf::Foreign(_) => return None,
    };
    let question = serde_json::to_string(&ask).unwrap_or_default();
    let milliseconds = u64::from(probe.timeout) * 1000;
    let words = [
        PROGRAM_PATH,
        "probe",
        "ask",
        &question,
        &milliseconds.to_string(),
    ];
    Some(ExecSpec {
        container: ctx.sandboxes.get(&owner)?.id,
        command: words.map(str::to_owned).to_vec(),
        ..ExecSpec::default()
    })
}

fn judged(action: &ProbeAction, done: Result<ExecOutput, EngineError>) -> Result<(), String> {
    let done = done.map_err(|e| e.to_string())?;
    if done.exit_code == 0 {
        return Ok(());
    }
    if let ProbeAction::Exec(_) = action {
        return Err(format!("exit code {}: {}", done.exit_code, done.summary()));
    }
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let events = said.lines().filter_map(|l| serde_json::from_str(l).ok());
    let mut errors = events.filter_map(|event| match event {
        Event::Probe { error, .. } => error,
        Event::Error { what, why } => Some(format!("{what}: {why}")),
        _ => None,
    });
    Err(errors.next_back().unwrap_or(said))
}
