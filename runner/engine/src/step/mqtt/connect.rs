//! Connections to MQTT brokers: one for what is published, and one for each subscription, so
//! that what belongs to one of them never comes to another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prodmirror_model::template::{Scope, Text};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions,
    Outgoing, Packet, Publish, QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};
use serde_json::{Map, Value as Json};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};

use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::credentials::Environment;
use crate::step::inbox::{self, Inbox};
use crate::step::world::World;

/// Seconds that the broker may take for each answer about the session.
const ANSWERS: u64 = 10;
/// Bytes of a packet.
const LARGEST: usize = inbox::LARGEST + 128 * 1024;
/// A topic that nobody subscribed to.
const NOWHERE: &str = "prodmirror/nowhere";

/// To whom and as whom.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Open connections for what is published.
#[derive(Default)]
pub(super) struct Pool(tokio::sync::Mutex<HashMap<Who, Arc<Link>>>);

impl Pool {
    /// The connection for someone.
    pub async fn get(&self, world: &Arc<dyn World>, who: &Who) -> Result<Arc<Link>, StepError> {
        let mut open = self.0.lock().await;
        if let Some(link) = open.get(who).filter(|l| l.inbox.ended().is_none()) {
            return Ok(link.clone());
        }
        let link = Arc::new(Link::open(world, who).await?);
        open.insert(who.clone(), link.clone());
        Ok(link)
    }
}

/// A connection, and what comes on it.
pub(super) struct Link {
    client: AsyncClient,
    pub inbox: Arc<Inbox>,
    /// One thing after the other: answers carry a number that is known only when what they
    /// answer was sent.
    one: tokio::sync::Mutex<()>,
    asked: Arc<Mutex<Option<Asked>>>,
    driver: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What waits for its answer.
struct Asked {
    what: What,
    number: Option<u16>,
    done: oneshot::Sender<Vec<SubscribeReasonCode>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Publish(QoS),
    Subscribe,
    Unsubscribe,
}

impl Link {
    /// Makes a session.
    pub async fn open(world: &Arc<dyn World>, who: &Who) -> Result<Self, StepError> {
        let env = Environment::of(world, &who.host);
        let user = match &who.user {
            Some(u) => Some(u.clone()),
            None => {
                let names = ["MQTT_USER", "MQTT_USERNAME", "MOSQUITTO_USERNAME"];
                env.first(&names).await?
            }
        };
        let password = match (&who.password, &user) {
            (None, Some(_)) => env.first(&["MQTT_PASSWORD", "MOSQUITTO_PASSWORD"]).await?,
            (given, _) => given.clone(),
        };
        // The client makes its connection itself, so it gets an address.
        let address = world
            .address(&who.host, who.port)
            .await
            .map_err(reach_error)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut options = MqttOptions::new(
            format!("prodmirror-{}", &id[..12]),
            match address.is_ipv6() {
                true => format!("[{}]", address.ip()),
                false => address.ip().to_string(),
            },
            address.port(),
        );
        options
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(LARGEST, LARGEST);
        let name = match &user {
            Some(u) => format!("as {u}"),
            None => "as nobody".to_owned(),
        };
        if let Some(u) = user {
            options.set_credentials(u, password.unwrap_or_default());
        }
        let (client, mut events) = AsyncClient::new(options, 10);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(ANSWERS);
        events.set_network_options(network);
        // The first thing that it tells is that there is a session.
        events.poll().await.map_err(|e| {
            StepError::transport(format!(
                "no session in {}:{} {name}: {}",
                who.host,
                who.port,
                words(&e)
            ))
        })?;
        let inbox = Arc::new(Inbox::default());
        let asked = Arc::new(Mutex::new(None));
        let driver = tokio::spawn(drive(events, inbox.clone(), asked.clone()));
        Ok(Self {
            client,
            inbox,
            one: tokio::sync::Mutex::default(),
            asked,
            driver,
        })
    }

    /// Publishes, and waits until the broker has it (as far as `qos` goes).
    pub async fn publish(
        &self,
        topic: &str,
        qos: QoS,
        retain: bool,
        body: Vec<u8>,
    ) -> Result<(), StepError> {
        let sending = self.client.publish(topic, qos, retain, body);
        self.ask(What::Publish(qos), sending).await.map(drop)
    }

    /// Subscribes; gives the topics that the broker refuses.
    pub async fn subscribe(&self, topics: &[String], qos: QoS) -> Result<Vec<String>, StepError> {
        let filters = topics.iter().map(|t| SubscribeFilter::new(t.clone(), qos));
        let sending = self.client.subscribe_many(filters);
        let codes = self.ask(What::Subscribe, sending).await?;
        let refused = topics.iter().zip(codes);
        Ok(refused
            .filter(|(_, code)| *code == SubscribeReasonCode::Failure)
            .map(|(t, _)| t.clone())
            .collect())
    }

    /// Waits until the broker answers: what it sent before has come then.
    pub async fn settle(&self) -> Result<(), StepError> {
        let sending = self.client.unsubscribe(NOWHERE);
        self.ask(What::Unsubscribe, sending).await.map(drop)
    }

