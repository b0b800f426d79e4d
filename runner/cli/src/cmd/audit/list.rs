//! The rules, listed.

use prodmirror_model::audit::RULES;
use serde_json::json;

use crate::args::Format;
use crate::report::look::Look;

/// All rules: a line each, or JSON.
pub fn text(format: Format, look: Look) -> String {
    if format != Format::Human {
        let all: Vec<_> = RULES
            .iter()
            .map(|r| json!({ "id": r.id, "severity": r.severity, "what": r.what, "why": r.why, "fix": r.fix }))
            .collect();
        return format!("{}\n", json!({ "rules": all }));
    }
    RULES
        .iter()
        .map(|r| {
            let (id, severity) = (
                format!("{:<20}", r.id),
                format!("{:<8}", r.severity.to_string()),
            );
            format!("{} {severity} {}\n", look.name(&id), r.what)
        })
        .collect()
}
