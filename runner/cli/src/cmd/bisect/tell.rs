//! What is said of a search, and its document.

use std::path::Path;

use prodmirror_model::isolate::{
    Answer, Atoms, Cause, Minimal, Outcome, Part, Rest, Undecided, Verdict,
};
use serde_json::{Value as Json, json};

use super::search::{Answered, Run, is_unstarted};
use super::sides::Sides;
use crate::args::Format;
use crate::cmd::Session;
use crate::exit::Exit;
use crate::report::look;

/// Version of the document.
const VERSION: u32 = 1;
/// How many differences a line names.
const NAMED: usize = 3;

/// How the command ends.
pub fn exit(answer: &Answer) -> Exit {
    match answer.outcome {
        Outcome::Found { .. } => Exit::Ok,
        _ if is_unstarted(answer) => Exit::Stack,
        _ => Exit::Failed,
    }
}

/// All differences, for those who only look.
pub fn differences(session: &Session, sides: &Sides, atoms: &Atoms) -> String {
    if session.global.format == Format::Json {
        let all = json!({ "version": VERSION, "differences": listed(sides), "groups": atoms.groups, "requires": atoms.requires });
        return format!("{all}\n");
    }
    let (a, b) = (&sides.a.name, &sides.b.name);
    let mut text = format!(
        "{} between {a} (A) and {b} (B)\n",
        look::count(atoms.atoms.len(), "difference")
    );
    for index in 0..atoms.atoms.len() {
        let needs = atoms.requires.iter().filter(|(i, _)| *i == index);
        let needs: Vec<String> = needs.map(|(_, j)| (j + 1).to_string()).collect();
        let needs = match needs.is_empty() {
            true => String::new(),
            false => format!("  (with {})", needs.join(", ")),
        };
        text.push_str(&format!(
            "  {:>3}  {}{needs}\n",
            index + 1,
            sides.label(index)
        ));
    }
    for group in &atoms.groups {
        let all: Vec<String> = group.iter().map(|i| (i + 1).to_string()).collect();
        text.push_str(&format!("together at first: {}\n", all.join(", ")));
    }
    text
}

/// A run in a line.
pub fn line(sides: &Sides, run: &Run) -> String {
    let verdict = match run.verdict {
        Verdict::Pass => "passes",
        Verdict::Same if !run.why.is_empty() => "fails",
        Verdict::Same => "fails the same way",
        Verdict::Other => "fails otherwise",
        Verdict::Unresolved => "cannot be judged",
    };
    let why = match run.why.is_empty() {
        true => String::new(),
        false => format!(": {}", run.why),
    };
    let words = words(sides, &run.atoms);
    format!(
        "  {:>3}  {words}: {verdict} ({:.1} s){why}\n",
        run.number,
        run.took.as_secs_f64()
    )
}

/// A combination in words.
fn words(sides: &Sides, atoms: &[usize]) -> String {
    let count = sides.hybrid.differences().len() + sides.flags.len();
    let named = |list: &[usize]| {
        let first: Vec<String> = list.iter().take(NAMED).map(|i| sides.label(*i)).collect();
        let more = list.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        format!("{}{more}", first.join("; "))
    };
    if atoms.is_empty() {
        return "A as it is".to_owned();
    }
    if atoms.len() == count {
        return "B as it is".to_owned();
    }
    let rest: Vec<usize> = (0..count).filter(|i| !atoms.contains(i)).collect();
    match rest.len() < atoms.len() {
        true => format!("B without {} of {count} ({})", rest.len(), named(&rest)),
        false => format!("A with {} of {count} ({})", atoms.len(), named(atoms)),
    }
}

/// The answer.
pub fn answer(
    session: &Session,
    sides: &Sides,
    found: &Answered,
    (document, dir): (&Json, &Path),
) -> String {
    if session.global.format == Format::Json {
        return format!("{document}\n");
    }
    let (a, b) = (&sides.a.name, &sides.b.name);
    let mut text = String::from("\n");
    match &found.answer.outcome {
        Outcome::Found { causes, rest } => {
            for (i, cause) in causes.iter().enumerate() {
                text.push_str(&of_cause(sides, cause, i));
            }
            text.push_str(&of_rest(found, causes, *rest));
        }
        Outcome::NotApart { .. } => text.push_str(&format!(
            "it fails in {a} in the same way as in {b}: no difference is the cause\n"
        )),
        Outcome::NotFailing { .. } => text.push_str(&format!(
            "it passes in {b}: there is nothing to search for\n"
        )),
        Outcome::Undecided { why, smallest } => {
            text.push_str(&undecided(*why, (a, b)));
            if let Some(smallest) = smallest {
                text.push_str(&format!(
                    "the smallest combination that is known to fail is {}\n",
                    words(sides, smallest)
                ));
            }
        }
    }
    text.push_str(&figures(found));
    if found.smallest().is_some() {
        text.push_str(&format!(
            "the smallest stack that fails: {}/minimal.stack.yaml\n",
            dir.display()
        ));
    }
    text.push_str(&format!("what the runs left: {}\n", dir.display()));
    text
}

