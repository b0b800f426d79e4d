//! Hosts outside of the environment that values of the service name.

use crate::compare::fact::Case;
use crate::policy::Decision;

/// Each host, and what the project declares for it.
pub(super) fn facts(case: &mut Case<'_>) {
    let externals = case.externals;
    for e in externals {
        let Some(mention) = e.found.iter().find(|m| m.service == case.name) else {
            continue;
        };
        let host = e
            .port
            .map_or_else(|| e.host.clone(), |p| format!("{}:{p}", e.host));
        let declared = match e.decision {
            Decision::Stubbed => "declared, with a stub",
            Decision::Allowed => "declared, and allowed",
            Decision::Denied => "declared, and denied",
            Decision::Undeclared => "no spec describes it",
        };
        let text = format!("named in {}; {declared}", mention.field);
        case.put(format!("hosts[{host}]"), text, &mention.span);
    }
}
