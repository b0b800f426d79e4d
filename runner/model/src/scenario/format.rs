//! Formatting a scenario file without changing what it means.
//!
//! The text is read into its layout, keys are put in order where nothing is lost by it, and
//! the layout is written anew. The result is read again and compared before anyone gets it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::{Problem, ProblemKind};
use crate::source::{SourceFile, Span};
use crate::yaml::layout::{Body, Item, Items, Line, Part, Unusual, comments};
use crate::yaml::{Node, Value, layout, parse_all};

/// A formatted file.
#[derive(Debug, Clone)]
pub struct Formatted {
    /// Its text.
    pub text: String,
    /// Mappings whose keys were left in their order, because an alias would lose its anchor.
    pub kept: Vec<Problem>,
}

/// Keys of a scenario, in the order in which they are read best.
const ENVELOPE: [&str; 23] = [
    "scenario",
    "fragment",
    "description",
    "labels",
    "skip",
    "isolation",
    "timeout",
    "requires",
    "needs",
    "lock",
    "x-",
    "data",
    "flags",
    "matrix",
    "params",
    "load",
    "fake",
    "vars",
    "outputs",
    "invariants",
    "setup",
    "steps",
    "finally",
];

/// Keys of a step; the kind, and what is not known here, stands between these two.
const BEFORE_KIND: [&str; 12] = [
    "id",
    "name",
    "if",
    "<<",
    "x-",
    "skip",
    "for_each",
    "repeat",
    "soft",
    "retry",
    "eventually",
    "timeout",
];
/// See [`BEFORE_KIND`].
const AFTER_KIND: [&str; 3] = ["with", "expect", "capture"];

/// Formats a file.
///
/// # Errors
/// The file is not valid YAML, or holds something that cannot be written anew.
pub fn format(file: &Arc<SourceFile>) -> Result<Formatted, Problem> {
    let before = parse_all(file)?;
    let text = file.text.replace("\r\n", "\n");
    let refuse = |u: Unusual| refused(file, &u, &text);
    let mut layout = layout::read(&text).map_err(refuse)?;
    let commented = comments(&layout);
    let mut kept = Vec::new();
    for document in &mut layout.documents {
        envelope(&mut document.root, &mut kept);
        hoist(&mut document.root);
    }
    let formatted = layout::write(&layout);
    let again = SourceFile::new(file.name.clone(), formatted);
    prove(file, &before, &commented, &again)?;
    // Lines end as they did.
    let text = match file.text.contains("\r\n") {
        true => again.text.replace('\n', "\r\n"),
        false => again.text.clone(),
    };
    let kept = kept.into_iter().map(|line| {
        let span = Span::in_line(file, u32::try_from(line).unwrap_or(1), 1, 1);
        Problem::at(
            ProblemKind::Conflict,
            &span,
            "the keys are left in their order: an alias would stand before its anchor",
        )
        .warning()
    });
    Ok(Formatted {
        text,
        kept: kept.collect(),
    })
}

/// Proves that nothing is lost: the same values, the same comments, and nothing left to format.
fn prove(
    file: &Arc<SourceFile>,
    before: &[Node],
    commented: &[String],
    again: &Arc<SourceFile>,
) -> Result<(), Problem> {
    let fail = |what: &str| {
        Problem::at(
            ProblemKind::Unsupported,
            &Span::in_line(file, 1, 1, 0),
            format!("{} is left as it is: {what}", file.name),
        )
        .help("this is a fault of the formatter; please report the file")
    };
    let after = parse_all(again).map_err(|p| fail(&format!("its new text is not valid ({p})")))?;
    let equal = before.len() == after.len()
        && before
            .iter()
            .zip(&after)
            .all(|(a, b)| same(a, b, Role::Scenario));
    if !equal {
        return Err(fail("its new text would mean something else"));
    }
    let layout = layout::read(&again.text).map_err(|u| fail(&u.what))?;
    let (mut old, mut new) = (commented.to_vec(), comments(&layout));
    old.sort();
    new.sort();
    if old != new {
        return Err(fail("a comment would be lost"));
    }
    let mut twice = layout;
    for document in &mut twice.documents {
        envelope(&mut document.root, &mut Vec::new());
        hoist(&mut document.root);
    }
    if layout::write(&twice) != again.text {
        return Err(fail("formatting it twice would change it again"));
    }
    Ok(())
}

