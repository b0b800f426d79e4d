//! Connections to databases, one for each branch, kept for the scenario.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use super::encode::BadParam;
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::credentials::Environment;
use crate::step::world::World;

/// To whom and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
}

/// Open connections.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Who, Arc<Connected>>>);

/// One connection with the statements that are prepared on it.
pub(super) struct Connected {
    pub client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    driver: JoinHandle<()>,
    given_up: AtomicBool,
    world: Arc<dyn World>,
    host: String,
    port: u16,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Pool {
    /// The connection for someone, made when there is none that is open.
    pub async fn get(&self, world: &Arc<dyn World>, who: Who) -> Result<Arc<Connected>, StepError> {
        let mut open = self.0.lock().await;
        if let Some(c) = open.get(&who).filter(|c| c.is_open()) {
            return Ok(c.clone());
        }
        let connected = Arc::new(connect(world, &who).await?);
        open.insert(who, connected.clone());
        Ok(connected)
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Connected, StepError> {
    let mut config = Config::new();
    config.application_name("prodmirror");
    let env = Environment::of(world, &who.host);
    let user = match &who.user {
        Some(u) => u.clone(),
        None => env
            .first(&["POSTGRES_USER", "PGUSER"])
            .await?
            .unwrap_or_else(|| "postgres".into()),
    };
    let password = match &who.password {
        Some(p) => Some(p.clone()),
        None => env.first(&["POSTGRES_PASSWORD", "PGPASSWORD"]).await?,
    };
    let database = match &who.database {
        Some(d) => d.clone(),
        None => env
            .first(&["POSTGRES_DB", "PGDATABASE"])
            .await?
            .unwrap_or_else(|| user.clone()),
    };
    config.user(&user).dbname(&database);
    if let Some(p) = password {
        config.password(p);
    }
    let stream = world
        .connect(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|e| {
        let text = match e.as_db_error() {
            Some(db) => format!("SQLSTATE {}: {}", db.code().code(), db.message()),
            None => reason(&e),
        };
        StepError::transport(format!(
            "no session in {}:{} as {user}: {text}",
            who.host, who.port
        ))
    })?;
    // The connection ends by itself when the client is dropped; an error on it is seen by the
    // next statement.
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Connected {
        client,
        statements: Mutex::default(),
        driver,
        given_up: AtomicBool::new(false),
        world: world.clone(),
        host: who.host.clone(),
        port: who.port,
    })
}

impl Connected {
    fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.given_up.load(Ordering::Relaxed)
    }

    /// Ends it in the middle of whatever it does; the server undoes what is not committed. A
    /// server that is at work sees the end of a connection late, so it is told.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        let token = self.client.cancel_token();
        let (world, host, port) = (self.world.clone(), self.host.clone(), self.port);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(stream) = world.connect(&host, port).await {
                    let _ = token.cancel_query_raw(stream, NoTls).await;
                }
            });
        }
        self.driver.abort();
    }

    /// The prepared form of a statement.
    pub async fn prepare(&self, query: &str) -> Result<Statement, Error> {
        let mut statements = self.statements.lock().await;
        if let Some(s) = statements.get(query) {
            return Ok(s.clone());
        }
        let statement = self.client.prepare(query).await?;
        statements.insert(query.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Forgets the prepared form.
    pub async fn forget(&self, query: &str) {
        self.statements.lock().await.remove(query);
    }
}

/// The innermost reason of an error.
pub(super) fn reason(e: &Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        text = s.to_string();
        source = s.source();
    }
    text
}

/// The words of a parameter that does not fit its type.
pub(super) fn parameter_problem(e: &Error) -> Option<String> {
    e.source()?
        .downcast_ref::<BadParam>()
        .map(ToString::to_string)
}
