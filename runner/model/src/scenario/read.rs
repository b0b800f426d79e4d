//! The envelope of a scenario file.

use std::sync::Arc;

use indexmap::IndexMap;

use super::files::Files;
use super::matrix::{Combination, title};
use super::names;
use super::types::{Isolation, KindInfo, Requires, Scenario, Section, Step};
use crate::check::Expectation;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::flags::{Choice, Choices, title as flag_title};
use crate::snapshot::DataNeed;
use crate::source::{SourceFile, Span};
use crate::template::{Data, is_reserved};
use crate::yaml::{Entry, Mapping, Node, Spanned, Value, parse_all};

/// What was read of a file.
#[derive(Debug, Default)]
pub struct Reading {
    /// Its scenarios, as far as they could be read.
    pub scenarios: Vec<Scenario>,
    /// All that is wrong or doubtful.
    pub problems: Vec<Problem>,
}

/// Keys of a scenario.
const KEYS: [&str; 23] = [
    "scenario",
    "fragment",
    "description",
    "labels",
    "data",
    "matrix",
    "flags",
    "params",
    "load",
    "fake",
    "vars",
    "invariants",
    "setup",
    "steps",
    "finally",
    "timeout",
    "isolation",
    "requires",
    "needs",
    "lock",
    "skip",
    "outputs",
    "x-",
];

/// Reads a file: one scenario, or several as YAML documents.
pub fn read(file: &Arc<SourceFile>, kinds: &[KindInfo]) -> Reading {
    read_with(file, kinds, &mut Files::default())
}

/// As [`read`], with the files that other scenarios named already.
pub fn read_with(file: &Arc<SourceFile>, kinds: &[KindInfo], files: &mut Files) -> Reading {
    let mut reading = Reading::default();
    let documents = match parse_all(file) {
        Ok(d) => d,
        Err(p) => {
            reading.problems.push(bare_in_flow(misplaced_template(p)));
            return reading;
        }
    };
    let mut seen: IndexMap<String, Span> = IndexMap::new();
    for (i, node) in documents.iter().enumerate() {
        // A `---` at the end starts an empty document.
        if node.is_null() && documents.len() > 1 && i > 0 {
            continue;
        }
        let mut reader = Reader::new(file, kinds, files);
        let combinations = match node.get("matrix") {
            None => Vec::new(),
            Some(m) => {
                let combinations = reader.matrix(m);
                if combinations.is_empty() {
                    // What is wrong with it was told; the steps are read all the same.
                    reader.broken_matrix = true;
                }
                combinations
            }
        };
        let flags = reader.flag_combinations(node, combinations.len());
        let cases = cases(&combinations, &flags);
        if let Some(s) = reader.scenario(node, cases[0]) {
            match seen.get(&s.base_name) {
                Some(first) => reader.problems.push(
                    Problem::at(
                        ProblemKind::DuplicateKey,
                        &s.name.span,
                        format!("two scenarios of this file are named `{}`", s.base_name),
                    )
                    .related(first, "the first is here")
                    .help(
                        "a name finds a scenario in reports and with `--filter`: give each its own",
                    ),
                ),
                None => {
                    seen.insert(s.base_name.clone(), s.name.span.clone());
                }
            }
            if !reader.broken_matrix {
                names::check(&s, kinds, &mut reader.problems);
            }
            reading.scenarios.push(s);
        }
        reading.problems.append(&mut reader.problems);
        // The same steps with other values; what is wrong with them has been told.
        for case in cases.iter().skip(1) {
            let mut reader = Reader::new(file, kinds, files);
            reading.scenarios.extend(reader.scenario(node, *case));
        }
    }
    if documents.is_empty() {
        let span = Span::in_line(file, 1, 1, 0);
        reading.problems.push(
            Problem::at(
                ProblemKind::Missing,
                &span,
                format!("{} holds no scenario", file.name),
            )
            .help("start with `scenario:` and its name, then `steps:`"),
        );
    }
    reading
}

/// What one case of a scenario has of its matrix and of its flags.
pub(super) type CaseOf<'c> = (Option<&'c Combination>, &'c [Choice]);

