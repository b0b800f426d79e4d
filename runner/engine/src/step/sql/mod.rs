//! `sql`: a statement in PostgreSQL.

mod connect;
mod decode;
mod encode;
mod numeric;
mod time;

use std::time::Instant;

use futures_util::TryStreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tokio_postgres::{Error, SimpleQueryMessage, Statement};

use self::connect::{Connected, Pool, Who};
use self::encode::Param;
use super::fields::args;
use super::target::{Target, TargetKind};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Rows that a statement may give.
const MOST_ROWS: usize = 10_000;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "sql",
    fields: &["rows", "columns", "count", "affected", "error", "duration"],
    help: "runs a statement in a PostgreSQL service and gives its rows",
    example: "sql: { service: db, query: \"select state from orders where id = $1\", params: [\"{{ order_id }}\"] }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    query: Text,
    #[serde(default)]
    params: Option<Vec<Data>>,
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

/// Whether the statement is meant to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fails {
    No,
    Somehow,
    /// With this SQLSTATE.
    With(String),
}

/// A statement, ready to run.
pub(super) struct SqlAct {
    service: Spanned<String>,
    query: Text,
    params: Vec<Data>,
    port: u16,
    user: Option<Text>,
    password: Option<Text>,
    database: Option<Text>,
    fails: Fails,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(act(node)?.into())
}

/// Decodes a statement; `wait` has one too.
pub(super) fn act(node: &Node) -> Result<SqlAct, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    if a.query.source().trim().is_empty() {
        return Err(vec![Problem::at(
            ProblemKind::InvalidValue,
            a.query.span(),
            "`query` is empty",
        )]);
    }
    let fails = fails(a.fails.as_ref())?;
    Ok(SqlAct {
        service: a.service,
        query: a.query,
        params: a.params.unwrap_or_default(),
        port: a.port.unwrap_or(5432),
        user: a.user,
        password: a.password,
        database: a.database,
        fails,
    })
}

fn fails(node: Option<&Node>) -> Result<Fails, Vec<Problem>> {
    let Some(node) = node else {
        return Ok(Fails::No);
    };
    if let Some(b) = node.as_bool() {
        return Ok(if b { Fails::Somehow } else { Fails::No });
    }
    match node.scalar_text() {
        Some(code) if code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok(Fails::With(code))
        }
        _ => Err(vec![
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "`fails` is true or an SQLSTATE",
            )
            .help("for example `fails: \"23505\"` for a unique violation"),
        ]),
    }
}

impl SqlAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: text(&self.user)?,
            password: text(&self.password)?,
            database: text(&self.database)?,
        })
    }

    /// Runs the statement once.
    pub(super) async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let query = self.query.render(context.scope)?;
        let params: Vec<Json> = self
            .params
            .iter()
            .map(|p| p.render(context.scope))
            .collect::<Result<_, _>>()?;
        context.trail.add("statement", shown(&query, &params));
        let pool = context.sessions.own::<Pool>();
        let connected = pool.get(context.world, self.who(context.scope)?).await?;
        let begun = Instant::now();
        let answer = run(&connected, &query, &params).await;
        let took = begun.elapsed();
        let (mut document, error) = match answer {
            Ok(d) => (d, None),
            Err(Failure::Server(e)) => (Document::default(), Some(e)),
            Err(Failure::Step(e)) => return Err(e),
        };
        document.set("error", error.as_ref().map_or(Json::Null, error_json));
        context
            .trail
            .add("rows", show_rows(&document, error.as_ref()));
        document.took(took);
        let mismatches = self.judge(error.as_ref());
        Ok(Done {
            document,
            mismatches,
        })
    }

    fn judge(&self, error: Option<&ServerError>) -> Vec<Mismatch> {
        let expected = match (&self.fails, error) {
            (Fails::No, None) | (Fails::Somehow, Some(_)) => return Vec::new(),
            (Fails::With(code), Some(e)) if e.code == *code => return Vec::new(),
            (Fails::No, Some(_)) => "that the statement succeeds".to_owned(),
            (Fails::Somehow, None) => "that the statement fails".to_owned(),
            (Fails::With(code), _) => format!("that the statement fails with SQLSTATE {code}"),
        };
        let (actual, hint) = match error {
            Some(e) => (e.text(), e.hint.clone()),
            None => ("it succeeded".to_owned(), None),
        };
        vec![Mismatch {
            expectation: self
                .query
                .source()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            kind: "sql".into(),
            place: Some(self.query.span().into()),
            expected,
            actual,
            path: None,
            hint,
        }]
    }
}

/// What the server says is wrong.
#[derive(Debug, Clone)]
struct ServerError {
    code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl ServerError {
    fn text(&self) -> String {
        let detail = self
            .detail
            .as_ref()
            .map_or_else(String::new, |d| format!(" ({d})"));
        format!("SQLSTATE {}: {}{detail}", self.code, self.message)
    }
}

fn error_json(e: &ServerError) -> Json {
    json!({ "code": e.code, "message": e.message, "detail": e.detail, "hint": e.hint })
}

enum Failure {
    Server(ServerError),
    Step(StepError),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        match e.as_db_error() {
            Some(db) => Failure::Server(ServerError {
                code: db.code().code().to_owned(),
                message: db.message().to_owned(),
                detail: db.detail().map(str::to_owned),
                hint: db.hint().map(str::to_owned),
            }),
            None => Failure::Step(match connect::parameter_problem(&e) {
                Some(text) => Problem::new(ProblemKind::InvalidValue, text).into(),
                None => StepError::transport(format!(
                    "the database gave no answer: {}",
                    connect::reason(&e)
                )),
            }),
        }
    }
}

