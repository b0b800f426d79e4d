//! The time zone.

use crate::audit::zone;
use crate::compare::fact::Case;

/// The time zone that the spec sets; UTC by any of its names is the same.
pub(super) fn facts(case: &mut Case<'_>) {
    let Some(zone) = zone::of(case.service) else {
        return;
    };
    let name = if zone::same(&zone.name, "UTC") {
        "UTC".to_owned()
    } else {
        zone.name
    };
    case.put("time zone", name, &zone.span);
}