fn refused(file: &Arc<SourceFile>, u: &Unusual, text: &str) -> Problem {
    let before = text.get(..u.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(1);
    let span = Span::in_line(file, number(line), number(column), 1);
    Problem::at(
        ProblemKind::Unsupported,
        &span,
        format!(
            "{} is left as it is: {} cannot be formatted",
            file.name, u.what
        ),
    )
    .help("write it in the usual way, or format the file by hand")
}

/// What a value is of, as far as the order of its keys goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Scenario,
    /// A step, or a list of them, or a list of lists.
    Steps,
    Race,
    Parallel,
    Other,
}

impl Role {
    /// The role of a key's value.
    fn of(self, key: &str) -> Self {
        match (self, key) {
            (Role::Scenario, "invariants" | "setup" | "steps" | "finally")
            | (Role::Race, "before" | "branches" | "after")
            | (Role::Parallel, "branches") => Role::Steps,
            (Role::Steps, "race") => Role::Race,
            (Role::Steps, "parallel") => Role::Parallel,
            _ => Role::Other,
        }
    }

    /// Whether the order of its keys is free.
    fn is_free(self) -> bool {
        matches!(self, Role::Scenario | Role::Steps)
    }
}

/// Whether two values mean the same, to the letter.
fn same(a: &Node, b: &Node, role: Role) -> bool {
    if a.tag != b.tag {
        return false;
    }
    match (&a.value, &b.value) {
        (Value::Seq(x), Value::Seq(y)) => {
            let inner = match role {
                // A list directly in `parallel` is its branches.
                Role::Steps | Role::Parallel => Role::Steps,
                _ => Role::Other,
            };
            x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b, inner))
        }
        (Value::Map(x), Value::Map(y)) => {
            let ordered = role.is_free() || x.keys().eq(y.keys());
            let entry = |key: &String, e: &crate::yaml::Entry| {
                y.0.get(key).is_some_and(|f| {
                    e.key_is_string == f.key_is_string && same(&e.node, &f.node, role.of(key))
                })
            };
            ordered && x.len() == y.len() && x.0.iter().all(|(k, e)| entry(k, e))
        }
        // Not a number is not itself; its text is.
        (Value::Float { raw: x, .. }, Value::Float { raw: y, .. }) => x == y,
        (x, y) => x == y,
    }
}

/// Puts the keys of a scenario, and of its steps, in order.
fn envelope(root: &mut Part, kept: &mut Vec<usize>) {
    arrange(root, Role::Scenario, kept);
}

fn arrange(part: &mut Part, role: Role, kept: &mut Vec<usize>) {
    let line = part.line;
    match &mut part.body {
        Body::Seq(items) => {
            let inner = match role {
                Role::Steps | Role::Parallel => Role::Steps,
                _ => Role::Other,
            };
            if inner != Role::Other {
                for item in &mut items.all {
                    arrange(&mut item.value, inner, kept);
                }
            }
        }
        Body::Map(items) => {
            for item in &mut items.all {
                let inner = role.of(item.name());
                if inner != Role::Other {
                    arrange(&mut item.value, inner, kept);
                }
            }
            if role.is_free() && !sort(items, role) {
                kept.push(line);
            }
        }
        _ => {}
    }
}

