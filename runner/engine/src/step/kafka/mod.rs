//! `kafka`: messages and topics of Kafka.

mod args;
mod client;
mod message;
mod socks;

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Scope, Text};
use prodmirror_model::yaml::Node;
use rskafka::client::error::Error;
use rskafka::client::partition::{Compression, OffsetAt};
use rskafka::record::RecordAndOffset;
use serde_json::{Map, Value as Json};

use self::args::{Consume, Create, From, KafkaAct, Operation, Produce};
use self::client::{Brokers, Mark, Pool, Positions, Who, is_unknown, partition_of, refusal};
use super::logs::Entry;
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Messages that a step may take.
const MOST: u32 = 10_000;
/// Bytes of the messages that a step may take.
const LARGEST: usize = 64 << 20;
/// Bytes of a partition that are asked for at once.
const AT_ONCE: i32 = 1 << 20;
/// How long a broker may wait for a message before it answers that there is none.
const LOOK: Duration = Duration::from_millis(250);

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "kafka",
    fields: &[
        "messages",
        "count",
        "topic",
        "partition",
        "offset",
        "offsets",
        "topics",
        "partitions",
        "error",
        "duration",
    ],
    help: "produces and consumes messages of Kafka",
    example: "kafka: { service: kafka, consume: { topic: orders, where: { id: \"{{ order_id }}\" }, within: 10s } }",
    usual: None,
    compile,
};

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(args::act(node)?.into())
}

