//! Where statements run: a connection of the scenario, or a copy of a file.

use std::sync::Arc;

use serde_json::Value as Json;

use super::connect::{Connected, Pool, Who};
use super::outcome::{Failure, Rows};
use super::{Engine, postgres};
use crate::step::{Context, StepError};

/// Where the statements of one step run.
pub(super) enum Session {
    Postgres(Held),
    #[cfg(feature = "mysql")]
    MySql(Box<super::mysql::Session>),
    #[cfg(feature = "sqlite")]
    Sqlite(super::sqlite::Copy),
}

/// A connection to PostgreSQL that is given up when a statement or a transaction on it is not
/// ended: a step that is cut short leaves nothing open.
pub(super) struct Held {
    connected: Arc<Connected>,
    transaction: bool,
    busy: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.transaction || self.busy {
            self.connected.give_up();
        }
    }
}

impl Session {
    /// Opens one, or takes the one that an earlier step has left.
    pub async fn open(
        engine: Engine,
        who: Who,
        file: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Self, StepError> {
        let (world, sessions) = (context.world, context.sessions);
        match engine {
            Engine::Postgres => {
                let connected = sessions.own::<Pool>().get(world, who).await?;
                Ok(Session::Postgres(Held {
                    connected,
                    transaction: false,
                    busy: false,
                }))
            }
            #[cfg(feature = "mysql")]
            Engine::MySql => {
                let pool = sessions.own::<super::mysql::Pool>();
                Ok(Session::MySql(Box::new(pool.take(world, who).await?)))
            }
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => {
                let copy = super::sqlite::copy(world, &who.host, file.unwrap_or_default());
                Ok(Session::Sqlite(copy.await?))
            }
            #[cfg(not(all(feature = "mysql", feature = "sqlite")))]
            other => {
                let _ = file;
                Err(prodmirror_model::diag::Problem::new(
                    prodmirror_model::diag::ProblemKind::Unsupported,
                    format!("this tool was built without {other:?}"),
                )
                .into())
            }
        }
    }

    /// Keeps the connection for later steps.
    pub async fn keep(self, context: &Context<'_>) {
        match self {
            Session::Postgres(_) => {}
            #[cfg(feature = "mysql")]
            Session::MySql(s) => context.sessions.own::<super::mysql::Pool>().keep(*s).await,
            #[cfg(feature = "sqlite")]
            Session::Sqlite(_) => {}
        }
        #[cfg(not(feature = "mysql"))]
        let _ = context;
    }

    /// Runs a statement; or several, where there are no parameters.
    pub async fn run(&mut self, query: &str, params: &[Json]) -> Result<Rows, Failure> {
        match self {
            Session::Postgres(held) => {
                held.busy = true;
                let rows = postgres::run(&held.connected, query, params).await;
                // What went wrong in another way than by an answer may still be going on.
                held.busy = matches!(rows, Err(Failure::Step(_)));
                rows
            }
            #[cfg(feature = "mysql")]
            Session::MySql(s) => s.run(query, params).await,
            #[cfg(feature = "sqlite")]
            Session::Sqlite(c) => c.run(query, params).await,
        }
    }

    /// Sends a statement as it is.
    pub async fn simple(&mut self, query: &str) -> Result<Rows, Failure> {
        match self {
            Session::Postgres(held) => {
                held.busy = true;
                let rows = postgres::simple(&held.connected, query).await;
                held.busy = matches!(rows, Err(Failure::Step(_)));
                rows
            }
            #[cfg(feature = "mysql")]
            Session::MySql(s) => s.simple(query).await,
            #[cfg(feature = "sqlite")]
            Session::Sqlite(c) => c.run(query, &[]).await,
        }
    }

    /// Begins a transaction.
    pub async fn begin(&mut self) -> Result<(), Failure> {
        self.in_transaction(true);
        self.simple("start transaction").await.map(|_| ())
    }

    /// Ends a transaction with `commit` or `rollback`.
    pub async fn end(&mut self, how: &str) -> Result<(), Failure> {
        self.simple(how).await?;
        self.in_transaction(false);
        Ok(())
    }

    fn in_transaction(&mut self, open: bool) {
        match self {
            Session::Postgres(held) => held.transaction = open,
            #[cfg(feature = "mysql")]
            Session::MySql(_) => {}
            #[cfg(feature = "sqlite")]
            Session::Sqlite(_) => {}
        }
    }
}
