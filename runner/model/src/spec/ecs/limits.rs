//! What a container may use: its own limits, and those of its task.

use super::compose::{Part, implied};
use super::notes::{Fact, Notes};
use super::object::Object;
use crate::fidelity::Severity;
use crate::yaml::{Mapping, Node, Spanned};

const MIB: i64 = 1024 * 1024;
/// Weights beyond these are not given to the engine.
const SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;
/// Open files that Fargate lets every container have.
const FARGATE_FILES: i64 = 65_535;

/// The limits of a whole task.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskLimits {
    /// Processor units; 1024 are one processor.
    pub cpu: Option<Spanned<i64>>,
    /// MiB.
    pub memory: Option<Spanned<i64>>,
}

impl TaskLimits {
    /// Reads `cpu` and `memory` of a task definition.
    pub fn of(task: &mut Object<'_>, notes: &mut Notes) -> Self {
        let mut quantity = |key: &'static str, parse: fn(&str) -> Option<i64>| {
            let text = task.word(key, notes)?;
            let value = parse(&text);
            if value.is_none() {
                let message = format!("`{key}: {}` is not a quantity of ECS", text.as_str());
                notes.invalid(&text.span, message);
            }
            Some(Spanned::new(value?, text.span))
        };
        Self {
            cpu: quantity("cpu", cpu_units),
            memory: quantity("memory", mebibytes),
        }
    }
}

/// `256`, `1 vCPU`, `.5vcpu`.
fn cpu_units(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    match text.strip_suffix("vcpu") {
        Some(n) => scaled(n, 1024.0),
        None => text.parse().ok().filter(|n| *n > 0),
    }
}

/// `512`, `0.5GB`, `1 GB`, `512 MB`.
fn mebibytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(n) = text.strip_suffix("gb") {
        return scaled(n, 1024.0);
    }
    let text = text.strip_suffix("mb").unwrap_or(&text).trim();
    text.parse().ok().filter(|n| *n > 0)
}

fn scaled(text: &str, unit: f64) -> Option<i64> {
    let n: f64 = text.trim().parse().ok()?;
    let units = (n * unit).round();
    (1.0..1e12).contains(&units).then_some(units as i64)
}

/// Writes limits of processors, memory and open files.
pub(super) fn translate(
    container: &mut Object<'_>,
    service: &mut Part,
    task: &TaskLimits,
    fargate: bool,
    notes: &mut Notes,
) {
    shares(container, service, notes);
    if let Some(cpu) = &task.cpu {
        let cpus = format!("{}", cpu.value as f64 / 1024.0);
        let fact = Fact {
            field: "cpu (task)",
            declared: format!("{} units for all containers together", cpu.value),
            actual: &format!("{cpus} processors for each container"),
            reason: "the engine has no limit for several containers together",
            span: &cpu.span,
        };
        notes.substituted(Severity::Low, fact);
        service.set("cpus", Node::str(cpus, cpu.span.clone()));
    }
    memory(container, service, task, notes);
    if fargate && let Some(limit) = service.0.get("mem_limit").cloned() {
        // Without it the engine grants as much swap as memory; on Fargate there is none.
        service.set("memswap_limit", implied(limit));
    }
    ulimits(container, service, fargate, notes);
}

fn shares(container: &mut Object<'_>, service: &mut Part, notes: &mut Notes) {
    let cpu = container.count("cpu", notes);
    let node = match cpu {
        Some(n) => Node::int(n.value.clamp(*SHARES.start(), *SHARES.end()), n.span),
        None => implied(Node::int(*SHARES.start(), container.span.clone())),
    };
    service.set("cpu_shares", node);
}

