//! Decoding that several kinds share.

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::scenario::read_duration;
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::{Node, from_node};
use serde::Deserialize;
use std::time::Duration;

/// Decodes the arguments of a kind.
pub(super) fn args<T: for<'n> Deserialize<'n>>(
    node: &Node,
    kind: &str,
    example: &str,
) -> Result<T, Vec<Problem>> {
    if node.as_map().is_none() {
        return Err(vec![
            Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`{kind}` takes a mapping, found {}", node.kind()),
            )
            .help(format!("for example: {}", example.trim())),
        ]);
    }
    from_node(node).map_err(|p| vec![p])
}

/// A problem with this help, where it has none of its own.
pub(super) fn helped(p: Problem, help: &str) -> Problem {
    match p.help {
        Some(_) => p,
        None => p.help(help),
    }
}

/// A duration in a step's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(d)?;
        read_duration(&node)
            .map(Time)
            .map_err(prodmirror_model::yaml::de::carried)
    }
}

/// A mapping whose values are any values with templates, in order.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub Vec<(Text, Data)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use prodmirror_model::yaml::de::carried;
        let node = Node::deserialize(d)?;
        let Some(map) = node.as_map() else {
            return Err(carried(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("expected a mapping, found {}", node.kind()),
            )));
        };
        let mut pairs = Vec::with_capacity(map.len());
        for (key, entry) in &map.0 {
            let name = Text::new(key.clone(), &entry.key).map_err(carried)?;
            let data = Data::new(&entry.node).map_err(|mut p| carried(p.swap_remove(0)))?;
            pairs.push((name, data));
        }
        Ok(Pairs(pairs))
    }
}

/// Plain characters of `text`, decoded lossily.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
