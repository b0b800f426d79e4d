//! `logs`: what a service printed.

mod select;

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::Document;
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::Value as Json;

pub(super) use self::select::{Entry, Select};
use super::fields::{Time, args};
use super::target::Target;
use super::world::{Cursor, World};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Lines that a result holds at most.
const MOST: usize = 10_000;
/// How long lines that must come are waited for, unless the step says otherwise.
const COMING: Duration = Duration::from_secs(5);
/// A log is at rest when nothing came for so long; lines that must not be there are looked
/// for then.
const REST: Duration = Duration::from_millis(50);
/// A log that does not come to rest is looked at after so long.
const RESTLESS: Duration = Duration::from_millis(500);

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "logs",
    fields: &["lines", "entries", "count", "duration"],
    help: "looks at what a service printed since the scenario or a step began",
    example: "logs: { service: orders, none: ERROR }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    #[serde(default)]
    any: Option<Node>,
    #[serde(default)]
    none: Option<Node>,
    #[serde(default)]
    select: Option<Node>,
    #[serde(default)]
    since: Option<Spanned<String>>,
    #[serde(default)]
    within: Option<Time>,
}

struct LogsAct {
    service: Spanned<String>,
    any: Option<Select>,
    none: Option<Select>,
    select: Option<Select>,
    since: Since,
    within: Option<Duration>,
}

/// From where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// The scenario's beginning.
    Scenario,
    /// The stack's beginning.
    Stack,
    /// The last beginning of the step with this id.
    Step(String),
}

impl Since {
    pub fn new(word: Option<&str>) -> Self {
        match word {
            None | Some("scenario") => Since::Scenario,
            Some("stack") => Since::Stack,
            Some(id) => Since::Step(id.to_owned()),
        }
    }

