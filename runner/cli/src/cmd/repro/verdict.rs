//! Whether it was the same failure.

use std::path::Path;

use prodmirror_model::bundle::{Likeness, Manifest, Signature};
use prodmirror_model::diag::Problem;

use crate::args::Format;
use crate::cmd::Session;
use crate::cmd::bundled::plain_name;
use crate::exit::Exit;
use crate::report::replay;

/// Says what the cases of a run are to the failure of a bundle. `unpacked` is where the bundle
/// is on this disk, and `run` the directory of the run.
pub fn tell(
    session: &Session,
    m: &Manifest,
    (unpacked, run): (&str, &Path),
) -> Result<Exit, Problem> {
    let summary = replay::read(&run.join("events.jsonl"))?.summary;
    // Others are played for the sake of this one.
    let name = plain_name(&m.case.name);
    let cases = summary.cases.iter();
    let all: Vec<Likeness> = cases
        .filter(|case| plain_name(&case.id.name) == name)
        .map(|case| m.failure.like(&Signature::of(case)))
        .collect();
    let count = |is: fn(&Likeness) -> bool| all.iter().filter(|l| is(l)).count();
    let same = count(|l| *l == Likeness::Same);
    let passed = count(|l| *l == Likeness::Passed);
    if session.global.format == Format::Json {
        let json = serde_json::json!({
            "version": 1,
            "bundle": m.case,
            "failure": m.failure,
            "runs": all.len(),
            "same": same,
            "passed": passed,
            "verdict": word(&all),
            "unpacked": unpacked,
            "run": run,
        });
        session.print(&format!("{json}\n"));
    } else {
        session.note(&text(m, &all, same, passed));
        session.note(&format!(
            "  {unpacked}/evidence has what was seen where it failed\n  {} is this run\n",
            run.strip_prefix(&session.context.cwd)
                .unwrap_or(run)
                .display()
        ));
    }
    Ok(if same > 0 { Exit::Ok } else { Exit::Failed })
}

fn word(all: &[Likeness]) -> &'static str {
    let has = |is: fn(&Likeness) -> bool| all.iter().any(is);
    if has(|l| *l == Likeness::Same) {
        "reproduced"
    } else if has(|l| matches!(l, Likeness::Other(_))) {
        "different failure"
    } else if !all.is_empty() && all.iter().all(|l| matches!(l, Likeness::NotJudged(_))) {
        "not judged"
    } else {
        "not reproduced"
    }
}

fn text(m: &Manifest, all: &[Likeness], same: usize, passed: usize) -> String {
    let mut text = format!("\n{}", word(all));
    if all.len() > 1 {
        let rate = same * 100 / all.len().max(1);
        text.push_str(&format!(" in {same} of {} runs ({rate} %)", all.len()));
        if passed > 0 {
            text.push_str(&format!(", {passed} passed"));
        }
        let otherwise = all.len() - same - passed;
        if otherwise > 0 {
            text.push_str(&format!(", {otherwise} ended otherwise"));
        }
    }
    text.push_str(&match all.first() {
        _ if same > 0 => format!(": {}\n", m.failure.text()),
        Some(Likeness::Other(difference)) => format!(": {difference}\n"),
        Some(Likeness::NotJudged(why)) => format!(": {why}\n"),
        _ => format!(": it passed here; where it failed: {}\n", m.failure.text()),
    });
    text
}
