//! `--from-trace`: requests of a trace (OTLP in JSON), as steps.

mod span;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use self::span::{Span, Tree};
use super::draft::{
    Body, Draft, Header, Secrets, Sql, Step, identifier, is_marked, mark, split_url,
};
use super::files;
use super::host::Hosts;
use super::link::{Answer, CERTAIN, is_id, link, scalar};
use super::statement::{self, Literal};

/// Steps that are made at most.
const MOST: usize = 100;
/// Statements of a request that are named at most.
const STATEMENTS: usize = 20;
/// Statements of a request that become steps at most.
const SELECTS: usize = 5;

/// What of a trace is wanted.
pub struct Asked<'a> {
    /// Keys of requests with their values.
    pub matches: &'a [(String, String)],
    /// Only this trace.
    pub trace: Option<&'a str>,
    /// Whether what a request read becomes steps.
    pub sql: bool,
}

/// Reads a file.
///
/// # Errors
/// It is no trace, or holds no request.
pub fn draft(path: &Path, asked: &Asked<'_>, hosts: &mut Hosts) -> Result<Draft, String> {
    let mut draft = Draft::default();
    let asked_sql = asked.sql;
    let (spans, unread) = span::read(&files::source(path)?)?;
    if unread > 0 {
        let what = format!("left out: {unread} lines that are no JSON");
        draft.warnings.push(what);
    }
    let tree = Tree::new(&spans);
    let mut entries: Vec<&Span> = spans
        .iter()
        .filter(|s| s.is_request() && !tree.above(s).any(Span::is_request))
        .filter(|s| asked.trace.is_none_or(|t| s.trace.eq_ignore_ascii_case(t)))
        .collect();
    let all = entries.len();
    entries.retain(|e| asked.matches.iter().all(|(k, v)| e.has(k, v)));
    if entries.is_empty() {
        return Err(match (spans.len(), all, asked.trace) {
            (0, ..) => "it holds no spans (OTLP in JSON, with `resourceSpans`)".into(),
            (_, 0, Some(t)) => format!("it holds no request of the trace {t}"),
            (n, 0, None) => format!("none of its {n} spans is a request that a server answered"),
            _ => "no request in it has what --match asks for".into(),
        });
    }
    if entries.len() < all {
        let what = format!(
            "left out: {} requests that do not match",
            all - entries.len()
        );
        draft.warnings.push(what);
    }
    entries.sort_by_key(|e| e.start);
    if entries.len() > MOST {
        let more = entries.len() - MOST;
        draft
            .warnings
            .push(format!("left out: {more} requests beyond the first {MOST}"));
        entries.truncate(MOST);
    }
    let mut answers = Vec::new();
    // The request that each step is, for those that are one.
    let mut of: Vec<Option<&Span>> = Vec::new();
    let mut lost = Lost::default();
    let mut before: Option<u64> = None;
    for entry in &entries {
        let mut step = request(entry, &mut draft, hosts);
        let gap = before.map(|b| Duration::from_nanos(entry.start.saturating_sub(b)));
        if let Some(note) = gap.and_then(super::after) {
            step.notes.insert(0, note);
        }
        before = Some(entry.start);
        let asked = asked_for(entry, (&spans, &tree), &mut step);
        draft.steps.push(step);
        answers.push(entry.answer());
        of.push(Some(entry));
        if asked_sql {
            for select in selects(&asked, hosts, &mut lost) {
                draft.steps.push(select);
                answers.push(Answer::default());
                of.push(None);
            }
        }
    }
    let named = link(&mut draft.steps, &answers);
    let mut known: BTreeMap<String, String> = named.into_iter().map(|(v, (_, n))| (v, n)).collect();
    for (step, entry) in draft.steps.iter_mut().zip(of) {
        if let Some(entry) = entry {
            parameters(step, entry, &mut draft.vars, &mut known);
        }
        finish(step, &known, &mut draft.secrets);
    }
    if !draft.vars.is_empty() {
        draft.about.push(
            "The variables are ids of the trace: another run may have others. Capture them from an earlier answer."
                .into(),
        );
    }
    lost.tell(&mut draft.warnings);
    let one = "Made from a trace. A trace does not hold bodies, and headers only where they are captured: none is made up.";
    draft.about.insert(0, one.into());
    let without = "a trace does not hold the bodies of requests: see the comments";
    if draft
        .steps
        .iter()
        .any(|s| s.notes.iter().any(|n| n == NO_BODY))
    {
        draft.warnings.push(without.into());
    }
    draft.name = match &entries[..] {
        [one] => format!("{} is answered as it was traced", one.name),
        all => format!("{} requests are answered as they were traced", all.len()),
    };
    Ok(draft)
}

