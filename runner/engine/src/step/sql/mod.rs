//! `sql`: statements in PostgreSQL, MySQL and SQLite.

mod args;
mod connect;
mod decode;
mod encode;
#[cfg(feature = "mysql")]
mod mysql;
mod numeric;
mod outcome;
mod postgres;
mod session;
mod split;
#[cfg(feature = "sqlite")]
mod sqlite;
mod time;

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Scope, Text};
use prodmirror_model::yaml::Node;
use serde_json::Value as Json;

use self::args::{Fails, SqlAct, Work};
use self::connect::Who;
use self::outcome::{Failure, Rows, ServerError};
use self::session::Session;
use super::credentials::Environment;
use super::target::{Target, TargetKind};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "sql",
    fields: &[
        "rows", "columns", "count", "affected", "results", "error", "duration",
    ],
    help: "runs statements in PostgreSQL, MySQL or MariaDB, or on a copy of an SQLite file, and gives their rows",
    example: "sql: { service: db, query: \"select state from orders where id = $1\", params: [\"{{ order_id }}\"] }",
    usual: None,
    compile,
};

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(args::act(node)?.into())
}

/// Whose statements they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Postgres,
    MySql,
    Sqlite,
}

impl Engine {
    const fn port(self) -> u16 {
        match self {
            Engine::MySql => 3306,
            _ => 5432,
        }
    }
}

/// One statement with its values in.
struct Ready {
    text: String,
    params: Vec<Json>,
    /// Its file and its line there.
    place: Option<(String, usize)>,
}

impl SqlAct {
    /// The engine that the step says, or that its port or the service's environment tells.
    fn engine(&self, environment: &Environment<'_>) -> Engine {
        if let Some(engine) = self.known_engine() {
            return engine;
        }
        match environment.any(&["POSTGRES_"]) {
            false if environment.any(&["MYSQL_", "MARIADB_"]) => Engine::MySql,
            _ => Engine::Postgres,
        }
    }

    fn known_engine(&self) -> Option<Engine> {
        match (self.engine, self.port) {
            (Some(engine), _) => Some(engine),
            (None, _) if self.file.is_some() => Some(Engine::Sqlite),
            (None, Some(5432)) => Some(Engine::Postgres),
            (None, Some(3306)) => Some(Engine::MySql),
            _ => None,
        }
    }

