//! Statements in MySQL and MariaDB.

mod value;

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{BinaryProtocol, Column, Conn, Error, OptsBuilder, QueryResult, Statement};
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use super::Engine;
use super::connect::Who;
use super::outcome::{
    Failure, MOST_ROWS, Rows, ServerError, names, of_sets, too_many, wrong_number,
};
use super::split::split;
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::credentials::Environment;
use crate::step::world::World;

/// What cannot be prepared, and is sent as it is: `lock tables`, `begin`, some `show`.
const NOT_PREPARED: u16 = 1295;

/// Open connections. One is taken out while it is used: a step that is cut short takes its
/// connection with it, with whatever the statement had begun.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Who, Conn>>);

/// A connection in use.
pub(super) struct Session {
    who: Who,
    conn: Option<Conn>,
    busy: bool,
}

impl Drop for Session {
    /// A server that is at work sees the end of a connection late: it is told by another one.
    fn drop(&mut self) {
        let Some(conn) = self.conn.take().filter(|_| self.busy) else {
            return;
        };
        let (opts, id) = (conn.opts().clone(), conn.id());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(mut other) = Conn::new(opts).await {
                    let _ = other.query_drop(format!("kill {id}")).await;
                    let _ = other.disconnect().await;
                }
            });
        }
    }
}

impl Pool {
    /// The connection for someone, made when there is none that is open.
    pub async fn take(&self, world: &Arc<dyn World>, who: Who) -> Result<Session, StepError> {
        let kept = self.0.lock().await.remove(&who);
        let conn = match kept {
            Some(conn) if !conn.is_disconnected() => conn,
            _ => connect(world, &who).await?,
        };
        Ok(Session {
            who,
            conn: Some(conn),
            busy: false,
        })
    }

