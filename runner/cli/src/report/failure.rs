//! A failure that explains itself: what was expected, what came, where it says so, what came
//! before, what the services logged, and how to see it again.

use std::fmt::Write as _;

use prodmirror_model::event::{Evidence, Mismatch, Outcome, Place};
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Case, LogLine, StackFailure, Status, Step, Summary};

use super::diff;
use super::log;
use super::look::{Look, count, short, time};

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// Lines of one piece of evidence, and of one side of a mismatch.
    pub evidence: usize,
    /// Log lines.
    pub logs: usize,
    /// Steps before the one that failed.
    pub steps: usize,
    /// Whether structured log lines are unfolded and cut to the width.
    pub readable: bool,
}

impl Depth {
    /// For a terminal: a failure should fit a screen.
    pub const SCREEN: Self = Self {
        evidence: 14,
        logs: 12,
        steps: 4,
        readable: true,
    };
    /// For files.
    pub const FILE: Self = Self {
        evidence: 400,
        logs: 40,
        steps: 20,
        readable: false,
    };
}

/// Steps that did not pass and are shown in full; soft expectations can leave many.
const BAD_STEPS: usize = 5;

/// Everything that explains why a case did not pass, without a headline.
pub fn explain(summary: &Summary, case: &Case, look: Look, depth: Depth) -> String {
    let mut page = Page {
        out: String::new(),
        look,
        depth,
        summary,
    };
    let bad: Vec<(usize, &Step)> = case
        .steps
        .iter()
        .enumerate()
        .filter(|(_, s)| s.is_bad())
        .collect();
    for (i, step) in bad.iter().take(BAD_STEPS) {
        page.step(case, *i, step);
    }
    if bad.len() > BAD_STEPS {
        page.line(&format!(
            "and {} more did not pass",
            count(bad.len() - BAD_STEPS, "step")
        ));
    }
    if bad.is_empty() {
        page.without_bad_step(case);
    }
    if let Some(&(first, _)) = bad.first() {
        page.steps_before(&case.steps[..first]);
    }
    if let Some((_, step)) = bad.first() {
        page.logs("services logged meanwhile", step.logs.iter());
    }
    page.data(case);
    page.again(case);
    page.out
}

