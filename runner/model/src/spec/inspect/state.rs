//! How a container fared in production: worth knowing, and no part of what is mirrored.

use crate::fidelity::Severity;
use crate::yaml::Node;

use super::draft::Draft;
use super::field::{filled, int, is_on, object, text};

pub(super) fn read(d: &mut Draft<'_>) {
    let state = object(d.c.node, "State");
    let span = match d.c.node.get("State") {
        Some(node) => node.span.clone(),
        None => return,
    };
    let code = state.get("ExitCode").and_then(Node::as_int).unwrap_or(0);
    let status = match text(state, "Status") {
        Some(status) => status,
        None if is_on(state, "Running") => "running",
        None if is_on(state, "Dead") => "dead",
        None => "exited",
    };
    let policy = text(object(d.c.host, "RestartPolicy"), "Name").unwrap_or("no");
    let (severity, what) = match status {
        "running" => (Severity::Info, None),
        "paused" => (Severity::Low, Some("it was paused".to_owned())),
        "restarting" => (
            Severity::High,
            Some(format!(
                "it was crashing again and again (exit code {code})"
            )),
        ),
        "exited" if code == 0 && matches!(policy, "no" | "on-failure") => (
            Severity::Info,
            Some("it had ended with exit code 0: it runs once".to_owned()),
        ),
        "exited" if code == 0 => (
            Severity::Medium,
            Some("somebody had stopped it; the mirror starts it".to_owned()),
        ),
        "exited" => (
            Severity::Medium,
            Some(format!(
                "it had ended with exit code {code}; the mirror starts it"
            )),
        ),
        "created" => (
            Severity::Medium,
            Some("it had never been started; the mirror starts it".to_owned()),
        ),
        other => (
            Severity::Medium,
            Some(format!("it was `{other}`; the mirror starts it")),
        ),
    };
    if let Some(what) = what {
        d.life("State.Status", severity, &span, what);
    }
    if let Some(n) = int(d.c.node, "RestartCount")
        && let Some(node) = d.c.node.get("RestartCount")
    {
        let what = format!("the engine had restarted it {n} times");
        d.life("RestartCount", Severity::Low, &node.span.clone(), what);
    }
    if let Some(node) = filled(state, "OOMKilled") {
        let what = "the kernel had killed it for want of memory".to_owned();
        d.life(
            "State.OOMKilled",
            Severity::Medium,
            &node.span.clone(),
            what,
        );
    }
    let health = object(state, "Health");
    if let Some(node) = filled(health, "Status").filter(|n| n.as_str() == Some("unhealthy")) {
        let streak = int(health, "FailingStreak").unwrap_or(0);
        let what = format!("its health check had failed {streak} times in a row");
        d.life("State.Health", Severity::Low, &node.span.clone(), what);
    }
}
