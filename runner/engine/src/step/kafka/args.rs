//! What a `kafka` step says.

use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::{Node, Spanned, from_node};
use serde::Deserialize;

use super::client::Mechanism;
use super::{KIND, MOST};
use crate::step::fields::{Pairs, Time, args, helped};
use crate::step::logs::Select;

const PORT: u16 = 9092;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    password: Option<Text>,
    #[serde(default)]
    mechanism: Option<Spanned<String>>,
    #[serde(default)]
    produce: Option<Produce>,
    #[serde(default)]
    consume: Option<ConsumeArgs>,
    #[serde(default)]
    mark: Option<MarkArgs>,
    #[serde(default)]
    topics: Option<Spanned<bool>>,
    #[serde(default)]
    create_topic: Option<Node>,
}

/// A message that is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Produce {
    pub topic: Text,
    #[serde(default)]
    pub key: Option<Data>,
    #[serde(default)]
    pub json: Option<Data>,
    #[serde(default)]
    pub text: Option<Text>,
    /// Without a body on purpose: what deletes a key.
    #[serde(default)]
    pub tombstone: bool,
    #[serde(default)]
    pub headers: Pairs,
    #[serde(default)]
    pub partition: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumeArgs {
    topic: Text,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    from: Option<Node>,
    #[serde(default)]
    since: Option<Text>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default)]
    key: Option<Data>,
    #[serde(default)]
    r#where: Option<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkArgs {
    topic: Text,
    r#as: Text,
}

/// A topic that is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    pub name: Text,
    #[serde(default)]
    pub partitions: Option<i32>,
    #[serde(default)]
    pub replication: Option<i16>,
}

/// Where consuming begins.
pub(super) enum From {
    /// Where the scenario has ended last; at first, at the beginning.
    Last,
    Beginning,
    End,
    Offset(i64),
    Mark(Text),
}

/// Messages that are waited for.
pub(super) struct Consume {
    pub topic: Text,
    pub count: u32,
    pub within: Duration,
    pub from: From,
    pub partition: Option<i32>,
    pub key: Option<Data>,
    pub select: Option<Select>,
}

/// What is done.
pub(super) enum Operation {
    Produce(Box<Produce>),
    Consume(Box<Consume>),
    Mark(Text, Text),
    Topics,
    Create(Create),
}

/// A request to brokers, ready to send.
pub(super) struct KafkaAct {
    pub service: Spanned<String>,
    pub port: u16,
    pub user: Option<(Mechanism, Text, Text)>,
    pub operation: Operation,
}

