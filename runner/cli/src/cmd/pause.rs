//! The prompt of `run --step` and `run --pause-on fail`: stands still before a step, or after one
//! that did not pass, and does what standard input says.

mod command;
mod input;
mod shell;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prodmirror_engine::bus::Bus;
use prodmirror_engine::run::{Halt, Inspector, StepEnd, Stop};
use prodmirror_engine::step::{Later, world::Cursor};
use prodmirror_model::check::{Expr, show};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Outcome;
use prodmirror_model::plain::visible;
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::template::Document;

use super::Session;
use crate::args::RunArgs;
use crate::report::look::Look;
use command::Command;
use input::{Input, Kind};

/// How long what was told before is waited for, so that lines stand in their order.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// Lines of a step that are shown.
const MOST_LINES: usize = 20;
/// Lines of a log that are shown unless another number is given.
const LOG_LINES: usize = 50;

/// Stands still and asks.
#[derive(Debug)]
pub struct Pause {
    /// Before each step.
    stepping: AtomicBool,
    /// After a step that did not pass.
    on_fail: AtomicBool,
    /// Before the step at this position.
    at: Option<(String, String)>,
    input: tokio::sync::Mutex<Input>,
    stop: Stop,
    bus: OnceLock<Told>,
    redactor: Redactor,
    look: Look,
    shell: shell::Shell,
}