/// Every combination of the matrix with every one of the flags; at least one case.
fn cases<'c>(matrix: &'c [Combination], flags: &'c [Vec<Choice>]) -> Vec<CaseOf<'c>> {
    let mut rows: Vec<Option<&Combination>> = matrix.iter().map(Some).collect();
    if rows.is_empty() {
        rows.push(None);
    }
    let each = |row| flags.iter().map(move |f| (row, f.as_slice()));
    rows.into_iter().flat_map(each).collect()
}

/// Reads one document.
pub(super) struct Reader<'k> {
    pub(super) file: Arc<SourceFile>,
    pub(super) kinds: &'k [KindInfo],
    pub(super) files: &'k mut Files,
    pub(super) problems: Vec<Problem>,
    /// Ids so far, with their place, their position, and the fields of their results.
    pub(super) ids: IndexMap<String, Id>,
    /// What stands before the positions of its steps: those of a fragment have the position
    /// of the step that uses it.
    pub(super) prefix: String,
    /// Files and scenarios that are being read, the outermost first.
    pub(super) stack: Vec<(String, String)>,
    /// All files that were read.
    pub(super) sources: Vec<Arc<SourceFile>>,
    /// Steps so far.
    pub(super) steps_read: usize,
    /// Turns of the loops around the present step.
    pub(super) turns: u64,
    broken_matrix: bool,
}

/// A step that has an id.
#[derive(Debug, Clone)]
pub(super) struct Id {
    pub span: Span,
    pub path: String,
    pub fields: Vec<&'static str>,
}

impl<'k> Reader<'k> {
    pub(super) fn new(file: &Arc<SourceFile>, kinds: &'k [KindInfo], files: &'k mut Files) -> Self {
        Self {
            file: file.clone(),
            kinds,
            files,
            problems: Vec::new(),
            ids: IndexMap::new(),
            prefix: String::new(),
            stack: Vec::new(),
            sources: vec![file.clone()],
            steps_read: 0,
            turns: 1,
            broken_matrix: false,
        }
    }

    pub(super) fn problem(&mut self, p: Problem) {
        self.problems.push(p);
    }

