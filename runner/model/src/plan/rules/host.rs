//! Rules about limits, restarts, logging and health checks.

use serde_json::{Value as Json, json};

use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::plan::deviations::{Deviation, Pair};
use crate::plan::draft::{Draft, Note};
use crate::source::Span;

/// Least memory that the engine takes as a limit, in bytes.
const MEMORY_FLOOR: i64 = 6 * 1024 * 1024;
/// Period of the processor quota, in microseconds: the one that the engine itself uses.
pub(in crate::plan) const CPU_PERIOD: i64 = 100_000;
/// Logging drivers whose output the engine keeps and gives back.
const LOCAL_DRIVERS: [&str; 2] = ["json-file", "local"];

/// Keeps output on the engine.
pub(in crate::plan) fn logging(draft: &mut Draft<'_>, rule: &Deviation) {
    let declared = draft.host().get("LogConfig").map(|c| c["Type"].clone());
    let driver = match &declared {
        Some(Json::String(driver)) if !driver.is_empty() => driver.clone(),
        _ => draft.options.host.log_driver.clone(),
    };
    if driver.is_empty() || LOCAL_DRIVERS.contains(&driver.as_str()) {
        return;
    }
    draft
        .host()
        .insert("LogConfig".into(), json!({ "Type": LOCAL_DRIVERS[0] }));
    let span = draft
        .service
        .logging
        .as_ref()
        .map_or_else(Span::generated, |l| l.span.clone());
    draft.note(
        rule,
        Note {
            field: "logging.driver",
            declared: driver,
            actual: LOCAL_DRIVERS[0].into(),
            span: &span,
        },
    );
}

pub(in crate::plan) fn allows_logging(pair: Pair<'_>) -> bool {
    match pair.path {
        "HostConfig.LogConfig.Type" => pair
            .actual
            .is_none_or(|a| a.as_str().is_some_and(|a| LOCAL_DRIVERS.contains(&a))),
        // Options go with their driver.
        path => path.starts_with("HostConfig.LogConfig.") && pair.actual.is_none(),
    }
}

/// Turns restarts off, but for services that start only by them: each of theirs is told.
pub(in crate::plan) fn restart(draft: &mut Draft<'_>, rule: &Deviation) {
    if draft.options.patient.contains(&draft.service.name.value) {
        return;
    }
    let Some(policy) = draft.host().shift_remove("RestartPolicy") else {
        return;
    };
    let name = policy["Name"].as_str().unwrap_or("");
    if matches!(name, "" | "no") {
        return;
    }
    let of_deployment = draft
        .service
        .deployment
        .as_ref()
        .and_then(|d| d.restart.as_ref());
    let (field, span) = match (of_deployment, &draft.service.restart) {
        (Some(rule), _) => ("deploy.restart_policy", rule.span.clone()),
        (None, Some(restart)) => ("restart", restart.span.clone()),
        (None, None) => ("restart", Span::generated()),
    };
    draft.note(
        rule,
        Note {
            field,
            declared: name.to_owned(),
            actual: "no".into(),
            span: &span,
        },
    );
}

pub(in crate::plan) fn allows_restart(pair: Pair<'_>) -> bool {
    pair.actual
        .is_none_or(|a| matches!(a["Name"].as_str(), None | Some("" | "no")))
}