const NO_BODY: &str = "A trace does not have the body: add `json:`, `form:` or `body:`.";

fn request(entry: &Span, draft: &mut Draft, hosts: &mut Hosts) -> Step {
    let mut step = Step {
        method: entry.method().unwrap_or("GET").to_ascii_uppercase(),
        url: entry.url(hosts, &mut draft.warnings),
        ..Step::default()
    };
    for (name, value) in entry.headers("http.request.header.") {
        if !super::har::is_own(&name) {
            step.headers.push((name, value));
        }
    }
    match entry.text(&["http.request.body", "http.request.body.content"]) {
        Some(text) => {
            step.body = match serde_json::from_str::<Json>(text) {
                Ok(json) if super::emit::fits(&json) && (json.is_object() || json.is_array()) => {
                    Body::Json(json)
                }
                _ => Body::Text(text.to_owned()),
            };
        }
        None if ["POST", "PUT", "PATCH"].contains(&step.method.as_str()) => {
            step.notes.push(NO_BODY.into());
        }
        None => {}
    }
    match entry.status() {
        Some(status) => {
            if (300..400).contains(&status) {
                step.redirects = Some(0);
            }
            step.expect.push(format!("status == {status}"));
        }
        None => {
            step.notes
                .push("The trace does not have the status.".into());
            step.expect.push("status < 400".into());
        }
    }
    step
}

/// Parts of the path that the route calls parameters, as variables.
fn parameters(
    step: &mut Step,
    entry: &Span,
    vars: &mut Vec<(String, Json)>,
    known: &mut BTreeMap<String, String>,
) {
    let Some(route) = entry.text(&["http.route"]) else {
        return;
    };
    let (base, rest) = split_url(&step.url);
    let (path, query) = rest
        .split_once('?')
        .map_or((rest, None), |(p, q)| (p, Some(q)));
    let names: Vec<&str> = route.split('/').collect();
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    if names.len() != parts.len() {
        return;
    }
    for (name, part) in names.iter().zip(&mut parts) {
        let is_parameter = name.starts_with([':', '{', '<', '*']);
        if !is_parameter || part.is_empty() || is_marked(part) {
            continue;
        }
        let bare = name.trim_matches(['{', '}', '<', '>', ':', '*', '?']);
        let bare = bare.rsplit(':').next().unwrap_or(bare);
        let name = known.entry(part.clone()).or_insert_with(|| {
            let plain = identifier(if bare.is_empty() { "value" } else { bare });
            let taken = |n: &String| vars.iter().any(|(v, _)| v == n);
            let name = std::iter::once(plain.clone())
                .chain((2..).map(|n| format!("{plain}_{n}")))
                .find(|n| !taken(n));
            let name = name.unwrap_or(plain);
            let value = part
                .parse::<i64>()
                .map_or_else(|_| Json::from(part.as_str()), Json::from);
            vars.push((name.clone(), value));
            name
        });
        *part = mark(name);
    }
    let query = query.map_or(String::new(), |q| format!("?{q}"));
    step.url = format!("{base}{}{query}", parts.join("/"));
}