    pub(super) fn scenario(
        &mut self,
        node: &Node,
        (combination, flags): CaseOf<'_>,
    ) -> Option<Scenario> {
        let Some(map) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("a scenario is a mapping, found {}", node.kind()),
                )
                .help("start with `scenario:` and its name, then `steps:`"),
            );
            return None;
        };
        self.unknown_keys(map);
        let is_fragment = map.contains_key("fragment");
        let name = self.name(map, node)?;
        if self.stack.is_empty() {
            let me = (self.file.name.clone(), name.value.clone());
            self.stack.push(me);
        }
        if is_fragment {
            self.not_in_fragments(map);
        }
        let params = self.params(map.get("params"));
        if let (Some(first), false) = (params.first(), is_fragment) {
            let text = "a scenario that is run by itself has no `params`";
            self.problem(
                Problem::at(ProblemKind::Conflict, &first.span, text)
                    .help("start the file with `fragment:` in place of `scenario:`, or give `vars` with values"),
            );
        }
        let load = self.named(map, "load", Self::load);
        let fake = self.named(map, "fake", Self::fake);
        let vars = self.vars(map);
        let data = self.data(map);
        // Read in the order in which they run, so that ids are known to later steps.
        let setup = self.section(map, Section::Setup);
        let invariants = self.section(map, Section::Invariants);
        let steps = self.section(map, Section::Steps);
        let finally = self.section(map, Section::Finally);
        self.invariants_expect(&invariants);
        let mistyped = |k: &str| nearest(k, KEYS[..22].iter().copied()) == Some("steps");
        if !map.contains_key("steps") && !map.keys().any(mistyped) {
            self.problem(
                Problem::at(
                    ProblemKind::Missing,
                    &start(node),
                    "the scenario has no `steps`",
                )
                .help("add `steps:` with at least one step"),
            );
        }
        let base_name = name.value.clone();
        let name = match combination {
            Some(c) => Spanned::new(format!("{base_name} [{}]", title(c)), name.span),
            None => name,
        };
        let name = match flags {
            [] => name,
            flags => Spanned::new(format!("{} [{}]", name.value, flag_title(flags)), name.span),
        };
        let mut sources = std::mem::take(&mut self.sources);
        let mut names = std::collections::HashSet::new();
        sources.retain(|f| names.insert(f.name.clone()));
        self.sources.clone_from(&sources);
        Some(Scenario {
            file: self.file.clone(),
            sources,
            span: node.span.clone(),
            name,
            base_name,
            is_fragment,
            params,
            outputs: self.outputs(map),
            matrix: combination.cloned().unwrap_or_default(),
            flags: flags.to_vec(),
            // A fragment is read once for all that use it: it is given what it needs.
            flag_values: match &self.files.flags {
                _ if is_fragment => serde_json::Map::new(),
                Some(choices) => choices.values(flags),
                None => Choices::default().values(flags),
            },
            load,
            fake,
            needs: self.texts(map.get("needs"), "needs"),
            locks: self
                .texts(map.get("lock"), "lock")
                .into_iter()
                .map(|s| s.value)
                .collect(),
            skip: self.skip(map.get("skip")),
            description: map.get("description").and_then(Node::scalar_text),
            labels: self
                .texts(map.get("labels"), "labels")
                .into_iter()
                .map(|s| s.value)
                .collect(),
            data,
            vars,
            invariants,
            setup,
            steps,
            finally,
            timeout: self.duration(map.get("timeout")),
            isolation: self.isolation(map.get("isolation")),
            requires: self.requires(map.get("requires")),
        })
    }

    fn unknown_keys(&mut self, map: &Mapping) {
        for (key, entry) in &map.0 {
            if KEYS.contains(&key.as_str()) && key != "x-" || key.starts_with("x-") {
                continue;
            }
            self.problems
                .push(self.unknown_key(key, &entry.key, "a scenario", &KEYS[..22]));
        }
    }

    /// An unknown key, with what is meant.
    pub(super) fn unknown_key(&self, key: &str, span: &Span, of: &str, known: &[&str]) -> Problem {
        let p = Problem::at(
            ProblemKind::UnknownKey,
            span,
            format!("unknown key `{key}` in {of}"),
        );
        match nearest(key, known.iter().copied()) {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None => p.help(format!("known here: {}", known.join(", "))),
        }
    }

    fn name(&mut self, map: &Mapping, node: &Node) -> Option<Spanned<String>> {
        let Some(value) = map.get("scenario").or_else(|| map.get("fragment")) else {
            self.problem(
                Problem::at(
                    ProblemKind::Missing,
                    &start(node),
                    "the scenario has no name",
                )
                .help("start with `scenario:` and one sentence that says what users expect"),
            );
            return Some(Spanned::new("unnamed".into(), start(node)));
        };
        match value.scalar_text().filter(|s| !s.trim().is_empty()) {
            Some(text) => Some(Spanned::new(text, value.span.clone())),
            None => {
                self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &value.span,
                    format!(
                        "`scenario` takes the scenario's name, found {}",
                        value.kind()
                    ),
                ));
                Some(Spanned::new("unnamed".into(), value.span.clone()))
            }
        }
    }

    fn vars(&mut self, map: &Mapping) -> IndexMap<String, Data> {
        let mut vars = IndexMap::new();
        for (name, entry) in self.entries(map, "vars") {
            self.variable_name(&name, &entry.key);
            match Data::new(&entry.node) {
                Ok(d) => {
                    vars.insert(name, d);
                }
                Err(p) => self.problems.extend(p),
            }
        }
        vars
    }

    /// A name that templates and expressions can use.
    pub(super) fn variable_name(&mut self, name: &str, span: &Span) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain {
            self.problem(
                Problem::at(
                    ProblemKind::InvalidValue,
                    span,
                    format!("`{name}` cannot be used as a name in templates and expressions"),
                )
                .help(format!(
                    "use letters, digits and `_`: `{}`",
                    as_identifier(name)
                )),
            );
        } else if is_reserved(name) {
            self.problem(
                Problem::at(
                    ProblemKind::InvalidValue,
                    span,
                    format!("`{name}` already means something in templates and expressions"),
                )
                .help("choose another name"),
            );
        }
    }

    fn data(&mut self, map: &Mapping) -> IndexMap<String, Spanned<String>> {
        let mut data = IndexMap::new();
        for (volume, entry) in self.entries(map, "data") {
            match entry.node.scalar_text() {
                Some(snapshot) => {
                    data.insert(volume, Spanned::new(snapshot, entry.node.span.clone()));
                }
                None => self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &entry.node.span,
                    format!(
                        "`data` names a snapshot for each volume, found {}",
                        entry.node.kind()
                    ),
                )),
            }
        }
        data
    }

    /// What makes sense only for what is run by itself.
    fn not_in_fragments(&mut self, map: &Mapping) {
        const OWN: [&str; 9] = [
            "scenario",
            "data",
            "isolation",
            "requires",
            "needs",
            "lock",
            "matrix",
            "flags",
            "invariants",
        ];
        for key in OWN {
            if let Some(e) = map.0.get(key) {
                let text =
                    format!("a fragment has no `{key}`: it is part of the scenario that uses it");
                self.problem(
                    Problem::at(ProblemKind::Conflict, &e.key, text)
                        .help("give it to the scenario, or make this one a scenario"),
                );
            }
        }
    }

    /// Values under a key, by name; also of those that are wrong, so that who uses the name is
    /// not told that it is not there.
    fn named<T>(
        &mut self,
        map: &Mapping,
        key: &str,
        read: fn(&mut Self, &str, &Entry) -> T,
    ) -> IndexMap<String, T> {
        let mut values = IndexMap::new();
        for (name, entry) in self.entries(map, key) {
            let value = read(self, &name, &entry);
            values.insert(name, value);
        }
        values
    }

    /// The entries of a mapping under a key.
    pub(super) fn entries(&mut self, map: &Mapping, key: &str) -> Vec<(String, Entry)> {
        match map.get(key) {
            None => Vec::new(),
            Some(Node {
                value: Value::Map(m),
                ..
            }) => m.0.iter().map(|(k, e)| (k.clone(), e.clone())).collect(),
            Some(other) => {
                self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &other.span,
                    format!("`{key}` is a mapping, found {}", other.kind()),
                ));
                Vec::new()
            }
        }
    }

    fn section(&mut self, map: &Mapping, section: Section) -> Vec<Step> {
        let key = section.key();
        let Some(node) = map.get(key) else {
            return Vec::new();
        };
        match node.as_seq() {
            Some([]) | None if section == Section::Steps => {
                self.problem(
                    Problem::at(
                        ProblemKind::Missing,
                        &node.span,
                        match node.as_seq() {
                            Some(_) => "`steps` is empty, so nothing would be tested".to_owned(),
                            None => format!("`steps` is a list of steps, found {}", node.kind()),
                        },
                    )
                    .help("write each step as a list item: `- http: { url: \"http://service/path\" }`"),
                );
                Vec::new()
            }
            Some(items) => items
                .iter()
                .enumerate()
                .filter_map(|(i, n)| {
                    let path = format!("{}{key}[{i}]", self.prefix);
                    self.step(n, &path)
                })
                .collect(),
            None => {
                self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{key}` is a list of steps, found {}", node.kind()),
                ));
                Vec::new()
            }
        }
    }

    fn invariants_expect(&mut self, invariants: &[Step]) {
        for s in invariants.iter().filter(|s| s.expect.is_empty()) {
            self.problem(
                Problem::at(
                    ProblemKind::Missing,
                    &s.span,
                    "this invariant expects nothing",
                )
                .help("add `expect:` with what must hold after every step"),
            );
        }
    }

    /// A list of texts; a single one may stand alone.
    pub(super) fn texts(&mut self, node: Option<&Node>, key: &str) -> Vec<Spanned<String>> {
        let Some(node) = node else { return Vec::new() };
        let single = std::slice::from_ref(node);
        let items = node.as_seq().unwrap_or(single);
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.scalar_text() {
                Some(t) => texts.push(Spanned::new(t, item.span.clone())),
                None => self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &item.span,
                    format!("`{key}` is a list of words, found {}", item.kind()),
                )),
            }
        }
        texts
    }

    pub(super) fn duration(&mut self, node: Option<&Node>) -> Option<std::time::Duration> {
        match super::duration::read(node?) {
            Ok(d) => Some(d),
            Err(p) => {
                self.problem(p);
                None
            }
        }
    }

    fn isolation(&mut self, node: Option<&Node>) -> Isolation {
        let Some(node) = node else {
            return Isolation::default();
        };
        match node.as_str() {
            Some("scenario") => Isolation::Scenario,
            Some("file") => Isolation::File,
            Some("shared") => Isolation::Shared,
            other => {
                let found = other.map_or_else(|| node.kind().to_owned(), |s| format!("`{s}`"));
                let mut p = Problem::at(
                    ProblemKind::InvalidValue,
                    &node.span,
                    format!("`isolation` is scenario, file or shared, found {found}"),
                );
                if let Some(n) = other.and_then(|o| nearest(o, ["scenario", "file", "shared"])) {
                    p = p.help(format!("did you mean `{n}`?"));
                }
                self.problem(p);
                Isolation::default()
            }
        }
    }

    fn requires(&mut self, node: Option<&Node>) -> Requires {
        let Some(node) = node else {
            return Requires::default();
        };
        let Some(map) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`requires` is a mapping, found {}", node.kind()),
                )
                .help("write `requires: { services: [name], data: \"TABLE >= NUMBER rows\" }`"),
            );
            return Requires::default();
        };
        let known = ["services", "data"];
        for (key, entry) in map.0.iter().filter(|(k, _)| !known.contains(&k.as_str())) {
            self.problems
                .push(self.unknown_key(key, &entry.key, "`requires`", &known));
        }
        Requires {
            services: self.texts(map.get("services"), "services"),
            data: self.data_needs(map.get("data")),
        }
    }

    /// One condition on the data, or a list of them.
    fn data_needs(&mut self, node: Option<&Node>) -> Vec<Spanned<DataNeed>> {
        let texts = match node {
            Some(one) if one.as_seq().is_none() => match one.scalar_text() {
                Some(text) => vec![Spanned::new(text, one.span.clone())],
                None => self.texts(node, "data"),
            },
            _ => self.texts(node, "data"),
        };
        let mut needs = Vec::new();
        for text in texts {
            match DataNeed::parse(&text.value) {
                Ok(need) => needs.push(Spanned::new(need, text.span)),
                Err(why) => {
                    self.problem(Problem::at(ProblemKind::InvalidValue, &text.span, why));
                }
            }
        }
        needs
    }
}

