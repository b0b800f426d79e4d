//! What people see while a run goes on, and at its end.
//!
//! On a terminal the last lines show what is going on and are redrawn in place; elsewhere
//! every line is written once and stays.

mod closing;
mod live;

use std::io::Write;
use std::path::PathBuf;

use prodmirror_engine::bus::Subscriber;
use prodmirror_model::event::{Event, Outcome, ServiceState, What, fidelity_text};
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Case, Status, Summary};

use super::failure::{self, Depth};
use super::look::{Look, count, time_of};
use live::Live;

/// Where and how to show a run.
pub struct Options {
    /// Redraw the last lines in place (a terminal that people look at).
    pub live: bool,
    /// Colours.
    pub colour: bool,
    /// Columns; see [`width`].
    pub width: usize,
    /// Reports that are written, by kind, to be named at the end.
    pub reports: Vec<(String, PathBuf)>,
    /// Where plain lines go when not live; errors on it are ignored, for a lost terminal must
    /// not end a run.
    pub out: Box<dyn Write + Send>,
}

/// The columns of the terminal at standard error, or 100 where there is none.
pub fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .map(|w| usize::from(w.ws_col))
        .filter(|w| *w >= 20)
        .unwrap_or(100)
}

/// Shows a run.
pub struct Terminal {
    summary: Summary,
    look: Look,
    reports: Vec<(String, PathBuf)>,
    screen: Screen,
    /// When it was last said what a stack's start waits for, in milliseconds of the run.
    said_waiting: u64,
}

/// How often that is said where lines stay.
const SAY_WAITING_MS: u64 = 15_000;

enum Screen {
    Lines(Box<dyn Write + Send>),
    Live(Live),
}

impl Screen {
    fn print(&mut self, text: &str) {
        match self {
            Self::Lines(out) => {
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
            Self::Live(live) => live.print(text),
        }
    }
}

impl Terminal {
    /// A view that shows nothing yet.
    pub fn new(options: Options) -> Self {
        let look = Look {
            colour: options.colour,
            width: options.width,
        };
        Self {
            summary: Summary::new(),
            look,
            reports: options.reports,
            screen: if options.live {
                Screen::Live(Live::new(look))
            } else {
                Screen::Lines(options.out)
            },
            said_waiting: 0,
        }
    }

    /// Takes an event without a word about it.
    pub fn learn(&mut self, event: &Event) {
        self.summary.apply(event);
    }

    fn show(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { .. } => self.run_started(),
            What::CaseFinished { case, .. } => {
                if let Some(case) = self.summary.case(case) {
                    let text = self.case_ended(case);
                    self.screen.print(&text);
                }
            }
            What::Fidelity {
                mirrored,
                differing,
                ..
            } => {
                let text = fidelity_text(*mirrored, differing);
                let word = self.look.faint(&format!("{:>7}", "mirror"));
                self.screen.print(&format!("{word} {text}\n"));
            }
            What::Printed { text, .. } => {
                let text = self.note("print", &visible(text));
                self.screen.print(&text);
            }
            What::Warning { message } => {
                let text = self.note("warning", &visible(message));
                self.screen.print(&text);
            }
            What::Egress { .. } => self.egress(&event.what),
            What::StackFailed { .. } => self.stack_failed(&event.what),
            What::RunFinished { .. } => {
                if let Screen::Live(live) = &mut self.screen {
                    live.clear();
                }
                let text = self.end();
                self.screen.print(&text);
            }
            other => {
                if let Screen::Lines(_) = self.screen {
                    self.lines_about(other, event.ms);
                }
            }
        }
    }

    fn lines_about(&mut self, what: &What, ms: u64) {
        if let Some(text) = self.progress(what) {
            self.screen.print(&text);
        }
        if let What::Service { stack, .. } | What::Log { stack, .. } = what
            && let Some(text) = self.waiting(stack, ms)
        {
            self.screen.print(&text);
        }
    }

    fn run_started(&mut self) {
        let s = &self.summary;
        let text = format!(
            "{} {}  {}, {}, seed {}\n",
            self.look.strong("prodmirror"),
            visible(&s.version),
            self.look.name(&visible(&s.project)),
            count(s.cases.len(), "scenario"),
            s.seed
        );
        self.screen.print(&text);
    }

    /// A line about progress, where lines stay.
    fn progress(&self, what: &What) -> Option<String> {
        let (word, text) = match what {
            What::Image {
                image,
                state,
                detail,
            } if matches!(state.as_str(), "ready" | "failed" | "waiting") || detail.is_empty() => (
                "image",
                format!("{} {state} {detail}", self.look.name(image)),
            ),
            What::StackStarting { stack, services } => {
                ("start", format!("{stack}: {}", services.join(", ")))
            }
            What::Service {
                stack,
                service,
                replica,
                state,
                detail,
            } if is_trouble(*state) && self.is_needed(stack) => {
                let detail = detail
                    .as_deref()
                    .map_or(String::new(), |d| format!(": {d}"));
                (
                    "service",
                    format!(
                        "{stack}: {service}-{replica} {}{detail}",
                        state_word(*state)
                    ),
                )
            }
            What::Data {
                volume,
                summary,
                kind,
                took_ms,
                ..
            } => {
                let text = format!("{volume} = {summary} ({kind}, {})", time_of(*took_ms));
                ("data", text)
            }
            What::StackReady { stack, took_ms } => {
                ("ready", format!("{stack} in {}", time_of(*took_ms)))
            }
            _ => return None,
        };
        let text = visible(text.trim_end()).replace('\n', " ");
        Some(format!(
            "{} {text}\n",
            self.look.faint(&format!("{word:>7}"))
        ))
    }

