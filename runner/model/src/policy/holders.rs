//! Services that run the agent: those that hold the network of a pod or task, and those that
//! stand before another one.

use crate::mirror::{Argv, Bytes, Logging, Mirror, Service, Sourced};
use crate::source::Span;
use crate::spec::Beyond;

/// Lets every holder and front run the agent. Networks, names, ports and kernel parameters stay: they are
/// the pod's.
pub(super) fn apply(mirror: &mut Mirror, beyond: &Beyond, agent_image: &str) {
    for (name, at) in &beyond.holders {
        if let Some(service) = mirror.services.get_mut(name) {
            run_agent(service, agent_image, &["hold"], at);
        }
    }
    for (name, front) in &beyond.fronts {
        if let Some(service) = mirror.services.get_mut(name) {
            let forwards = front.forwards.iter().map(String::as_str);
            let command: Vec<&str> = [front.does.name()].into_iter().chain(forwards).collect();
            run_agent(service, agent_image, &command, &front.at);
        }
    }
}

/// Bytes of memory that the agent may use; it needs a tenth.
const AGENT_MEMORY: i64 = 256 << 20;
/// Threads that the agent may have.
const AGENT_PIDS: i64 = 512;

/// Makes a service run the agent in a mode, with the least rights.
pub(super) fn run_agent(service: &mut Service, agent_image: &str, command: &[&str], at: &Span) {
    let text = |t: &str| Sourced::new(t.to_owned(), at.clone());
    service.image.reference = Some(text(agent_image));
    service.image.pull_policy = Some(text("never"));
    service.image.build = None;
    let command = command.iter().map(|a| text(a)).collect();
    service.process.entrypoint = Sourced::default();
    service.process.command = Sourced::new(Argv::Set(command), at.clone());
    service.security.cap_drop = vec![text("ALL")];
    service.security.cap_add = vec![text("NET_BIND_SERVICE")];
    service.security.options = vec![text("no-new-privileges:true")];
    service.limits.memory = Some(Sourced::new(Bytes(AGENT_MEMORY), at.clone()));
    service.limits.pids = Some(Sourced::new(AGENT_PIDS, at.clone()));
    service.logging = Some(Sourced::new(
        Logging {
            driver: Some(text("json-file")),
            ..Logging::default()
        },
        at.clone(),
    ));
}
