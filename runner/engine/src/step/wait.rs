//! `wait`: until something is so.

use std::time::{Duration, Instant};

use prodmirror_model::check::Expr;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::Mismatch;
use prodmirror_model::scenario::read_duration;
use prodmirror_model::source::Span;
use prodmirror_model::template::Document;
use prodmirror_model::yaml::{Mapping, Node};

use super::fields::{Time, args};
use super::logs::{Select, Since, comes};
use super::target::{Target, TargetKind};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError, Trail};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "wait",
    fields: &["attempts", "duration"],
    help: "waits until a service answers, a line is logged, or a statement gives rows",
    example: "wait: { for: { http: \"http://gateway/health\" }, within: 30s }",
    usual: None,
    compile,
};

/// How long a single look may take.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    r#for: Node,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    every: Option<Time>,
}

struct WaitAct {
    what: What,
    span: Span,
    words: String,
    within: Duration,
    every: Duration,
}

enum What {
    Time(Duration),
    Tcp(String, u16),
    /// An act, and what must be true of its result.
    Act(Box<dyn Act>, Expr),
    Log {
        service: String,
        select: Select,
        since: Since,
    },
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut warnings = Vec::new();
    let (what, words) = match a.r#for.as_map() {
        None => {
            let time = read_duration(&a.r#for).map_err(|p| {
                vec![p.help("write a duration, or what to wait for: `{ http: … }`, `{ tcp: … }`, `{ log: … }`, `{ sql: … }`")]
            })?;
            warnings.push(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &a.r#for.span,
                    "a fixed wait is too long on a fast machine and too short on a slow one",
                )
                .warning()
                .help("wait for what must have happened: `for: { http: … }`, `eventually:` on the next step"),
            );
            (
                What::Time(time),
                humantime::format_duration(time).to_string(),
            )
        }
        Some(map) => condition(map, &a.r#for)?,
    };
    let act = WaitAct {
        what,
        span: a.r#for.span.clone(),
        words,
        within: a.within.map_or(Duration::from_secs(30), |t| t.0),
        every: a.every.map_or(Duration::from_millis(100), |t| t.0),
    };
    Ok(Compiled {
        act: Box::new(act),
        warnings,
    })
}

fn condition(map: &Mapping, node: &Node) -> Result<(What, String), Vec<Problem>> {
    const KINDS: [&str; 4] = ["http", "tcp", "log", "sql"];
    let mut found = None;
    for (key, e) in &map.0 {
        match key.as_str() {
            "until" => {}
            k if KINDS.contains(&k) && found.is_none() => found = Some((k, e)),
            k if KINDS.contains(&k) => {
                return Err(vec![Problem::at(
                    ProblemKind::Conflict,
                    &e.key,
                    "a `wait` is for one thing",
                )]);
            }
            k => {
                let p = Problem::at(
                    ProblemKind::UnknownKey,
                    &e.key,
                    format!("unknown key `{k}`"),
                );
                let known = KINDS.into_iter().chain(["until"]);
                return Err(vec![match nearest(k, known.clone()) {
                    Some(n) => p.help(format!("did you mean `{n}`?")),
                    None => p.help(format!(
                        "known here: {}",
                        known.collect::<Vec<_>>().join(", ")
                    )),
                }]);
            }
        }
    }
    let Some((key, e)) = found else {
        return Err(vec![
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                "`for` does not say what to wait for",
            )
            .help("give one of: http, tcp, log, sql"),
        ]);
    };
    let until = |default: &str| match map.get("until") {
        Some(n) => Expr::new(&n.scalar_text().unwrap_or_default(), &n.span),
        None => Expr::new(default, &Span::generated()),
    };
    let one = |p: Problem| vec![p];
    match key {
        "tcp" => tcp(&e.node),
        "log" => log(&e.node),
        "http" => {
            let node = match e.node.as_str() {
                Some(_) => {
                    let mut m = Node::map(e.node.span.clone());
                    if let Some(map) = m.as_map_mut() {
                        map.insert("url", e.node.clone());
                    }
                    m
                }
                None => e.node.clone(),
            };
            let act = (super::http::KIND.compile)(&node)?.act;
            let words = act.title();
            Ok((What::Act(act, until("status < 400").map_err(one)?), words))
        }
        _ => {
            let act = (super::sql::KIND.compile)(&e.node)?.act;
            let words = act.title();
            Ok((What::Act(act, until("size(rows) > 0").map_err(one)?), words))
        }
    }
}

fn tcp(node: &Node) -> Result<(What, String), Vec<Problem>> {
    let bad = || {
        vec![
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "`tcp` takes a host and a port",
            )
            .help("write `tcp: \"db:5432\"`"),
        ]
    };
    let text = node.as_str().ok_or_else(bad)?;
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    if host.is_empty() {
        return Err(bad());
    }
    Ok((
        What::Tcp(host.to_owned(), port),
        format!("a connection to {text}"),
    ))
}

