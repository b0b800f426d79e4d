//! The lines at the bottom of a terminal that show what is going on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use prodmirror_model::event::{Event, ServiceState, What};
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Stack, Summary};

use crate::report::look::{Look, count};

/// Redraws a second; enough to be smooth, little enough to cost nothing.
const RATE: u8 = 12;
/// Images, stacks and scenarios that are shown at once.
const LINES: usize = 8;

/// A line for the whole run, and one for each thing that goes on.
pub(super) struct Live {
    look: Look,
    all: MultiProgress,
    head: Option<ProgressBar>,
    lines: BTreeMap<Key, ProgressBar>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Image(String),
    Stack(String),
    Case(String, String),
}

impl Live {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(RATE)),
            head: None,
            lines: BTreeMap::new(),
        }
    }

    /// Prints text above the lines; it stays. Errors are ignored: the terminal may be gone.
    pub(super) fn print(&self, text: &str) {
        if self.all.is_hidden() {
            let mut err = std::io::stderr().lock();
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        } else {
            let _ = self.all.println(text);
        }
    }

    /// Takes the lines away.
    pub(super) fn clear(&mut self) {
        for (_, line) in std::mem::take(&mut self.lines) {
            line.finish_and_clear();
        }
        if let Some(head) = self.head.take() {
            head.finish_and_clear();
        }
        let _ = self.all.clear();
    }

    /// Shows what an event changed.
    pub(super) fn update(&mut self, event: &Event, summary: &Summary) {
        match &event.what {
            What::RunStarted { cases, .. } if !cases.is_empty() => {
                self.head = Some(self.spinner(None));
                self.totals(summary);
            }
            What::Image {
                image,
                state,
                detail,
            } => {
                let key = Key::Image(image.clone());
                if state == "ready" || state == "failed" {
                    self.remove(&key);
                } else {
                    let text = format!("{state} {} {}", self.look.name(image), visible(detail));
                    self.set(key, text);
                }
            }
            What::StackStarting { stack, .. } | What::Service { stack, .. } => {
                self.stack(stack, summary);
            }
            What::StackReady { stack, .. }
            | What::StackFailed { stack, .. }
            | What::StackStopped { stack, .. } => self.remove(&Key::Stack(stack.clone())),
            What::CaseStarted { case, .. } => {
                let key = Key::Case(case.file.clone(), case.name.clone());
                self.set(key, visible(&case.name).into_owned());
            }
            What::StepStarted { case, title, .. } => {
                let key = Key::Case(case.file.clone(), case.name.clone());
                let number = summary.case(case).map_or(0, |c| c.steps.len());
                let text = format!(
                    "{} {} {}",
                    visible(&case.name),
                    self.look.faint(&format!("› {number}")),
                    self.look.faint(&visible(title))
                );
                self.set(key, text);
            }
            What::CaseFinished { case, .. } => {
                self.remove(&Key::Case(case.file.clone(), case.name.clone()));
                self.totals(summary);
            }
            _ => {}
        }
    }

    fn stack(&mut self, name: &str, summary: &Summary) {
        let Some(stack) = summary.stack(name) else {
            return;
        };
        if stack.ready_ms.is_none() && stack.failure.is_none() {
            let text = format!("{} {}", self.look.faint("starting"), self.services(stack));
            self.set(Key::Stack(name.to_owned()), text);
        }
    }

    /// Each service with a sign for its state; those that everything waits for come first.
    fn services(&self, stack: &Stack) -> String {
        let mut services: Vec<_> = stack.services.iter().collect();
        services.sort_by_key(|s| match s.state() {
            Some(ServiceState::Healthy | ServiceState::Completed) => 2,
            None | Some(ServiceState::Created | ServiceState::Removed) => 1,
            Some(_) => 0,
        });
        services
            .iter()
            .map(|s| {
                let name = visible(&s.name);
                match s.state() {
                    Some(ServiceState::Healthy | ServiceState::Completed) => {
                        format!("{} {}", self.look.good("✓"), self.look.faint(&name))
                    }
                    Some(ServiceState::Died | ServiceState::Unhealthy) => {
                        format!("{} {name}", self.look.bad("✗"))
                    }
                    Some(ServiceState::Started | ServiceState::Restarted) => {
                        format!("{} {name}", self.look.notice("◐"))
                    }
                    _ => self.look.faint(&format!("○ {name}")),
                }
            })
            .collect::<Vec<_>>()
            .join("  ")
    }

    fn totals(&self, summary: &Summary) {
        let Some(head) = &self.head else { return };
        let t = summary.totals();
        let ended = t.all() - t.not_run;
        let bad = t.failed + t.errored + t.timed_out;
        let mut text = format!("{ended}/{} done", count(t.all(), "scenario"));
        if bad > 0 {
            text.push_str(&format!(
                ", {}",
                self.look.bad(&format!("{bad} did not pass"))
            ));
        }
        head.set_message(text);
    }

    fn set(&mut self, key: Key, text: String) {
        if let Some(line) = self.lines.get(&key) {
            line.set_message(text);
            return;
        }
        if self.lines.len() >= LINES {
            return;
        }
        let line = self.spinner(self.head.as_ref());
        line.set_message(text);
        self.lines.insert(key, line);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(line) = self.lines.remove(key) {
            line.finish_and_clear();
            self.all.remove(&line);
        }
    }

    fn spinner(&self, before: Option<&ProgressBar>) -> ProgressBar {
        let template = if self.look.colour {
            "{spinner:.cyan} {since:>7.dim} {wide_msg}"
        } else {
            "{spinner} {since:>7} {wide_msg}"
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
            .with_key(
                "since",
                |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
                    let s = state.elapsed().as_secs_f64();
                    let _ = if s < 60.0 {
                        write!(w, "{s:.1}s")
                    } else {
                        write!(w, "{}:{:02}", s as u64 / 60, s as u64 % 60)
                    };
                },
            );
        let bar = ProgressBar::new_spinner().with_style(style);
        let bar = match before {
            Some(head) => self.all.insert_before(head, bar),
            None => self.all.add(bar),
        };
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}