/// Writes a limit of processors as a quota.
pub(in crate::plan) fn processors(draft: &mut Draft<'_>, rule: &Deviation) {
    let nano = draft.host_number("NanoCpus");
    if nano <= 0 {
        return;
    }
    let deployed = draft.service.deployment.as_ref();
    let deployed = deployed
        .and_then(|d| d.resources.as_ref()?.limits.as_ref()?.cpus.as_ref())
        .filter(|c| c.nano() != 0);
    let (field, span) = match (deployed, &draft.service.limits.cpus) {
        (Some(cpus), _) => ("deploy.resources.limits.cpus", cpus.span.clone()),
        (None, Some(cpus)) => ("cpus", cpus.span.clone()),
        (None, None) => ("cpus", Span::generated()),
    };
    if draft.host_number("CpuQuota") != 0 || draft.host_number("CpuPeriod") != 0 {
        let message = format!(
            "service {} limits its processors by cpus and by a quota at once",
            draft.service.name.value
        );
        draft.problems.push(
            Problem::at(ProblemKind::Conflict, &span, message)
                .help("the engine takes one of both; remove cpus, or cpu_quota and cpu_period"),
        );
        return;
    }
    // The engine takes a quota of a millisecond at least.
    let quota = (nano / (1_000_000_000 / CPU_PERIOD)).max(1000);
    let host = draft.host();
    host.shift_remove("NanoCpus");
    host.insert("CpuPeriod".into(), json!(CPU_PERIOD));
    host.insert("CpuQuota".into(), json!(quota));
    let cpus = nano as f64 / 1e9;
    let above = draft.options.host.cpus > 0 && cpus > f64::from(draft.options.host.cpus);
    let (severity, actual) = if above {
        let own = draft.options.host.cpus;
        (
            Severity::Medium,
            format!("{cpus}, of which this host has {own}"),
        )
    } else {
        (rule.severity, format!("{quota} of {CPU_PERIOD} µs"))
    };
    draft.note_as(
        rule,
        severity,
        Note {
            field,
            declared: cpus.to_string(),
            actual,
            span: &span,
        },
    );
}

/// The quota stands for the same limit; [`agree`](crate::plan::agree()) has put both under one
/// field before.
pub(in crate::plan) fn allows_processors(pair: Pair<'_>) -> bool {
    pair.expected == pair.actual
}

/// Raises a limit of memory to the least that the engine takes.
pub(in crate::plan) fn memory(draft: &mut Draft<'_>, rule: &Deviation) {
    let memory = draft.host_number("Memory");
    if memory <= 0 || memory >= MEMORY_FLOOR {
        return;
    }
    let host = draft.host();
    host.insert("Memory".into(), json!(MEMORY_FLOOR));
    let swap = host.get("MemorySwap").and_then(Json::as_i64).unwrap_or(0);
    if (1..MEMORY_FLOOR).contains(&swap) {
        host.insert("MemorySwap".into(), json!(MEMORY_FLOOR));
    }
    let span = draft
        .service
        .limits
        .memory
        .as_ref()
        .map_or_else(|| draft.service.name.span.clone(), |m| m.span.clone());
    draft.note(
        rule,
        Note {
            field: "mem_limit",
            declared: memory.to_string(),
            actual: MEMORY_FLOOR.to_string(),
            span: &span,
        },
    );
}

pub(in crate::plan) fn allows_memory(pair: Pair<'_>) -> bool {
    let number = |value: Option<&Json>| value.and_then(Json::as_i64);
    let (Some(expected), Some(actual)) = (number(pair.expected), number(pair.actual)) else {
        return false;
    };
    match pair.path {
        "HostConfig.Memory" => expected < MEMORY_FLOOR && actual == MEMORY_FLOOR,
        "HostConfig.MemorySwap" => expected < 2 * MEMORY_FLOOR && actual >= MEMORY_FLOOR,
        _ => false,
    }
}

/// Takes out processors that the host does not have.
pub(in crate::plan) fn cpuset(draft: &mut Draft<'_>, rule: &Deviation) {
    let own = draft.options.host.cpus;
    let set = draft
        .host()
        .get("CpusetCpus")
        .and_then(Json::as_str)
        .map(str::to_owned);
    let Some(set) = set.filter(|_| own > 0) else {
        return;
    };
    let Some(kept) = within(&set, own) else {
        return;
    };
    let host = draft.host();
    if kept.is_empty() {
        host.shift_remove("CpusetCpus");
    } else {
        host.insert("CpusetCpus".into(), json!(kept));
    }
    let span = draft
        .service
        .limits
        .cpuset
        .as_ref()
        .map_or_else(Span::generated, |c| c.span.clone());
    draft.note(
        rule,
        Note {
            field: "cpuset",
            declared: set,
            actual: kept,
            span: &span,
        },
    );
}

