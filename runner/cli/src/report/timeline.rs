//! A run as one stream of time: steps, what became of the stacks, and what services logged at
//! each moment.

use std::fmt::Write as _;
use std::io;

use prodmirror_model::event::{Event, ServiceState, What};
use prodmirror_model::plain::visible;
use prodmirror_model::summary::Summary;

use super::log::readable;
use super::look::{count, word};
use super::{Kind, Reporter, Target};

/// Lines in the order of time.
pub const KIND: Kind = Kind {
    name: "timeline",
    help: "text: steps, and what services logged at each moment",
    make: |target| {
        Box::new(Timeline {
            target,
            lines: Vec::new(),
            kept: 0,
            left_out: 0,
        })
    },
};

/// Bytes of lines that are kept.
const MOST: usize = 256 << 20;
/// Columns that the names of services get at least.
const NAMES: usize = 12;

struct Timeline {
    target: Target,
    /// Milliseconds of the run, and the line.
    lines: Vec<(u64, String)>,
    kept: usize,
    left_out: usize,
}

impl Reporter for Timeline {
    fn on(&mut self, event: &Event, _so_far: &Summary) -> io::Result<()> {
        if let Some(line) = line(&event.what) {
            if self.kept < MOST {
                self.kept += line.len();
                self.lines.push((event.ms, line));
            } else {
                self.left_out += 1;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _summary: &Summary) -> io::Result<()> {
        // What services logged is known a little later than it happened.
        self.lines.sort_by_key(|(ms, _)| *ms);
        let mut text = String::with_capacity(self.kept + 16 * self.lines.len());
        for (ms, line) in &self.lines {
            for (n, part) in line.lines().enumerate() {
                let at = format!("{}.{:03}", ms / 1000, ms % 1000);
                let at = if n == 0 { at } else { String::new() };
                let _ = writeln!(text, "{at:>9}  {part}");
            }
        }
        if self.left_out > 0 {
            let _ = writeln!(
                text,
                "           … and {}",
                count(self.left_out, "more line")
            );
        }
        self.target.put(text.as_bytes())
    }
}

/// What a fact looks like in it; nothing for those that say nothing of a moment.
fn line(what: &What) -> Option<String> {
    Some(match what {
        What::RunStarted {
            run,
            project,
            cases,
            ..
        } => {
            format!("run {run} of {project}: {}", count(cases.len(), "scenario"))
        }
        What::StackStarting { stack, services } => {
            format!("{stack}  starts: {}", services.join(", "))
        }
        What::StackReady { stack, took_ms } => format!("{stack}  ready after {took_ms} ms"),
        What::StackFailed { stack, reason, .. } => format!("{stack}  did not start: {reason}"),
        What::StackStopped { stack, took_ms } => format!("{stack}  removed in {took_ms} ms"),
        What::Data {
            stack,
            volume,
            summary,
            ..
        } => {
            format!("{stack}  {volume} starts from {summary}")
        }
        What::Service {
            stack,
            service,
            replica,
            state,
            detail,
        } => {
            let detail = detail
                .as_deref()
                .map_or(String::new(), |d| format!(": {d}"));
            format!(
                "{stack}  {service}-{replica} {}{detail}",
                state_word(*state)
            )
        }
        What::CaseStarted { case, stack } => {
            format!("──── {} ({}) on {stack}", case.name, case.file)
        }
        What::StepStarted { step, title, .. } => format!("  ▶ {step} {title}"),
        What::Printed { step, text, .. } => format!("  ┊ {step} says {text}"),
        What::StepFinished {
            step,
            outcome,
            took_ms,
            attempts,
            mismatches,
            error,
            ..
        } => {
            let mut text = format!("  ◀ {step} {} in {took_ms:.1} ms", word(*outcome));
            if *attempts > 1 {
                let _ = write!(text, ", {attempts} attempts");
            }
            for m in mismatches {
                let _ = write!(
                    text,
                    "\n      {}: expected {}, got {}",
                    m.expectation, m.expected, m.actual
                );
            }
            if let Some(error) = error {
                let _ = write!(text, "\n      {error}");
            }
            text
        }
        What::CaseFinished {
            case,
            outcome,
            took_ms,
            reason,
            ..
        } => {
            let reason = reason
                .as_deref()
                .map_or(String::new(), |r| format!(": {r}"));
            format!(
                "──── {} {} in {took_ms} ms{reason}",
                case.name,
                word(*outcome)
            )
        }
        What::Log {
            service,
            replica,
            line,
            ..
        } => {
            let name = format!("{service}-{replica}");
            format!("    {name:<NAMES$} │ {}", visible(&readable(line)))
        }
        What::Egress {
            service,
            protocol,
            target,
            ..
        } => {
            format!("    {service} tried to reach {target} ({protocol})")
        }
        What::Warning { message } => format!("warning: {message}"),
        What::RunFinished { exit, took_ms, .. } => format!("ended after {took_ms} ms, exit {exit}"),
        What::Image { .. } | What::Fidelity { .. } | What::Source { .. } => return None,
    })
}

fn state_word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Created => "is made",
        ServiceState::Started => "started",
        ServiceState::Healthy => "is healthy",
        ServiceState::Unhealthy => "is unhealthy",
        ServiceState::Completed => "completed",
        ServiceState::Died => "died",
        ServiceState::Restarted => "was restarted",
        ServiceState::Removed => "was removed",
    }
}
