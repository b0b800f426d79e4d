//! `contains`, `not_contains`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::diff::{Mode, diff, equal};
use crate::check::show::{kind, show};
use crate::diag::Problem;
use crate::source::Span;
use crate::template::{Data, Scope};
use crate::yaml::Node;

#[derive(Debug)]
struct Containment {
    part: Data,
    wanted: bool,
}

pub(super) fn contains(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Containment {
        part: Data::new(node)?,
        wanted: true,
    }))
}

pub(super) fn not_contains(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Containment {
        part: Data::new(node)?,
        wanted: false,
    }))
}

impl Predicate for Containment {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let part = self.part.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        if self.wanted {
            holds(&part, actual, out);
            return Ok(());
        }
        let mut missing = Vec::new();
        holds(&part, actual, &mut missing);
        if missing.is_empty() {
            out.push(Finding::new(
                "",
                format!("nothing like {}", show(&part)),
                show(actual),
            ));
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.part.roots(to);
    }
}

fn holds(part: &Json, actual: &Json, out: &mut Vec<Finding>) {
    match (actual, part) {
        (Json::String(text), Json::String(piece)) => {
            if !text.contains(piece.as_str()) {
                let hint = text
                    .to_lowercase()
                    .contains(&piece.to_lowercase())
                    .then(|| "it is there in other upper and lower case".to_owned());
                out.push(
                    Finding::new("", format!("a text with {}", show(part)), show(actual))
                        .hint(hint),
                );
            }
        }
        (Json::Array(items), Json::Array(parts)) => parts.iter().for_each(|p| item(p, items, out)),
        (Json::Array(items), one) => item(one, items, out),
        (Json::Object(_), Json::Object(_)) => diff(part, actual, Mode::Part, "", out),
        (Json::Object(o), Json::String(k)) => {
            if !o.contains_key(k) {
                let hint = crate::diag::nearest(k, o.keys().map(String::as_str))
                    .map(|n| format!("there is `{n}`"));
                out.push(Finding::new("", format!("a key `{k}`"), show(actual)).hint(hint));
            }
        }
        (Json::String(text), Json::Number(n)) if text.contains(&n.to_string()) => {}
        _ => out.push(
            Finding::new(
                "",
                format!("something that holds {}", show(part)),
                show(actual),
            )
            .hint(Some(format!("this is {}", kind(actual)))),
        ),
    }
}

/// An item of a list that has at least what is asked; the nearest one is told with what it
/// lacks.
fn item(part: &Json, items: &[Json], out: &mut Vec<Finding>) {
    if items.iter().any(|i| equal(part, i, Mode::Part)) {
        return;
    }
    let nearest = items
        .iter()
        .enumerate()
        .filter(|(_, i)| i.is_object() && part.is_object())
        .map(|(n, i)| {
            let mut lacks = Vec::new();
            diff(part, i, Mode::Part, &format!("[{n}]"), &mut lacks);
            lacks
        })
        .min_by_key(Vec::len);
    let hint = match nearest.as_deref() {
        Some([one]) => Some(format!(
            "the nearest item has {} at {}",
            one.actual, one.path
        )),
        _ => items
            .iter()
            .find_map(|i| crate::check::show::type_hint(part, i)),
    };
    let list = Json::Array(items.to_vec());
    out.push(Finding::new("", format!("an item {}", show(part)), show(&list)).hint(hint));
}