impl KafkaAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        let user = match &self.user {
            Some((m, u, p)) => Some((*m, u.render(scope)?, p.render(scope)?)),
            None => None,
        };
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user,
        })
    }

    fn mismatch(&self, expectation: String, expected: &str, actual: String) -> Mismatch {
        Mismatch {
            expectation,
            kind: "kafka".into(),
            place: Some((&self.service.span).into()),
            expected: expected.to_owned(),
            actual,
            path: None,
            hint: None,
        }
    }

    /// A refusal of the broker is an answer; anything else is not.
    fn refused(
        &self,
        brokers: &Brokers,
        e: &Error,
        what: String,
        expected: &str,
    ) -> Result<Done, StepError> {
        let Some(words) = refusal(e) else {
            return Err(brokers.lost(e));
        };
        Ok(Done {
            document: Document::default().with("error", words.as_str()),
            mismatches: vec![self.mismatch(what, expected, words)],
        })
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let begun = Instant::now();
        let who = self.who(context.scope)?;
        let pool = context.sessions.shared::<Pool>();
        let brokers = pool.get(context.world, who.clone()).await?;
        let mut done = match &self.operation {
            Operation::Produce(p) => self.produce(&brokers, p, context).await?,
            Operation::Consume(c) => self.consume(&pool, &brokers, &who, c, context).await?,
            Operation::Mark(topic, name) => {
                let (topic, name) = (topic.render(context.scope)?, name.render(context.scope)?);
                let numbers = brokers.topics().await?.remove(&topic).unwrap_or_default();
                let ends = offsets(&brokers, &topic, &numbers, OffsetAt::Latest).await?;
                let document = Document::default()
                    .with("topic", topic.as_str())
                    .with("offsets", object(&ends));
                context.trail.add("ends", format!("{topic} {ends:?}"));
                let mark = Mark { who, topic, ends };
                let mut marks = pool.marks.lock().unwrap_or_else(PoisonError::into_inner);
                marks.insert(name, mark);
                document.into()
            }
            Operation::Topics => {
                let topics = brokers.topics().await?;
                let names: Vec<&str> = topics.keys().map(String::as_str).collect();
                let counts: Map<String, Json> = topics
                    .iter()
                    .map(|(t, p)| (t.clone(), p.len().into()))
                    .collect();
                context.trail.add("topics", names.join("\n"));
                Document::default()
                    .with("topics", names)
                    .with("partitions", counts)
                    .into()
            }
            Operation::Create(c) => self.create(&brokers, c, context).await?,
        };
        done.document.took(begun.elapsed());
        Ok(done)
    }

    async fn create(
        &self,
        brokers: &Brokers,
        c: &Create,
        context: &Context<'_>,
    ) -> Result<Done, StepError> {
        let name = c.name.render(context.scope)?;
        let (partitions, replicas) = (c.partitions.unwrap_or(1), c.replication.unwrap_or(1));
        let controller = brokers
            .client
            .controller_client()
            .map_err(|e| brokers.lost(&e))?;
        match controller
            .create_topic(&name, partitions, replicas, 10_000)
            .await
        {
            Ok(()) => Ok(Document::default()
                .with("topic", name)
                .with("partitions", partitions)
                .into()),
            Err(e) => {
                let what = format!("create topic {name}");
                self.refused(brokers, &e, what, "that the topic is made")
            }
        }
    }

    async fn produce(
        &self,
        brokers: &Brokers,
        p: &Produce,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let topic = p.topic.render(context.scope)?;
        let record = message::record(p, context.scope)?;
        context.trail.add("message", message::shown(&record));
        // A topic that is not there may be one that is made by its first use.
        let known = brokers.topics().await?.remove(&topic).unwrap_or_default();
        let number = match (p.partition, &record.key) {
            (Some(n), _) => n,
            (None, Some(key)) => partition_of(key, &known),
            (None, None) => known.first().copied().unwrap_or(0),
        };
        let what = format!("produce to {topic}");
        if !known.is_empty() && !known.contains(&number) {
            let actual = format!("the topic has the partitions {known:?}");
            return Ok(Done {
                document: Document::default().with("topic", topic.as_str()),
                mismatches: vec![self.mismatch(what, &format!("a partition {number}"), actual)],
            });
        }
        let sent = match brokers.partition(&topic, number).await {
            Ok(partition) => {
                partition
                    .produce(vec![record], Compression::NoCompression)
                    .await
            }
            Err(e) => Err(e),
        };
        match sent {
            Ok(offsets) => Ok(Document::default()
                .with("topic", topic)
                .with("partition", number)
                .with("offset", offsets.first().copied())
                .into()),
            Err(e) if is_unknown(&e) => {
                let expected = "a topic of this name";
                self.refused(brokers, &e, what, expected)
            }
            Err(e) => self.refused(brokers, &e, what, "that the broker takes the message"),
        }
    }

    async fn consume(
        &self,
        pool: &Pool,
        brokers: &Brokers,
        who: &Who,
        c: &Consume,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let topic = c.topic.render(context.scope)?;
        let key = c
            .key
            .as_ref()
            .map(|k| k.render_text(context.scope))
            .transpose()?;
        let begin = match &c.from {
            From::Mark(name) => Begin::Mark(self.mark(pool, name, who, &topic, context.scope)?),
            From::Last => Begin::Last,
            From::Beginning => Begin::Beginning,
            From::Offset(o) => Begin::Offset(*o),
            From::End => {
                let numbers = brokers.topics().await?.remove(&topic).unwrap_or_default();
                Begin::Mark(offsets(brokers, &topic, &numbers, OffsetAt::Latest).await?)
            }
        };
        let last = context.sessions.own::<Positions>();
        let wanted = c.count.max(1) as usize;
        let deadline = tokio::time::Instant::now() + c.within;
        let mut taken = Taken::default();
        let mut at: BTreeMap<i32, i64> = BTreeMap::new();
        loop {
            // Partitions may come later, and so may the topic itself.
            let mut numbers = brokers.topics().await?.remove(&topic).unwrap_or_default();
            numbers.retain(|n| c.partition.is_none_or(|p| p == *n));
            for n in &numbers {
                if !at.contains_key(n) {
                    let place = (who.clone(), topic.clone(), *n);
                    let kept = || {
                        let kept = last.0.lock().unwrap_or_else(PoisonError::into_inner);
                        kept.get(&place).copied()
                    };
                    at.insert(*n, begin.of(brokers, &topic, *n, kept).await?);
                }
            }
            let wait = deadline.saturating_duration_since(tokio::time::Instant::now());
            if at.is_empty() {
                tokio::time::sleep(wait.min(LOOK)).await;
            }
            for (n, records) in fetch(brokers, &topic, &at, wait.min(LOOK)).await? {
                for r in records {
                    if taken.messages.len() == wanted {
                        break;
                    }
                    at.insert(n, r.offset + 1);
                    if meets(c, key.as_deref(), &r, context.scope)? {
                        taken.add(&topic, n, &r)?;
                    }
                }
            }
            if taken.messages.len() == wanted || tokio::time::Instant::now() >= deadline {
                break;
            }
        }
        let mut kept = last.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, offset) in &at {
            kept.insert((who.clone(), topic.clone(), *n), *offset);
        }
        drop(kept);
        Ok(self.consumed(c, &topic, &at, taken, context))
    }

    fn consumed(
        &self,
        c: &Consume,
        topic: &str,
        at: &BTreeMap<i32, i64>,
        taken: Taken,
        context: &mut Context<'_>,
    ) -> Done {
        let got = taken.messages.len();
        let shown: Vec<String> = taken.messages.iter().take(5).map(Json::to_string).collect();
        context.trail.add(
            "messages",
            format!("{got} from {topic}, up to {at:?}\n{}", shown.join("\n")),
        );
        let mut done = Done::from(
            Document::default()
                .with("topic", topic)
                .with("count", got)
                .with("offsets", object(at))
                .with("messages", taken.messages),
        );
        if got != c.count as usize {
            let within = humantime::format_duration(c.within);
            let expected = match c.count {
                0 => format!("no message within {within}"),
                n => format!("{n} messages within {within}"),
            };
            let such = match &c.select {
                Some(s) => format!(" {}", s.words()),
                None => String::new(),
            };
            let what = format!("consume {} from {topic}{such}", c.count);
            done.mismatches
                .push(self.mismatch(what, &expected, format!("{got} came")));
        }
        done
    }

    /// Where a mark of an earlier step stands.
    fn mark(
        &self,
        pool: &Pool,
        name: &Text,
        who: &Who,
        topic: &str,
        scope: &Scope,
    ) -> Result<BTreeMap<i32, i64>, StepError> {
        let rendered = name.render(scope)?;
        let bad = |text: String, help: &str| {
            StepError::from(
                Problem::at(ProblemKind::UnknownReference, name.span(), text).help(help),
            )
        };
        let marks = pool.marks.lock().unwrap_or_else(PoisonError::into_inner);
        match marks.get(&rendered) {
            Some(m) if m.who == *who && m.topic == topic => Ok(m.ends.clone()),
            Some(m) => {
                let text = format!("the mark `{rendered}` is one of the topic {}", m.topic);
                Err(bad(text, "set one of this topic, with a name of its own"))
            }
            None => {
                let text = format!("no step before has set the mark `{rendered}`");
                let help =
                    format!("before the act, write `mark: {{ topic: {topic}, as: {rendered} }}`");
                Err(bad(text, &help))
            }
        }
    }
}

