//! Statements in PostgreSQL.

use std::borrow::Cow;

use futures_util::TryStreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::{Map, Value as Json};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Error, SimpleQueryMessage, Statement};

use super::connect::{self, Connected};
use super::decode;
use super::encode::Param;
use super::outcome::{Failure, MOST_ROWS, Rows, ServerError, names, too_many, wrong_number};
use crate::step::StepError;

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        match e.as_db_error() {
            Some(db) => Failure::Server(Box::new(ServerError {
                code: db.code().code().to_owned(),
                message: db.message().to_owned(),
                detail: db.detail().map(str::to_owned),
                hint: db.hint().map(str::to_owned),
                position: match db.position() {
                    Some(ErrorPosition::Original(at)) => Some(*at),
                    _ => None,
                },
                ..ServerError::default()
            })),
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

/// Runs a statement, or several without parameters.
pub(super) async fn run(
    connected: &Connected,
    query: &str,
    params: &[Json],
) -> Result<Rows, Failure> {
    let statement = match connected.prepare(query).await {
        Ok(s) => s,
        // Several statements cannot be prepared together; without parameters they can be sent.
        Err(e) if params.is_empty() && is_several(&e) => return simple(connected, query).await,
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
) -> Result<Rows, Failure> {
    let wanted = statement.params().len();
    if wanted != params.len() {
        return Err(wrong_number(wanted, params.len()).into());
    }
    let names = names(statement.columns().iter().map(|c| Cow::from(c.name())));
    let stream = connected
        .client
        .query_raw(statement, params.iter().map(Param))
        .await?;
    tokio::pin!(stream);
    let mut all = Vec::new();
    while let Some(row) = stream.try_next().await? {
        if all.len() == MOST_ROWS {
            return Err(too_many().into());
        }
        let mut object = Map::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let value = row.try_get::<_, decode::Value>(i)?;
            object.insert(name.clone(), value.0);
        }
        all.push(Json::Object(object));
    }
    let affected = stream.rows_affected();
    Ok(Rows {
        columns: names,
        rows: all,
        affected: affected.unwrap_or(0),
    })
}

/// Statements without parameters as one message: the rows of the last that has some, all as
/// text.
pub(super) async fn simple(connected: &Connected, query: &str) -> Result<Rows, Failure> {
    let stream = connected.client.simple_query_raw(query).await?;
    tokio::pin!(stream);
    let mut got = Rows::default();
    while let Some(message) = stream.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(c) => {
                got.rows.clear();
                got.columns = names(c.iter().map(|c| Cow::from(c.name())));
            }
            SimpleQueryMessage::Row(_) if got.rows.len() == MOST_ROWS => {
                return Err(too_many().into());
            }
            SimpleQueryMessage::Row(row) => {
                let object = got
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(i, n)| (n.clone(), row.get(i).map_or(Json::Null, Json::from)))
                    .collect();
                got.rows.push(Json::Object(object));
            }
            SimpleQueryMessage::CommandComplete(n) => got.affected = n,
            _ => {}
        }
    }
    Ok(got)
}