    /// Whether a stack is being started, or a case runs on it: otherwise its services may go.
    fn is_needed(&self, stack: &str) -> bool {
        let starting = self
            .summary
            .stack(stack)
            .is_some_and(|s| s.ready_ms.is_none() && s.failure.is_none());
        starting
            || self
                .summary
                .cases
                .iter()
                .any(|c| c.status == Status::Running && c.stack.as_deref() == Some(stack))
    }

    /// What a start that takes long still waits for.
    fn waiting(&mut self, stack: &str, ms: u64) -> Option<String> {
        let s = self.summary.stack(stack)?;
        let since = s.started_ms.max(self.said_waiting);
        if s.ready_ms.is_some() || s.failure.is_some() || ms < since + SAY_WAITING_MS {
            return None;
        }
        let names: Vec<&str> = s
            .services
            .iter()
            .filter(|v| {
                !matches!(
                    v.state(),
                    Some(ServiceState::Healthy | ServiceState::Completed)
                )
            })
            .map(|v| v.name.as_str())
            .collect();
        let text = format!(
            "{} {stack}: {} so far, not ready: {}\n",
            self.look.faint(&format!("{:>7}", "start")),
            time_of(ms - s.started_ms),
            names.join(", ")
        );
        self.said_waiting = ms;
        Some(text)
    }

    fn note(&self, word: &str, text: &str) -> String {
        let mut out = String::new();
        for (i, line) in text.lines().enumerate() {
            let head = if i == 0 { word } else { "" };
            let head = self.look.notice(&format!("{head:>7}"));
            out.push_str(&format!("{head} {line}\n"));
        }
        out
    }

    fn egress(&mut self, what: &What) {
        let What::Egress {
            stack,
            service,
            protocol,
            target,
            by,
        } = what
        else {
            return;
        };
        let first = self.summary.egress.iter().any(|e| {
            e.count == 1
                && e.target == *target
                && e.service == *service
                && e.protocol == *protocol
                && e.stack == *stack
        });
        if first {
            let why = match by.as_str() {
                "" => "which nothing declares".to_owned(),
                by => format!("which {} does not allow", visible(by)),
            };
            let text = format!(
                "{} tried to reach {} ({protocol}), {why}",
                self.look.name(&visible(service)),
                self.look.strong(&visible(target)),
            );
            let text = self.note("egress", &text);
            self.screen.print(&text);
        }
    }

    /// Said at once where no scenario will say it.
    fn stack_failed(&mut self, what: &What) {
        let What::StackFailed {
            service,
            reason,
            log,
            ..
        } = what
        else {
            return;
        };
        if !self.summary.cases.is_empty() {
            return;
        }
        let who = service.as_deref().map_or(String::new(), |s| {
            format!("  {}", self.look.name(&visible(s)))
        });
        let mut text = format!("{}{who}\n", self.look.verdict(Outcome::Errored));
        for line in visible(reason).lines() {
            text.push_str(&format!("        {line}\n"));
        }
        for line in log {
            let bar = self.look.faint("│");
            text.push_str(&format!("        {bar} {}\n", visible(line)));
        }
        self.screen.print(&text);
    }

    /// The line of a case that ended, and what explains it.
    fn case_ended(&self, case: &Case) -> String {
        let t = self.summary.totals();
        let (total, ended) = (t.all(), t.all() - t.not_run);
        let digits = total.to_string().len();
        let mut line = format!(
            "{} [{:>9}] {} {}  {}",
            self.look.verdict(case.verdict()),
            time_of(case.took_ms),
            self.look.faint(&format!("({ended:>digits$}/{total})")),
            self.look.faint(&visible(&case.id.file)),
            visible(&case.id.name).replace('\n', " "),
        );
        if case.is_flaky() {
            line.push_str(&self.look.notice(&format!(
                "  (flaky: {} before it passed)",
                count(case.earlier.len(), "failure")
            )));
        }
        if case.verdict() == Outcome::Skipped {
            line.push_str(&self.look.faint(&format!("  ({})", visible(&case.why()))));
        }
        line.push('\n');
        if !matches!(case.verdict(), Outcome::Passed | Outcome::Skipped) {
            let rule = "─".repeat(self.look.width.clamp(20, 100));
            line.push_str(&format!(
                "{}\n{}{}\n",
                self.look.faint(&rule),
                failure::explain(&self.summary, case, self.look, Depth::SCREEN),
                self.look.faint(&rule)
            ));
        }
        line
    }
}

impl Subscriber for Terminal {
    fn on(&mut self, event: &Event) {
        self.summary.apply(event);
        if let Screen::Live(live) = &mut self.screen {
            live.update(event, &self.summary);
        }
        self.show(event);
    }

    fn finish(&mut self) {
        if let Screen::Live(live) = &mut self.screen {
            live.clear();
        }
    }
}

fn is_trouble(state: ServiceState) -> bool {
    matches!(
        state,
        ServiceState::Unhealthy | ServiceState::Died | ServiceState::Restarted
    )
}

fn state_word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Created => "is created",
        ServiceState::Started => "is started",
        ServiceState::Healthy => "is healthy",
        ServiceState::Unhealthy => "is unhealthy",
        ServiceState::Completed => "has completed",
        ServiceState::Died => "died",
        ServiceState::Restarted => "was restarted",
        ServiceState::Removed => "is removed",
    }
}