    async fn ask(
        &self,
        what: What,
        sending: impl Future<Output = Result<(), rumqttc::ClientError>>,
    ) -> Result<Vec<SubscribeReasonCode>, StepError> {
        let _one = self.one.lock().await;
        // An answer that nobody waits for any more must not be taken for that of the next.
        let mut cut = Cut(Some(self.driver.abort_handle()));
        let (done, answer) = oneshot::channel();
        *lock(&self.asked) = Some(Asked {
            what,
            number: None,
            done,
        });
        let gone = || {
            let why = self.inbox.ended();
            StepError::transport(why.unwrap_or_else(|| "the connection was lost".to_owned()))
        };
        if let Some(why) = self.inbox.ended() {
            return Err(StepError::transport(why));
        }
        sending.await.map_err(|_| gone())?;
        let late = Duration::from_secs(ANSWERS);
        let answered = tokio::time::timeout(late, answer).await.map_err(|_| {
            StepError::transport(format!(
                "the broker gave no answer within {}",
                humantime::format_duration(late)
            ))
        })?;
        let codes = answered.map_err(|_| gone())?;
        cut.0 = None;
        Ok(codes)
    }
}

/// Ends a connection unless its question was answered.
struct Cut(Option<AbortHandle>);

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            driver.abort();
        }
    }
}

fn lock(asked: &Mutex<Option<Asked>>) -> MutexGuard<'_, Option<Asked>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells everybody who waits that nothing more comes, however that came about.
struct Ends {
    inbox: Arc<Inbox>,
    asked: Arc<Mutex<Option<Asked>>>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.inbox
            .end("the connection was lost, and with it what came since");
        lock(&self.asked).take();
    }
}

async fn drive(mut events: EventLoop, inbox: Arc<Inbox>, asked: Arc<Mutex<Option<Asked>>>) {
    let ends = Ends { inbox, asked };
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(p))) => {
                ends.inbox.put(document(&p), p.payload.len());
            }
            Ok(event) => answer(&ends.asked, &event),
            Err(e) => {
                // Polled again it would connect anew, with a gap that nobody sees.
                ends.inbox
                    .end(format!("the connection was lost: {}", words(&e)));
                return;
            }
        }
    }
}

/// Gives an answer to who waits for it.
fn answer(asked: &Mutex<Option<Asked>>, event: &Event) {
    let mut slot = lock(asked);
    let Some(a) = slot.as_mut() else { return };
    let mut codes = Vec::new();
    let done = match (a.what, event) {
        (What::Publish(qos), Event::Outgoing(Outgoing::Publish(n))) => {
            a.number = Some(*n);
            qos == QoS::AtMostOnce
        }
        (What::Subscribe, Event::Outgoing(Outgoing::Subscribe(n)))
        | (What::Unsubscribe, Event::Outgoing(Outgoing::Unsubscribe(n))) => {
            a.number = Some(*n);
            false
        }
        (What::Publish(QoS::AtLeastOnce), Event::Incoming(Packet::PubAck(ack))) => {
            a.number == Some(ack.pkid)
        }
        (What::Publish(QoS::ExactlyOnce), Event::Incoming(Packet::PubComp(ack))) => {
            a.number == Some(ack.pkid)
        }
        (What::Subscribe, Event::Incoming(Packet::SubAck(ack))) => {
            codes.clone_from(&ack.return_codes);
            a.number == Some(ack.pkid)
        }
        (What::Unsubscribe, Event::Incoming(Packet::UnsubAck(ack))) => a.number == Some(ack.pkid),
        _ => false,
    };
    if done && let Some(a) = slot.take() {
        // Who waited may have gone.
        let _ = a.done.send(codes);
    }
}

/// What went wrong, in words.
fn words(e: &ConnectionError) -> String {
    match e {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "the broker does not know this user with this password".into()
            }
            ConnectReturnCode::RefusedProtocolVersion => {
                "the broker does not speak MQTT 3.1.1".into()
            }
            other => format!("the broker refuses ({other:?})"),
        },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            format!("no answer within {ANSWERS}s")
        }
        ConnectionError::NotConnAck(_)
        | ConnectionError::MqttState(StateError::Deserialization(_)) => {
            "what answers there does not speak MQTT".into()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the connection was closed".into()
        }
        other => other.to_string(),
    }
}

/// A message as a document.
fn document(p: &Publish) -> Json {
    let mut map = Map::new();
    map.insert("topic".into(), p.topic.as_str().into());
    map.extend(inbox::body(&p.payload));
    map.insert("qos".into(), (p.qos as u8).into());
    map.insert("retain".into(), p.retain.into());
    Json::Object(map)
}

/// Renders what may be left out.
pub(super) fn optional(text: &Option<Text>, scope: &Scope) -> Result<Option<String>, StepError> {
    Ok(text.as_ref().map(|t| t.render(scope)).transpose()?)
}