/// The part of a list such as `0-2,4` below a number; none when it is all there, or is no such
/// list (then the engine says so).
fn within(set: &str, count: u32) -> Option<String> {
    let last = count.checked_sub(1)?;
    let mut kept = Vec::new();
    let mut changed = false;
    for part in set.split(',') {
        let (from, to) = part
            .trim()
            .split_once('-')
            .unwrap_or((part.trim(), part.trim()));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        changed |= to > last;
        if from > last || from > to {
            continue;
        }
        let to = to.min(last);
        kept.push(if from == to {
            from.to_string()
        } else {
            format!("{from}-{to}")
        });
    }
    changed.then(|| kept.join(","))
}

pub(in crate::plan) fn allows_cpuset(pair: Pair<'_>) -> bool {
    pair.expected.is_some()
}

/// Lowers the limit of open files to what the engine may give.
pub(in crate::plan) fn nofile(draft: &mut Draft<'_>, rule: &Deviation) {
    let limit = draft.options.host.nofile_limit;
    let Some(limit) = limit.and_then(|l| i64::try_from(l).ok()) else {
        return;
    };
    let Some(Json::Array(ulimits)) = draft.host().get_mut("Ulimits") else {
        return;
    };
    let mut declared = None;
    for ulimit in ulimits.iter_mut().filter(|u| u["Name"] == "nofile") {
        for side in ["Soft", "Hard"] {
            let value = ulimit[side].as_i64().unwrap_or(0);
            // -1 is no limit at all.
            if value > limit || value < 0 {
                declared = Some(value);
                ulimit[side] = json!(limit);
            }
        }
    }
    let Some(declared) = declared else { return };
    let span = draft
        .service
        .limits
        .ulimits
        .get("nofile")
        .map_or_else(Span::generated, |u| u.span.clone());
    draft.note(
        rule,
        Note {
            field: "ulimits.nofile",
            declared: declared.to_string(),
            actual: limit.to_string(),
            span: &span,
        },
    );
}

/// All limits but that of open files are the same, and that one is not higher.
pub(in crate::plan) fn allows_nofile(pair: Pair<'_>) -> bool {
    fn list(value: Option<&Json>) -> Vec<&Json> {
        value
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .collect()
    }
    let (expected, actual) = (list(pair.expected), list(pair.actual));
    expected.len() == actual.len()
        && expected.iter().all(|limit| {
            let other = actual.iter().find(|o| o["Name"] == limit["Name"]);
            other.is_some_and(|other| other == limit || limit["Name"] == "nofile")
        })
}

/// Takes out what older engines do not know.
pub(in crate::plan) fn start_interval(draft: &mut Draft<'_>, rule: &Deviation) {
    if draft.options.host.api_at_least(1, 44) {
        return;
    }
    let Some(Json::Object(check)) = draft.body.get_mut("Healthcheck") else {
        return;
    };
    if check.shift_remove("StartInterval").is_none() {
        return;
    }
    let interval = draft
        .service
        .health
        .as_ref()
        .and_then(|h| h.start_interval.clone());
    let Some(interval) = interval else { return };
    draft.note(
        rule,
        Note {
            field: "healthcheck.start_interval",
            declared: crate::mirror::quantity::format_duration(interval.value),
            actual: String::new(),
            span: &interval.span,
        },
    );
}

pub(in crate::plan) fn allows_start_interval(pair: Pair<'_>) -> bool {
    pair.actual.is_none()
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn processors_that_are_not_there_are_taken_out() {
        assert_eq!(within("0-1", 2), None);
        assert_eq!(within("0-7", 2).as_deref(), Some("0-1"));
        assert_eq!(within("1,4-6", 2).as_deref(), Some("1"));
        assert_eq!(within("4", 2).as_deref(), Some(""));
        assert_eq!(within("x", 2), None);
        assert_eq!(within("0", 0), None);
    }
}
