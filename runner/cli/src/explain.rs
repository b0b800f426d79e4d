//! Draws problems: where, what, why, and what to do next.

mod excerpt;

use std::fmt;
use std::fmt::Write as _;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use prodmirror_model::diag::{Problem, Severity};
use prodmirror_model::event::Place;
use prodmirror_model::plain::visible;
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::Span;
use serde_json::{Value, json};

use crate::report::github;
use crate::report::look::{Look, count};
use excerpt::Excerpt;

/// Problems of one severity that are drawn; the rest is counted.
const SHOWN: usize = 30;
/// Columns below which a drawing would only break lines.
const NARROW: usize = 50;

/// For people: each problem with the lines it is about, warnings first, and how many there are.
pub fn human(problems: &[Problem], look: Look, redactor: &Redactor) -> String {
    let mut out = String::new();
    for severity in [Severity::Warning, Severity::Error] {
        let all: Vec<&Problem> = problems.iter().filter(|p| p.severity == severity).collect();
        for p in all.iter().take(SHOWN) {
            out.push_str(&one(p, look, redactor));
        }
        if all.len() > SHOWN {
            let left = all.len() - SHOWN;
            let plural = if left == 1 { "" } else { "s" };
            let _ = writeln!(out, "… and {left} more {}{plural}\n", noun_of(severity));
        }
    }
    if problems.len() > 1 {
        out.push_str(&totals(problems, look));
    }
    out
}

/// For programs: one JSON document.
pub fn json(problems: &[Problem], redactor: &Redactor) -> String {
    let (errors, warnings) = counts(problems);
    let all: Vec<Value> = problems
        .iter()
        .map(|p| {
            let mut v = serde_json::to_value(p).unwrap_or(Value::Null);
            redact_value(&mut v, redactor);
            v
        })
        .collect();
    json!({ "errors": errors, "warnings": warnings, "problems": all }).to_string() + "\n"
}

/// For GitHub Actions: one workflow command for each problem.
pub fn github(problems: &[Problem], redactor: &Redactor) -> String {
    problems
        .iter()
        .map(|p| {
            let mut text = p.message.clone();
            if let Some(help) = &p.help {
                let _ = write!(text, "\nhelp: {help}");
            }
            let place = p.span.as_ref().map(Place::from);
            github::command(
                noun_of(p.severity),
                place.as_ref(),
                "prodmirror",
                &redactor.redact(&text),
            )
        })
        .collect()
}

/// Places that say something, drawn like a problem that is none.
pub fn places(p: &Problem, look: Look, redactor: &Redactor) -> String {
    let plain = || {
        let text = redactor.redact(&p.to_string()).into_owned();
        format!("{}\n\n", visible(&text.replacen("warning: ", "", 1)))
    };
    if look.width < NARROW {
        return plain();
    }
    let mut all = Drawn::all(p, redactor);
    all.iter_mut()
        .for_each(|d| d.severity = miette::Severity::Advice);
    draw(&all, look).unwrap_or_else(plain)
}

/// One problem with the lines it is about.
pub fn one(p: &Problem, look: Look, redactor: &Redactor) -> String {
    if look.width < NARROW {
        let text = format!("{}: {p}", noun_of(p.severity));
        let text = redactor.redact(&text);
        return format!("{}\n\n", visible(&text));
    }
    // The drawing is a comfort; the problem itself must be said in any case.
    draw(&Drawn::all(p, redactor), look).unwrap_or_else(|| {
        let text = redactor.redact(&p.to_string()).into_owned();
        format!("{}: {}\n\n", noun_of(p.severity), visible(&text))
    })
}

/// The drawings one below the other; none when the library cannot draw one.
fn draw(all: &[Drawn], look: Look) -> Option<String> {
    let theme = if look.colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(look.width.min(120))
        .with_links(false)
        .with_context_lines(2);
    let mut out = String::new();
    let drawn = all
        .iter()
        .all(|d| handler.render_report(&mut out, d).is_ok());
    if !drawn {
        return None;
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    Some(format!("{}\n\n", lines.join("\n").trim_matches('\n')))
}

fn totals(problems: &[Problem], look: Look) -> String {
    let (errors, warnings) = counts(problems);
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(look.alarm(&count(errors, "error")));
    }
    if warnings > 0 {
        parts.push(look.notice(&count(warnings, "warning")));
    }
    format!("{}\n", parts.join(", "))
}

fn counts(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|p| p.is_error()).count();
    (errors, problems.len() - errors)
}

fn noun_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Takes secrets out of every text of a JSON value.
pub fn redact_value(v: &mut Value, redactor: &Redactor) {
    match v {
        Value::String(s) => redactor.redact_shown(s),
        Value::Array(all) => all.iter_mut().for_each(|v| redact_value(v, redactor)),
        Value::Object(all) => all.values_mut().for_each(|v| redact_value(v, redactor)),
        _ => {}
    }
}

/// A problem, or a place in another file that matters to it, as the drawing library takes it.
#[derive(Debug)]
struct Drawn {
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    excerpt: Option<Excerpt>,
    labels: Vec<LabeledSpan>,
}

impl Drawn {
    /// The problem with all places of its own file, then one drawing for each other file.
    fn all(p: &Problem, redactor: &Redactor) -> Vec<Self> {
        let clean = |text: &str| visible(&redactor.redact(text)).into_owned();
        let mut own: Vec<(&Span, Option<String>)> = Vec::new();
        if let Some(span) = &p.span {
            own.push((span, p.label.as_deref().map(clean)));
        }
        let mut others = Vec::new();
        for (span, what) in &p.related {
            match &p.span {
                Some(main) if main.file == span.file => own.push((span, Some(clean(what)))),
                _ => {
                    let mut drawn = Self::new(miette::Severity::Advice, clean(what));
                    drawn.put(&[(span, None)], redactor);
                    others.push(drawn);
                }
            }
        }
        let severity = match p.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let mut drawn = Self::new(severity, clean(&p.message));
        drawn.help = p.help.as_deref().map(clean);
        drawn.put(&own, redactor);
        others.insert(0, drawn);
        others
    }

    fn new(severity: miette::Severity, message: String) -> Self {
        Self {
            severity,
            message,
            help: None,
            excerpt: None,
            labels: Vec::new(),
        }
    }

    fn put(&mut self, places: &[(&Span, Option<String>)], redactor: &Redactor) {
        if places.is_empty() {
            return;
        }
        let spans: Vec<&Span> = places.iter().map(|(s, _)| *s).collect();
        let (excerpt, ranges) = Excerpt::new(&spans, redactor);
        self.labels = ranges
            .into_iter()
            .zip(places)
            .enumerate()
            .map(|(i, (range, (_, label)))| {
                let span = (range.start, range.len());
                if i == 0 {
                    LabeledSpan::new_primary_with_span(label.clone(), span)
                } else {
                    LabeledSpan::new_with_span(label.clone(), span)
                }
            })
            .collect();
        self.excerpt = Some(excerpt);
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl Diagnostic for Drawn {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.help.as_deref()?))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.excerpt.as_ref()?)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests;
