//! `contains`, `not_contains`, `partial`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::diff::{Mode, diff, equal};
use crate::check::show::{kind, show};
use crate::check::subject::{hex, show_bytes, unhex};
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

/// Objects with at least these keys, however deep; lists as long as expected.
#[derive(Debug)]
struct Partial(Data);

pub(super) fn partial(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let template = node.as_str().is_some_and(|s| s.contains("{{"));
    if node.as_map().is_none() && node.as_seq().is_none() && !template {
        return Err(super::wrong_type(
            node,
            "`partial` takes an object or a list of objects",
        ));
    }
    Ok(Box::new(Partial(Data::new(node)?)))
}

impl Predicate for Partial {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let expected = self.0.render(scope)?;
        if let Some(actual) = value {
            diff(&expected, actual, Mode::Part, "", out);
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.roots(to);
    }
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

    /// A piece of bytes stands at a whole byte, not in the middle of one.
    fn check_bytes(
        &self,
        bytes: &[u8],
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let part = self.part.render(scope)?;
        let digits = part.as_str().and_then(unhex);
        let Some(piece) = digits else {
            let hint = part
                .is_number()
                .then(|| "write the digits in quotes".to_owned());
            out.push(
                Finding::new(
                    "",
                    format!("bytes with the hexadecimal digits {}", show(&part)),
                    show_bytes(bytes),
                )
                .hint(hint),
            );
            return Ok(());
        };
        let there = piece.is_empty() || bytes.windows(piece.len()).any(|w| w == piece);
        if there != self.wanted {
            let words = if self.wanted { "with" } else { "without" };
            out.push(Finding::new(
                "",
                format!("bytes {words} {}", hex(&piece)),
                show_bytes(bytes),
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
