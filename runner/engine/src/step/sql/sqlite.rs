//! Statements on a copy of an SQLite database, which is a file of a service.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_model::diag::{Problem, ProblemKind};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Error, InterruptHandle};
use serde_json::{Map, Number, Value as Json};

use super::Engine;
use super::outcome::{
    Failure, MOST_ROWS, Rows, ServerError, names, of_sets, too_many, wrong_number,
};
use super::split::split;
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::world::{FileKind, FileRequest, World};

/// How often the files are read until two copies are the same.
const TRIES: u32 = 6;

/// A copy in a directory of its own, which is gone with it.
pub(super) struct Copy {
    connection: Arc<std::sync::Mutex<Connection>>,
    interrupt: InterruptHandle,
    _directory: Arc<tempfile::TempDir>,
}

/// A database's files: its own, that of its write-ahead log, that of its rollback journal. The
/// index of the log (`-shm`) is made anew from the log.
#[derive(PartialEq, Eq)]
struct Files([Option<Vec<u8>>; 3]);

const SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];

/// Copies the database. The service goes on meanwhile: a copy is taken for whole when the next
/// one is the same.
pub(super) async fn copy(
    world: &Arc<dyn World>,
    service: &str,
    path: &str,
) -> Result<Copy, StepError> {
    let mut files = read(world, service, path).await?;
    let mut tries = 1;
    loop {
        let again = read(world, service, path).await?;
        if again == files {
            break;
        }
        tries += 1;
        if tries == TRIES {
            return Err(StepError::transport(format!(
                "{path} of {service} was written to during each of {TRIES} copies; wait until the service has done its work"
            )));
        }
        files = again;
    }
    let opened = tokio::task::spawn_blocking(move || open(files)).await;
    opened
        .map_err(|e| StepError::transport(e.to_string()))?
        .map_err(|e| {
            Problem::new(
                ProblemKind::InvalidValue,
                format!("{path} of {service} cannot be read as an SQLite database: {e}"),
            )
            .help("see that `file` is the database that the service uses, and not another file")
            .into()
        })
}

async fn read(world: &Arc<dyn World>, service: &str, path: &str) -> Result<Files, StepError> {
    let file = |path: String| async move {
        let read = world.read_file(&FileRequest::new(service, &path)).await;
        let read = read.map_err(reach_error)?;
        if read.as_ref().is_some_and(|f| f.kind != FileKind::File) {
            let message = format!("could not read {path} of `{service}`: it is no file");
            return Err(StepError::from(Problem::new(
                ProblemKind::WrongType,
                message,
            )));
        }
        Ok(read)
    };
    let Some(database) = file(path.to_owned()).await? else {
        return Err(StepError::transport(format!(
            "{service} has no file {path} (what is in memory, `tmpfs`, cannot be copied)"
        )));
    };
    let mut files = Files([Some(database.bytes), None, None]);
    for (other, suffix) in files.0.iter_mut().zip(SUFFIXES).skip(1) {
        // SQLite, too, puts them beside the database itself, and not beside a link to it.
        let found = file(format!("{}{suffix}", database.path)).await?;
        *other = found.map(|f| f.bytes);
    }
    Ok(files)
}

fn open(files: Files) -> Result<Copy, String> {
    let words = |e: &dyn std::fmt::Display| e.to_string();
    let directory = tempfile::Builder::new()
        .prefix("prodmirror-sqlite-")
        .tempdir()
        .map_err(|e| words(&e))?;
    let path = directory.path().join("copy.db");
    for (bytes, suffix) in files.0.into_iter().zip(SUFFIXES) {
        if let Some(bytes) = bytes {
            let name = format!("copy.db{suffix}");
            std::fs::write(directory.path().join(name), bytes).map_err(|e| words(&e))?;
        }
    }
    let connection = connect(&path).map_err(|e| words(&e))?;
    Ok(Copy {
        interrupt: connection.get_interrupt_handle(),
        connection: Arc::new(std::sync::Mutex::new(connection)),
        _directory: Arc::new(directory),
    })
}

/// Opens it for writing: what a journal or log holds must be put into the copy first.
fn connect(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.query_row("select count(*) from sqlite_master", [], |_| Ok(()))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Ends a statement that nobody waits for any more.
struct Interrupt<'c>(&'c InterruptHandle);

impl Drop for Interrupt<'_> {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

impl Copy {
    /// Runs a statement, or several without parameters.
    pub async fn run(&self, query: &str, params: &[Json]) -> Result<Rows, Failure> {
        let _interrupt = Interrupt(&self.interrupt);
        let connection = self.connection.clone();
        let directory = self._directory.clone();
        let (query, params) = (query.to_owned(), params.to_vec());
        let ran = tokio::task::spawn_blocking(move || {
            let connection = connection
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let rows = statements(&connection, &query, &params);
            drop(directory);
            rows
        });
        ran.await
            .unwrap_or_else(|e| Err(StepError::transport(e.to_string()).into()))
    }
}