/// Sorts entries; false when anchors do not allow it.
fn sort(items: &mut Items, role: Role) -> bool {
    let ranks = ranks(&items.all, role);
    if ranks.is_sorted() {
        return true;
    }
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by_key(|i| ranks[*i]);
    let natural: Vec<usize> = (0..ranks.len()).collect();
    if bindings(&items.all, &order) != bindings(&items.all, &natural) {
        return false;
    }
    let header = match role {
        Role::Scenario => header(&mut items.all),
        _ => Vec::new(),
    };
    let mut all: Vec<Option<Item>> = std::mem::take(&mut items.all)
        .into_iter()
        .map(Some)
        .collect();
    items.all = order.iter().filter_map(|i| all[*i].take()).collect();
    if let Some(first) = items.all.first_mut().filter(|_| !header.is_empty()) {
        match first.lead.first_mut() {
            Some(line) => line.blank = true,
            None => first.blank = true,
        }
        first.lead.splice(0..0, header);
    }
    true
}

/// Comments at the top of a file that a blank line parts from the first key: they are about
/// the file and stay where they are.
fn header(items: &mut [Item]) -> Vec<Line> {
    let Some(first) = items.first_mut() else {
        return Vec::new();
    };
    if first.blank {
        first.blank = false;
        return std::mem::take(&mut first.lead);
    }
    match first.lead.iter().skip(1).rposition(|l| l.blank) {
        Some(i) => first.lead.drain(..=i).collect(),
        None => Vec::new(),
    }
}

/// The place of each entry among the others. What is not known stays behind what it follows.
fn ranks(items: &[Item], role: Role) -> Vec<usize> {
    let known = |table: &[&str], name: &str| {
        let name = if name.starts_with("x-") { "x-" } else { name };
        table.iter().position(|k| *k == name)
    };
    let mut last = 0;
    items
        .iter()
        .map(|item| {
            let name = item.name();
            last = match role {
                Role::Scenario => known(&ENVELOPE, name).unwrap_or(last),
                _ => match (known(&BEFORE_KIND, name), known(&AFTER_KIND, name)) {
                    (Some(i), _) => i,
                    (None, Some(i)) => BEFORE_KIND.len() + 1 + i,
                    (None, None) => BEFORE_KIND.len(),
                },
            };
            last
        })
        .collect()
}

/// Which anchor each alias means, and which anchor each name means in the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bindings {
    aliases: HashMap<usize, Option<usize>>,
    anchors: HashMap<String, usize>,
}

fn bindings(items: &[Item], order: &[usize]) -> Bindings {
    let mut b = Bindings::default();
    for i in order {
        bind_item(&items[*i], &mut b);
    }
    b
}

fn bind_item(item: &Item, b: &mut Bindings) {
    if let Some(key) = &item.key {
        bind(key, b);
    }
    bind(&item.value, b);
}

fn bind(part: &Part, b: &mut Bindings) {
    for word in part.props.split(' ') {
        if let Some(name) = word.strip_prefix('&') {
            b.anchors.insert(name.to_owned(), part.at);
        }
    }
    match &part.body {
        Body::Alias(name) => {
            b.aliases.insert(part.at, b.anchors.get(name).copied());
        }
        Body::Seq(items) | Body::Map(items) => items.all.iter().for_each(|i| bind_item(i, b)),
        Body::Pair(item) => bind_item(item, b),
        _ => {}
    }
}

/// Comments before the first entry of a list item cannot stand behind `- `: they are put
/// before the item.
fn hoist(part: &mut Part) {
    match &mut part.body {
        Body::Seq(items) => {
            for item in &mut items.all {
                hoist(&mut item.value);
                if !items.flow {
                    lift(item);
                }
            }
        }
        Body::Map(items) => items.all.iter_mut().for_each(|i| hoist(&mut i.value)),
        _ => {}
    }
}

fn lift(item: &mut Item) {
    if !item.value.props.is_empty() {
        return;
    }
    let (Body::Map(inner) | Body::Seq(inner)) = &mut item.value.body else {
        return;
    };
    if inner.flow {
        return;
    }
    let Some(first) = inner.all.first_mut() else {
        return;
    };
    let mut lead = std::mem::take(&mut first.lead);
    let blank = std::mem::take(&mut first.blank);
    let Some(line) = lead.first_mut() else {
        return;
    };
    line.blank = item.blank;
    item.blank = blank;
    item.lead.append(&mut lead);
}