fn of_cause(sides: &Sides, cause: &Cause, number: usize) -> String {
    let named = |is: fn(Part) -> bool| {
        let members = cause.members.iter().filter(move |m| is(m.part));
        members.map(|m| m.atom).collect::<Vec<_>>()
    };
    let mut needed = named(|p| p == Part::Needed);
    if needed.is_empty() {
        needed = cause.atoms();
    }
    let clauses: Vec<String> = needed.iter().map(|i| sides.because(*i)).collect();
    let start = if number == 0 {
        "fails because"
    } else {
        "and it fails because"
    };
    let mut text = format!("{start} {}\n", clauses.join(", and "));
    for index in &needed {
        let (a, b) = sides.places(*index);
        for (side, place) in [("A", a), ("B", b)] {
            if let Some(place) = place {
                text.push_str(&format!("  {side}: {place}\n"));
            }
        }
    }
    for member in cause.members.iter().filter(|m| !needed.contains(&m.atom)) {
        let why = match member.part {
            Part::Bound => "comes along with it",
            Part::Unclear(_) => "may be a part of it: without it, the run could not be judged",
            _ => "was not left out before the limit of runs",
        };
        text.push_str(&format!("  {} {why}\n", sides.label(member.atom)));
    }
    text.push_str(match cause.minimal {
        Minimal::Proven => "  without it, the scenario was seen to pass: nothing less is enough\n",
        Minimal::Unclear => "  less may be enough: some of it could not be left out\n",
        Minimal::Limit => "  less may be enough: the limit of runs was reached (--max-runs)\n",
    });
    text
}

fn of_rest(found: &Answered, causes: &[Cause], rest: Rest) -> String {
    let it = if causes.len() == 1 { "it" } else { "them" };
    match rest {
        Rest::Passes => format!("B without {it} passes: that is the whole story\n"),
        Rest::Fails => format!(
            "B without {it} still fails in the same way: there is another cause (--all finds it)\n"
        ),
        Rest::Unclear(verdict) => {
            // It is the last that is asked.
            let run = found.runs.iter().rev().find(|r| r.verdict == verdict);
            let why = run.map_or("", |r| r.why.as_str());
            let what = match verdict {
                Verdict::Other => "fails in another way",
                _ => "could not be judged",
            };
            format!("B without {it} {what}: {why}\n")
        }
        Rest::Limit => {
            format!("B without {it} was not run: the limit of runs was reached (--max-runs)\n")
        }
    }
}

fn undecided(why: Undecided, (a, b): (&str, &str)) -> String {
    match why {
        Undecided::Baseline(Verdict::Unresolved) => {
            format!("{a} could not be judged: it has to pass there\n")
        }
        Undecided::Baseline(_) => {
            format!("it fails in {a}, too, in another way: it has to pass there\n")
        }
        Undecided::Failing(_) => format!("{b} could not be judged: it has to fail there\n"),
        Undecided::Limit => {
            "the limit of runs was reached before a cause was found (--max-runs)\n".to_owned()
        }
    }
}

/// What it took, and how sure it is.
fn figures(found: &Answered) -> String {
    let runs = look::count(found.runs.len(), "run");
    let seconds = found.took.as_secs_f64();
    let mut text = format!("{runs} in {seconds:.0} s");
    if let Some(rate) = &found.answer.rate {
        text.push_str(&format!(
            "; B fails in {} of {} runs",
            rate.failed, rate.runs
        ));
    }
    if let Some(confidence) = found.answer.confidence {
        text.push_str(&format!("; confidence {confidence:.4}"));
    }
    text.push('\n');
    text
}

/// All of it for programs.
pub fn document(sides: &Sides, found: &Answered) -> Json {
    let run = |r: &Run| json!({ "run": r.number, "differences": r.atoms, "verdict": r.verdict, "why": r.why, "seconds": r.took.as_secs_f64() });
    let causes = match &found.answer.outcome {
        Outcome::Found { causes, .. } => causes.as_slice(),
        _ => &[],
    };
    let cause = |c: &Cause| {
        let needed = c.members.iter().filter(|m| m.part == Part::Needed);
        needed.map(|m| sides.because(m.atom)).collect::<Vec<_>>()
    };
    json!({
        "version": VERSION,
        "a": sides.a.name,
        "b": sides.b.name,
        "case": found.failure.as_ref().map(|(case, _)| case),
        "failure": found.failure.as_ref().map(|(_, signature)| signature),
        "differences": listed(sides),
        "because": causes.iter().map(cause).collect::<Vec<_>>(),
        "answer": found.answer,
        "runs": found.runs.iter().map(run).collect::<Vec<_>>(),
        "seconds": found.took.as_secs_f64(),
    })
}

/// Each difference.
fn listed(sides: &Sides) -> Vec<Json> {
    let count = sides.hybrid.differences().len() + sides.flags.len();
    let one = |index: usize| {
        let (a, b) = sides.places(index);
        json!({ "label": sides.label(index), "a": a, "b": b })
    };
    (0..count).map(one).collect()
}
