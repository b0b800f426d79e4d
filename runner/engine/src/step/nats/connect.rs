//! Connections to NATS servers, kept for the scenario.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use futures_util::StreamExt;
use prodmirror_model::template::{Scope, Text};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::credentials::Environment;
use crate::step::fields::lossy;
use crate::step::http::tls::{self, Trust};
use crate::step::inbox::Inbox;
use crate::step::world::World;

/// How long the server may take for its greeting, and for each answer about the session.
const ANSWERS: Duration = Duration::from_secs(5);
/// The longest greeting.
const GREETING: usize = 64 * 1024;
/// Complaints of the server that are kept.
const COMPLAINTS: usize = 100;

/// To whom and as whom.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    /// Whether certificates must be valid.
    pub verify: bool,
    pub trust: Option<Arc<Trust>>,
}

/// What the server said, and whether it is still there.
#[derive(Default)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    /// The last of them.
    complaints: VecDeque<String>,
    gone: bool,
    inboxes: Vec<Weak<Inbox>>,
}

/// What becomes of a subscription when the connection is lost.
const GONE: &str = "the connection was lost, and with it what came since";

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, event: &Event) {
        let mut seen = self.lock();
        match event {
            Event::Disconnected | Event::Closed => {
                seen.gone = true;
                for inbox in seen.inboxes.drain(..) {
                    if let Some(inbox) = inbox.upgrade() {
                        inbox.end(GONE);
                    }
                }
            }
            Event::ServerError(ServerError::Other(what)) => {
                if seen.complaints.len() >= COMPLAINTS {
                    seen.complaints.pop_front();
                }
                seen.complaints.push_back(what.clone());
            }
            // The library could not keep up with what came for one subscription; which one it
            // was is not said.
            Event::SlowConsumer(_) => {
                let inboxes = seen.inboxes.iter().filter_map(Weak::upgrade);
                inboxes.for_each(|i| i.lose(1));
            }
            _ => {}
        }
        drop(seen);
        self.changed.notify_waiters();
    }

    /// Has an inbox told when the connection is lost.
    pub fn tell(&self, inbox: &Arc<Inbox>) {
        let mut seen = self.lock();
        if seen.gone {
            inbox.end(GONE);
        }
        seen.inboxes.retain(|i| i.strong_count() > 0);
        seen.inboxes.push(Arc::downgrade(inbox));
    }

    /// What the server complained of, about something that was done with a subject:
    /// `Publish` or `Subscription`.
    pub fn complaint(&self, what: &str, subject: &str) -> Option<String> {
        let words = format!("{what} to \"{subject}\"").to_ascii_lowercase();
        let seen = self.lock();
        seen.complaints
            .iter()
            .find(|c| c.to_ascii_lowercase().contains(&words))
            .cloned()
    }

    /// Waits until the server complained of a subscription, or is gone.
    async fn refused(&self, subject: &str) -> Result<(), String> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.complaint("Subscription", subject).is_some() {
                return Ok(());
            }
            if self.is_gone() {
                return Err(GONE.to_owned());
            }
            changed.await;
        }
    }

    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }
}

/// A connection.
pub(super) struct Link {
    pub client: Client,
    pub watch: Arc<Watch>,
}

impl Link {
    /// Waits until the server has seen everything that was sent so far, by two rounds to it
    /// and back: what it complains of is known after the second.
    pub async fn settle(&self) -> Result<(), StepError> {
        for _ in 0..2 {
            let round = async {
                let inbox = self.client.new_inbox();
                let mut back = self
                    .client
                    .subscribe(inbox.clone())
                    .await
                    .map_err(|e| e.to_string())?;
                self.client
                    .publish(inbox.clone(), "".into())
                    .await
                    .map_err(|e| e.to_string())?;
                tokio::select! {
                    came = back.next() => came.map(drop).ok_or_else(|| GONE.to_owned()),
                    // Who may not have inboxes is told so, which is an answer as well.
                    refused = self.watch.refused(&inbox) => refused,
                }
            };
            tokio::time::timeout(ANSWERS, round)
                .await
                .map_err(|_| StepError::transport("the server gives no answer"))?
                .map_err(StepError::Transport)?;
        }
        Ok(())
    }
}

/// Open connections.
#[derive(Default)]
pub(super) struct Pool(tokio::sync::Mutex<HashMap<Who, Arc<Link>>>);

