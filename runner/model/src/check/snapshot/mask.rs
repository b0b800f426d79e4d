//! What a snapshot leaves out because it differs from run to run.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use crate::check::path::JsonPath;
use crate::check::predicate::Pattern;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::yaml::Node;

/// One thing that is left out.
#[derive(Debug)]
pub(super) enum Mask {
    /// What a JSONPath finds.
    Path(JsonPath),
    /// All texts of a form, wherever they stand.
    Form(&'static Form),
    /// All that a regular expression finds in texts.
    Matches(Pattern),
}

/// A form of texts.
#[derive(Debug)]
pub(super) struct Form {
    name: &'static str,
    pattern: LazyLock<Regex>,
    instead: &'static str,
}

/// The names of all forms.
pub(crate) const FORM_NAMES: [&str; 2] = ["uuid", "timestamp"];

/// All forms.
static FORMS: [Form; 2] = [
    Form {
        name: FORM_NAMES[0],
        pattern: LazyLock::new(|| constant(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")),
        instead: "<uuid>",
    },
    Form {
        name: FORM_NAMES[1],
        pattern: LazyLock::new(|| {
            constant(
                r"\b\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|[+-]\d{4})",
            )
        }),
        instead: "<timestamp>",
    },
];

#[expect(clippy::expect_used, reason = "constant patterns, all of them tested")]
fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).expect("valid")
}

impl Mask {
    /// Reads `mask`: one or a list.
    pub fn read_all(node: &Node) -> Result<Vec<Self>, Vec<Problem>> {
        let nodes: Vec<&Node> = match node.as_seq() {
            Some(items) => items.iter().collect(),
            None => vec![node],
        };
        let mut masks = Vec::new();
        let mut problems = Vec::new();
        for n in nodes {
            match Self::read(n) {
                Ok(m) => masks.push(m),
                Err(p) => problems.push(p),
            }
        }
        if problems.is_empty() {
            Ok(masks)
        } else {
            Err(problems)
        }
    }

    fn read(node: &Node) -> Result<Self, Problem> {
        if let Some(m) = node.as_map() {
            return match (m.len(), m.get("matches")) {
                (1, Some(pattern)) => Pattern::read(pattern).map(Mask::Matches),
                _ => Err(unknown(node, "a mapping")),
            };
        }
        let Some(text) = node.as_str() else {
            return Err(unknown(node, node.kind()));
        };
        if text.starts_with('$') {
            return JsonPath::new(text, &node.span).map(Mask::Path);
        }
        FORMS
            .iter()
            .find(|f| f.name == text)
            .map(Mask::Form)
            .ok_or_else(|| unknown(node, &format!("`{text}`")))
    }

    /// Takes it out of JSON.
    pub fn hide(&self, json: &mut Json) {
        match self {
            Mask::Path(path) => {
                for place in path.places(json) {
                    if let Some(found) = json.pointer_mut(&place) {
                        *found = Json::from("<masked>");
                    }
                }
            }
            _ => self.hide_in_texts(json),
        }
    }

    fn hide_in_texts(&self, json: &mut Json) {
        match json {
            Json::String(s) => *s = self.hide_in_text(s),
            Json::Array(items) => items.iter_mut().for_each(|i| self.hide_in_texts(i)),
            Json::Object(o) => o.values_mut().for_each(|v| self.hide_in_texts(v)),
            _ => {}
        }
    }

    /// Takes it out of a text; a JSONPath finds nothing there.
    pub fn hide_in_text(&self, text: &str) -> String {
        match self {
            Mask::Path(_) => text.to_owned(),
            Mask::Form(f) => f.pattern.replace_all(text, f.instead).into_owned(),
            Mask::Matches(p) => p
                .regex()
                .replace_all(text, regex::NoExpand("<masked>"))
                .into_owned(),
        }
    }
}

fn unknown(node: &Node, found: &str) -> Problem {
    let p = Problem::at(
        ProblemKind::InvalidValue,
        &node.span,
        format!("{found} is no mask"),
    );
    let near = node
        .as_str()
        .and_then(|s| nearest(s, FORMS.iter().map(|f| f.name)));
    match near {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help("a mask is a JSONPath such as $.id, uuid, timestamp, or { matches: 'a regular expression' }"),
    }
}
