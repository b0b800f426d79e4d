//! What an `sql` step says.

use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::{Node, Spanned, from_node};
use serde::Deserialize;

use super::{Engine, KIND};
use crate::step::fields::{args, helped};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    #[serde(default)]
    engine: Option<Spanned<String>>,
    #[serde(default)]
    query: Option<Text>,
    #[serde(default)]
    params: Option<Vec<Data>>,
    #[serde(default)]
    queries: Option<Spanned<Vec<Node>>>,
    #[serde(default)]
    script: Option<Spanned<String>>,
    #[serde(default)]
    file: Option<Text>,
    #[serde(default)]
    transaction: Option<Spanned<bool>>,
    #[serde(default)]
    rollback: Option<Spanned<bool>>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    password: Option<Text>,
    #[serde(default)]
    database: Option<Text>,
    #[serde(default)]
    fails: Option<Node>,
}

/// A statement and its parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub query: Text,
    #[serde(default)]
    pub params: Vec<Data>,
}

/// What is run.
pub(super) enum Work {
    Queries(Vec<Query>),
    Script(Arc<SourceFile>, Span),
}

/// Whether the statement is meant to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fails {
    No,
    Somehow,
    /// With this SQLSTATE, or this number of MySQL.
    With(String),
}

/// Statements, ready to run.
pub(super) struct SqlAct {
    pub service: Spanned<String>,
    pub engine: Option<Engine>,
    pub work: Work,
    /// Whether it is one `query`, whose result is given as it is.
    pub single: bool,
    pub transaction: bool,
    pub rollback: bool,
    pub file: Option<Text>,
    pub port: Option<u16>,
    pub user: Option<Text>,
    pub password: Option<Text>,
    pub database: Option<Text>,
    pub fails: Fails,
}

/// Decodes statements.
pub(super) fn act(node: &Node) -> Result<SqlAct, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    check(&a, node, &mut problems);
    let engine = a
        .engine
        .as_ref()
        .and_then(|e| engine(e).map_err(|p| problems.push(*p)).ok());
    let single = a.query.is_some();
    let work = work(a.query, a.params, a.queries, a.script, node, &mut problems);
    let fails = fails(a.fails.as_ref()).map_err(|p| problems.push(*p));
    match (work, fails) {
        (Some(work), Ok(fails)) if problems.is_empty() => Ok(SqlAct {
            service: a.service,
            engine,
            work,
            single,
            transaction: a.transaction.is_some_and(|t| t.value)
                || a.rollback.as_ref().is_some_and(|r| r.value),
            rollback: a.rollback.is_some_and(|r| r.value),
            file: a.file,
            port: a.port,
            user: a.user,
            password: a.password,
            database: a.database,
            fails,
        }),
        _ => Err(problems),
    }
}

/// Keys that do not go together.
fn check(a: &Args, node: &Node, problems: &mut Vec<Problem>) {
    let mut conflict = |span: &Span, text: &str, help: &str| {
        problems.push(Problem::at(ProblemKind::Conflict, span, text).help(help));
    };
    let several = a.queries.is_some() || a.script.is_some();
    for (key, value) in [("transaction", &a.transaction), ("rollback", &a.rollback)] {
        if let Some(v) = value.as_ref().filter(|v| v.value && !several) {
            let text = format!("`{key}` is for several statements");
            conflict(&v.span, &text, "write them as a list under `queries`");
        }
    }
    if let (Some(r), Some(t)) = (&a.rollback, &a.transaction)
        && r.value
        && !t.value
    {
        conflict(
            &r.span,
            "without a transaction there is nothing to roll back",
            "leave out `transaction: false`",
        );
    }
    if a.params.is_some() && a.query.is_none() {
        conflict(
            &node.span,
            "`params` are those of a `query`",
            "write `queries: [{ query: …, params: [ … ] }]`",
        );
    }
    let sqlite = a.engine.as_ref().map(|e| e.value == "sqlite");
    match (&a.file, sqlite) {
        (None, Some(true)) => problems.push(
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                "`engine: sqlite` needs the `file`",
            )
            .help("write `file: /data/app.db`: where the service has its database"),
        ),
        (Some(f), Some(false)) => conflict(
            f.span(),
            "`file` is for SQLite",
            "leave out `file`, or write `engine: sqlite`",
        ),
        (Some(f), _) if a.script.is_some() || a.transaction.is_some() || a.rollback.is_some() => {
            conflict(
                f.span(),
                "an SQLite file is only read",
                "keep `query` or `queries`, without `transaction` and `rollback`",
            );
        }
        (Some(f), _)
            if a.port.is_some()
                || a.user.is_some()
                || a.password.is_some()
                || a.database.is_some() =>
        {
            conflict(
                f.span(),
                "an SQLite file has no port, user, password or database",
                "leave them out",
            );
        }
        _ => {}
    }
    for (engine, built) in [
        ("mysql", cfg!(feature = "mysql")),
        ("sqlite", cfg!(feature = "sqlite")),
    ] {
        if let Some(e) = a.engine.as_ref().filter(|e| e.value == engine && !built) {
            let text = format!("this tool was built without {engine}");
            problems.push(Problem::at(ProblemKind::Unsupported, &e.span, text));
        }
    }
}