/// Where facts go that are to be told before a question.
struct Told(Arc<Bus>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

/// Whether a run can stop and ask.
///
/// # Errors
/// Why it cannot.
pub fn refuse(session: &Session, args: &RunArgs) -> Result<(), Problem> {
    if !args.inner.asks() {
        return Ok(());
    }
    let option = if args.inner.step {
        "--step"
    } else {
        "--pause-on"
    };
    if args.jobs != 1 {
        let what = format!(
            "`{option}` asks about one scenario at a time, and --jobs is {}",
            args.jobs
        );
        return Err(Problem::new(ProblemKind::InvalidValue, what).help("leave --jobs out"));
    }
    match Kind::of_stdin(session.context.stdin_tty) {
        Kind::Terminal | Kind::Commands => Ok(()),
        Kind::Nothing => {
            let what = format!(
                "`{option}` reads what to do from standard input, which is neither a terminal nor \
                 a pipe or file with commands"
            );
            Err(Problem::new(ProblemKind::Missing, what)
                .help("run it in a terminal, or give commands: printf 'doc\\nquit\\n' | prodmirror run --pause-on fail"))
        }
    }
}

impl Pause {
    /// One that is asked for.
    pub fn of(
        session: &Session,
        args: &RunArgs,
        run: &str,
        redactor: &Redactor,
        stop: &Stop,
    ) -> Option<Arc<Self>> {
        args.inner.asks().then(|| {
            Arc::new(Self {
                stepping: args.inner.step.into(),
                on_fail: args.inner.pause_on.is_some().into(),
                at: args.inner.at.clone(),
                input: tokio::sync::Mutex::new(Input::start(session.context.stdin_tty)),
                stop: stop.clone(),
                bus: OnceLock::new(),
                redactor: redactor.clone(),
                look: session.look(),
                shell: shell::Shell::new(session, run),
            })
        })
    }

    /// Says where facts go.
    pub fn after(&self, bus: &Arc<Bus>) {
        let _ = self.bus.set(Told(bus.clone()));
    }

    fn say(&self, text: &str) {
        use std::io::Write as _;
        let text = self.redactor.redact(text);
        // A lost terminal is no error.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Everything that happened before is on the screen.
    async fn settle(&self) {
        if let Some(Told(bus)) = self.bus.get() {
            let bus = bus.clone();
            let _ = tokio::task::spawn_blocking(move || bus.settle(TOLD_WITHIN)).await;
        }
    }

    async fn ask(&self, halt: &mut Halt<'_>) {
        // Branches that stand still at the same time are asked about one after the other.
        let mut input = self.input.lock().await;
        let failed = halt.end().is_some();
        let due = if failed {
            &self.on_fail
        } else {
            &self.stepping
        };
        let here = |(case, path): &(String, String)| {
            // A repetition has its mark behind the name.
            halt.case().name.starts_with(case.as_str()) && *path == halt.path()
        };
        let here = !failed && self.at.as_ref().is_some_and(here);
        if !(here || due.load(Ordering::Relaxed)) || self.stop.is_stopping() {
            return;
        }
        self.settle().await;
        self.say(&if failed {
            self.failure(halt)
        } else {
            self.coming(halt)
        });
        loop {
            self.say("(prodmirror) ");
            let Some(line) = input.line().await else {
                self.say("\nstandard input has ended: the run goes on without stopping\n");
                self.stepping.store(false, Ordering::Relaxed);
                self.on_fail.store(false, Ordering::Relaxed);
                return;
            };
            if !input.is_terminal() {
                // What a terminal shows by itself.
                self.say(&format!("{line}\n"));
            }
            match Command::parse(&line) {
                Command::Next if failed && line.trim().is_empty() => {
                    self.say("`continue` goes on, `help` lists what can be done here\n");
                }
                Command::Next => return,
                Command::Continue => {
                    self.stepping.store(false, Ordering::Relaxed);
                    return;
                }
                Command::Quit => {
                    self.stop.signal();
                    // The run ends now, and with it this waiting.
                    return std::future::pending().await;
                }
                command => {
                    let said = self.done(command, halt, &mut input).await;
                    self.say(&said);
                }
            }
        }
    }

    async fn done(&self, command: Command, halt: &mut Halt<'_>, input: &mut Input) -> String {
        match command {
            Command::Help => command::HELP.to_owned(),
            Command::Doc => document(halt),
            Command::Vars => vars(halt),
            Command::Value(text) => value(&text, halt, self.look, &self.redactor),
            Command::Again if halt.end().is_none() => {
                "the step has not been done yet: Enter does it\n".into()
            }
            Command::Again => {
                let end = halt.again().await;
                ended(&end, false)
            }
            Command::Run(yaml) => match halt.run(&yaml).await {
                Ok(end) => ended(&end, true),
                Err(problems) => crate::explain::human(&problems, self.look, &self.redactor),
            },
            Command::Logs(service, lines) => logs(halt, &service, lines.unwrap_or(LOG_LINES)),
            Command::Shell(service, line) => {
                if !halt.world().services().contains(&service) {
                    return no_service(halt, &service);
                }
                self.shell
                    .open(&service, line.as_deref(), halt, input)
                    .await
            }
            Command::Next | Command::Continue | Command::Quit => String::new(),
        }
    }

    /// What a step will do.
    fn coming(&self, halt: &Halt<'_>) -> String {
        let span = halt.span();
        let place = format!("{}:{}", span.file.name, span.line);
        let mut text = format!(
            "{} {} {}  {}\n",
            self.look.strong("next"),
            halt.path(),
            visible(&halt.title()),
            self.look.faint(&place)
        );
        for line in lines_of(span) {
            text.push_str(&format!("  {} {}\n", self.look.faint("|"), visible(line)));
        }
        text
    }

    fn failure(&self, halt: &Halt<'_>) -> String {
        let span = halt.span();
        let place = format!("{}:{}", span.file.name, span.line);
        let why = halt.end().map(|e| ended(e, false)).unwrap_or_default();
        format!(
            "{} {} {}  {}\n{why}the stack still stands: `help` lists what can be done here\n",
            self.look.alarm("stopped at"),
            halt.path(),
            visible(&halt.title()),
            self.look.faint(&place),
        )
    }
}

impl Inspector for Pause {
    fn before<'a>(&'a self, halt: &'a mut Halt<'_>) -> Later<'a, ()> {
        Box::pin(self.ask(halt))
    }

    fn failed<'a>(&'a self, halt: &'a mut Halt<'_>) -> Later<'a, ()> {
        Box::pin(self.ask(halt))
    }
}

/// The lines of a step in its file: from its first to the next that is not deeper.
fn lines_of(span: &Span) -> Vec<&str> {
    let mut lines = span
        .file
        .text
        .lines()
        .skip(span.line.saturating_sub(1) as usize);
    let Some(first) = lines.next() else {
        return Vec::new();
    };
    let depth = |l: &str| l.len() - l.trim_start().len();
    let top = depth(first);
    let rest = lines.take_while(|l| l.trim().is_empty() || depth(l) > top);
    let mut all: Vec<&str> = std::iter::once(first).chain(rest).collect();
    while all.last().is_some_and(|l| l.trim().is_empty()) {
        all.pop();
    }
    if all.len() > MOST_LINES {
        all.truncate(MOST_LINES);
        all.push("…");
    }
    all.iter().map(|l| l.get(top..).unwrap_or(l)).collect()
}

