//! `snapshot`: a result is as a file says that people have looked at.
//!
//! Here it is decided what a snapshot holds and whether it is the same. Where files are, and
//! whether they may be written, is the runner's to say: see [`SnapshotStore`].

mod mask;

#[cfg(test)]
mod tests;

use serde_json::Value as Json;

pub(crate) use self::mask::FORM_NAMES;
use self::mask::Mask;
use super::diff::{Mode, diff};
use super::filter::Filters;
use super::predicate::Finding;
use super::show::cut;
use super::source::{Source, is_own_source, is_source};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::{Mismatch, Place};
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Mapping, Node};

/// The files of a scenario's snapshots.
pub trait SnapshotStore: Send + Sync {
    /// The text of a snapshot; `None` when there is none. `file` is a plain file name.
    ///
    /// # Errors
    /// Why the file cannot be read.
    fn read(&self, file: &str) -> Result<Option<String>, String>;

    /// Writes a snapshot. Only asked when [`SnapshotStore::updates`].
    ///
    /// # Errors
    /// Why the file cannot be written.
    fn write(&self, file: &str, text: &str) -> Result<(), String>;

    /// Whether snapshots are written where they are missing or differ.
    fn updates(&self) -> bool;

    /// What messages call a snapshot: its path from the project.
    fn name(&self, file: &str) -> String;
}

/// A compiled snapshot expectation.
#[derive(Debug)]
pub struct Snapshot {
    /// The name, or that of the step.
    name: Option<String>,
    source: Option<Source>,
    filters: Filters,
    masks: Vec<Mask>,
    span: Span,
}

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// JSON, in a file `.json`.
    Json(Json),
    /// Text, in a file `.txt`.
    Text(String),
}

/// What is to be done about a snapshot.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// It is the same.
    Same,
    /// This text is to be written.
    Write(String),
    /// There is no snapshot, and none may be written.
    Missing,
    /// It differs so.
    Differs(Vec<Finding>),
}

/// Decides about a snapshot: pure, so that it can be tested without files.
pub fn decide(now: &Held, before: Option<&str>, masks: &Masks<'_>, may_write: bool) -> Decision {
    let Some(before) = before else {
        return if may_write {
            Decision::Write(text_of(now))
        } else {
            Decision::Missing
        };
    };
    let findings = compare(now, before, masks);
    match (findings.is_empty(), may_write) {
        (true, _) => Decision::Same,
        (false, true) => Decision::Write(text_of(now)),
        (false, false) => Decision::Differs(findings),
    }
}

/// Masks that also hold for what was written before they were.
#[derive(Debug)]
pub struct Masks<'m>(&'m [Mask]);

fn compare(now: &Held, before: &str, masks: &Masks<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    match now {
        Held::Json(json) => match serde_json::from_str::<Json>(before) {
            Ok(mut expected) => {
                masks.0.iter().for_each(|m| m.hide(&mut expected));
                diff(&expected, json, Mode::Whole, "", &mut out);
            }
            Err(e) => out.push(Finding::new(
                "",
                "a snapshot of JSON",
                format!("the file is not JSON: {e}"),
            )),
        },
        Held::Text(text) => {
            let expected = masks
                .0
                .iter()
                .fold(before.to_owned(), |t, m| m.hide_in_text(&t));
            lines(&expected, text, &mut out);
        }
    }
    out
}

/// Lines that are told at most.
const MOST: usize = 10;

/// The lines in which two texts differ.
fn lines(expected: &str, actual: &str, out: &mut Vec<Finding>) {
    if expected == actual {
        return;
    }
    let (e, a): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let ops = similar::capture_diff_slices(similar::Algorithm::Myers, &e, &a);
    let text = |lines: &[&str]| match lines {
        [] => "nothing".to_owned(),
        some => cut(&Json::from(some.join("\n")).to_string()),
    };
    for op in ops
        .iter()
        .filter(|o| o.tag() != similar::DiffTag::Equal)
        .take(MOST)
    {
        let (old, new) = (op.old_range(), op.new_range());
        out.push(Finding::new(
            format!(" line {}", old.start + 1),
            text(&e[old]),
            text(&a[new]),
        ));
    }
    if out.is_empty() {
        out.push(Finding::new(
            "",
            "the same end of the last line",
            "it differs in line breaks only",
        ));
    }
}