fn engine(name: &Spanned<String>) -> Result<Engine, Box<Problem>> {
    match name.as_str() {
        "postgres" | "postgresql" => Ok(Engine::Postgres),
        "mysql" | "mariadb" => Ok(Engine::MySql),
        "sqlite" => Ok(Engine::Sqlite),
        other => {
            let text = format!("`{other}` is no engine of `sql`");
            let p = Problem::at(ProblemKind::InvalidValue, &name.span, text);
            let known = ["postgres", "mysql", "sqlite"];
            Err(Box::new(match nearest(other, known) {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None => p.help("engines: postgres, mysql (also MariaDB), sqlite"),
            }))
        }
    }
}

fn work(
    query: Option<Text>,
    params: Option<Vec<Data>>,
    queries: Option<Spanned<Vec<Node>>>,
    script: Option<Spanned<String>>,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Work> {
    match (query, queries, script) {
        (Some(query), None, None) => {
            let params = params.unwrap_or_default();
            filled(Query { query, params }, problems).map(|q| Work::Queries(vec![q]))
        }
        (None, Some(list), None) => {
            if list.value.is_empty() {
                let text = "`queries` is empty";
                problems.push(Problem::at(ProblemKind::InvalidValue, &list.span, text));
            }
            let read = |n: &Node| match n.as_str() {
                Some(s) => Text::new(s, &n.span).map(|query| Query {
                    query,
                    params: Vec::new(),
                }),
                None => from_node(n),
            };
            let all = list.value.iter().filter_map(|n| match read(n) {
                Ok(q) => filled(q, problems),
                Err(p) => {
                    problems.push(helped(
                        p,
                        "an item is a statement, or `{ query: …, params: [ … ] }`",
                    ));
                    None
                }
            });
            Some(Work::Queries(all.collect()))
        }
        (None, None, Some(path)) => {
            let scenario = &path.span.file;
            let read = SourceFile::read(
                &scenario.beside(&path.value),
                scenario.name_beside(&path.value),
            );
            read.map_err(|p| problems.push(p.or_at(&path.span)))
                .ok()
                .map(|file| Work::Script(file, path.span))
        }
        (None, None, None) => {
            let text = "this `sql` step has no statement";
            problems.push(
                Problem::at(ProblemKind::Missing, &node.span, text)
                    .help("give one of: query, queries (a list), script (a file)"),
            );
            None
        }
        _ => {
            let text = "an `sql` step has one of `query`, `queries` and `script`";
            problems.push(
                Problem::at(ProblemKind::Conflict, &node.span, text)
                    .help("keep one; several statements are a list under `queries`"),
            );
            None
        }
    }
}

fn filled(query: Query, problems: &mut Vec<Problem>) -> Option<Query> {
    if query.query.source().trim().is_empty() {
        let text = "`query` is empty";
        problems.push(Problem::at(
            ProblemKind::InvalidValue,
            query.query.span(),
            text,
        ));
        return None;
    }
    Some(query)
}

fn fails(node: Option<&Node>) -> Result<Fails, Box<Problem>> {
    let Some(node) = node else {
        return Ok(Fails::No);
    };
    if let Some(b) = node.as_bool() {
        return Ok(if b { Fails::Somehow } else { Fails::No });
    }
    let state = |c: &str| c.len() == 5 && c.bytes().all(|b| b.is_ascii_alphanumeric());
    let number = |c: &str| (1..=4).contains(&c.len()) && c.bytes().all(|b| b.is_ascii_digit());
    match node.scalar_text() {
        Some(code) if state(&code) || number(&code) => Ok(Fails::With(code)),
        _ => Err(Box::new(
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "`fails` is true, an SQLSTATE, or a number of MySQL",
            )
            .help("for example `fails: \"23505\"` for a unique violation of PostgreSQL, `fails: 1062` of MySQL"),
        )),
    }
}

impl SqlAct {
    /// What is run, in words, and where it stands.
    pub fn words(&self) -> (String, &Span) {
        match &self.work {
            Work::Script(file, span) => (format!("script {}", file.name), span),
            Work::Queries(all) => {
                let texts = all.iter().map(|q| q.query.source().split_whitespace());
                let words: Vec<String> = texts.map(|t| t.collect::<Vec<_>>().join(" ")).collect();
                let span = all.first().map_or(&self.service.span, |q| q.query.span());
                (words.join("; "), span)
            }
        }
    }
}