/// Takes secrets out of a step, and the ids that variables stand for.
fn finish(step: &mut Step, known: &BTreeMap<String, String>, secrets: &mut Secrets) {
    if let Some(sql) = &mut step.sql {
        // `limit 7` is not the customer 7.
        let same = |l: &Literal<'_>| {
            let certain = l.value.len() >= CERTAIN;
            certain || is_id(l.of, &Json::from(l.value.as_str()))
        };
        sql.query = statement::replaced(&sql.query, |l| {
            match known.get(&l.value).filter(|_| same(l)) {
                _ if is_marked(&l.value) => None,
                Some(name) => Some(mark(name)),
                None if statement::hides(l) => Some(secrets.put(l.of, &l.value)),
                None => None,
            }
        });
        for p in &mut sql.params {
            let text = scalar(p).filter(|t| t.len() >= CERTAIN);
            let name = text.and_then(|t| known.get(&t));
            if let Some(name) = name {
                *p = Json::from(mark(name));
            }
        }
        return;
    }
    step.url = secrets.clean_url(&step.url);
    if let Body::Json(json) = &mut step.body {
        secrets.clean(json);
    }
    for (name, value) in std::mem::take(&mut step.headers) {
        match secrets.header(&name, &value) {
            Header::Auth(auth) => step.auth = Some(auth),
            Header::Value(value) => step.headers.push((name, value)),
        }
    }
}

/// What databases were asked for a request, in order: named in comments.
fn asked_for<'s>(
    entry: &Span,
    (spans, tree): (&'s [Span], &Tree<'s>),
    step: &mut Step,
) -> Vec<&'s Span> {
    let mut asked: Vec<&Span> = spans
        .iter()
        .filter(|s| s.trace == entry.trace && s.statement().is_some())
        .filter(|s| tree.above(s).any(|a| a.id == entry.id))
        .collect();
    asked.sort_by_key(|s| s.start);
    for s in asked.iter().take(STATEMENTS) {
        let text = statement::shown(s.statement().unwrap_or(""));
        step.notes.push(format!("{}: {text}", s.database()));
    }
    if asked.len() > STATEMENTS {
        let more = asked.len() - STATEMENTS;
        step.notes.push(format!("… and {more} statements more"));
    }
    asked
}

/// Statements that read, and do not become steps.
#[derive(Debug, Default)]
struct Lost {
    /// The values of their parameters are not known.
    values: usize,
    /// Their database is not known.
    database: usize,
}

impl Lost {
    fn tell(&self, warnings: &mut Vec<String>) {
        let all = [
            (
                self.values,
                "the trace does not have the values of their parameters",
            ),
            (
                self.database,
                "nothing says which service is their database",
            ),
        ];
        for (n, why) in all.into_iter().filter(|(n, _)| *n > 0) {
            warnings.push(format!("{n} statements are comments only: {why}"));
        }
    }
}

/// Steps of statements that only read.
fn selects(asked: &[&Span], hosts: &Hosts, lost: &mut Lost) -> Vec<Step> {
    let mut seen: Vec<&str> = Vec::new();
    let mut steps = Vec::new();
    for span in asked {
        let text = span.statement().unwrap_or("");
        if seen.contains(&text) || !statement::only_reads(text) {
            continue;
        }
        seen.push(text);
        let Some(params) = span.parameters(statement::places(text)) else {
            lost.values += 1;
            continue;
        };
        let Some(service) = span.service_of_database(hosts) else {
            lost.database += 1;
            continue;
        };
        if steps.len() == SELECTS {
            continue;
        }
        let expect = span.rows().map(|n| format!("size(rows) == {n}"));
        steps.push(Step {
            notes: vec!["What the request read; the data may hold more by now.".into()],
            sql: Some(Sql {
                service,
                query: statement::replaced(text, |_| None),
                params,
            }),
            expect: expect.into_iter().collect(),
            ..Step::default()
        });
    }
    steps
}

impl Span {
    /// What the answer gave, as far as it is known.
    fn answer(&self) -> Answer {
        let body = self.text(&["http.response.body", "http.response.body.content"]);
        let mut location = self.headers("http.response.header.");
        Answer {
            json: body.and_then(|b| serde_json::from_str(b).ok()),
            location: location.find(|(n, _)| n == "location").map(|(_, v)| v),
        }
    }
}
