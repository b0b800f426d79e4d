//! Rules that a project switches off, and what an older state had already.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::table::RULES;
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::fidelity::Severity;
use crate::project::{Off, Project};

/// The result of an audit.
#[derive(Debug, Clone)]
pub struct Audit {
    /// All findings, those that the project suppresses too: those of one object together, the
    /// worst first.
    pub findings: Vec<Finding>,
    /// What is wrong with the project's own list of what is switched off.
    pub warnings: Problems,
}

impl Audit {
    /// The findings that count.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.suppressed.is_none())
    }

    /// How many findings that count have at least this severity.
    pub fn at_least(&self, severity: Severity) -> usize {
        self.open().filter(|f| f.severity >= severity).count()
    }

    /// How many findings that count there are of each severity.
    pub fn totals(&self) -> BTreeMap<Severity, usize> {
        let mut totals = BTreeMap::new();
        for f in self.open() {
            *totals.entry(f.severity).or_default() += 1;
        }
        totals
    }

    /// Takes away what an older state of the project had too.
    pub fn since(&mut self, base: &Audit) {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for f in base.findings.iter() {
            *known.entry(&f.fingerprint).or_default() += 1;
        }
        self.findings.retain(|f| {
            let left = known.get_mut(f.fingerprint.as_str());
            match left {
                Some(n) if *n > 0 => {
                    *n -= 1;
                    false
                }
                _ => true,
            }
        });
    }
}

/// Whether every rule that is switched off exists.
pub(super) fn check(project: &Project) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for off in &project.audit.off {
        let name = off.rule.as_str();
        if RULES.iter().any(|r| r.id == name) {
            continue;
        }
        let p = Problem::at(
            ProblemKind::UnknownReference,
            &off.rule.span,
            format!("there is no audit rule `{name}`"),
        );
        problems.push(match nearest(name, RULES.iter().map(|r| r.id)) {
            Some(near) => p.help(format!("did you mean `{near}`?")),
            None => p.help("`prodmirror audit --list` names them"),
        });
    }
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// Marks what the project switches off.
pub(super) fn apply(mut findings: Vec<Finding>, project: &Project) -> Audit {
    let mut warnings = Problems::default();
    for off in &project.audit.off {
        let mut used = false;
        for f in findings.iter_mut().filter(|f| covers(off, f)) {
            f.suppressed.get_or_insert_with(|| off.because.clone());
            used = true;
        }
        if !used {
            warnings.push(
                Problem::at(
                    ProblemKind::UnknownReference,
                    &off.rule.span,
                    format!(
                        "nothing is found that this switches off (`{}`)",
                        off.rule.as_str()
                    ),
                )
                .warning()
                .help("remove it"),
            );
        }
    }
    Audit { findings, warnings }
}

fn covers(off: &Off, f: &Finding) -> bool {
    let on = off.on.as_ref().is_none_or(|on| {
        let name = f.object.split_once(':').map_or("", |(_, name)| name);
        on.as_str() == f.object || on.as_str() == name
    });
    let field = off.field.as_ref().is_none_or(|above| {
        f.field
            .strip_prefix(above.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    off.rule.value == f.rule.id && on && field
}