fn memory(container: &mut Object<'_>, service: &mut Part, task: &TaskLimits, notes: &mut Notes) {
    let bytes = |n: &Spanned<i64>| Node::int(n.value.saturating_mul(MIB), n.span.clone());
    let own = container.count("memory", notes).filter(|n| n.value > 0);
    let soft = container
        .count("memoryReservation", notes)
        .filter(|n| n.value > 0);
    if let Some(whole) = &task.memory {
        let actual = match &own {
            Some(own) => format!("its own limit of {} MiB", own.value),
            None => format!(
                "{} MiB for each container without a limit of its own",
                whole.value
            ),
        };
        let fact = Fact {
            field: "memory (task)",
            declared: format!("{} MiB for all containers together", whole.value),
            actual: &actual,
            reason: "the engine has no limit for several containers together",
            span: &whole.span,
        };
        notes.substituted(Severity::Low, fact);
    }
    if let Some(limit) = own.as_ref().or(task.memory.as_ref()) {
        service.set("mem_limit", bytes(limit));
    }
    if let Some(soft) = soft {
        service.set("mem_reservation", bytes(&soft));
    }
}

/// Swap, which counts on top of the memory in ECS.
pub(super) fn swap(linux: &mut Object<'_>, service: &mut Part, fargate: bool, notes: &mut Notes) {
    let max = linux.count("maxSwap", notes);
    let swappiness = linux.count("swappiness", notes);
    if fargate {
        for (field, value) in [("maxSwap", &max), ("swappiness", &swappiness)] {
            if let Some(v) = value {
                let field = linux.path(field);
                let node = Node::int(v.value, v.span.clone());
                notes.dropped(Severity::Low, &field, &node, "Fargate has no swap");
            }
        }
        return;
    }
    let Some(max) = max else {
        if let Some(s) = swappiness {
            let node = Node::int(s.value, s.span);
            let field = linux.path("swappiness");
            notes.dropped(
                Severity::Info,
                &field,
                &node,
                "ECS ignores it without maxSwap",
            );
        }
        return;
    };
    let memory = service.0.get("mem_limit").and_then(Node::as_int);
    match memory {
        Some(memory) => {
            let whole = memory.saturating_add(max.value.saturating_mul(MIB));
            service.set("memswap_limit", Node::int(whole, max.span));
            if let Some(s) = swappiness {
                service.set("mem_swappiness", Node::int(s.value, s.span));
            }
        }
        None => {
            let node = Node::int(max.value, max.span);
            let field = linux.path("maxSwap");
            notes.dropped(
                Severity::Low,
                &field,
                &node,
                "there is no limit of memory to add it to",
            );
        }
    }
}

fn ulimits(container: &mut Object<'_>, service: &mut Part, fargate: bool, notes: &mut Notes) {
    let mut limits = Mapping::default();
    for mut limit in container.objects("ulimits", notes) {
        let name = limit.word("name", notes);
        let soft = limit.int("softLimit", notes);
        let hard = limit.int("hardLimit", notes);
        let span = limit.span.clone();
        limit.finish(notes);
        let (Some(name), Some(soft), Some(hard)) = (name, soft, hard) else {
            notes.invalid(
                &span,
                "a ulimit has a `name`, a `softLimit` and a `hardLimit`",
            );
            continue;
        };
        let mut pair = Part::default();
        pair.set("soft", Node::int(soft.value, soft.span));
        pair.set("hard", Node::int(hard.value, hard.span));
        limits.insert(name.value.to_ascii_lowercase(), pair.node(&span));
    }
    if fargate && !limits.contains_key("nofile") {
        let span = container.span;
        let mut pair = Part::default();
        for key in ["soft", "hard"] {
            pair.set(key, Node::int(FARGATE_FILES, span.clone()));
        }
        limits.insert("nofile", implied(pair.node(span)));
    }
    service.map("ulimits", limits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_tasks() {
        assert_eq!(cpu_units("256"), Some(256));
        assert_eq!(cpu_units("1 vCPU"), Some(1024));
        assert_eq!(cpu_units(".25vcpu"), Some(256));
        assert_eq!(cpu_units("half"), None);
        assert_eq!(mebibytes("512"), Some(512));
        assert_eq!(mebibytes("0.5GB"), Some(512));
        assert_eq!(mebibytes("2 gb"), Some(2048));
        assert_eq!(mebibytes("0"), None);
        assert_eq!(mebibytes("1e400GB"), None);
    }
}
