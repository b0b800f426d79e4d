//! Connections to brokers, kept for the scenario.

use std::collections::HashMap;
use std::sync::Arc;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;

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
    pub vhost: Option<String>,
}

/// Open connections.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Who, Arc<Connection>>>);

impl Pool {
    /// A channel of its own on the connection for someone.
    pub async fn channel(&self, world: &Arc<dyn World>, who: Who) -> Result<Channel, StepError> {
        let mut open = self.0.lock().await;
        if let Some(c) = open.get(&who).filter(|c| c.status().connected())
            && let Ok(channel) = c.create_channel().await
        {
            return Ok(channel);
        }
        let connection = connect(world, &who).await?;
        let channel = connection
            .create_channel()
            .await
            .map_err(|e| StepError::transport(format!("{}:{}: {e}", who.host, who.port)))?;
        open.insert(who, Arc::new(connection));
        Ok(channel)
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Connection, StepError> {
    let env = Environment::of(world, &who.host);
    let username = match &who.user {
        Some(u) => u.clone(),
        None => env
            .first(&["RABBITMQ_DEFAULT_USER"])
            .await?
            .unwrap_or_else(|| "guest".into()),
    };
    let password = match &who.password {
        Some(p) => p.clone(),
        None => env
            .first(&["RABBITMQ_DEFAULT_PASS"])
            .await?
            .unwrap_or_else(|| "guest".into()),
    };
    let vhost = match &who.vhost {
        Some(v) => v.clone(),
        None => env
            .first(&["RABBITMQ_DEFAULT_VHOST"])
            .await?
            .unwrap_or_else(|| "/".into()),
    };
    // The client makes its connection itself, so it gets an address.
    let address = world
        .address(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let uri = AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: username.clone(),
                password,
            },
            host: address.ip().to_string(),
            port: address.port(),
        },
        vhost,
        query: AMQPQueryString::default(),
    };
    let properties = ConnectionProperties::default().with_connection_name("prodmirror".into());
    Connection::connect_uri(uri, properties).await.map_err(|e| {
        StepError::transport(format!(
            "no session in {}:{} as {username}: {e}",
            who.host, who.port
        ))
    })
}
