//! Connections to MongoDB, kept for the scenario.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use mongodb::Client;
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use tokio::sync::Mutex;

use super::answer::reason;
use super::hello;
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::credentials::Environment;
use crate::step::world::World;

/// How long the server may take for each answer about the session.
pub(super) const ANSWERS: Duration = Duration::from_secs(5);

/// To whom and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub auth_database: Option<String>,
}

/// Open connections.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Who, Client>>);

impl Pool {
    /// The client for someone.
    pub async fn get(&self, world: &Arc<dyn World>, who: &Who) -> Result<Client, StepError> {
        let mut open = self.0.lock().await;
        if let Some(client) = open.get(who) {
            return Ok(client.clone());
        }
        let client = connect(world, who).await?;
        open.insert(who.clone(), client.clone());
        Ok(client)
    }

    /// Does not use it again: a service that was started anew has another address.
    pub async fn forget(&self, who: &Who) {
        self.0.lock().await.remove(who);
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Client, StepError> {
    let place = format!("{}:{}", who.host, who.port);
    let stream = world
        .connect(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    hello::greet(stream)
        .await
        .map_err(|why| StepError::transport(format!("no session in {place}: {why}")))?;
    let (user, password) = credentials(world, who).await?;
    // The client makes its connections itself, so it gets an address.
    let address = world
        .address(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::Tcp {
        host: address.ip().to_string(),
        port: Some(address.port()),
    }];
    options.app_name = Some("prodmirror".into());
    // Members of a replica set announce themselves by names that are not of here.
    options.direct_connection = Some(true);
    options.connect_timeout = Some(ANSWERS);
    options.server_selection_timeout = Some(ANSWERS);
    // What is lost is told; `retry` of the step tries again.
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    let name = match &user {
        Some(u) => format!("as {u}"),
        None => "as nobody".to_owned(),
    };
    if let Some(user) = user {
        let mut credential = Credential::default();
        credential.username = Some(user);
        credential.password = Some(password.unwrap_or_default());
        credential.source = who.auth_database.clone();
        options.credential = Some(credential);
    }
    let no = |why: String| StepError::transport(format!("no session in {place} {name}: {why}"));
    let client = Client::with_options(options).map_err(|e| no(reason(&e)))?;
    let admin = client.database("admin");
    match admin.run_command(doc! { "ping": 1 }).await {
        Ok(_) => Ok(client),
        // Who may do nothing in this database may do something in another.
        Err(e) if matches!(*e.kind, ErrorKind::Command(_)) => Ok(client),
        Err(e) => Err(no(reason(&e))),
    }
}

/// Who the step is: whom it says, or whom the service's environment says.
async fn credentials(
    world: &Arc<dyn World>,
    who: &Who,
) -> Result<(Option<String>, Option<String>), StepError> {
    if who.user.is_some() {
        return Ok((who.user.clone(), who.password.clone()));
    }
    let env = Environment::of(world, &who.host);
    for (user, password) in [
        ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"),
        ("MONGODB_ROOT_USER", "MONGODB_ROOT_PASSWORD"),
    ] {
        if let Some(user) = env.first(&[user]).await? {
            return Ok((Some(user), env.first(&[password]).await?));
        }
    }
    Ok((None, None))
}
