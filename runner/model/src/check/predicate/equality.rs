//! `equals`, `not_equals`, `one_of`, `unordered`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::diff::{Mode, diff, equal};
use crate::check::show::show;
use crate::check::subject::hex;
use crate::diag::Problem;
use crate::source::Span;
use crate::template::{Data, Scope};
use crate::yaml::Node;

#[derive(Debug, Clone, Copy)]
enum Way {
    Equals,
    Differs,
    OneOf,
    Unordered,
}

#[derive(Debug)]
struct Equality(Data, Way);

pub(super) fn equals(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Equality(Data::new(node)?, Way::Equals)))
}

pub(super) fn not_equals(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Equality(Data::new(node)?, Way::Differs)))
}

pub(super) fn one_of(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    list_of(node, "`one_of` takes a list of values", Way::OneOf)
}

pub(super) fn unordered(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    list_of(node, "`unordered` takes the list of items", Way::Unordered)
}

fn list_of(node: &Node, what: &str, way: Way) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    // A template may give the list.
    if node.as_seq().is_none() && node.as_str().is_none_or(|s| !s.contains("{{")) {
        return Err(super::wrong_type(node, what));
    }
    Ok(Box::new(Equality(Data::new(node)?, way)))
}

impl Predicate for Equality {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let rendered;
        let expected = match self.0.plain() {
            Some(json) => json,
            None => {
                rendered = self.0.render(scope)?;
                &rendered
            }
        };
        let Some(actual) = value else { return Ok(()) };
        match self.1 {
            Way::Equals => diff(expected, actual, Mode::Whole, "", out),
            Way::Differs if equal(expected, actual, Mode::Whole) => {
                out.push(Finding::new(
                    "",
                    format!("anything but {}", show(expected)),
                    show(actual),
                ));
            }
            Way::OneOf => one(expected, actual, out),
            Way::Unordered => permutation(expected, actual, out),
            Way::Differs => {}
        }
        Ok(())
    }

    fn check_bytes(
        &self,
        bytes: &[u8],
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let before = out.len();
        self.check(Some(&Json::from(hex(bytes))), scope, out)?;
        // Some digits are a number to YAML, which no bytes can be.
        if self.0.plain().is_some_and(Json::is_number) {
            for f in &mut out[before..] {
                f.hint = Some("write the hexadecimal digits in quotes".into());
            }
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.roots(to);
    }
}

fn one(expected: &Json, actual: &Json, out: &mut Vec<Finding>) {
    let all = expected.as_array().map_or(&[][..], Vec::as_slice);
    if all.iter().any(|e| equal(e, actual, Mode::Whole)) {
        return;
    }
    let hint = all
        .iter()
        .find_map(|e| crate::check::show::type_hint(e, actual));
    out.push(Finding::new("", format!("one of {}", show(expected)), show(actual)).hint(hint));
}

/// Each expected item takes one item of the value; what is left over on either side is told.
fn permutation(expected: &Json, actual: &Json, out: &mut Vec<Finding>) {
    let (Some(e), Some(a)) = (expected.as_array(), actual.as_array()) else {
        out.push(Finding::new("", "a list", show(actual)));
        return;
    };
    let mut left: Vec<usize> = (0..a.len()).collect();
    for item in e {
        match left.iter().position(|i| equal(item, &a[*i], Mode::Whole)) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => {
                let hint = a
                    .iter()
                    .find_map(|i| crate::check::show::type_hint(item, i));
                let found = Finding::new("", format!("an item {}", show(item)), "no such item");
                out.push(found.hint(hint));
            }
        }
    }
    left.sort_unstable();
    for i in left {
        out.push(Finding::new(format!("[{i}]"), "no such item", show(&a[i])));
    }
}
