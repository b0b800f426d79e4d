//! Where output goes: the driver of production is left to the policy; what FireLens adds to a
//! container is added here.

use super::compose::{Part, implied};
use super::container::{Within, text_map};
use super::notes::{Fact, Notes};
use super::object::Object;
use super::task::{Member, Mode};
use crate::fidelity::Severity;
use crate::yaml::{Mapping, Node};

const FIRELENS: &str = "awsfirelens";
/// The port on which a router takes lines.
const FIRELENS_PORT: &str = "24224";

/// Writes `logging`.
pub(super) fn translate(
    container: &mut Object<'_>,
    me: &Member<'_>,
    within: &Within<'_, '_>,
    service: &mut Part,
    notes: &mut Notes,
) {
    router(container, notes);
    let Some(mut log) = container.object("logConfiguration", notes) else {
        return;
    };
    let mut part = Part::default();
    let driver = log.word("logDriver", notes);
    let firelens = driver.as_ref().is_some_and(|d| d.value == FIRELENS);
    part.text("driver", driver);
    if let Some(options) = log.node("options") {
        let path = log.path("options");
        part.map("options", text_map(options, &path, notes));
    }
    let reason = "the driver that would need them is not used";
    log.drop("secretOptions", Severity::Low, reason, notes);
    let span = log.span.clone();
    log.finish(notes);
    service.set("logging", part.node(&span));
    if firelens {
        let host = match within.task.mode {
            Mode::Bridge => within
                .members
                .iter()
                .find(|m| is_router(m.node) && m.key != me.key),
            _ => None,
        };
        let host = host.map_or_else(|| "127.0.0.1".to_owned(), |m| m.key.clone());
        let mut env = Mapping::default();
        env.insert("FLUENT_HOST", implied(Node::str(host, span.clone())));
        env.insert("FLUENT_PORT", implied(Node::str(FIRELENS_PORT, span)));
        let old = service.0.remove("environment");
        service.map("environment", env);
        if let Some(old) = old.as_ref().and_then(Node::as_map) {
            service.map("environment", old.clone());
        }
    }
}

fn is_router(node: &Node) -> bool {
    node.get("firelensConfiguration")
        .is_some_and(|f| !f.is_null())
}

/// The router of FireLens runs, but nothing is routed to it.
fn router(container: &mut Object<'_>, notes: &mut Notes) {
    let Some(node) = container.node("firelensConfiguration") else {
        return;
    };
    let kind = node.get("type").and_then(Node::as_str).unwrap_or("");
    let fact = Fact {
        field: "firelensConfiguration",
        declared: kind.to_owned(),
        actual: "the router with the configuration of its image",
        reason: "ECS writes its configuration and routes the output of other containers to it; here the engine keeps their output",
        span: &node.span,
    };
    notes.substituted(Severity::Medium, fact);
}