impl Step {
    /// Whether anything is expected of its result.
    pub fn expects(&self) -> impl Iterator<Item = &Expectation> {
        self.expect.iter()
    }
}

/// The beginning of a value: its first line.
pub(super) fn start(node: &Node) -> Span {
    Span::in_line(&node.span.file, node.span.line, node.span.col, 1)
}

fn as_identifier(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{clean}")
    } else {
        clean
    }
}

/// YAML takes an unquoted `{{ x }}` for a mapping inside a mapping; say what is meant.
fn misplaced_template(p: Problem) -> Problem {
    let Some(span) = &p.span else { return p };
    let text = &span.file.text;
    let Some(line) = text.lines().nth(span.line as usize - 1) else {
        return p;
    };
    let column = span.col.saturating_sub(1) as usize;
    let column = line
        .char_indices()
        .nth(column)
        .map_or(line.len(), |(i, _)| i);
    // The parser complains at the second brace, or somewhere behind it.
    let opens = || line.match_indices("{{").map(|(i, _)| i);
    let before = opens().take_while(|i| *i <= column).last();
    let Some(open) = before.or_else(|| opens().next()) else {
        return p;
    };
    if inside_quotes(&line[..open]) {
        return p;
    }
    let close = line[open..].find("}}").map_or(line.len(), |i| open + i + 2);
    // What stands right behind it belongs to the value.
    let behind = line[close..].find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']'));
    let end = behind.map_or(line.len(), |i| close + i);
    let expression = line[open..end].to_owned();
    let column = line[..open].chars().count() as u32 + 1;
    let place = Span::in_line(
        &span.file,
        span.line,
        column,
        expression.chars().count() as u32,
    );
    Problem::at(
        ProblemKind::Syntax,
        &place,
        "an unquoted `{{` starts a mapping in YAML, not a template",
    )
    .help(format!("quote the value: `\"{expression}\"`"))
}

/// `{ first: json.items[0].sku }`: brackets end a bare value inside of `{ }` and `[ ]`.
fn bare_in_flow(p: Problem) -> Problem {
    if p.help.is_some() || !p.message.contains("while parsing a flow") {
        return p;
    }
    p.help("inside of `{ }` and `[ ]`, a value with `[`, `]`, `{`, `}` or `,` in it needs quotes")
}

fn inside_quotes(before: &str) -> bool {
    let mut quote = None;
    for c in before.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    quote.is_some()
}
