//! `include` and `use`: steps that stand in other files.

use super::read::{Reader, start};
use super::types::{Body, Scenario, Use};
use crate::check::Expr;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::template::Data;
use crate::yaml::{Mapping, Node, Spanned};

/// Steps of a scenario at most, those of fragments counted wherever they are used.
pub(super) const MOST_STEPS: usize = 20_000;

impl Reader<'_> {
    /// `include: FILE`: its steps, here.
    pub(super) fn include(&mut self, node: &Node, path: &str) -> Option<Body> {
        let (name, document) = self.other(node, "include")?;
        let steps = match document.1.as_map() {
            Some(map) => map.get("steps").cloned(),
            None => Some(document.1.clone()),
        };
        let Some(steps) = steps.filter(|s| s.as_seq().is_some()) else {
            let text = format!("{} holds no steps", name.value);
            self.problem(
                Problem::at(ProblemKind::InvalidValue, &node.span, text)
                    .help("a file to include is a list of steps, or has `steps:`"),
            );
            return None;
        };
        let outer = std::mem::replace(&mut self.file, document.0);
        self.stack.push((self.file.name.clone(), String::new()));
        let steps = self.inner_steps(Some(&steps), &format!("{path}.include"));
        self.stack.pop();
        self.file = outer;
        Some(Body::Group {
            key: "include",
            steps,
        })
    }

    /// `use: FILE` with `with`: a fragment that has names of its own.
    pub(super) fn uses(&mut self, map: &Mapping, node: &Node, path: &str) -> Option<Body> {
        let (name, document) = self.other(node, "use")?;
        let mut inner = Reader::new(&document.0, self.kinds, self.files);
        inner.prefix = format!("{path}.use.");
        inner.stack = self.stack.clone();
        inner.stack.push((document.0.name.clone(), document.2));
        inner.steps_read = self.steps_read;
        inner.turns = self.turns;
        let fragment = inner.scenario(&document.1, (None, &[]));
        if let Some(f) = &fragment {
            super::names::check(f, self.kinds, &mut inner.problems);
        }
        self.steps_read = inner.steps_read;
        self.problems.append(&mut inner.problems);
        self.sources.append(&mut inner.sources);
        let fragment = fragment?;
        let with = self.with(map, &fragment, &name);
        Some(Body::Use(Box::new(Use {
            name,
            fragment,
            with,
        })))
    }

    fn with(
        &mut self,
        map: &Mapping,
        fragment: &Scenario,
        name: &Spanned<String>,
    ) -> Vec<(String, Data)> {
        let known: Vec<&str> = fragment
            .params
            .iter()
            .map(|p| p.value.as_str())
            .chain(fragment.vars.keys().map(String::as_str))
            .collect();
        let mut with = Vec::new();
        for (key, entry) in self.entries(map, "with") {
            if !known.contains(&key.as_str()) {
                let text = format!("{} takes no `{key}`", name.value);
                let p = Problem::at(ProblemKind::UnknownReference, &entry.key, text);
                self.problem(match nearest(&key, known.iter().copied()) {
                    Some(n) => p.help(format!("did you mean `{n}`?")),
                    None if known.is_empty() => p.help("it has neither `params` nor `vars`"),
                    None => p.help(format!("it takes: {}", known.join(", "))),
                });
                continue;
            }
            match Data::new(&entry.node) {
                Ok(d) => with.push((key, d)),
                Err(p) => self.problems.extend(p),
            }
        }
        let given = |p: &str| {
            map.get("with")
                .and_then(Node::as_map)
                .is_some_and(|m| m.contains_key(p))
        };
        let missing: Vec<&str> = fragment
            .params
            .iter()
            .map(|p| p.value.as_str())
            .filter(|p| !given(p))
            .collect();
        if let Some(first) = missing.first() {
            let text = format!("{} needs `{}`", name.value, missing.join("`, `"));
            self.problem(
                Problem::at(ProblemKind::Missing, &name.span, text)
                    .help(format!("add `with: {{ {first}: … }}`")),
            );
        }
        with
    }

    /// The document that `include` or `use` names: `FILE`, `FILE#NAME` or `#NAME`; with the
    /// name of its scenario.
    #[allow(clippy::type_complexity)]
    fn other(
        &mut self,
        node: &Node,
        key: &str,
    ) -> Option<(
        Spanned<String>,
        (std::sync::Arc<crate::source::SourceFile>, Node, String),
    )> {
        let Some(text) = node.as_str().filter(|t| !t.trim().is_empty()) else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{key}` names a file, found {}", node.kind()),
                )
                .help(format!(
                    "write `{key}: fragments/login.yaml`, relative to this file"
                )),
            );
            return None;
        };
        let (path, wanted) = match text.split_once('#') {
            Some((p, w)) => (p, Some(w.trim())),
            None => (text, None),
        };
        let read = if path.is_empty() {
            crate::yaml::parse_all(&self.file).map(|d| (self.file.clone(), std::sync::Arc::new(d)))
        } else {
            self.files.documents(&self.file, path)
        };
        let (file, documents) = match read {
            Ok(read) => read,
            Err(p) => {
                self.problem(p.or_at(&node.span));
                return None;
            }
        };
        if !path.is_empty() {
            self.sources.push(file.clone());
        }
        let names: Vec<String> = documents.iter().filter_map(name_of).collect();
        let found = match wanted {
            None => documents.first().filter(|d| !d.is_null()),
            Some(w) => documents.iter().find(|d| name_of(d).as_deref() == Some(w)),
        };
        let Some(document) = found else {
            let text = match wanted {
                Some(w) => format!("{} has no `{w}`", file.name),
                None => format!("{} is empty", file.name),
            };
            let p = Problem::at(ProblemKind::UnknownReference, &node.span, text);
            let near = nearest(wanted.unwrap_or_default(), names.iter().map(String::as_str));
            self.problem(match near {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None => p,
            });
            return None;
        };
        let me = (file.name.clone(), name_of(document).unwrap_or_default());
        let same = |a: &(String, String)| {
            a.0 == me.0 && (key == "include" || a.1 == me.1 || a.1.is_empty())
        };
        if self.stack.iter().any(same) {
            let mut way: Vec<&str> = self.stack.iter().map(|(f, _)| f.as_str()).collect();
            way.push(&me.0);
            let text = format!("{} comes back to itself: {}", me.0, way.join(" → "));
            self.problem(
                Problem::at(ProblemKind::InvalidValue, &node.span, text)
                    .help("a fragment cannot use itself; `for_each` and `repeat` do things again"),
            );
            return None;
        }
        let name = Spanned::new(text.to_owned(), node.span.clone());
        Some((name, (file, document.clone(), me.1)))
    }

    /// `outputs` of a fragment.
    pub(super) fn outputs(&mut self, map: &Mapping) -> Vec<(String, Expr)> {
        let mut outputs = Vec::new();
        for (name, entry) in self.entries(map, "outputs") {
            let text = entry.node.scalar_text().unwrap_or_default();
            match Expr::new(&text, &entry.node.span) {
                Ok(e) => outputs.push((name, e)),
                Err(p) => self.problem(p),
            }
        }
        outputs
    }

    /// Counts a step; false when there are too many.
    pub(super) fn count_step(&mut self, node: &Node) -> bool {
        self.steps_read += 1;
        if self.steps_read == MOST_STEPS + 1 {
            let text = format!(
                "with all that it includes and uses, the scenario has more than {MOST_STEPS} steps"
            );
            self.problem(
                Problem::at(ProblemKind::TooLarge, &start(node), text)
                    .help("use `for_each` for what is the same but for its values"),
            );
        }
        self.steps_read <= MOST_STEPS
    }
}

/// The name of a scenario or fragment.
fn name_of(node: &Node) -> Option<String> {
    let map = node.as_map()?;
    map.get("scenario")
        .or_else(|| map.get("fragment"))
        .and_then(Node::scalar_text)
}