impl Pool {
    /// The connection for someone.
    pub async fn get(&self, world: &Arc<dyn World>, who: Who) -> Result<Arc<Link>, StepError> {
        let mut open = self.0.lock().await;
        if let Some(link) = open.get(&who).filter(|l| !l.watch.is_gone()) {
            return Ok(link.clone());
        }
        let link = Arc::new(connect(world, &who).await?);
        open.insert(who, link.clone());
        Ok(link)
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Link, StepError> {
    let place = format!("{}:{}", who.host, who.port);
    let greeting = greeting(world, who, &place).await?;
    let env = Environment::of(world, &who.host);
    let from_env = who.user.is_none() && who.token.is_none();
    let token = match from_env {
        true => env.first(&["NATS_TOKEN", "NATS_AUTH_TOKEN"]).await?,
        false => who.token.clone(),
    };
    let user = match from_env && token.is_none() {
        true => env.first(&["NATS_USER", "NATS_USERNAME"]).await?,
        false => who.user.clone(),
    };
    let password = match (&who.password, &user) {
        (None, Some(_)) => env.first(&["NATS_PASSWORD"]).await?,
        (given, _) => given.clone(),
    };
    let watch = Arc::new(Watch::default());
    let seen = watch.clone();
    // A lost connection is told; made anew quietly, it would have a gap that nobody sees.
    let mut options = ConnectOptions::new()
        .name("prodmirror")
        .ignore_discovered_servers()
        .max_reconnects(1)
        .connection_timeout(ANSWERS)
        .subscription_capacity(1024)
        .event_callback(move |event| {
            seen.see(&event);
            std::future::ready(())
        });
    // The server says whether it wants TLS; who has certificates wants it, too.
    if greeting["tls_required"] == true || who.trust.is_some() {
        let config =
            tls::config_of_host(who.verify, &world.roots(), who.trust.as_deref(), &who.host);
        let config =
            config.map_err(|e| StepError::transport(format!("no session in {place}: {e}")))?;
        options = options.require_tls(true).tls_client_config(config);
    }
    let name = match (&user, &token) {
        (Some(u), _) => format!("as {u}"),
        (None, Some(_)) => "with a token".to_owned(),
        (None, None) => "as nobody".to_owned(),
    };
    if let Some(user) = user {
        options = options.user_and_password(user, password.unwrap_or_default());
    } else if let Some(token) = token {
        options = options.token(token);
    }
    // The client makes its connection itself, so it gets an address.
    let address = world
        .address(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let client = options
        .connect(format!("nats://{address}"))
        .await
        .map_err(|e| {
            let help = match greeting["auth_required"] == true && name == "as nobody" {
                true => " (it wants `user` and `password`, or a `token`)",
                false => "",
            };
            let why = match e.kind() {
                ConnectErrorKind::AuthorizationViolation => "authorization violation".to_owned(),
                _ => tls::words(&e).unwrap_or_else(|| e.to_string()),
            };
            StepError::transport(format!("no session in {place} {name}: {why}{help}"))
        })?;
    Ok(Link { client, watch })
}

/// What the server says before anything is said to it. The library would read without an end
/// from what is no NATS server.
async fn greeting(world: &Arc<dyn World>, who: &Who, place: &str) -> Result<Json, StepError> {
    let mut stream = world
        .connect(&who.host, who.port)
        .await
        .map_err(reach_error)?;
    let mut got = Vec::new();
    let mut buffer = vec![0; 4096];
    let reading = async {
        while !got.contains(&b'\n') && got.len() < GREETING {
            match stream.read(&mut buffer).await {
                Ok(0) => return Some("the connection was closed at once".to_owned()),
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(e) => return Some(format!("the connection was cut: {e}")),
            }
        }
        None
    };
    let no = |why: String| StepError::transport(format!("no session in {place}: {why}"));
    match tokio::time::timeout(ANSWERS, reading).await {
        Ok(None) => {}
        Ok(Some(why)) => return Err(no(why)),
        Err(_) => {
            let within = humantime::format_duration(ANSWERS);
            return Err(no(format!(
                "what listens there did not greet as a NATS server does, within {within}"
            )));
        }
    }
    let line = got.split(|b| *b == b'\n').next().unwrap_or_default();
    line.strip_prefix(b"INFO ")
        .and_then(|json| serde_json::from_slice::<Json>(json).ok())
        .filter(Json::is_object)
        .ok_or_else(|| {
            let shown: String = lossy(line).chars().take(60).collect();
            no(format!(
                "what answers there does not speak NATS: {:?}",
                shown.trim_end()
            ))
        })
}

/// Renders what may be left out.
pub(super) fn optional(text: &Option<Text>, scope: &Scope) -> Result<Option<String>, StepError> {
    Ok(text.as_ref().map(|t| t.render(scope)).transpose()?)
}
