//! A container definition as a service.

use super::compose::{Part, implied};
use super::env::{self, Around};
use super::network::{self, Network};
use super::notes::{Fact, Notes};
use super::object::Object;
use super::task::{Member, Task};
use super::volumes::{self, TaskVolumes};
use super::{health, limits, linux, logging, order};
use crate::fidelity::Severity;
use crate::spec::Beyond;
use crate::stack::extension::End;
use crate::yaml::{Mapping, Node, Spanned};

/// Seconds that the agent gives a container to end.
const STOP_TIMEOUT: i64 = 30;

/// What a container is translated with.
pub(super) struct Within<'a, 'n> {
    /// Its task.
    pub task: &'a Task<'n>,
    /// The containers of the task.
    pub members: &'a [Member<'n>],
    /// The volumes of the task.
    pub volumes: &'a TaskVolumes,
    /// The network that it owns or shares.
    pub network: &'a mut Network,
    /// What Compose has no word for.
    pub beyond: &'a mut Beyond,
}

/// Translates a container.
pub(super) fn translate(
    me: &Member<'_>,
    within: &mut Within<'_, '_>,
    around: &mut Around<'_, '_>,
    notes: &mut Notes,
) -> Option<Part> {
    notes.object = format!("service:{}", me.key);
    let mut container = Object::of(me.node, "", notes)?;
    let c = &mut container;
    let task = within.task;
    let mut service = Part::default();
    let key_of = |name: &str| {
        let member = within.members.iter().find(|m| m.name.value == name);
        member.map(|m| m.key.clone())
    };
    c.node("name");
    process(c, &mut service, notes);
    env::translate(c, &mut service, around, notes);
    limits::translate(c, &mut service, &task.limits, task.fargate, notes);
    linux::translate(c, &mut service, task.fargate, notes);
    linux::resources(c, &mut service, notes);
    volumes::mounts(c, &mut service, within.volumes, key_of, notes);
    network::links(c, &mut service, task.mode, key_of, notes);
    let sysctls = within.network.take(c, task.mode, notes);
    service.map("sysctls", sysctls);
    health::translate(c, &mut service, notes);
    logging::translate(c, me, within, &mut service, notes);
    order::translate(c, me, within.members, &mut service, within.beyond, notes);
    ends(c, me, task, &mut service, within.beyond, notes);
    rights(c, &mut service, notes);
    rest(c, notes);
    container.finish(notes);
    Some(service)
}

fn process(c: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    // A container without an image is asked for one, like one with a placeholder.
    let image = c.word("image", notes);
    let image = image.unwrap_or_else(|| Spanned::new("<IMAGE>".to_owned(), c.span.clone()));
    service.text("image", Some(image));
    service.texts("entrypoint", c.texts("entryPoint", notes));
    service.texts("command", c.texts("command", notes));
    service.text("user", c.word("user", notes));
    service.text("working_dir", c.word("workingDirectory", notes));
    service.flag("tty", c.flag("pseudoTerminal", notes));
    service.flag("stdin_open", c.flag("interactive", notes));
    if let Some(labels) = c.node("dockerLabels") {
        service.map("labels", text_map(labels, "dockerLabels", notes));
    }
    let grace = match c.count("stopTimeout", notes) {
        Some(n) => Node::str(format!("{}s", n.value), n.span),
        None => implied(Node::str(format!("{STOP_TIMEOUT}s"), c.span.clone())),
    };
    service.set("stop_grace_period", grace);
}

fn rights(c: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    service.flag("privileged", c.flag("privileged", notes));
    service.flag("read_only", c.flag("readonlyRootFilesystem", notes));
    service.texts("security_opt", c.texts("dockerSecurityOptions", notes));
    let off = c.flag("disableNetworking", notes).filter(|d| d.value);
    if let Some(off) = off {
        service.set("network_mode", Node::str("none", off.span));
    }
    let reason = "it carries credentials of a production domain";
    c.drop("credentialSpecs", Severity::High, reason, notes);
}

/// What the end of a container means, and whether it starts again.
fn ends(
    c: &mut Object<'_>,
    me: &Member<'_>,
    task: &Task<'_>,
    service: &mut Part,
    beyond: &mut Beyond,
    notes: &mut Notes,
) {
    let essential = c.flag("essential", notes);
    let span = essential.as_ref().map_or(c.span, |e| &e.span).clone();
    let is_essential = essential.is_none_or(|e| e.value);
    // A task that no service runs may be a job: then its end is what it is for.
    let end = match (is_essential, task.is_service) {
        (false, _) => Some(End::Harmless),
        (true, true) => Some(End::Fatal),
        (true, false) => None,
    };
    if let Some(end) = end {
        beyond.extension.ends.insert(me.key.clone(), end);
    }
    if let Some(mut policy) = c.object("restartPolicy", notes) {
        let enabled = policy.flag("enabled", notes).is_some_and(|e| e.value);
        let at = policy.span.clone();
        if enabled {
            service.set("restart", Node::str("always", at));
        }
        let reason = "a restart policy of the engine knows no such rule";
        policy.drop("ignoredExitCodes", Severity::Low, reason, notes);
        policy.drop("restartAttemptPeriod", Severity::Info, reason, notes);
        policy.finish(notes);
    }
    if is_essential && task.is_service {
        let fact = Fact {
            field: "essential",
            declared: "its end ends the task, and the service starts another".to_owned(),
            actual: "its end is a failure of the run",
            reason: "a new task would hide a crash",
            span: &span,
        };
        notes.substituted(Severity::Low, fact);
    }
}

/// What the mirror goes without.
fn rest(c: &mut Object<'_>, notes: &mut Notes) {
    let reason = "the engine's own credentials are used to pull images";
    c.drop("repositoryCredentials", Severity::Low, reason, notes);
    let reason = "images are pinned by the lock";
    c.drop("versionConsistency", Severity::Info, reason, notes);
}

/// A mapping of texts; null counts as the empty text.
pub(super) fn text_map(node: &Node, path: &str, notes: &mut Notes) -> Mapping {
    let Some(map) = node.as_map() else {
        notes.wrong_type(path, node, "an object");
        return Mapping::default();
    };
    let mut out = Mapping::default();
    for (key, entry) in &map.0 {
        let value = match entry.node.scalar_text() {
            Some(text) => text,
            None if entry.node.is_null() => String::new(),
            None => {
                notes.wrong_type(&format!("{path}.{key}"), &entry.node, "a string");
                continue;
            }
        };
        let key = Spanned::new(key.clone(), entry.key.clone());
        super::compose::put(&mut out, &key, Node::str(value, entry.node.span.clone()));
    }
    out
}