    /// Keeps a connection for the next step.
    pub async fn keep(&self, mut session: Session) {
        if let Some(conn) = session.conn.take() {
            self.0.lock().await.insert(session.who.clone(), conn);
        }
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Conn, StepError> {
    let env = Environment::of(world, &who.host);
    let (user, password) = user(&env, who).await?;
    let database = match &who.database {
        Some(d) => Some(d.clone()),
        None => env.first(&["MYSQL_DATABASE", "MARIADB_DATABASE"]).await?,
    };
    let address = world
        .address(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let opts = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        // The address is one that forwards; a socket beside it would be another server's.
        .prefer_socket(false)
        .user(Some(&user))
        .pass(password)
        .db_name(database);
    Conn::new(opts).await.map_err(|e| {
        let text = match &e {
            Error::Server(s) => format!("SQLSTATE {}, error {}: {}", s.state, s.code, s.message),
            other => reason(other),
        };
        StepError::transport(format!(
            "no session in {}:{} as {user}: {text}",
            who.host, who.port
        ))
    })
}

/// The user of the step; or that of the environment; or root.
async fn user(env: &Environment<'_>, who: &Who) -> Result<(String, Option<String>), StepError> {
    const USER: [&str; 2] = ["MYSQL_USER", "MARIADB_USER"];
    const PASSWORD: [&str; 2] = ["MYSQL_PASSWORD", "MARIADB_PASSWORD"];
    const ROOT: [&str; 2] = ["MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD"];
    let user = match &who.user {
        Some(u) => u.clone(),
        None => env.first(&USER).await?.unwrap_or_else(|| "root".into()),
    };
    let password = match &who.password {
        Some(p) => Some(p.clone()),
        None if user == "root" => env.first(&ROOT).await?,
        None => env.first(&PASSWORD).await?,
    };
    Ok((user, password))
}

/// The words of an error that is none of the server's.
fn reason(e: &Error) -> String {
    match e {
        Error::Io(io) => {
            let mut inner: &dyn std::error::Error = io;
            while let Some(source) = inner.source() {
                inner = source;
            }
            inner.to_string()
        }
        Error::Driver(d) => d.to_string(),
        other => other.to_string(),
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        match e {
            Error::Server(s) => Failure::Server(Box::new(ServerError {
                code: s.state,
                number: Some(s.code),
                message: s.message,
                ..ServerError::default()
            })),
            other => Failure::Step(StepError::transport(format!(
                "the database gave no answer: {}",
                reason(&other)
            ))),
        }
    }
}

impl Session {
    /// Runs a statement, or several without parameters.
    pub async fn run(&mut self, query: &str, params: &[Json]) -> Result<Rows, Failure> {
        // Several statements cannot be prepared together.
        let several = || split(query, Engine::MySql).is_ok_and(|p| p.len() > 1);
        if params.is_empty() && several() {
            return self.simple(query).await;
        }
        let Some(conn) = self.conn.as_mut() else {
            return Err(closed());
        };
        self.busy = true;
        let rows = match conn.prep(query).await {
            Ok(statement) => {
                let rows = prepared(conn, &statement, params).await;
                if !matches!(rows, Err(Failure::Step(_))) {
                    // A failure of the connection shows itself at the next statement.
                    let _ = conn.close(statement).await;
                }
                rows
            }
            Err(Error::Server(e)) if e.code == NOT_PREPARED && params.is_empty() => {
                simple(conn, query).await
            }
            Err(e) => Err(e.into()),
        };
        // What went wrong in another way than by an answer may still be going on.
        self.busy = matches!(rows, Err(Failure::Step(_)));
        rows
    }

    /// Sends statements as text: their values come as text and are read by their types.
    pub async fn simple(&mut self, query: &str) -> Result<Rows, Failure> {
        let Some(conn) = self.conn.as_mut() else {
            return Err(closed());
        };
        self.busy = true;
        let rows = simple(conn, query).await;
        self.busy = matches!(rows, Err(Failure::Step(_)));
        rows
    }
}

fn closed() -> Failure {
    StepError::transport("the connection is closed").into()
}

async fn prepared(
    conn: &mut Conn,
    statement: &Statement,
    params: &[Json],
) -> Result<Rows, Failure> {
    let wanted = usize::from(statement.num_params());
    if wanted != params.len() {
        return Err(wrong_number(wanted, params.len()).into());
    }
    let values: Vec<_> = params.iter().map(value::param).collect();
    let got = {
        let mut result: QueryResult<'_, '_, BinaryProtocol> =
            conn.exec_iter(statement, values).await?;
        sets(&mut result).await?
    };
    with_json(conn, got).await
}

async fn simple(conn: &mut Conn, query: &str) -> Result<Rows, Failure> {
    let got = {
        let mut result = conn.query_iter(query).await?;
        sets(&mut result).await?
    };
    with_json(conn, got).await
}

/// MariaDB has no type for JSON: columns that are checked to be JSON are read as such.
async fn with_json(conn: &mut Conn, mut got: Got) -> Result<Rows, Failure> {
    for (i, column) in &got.maybe_json {
        let place = [
            column.schema_str(),
            column.org_table_str(),
            column.org_name_str(),
        ];
        let found: Result<Option<u8>, Error> = conn
            .exec_first(
                "select 1 from information_schema.check_constraints where constraint_schema = ? \
                 and table_name = ? and constraint_name = ? and check_clause like 'json_valid(%'",
                place.map(|p| p.into_owned()).to_vec(),
            )
            .await;
        let found = match found {
            Ok(found) => found.is_some(),
            // MySQL, which has the type, has no such table in this form.
            Err(Error::Server(_)) => false,
            Err(e) => return Err(e.into()),
        };
        let Some(name) = got.rows.columns.get(*i).filter(|_| found) else {
            continue;
        };
        for row in &mut got.rows.rows {
            if let Some(v) = row.get_mut(name)
                && let Some(json) = v.as_str().and_then(|s| serde_json::from_str(s).ok())
            {
                *v = json;
            }
        }
    }
    Ok(got.rows)
}

/// Rows, and those of their columns whose texts may be JSON.
struct Got {
    rows: Rows,
    maybe_json: Vec<(usize, Column)>,
}

/// Reads all sets of results: the rows of the last that has some.
async fn sets<P: Protocol>(result: &mut QueryResult<'_, '_, P>) -> Result<Got, Failure> {
    let mut all = Vec::new();
    let mut maybe_json = Vec::new();
    loop {
        let Some(columns) = result.columns() else {
            // There are no more; or the next statement was refused, which is told only here.
            result.next().await?;
            break;
        };
        let mut set = Rows {
            columns: names(columns.iter().map(|c| c.name_str())),
            ..Rows::default()
        };
        if set.columns.is_empty() {
            set.affected = result.affected_rows();
        } else {
            maybe_json.clear();
        }
        while let Some(row) = result.next().await? {
            if set.rows.len() == MOST_ROWS {
                return Err(too_many().into());
            }
            let mut object = Map::with_capacity(set.columns.len());
            for ((name, column), value) in set.columns.iter().zip(&*columns).zip(row.unwrap()) {
                object.insert(name.clone(), value::json(column, value));
            }
            set.rows.push(Json::Object(object));
        }
        set.affected = set.affected.max(set.rows.len() as u64);
        if !set.columns.is_empty() {
            let texts = columns.iter().enumerate().filter(|(i, c)| {
                value::is_text(c)
                    && !c.org_table_ref().is_empty()
                    && set
                        .rows
                        .iter()
                        .any(|r| value::looks_like_json(&r[&set.columns[*i]]))
            });
            maybe_json = texts.map(|(i, c)| (i, c.clone())).collect();
        }
        all.push(set);
    }
    Ok(Got {
        rows: of_sets(all),
        maybe_json,
    })
}
