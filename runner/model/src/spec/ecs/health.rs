//! Health checks: seconds, with ECS's own defaults. The image's check has no meaning there.

use super::compose::{Part, implied};
use super::notes::Notes;
use super::object::Object;
use crate::fidelity::Severity;
use crate::yaml::{Node, Spanned, Value};

/// Seconds and counts where a check does not say them.
const INTERVAL: i64 = 30;
const TIMEOUT: i64 = 5;
const RETRIES: i64 = 3;

/// Writes `healthcheck`.
pub(super) fn translate(container: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    let Some(mut check) = container.object("healthCheck", notes) else {
        return none(container, service);
    };
    let span = check.span.clone();
    let command = check.texts("command", notes);
    let mut part = Part::default();
    let mut seconds = |key: &'static str, to: &str, default: Option<i64>, part: &mut Part| {
        let given = check.count(key, notes);
        let duration = |n: i64| format!("{n}s");
        match (given, default) {
            (Some(n), _) => part.set(to, Node::str(duration(n.value), n.span)),
            (None, Some(n)) => part.set(to, implied(Node::str(duration(n), span.clone()))),
            (None, None) => {}
        }
    };
    seconds("interval", "interval", Some(INTERVAL), &mut part);
    seconds("timeout", "timeout", Some(TIMEOUT), &mut part);
    seconds("startPeriod", "start_period", None, &mut part);
    match check.count("retries", notes) {
        Some(n) => part.set("retries", Node::int(n.value, n.span)),
        None => part.set("retries", implied(Node::int(RETRIES, span.clone()))),
    }
    check.finish(notes);
    if command.is_empty() {
        return none(container, service);
    }
    if command[0].as_str() == "NONE" {
        return none(container, service);
    }
    if !is_valid(&command) {
        let first = Node::str(command[0].value.clone(), command[0].span.clone());
        let reason = "the engine makes no check whose command begins with neither CMD nor CMD-SHELL: production has none";
        notes.dropped(Severity::Medium, "healthCheck", &first, reason);
        return none(container, service);
    }
    part.texts("test", command);
    service.set("healthcheck", part.node(&span));
}

fn is_valid(command: &[Spanned<String>]) -> bool {
    match command[0].as_str() {
        "CMD" => command.len() > 1,
        "CMD-SHELL" => command.len() == 2,
        _ => false,
    }
}

/// Without a check of its own a container has none, whatever its image says.
fn none(container: &Object<'_>, service: &mut Part) {
    let mut off = Part::default();
    off.set("disable", Node::bool(true, container.span.clone()));
    service.set("healthcheck", implied(off.node(container.span)));
}

/// Whether a container has a check that ECS sees.
pub(super) fn has_check(container: &Node) -> bool {
    let command = container.at(&["healthCheck", "command"]).map(|n| &n.value);
    match command {
        Some(Value::Seq(items)) => {
            let first = items.first().and_then(Node::as_str);
            matches!(first, Some("CMD" | "CMD-SHELL"))
        }
        _ => false,
    }
}