/// How a step ended, in lines.
fn ended(end: &StepEnd, with_result: bool) -> String {
    let word = match end.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Errored => "could not be done",
        Outcome::TimedOut => "took too long",
        Outcome::Skipped => "skipped",
    };
    let mut text = format!("{word} ({:.1} ms)\n", end.took.as_secs_f64() * 1000.0);
    if let Some(error) = &end.error {
        text.push_str(&format!("  {}\n", visible(error)));
    }
    for m in &end.mismatches {
        text.push_str(&format!(
            "  {}: expected {}, got {}\n",
            visible(&m.expectation),
            visible(&m.expected),
            visible(&m.actual)
        ));
        if let Some(hint) = &m.hint {
            text.push_str(&format!("    {}\n", visible(hint)));
        }
    }
    if with_result && let Some(document) = end.result() {
        text.push_str(&pretty(document));
    }
    text
}

fn pretty(document: &Document) -> String {
    let text = serde_json::to_string_pretty(&document.fields).unwrap_or_default();
    format!("{}\n", visible(&text))
}

fn document(halt: &Halt<'_>) -> String {
    match halt.end() {
        None => "there is no result yet: the step has not been done\n".into(),
        Some(end) => match end.result() {
            Some(document) => pretty(document),
            None => "the step gave no result\n".into(),
        },
    }
}

fn vars(halt: &Halt<'_>) -> String {
    let scope = halt.scope();
    let mut text = String::new();
    for name in scope.names() {
        let value = scope.get(name).map(show).unwrap_or_default();
        text.push_str(&format!("{name} = {}\n", visible(&value)));
    }
    for id in scope.step_ids() {
        let fields = scope
            .step(id)
            .map(|d| d.fields.keys().cloned().collect::<Vec<_>>());
        text.push_str(&format!(
            "steps.{id}: {}\n",
            fields.unwrap_or_default().join(", ")
        ));
    }
    for name in scope.secret_names() {
        text.push_str(&format!("secrets.{name} = ***\n"));
    }
    if text.is_empty() {
        text.push_str("there are no variables\n");
    }
    text
}

fn value(source: &str, halt: &Halt<'_>, look: Look, redactor: &Redactor) -> String {
    let file = SourceFile::new("prompt", source);
    let len = u32::try_from(source.chars().count()).unwrap_or(1);
    let span = Span::in_line(&file, 1, 1, len.max(1));
    let expr = match Expr::new(source, &span) {
        Ok(expr) => expr,
        Err(p) => return crate::explain::human(&[p], look, redactor),
    };
    let none = Document::default();
    let document = halt.end().and_then(StepEnd::result).unwrap_or(&none);
    match expr.value(document, halt.scope()) {
        Ok(value) => {
            let text = serde_json::to_string_pretty(&value).unwrap_or_default();
            format!("{}\n", visible(&text))
        }
        Err(m) => format!("{}: {}\n", visible(&m.expectation), visible(&m.actual)),
    }
}

fn no_service(halt: &Halt<'_>, service: &str) -> String {
    let there = halt.world().services().join(", ");
    format!("there is no service `{service}`; there are: {there}\n")
}

fn logs(halt: &Halt<'_>, service: &str, most: usize) -> String {
    if !halt.world().services().iter().any(|s| s == service) {
        return no_service(halt, service);
    }
    let lines = halt.world().log_lines(service, Cursor::default());
    if lines.is_empty() {
        return format!("`{service}` has printed nothing\n");
    }
    let mut by_replica: BTreeMap<u32, usize> = BTreeMap::new();
    for line in &lines {
        *by_replica.entry(line.replica).or_default() += 1;
    }
    let several = by_replica.len() > 1;
    let mut text = String::new();
    for line in &lines[lines.len().saturating_sub(most)..] {
        let who = if several {
            format!("{service}-{}", line.replica)
        } else {
            service.to_owned()
        };
        text.push_str(&format!("{who} | {}\n", visible(&line.text)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_far_as_it_goes() {
        let file = SourceFile::new(
            "a.yaml",
            "steps:\n  - id: a\n    http: x\n\n    expect: y\n  - id: b\n",
        );
        let at = |line| lines_of(&Span::in_line(&file, line, 3, 1)).join("/");
        assert_eq!(at(2), "- id: a/  http: x//  expect: y");
        assert_eq!(at(6), "- id: b");
    }
}
