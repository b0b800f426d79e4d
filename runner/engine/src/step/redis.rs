//! `redis`: any command of Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned, Value as Yaml};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, IntoConnectionInfo, Value};
use serde::Deserialize;
use serde_json::{Map, Number, Value as Json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::context::reach_error;
use super::credentials::Environment;
use super::fields::args;
use super::target::Target;
use super::world::World;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "redis",
    fields: &["value", "error", "duration"],
    help: "sends a command to a Redis service and gives its value",
    example: "redis: { service: redis, command: [GET, \"product:{{ sku }}\"] }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    command: Node,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    password: Option<Text>,
    #[serde(default)]
    database: Option<u32>,
}

struct RedisAct {
    service: Spanned<String>,
    command: Vec<Data>,
    port: u16,
    user: Option<Text>,
    password: Option<Text>,
    database: u32,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    Ok(RedisAct {
        service: a.service,
        command: command(&a.command)?,
        port: a.port.unwrap_or(6379),
        user: a.user,
        password: a.password,
        database: a.database.unwrap_or(0),
    }
    .into())
}

/// A list of words, or one text of words without blanks in them.
fn command(node: &Node) -> Result<Vec<Data>, Vec<Problem>> {
    let words = match &node.value {
        Yaml::Seq(items) => items.iter().map(Data::new).collect::<Result<Vec<_>, _>>()?,
        Yaml::Str(s) if !s.contains("{{") && !s.contains(['"', '\'']) => s
            .split_whitespace()
            .map(|w| Data::Plain(Json::from(w), node.span.clone()))
            .collect(),
        Yaml::Str(_) => {
            return Err(vec![
                Problem::at(
                    ProblemKind::InvalidValue,
                    &node.span,
                    "a command with quotes or `{{ }}` is a list of words",
                )
                .help("write `command: [GET, \"product:{{ sku }}\"]`"),
            ]);
        }
        _ => Vec::new(),
    };
    if words.is_empty() {
        return Err(vec![
            Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`command` is a list of words, found {}", node.kind()),
            )
            .help("write `command: [GET, name]`"),
        ]);
    }
    Ok(words)
}

/// To whom and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
}

#[derive(Default)]
struct Pool(Mutex<HashMap<Who, Connected>>);

struct Connected {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Pool {
    async fn get(
        &self,
        world: &Arc<dyn World>,
        who: &Who,
    ) -> Result<MultiplexedConnection, StepError> {
        let mut open = self.0.lock().await;
        if let Some(c) = open.get(who).filter(|c| !c.driver.is_finished()) {
            return Ok(c.connection.clone());
        }
        let connected = connect(world, who).await?;
        let connection = connected.connection.clone();
        open.insert(who.clone(), connected);
        Ok(connection)
    }

    async fn forget(&self, who: &Who) {
        self.0.lock().await.remove(who);
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Connected, StepError> {
    let env = Environment::of(world, &who.host);
    let password = match &who.password {
        Some(p) => Some(p.clone()),
        None => env.first(&["REDIS_PASSWORD", "REDISCLI_AUTH"]).await?,
    };
    let info = format!("redis://{}:{}", who.host, who.port).into_connection_info();
    let mut settings = info
        .map_err(|e| StepError::transport(format!("{}: {e}", who.host)))?
        .redis_settings()
        .clone()
        .set_db(i64::from(who.database))
        .set_skip_set_lib_name();
    if let Some(u) = &who.user {
        settings = settings.set_username(u);
    }
    if let Some(p) = &password {
        settings = settings.set_password(p);
    }
    let stream = world
        .connect(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    // The step has a time limit of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None::<Duration>);
    let (connection, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
        .await
        .map_err(|e| {
            StepError::transport(format!("no session in {}:{}: {e}", who.host, who.port))
        })?;
    Ok(Connected {
        connection,
        driver: tokio::spawn(driver),
    })
}

impl RedisAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: text(&self.user)?,
            password: text(&self.password)?,
            database: self.database,
        })
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let words: Vec<String> = self
            .command
            .iter()
            .map(|w| w.render_text(context.scope))
            .collect::<Result<_, _>>()?;
        context.trail.add("command", words.join(" "));
        let who = self.who(context.scope)?;
        let pool = context.sessions.own::<Pool>();
        let mut connection = pool.get(context.world, &who).await?;
        let mut command = redis::cmd(&words[0]);
        command.arg(&words[1..]);
        let begun = Instant::now();
        let answer = command.query_async::<Value>(&mut connection).await;
        let took = begun.elapsed();
        let mut done = match answer {
            Ok(value) => Done::from(
                Document::default()
                    .with("value", json(value))
                    .with("error", Json::Null),
            ),
            Err(e) if e.is_io_error() || e.is_connection_dropped() || e.is_timeout() => {
                pool.forget(&who).await;
                return Err(StepError::transport(format!(
                    "{} gave no answer: {e}",
                    who.host
                )));
            }
            Err(e) => {
                let text = e.detail().map_or_else(
                    || e.to_string(),
                    |d| format!("{} {d}", e.code().unwrap_or("ERR")),
                );
                Done {
                    mismatches: vec![self.failed(&words, &text)],
                    document: Document::default()
                        .with("value", Json::Null)
                        .with("error", text),
                }
            }
        };
        done.document.took(took);
        let shown = match done.document.get("error") {
            Some(Json::String(e)) => e.clone(),
            _ => done
                .document
                .get("value")
                .map_or_else(String::new, ToString::to_string),
        };
        context.trail.add("value", shown);
        Ok(done)
    }

    fn failed(&self, words: &[String], error: &str) -> Mismatch {
        Mismatch {
            expectation: words.join(" "),
            kind: "redis".into(),
            place: Some((&self.service.span).into()),
            expected: "that the command succeeds".into(),
            actual: error.to_owned(),
            path: None,
            hint: None,
        }
    }
}

/// A value of Redis as JSON; texts that are no UTF-8 are shown with replacements.
fn json(value: Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(i) => Json::from(i),
        Value::BulkString(b) | Value::BigNumber(b) => {
            Json::from(String::from_utf8_lossy(&b).into_owned())
        }
        Value::SimpleString(s) => Json::from(s),
        Value::VerbatimString { text, .. } => Json::from(text),
        Value::Okay => Json::from("OK"),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            Json::Array(items.into_iter().map(json).collect())
        }
        Value::Map(pairs) => {
            let mut map = Map::new();
            for (k, v) in pairs {
                let key = match json(k) {
                    Json::String(s) => s,
                    other => other.to_string(),
                };
                map.insert(key, json(v));
            }
            Json::Object(map)
        }
        Value::Attribute { data, .. } => json(*data),
        Value::Double(f) => {
            Number::from_f64(f).map_or_else(|| Json::from(f.to_string()), Json::Number)
        }
        Value::Boolean(b) => Json::Bool(b),
        Value::ServerError(e) => Json::from(e.to_string()),
        other => Json::from(format!("{other:?}")),
    }
}

impl Act for RedisAct {
    fn title(&self) -> String {
        let words: Vec<String> = self
            .command
            .iter()
            .take(3)
            .map(|d| match d {
                Data::Plain(Json::String(s), _) => s.clone(),
                Data::Plain(other, _) => other.to_string(),
                Data::Text(t) => t.source().to_owned(),
                _ => "…".into(),
            })
            .collect();
        format!("{}: {}", self.service.value, words.join(" "))
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