/// Where each partition begins.
enum Begin {
    Last,
    Beginning,
    Offset(i64),
    /// Partitions that were not there then begin at their beginning.
    Mark(BTreeMap<i32, i64>),
}

impl Begin {
    async fn of(
        &self,
        brokers: &Brokers,
        topic: &str,
        number: i32,
        kept: impl Fn() -> Option<i64>,
    ) -> Result<i64, StepError> {
        let known = match self {
            Begin::Last => kept(),
            Begin::Beginning => None,
            Begin::Offset(o) => Some(*o),
            Begin::Mark(ends) => ends.get(&number).copied(),
        };
        match known {
            Some(offset) => Ok(offset),
            None => {
                let one = offsets(brokers, topic, &[number], OffsetAt::Earliest).await?;
                Ok(one.get(&number).copied().unwrap_or(0))
            }
        }
    }
}

/// What was taken, within bounds.
#[derive(Default)]
struct Taken {
    messages: Vec<Json>,
    bytes: usize,
}

impl Taken {
    fn add(&mut self, topic: &str, partition: i32, r: &RecordAndOffset) -> Result<(), StepError> {
        self.bytes += r.record.approximate_size();
        if self.bytes > LARGEST {
            let text = format!("the messages have more than {} MiB", LARGEST >> 20);
            let p = Problem::new(ProblemKind::TooLarge, text);
            return Err(p
                .help("narrow them with `where` or `key`, or take fewer")
                .into());
        }
        self.messages.push(message::document(topic, partition, r));
        Ok(())
    }
}

fn meets(
    c: &Consume,
    key: Option<&str>,
    r: &RecordAndOffset,
    scope: &Scope,
) -> Result<bool, StepError> {
    if key.is_some_and(|k| r.record.key.as_deref() != Some(k.as_bytes())) {
        return Ok(false);
    }
    let Some(select) = &c.select else {
        return Ok(true);
    };
    let body = r.record.value.as_deref().unwrap_or_default();
    let json = serde_json::from_slice(body).ok();
    select.meets(&Entry::of(super::fields::lossy(body), json), scope)
}

/// One look at each partition, at the same time.
async fn fetch(
    brokers: &Brokers,
    topic: &str,
    at: &BTreeMap<i32, i64>,
    wait: Duration,
) -> Result<Vec<(i32, Vec<RecordAndOffset>)>, StepError> {
    let wait = i32::try_from(wait.as_millis()).unwrap_or(250);
    let looks = at.iter().map(|(n, offset)| async move {
        let partition = brokers.partition(topic, *n).await?;
        let (records, _) = partition.fetch_records(*offset, 1..AT_ONCE, wait).await?;
        Ok::<_, Error>((*n, records))
    });
    try_join_all(looks).await.map_err(|e| brokers.lost(&e))
}

/// Offsets of partitions.
async fn offsets(
    brokers: &Brokers,
    topic: &str,
    numbers: &[i32],
    at: OffsetAt,
) -> Result<BTreeMap<i32, i64>, StepError> {
    let all = numbers.iter().map(|n| async move {
        let partition = brokers.partition(topic, *n).await?;
        Ok::<_, Error>((*n, partition.get_offset(at).await?))
    });
    let all = try_join_all(all).await.map_err(|e| brokers.lost(&e))?;
    Ok(all.into_iter().collect())
}

fn object(offsets: &BTreeMap<i32, i64>) -> Map<String, Json> {
    let pairs = offsets.iter().map(|(n, o)| (n.to_string(), Json::from(*o)));
    pairs.collect()
}

impl Act for KafkaAct {
    fn title(&self) -> String {
        let what = match &self.operation {
            Operation::Produce(p) => format!("produce to {}", p.topic.source()),
            Operation::Consume(c) => format!("consume from {}", c.topic.source()),
            Operation::Mark(topic, _) => format!("mark {}", topic.source()),
            Operation::Topics => "topics".to_owned(),
            Operation::Create(c) => format!("create topic {}", c.name.source()),
        };
        format!("{}: {what}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn limit(&self) -> Duration {
        match &self.operation {
            Operation::Consume(c) => c.within + Duration::from_secs(30),
            _ => Duration::from_secs(30),
        }
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
