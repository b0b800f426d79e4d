//! `mail`: what services sent to a stub that takes mail.

mod message;

use std::time::{Duration, Instant};

use prodmirror_agent::wire::{Event, MailLine, PROGRAM_PATH};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::Value as Json;

use self::message::Message;
use super::context::reach_error;
use super::fields::{Time, args};
use super::logs::Since;
use super::target::Target;
use super::world::{Cursor, ExecRequest, MailStub, World};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// How long messages that must come are waited for, unless the step says otherwise.
const COMING: Duration = Duration::from_secs(10);
/// How long none may come, unless the step says otherwise.
const QUIET: Duration = Duration::from_secs(1);
/// How long one question to the stub waits for a message.
const ASKED: Duration = Duration::from_secs(10);
/// Beside that: what it takes to start a program in a container and to read what it says.
const SLACK: Duration = Duration::from_secs(20);
/// Bytes of one answer: more than a stub keeps, in base64.
const LARGEST: usize = 120 << 20;
/// Messages that evidence shows.
const SHOWN: usize = 20;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "mail",
    fields: &["messages", "count", "duration"],
    help: "waits for messages that services sent to a stub that takes mail (`stub: mail`)",
    example: "mail: { to: \"ann@shop.example\", subject_contains: Your order, count: 1 }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    stub: Option<Spanned<String>>,
    #[serde(default)]
    to: Option<Text>,
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    subject_contains: Option<Text>,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    since: Option<Spanned<String>>,
    #[serde(default)]
    within: Option<Time>,
}

struct MailAct {
    node: Node,
    stub: Option<Spanned<String>>,
    to: Option<Text>,
    from: Option<Text>,
    subject: Option<Text>,
    count: Option<u32>,
    since: Since,
    within: Duration,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    Ok(MailAct {
        node: node.clone(),
        stub: a.stub,
        to: a.to,
        from: a.from,
        subject: a.subject_contains,
        count: a.count,
        since: Since::new(a.since.as_ref().map(|s| s.value.as_str())),
        within: match (a.within, a.count) {
            (Some(t), _) => t.0,
            (None, Some(0)) => QUIET,
            (None, _) => COMING,
        },
    }
    .into())
}

/// Which messages are meant, templates rendered.
struct Meant {
    to: Option<String>,
    from: Option<String>,
    subject: Option<String>,
}

impl Meant {
    fn meets(&self, m: &Message) -> bool {
        let same = |a: &str, b: &str| a.trim().eq_ignore_ascii_case(b.trim());
        let to = |wanted: &String| m.to.iter().any(|t| same(t, wanted));
        let from = |wanted: &String| same(&m.from, wanted) || same(&m.sender, wanted);
        self.to.as_ref().is_none_or(to)
            && self.from.as_ref().is_none_or(from)
            && self
                .subject
                .as_ref()
                .is_none_or(|s| m.subject.contains(s.as_str()))
    }

    fn words(&self) -> String {
        let mut words = String::new();
        for (word, value) in [
            (" to", &self.to),
            (" from", &self.from),
            (" with the subject", &self.subject),
        ] {
            if let Some(value) = value {
                words.push_str(&format!("{word} {value}"));
            }
        }
        words
    }
}

impl MailAct {
    /// The stub that is meant.
    fn stub(&self, world: &dyn World) -> Result<MailStub, StepError> {
        let all = world.mail_stubs();
        let names: Vec<&str> = all.iter().map(|s| s.host.as_str()).collect();
        let (span, message, help) = match &self.stub {
            Some(name) => match all.iter().find(|s| s.host.eq_ignore_ascii_case(name)) {
                Some(stub) => return Ok(stub.clone()),
                None => (
                    &name.span,
                    format!("`{}` is no stub that takes mail", name.value),
                    match names.is_empty() {
                        true => HOW.to_owned(),
                        false => format!("stubs that take mail: {}", names.join(", ")),
                    },
                ),
            },
            None => match &all[..] {
                [only] => return Ok(only.clone()),
                [] => (
                    &self.node.span,
                    "no stub of this stack takes mail".to_owned(),
                    HOW.to_owned(),
                ),
                _ => (
                    &self.node.span,
                    "several stubs of this stack take mail".to_owned(),
                    format!("add `stub:` with one of {}", names.join(", ")),
                ),
            },
        };
        Err(Problem::at(ProblemKind::UnknownReference, span, message)
            .help(help)
            .into())
    }

