//! Hosts that values name and that no spec describes.

use crate::audit::{Found, Look};
use crate::policy::externals::{Decision, find as externals};

/// Finds them; what `mirror.yaml` declares under `egress` is described.
pub fn find(look: &Look<'_>, found: &mut Found) {
    for e in externals(look.mirror, look.project) {
        let Some(first) = e.found.first() else {
            continue;
        };
        if e.decision != Decision::Undeclared {
            continue;
        }
        let shown = e
            .port
            .map_or_else(|| e.host.clone(), |p| format!("{}:{p}", e.host));
        let finding = found.service(
            &first.service,
            first.field.clone(),
            &first.span,
            format!(
                "{} names `{shown}`, and no spec says what answers there",
                first.field
            ),
        );
        finding.key(shown);
        finding.fix(format!(
            "describe it in the spec, or declare it in mirror.yaml:\negress:\n  \"{}\": {{ stub: stubs/{}.yaml }}   # or {{ allow: true }}, {{ deny: true }}",
            e.endpoint(),
            e.host.replace(['.', ':'], "-"),
        ));
        for m in e.found.iter().skip(1).take(4) {
            finding.related(&m.span, format!("`{}` names it in {}", m.service, m.field));
        }
    }
}
