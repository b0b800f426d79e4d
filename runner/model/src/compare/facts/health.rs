//! The health check.

use crate::compare::fact::Case;
use crate::compare::mask;
use crate::mirror::quantity::format_duration;
use crate::stack::extension::ProbeSpec;

/// Its command and its times.
pub(super) fn facts(case: &mut Case<'_>) {
    probes(case);
    let Some(health) = &case.service.health else {
        return;
    };
    if let Some(off) = health.disable.as_ref().filter(|d| d.value) {
        case.put("healthcheck", "switched off", &off.span);
        return;
    }
    if let Some(test) = &health.test {
        let words: Vec<&str> = test.iter().map(|t| t.as_str()).collect();
        case.put(
            "healthcheck.test",
            mask::secrets(&words.join(" ")),
            &test.span,
        );
    }
    let times = [
        ("interval", &health.interval),
        ("timeout", &health.timeout),
        ("start_period", &health.start_period),
        ("start_interval", &health.start_interval),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            case.put(
                format!("healthcheck.{name}"),
                format_duration(time.value),
                &time.span,
            );
        }
    }
    if let Some(retries) = &health.retries {
        case.put(
            "healthcheck.retries",
            retries.value.to_string(),
            &retries.span,
        );
    }
}

/// Checks that an orchestrator makes.
fn probes(case: &mut Case<'_>) {
    let Some(probes) = case.side.beyond.extension.probes.get(case.name) else {
        return;
    };
    let span = case.service.name.span.clone();
    let text = |p: &ProbeSpec| mask::secrets(&serde_json::to_string(p).unwrap_or_default());
    if let Some(startup) = &probes.startup {
        case.put("probes.startup", text(startup), &span);
    }
    for (i, ready) in probes.ready.iter().enumerate() {
        case.put(format!("probes.ready[{i}]"), text(ready), &span);
    }
}