    pub fn cursor(&self, context: &Context<'_>) -> Result<Cursor, StepError> {
        match self {
            Since::Scenario => Ok(context.marks.scenario),
            Since::Stack => Ok(Cursor::default()),
            Since::Step(id) => context.marks.steps.get(id).copied().ok_or_else(|| {
                Problem::new(
                    ProblemKind::UnknownReference,
                    format!("`since: {id}`: no step with this id has begun yet"),
                )
                .into()
            }),
        }
    }
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let mut read = |n: Option<&Node>| {
        n.and_then(|n| match Select::read(n) {
            Ok(s) => Some(s),
            Err(p) => {
                problems.extend(p);
                None
            }
        })
    };
    let (any, none, select) = (
        read(a.any.as_ref()),
        read(a.none.as_ref()),
        read(a.select.as_ref()),
    );
    if a.any.is_none() && a.none.is_none() && a.select.is_none() {
        problems.push(
            Problem::at(ProblemKind::Missing, &node.span, "this step does not say which lines it is about")
                .help("add `any:` (a line must be there), `none:` (no line may be there), or `select:` with `expect:`"),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(LogsAct {
        service: a.service,
        any,
        none,
        select,
        since: Since::new(a.since.as_ref().map(|s| s.value.as_str())),
        within: a.within.map(|t| t.0),
    }
    .into())
}

/// Waits until nothing has come for a moment.
async fn rest(world: &dyn World, limit: Duration) {
    let deadline = tokio::time::Instant::now() + limit;
    while tokio::time::Instant::now() < deadline {
        let end = world.log_end();
        let quiet = tokio::time::timeout(REST, world.log_changed(end))
            .await
            .is_err();
        if quiet {
            return;
        }
    }
}

/// Waits until a line that is meant is there; whether one came.
pub(super) async fn comes(
    world: &dyn World,
    service: &str,
    after: Cursor,
    select: &Select,
    scope: &prodmirror_model::template::Scope,
    within: Duration,
) -> Result<bool, StepError> {
    let deadline = tokio::time::Instant::now() + within;
    let mut seen = after;
    loop {
        let end = world.log_end();
        for line in world.log_lines(service, seen) {
            if select.meets(&Entry::new(&line), scope)? {
                return Ok(true);
            }
        }
        seen = end;
        if tokio::time::timeout_at(deadline, world.log_changed(end))
            .await
            .is_err()
        {
            return Ok(false);
        }
    }
}

impl LogsAct {
    async fn look(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let begun = Instant::now();
        let after = self.since.cursor(context)?;
        let world = &**context.world;
        if let Some(any) = &self.any {
            comes(
                world,
                &self.service,
                after,
                any,
                context.scope,
                self.within.unwrap_or(COMING),
            )
            .await?;
        }
        if self.none.is_some() || self.any.is_none() {
            rest(world, self.within.unwrap_or(RESTLESS)).await;
        }
        let entries: Vec<Entry> = world
            .log_lines(&self.service, after)
            .iter()
            .map(Entry::new)
            .collect();
        let mut mismatches = Vec::new();
        if let Some(any) = &self.any
            && !some(any, &entries, context)?
        {
            let actual = format!("none of the {} lines", entries.len());
            mismatches.push(self.mismatch("any", any, "a line", actual));
        }
        if let Some(none) = &self.none {
            let found = pick(none, &entries, context)?;
            if let Some(first) = found.first() {
                let actual = format!(
                    "{} lines; the first: {}",
                    found.len(),
                    super::evidence::cut(&first.text, 300)
                );
                mismatches.push(self.mismatch("none", none, "no line", actual));
            }
        }
        let shown = self
            .select
            .as_ref()
            .or(self.any.as_ref())
            .or(self.none.as_ref());
        let picked: Vec<&Entry> = match shown {
            Some(s) => pick(s, &entries, context)?,
            None => entries.iter().collect(),
        };
        if picked.len() > MOST {
            let text = format!(
                "{} lines are meant; at most {MOST} can be looked at",
                picked.len()
            );
            return Err(Problem::new(ProblemKind::TooLarge, text).into());
        }
        let tail: Vec<&str> = entries
            .iter()
            .rev()
            .take(20)
            .map(|e| e.text.as_str())
            .collect();
        context.trail.add(
            "log",
            format!(
                "{} lines, the last:\n{}",
                entries.len(),
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            ),
        );
        let mut document = Document::default()
            .with("count", picked.len())
            .with(
                "lines",
                picked
                    .iter()
                    .map(|e| Json::from(e.text.clone()))
                    .collect::<Vec<_>>(),
            )
            .with(
                "entries",
                picked
                    .iter()
                    .filter_map(|e| e.json.clone())
                    .collect::<Vec<_>>(),
            );
        document.took(begun.elapsed());
        Ok(Done {
            document,
            mismatches,
        })
    }

    fn mismatch(&self, word: &str, select: &Select, expected: &str, actual: String) -> Mismatch {
        Mismatch {
            expectation: format!("logs of {}: {word} {}", self.service.value, select.words()),
            kind: "logs".into(),
            place: Some(select.span().into()),
            expected: format!("{expected} {}", select.words()),
            actual,
            path: None,
            hint: None,
        }
    }
}

fn some(select: &Select, entries: &[Entry], context: &Context<'_>) -> Result<bool, StepError> {
    for e in entries {
        if select.meets(e, context.scope)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pick<'e>(
    select: &Select,
    entries: &'e [Entry],
    context: &Context<'_>,
) -> Result<Vec<&'e Entry>, StepError> {
    let mut picked = Vec::new();
    for e in entries {
        if select.meets(e, context.scope)? {
            picked.push(e);
        }
    }
    Ok(picked)
}

impl Act for LogsAct {
    fn title(&self) -> String {
        let (word, select) = match (&self.any, &self.none, &self.select) {
            (Some(s), ..) => ("any", s),
            (_, Some(s), _) => ("none", s),
            (.., Some(s)) => ("select", s),
            _ => return format!("logs of {}", self.service.value),
        };
        format!("logs of {}: {word} {}", self.service.value, select.words())
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(&self.service));
    }

    fn limit(&self) -> Duration {
        self.within.unwrap_or(COMING) + Duration::from_secs(10)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.look(context))
    }
}