/// The text of a snapshot's file: keys in order, so that a change shows as little as it is.
fn text_of(held: &Held) -> String {
    match held {
        Held::Text(t) => t.clone(),
        Held::Json(json) => {
            let mut text =
                serde_json::to_string_pretty(&in_order(json)).unwrap_or_else(|_| json.to_string());
            text.push('\n');
            text
        }
    }
}

fn in_order(json: &Json) -> Json {
    match json {
        Json::Object(o) => {
            let mut entries: Vec<(&String, &Json)> = o.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            entries
                .into_iter()
                .map(|(k, v)| (k.clone(), in_order(v)))
                .collect()
        }
        Json::Array(items) => items.iter().map(in_order).collect(),
        other => other.clone(),
    }
}

impl Snapshot {
    /// Reads `{ snapshot: name, mask: [uuid, $.id] }`, with a source where not all of the
    /// result is meant.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(map: &Mapping, span: &Span, fields: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut read = Self {
            name: None,
            source: None,
            filters: Filters::default(),
            masks: Vec::new(),
            span: span.clone(),
        };
        let mut problems = Vec::new();
        for (key, entry) in &map.0 {
            match key.as_str() {
                "snapshot" => match name(&entry.node) {
                    Ok(n) => read.name = n,
                    Err(p) => problems.push(p),
                },
                "mask" => match Mask::read_all(&entry.node) {
                    Ok(m) => read.masks = m,
                    Err(p) => problems.extend(p),
                },
                "filters" => match Filters::read(&entry.node) {
                    Ok(f) => read.filters = f,
                    Err(p) => problems.extend(p),
                },
                k if is_source(k, fields) => {
                    if read.source.is_some() {
                        problems.push(Problem::at(
                            ProblemKind::Conflict,
                            &entry.key,
                            "a snapshot is of one thing",
                        ));
                    }
                    let plain = !is_own_source(k, fields) || k == "bytes";
                    if plain && !entry.node.is_null() && entry.node.as_bool() != Some(true) {
                        problems.push(
                            Problem::at(
                                ProblemKind::Conflict,
                                &entry.node.span,
                                "the snapshot says what is expected",
                            )
                            .help(format!("write `{k}: true`, or an expectation of its own")),
                        );
                    }
                    match Source::read(k, &entry.node, fields) {
                        Ok(s) => read.source = Some(s),
                        Err(p) => problems.push(p),
                    }
                }
                k => {
                    let known = || {
                        ["snapshot", "mask", "filters"]
                            .into_iter()
                            .chain(super::source::all_sources(fields))
                    };
                    let p = Problem::at(
                        ProblemKind::UnknownKey,
                        &entry.key,
                        format!("unknown key `{k}` beside `snapshot`"),
                    );
                    problems.push(match nearest(k, known()) {
                        Some(n) => p.help(format!("did you mean `{n}`?")),
                        None => p.help(format!(
                            "known here: {}",
                            known().collect::<Vec<_>>().join(", ")
                        )),
                    });
                }
            }
        }
        if problems.is_empty() {
            Ok(read)
        } else {
            Err(problems)
        }
    }

    /// Compares the result with its snapshot, or writes it where that is asked for and
    /// `may_write`.
    ///
    /// # Errors
    /// A result of which no snapshot can be kept.
    pub fn check(
        &self,
        document: &Document,
        scope: &Scope,
        may_write: bool,
    ) -> Result<Vec<Mismatch>, Problem> {
        let name = match self.name.as_deref().or_else(|| scope.standing_at()) {
            Some(n) => slug(n),
            None => {
                return Err(Problem::at(
                    ProblemKind::Missing,
                    &self.span,
                    "this snapshot has no name, and its step has no id",
                )
                .help("write `snapshot: a-name`, or give the step an `id`"));
            }
        };
        let Some(store) = scope.hooks().snapshots.as_deref() else {
            return Err(Problem::at(
                ProblemKind::Unsupported,
                &self.span,
                "a scenario that is in no file has no snapshots",
            ));
        };
        let held = match self.held(document, scope) {
            Ok(h) => h,
            Err(m) => return Ok(vec![m]),
        };
        let file = match held {
            Held::Json(_) => format!("{name}.json"),
            Held::Text(_) => format!("{name}.txt"),
        };
        let shown = store.name(&file);
        let cannot = |what: &str, why: String| {
            Problem::at(
                ProblemKind::MissingFile,
                &self.span,
                format!("cannot {what} the snapshot {shown}: {why}"),
            )
        };
        let before = store.read(&file).map_err(|why| cannot("read", why))?;
        let write = may_write && store.updates();
        Ok(match decide(&held, before.as_deref(), &Masks(&self.masks), write) {
            Decision::Same => Vec::new(),
            Decision::Write(text) => {
                store.write(&file, &text).map_err(|why| cannot("write", why))?;
                Vec::new()
            }
            Decision::Missing => vec![self.mismatch(
                Finding::new("", format!("a snapshot in {shown}"), "there is none")
                    .hint(Some("write it with `prodmirror run --update-snapshots`, look at it, and commit it".into())),
                "",
            )],
            Decision::Differs(findings) => findings
                .into_iter()
                .map(|mut f| {
                    let how = "if this is right now, run with --update-snapshots";
                    f.hint = Some(match f.hint {
                        Some(h) => format!("{h}; {how}"),
                        None => how.into(),
                    });
                    self.mismatch(f, &shown)
                })
                .collect(),
        })
    }

    fn mismatch(&self, f: Finding, shown: &str) -> Mismatch {
        let text = self.span.text();
        Mismatch {
            expectation: text.split_whitespace().collect::<Vec<_>>().join(" "),
            kind: "snapshot".into(),
            place: self.span.is_real().then(|| Place::from(&self.span)),
            expected: f.expected,
            actual: f.actual,
            path: Some(format!("{shown}{}", f.path)).filter(|p| !p.is_empty()),
            hint: f.hint,
        }
    }

    /// What is compared, with what is masked taken out.
    fn held(&self, document: &Document, scope: &Scope) -> Result<Held, Mismatch> {
        let value = match &self.source {
            None => whole(document),
            Some(source) => source.with(document, scope, |found| {
                match self.filters.apply(found, scope) {
                    Ok(f) => match f.value {
                        Some(v) => Ok(v.into_json()),
                        None => Err(Finding::new("", "a value", "nothing is there")
                            .hint(f.lost.or_else(|| source.why_nothing(document)))),
                    },
                    Err(r) => Err(Finding::new("", r.expected, r.actual)),
                }
                .map_err(|f| self.mismatch(f, &source.label()))
            })??,
        };
        Ok(match value {
            Json::String(text) => {
                Held::Text(self.masks.iter().fold(text, |t, m| m.hide_in_text(&t)))
            }
            mut json => {
                self.masks.iter().for_each(|m| m.hide(&mut json));
                Held::Json(json)
            }
        })
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        if let Some(s) = &self.source {
            s.roots(to);
        }
        self.filters.roots(to);
    }
}

