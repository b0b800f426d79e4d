//! The health check.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::fields::Fields;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Service, Sourced};

/// The health check of a service. Fields that the spec leaves out are left out, so that the
/// engine takes them from the image.
pub(super) fn check(service: &Service, problems: &mut Problems) -> Option<Json> {
    let health = service.health.as_ref()?;
    let mut check = Fields::new();
    if health.disable.as_ref().is_some_and(|d| d.value) {
        check.set("Test", json!(["NONE"]));
    } else if let Some(test) = &health.test {
        check.texts("Test", test);
    }
    for (key, value) in [
        ("Interval", &health.interval),
        ("Timeout", &health.timeout),
        ("StartPeriod", &health.start_period),
        ("StartInterval", &health.start_interval),
    ] {
        check.number(key, nanos(value));
    }
    if let Some(retries) = &health.retries {
        check.number("Retries", i64::try_from(retries.value).unwrap_or(i64::MAX));
    }
    if let (Some(interval), None) = (&health.start_interval, &health.start_period) {
        let message = format!(
            "service {} has a start_interval for its health check and no start_period",
            service.name.value
        );
        problems.push(
            Problem::at(ProblemKind::Conflict, &interval.span, message)
                .help("the engine refuses that; add start_period"),
        );
    }
    Some(check.into_json())
}

fn nanos(duration: &Option<Sourced<Duration>>) -> i64 {
    duration
        .as_ref()
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
