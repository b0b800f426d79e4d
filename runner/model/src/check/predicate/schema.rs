//! `schema`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::diff::key;
use crate::check::show::{cut, show};
use crate::diag::{Problem, ProblemKind};
use crate::template::Scope;
use crate::yaml::Node;

/// Violations that are told at most.
const MOST: usize = 20;

#[derive(Debug)]
struct Schema(jsonschema::Validator);

pub(super) fn schema(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    if node.as_map().is_none() && node.as_bool().is_none() {
        return Err(super::wrong_type(node, "`schema` takes a JSON Schema"));
    }
    match jsonschema::validator_for(&node.to_json()) {
        Ok(v) => Ok(Box::new(Schema(v))),
        Err(e) => {
            let at = e.instance_path().to_string();
            let place = if at.is_empty() {
                String::new()
            } else {
                format!(" at {at}")
            };
            Err(vec![Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                format!("invalid JSON Schema{place}: {}", cut(&e.to_string())),
            )])
        }
    }
}

impl Predicate for Schema {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        for e in self.0.iter_errors(actual).take(MOST) {
            out.push(Finding::new(
                pointer(&e.instance_path().to_string()),
                cut(&e.to_string()),
                show(e.instance()),
            ));
        }
        Ok(())
    }
}

/// A JSON pointer as a path.
pub(crate) fn pointer(p: &str) -> String {
    p.split('/')
        .skip(1)
        .map(|s| s.replace("~1", "/").replace("~0", "~"))
        .map(|s| {
            if s.bytes().all(|b| b.is_ascii_digit()) && !s.is_empty() {
                format!("[{s}]")
            } else {
                key(&s)
            }
        })
        .collect()
}