async fn run(connected: &Connected, query: &str, params: &[Json]) -> Result<Document, Failure> {
    let statement = match connected.prepare(query).await {
        Ok(s) => s,
        // Several statements cannot be prepared together; without parameters they can be sent.
        Err(e) if params.is_empty() && is_several(&e) => return script(connected, query).await,
        Err(e) => return Err(e.into()),
    };
    match rows(connected, &statement, params).await {
        // The table has changed since the statement was prepared.
        Err(Failure::Server(e))
            if e.message
                .contains("cached plan must not change result type") =>
        {
            connected.forget(query).await;
            let statement = connected.prepare(query).await?;
            rows(connected, &statement, params).await
        }
        other => other,
    }
}

fn is_several(e: &Error) -> bool {
    e.as_db_error().is_some_and(|d| {
        d.message()
            .contains("multiple commands into a prepared statement")
    })
}

async fn rows(
    connected: &Connected,
    statement: &Statement,
    params: &[Json],
) -> Result<Document, Failure> {
    let wanted = statement.params().len();
    if wanted != params.len() {
        let text = format!(
            "the statement has {wanted} parameters and `params` {}",
            params.len()
        );
        return Err(Failure::Step(
            Problem::new(ProblemKind::InvalidValue, text).into(),
        ));
    }
    let names = names(statement.columns().iter().map(tokio_postgres::Column::name));
    let stream = connected
        .client
        .query_raw(statement, params.iter().map(Param))
        .await?;
    tokio::pin!(stream);
    let mut all = Vec::new();
    while let Some(row) = stream.try_next().await? {
        if all.len() == MOST_ROWS {
            let text = format!(
                "the statement gives more than {MOST_ROWS} rows; add a `limit` or count them"
            );
            return Err(Failure::Step(
                Problem::new(ProblemKind::TooLarge, text).into(),
            ));
        }
        let mut object = Map::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let value = row.try_get::<_, decode::Value>(i)?;
            object.insert(name.clone(), value.0);
        }
        all.push(Json::Object(object));
    }
    let affected = stream.rows_affected();
    Ok(document(names, all, affected))
}

fn document(names: Vec<String>, rows: Vec<Json>, affected: Option<u64>) -> Document {
    let count = rows.len();
    Document::default()
        .with("rows", rows)
        .with("columns", names)
        .with("count", count)
        .with("affected", affected.unwrap_or(0))
}

/// Several statements at once: the rows of the last that has some, all as text.
async fn script(connected: &Connected, query: &str) -> Result<Document, Failure> {
    let messages = connected.client.simple_query(query).await?;
    let (mut rows, mut columns, mut affected) = (Vec::new(), Vec::new(), None);
    for m in messages {
        match m {
            SimpleQueryMessage::RowDescription(c) => {
                rows.clear();
                columns = names(c.iter().map(tokio_postgres::SimpleColumn::name));
            }
            SimpleQueryMessage::Row(row) => {
                let object = columns
                    .iter()
                    .enumerate()
                    .map(|(i, n)| (n.clone(), row.get(i).map_or(Json::Null, Json::from)))
                    .collect();
                rows.push(Json::Object(object));
            }
            SimpleQueryMessage::CommandComplete(n) => affected = Some(n),
            _ => {}
        }
    }
    Ok(document(columns, rows, affected))
}

/// Names of columns; a second one of the same name gets a number.
fn names<'a>(columns: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for c in columns {
        let mut name = c.to_owned();
        let mut n = 1;
        while names.contains(&name) {
            n += 1;
            name = format!("{c}_{n}");
        }
        names.push(name);
    }
    names
}

fn shown(query: &str, params: &[Json]) -> String {
    let mut text = query.trim().to_owned();
    for (i, p) in params.iter().enumerate() {
        text.push_str(&format!("\n${} = {p}", i + 1));
    }
    text
}

/// The first rows, one a line.
fn show_rows(document: &Document, error: Option<&ServerError>) -> String {
    const SHOWN: usize = 20;
    if let Some(e) = error {
        return e.text();
    }
    let rows = document
        .get("rows")
        .and_then(Json::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut text = format!(
        "{} rows, {} affected",
        rows.len(),
        document.get("affected").unwrap_or(&Json::Null)
    );
    for row in rows.iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&row.to_string());
    }
    if rows.len() > SHOWN {
        text.push_str(&format!("\n… ({} rows more)", rows.len() - SHOWN));
    }
    text
}

impl Act for SqlAct {
    fn title(&self) -> String {
        let query: String = self
            .query
            .source()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let short: String = query.chars().take(60).collect();
        let more = if short.len() < query.len() { "…" } else { "" };
        format!("{}: {short}{more}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target {
            name: self.service.value.clone(),
            port: Some(self.port),
            kind: TargetKind::Host,
            span: self.service.span.clone(),
        });
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
