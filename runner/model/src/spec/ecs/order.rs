//! What a container waits for before it starts.

use super::compose::Part;
use super::health;
use super::network::unknown_container;
use super::notes::{Fact, Notes};
use super::object::Object;
use super::task::Member;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::source::Span;
use crate::spec::Beyond;
use crate::yaml::{Mapping, Node};

/// Writes `depends_on`; what waits for an end with any exit code goes beyond Compose.
pub(super) fn translate(
    container: &mut Object<'_>,
    me: &Member<'_>,
    members: &[Member<'_>],
    service: &mut Part,
    beyond: &mut Beyond,
    notes: &mut Notes,
) {
    let mut needs = Mapping::default();
    for mut dependency in container.objects("dependsOn", notes) {
        let name = dependency.word("containerName", notes);
        let condition = dependency.word("condition", notes);
        let span = dependency.span.clone();
        dependency.finish(notes);
        let (Some(name), Some(condition)) = (name, condition) else {
            notes.invalid(
                &span,
                "a dependency has a `containerName` and a `condition`",
            );
            continue;
        };
        let Some(other) = members.iter().find(|m| m.name.value == name.value) else {
            notes.refuse(unknown_container(&name, &name.span));
            continue;
        };
        let word = match condition.to_ascii_uppercase().as_str() {
            "START" => "service_started",
            "SUCCESS" => "service_completed_successfully",
            "COMPLETE" => {
                let waits = beyond.extension.after_end.entry(me.key.clone());
                waits.or_default().push(other.key.clone());
                "service_started"
            }
            "HEALTHY" => {
                if !health::has_check(other.node) {
                    notes.refuse(no_check(&name.value, &condition.span, other));
                }
                "service_healthy"
            }
            other => {
                let message = format!(
                    "`{other}` is no condition: there are START, COMPLETE, SUCCESS and HEALTHY"
                );
                notes.invalid(&condition.span, message);
                continue;
            }
        };
        needs.insert(&other.key, condition_of(word, &condition.span));
    }
    router(me, members, &mut needs);
    service.map("depends_on", needs);
    timeout(container, notes);
}

fn no_check(name: &str, at: &Span, other: &Member<'_>) -> Problem {
    Problem::at(
        ProblemKind::InvalidValue,
        at,
        format!("`{name}` never gets healthy: it has no `healthCheck` (that of its image does not count)"),
    )
    .related(&other.name.span, "the container is here")
}

fn condition_of(word: &str, at: &Span) -> Node {
    let mut condition = Part::default();
    condition.set("condition", Node::str(word, at.clone()));
    condition.node(at)
}

/// Who logs through FireLens starts after its router.
fn router(me: &Member<'_>, members: &[Member<'_>], needs: &mut Mapping) {
    let driver = me.node.at(&["logConfiguration", "logDriver"]);
    let Some(driver) = driver.filter(|d| d.as_str() == Some("awsfirelens")) else {
        return;
    };
    let is_router = |m: &&Member<'_>| {
        let firelens = m.node.get("firelensConfiguration");
        firelens.is_some_and(|f| !f.is_null()) && m.key != me.key
    };
    if let Some(router) = members.iter().find(is_router)
        && !needs.contains_key(&router.key)
    {
        let condition = condition_of("service_started", &driver.span);
        needs.insert(&router.key, super::compose::implied(condition));
    }
}

fn timeout(container: &mut Object<'_>, notes: &mut Notes) {
    if let Some(limit) = container.count("startTimeout", notes) {
        let fact = Fact {
            field: "startTimeout",
            declared: format!("{} s", limit.value),
            actual: "the time that the run gives its stack to start",
            reason: "the mirror has one limit for all services together",
            span: &limit.span,
        };
        notes.substituted(Severity::Low, fact);
    }
}