    fn who(&self, engine: Engine, scope: &Scope) -> Result<Who, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port.unwrap_or(engine.port()),
            user: text(&self.user)?,
            password: text(&self.password)?,
            database: text(&self.database)?,
        })
    }

    /// The statements, with all values in.
    fn ready(&self, engine: Engine, scope: &Scope) -> Result<Vec<Ready>, StepError> {
        match &self.work {
            Work::Queries(all) => all
                .iter()
                .map(|q| {
                    let params = q.params.iter().map(|p| p.render(scope));
                    Ok(Ready {
                        text: q.query.render(scope)?,
                        params: params.collect::<Result<_, _>>()?,
                        place: None,
                    })
                })
                .collect(),
            Work::Script(file, span) => {
                let pieces = split::split(&file.text, engine).map_err(|e| {
                    let message = format!("{}:{}: `{}` cannot be run", file.name, e.line, e.what);
                    Problem::at(ProblemKind::Unsupported, span, message).help(e.help)
                })?;
                let ready = |p: split::Piece| Ready {
                    text: p.text,
                    params: Vec::new(),
                    place: Some((file.name.clone(), p.line)),
                };
                Ok(pieces.into_iter().map(ready).collect())
            }
        }
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let engine = self.engine(&Environment::of(context.world, &self.service.value));
        let statements = self.ready(engine, context.scope)?;
        match &self.work {
            Work::Script(file, _) => context.trail.add(
                "script",
                format!("{}: {} statements", file.name, statements.len()),
            ),
            Work::Queries(_) => statements.iter().for_each(|s| {
                context
                    .trail
                    .add("statement", outcome::shown(&s.text, &s.params))
            }),
        }
        let who = self.who(engine, context.scope)?;
        let file = self
            .file
            .as_ref()
            .map(|f| f.render(context.scope))
            .transpose()?;
        let mut session = Session::open(engine, who, file.as_deref(), context).await?;
        let begun = Instant::now();
        let answer = match self.transaction {
            true => self.all_or_nothing(&mut session, &statements).await,
            false => self.one_by_one(&mut session, &statements).await,
        };
        let took = begun.elapsed();
        let (mut document, error) = match answer {
            Ok(rows) => (self.document(rows), None),
            Err(Failure::Server(e)) => (Document::default(), Some(e)),
            // The connection is not kept: nobody knows in what state it is.
            Err(Failure::Step(e)) => return Err(e),
        };
        session.keep(context).await;
        document.set("error", error.as_ref().map_or(Json::Null, |e| e.json()));
        context
            .trail
            .add("rows", outcome::show_rows(&document, error.as_deref()));
        document.took(took);
        let mismatches = self.judge(error.as_deref());
        Ok(Done {
            document,
            mismatches,
        })
    }

    async fn all_or_nothing(
        &self,
        session: &mut Session,
        statements: &[Ready],
    ) -> Result<Vec<Rows>, Failure> {
        session.begin().await?;
        let ran = self.one_by_one(session, statements).await;
        match (&ran, self.rollback) {
            (Ok(_), false) => session.end("commit").await?,
            (Ok(_), true) | (Err(Failure::Server(_)), _) => session.end("rollback").await?,
            (Err(Failure::Step(_)), _) => {}
        }
        ran
    }

    async fn one_by_one(
        &self,
        session: &mut Session,
        statements: &[Ready],
    ) -> Result<Vec<Rows>, Failure> {
        let mut all = Vec::with_capacity(statements.len());
        for (i, s) in statements.iter().enumerate() {
            let ran = match s.place {
                // Of a script nobody reads the types of values: its statements are sent as they
                // are, also those that cannot be prepared.
                Some(_) => session.simple(&s.text).await,
                None => session.run(&s.text, &s.params).await,
            };
            match ran {
                Ok(rows) if matches!(self.work, Work::Script(..)) => {
                    // A script may have a million statements; the last rows are kept.
                    match all.last_mut() {
                        Some(last) => outcome::follow(last, rows),
                        None => all.push(rows),
                    }
                }
                Ok(rows) => all.push(rows),
                Err(Failure::Server(mut e)) => {
                    e.place = match &s.place {
                        Some((file, line)) => Some(format!("{file}:{}", e.line(&s.text, *line))),
                        None if statements.len() > 1 => Some(format!("statement {}", i + 1)),
                        None => None,
                    };
                    return Err(Failure::Server(e));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(all)
    }

    fn document(&self, mut all: Vec<Rows>) -> Document {
        match (&self.work, all.pop()) {
            (Work::Queries(_), Some(one)) if self.single => one.document(),
            (Work::Queries(_), last) => {
                all.extend(last);
                outcome::of_several(all)
            }
            (Work::Script(..), last) => last.unwrap_or_default().document(),
        }
    }

    fn judge(&self, error: Option<&ServerError>) -> Vec<Mismatch> {
        let expected = match (&self.fails, error) {
            (Fails::No, None) | (Fails::Somehow, Some(_)) => return Vec::new(),
            (Fails::With(code), Some(e)) if e.is(code) => return Vec::new(),
            (Fails::No, Some(_)) => "that the statement succeeds".to_owned(),
            (Fails::Somehow, None) => "that the statement fails".to_owned(),
            (Fails::With(code), _) if code.len() == 5 => {
                format!("that the statement fails with SQLSTATE {code}")
            }
            (Fails::With(number), _) => format!("that the statement fails with error {number}"),
        };
        let (actual, hint) = match error {
            Some(e) => (e.text(), e.hint.clone()),
            None => ("it succeeded".to_owned(), None),
        };
        let (expectation, span) = self.words();
        vec![Mismatch {
            expectation,
            kind: "sql".into(),
            place: Some(span.into()),
            expected,
            actual,
            path: None,
            hint,
        }]
    }
}

impl Act for SqlAct {
    fn title(&self) -> String {
        let (words, _) = self.words();
        let short: String = words.chars().take(60).collect();
        let more = if short.len() < words.len() { "…" } else { "" };
        format!("{}: {short}{more}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        let file = self.known_engine() == Some(Engine::Sqlite);
        let known = self.known_engine().map(Engine::port);
        to.push(Target {
            name: self.service.value.clone(),
            port: if file { None } else { self.port.or(known) },
            // A file is read from a container; a server is reached by its name.
            kind: if file {
                TargetKind::Service
            } else {
                TargetKind::Host
            },
            span: self.service.span.clone(),
        });
    }

    fn limit(&self) -> Duration {
        match &self.work {
            Work::Script(..) => Duration::from_secs(300),
            Work::Queries(_) => Duration::from_secs(30),
        }
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
