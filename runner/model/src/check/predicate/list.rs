//! `sorted`, `unique`.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::filter::list::{mixed, order, repeated};
use crate::check::show::{kind, show};
use crate::diag::Problem;
use crate::template::Scope;
use crate::yaml::Node;

/// Places that are told at most.
const MOST: usize = 20;

#[derive(Debug)]
struct Sorted {
    descending: bool,
}

pub(super) fn sorted(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let descending = match (node.as_bool(), node.as_str()) {
        (Some(true), _) | (_, Some("asc")) => false,
        (_, Some("desc")) => true,
        _ => {
            return Err(super::wrong_type(node, "`sorted` takes true, asc or desc"));
        }
    };
    Ok(Box::new(Sorted { descending }))
}

fn items<'v>(value: &'v Json, out: &mut Vec<Finding>) -> Option<&'v [Json]> {
    let list = value.as_array().map(Vec::as_slice);
    if list.is_none() {
        out.push(
            Finding::new("", "a list", show(value)).hint(Some(format!("this is {}", kind(value)))),
        );
    }
    list
}

impl Predicate for Sorted {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(list) = value.and_then(|v| items(v, out)) else {
            return Ok(());
        };
        if let Some((a, b)) = mixed(list) {
            out.push(
                Finding::new(
                    "",
                    "a list of numbers or of texts",
                    show(&Json::Array(list.to_vec())),
                )
                .hint(Some(format!(
                    "{} and {} have no order; name the key, such as $.items[*].id",
                    show(a),
                    show(b)
                ))),
            );
            return Ok(());
        }
        let (wrong, words) = if self.descending {
            (Ordering::Less, "at most")
        } else {
            (Ordering::Greater, "at least")
        };
        let pairs = list.windows(2).enumerate();
        for (i, pair) in pairs
            .filter(|(_, w)| order(&w[0], &w[1]) == Some(wrong))
            .take(MOST)
        {
            out.push(Finding::new(
                format!("[{}]", i + 1),
                format!("{words} {}, the item before it", show(&pair[0])),
                show(&pair[1]),
            ));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Unique(bool);

pub(super) fn unique(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match node.as_bool() {
        Some(b) => Ok(Box::new(Unique(b))),
        None => Err(super::wrong_type(node, "`unique` takes true or false")),
    }
}

impl Predicate for Unique {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(list) = value.and_then(|v| items(v, out)) else {
            return Ok(());
        };
        let again = repeated(list);
        if self.0 {
            for (first, i) in again.into_iter().take(MOST) {
                out.push(Finding::new(
                    format!("[{i}]"),
                    "an item that is there once",
                    format!("{}, as at [{first}]", show(&list[i])),
                ));
            }
        } else if again.is_empty() {
            out.push(Finding::new(
                "",
                "an item that is there twice",
                show(&Json::Array(list.to_vec())),
            ));
        }
        Ok(())
    }
}