/// All of a result that does not differ from run to run by itself: the JSON of its body, or
/// its body, or all fields but times.
fn whole(document: &Document) -> Json {
    match (document.get("json"), document.get("body")) {
        (Some(json), _) if !json.is_null() => json.clone(),
        (_, Some(body @ Json::String(_))) => body.clone(),
        _ => Json::Object(
            document
                .fields
                .iter()
                .filter(|(k, _)| k.as_str() != "duration")
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        ),
    }
}

fn name(node: &Node) -> Result<Option<String>, Problem> {
    if node.as_bool() == Some(true) {
        return Ok(None);
    }
    let text = node.as_str().ok_or_else(|| {
        Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!(
                "`snapshot` takes a name, or true for the step's id, found {}",
                node.kind()
            ),
        )
    })?;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    if text.trim().is_empty() || text.starts_with('.') || !text.chars().all(fits) {
        return Err(Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            format!("`{text}` cannot be the name of a snapshot"),
        )
        .help("a name has letters, digits, `-`, `_`, `.` and blanks, and no template"));
    }
    Ok(Some(text.to_owned()))
}

/// A name as a part of a path: `A customer buys` becomes `a-customer-buys`.
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || matches!(c, '_' | '.') {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
        // Names of files have a limit in bytes.
        if out.len() >= 100 {
            break;
        }
    }
    let trimmed = out.trim_matches(['-', '.']);
    if trimmed.is_empty() {
        "snapshot".into()
    } else {
        trimmed.to_owned()
    }
}