fn log(node: &Node) -> Result<(What, String), Vec<Problem>> {
    let bad = |text: &str| {
        vec![
            Problem::at(ProblemKind::InvalidValue, &node.span, text)
                .help("write `log: { service: worker, contains: ready }`"),
        ]
    };
    let Some(map) = node.as_map() else {
        return Err(bad("`log` is a mapping"));
    };
    let Some(service) = map.get("service").and_then(Node::as_str) else {
        return Err(bad("`log` does not name a service"));
    };
    let since = Since::new(map.get("since").and_then(Node::as_str));
    let mut rest = node.clone();
    if let Some(m) = rest.as_map_mut() {
        m.remove("service");
        m.remove("since");
    }
    if rest.as_map().is_some_and(Mapping::is_empty) {
        return Err(bad("`log` does not say which line to wait for"));
    }
    let select = Select::read(&rest)?;
    let words = format!("a line of {service} {}", select.words());
    Ok((
        What::Log {
            service: service.to_owned(),
            select,
            since,
        },
        words,
    ))
}

impl WaitAct {
    async fn wait(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let begun = Instant::now();
        let (mut attempts, mut last) = (1_u32, String::new());
        let came = match &self.what {
            What::Time(t) => {
                tokio::time::sleep(*t).await;
                true
            }
            What::Log {
                service,
                select,
                since,
            } => {
                let after = since.cursor(context)?;
                last = "no such line came".into();
                comes(
                    &**context.world,
                    service,
                    after,
                    select,
                    context.scope,
                    self.within,
                )
                .await?
            }
            What::Tcp(..) | What::Act(..) => loop {
                match self.look(context).await? {
                    None => break true,
                    Some(reason) => last = reason,
                }
                if begun.elapsed() + self.every > self.within {
                    break false;
                }
                tokio::time::sleep(self.every).await;
                attempts += 1;
            },
        };
        let mut document = Document::default().with("attempts", attempts);
        document.took(begun.elapsed());
        let mut done = Done::from(document);
        if !came {
            done.mismatches.push(Mismatch {
                expectation: format!("wait for {}", self.words),
                kind: "wait".into(),
                place: self.span.is_real().then(|| (&self.span).into()),
                expected: format!(
                    "{} within {}",
                    self.words,
                    humantime::format_duration(self.within)
                ),
                actual: last,
                path: None,
                hint: None,
            });
        }
        Ok(done)
    }

    /// One look: `None` when it is so, else why not.
    async fn look(&self, context: &mut Context<'_>) -> Result<Option<String>, StepError> {
        let limit = LOOK.min(self.within);
        let mut trail = Trail::default();
        let seen = match &self.what {
            What::Tcp(host, port) => tokio::time::timeout(limit, context.connect(host, *port))
                .await
                .map(|r| r.map(|_| None)),
            What::Act(act, until) => {
                let mut inner = Context {
                    world: context.world,
                    scope: context.scope,
                    sessions: context.sessions,
                    marks: context.marks,
                    trail: &mut trail,
                    allow_shell: context.allow_shell,
                };
                tokio::time::timeout(limit, act.run(&mut inner))
                    .await
                    .map(|r| r.map(|done| Some((done, until))))
            }
            What::Time(_) | What::Log { .. } => return Ok(None),
        };
        let judged = match seen {
            Err(_) => Some(format!(
                "no answer within {}",
                humantime::format_duration(limit)
            )),
            Ok(Err(e @ StepError::Refused(_))) => return Err(e),
            Ok(Err(e)) => Some(e.to_string()),
            Ok(Ok(None)) => None,
            Ok(Ok(Some((done, until)))) => match done.mismatches.first() {
                Some(m) => Some(m.actual.clone()),
                None => until.check(&done.document, context.scope).first().map(|m| {
                    format!(
                        "{}: {}",
                        m.path.as_deref().unwrap_or(&m.expectation),
                        m.actual
                    )
                }),
            },
        };
        if judged.is_some() {
            // Only the last look is of interest.
            *context.trail = trail;
        }
        Ok(judged)
    }
}

impl Act for WaitAct {
    fn title(&self) -> String {
        format!("wait for {}", self.words)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        let mut add = |name: &str, port, kind| {
            to.push(Target {
                name: name.to_owned(),
                port,
                kind,
                span: self.span.clone(),
            });
        };
        match &self.what {
            What::Time(_) => {}
            What::Tcp(host, port) => add(host, Some(*port), TargetKind::Host),
            What::Log { service, .. } => add(service, None, TargetKind::Service),
            What::Act(act, _) => act.targets(to),
        }
    }

    fn limit(&self) -> Duration {
        match self.what {
            What::Time(t) => t + Duration::from_secs(10),
            _ => self.within + Duration::from_secs(10),
        }
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.wait(context))
    }
}
