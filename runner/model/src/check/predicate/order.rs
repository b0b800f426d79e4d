//! `gt`, `ge`, `lt`, `le`, `approx`.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::show::{show, type_hint};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::{Data, Scope};
use crate::yaml::Node;

#[derive(Debug)]
struct Order {
    limit: Data,
    words: &'static str,
    holds: fn(Ordering) -> bool,
}

fn order(
    node: &Node,
    words: &'static str,
    holds: fn(Ordering) -> bool,
) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    if node.as_map().is_some()
        || node.as_seq().is_some()
        || node.is_null()
        || node.as_bool().is_some()
    {
        return Err(super::wrong_type(node, "a limit is a number or a text"));
    }
    Ok(Box::new(Order {
        limit: Data::new(node)?,
        words,
        holds,
    }))
}

pub(super) fn gt(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    order(node, "more than", Ordering::is_gt)
}

pub(super) fn ge(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    order(node, "at least", Ordering::is_ge)
}

pub(super) fn lt(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    order(node, "less than", Ordering::is_lt)
}

pub(super) fn le(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    order(node, "at most", Ordering::is_le)
}

impl Predicate for Order {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let limit = self.limit.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        let ordering = match (actual, &limit) {
            (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(x), Some(y)) => Some(x.cmp(&y)),
                _ => a
                    .as_f64()
                    .zip(b.as_f64())
                    .and_then(|(x, y)| x.partial_cmp(&y)),
            },
            (Json::String(a), Json::String(b)) => Some(a.cmp(b)),
            _ => None,
        };
        if !ordering.is_some_and(self.holds) {
            let hint = match (actual, &limit) {
                (Json::String(a), Json::Number(_)) if a.trim().parse::<f64>().is_ok() => {
                    Some(format!("{actual} is text here, not a number"))
                }
                _ => type_hint(&limit, actual),
            };
            out.push(
                Finding::new("", format!("{} {}", self.words, show(&limit)), show(actual))
                    .hint(hint),
            );
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.limit.roots(to);
    }
}

#[derive(Debug)]
struct Approx {
    value: Data,
    within: Tolerance,
}

#[derive(Debug, Clone, Copy)]
enum Tolerance {
    Absolute(f64),
    Percent(f64),
}

pub(super) fn approx(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let form = || {
        vec![
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "`approx` takes a value and how far it may be away",
            )
            .help("write `approx: { value: 12.5, within: 0.1 }` or `within: 5%`"),
        ]
    };
    let map = node.as_map().ok_or_else(form)?;
    if let Some((key, entry)) = map
        .0
        .iter()
        .find(|(k, _)| !matches!(k.as_str(), "value" | "within"))
    {
        return Err(vec![
            Problem::at(
                ProblemKind::UnknownKey,
                &entry.key,
                format!("unknown key `{key}` in `approx`"),
            )
            .help("it has `value` and `within`"),
        ]);
    }
    let (value, within) = map.get("value").zip(map.get("within")).ok_or_else(form)?;
    let text = within.scalar_text().unwrap_or_default();
    let parsed = match text.strip_suffix('%') {
        Some(n) => n.trim().parse().ok().map(Tolerance::Percent),
        None => text.trim().parse().ok().map(Tolerance::Absolute),
    };
    let within = parsed
        .ok_or_else(|| super::wrong_type(within, "`within` takes a number or a percentage"))?;
    Ok(Box::new(Approx {
        value: Data::new(value)?,
        within,
    }))
}

impl Predicate for Approx {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let wanted = self.value.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        let (limit, words) = match self.within {
            Tolerance::Absolute(x) => (x, format!("{x}")),
            Tolerance::Percent(p) => (
                wanted.as_f64().unwrap_or(0.0).abs() * p / 100.0,
                format!("{p}%"),
            ),
        };
        let near = wanted
            .as_f64()
            .zip(actual.as_f64())
            .is_some_and(|(w, a)| (w - a).abs() <= limit);
        if !near {
            out.push(
                Finding::new("", format!("{} ± {words}", show(&wanted)), show(actual))
                    .hint(type_hint(&wanted, actual)),
            );
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.value.roots(to);
    }
}
