//! Which scenarios a change is a part of.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use prodmirror_engine::step::Program;
use prodmirror_model::event::CaseId;

/// Whether a scenario says something of a file: it stands there, or names it.
pub fn is_part_of(program: &Program, changed: &BTreeSet<PathBuf>) -> bool {
    let sources = &program.scenario.sources;
    changed.iter().any(|path| {
        let real = path.canonicalize();
        let is_source = sources
            .iter()
            .filter_map(|s| s.path.as_ref())
            .any(|p| p == path || matches!((&real, p.canonicalize()), (Ok(a), Ok(b)) if *a == b));
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        // A step reads it: a body, a statement, a proto.
        is_source || name.is_some_and(|n| sources.iter().any(|s| s.text.contains(&n)))
    })
}

/// The programs of these cases, with all that they need, in order.
pub fn with_needs(programs: &[Arc<Program>], cases: Vec<CaseId>) -> Vec<Arc<Program>> {
    let mut wanted: BTreeSet<CaseId> = BTreeSet::new();
    let mut open = cases;
    while let Some(case) = open.pop() {
        let program = programs.iter().find(|p| p.case() == case);
        if wanted.insert(case) {
            open.extend(program.iter().flat_map(|p| p.needs()).cloned());
        }
    }
    let wanted = |p: &&Arc<Program>| wanted.contains(&p.case());
    programs.iter().filter(wanted).cloned().collect()
}