/// Decodes a request.
pub(super) fn act(node: &Node) -> Result<KafkaAct, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let mut operations = Vec::new();
    if let Some(p) = a.produce {
        check(&p, node, &mut problems);
        operations.push(Operation::Produce(Box::new(p)));
    }
    if let Some(c) = a.consume {
        match consume(c, node) {
            Ok(c) => operations.push(Operation::Consume(Box::new(c))),
            Err(p) => problems.extend(p),
        }
    }
    operations.extend(a.mark.map(|m| Operation::Mark(m.topic, m.r#as)));
    operations.extend(a.topics.filter(|t| t.value).map(|_| Operation::Topics));
    match a.create_topic.as_ref().map(create) {
        Some(Ok(c)) => operations.push(Operation::Create(c)),
        Some(Err(p)) => problems.push(p),
        None => {}
    }
    const ONE: &str = "give one of: produce, consume, mark, topics (`topics: true`), create_topic";
    let one = |kind, text: &str| Problem::at(kind, &node.span, text).help(ONE);
    match operations.len() {
        0 if problems.is_empty() => {
            problems.push(one(ProblemKind::Missing, "this `kafka` step does nothing"));
        }
        0 | 1 => {}
        _ => problems.push(one(ProblemKind::Conflict, "a `kafka` step does one thing")),
    }
    let mechanism = match a.mechanism.as_ref().map(|m| (m.as_str(), &m.span)) {
        None | Some(("plain", _)) => Mechanism::Plain,
        Some(("scram-sha-256", _)) => Mechanism::Scram256,
        Some(("scram-sha-512", _)) => Mechanism::Scram512,
        Some((other, span)) => {
            let text = format!("`{other}` is no mechanism of this client");
            let p = Problem::at(ProblemKind::InvalidValue, span, text);
            problems.push(p.help("mechanisms: plain, scram-sha-256, scram-sha-512"));
            Mechanism::Plain
        }
    };
    let user = match (a.user, a.password) {
        (Some(u), Some(p)) => Some((mechanism, u, p)),
        (None, None) if a.mechanism.is_none() => None,
        _ => {
            let text = "a user goes with a password";
            let p = Problem::at(ProblemKind::Missing, &node.span, text);
            problems.push(p.help("give `user` and `password`, or neither and no `mechanism`"));
            None
        }
    };
    match operations.pop() {
        Some(operation) if problems.is_empty() => Ok(KafkaAct {
            service: a.service,
            port: a.port.unwrap_or(PORT),
            user,
            operation,
        }),
        _ => Err(problems),
    }
}

fn check(p: &Produce, node: &Node, problems: &mut Vec<Problem>) {
    let bodies =
        usize::from(p.json.is_some()) + usize::from(p.text.is_some()) + usize::from(p.tombstone);
    if bodies != 1 {
        problems.push(
            Problem::at(ProblemKind::Conflict, &node.span, "a message has one body")
                .help("give one of `json`, `text` and `tombstone: true` (no body)"),
        );
    }
    if p.partition.is_some_and(|n| n < 0) {
        problems.push(Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            "partitions are numbers from 0",
        ));
    }
}

fn consume(c: ConsumeArgs, node: &Node) -> Result<Consume, Vec<Problem>> {
    let bad =
        |kind, text: String, help: &str| Err(vec![Problem::at(kind, &node.span, text).help(help)]);
    let count = c.count.unwrap_or(1);
    if count > MOST {
        let text = format!("`count` is at most {MOST}");
        return bad(
            ProblemKind::TooLarge,
            text,
            "narrow it with `where` or `key`",
        );
    }
    let from = match (&c.from, c.since) {
        (Some(_), Some(_)) => {
            let text = "`from` and `since` both say where to begin".to_owned();
            return bad(ProblemKind::Conflict, text, "keep one");
        }
        (None, Some(mark)) => From::Mark(mark),
        (None, None) => From::Last,
        (Some(n), None) => match (n.as_str(), n.as_int()) {
            (Some("beginning"), _) => From::Beginning,
            (Some("end"), _) => From::End,
            (_, Some(offset)) if offset >= 0 && c.partition.is_some() => From::Offset(offset),
            (_, Some(offset)) if offset >= 0 => {
                let text = "an offset is one of a partition".to_owned();
                return bad(ProblemKind::Missing, text, "add `partition: 0`");
            }
            _ => {
                let text = format!("`from` is beginning, end or an offset, found {}", n.kind());
                let p = Problem::at(ProblemKind::InvalidValue, &n.span, text);
                return Err(vec![p.help("after a `mark`, write `since: <its name>`")]);
            }
        },
    };
    let select = match &c.r#where {
        None => None,
        Some(fields) => {
            let mut map = Node::map(fields.span.clone());
            if let Some(m) = map.as_map_mut() {
                m.insert("where", fields.clone());
            }
            Some(Select::read(&map)?)
        }
    };
    Ok(Consume {
        topic: c.topic,
        count,
        within: c.within.map_or(Duration::from_secs(10), |t| t.0),
        from,
        partition: c.partition,
        key: c.key,
        select,
    })
}

fn create(node: &Node) -> Result<Create, Problem> {
    let made: Create = match node.as_str() {
        Some(name) => Create {
            name: Text::new(name, &node.span)?,
            partitions: None,
            replication: None,
        },
        None => from_node(node)
            .map_err(|p| helped(p, "write `create_topic: { name: orders, partitions: 3 }`"))?,
    };
    if made.partitions.is_some_and(|n| n < 1) || made.replication.is_some_and(|n| n < 1) {
        let text = "a topic has at least one partition and one replica";
        return Err(Problem::at(ProblemKind::InvalidValue, &node.span, text));
    }
    Ok(made)
}
