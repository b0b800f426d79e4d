//! One step.

use std::time::Duration;

use super::read::{Id, Reader, start};
use super::types::{Body, Eventually, Retry, Step};
use crate::check::{Capture, Expectation, Expr, read_expectations_under};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Spanned};

/// Keys of a step beside its kind.
pub(super) const KEYS: [&str; 13] = [
    "id",
    "name",
    "expect",
    "capture",
    "retry",
    "eventually",
    "timeout",
    "soft",
    "if",
    "skip",
    "for_each",
    "repeat",
    "with",
];

/// Kinds that are part of the language itself.
pub(super) const FLOW: [&str; 9] = [
    "race", "parallel", "step", "steps", "include", "use", "set", "print", "assert",
];

/// Fields of the result of a race.
const RACE_FIELDS: [&str; 5] = ["branches", "run", "runs", "hits", "duration"];
/// Fields of the result of a fragment.
const USE_FIELDS: [&str; 2] = ["outputs", "duration"];
/// Fields of the result of parallel branches.
const PARALLEL_FIELDS: [&str; 2] = ["branches", "duration"];

impl Reader<'_> {
    pub(super) fn step(&mut self, node: &Node, path: &str) -> Option<Step> {
        if !self.count_step(node) {
            return None;
        }
        let Some(map) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("a step is a mapping, found {}", node.kind()),
                )
                .help(
                    "write the step's kind as its key: `- http: { url: \"http://service/path\" }`",
                ),
            );
            return None;
        };
        if Self::is_loop(map) {
            return self.looped(map, node, path);
        }
        self.plain_step(map, node, path)
    }

    /// A step, whatever loop is around it.
    pub(super) fn plain_step(&mut self, map: &Mapping, node: &Node, path: &str) -> Option<Step> {
        let (body, fields) = self.body(map, node, path)?;
        self.useless_keys(map, &body);
        if let (Some(e), false) = (map.0.get("with"), matches!(body, Body::Use(_))) {
            let text = format!(
                "`with` gives values to a fragment, and this step is `{}`",
                body.kind()
            );
            self.problem(
                Problem::at(ProblemKind::Conflict, &e.key, text)
                    .help("use a fragment with `use: FILE`, or set names with `set`"),
            );
        }
        let id = self.id(map, path, &fields);
        // What is asserted stands under the kind itself.
        let key = match body {
            Body::Assert => "assert",
            _ => "expect",
        };
        let expect = match map.get(key) {
            None => Vec::new(),
            Some(n) => read_expectations_under(key, n, &fields).unwrap_or_else(|p| {
                self.problems.extend(p);
                Vec::new()
            }),
        };
        for e in &expect {
            if let Expectation::Expr(e) = e {
                self.problems.extend(e.impossible(body.kind()));
            }
        }
        let eventually = self.eventually(map);
        if eventually.is_some() && !map.contains_key("expect") && !self.waits_itself(&body) {
            let span = map
                .0
                .get("eventually")
                .map_or_else(|| start(node), |e| e.key.clone());
            self.problem(
                Problem::at(ProblemKind::Missing, &span, "`eventually` has nothing to wait for")
                    .help("add `expect:` with what must hold in the end; use `retry` for lost connections"),
            );
        }
        Some(Step {
            path: path.to_owned(),
            span: node.span.clone(),
            id,
            name: map.get("name").and_then(Node::scalar_text),
            expect,
            capture: self.captures(map, &fields),
            retry: self.retry(map.get("retry")),
            eventually,
            timeout: self.duration(map.get("timeout")),
            soft: self.flag(map.get("soft"), "soft"),
            condition: self.condition(map.get("if")),
            skip: self.skip(map.get("skip")),
            body,
        })
    }

    /// Whether a body says by itself what must hold.
    fn waits_itself(&self, body: &Body) -> bool {
        match body {
            // The step that is run again has expectations of its own.
            Body::Again { .. } | Body::Group { .. } | Body::Assert | Body::Use(_) => true,
            Body::Kind { kind, .. } => kind.value == "logs",
            _ => false,
        }
    }

    /// The one key that is no keyword, with the fields of its result.
    fn body(
        &mut self,
        map: &Mapping,
        node: &Node,
        path: &str,
    ) -> Option<(Body, Vec<&'static str>)> {
        let mut found: Option<(&String, &Entry)> = None;
        let mut unknown = Vec::new();
        for (key, entry) in &map.0 {
            if KEYS.contains(&key.as_str()) || key.starts_with("x-") {
                continue;
            }
            let known = FLOW.contains(&key.as_str()) || self.kinds.iter().any(|k| k.name == key);
            match (known, found) {
                (true, None) => found = Some((key, entry)),
                (true, Some((first, at))) => {
                    let p = Problem::at(
                        ProblemKind::Conflict,
                        &entry.key,
                        format!("a step does one thing, and this one has `{first}` and `{key}`"),
                    )
                    .related(&at.key, "the first is here")
                    .help("make it two steps");
                    self.problem(p);
                }
                (false, _) => unknown.push((key, entry)),
            }
        }
        for (key, entry) in unknown {
            let p = self.unknown_step_key(key, &entry.key, found.is_some());
            self.problem(p);
            // One unknown key in place of a kind is most likely the kind, mistyped.
            found?;
        }
        let Some((key, entry)) = found else {
            self.problem(
                Problem::at(ProblemKind::Missing, &start(node), "this step does nothing")
                    .help(format!("give it one of: {}", self.all_kinds().join(", "))),
            );
            return None;
        };
        self.body_of(key, entry, map, path)
    }

    fn body_of(
        &mut self,
        key: &str,
        entry: &Entry,
        map: &Mapping,
        path: &str,
    ) -> Option<(Body, Vec<&'static str>)> {
        match key {
            "race" => {
                let race = self.race(&entry.node, path)?;
                Some((Body::Race(race), RACE_FIELDS.to_vec()))
            }
            "parallel" => {
                let branches = self.parallel(&entry.node, path)?;
                Some((Body::Parallel(branches), PARALLEL_FIELDS.to_vec()))
            }
            "step" => self.again(&entry.node),
            "steps" => Some((self.group(&entry.node, path)?, Vec::new())),
            "include" => Some((self.include(&entry.node, path)?, Vec::new())),
            "use" => Some((self.uses(map, &entry.node, path)?, USE_FIELDS.to_vec())),
            "set" => Some((self.set(&entry.node)?, Vec::new())),
            "print" => Some((self.print(&entry.node)?, Vec::new())),
            "assert" => Some((Body::Assert, Vec::new())),
            name => {
                let kind = self.kinds.iter().find(|k| k.name == name)?;
                let body = Body::Kind {
                    kind: Spanned::new(name.to_owned(), entry.key.clone()),
                    node: entry.node.clone(),
                };
                Some((body, kind.fields.to_vec()))
            }
        }
    }

    fn again(&mut self, node: &Node) -> Option<(Body, Vec<&'static str>)> {
        let Some(id) = node.as_str() else {
            self.problem(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`step` takes the id of a step, found {}", node.kind()),
            ));
            return None;
        };
        let Some(known) = self.ids.get(id) else {
            let known: Vec<&str> = self.ids.keys().map(String::as_str).collect();
            let p = Problem::at(
                ProblemKind::UnknownReference,
                &node.span,
                format!("there is no step with the id `{id}` before this one"),
            );
            self.problem(match nearest(id, known.iter().copied()) {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None if known.is_empty() => {
                    p.help(format!("give the step that is meant an id: `id: {id}`"))
                }
                None => p.help(format!("ids before it: {}", known.join(", "))),
            });
            return None;
        };
        let fields = known.fields.clone();
        Some((
            Body::Again {
                id: Spanned::new(id.to_owned(), node.span.clone()),
                target: known.path.clone(),
            },
            fields,
        ))
    }

    fn unknown_step_key(&self, key: &str, span: &Span, has_kind: bool) -> Problem {
        let known = || KEYS.iter().copied().chain(self.all_kinds());
        let what = if has_kind {
            "unknown key"
        } else {
            "unknown step kind"
        };
        let p = Problem::at(ProblemKind::UnknownKey, span, format!("{what} `{key}`"));
        let other = match key {
            "request" | "get" | "post" => Some("http"),
            "loop" | "foreach" | "each" | "range" => Some("for_each"),
            "import" => Some("include"),
            "call" | "fragment" => Some("use"),
            "echo" | "info" => Some("print"),
            "query" | "postgres" | "db" => Some("sql"),
            "rabbitmq" | "publish" => Some("amqp"),
            "shell" | "run" | "command" => Some("exec"),
            "asserts" | "assertions" | "expects" | "check" => Some("expect"),
            "when" => Some("if"),
            "sleep" => Some("wait"),
            _ => nearest(key, known()),
        };
        match other {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None if has_kind => p.help(format!("known here: {}", KEYS.join(", "))),
            None => p.help(format!("kinds: {}", self.all_kinds().join(", "))),
        }
    }

    fn all_kinds(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|k| k.name).chain(FLOW).collect()
    }

    fn id(
        &mut self,
        map: &Mapping,
        path: &str,
        fields: &[&'static str],
    ) -> Option<Spanned<String>> {
        let node = map.get("id")?;
        let Some(id) = node.as_str() else {
            self.problem(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`id` is a word, found {}", node.kind()),
            ));
            return None;
        };
        self.variable_name(id, &node.span);
        if let Some(Id { span: first, .. }) = self.ids.get(id) {
            let p = Problem::at(
                ProblemKind::DuplicateKey,
                &node.span,
                format!("two steps have the id `{id}`"),
            )
            .related(first, "the first is here")
            .help("give each step its own id; `step:` runs a step again");
            self.problem(p);
        } else {
            let known = Id {
                span: node.span.clone(),
                path: path.to_owned(),
                fields: fields.to_vec(),
            };
            self.ids.insert(id.to_owned(), known);
        }
        Some(Spanned::new(id.to_owned(), node.span.clone()))
    }

    fn captures(&mut self, map: &Mapping, fields: &[&str]) -> Vec<Capture> {
        let Some(node) = map.get("capture") else {
            return Vec::new();
        };
        let Some(entries) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`capture` is a mapping of names, found {}", node.kind()),
                )
                .help("write `capture: { order_id: { jsonpath: $.id } }`"),
            );
            return Vec::new();
        };
        let mut captures = Vec::new();
        for (name, entry) in &entries.0 {
            self.variable_name(name, &entry.key);
            match Capture::read(name, &entry.key, &entry.node, fields) {
                Ok(c) => captures.push(c),
                Err(p) => self.problems.extend(p),
            }
        }
        captures
    }

    fn flag(&mut self, node: Option<&Node>, key: &str) -> bool {
        let Some(node) = node else { return false };
        node.as_bool().unwrap_or_else(|| {
            self.problem(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("`{key}` is true or false, found {}", node.kind()),
            ));
            false
        })
    }

    pub(super) fn condition(&mut self, node: Option<&Node>) -> Option<Expr> {
        let node = node?;
        let text = node.scalar_text().unwrap_or_default();
        match Expr::new(&text, &node.span) {
            Ok(e) => Some(e),
            Err(p) => {
                self.problem(p);
                None
            }
        }
    }

    fn retry(&mut self, node: Option<&Node>) -> Option<Retry> {
        let node = node?;
        let mut retry = Retry {
            times: 3,
            delay: Duration::from_millis(100),
            backoff: 2.0,
            max_delay: Duration::from_secs(5),
            jitter: 0.0,
            unless: None,
        };
        let times = |n: &Node| {
            n.as_int()
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n <= 1000)
        };
        if let Some(map) = node.as_map() {
            for (key, e) in &map.0 {
                match key.as_str() {
                    "times" => match times(&e.node) {
                        Some(n) => retry.times = n,
                        None => self.problem(wrong_count(&e.node, "times")),
                    },
                    "delay" => retry.delay = self.duration(Some(&e.node)).unwrap_or(retry.delay),
                    "max_delay" => {
                        retry.max_delay = self.duration(Some(&e.node)).unwrap_or(retry.max_delay);
                    }
                    "backoff" => match e
                        .node
                        .scalar_text()
                        .and_then(|t| t.parse().ok())
                        .filter(|b| (1.0..=100.0).contains(b))
                    {
                        Some(b) => retry.backoff = b,
                        None => self.problem(Problem::at(
                            ProblemKind::InvalidValue,
                            &e.node.span,
                            "`backoff` is a number from 1 to 100",
                        )),
                    },
                    "jitter" => match e
                        .node
                        .scalar_text()
                        .and_then(|t| t.parse().ok())
                        .filter(|j| (0.0..=1.0).contains(j))
                    {
                        Some(j) => retry.jitter = j,
                        None => self.problem(
                            Problem::at(
                                ProblemKind::InvalidValue,
                                &e.node.span,
                                "`jitter` is a number from 0 to 1",
                            )
                            .help("0.2 makes each delay up to a fifth longer or shorter"),
                        ),
                    },
                    "unless" => retry.unless = self.condition(Some(&e.node)),
                    _ => self.problems.push(self.unknown_key(
                        key,
                        &e.key,
                        "`retry`",
                        &["times", "delay", "backoff", "max_delay", "jitter", "unless"],
                    )),
                }
            }
            return Some(retry);
        }
        match times(node) {
            Some(n) => Some(Retry { times: n, ..retry }),
            None => {
                self.problem(
                    wrong_count(node, "retry")
                        .help("write `retry: 3` or `retry: { times: 3, delay: 200ms }`"),
                );
                None
            }
        }
    }

    fn eventually(&mut self, map: &Mapping) -> Option<Eventually> {
        let node = map.get("eventually")?;
        let default = Eventually {
            within: Duration::from_secs(10),
            every: Duration::from_millis(250),
        };
        let Some(fields) = node.as_map() else {
            return self
                .duration(Some(node))
                .map(|within| Eventually { within, ..default });
        };
        let mut eventually = default;
        for (key, e) in &fields.0 {
            match key.as_str() {
                "within" => {
                    eventually.within = self.duration(Some(&e.node)).unwrap_or(default.within)
                }
                "every" => eventually.every = self.duration(Some(&e.node)).unwrap_or(default.every),
                _ => self.problems.push(self.unknown_key(
                    key,
                    &e.key,
                    "`eventually`",
                    &["within", "every"],
                )),
            }
        }
        if !fields.contains_key("within") {
            self.problem(
                Problem::at(
                    ProblemKind::Missing,
                    &node.span,
                    "`eventually` does not say how long to try",
                )
                .help("add `within: 30s`"),
            );
        }
        Some(eventually)
    }
}

fn wrong_count(node: &Node, key: &str) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("`{key}` is a number up to 1000, found {}", node.kind()),
    )
}
