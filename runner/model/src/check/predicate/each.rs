//! `each`, `any`, `not`: predicates on predicates.

use serde_json::Value as Json;

use super::{Asked, Finding, Predicate, read_all};
use crate::check::show::{kind, show};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::Scope;
use crate::yaml::Node;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Each,
    Any,
    Not,
}

#[derive(Debug)]
struct Inner(Vec<Asked>, Way);

pub(super) fn each(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    inner(node, Way::Each, "each")
}

pub(super) fn any(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    inner(node, Way::Any, "any")
}

pub(super) fn not(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    inner(node, Way::Not, "not")
}

fn inner(node: &Node, way: Way, name: &str) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let Some(map) = node.as_map() else {
        return Err(super::wrong_type(
            node,
            &format!("`{name}` takes predicates, such as `{{ gt: 0 }}`"),
        ));
    };
    if map.is_empty() {
        return Err(vec![Problem::at(
            ProblemKind::Missing,
            &node.span,
            format!("`{name}` without a predicate says nothing"),
        )]);
    }
    Ok(Box::new(Inner(read_all(map)?, way)))
}

impl Inner {
    fn ask(&self, value: Option<&Json>, scope: &Scope) -> Result<Vec<Finding>, Problem> {
        let mut out = Vec::new();
        for a in &self.0 {
            a.check(value, scope, &mut out)?;
        }
        Ok(out)
    }
}

impl Predicate for Inner {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        if self.1 == Way::Not {
            if self.ask(value, scope)?.is_empty() {
                let names: Vec<&str> = self.0.iter().map(|a| a.kind.name).collect();
                out.push(Finding::new(
                    "",
                    format!("not {}", names.join(" and ")),
                    value.map_or_else(|| "nothing is there".into(), show),
                ));
            }
            return Ok(());
        }
        let Some(actual) = value else { return Ok(()) };
        let Some(items) = actual.as_array() else {
            out.push(
                Finding::new("", "a list", show(actual))
                    .hint(Some(format!("this is {}", kind(actual)))),
            );
            return Ok(());
        };
        let mut wrong = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let found = self.ask(Some(item), scope)?;
            if self.1 == Way::Any && found.is_empty() {
                return Ok(());
            }
            wrong.extend(found.into_iter().map(|f| Finding {
                path: format!("[{i}]{}", f.path),
                ..f
            }));
        }
        match self.1 {
            Way::Any => {
                let wanted: Vec<&str> = self.0.iter().map(|a| a.kind.name).collect();
                out.push(Finding::new(
                    "",
                    format!("an item that holds {}", wanted.join(" and ")),
                    show(actual),
                ));
            }
            _ => out.extend(wrong),
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.iter().for_each(|a| a.roots(to));
    }
}