struct Page<'a> {
    out: String,
    look: Look,
    depth: Depth,
    summary: &'a Summary,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "  {text}");
    }

    /// An empty line between parts, not at the top.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Text of others, with a bar before each line: it cannot be taken for ours.
    fn quote(&mut self, text: &str, limit: usize) {
        let text = visible(text.trim_end_matches('\n'));
        let lines: Vec<&str> = text.lines().collect();
        let bar = self.look.faint("│");
        for l in lines.iter().take(limit) {
            let shown = short(&l.replace('\t', "    "), 500);
            let _ = writeln!(self.out, "{}", format!("    {bar} {shown}").trim_end());
        }
        if lines.len() > limit {
            let more = format!("… {} more", count(lines.len() - limit, "line"));
            let more = self.look.faint(&more);
            let _ = writeln!(self.out, "    {bar} {more}");
        }
    }

    fn title(&mut self, text: &str) {
        self.gap();
        let text = self.look.strong(text);
        self.line(&text);
    }

    /// What the volumes of its stack started from.
    fn data(&mut self, case: &Case) {
        let stack = case.stack.as_ref();
        let stacks = self.summary.stacks.iter();
        let Some(stack) = stacks.rev().find(|s| Some(&s.name) == stack) else {
            return;
        };
        if stack.data.is_empty() {
            return;
        }
        self.title("the data it ran on");
        for (volume, summary) in &stack.data {
            self.line(&visible(&format!("  {volume} = {summary}")));
        }
    }

    fn step(&mut self, case: &Case, index: usize, step: &Step) {
        self.gap();
        let what = match step.outcome {
            Some(Outcome::TimedOut) => "took too long",
            Some(Outcome::Errored) => "could not be carried out",
            _ => "did not give what was expected",
        };
        let number = format!("step {} of {}:", index + 1, case.steps.len());
        let mut facts = vec![time(step.took_ms)];
        if step.attempts > 1 {
            facts.push(count(step.attempts as usize, "attempt"));
        }
        let head = format!(
            "{} {} {what} {}",
            self.look.strong(&number),
            self.look.name(&visible(&step.title)),
            self.look.faint(&format!("({})", facts.join(", "))),
        );
        self.line(&head);
        for (i, m) in step.mismatches.iter().enumerate() {
            self.gap();
            self.mismatch(m, i == 0);
        }
        if let Some(error) = &step.error {
            self.gap();
            for l in visible(error).lines() {
                let l = self.look.bad(l);
                self.line(&l);
            }
        }
        if step.mismatches.iter().all(|m| m.place.is_none())
            && let Some(place) = &step.place
        {
            self.gap();
            self.excerpt(place, "", true);
        }
        for e in &step.evidence {
            self.evidence(e);
        }
    }

    fn mismatch(&mut self, m: &Mismatch, with_context: bool) {
        let expectation = visible(&m.expectation).replace('\n', " ");
        let head = format!("{} {}", self.look.bad("✗"), self.look.strong(&expectation));
        self.line(&head);
        if let Some(path) = m.path.as_deref().filter(|p| !expectation.contains(p)) {
            let text = format!("  at        {}", self.look.name(&visible(path)));
            self.line(&text);
        }
        let (expected, actual) = (visible(&m.expected), visible(&m.actual));
        match diff::lines(&expected, &actual) {
            Some(lines) => self.compared(&lines),
            None => {
                self.side("expected", &expected, Look::good);
                self.side("actual", &actual, Look::bad);
            }
        }
        if let Some(hint) = &m.hint {
            let text = format!("  {}      {}", self.look.notice("hint"), visible(hint));
            self.line(&text);
        }
        if let Some(place) = &m.place {
            self.gap();
            self.excerpt(place, &expectation, with_context);
        }
    }

    fn side(&mut self, name: &str, value: &str, paint: fn(Look, &str) -> String) {
        let lines: Vec<&str> = value.lines().collect();
        if lines.len() <= 1 {
            let value = short(value, 600);
            let text = format!("  {name:<8}  {}", paint(self.look, &value));
            self.line(&text);
        } else {
            self.line(&format!("  {name}"));
            self.quote(value, self.depth.evidence);
        }
    }

    fn compared(&mut self, lines: &[diff::Line<'_>]) {
        let legend = format!(
            "  {} {}",
            self.look.good("- expected"),
            self.look.bad("+ actual")
        );
        self.line(&legend);
        let limit = self.depth.evidence * 2;
        for l in lines.iter().take(limit) {
            let text = match l {
                diff::Line::Same(t) => format!("    {t}"),
                diff::Line::Expected(t) => self.look.good(&format!("  - {t}")),
                diff::Line::Actual(t) => self.look.bad(&format!("  + {t}")),
                diff::Line::Gap(n) => self
                    .look
                    .faint(&format!("    … {} the same", count(*n, "line"))),
            };
            self.line(&text);
        }
        if lines.len() > limit {
            let more = format!("    … {} more", count(lines.len() - limit, "line"));
            let more = self.look.faint(&more);
            self.line(&more);
        }
    }

    /// The line of a place with a caret, and with those around it.
    fn excerpt(&mut self, place: &Place, marked: &str, with_context: bool) {
        let at = format!("{}:{}:{}", visible(&place.file), place.line, place.column);
        let at = format!("  {}", self.look.name(&at));
        self.line(&at);
        let Some(text) = self.summary.source_line(&place.file, place.line) else {
            return;
        };
        let (before, after) = if with_context { (2, 1) } else { (0, 0) };
        let digits = (place.line + after).to_string().len();
        for n in place.line.saturating_sub(before)..=place.line + after {
            let Some(line) = self.summary.source_line(&place.file, n) else {
                continue;
            };
            let number = self.look.faint(&format!("{n:>digits$} │"));
            let shown = untabbed(&visible(line));
            self.line(format!("  {number} {shown}").trim_end());
            if n == place.line {
                let (skip, len) = caret(text, place.column, marked);
                let bar = self.look.faint(&format!("{:>digits$} │", ""));
                let carets = self.look.bad(&"^".repeat(len));
                self.line(&format!("  {bar} {}{carets}", " ".repeat(skip)));
            }
        }
    }

    fn evidence(&mut self, e: &Evidence) {
        if e.text.trim().is_empty() {
            return;
        }
        self.title(&visible(&e.title));
        self.quote(&e.text, self.depth.evidence);
    }

    fn steps_before(&mut self, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        self.title("before it");
        let skip = steps.len().saturating_sub(self.depth.steps);
        if skip > 0 {
            let more = format!("  … {} earlier", count(skip, "step"));
            let more = self.look.faint(&more);
            self.line(&more);
        }
        for s in &steps[skip..] {
            let text = format!(
                "  {} {}  {}",
                self.look.sign(s.outcome),
                visible(&s.title),
                self.look.faint(&time(s.took_ms))
            );
            self.line(&text);
        }
    }

    fn logs<'l>(&mut self, title: &str, lines: impl Iterator<Item = &'l LogLine>) {
        let lines: Vec<&LogLine> = lines.collect();
        if lines.is_empty() {
            return;
        }
        self.title(title);
        let name = |l: &LogLine| format!("{}-{}", visible(&l.service), l.replica);
        let names = lines.iter().map(|l| name(l).chars().count());
        let width = names.max().unwrap_or(0).min(32);
        let room = match self.depth.readable {
            true => self.look.width.max(120).saturating_sub(width + 7),
            false => 1000,
        };
        let bar = self.look.faint("│");
        for l in log::telling(&lines, self.depth.logs) {
            let Some(l) = l else {
                let gap = self.look.faint("…");
                let _ = writeln!(self.out, "    {gap}");
                continue;
            };
            let who = self.look.name(&format!("{:<width$}", name(l)));
            // Of a long line the end would be cut off, and with it what a traceback ends with.
            let text = match self.depth.readable || l.line.len() > room {
                true => log::readable(&l.line),
                false => l.line.clone(),
            };
            let text = visible(&text).replace('\n', " ").replace('\t', "    ");
            let _ = writeln!(self.out, "    {who} {bar} {}", short(&text, room));
        }
    }

    /// The case did not pass, and no step says why.
    fn without_bad_step(&mut self, case: &Case) {
        if let Some(failure) = self.summary.stack_failure(case) {
            self.stack_failure(failure);
        } else {
            for l in visible(&case.why()).lines() {
                let l = self.look.bad(l);
                self.line(&l);
            }
        }
        if case.status == Status::Running
            && let Some(step) = case.failed_step()
        {
            let text = format!("it was at {}", self.look.name(&visible(&step.title)));
            self.line(&text);
        }
        if let Some(stack) = case.stack.as_deref().and_then(|s| self.summary.stack(s))
            && stack.failure.as_ref().is_none_or(|f| f.log.is_empty())
        {
            let skip = stack.log.len().saturating_sub(self.depth.logs);
            self.logs("services logged last", stack.log.iter().skip(skip));
        }
    }

    fn stack_failure(&mut self, failure: &StackFailure) {
        let head = match &failure.service {
            Some(s) => format!(
                "the stack did not start because of {}",
                self.look.name(&visible(s))
            ),
            None => "the stack did not start".to_owned(),
        };
        self.line(&head);
        self.gap();
        for l in visible(&failure.reason).lines() {
            let l = self.look.bad(l);
            self.line(&l);
        }
        if !failure.log.is_empty() {
            self.title("its last log lines");
            let skip = failure.log.len().saturating_sub(self.depth.evidence);
            self.quote(&failure.log[skip..].join("\n"), self.depth.evidence);
        }
    }

    fn again(&mut self, case: &Case) {
        if let Some(rerun) = &case.rerun {
            self.title("see it again");
            let text = format!("  {}", visible(rerun));
            self.line(&text);
        }
    }
}

/// Where the caret stands below a line, and how wide it is, in columns as shown.
fn caret(line: &str, column: u32, marked: &str) -> (usize, usize) {
    let start = column.saturating_sub(1) as usize;
    let before: String = line.chars().take(start).collect();
    let rest: String = line.chars().skip(start).collect();
    let skip = untabbed(&visible(&before)).chars().count();
    let whole = untabbed(&visible(rest.trim_end())).chars().count();
    let marked_len = marked.chars().count();
    let len = if marked_len > 0 && rest.starts_with(marked) {
        marked_len
    } else {
        whole
    };
    (skip, len.clamp(1, 80))
}

fn untabbed(text: &str) -> String {
    text.replace('\t', "    ")
}