    async fn look(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(context.scope)).transpose();
        let meant = Meant {
            to: text(&self.to)?,
            from: text(&self.from)?,
            subject: text(&self.subject)?,
        };
        let world = &**context.world;
        let stub = self.stub(world)?;
        let begun = Instant::now();
        let deadline = begun + self.within;
        let mut after = before(world, &stub.service, self.since.cursor(context)?);
        let (mut found, mut others) = (Vec::new(), Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = ask(world, &stub, after, left.min(ASKED)).await?;
            for mail in asked {
                after = after.max(mail.id);
                let message = Message::read(&mail).map_err(|why| {
                    StepError::transport(format!("a message of {} is damaged: {why}", stub.host))
                })?;
                match meant.meets(&message) {
                    true => found.push(message),
                    false => others.push(message.line()),
                }
            }
            let enough = match self.count {
                Some(0) => !found.is_empty(),
                Some(n) => found.len() >= n as usize,
                None => !found.is_empty(),
            };
            if enough || Instant::now() >= deadline {
                break;
            }
        }
        let took = begun.elapsed();
        let lines: Vec<String> = found.iter().map(Message::line).collect();
        context.trail.add("messages", list(&lines));
        context.trail.add("other messages", list(&others));
        let mut document = Document::default().with("count", found.len());
        let (mismatch, count) = (self.mismatch(&meant, &lines, &others), found.len());
        let messages: Vec<Json> = found.into_iter().map(Message::json).collect();
        document = document.with("messages", messages);
        document.took(took);
        let wrong = match self.count {
            Some(n) => count != n as usize,
            None => count == 0,
        };
        Ok(Done {
            document,
            mismatches: if wrong { vec![mismatch] } else { Vec::new() },
        })
    }

    fn mismatch(&self, meant: &Meant, found: &[String], others: &[String]) -> Mismatch {
        let words = meant.words();
        let within = humantime::format_duration(self.within);
        let expected = match self.count {
            None => format!("a message{words} within {within}"),
            Some(0) => format!("no message{words} within {within}"),
            Some(1) => format!("1 message{words} within {within}"),
            Some(n) => format!("{n} messages{words} within {within}"),
        };
        let actual = match (found, others) {
            ([], []) => "none came".to_owned(),
            ([], [one]) => format!("none; another came: {one}"),
            ([], [.., last]) => format!("none; {} others came, the last: {last}", others.len()),
            ([one], _) => format!("1: {one}"),
            ([first, ..], _) => format!("{}; the first: {first}", found.len()),
        };
        Mismatch {
            expectation: format!("mail{words}"),
            kind: "mail".into(),
            place: Some((&self.node.span).into()),
            expected,
            actual,
            path: None,
            hint: None,
        }
    }
}

/// How a stack gets such a stub.
const HOW: &str = "write `egress: { \"smtp.mail.example:25\": { stub: mail } }` in mirror.yaml";

fn list(lines: &[String]) -> String {
    let left = lines.len().saturating_sub(SHOWN);
    let mut text = lines[left..].join("\n");
    if left > 0 {
        text.insert_str(0, &format!("({left} before these)\n"));
    }
    if lines.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// The number of the last message that had come at a point of the log: the stub prints each
/// message's number when it takes it.
fn before(world: &dyn World, service: &str, at: Cursor) -> u64 {
    let number = |text: &str| match Event::parse(text) {
        Some(Event::StubMail { id, .. }) => Some(id),
        _ => None,
    };
    if at == Cursor::default() {
        return 0;
    }
    let newer = world.log_lines(service, at);
    let all = world.log_lines(service, Cursor::default());
    let older = &all[..all.len().saturating_sub(newer.len())];
    let last = older.iter().rev().find_map(|l| number(&l.text));
    let first = || newer.iter().find_map(|l| number(&l.text));
    last.unwrap_or_else(|| first().map_or(0, |id| id.saturating_sub(1)))
}

/// Asks the stub for the messages after one; when there are none, waits for the next.
async fn ask(
    world: &dyn World,
    stub: &MailStub,
    after: u64,
    wait: Duration,
) -> Result<Vec<prodmirror_agent::wire::Mail>, StepError> {
    let words = [
        PROGRAM_PATH,
        "mail",
        &after.to_string(),
        &wait.as_millis().to_string(),
    ];
    let request = ExecRequest {
        service: stub.service.clone(),
        command: words.map(str::to_owned).to_vec(),
        timeout: Some(wait + SLACK),
        keep: LARGEST,
        ..ExecRequest::default()
    };
    let output = world.exec(request).await.map_err(reach_error)?;
    let failed = |why: String| {
        let host = &stub.host;
        StepError::transport(format!("the messages of {host} cannot be read: {why}"))
    };
    if output.exit_code != 0 {
        return Err(failed(output.summary()));
    }
    let mut mails = Vec::new();
    for line in output.stdout.split(|b| *b == b'\n') {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line).map_err(|e| failed(e.to_string()))? {
            MailLine::Mail(mail) => mails.push(mail),
            MailLine::End { .. } => return Ok(mails),
        }
    }
    Err(failed("the answer has no end".to_owned()))
}

impl Act for MailAct {
    fn title(&self) -> String {
        let source = |t: &Option<Text>| t.as_ref().map(|t| t.source().to_owned());
        let meant = Meant {
            to: source(&self.to),
            from: source(&self.from),
            subject: source(&self.subject),
        };
        match self.count {
            Some(n) => format!("{n} × mail{}", meant.words()),
            None => format!("mail{}", meant.words()),
        }
    }

    fn targets(&self, to: &mut Vec<Target>) {
        if let Some(stub) = &self.stub {
            to.push(Target::host(stub, None));
        }
    }

    fn limit(&self) -> Duration {
        self.within + SLACK
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.look(context))
    }
}
