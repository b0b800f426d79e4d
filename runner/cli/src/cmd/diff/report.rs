//! The differences as the events of a run, so that every kind of report can tell them: one
//! case for each difference, and one that passes when there is none.

use std::collections::BTreeMap;

use prodmirror_model::compare::{Change, Kind, Shown};
use prodmirror_model::diag::Problems;
use prodmirror_model::event::{
    CaseId, EVENT_VERSION, Event, Evidence, Mismatch, Outcome, Place, What,
};
use prodmirror_model::summary::Summary;

use super::Report;
use crate::report::{Wanted, replay};

/// Writes the reports that were asked for.
///
/// # Errors
/// Those that could not be written.
pub fn write(report: &Report<'_>, wanted: &[Wanted]) -> Result<(), Problems> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut summary = Summary::new();
    for (seq, what) in (1..).zip(events(report)) {
        summary.apply(&Event {
            v: EVENT_VERSION,
            seq,
            at: jiff::Timestamp::now(),
            ms: 0,
            what,
        });
    }
    replay::write(&summary, wanted).map_err(Problems)
}

fn events(report: &Report<'_>) -> Vec<What> {
    let changes = &report.comparison.changes;
    let ids = cases(report);
    let mut out = vec![What::RunStarted {
        run: "diff".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        project: format!("{} ↔ {}", report.a.name, report.b.name),
        seed: 0,
        cases: ids.clone(),
        properties: BTreeMap::from([
            ("prodmirror.a".to_owned(), report.a.name.clone()),
            ("prodmirror.b".to_owned(), report.b.name.clone()),
        ]),
    }];
    for (i, case) in ids.iter().enumerate() {
        out.extend(of_case(case, changes.get(i), report));
    }
    out.push(What::RunFinished {
        clean: true,
        interrupted: false,
        exit: i32::from(!changes.is_empty()),
        took_ms: 0,
    });
    out
}

fn cases(report: &Report<'_>) -> Vec<CaseId> {
    let changes = &report.comparison.changes;
    if changes.is_empty() {
        return vec![CaseId {
            file: "environments".to_owned(),
            name: "they do not differ".to_owned(),
        }];
    }
    changes
        .iter()
        .map(|c| CaseId {
            file: c.object.replace(':', "/"),
            name: c.field.clone(),
        })
        .collect()
}

fn of_case(case: &CaseId, change: Option<&Change>, report: &Report<'_>) -> Vec<What> {
    let place = change.and_then(|c| place(c, report));
    let nowhere = Place {
        file: case.file.clone(),
        line: 1,
        column: 1,
    };
    let mismatches: Vec<Mismatch> = change
        .iter()
        .map(|c| mismatch(c, place.clone(), report))
        .collect();
    let outcome = if change.is_some() {
        Outcome::Failed
    } else {
        Outcome::Passed
    };
    let evidence = change.filter(|c| !c.diff.is_empty()).map(|c| Evidence {
        title: "diff".to_owned(),
        text: report.redactor.redact(&c.diff.join("\n")).into_owned(),
    });
    vec![
        What::CaseStarted {
            case: case.clone(),
            stack: String::new(),
        },
        What::StepStarted {
            case: case.clone(),
            step: "compare".to_owned(),
            title: case.name.clone(),
            kind: change.map_or("compare", |c| c.aspect).to_owned(),
            place: place.unwrap_or(nowhere),
        },
        What::StepFinished {
            case: case.clone(),
            step: "compare".to_owned(),
            outcome,
            took_ms: 0.0,
            attempts: 1,
            mismatches,
            error: None,
            evidence: evidence.into_iter().collect(),
        },
        What::CaseFinished {
            case: case.clone(),
            outcome,
            took_ms: 0,
            reason: change.map(|c| summary_of(c, report)),
            rerun: None,
        },
    ]
}

fn text(shown: &Option<Shown>, report: &Report<'_>) -> String {
    let text = shown.as_ref().map_or("—", |s| s.text.as_str());
    report.redactor.redact(text).into_owned()
}

fn summary_of(c: &Change, report: &Report<'_>) -> String {
    let (a, b) = (text(&c.left, report), text(&c.right, report));
    let means = report.redactor.redact(&c.means);
    format!("{}: {a} in A, {b} in B: {means}", c.field)
}

fn mismatch(c: &Change, place: Option<Place>, report: &Report<'_>) -> Mismatch {
    Mismatch {
        expectation: format!("{} is the same in both", c.field),
        kind: c.aspect.to_owned(),
        place,
        expected: format!("A: {}", text(&c.left, report)),
        actual: format!("B: {}", text(&c.right, report)),
        path: None,
        hint: Some(report.redactor.redact(&c.means).into_owned()).filter(|m| !m.is_empty()),
    }
}

/// The place on the side that has it, as this directory calls it.
fn place(c: &Change, report: &Report<'_>) -> Option<Place> {
    let (shown, side) = match c.kind {
        Kind::RightOnly => (&c.right, report.b),
        _ => (&c.left, report.a),
    };
    let place = shown.as_ref()?.place.clone()?;
    Some(Place {
        file: format!("{}{}", side.prefix, place.file),
        ..place
    })
}
