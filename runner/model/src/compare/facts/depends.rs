//! What must have started before.

use crate::compare::fact::Case;
use crate::mirror::Condition;

/// Each dependency with its condition.
pub(super) fn facts(case: &mut Case<'_>) {
    for d in &case.service.depends_on {
        let mut text = match d.condition() {
            Condition::Started => "started",
            Condition::Healthy => "healthy",
            Condition::CompletedSuccessfully => "completed",
            Condition::Ended => "ended",
        }
        .to_owned();
        if !d.required() {
            text += ", not required";
        }
        if d.restart() {
            text += ", restarts with it";
        }
        case.put(
            format!("depends_on.{}", d.service.value),
            text,
            &d.service.span,
        );
    }
}
