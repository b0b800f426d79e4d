//! The differences for people: by object, both sides below each other.

use std::fmt::Write as _;

use prodmirror_model::compare::{Change, Shown};
use prodmirror_model::plain::visible;

use super::Report;
use super::side::Environment;
use crate::report::look::{Look, count, short};

/// Values longer than this do not move the places to the right.
const WIDE: usize = 56;
/// Differences of one aspect of one object that are shown; the rest is counted.
const SHOWN: usize = 40;

/// All differences, and how many there are.
pub fn text(report: &Report<'_>, look: Look) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "A  {}\nB  {}\n", report.a.name, report.b.name);
    let changes = &report.comparison.changes;
    if changes.is_empty() {
        let _ = writeln!(out, "{}", look.good("they do not differ"));
        return out;
    }
    let mut object = "";
    let (mut aspect, mut shown, mut left) = ("", 0, 0);
    for c in changes {
        if c.object != object || c.aspect != aspect {
            more(left, look, &mut out);
            (aspect, shown, left) = (c.aspect, 0, 0);
        }
        if c.object != object {
            if !object.is_empty() {
                out.push('\n');
            }
            object = &c.object;
            let _ = writeln!(out, "{}", look.strong(&title(object)));
        }
        shown += 1;
        if shown > SHOWN {
            left += 1;
            continue;
        }
        one(c, report, look, &mut out);
    }
    more(left, look, &mut out);
    let _ = writeln!(out, "{}", look.notice(&count(changes.len(), "difference")));
    out
}

fn more(left: usize, look: Look, out: &mut String) {
    if left > 0 {
        let text = format!("  … and {left} more (--format json has all)");
        let _ = writeln!(out, "{}", look.faint(&text));
    }
}

fn title(object: &str) -> String {
    match object.split_once(':') {
        Some(("inside", services)) => format!("inside of the images of {services}"),
        Some((kind, name)) => format!("{kind} {name}"),
        None => object.to_owned(),
    }
}

fn one(c: &Change, report: &Report<'_>, look: Look, out: &mut String) {
    // Lists of versions would only repeat themselves.
    if c.aspect == "packages" || c.aspect == "system" || c.aspect == "runtimes" {
        let side = |s: &Option<Shown>| s.as_ref().map_or("—".to_owned(), |s| value(s, report));
        let _ = writeln!(
            out,
            "  {}  {} → {}",
            look.name(&format!("{:<34}", c.field)),
            side(&c.left),
            side(&c.right)
        );
        return;
    }
    let field = look.name(&visible(&c.field));
    if c.means.is_empty() {
        let _ = writeln!(out, "  {field}");
    } else {
        let means = report.redactor.redact(&c.means);
        let _ = writeln!(out, "  {field}  {}", look.faint(&means));
    }
    let width = [&c.left, &c.right]
        .into_iter()
        .flatten()
        .map(|s| value(s, report).chars().count())
        .filter(|w| *w <= WIDE)
        .max()
        .unwrap_or(1);
    line("A", &c.left, report.a, (report, look, width), out);
    line("B", &c.right, report.b, (report, look, width), out);
    for l in &c.diff {
        let l = report.redactor.redact(l);
        let l = visible(&l);
        let l = match l.chars().next() {
            Some('+') => look.good(&l),
            Some('-') => look.bad(&l),
            _ => look.faint(&l),
        };
        let _ = writeln!(out, "       {l}");
    }
}

fn value(s: &Shown, report: &Report<'_>) -> String {
    let text = report.redactor.redact(&s.text);
    short(&visible(&text).replace('\n', "␊"), 200)
}

fn line(
    side: &str,
    shown: &Option<Shown>,
    of: &Environment,
    (report, look, width): (&Report<'_>, Look, usize),
    out: &mut String,
) {
    let text = shown.as_ref().map_or("—".to_owned(), |s| value(s, report));
    let place = shown.as_ref().and_then(|s| s.place.as_ref());
    let place = place.map_or(String::new(), |p| of.place(p));
    let _ = writeln!(
        out,
        "{}",
        format!("    {side}  {text:<width$}  {}", look.faint(&place)).trim_end()
    );
}
