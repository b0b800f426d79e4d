//! Clients of brokers, one for each scenario and each who asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use tokio::sync::Mutex;

use super::socks::Socks;
use crate::step::StepError;
use crate::step::world::World;

/// Bytes of an answer at most.
const LARGEST: usize = 32 << 20;

/// How a user proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mechanism {
    Plain,
    Scram256,
    Scram512,
}

/// To whom and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Who {
    pub host: String,
    pub port: u16,
    pub user: Option<(Mechanism, String, String)>,
}

/// Clients, and what steps have remembered.
#[derive(Default)]
pub(super) struct Pool {
    clients: Mutex<HashMap<Who, Arc<Brokers>>>,
    /// By name: the ends of a topic's partitions.
    pub marks: std::sync::Mutex<HashMap<String, Mark>>,
}

/// Where a topic ended when it was looked at.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub who: Who,
    pub topic: String,
    pub ends: BTreeMap<i32, i64>,
}

/// Up to where this scenario has consumed, by partition.
#[derive(Default)]
pub(super) struct Positions(pub std::sync::Mutex<HashMap<(Who, String, i32), i64>>);

/// A client and its way to the brokers.
pub(super) struct Brokers {
    who: Who,
    pub client: Client,
    partitions: Mutex<HashMap<(String, i32), Arc<PartitionClient>>>,
    socks: Socks,
}

impl Pool {
    pub async fn get(&self, world: &Arc<dyn World>, who: Who) -> Result<Arc<Brokers>, StepError> {
        let mut clients = self.clients.lock().await;
        if let Some(b) = clients.get(&who) {
            return Ok(b.clone());
        }
        let brokers = Arc::new(connect(world, &who).await?);
        clients.insert(who, brokers.clone());
        Ok(brokers)
    }
}

async fn connect(world: &Arc<dyn World>, who: &Who) -> Result<Brokers, StepError> {
    // The first connection tells whether there is such a name at all.
    drop(
        world
            .connect(&who.host, who.port)
            .await
            .map_err(crate::step::context::reach_error)?,
    );
    let socks = Socks::start(world)
        .await
        .map_err(|e| StepError::transport(format!("no way to the brokers: {e}")))?;
    let mut builder = ClientBuilder::new(vec![format!("{}:{}", who.host, who.port)])
        .client_id("prodmirror")
        .max_message_size(LARGEST)
        .socks5_proxy(socks.address.clone())
        .backoff_config(BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
            deadline: Some(Duration::from_secs(10)),
        });
    if let Some((mechanism, user, password)) = &who.user {
        let credentials = Credentials::new(user.clone(), password.clone());
        builder = builder.sasl_config(match mechanism {
            Mechanism::Plain => SaslConfig::Plain(credentials),
            Mechanism::Scram256 => SaslConfig::ScramSha256(credentials),
            Mechanism::Scram512 => SaslConfig::ScramSha512(credentials),
        });
    }
    let client = builder.build().await.map_err(|e| lost(who, &socks, &e))?;
    Ok(Brokers {
        who: who.clone(),
        client,
        partitions: Mutex::default(),
        socks,
    })
}

fn lost(who: &Who, socks: &Socks, e: &Error) -> StepError {
    let why = socks.refused().unwrap_or_else(|| e.to_string());
    StepError::transport(format!(
        "no answer from Kafka at {}:{}: {why}",
        who.host, who.port
    ))
}

impl Brokers {
    /// What an error means that is none of a broker's.
    pub fn lost(&self, e: &Error) -> StepError {
        lost(&self.who, &self.socks, e)
    }

    /// The partitions of all topics.
    pub async fn topics(&self) -> Result<BTreeMap<String, Vec<i32>>, StepError> {
        let topics = self.client.list_topics().await.map_err(|e| self.lost(&e))?;
        Ok(topics
            .into_iter()
            .map(|t| (t.name, t.partitions.into_iter().collect()))
            .collect())
    }

    /// A partition of a topic.
    pub async fn partition(&self, topic: &str, number: i32) -> Result<Arc<PartitionClient>, Error> {
        let key = (topic.to_owned(), number);
        let mut open = self.partitions.lock().await;
        if let Some(p) = open.get(&key) {
            return Ok(p.clone());
        }
        let handling = UnknownTopicHandling::Error;
        let made = self
            .client
            .partition_client(topic, number, handling)
            .await?;
        let made = Arc::new(made);
        open.insert(key, made.clone());
        Ok(made)
    }
}

/// What a broker has refused, in its words.
pub(super) fn refusal(e: &Error) -> Option<String> {
    match e {
        Error::ServerError {
            protocol_error,
            error_message,
            ..
        } => Some(match error_message {
            Some(m) => format!("{protocol_error}: {m}"),
            None => protocol_error.to_string(),
        }),
        _ => None,
    }
}

/// Whether an error says that there is no such topic.
pub(super) fn is_unknown(e: &Error) -> bool {
    matches!(
        e,
        Error::ServerError {
            protocol_error: ProtocolError::UnknownTopicOrPartition,
            ..
        }
    )
}

/// The partition of a key, as Java's clients choose it.
pub(super) fn partition_of(key: &[u8], partitions: &[i32]) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    let at = positive as usize % partitions.len().max(1);
    partitions.get(at).copied().unwrap_or(0)
}

fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for w in words.by_ref() {
        let mut k = u32::from_le_bytes([w[0], w[1], w[2], w[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, b) in rest.iter().enumerate() {
            hash ^= u32::from(*b) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test of its hash (`UtilsTest.testMurmur2`).
    #[test]
    fn keys_go_where_java_puts_them() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(partition_of(b"abc", &[]), 0);
    }
}