fn statements(connection: &Connection, query: &str, params: &[Json]) -> Result<Rows, Failure> {
    let pieces = split(query, Engine::Sqlite).unwrap_or_default();
    if pieces.len() > 1 && !params.is_empty() {
        let text = "several statements cannot share parameters; write them under `queries`";
        return Err(StepError::from(Problem::new(ProblemKind::InvalidValue, text)).into());
    }
    let mut sets = Vec::with_capacity(pieces.len());
    for piece in &pieces {
        sets.push(one(connection, &piece.text, params)?);
    }
    Ok(of_sets(sets))
}

fn one(connection: &Connection, query: &str, params: &[Json]) -> Result<Rows, Failure> {
    if !READING.iter().any(|w| begins_with(query, w)) {
        return Err(writes());
    }
    let mut statement = connection.prepare(query).map_err(failure)?;
    if !statement.readonly() {
        return Err(writes());
    }
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        return Err(wrong_number(wanted, params.len()).into());
    }
    for (i, p) in params.iter().enumerate() {
        statement
            .raw_bind_parameter(i + 1, param(p))
            .map_err(failure)?;
    }
    let columns = names(statement.column_names().map(Cow::from));
    let mut got = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failure)? {
        if got.len() == MOST_ROWS {
            return Err(too_many().into());
        }
        let mut object = Map::with_capacity(columns.len());
        for (i, name) in columns.iter().enumerate() {
            object.insert(name.clone(), json(row.get_ref(i).map_err(failure)?));
        }
        got.push(Json::Object(object));
    }
    Ok(Rows {
        affected: got.len() as u64,
        columns,
        rows: got,
    })
}

/// With these words statements begin that only read. `attach` is none of them: it would open
/// files of this machine.
const READING: [&str; 5] = ["select", "with", "values", "explain", "pragma"];

fn begins_with(query: &str, word: &str) -> bool {
    let head = query.get(..word.len());
    let next = query.get(word.len()..).and_then(|r| r.chars().next());
    head.is_some_and(|h| h.eq_ignore_ascii_case(word))
        && !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn writes() -> Failure {
    let problem = Problem::new(
        ProblemKind::Unsupported,
        "the statement does not only read: an SQLite database is looked at in a copy, and what is written there is lost",
    )
    .help("let the service itself write, by its API or with `exec`");
    StepError::from(problem).into()
}

fn failure(e: Error) -> Failure {
    match e {
        Error::SqliteFailure(code, message) => Failure::Server(Box::new(ServerError {
            code: code.extended_code.to_string(),
            message: message.unwrap_or_else(|| code.to_string()),
            ..ServerError::default()
        })),
        Error::SqlInputError { error, msg, .. } => Failure::Server(Box::new(ServerError {
            code: error.extended_code.to_string(),
            message: msg,
            ..ServerError::default()
        })),
        other => Failure::Step(
            Problem::new(ProblemKind::InvalidValue, format!("SQLite: {other}")).into(),
        ),
    }
}

fn param(json: &Json) -> Sql {
    match json {
        Json::Null => Sql::Null,
        Json::Bool(b) => Sql::Integer(i64::from(*b)),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Sql::Integer(i),
            (None, Some(f)) => Sql::Real(f),
            _ => Sql::Text(n.to_string()),
        },
        Json::String(s) => Sql::Text(s.clone()),
        other => Sql::Text(other.to_string()),
    }
}

fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(i) => Json::from(i),
        ValueRef::Real(f) => {
            Number::from_f64(f).map_or_else(|| Json::from(f.to_string()), Json::Number)
        }
        ValueRef::Text(t) => Json::from(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Json::from(STANDARD.encode(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a database that a connection still has open.
    fn files(path: &Path) -> Files {
        Files(SUFFIXES.map(|s| std::fs::read(format!("{}{s}", path.display())).ok()))
    }

    fn count(files: Files) -> Json {
        let copy = open(files).unwrap();
        let connection = copy.connection.lock().unwrap();
        match one(&connection, "select count(*) as n from t", &[]) {
            Ok(rows) => rows.rows[0]["n"].clone(),
            Err(_) => panic!("no rows"),
        }
    }

    #[test]
    fn what_is_committed_in_the_log_is_there_and_what_is_not_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, rows) in [("wal", 3), ("delete", 3)] {
            let path = dir.path().join(mode);
            let db = Connection::open(&path).unwrap();
            db.pragma_update(None, "journal_mode", mode).unwrap();
            // A cache too small for the transaction: its pages reach the file before the end.
            db.pragma_update(None, "cache_size", 2).unwrap();
            db.execute_batch("create table t (x); insert into t values (1), (2), (3)")
                .unwrap();
            db.execute_batch(
                "begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) \
                 insert into t select randomblob(500) from n",
            )
            .unwrap();
            let taken = files(&path);
            assert!(
                taken.0[if mode == "wal" { 1 } else { 2 }].is_some(),
                "{mode}"
            );
            assert_eq!(count(taken), rows, "{mode}");
        }
    }
}
