//! `--from-har`: requests that a browser recorded, as steps.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::curl::body_of;
use super::draft::{Body, Draft, Header, Step, identifier, mark, split_url};
use super::host::Hosts;
use super::link::{Answer, link};
use super::stable;

/// Steps that are made at most.
const MOST: usize = 200;

/// What stands in the place of a body that was not kept.
pub const TOO_LONG: &str = "it was too long to be recorded";

/// Headers that browsers send by themselves, or that the client of a step sets.
const OWN: [&str; 24] = [
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "dnt",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-connection",
    "purpose",
    "referer",
    "save-data",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
];

/// Reads a recording.
///
/// # Errors
/// It is no HAR, or holds no request that a scenario can send.
pub fn draft(text: &str, hosts: &mut Hosts) -> Result<Draft, String> {
    let har: Json = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
    of(&har, hosts, (Draft::default(), false))
}

/// The scenario of a recording, in a draft that may know secrets already; with `all`, static
/// files too.
///
/// # Errors
/// As [`draft`].
pub fn of(har: &Json, hosts: &mut Hosts, (mut draft, all): (Draft, bool)) -> Result<Draft, String> {
    let entries = har["log"]["entries"].as_array();
    let mut entries: Vec<&Json> = entries
        .ok_or("it is no HAR: `log.entries` is missing")?
        .iter()
        .collect();
    // Browsers write them in the order in which they ended.
    entries.sort_by(|a, b| started(a).cmp(started(b)));
    if entries.is_empty() {
        return Err("no request was recorded".into());
    }
    let mut left: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    let origin = main_origin(&entries, all).ok_or_else(|| none_of(&entries, all))?;
    let mut answers: Vec<Answer> = Vec::new();
    let mut cookies = Cookies::default();
    for entry in entries {
        let url = entry["request"]["url"].as_str().unwrap_or("");
        if let Some(why) = useless(entry, all) {
            *left.entry(why).or_default() += 1;
            continue;
        }
        let (base, _) = split_url(url);
        if base != origin && !hosts.knows(url) {
            *others.entry(base.to_owned()).or_default() += 1;
            continue;
        }
        if draft.steps.len() == MOST {
            *left.entry("beyond the first 200 requests").or_default() += 1;
            continue;
        }
        let (step, answer) = one(entry, &mut cookies, &mut draft, hosts);
        draft.steps.push(step);
        answers.push(answer);
    }
    if draft.steps.is_empty() {
        return Err("it holds no request that a scenario can send".into());
    }
    for (why, n) in left {
        draft.warnings.push(format!("left out: {n} {why}"));
    }
    for (host, n) in others {
        draft.warnings.push(format!(
            "left out: {n} requests to {host}, another origin than {origin}"
        ));
    }
    let sent = stable::sent(&draft.steps);
    let named = link(&mut draft.steps, &answers);
    for (i, step) in draft.steps.iter_mut().enumerate() {
        if let Some(json) = answers.get(i).and_then(|a| a.json.as_ref()) {
            stable::expect(step, json, (&sent[i], &named, i), &draft.secrets);
        }
        clean(step, &mut draft.secrets);
    }
    draft
        .about
        .push(format!("Made from a recording of {origin}."));
    draft.name = format!(
        "{} requests are answered as they were recorded",
        draft.steps.len()
    );
    Ok(draft)
}

fn started(entry: &Json) -> &str {
    entry["startedDateTime"].as_str().unwrap_or("")
}

/// The origin that the recording is about: that of most requests for more than a file.
fn main_origin(entries: &[&Json], all: bool) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for entry in entries.iter().filter(|e| useless(e, all).is_none()) {
        let (base, _) = split_url(entry["request"]["url"].as_str()?);
        match counts.iter_mut().find(|(b, _)| *b == base) {
            Some((_, n)) => *n += 1,
            None => counts.push((base, 1)),
        }
    }
    // Of equal ones the first.
    let most = counts.iter().rev().max_by_key(|(_, n)| *n)?;
    Some(most.0.to_owned())
}

/// Why nothing of a recording can become a step.
fn none_of(entries: &[&Json], all: bool) -> String {
    let mut left: BTreeMap<&'static str, usize> = BTreeMap::new();
    for why in entries.iter().filter_map(|e| useless(e, all)) {
        *left.entry(why).or_default() += 1;
    }
    let left: Vec<String> = left.iter().map(|(why, n)| format!("{n} {why}")).collect();
    format!("no request in it can become a step: {}", left.join(", "))
}

/// Why a request is not part of a scenario; with `all`, static files are.
pub fn useless(entry: &Json, all: bool) -> Option<&'static str> {
    let request = &entry["request"];
    let url = request["url"].as_str().unwrap_or("");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Some("requests that are not of HTTP");
    }
    let status = entry["response"]["status"].as_i64().unwrap_or(0);
    if status == 101 || entry["_resourceType"] == "websocket" {
        return Some("WebSockets (see the kind `websocket`)");
    }
    if status <= 0 {
        return Some("requests without an answer");
    }
    let header = |name: &str| find(&request["headers"], name);
    if request["method"] == "OPTIONS" && header("access-control-request-method").is_some() {
        return Some("questions of a browser before requests (preflight)");
    }
    let kind = entry["response"]["content"]["mimeType"]
        .as_str()
        .unwrap_or("");
    let of = entry["_resourceType"].as_str().unwrap_or("");
    let path = split_url(url).1;
    let path = path.split(['?', '#']).next().unwrap_or("");
    let name = path.rsplit('/').next().unwrap_or("");
    let ends = name
        .rsplit_once('.')
        .map_or("", |(_, e)| e)
        .to_ascii_lowercase();
    const FILES: [&str; 22] = [
        "css",
        "js",
        "mjs",
        "map",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "avif",
        "ico",
        "woff",
        "woff2",
        "ttf",
        "otf",
        "eot",
        "mp4",
        "webm",
        "mp3",
        "wasm",
        "webmanifest",
    ];
    let is_file = ["image/", "font/", "video/", "audio/", "text/css"]
        .iter()
        .any(|k| kind.starts_with(k))
        || kind.contains("javascript")
        || ["image", "font", "stylesheet", "script", "media", "manifest"].contains(&of)
        || FILES.contains(&ends.as_str());
    (is_file && !all && request["method"] == "GET").then_some("static files")
}

/// The value of a header in a list of `{ name, value }`.
fn find<'j>(headers: &'j Json, name: &str) -> Option<&'j str> {
    let all = headers.as_array()?.iter();
    let mut all = all.filter(|h| {
        h["name"]
            .as_str()
            .is_some_and(|n| n.eq_ignore_ascii_case(name))
    });
    all.next()?["value"].as_str()
}

fn one(
    entry: &Json,
    cookies: &mut Cookies,
    draft: &mut Draft,
    hosts: &mut Hosts,
) -> (Step, Answer) {
    let request = &entry["request"];
    let response = &entry["response"];
    let url = request["url"].as_str().unwrap_or("");
    let url = url.split('#').next().unwrap_or("");
    let status = response["status"].as_i64().unwrap_or(200);
    let mut step = Step {
        method: request["method"]
            .as_str()
            .unwrap_or("GET")
            .to_ascii_uppercase(),
        url: hosts.rewrite(url, &mut draft.warnings),
        ..Step::default()
    };
    // Each redirect was recorded as a request of its own.
    if (300..400).contains(&status) && find(&response["headers"], "location").is_some() {
        step.redirects = Some(0);
    }
    for header in request["headers"].as_array().into_iter().flatten() {
        let (Some(name), Some(value)) = (header["name"].as_str(), header["value"].as_str()) else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if lower == "cookie" {
            let given = cookies.to_send(value, draft);
            if !given.is_empty() {
                step.headers.push((name.to_owned(), given.join("; ")));
            }
            continue;
        }
        // Servers that look for requests from other sites refuse what says nothing.
        let changes = !["GET", "HEAD"].contains(&step.method.as_str());
        if lower == "origin" && changes && value == split_url(url).0 {
            let origin = split_url(&step.url).0.to_owned();
            step.headers.push((name.to_owned(), origin));
            continue;
        }
        let own = is_own(&lower);
        let any = lower == "accept" && (value.contains("*/*") || value.contains("text/html"));
        if !own && !any {
            step.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    step.body = body(request, &mut step, draft);
    for header in response["headers"].as_array().into_iter().flatten() {
        if header["name"]
            .as_str()
            .is_some_and(|n| n.eq_ignore_ascii_case("set-cookie"))
        {
            for line in header["value"].as_str().unwrap_or("").lines() {
                cookies.set(line, &step.url, draft.steps.len());
            }
        }
    }
    // A step asks without what a browser has kept.
    let status = match status {
        304 => {
            step.notes
                .push("The browser had this already (304): a step gets it whole.".into());
            200
        }
        status => status,
    };
    step.expect.push(format!("status == {status}"));
    let json = answered(response);
    if let Some(Json::Object(fields)) = &json {
        let shown: Vec<&str> = fields.keys().map(String::as_str).take(6).collect();
        if !shown.is_empty() {
            step.hints.push(format!(
                "Say what users rely on; the answer had: {}",
                shown.join(", ")
            ));
        }
    }
    let answer = Answer {
        json,
        location: find(&response["headers"], "location").map(str::to_owned),
    };
    (step, answer)
}

/// Cookies that answers set.
#[derive(Debug, Default)]
struct Cookies {
    /// By name; with the step that was answered, where they are not sent again by themselves.
    all: BTreeMap<String, Option<usize>>,
}

impl Cookies {
    /// Takes a line of `Set-Cookie`.
    fn set(&mut self, line: &str, url: &str, step: usize) {
        let Some((name, _)) = line.split_once('=') else {
            return;
        };
        let mut attributes = line.split(';').skip(1);
        // Before production's gateway stands what speaks TLS; a step asks the gateway itself.
        let lost = !url.starts_with("https:")
            && attributes.any(|a| a.trim().eq_ignore_ascii_case("secure"));
        self.all
            .insert(name.trim().to_owned(), lost.then_some(step));
    }

    /// What a step must send of a header `Cookie`: what no answer set, and what is not sent by
    /// itself.
    fn to_send(&self, header: &str, draft: &mut Draft) -> Vec<String> {
        let pairs = header.split(';').map(str::trim).filter(|p| !p.is_empty());
        let one = |pair: &str| {
            let name = pair.split('=').next().unwrap_or("");
            let Some(set) = self.all.get(name) else {
                return Some(pair.to_owned());
            };
            let step = draft.steps.get_mut((*set)?)?;
            let variable = format!("cookie_{}", identifier(name));
            let from = format!("{{ cookie: {} }}", super::emit::plain(name));
            if !step.capture.iter().any(|(n, _)| *n == variable) {
                step.capture.push((variable.clone(), from));
            }
            Some(format!("{name}={}", mark(&variable)))
        };
        pairs.filter_map(one).collect()
    }
}

/// Whether a header is one that browsers send by themselves, or that a step sets.
pub fn is_own(lower: &str) -> bool {
    OWN.contains(&lower) || lower.starts_with("sec-") || lower.starts_with(':')
}

fn body(request: &Json, step: &mut Step, draft: &mut Draft) -> Body {
    let data = &request["postData"];
    let kind = data["mimeType"].as_str().filter(|k| !k.is_empty());
    let kind = kind
        .or_else(|| find(&request["headers"], "content-type"))
        .unwrap_or("text/plain")
        .to_owned();
    let lost = match () {
        () if data["comment"] == TOO_LONG => Some(TOO_LONG),
        () if data["encoding"] == "base64" => Some("it is no text"),
        () => None,
    };
    if let Some(why) = lost {
        let path = super::path_of(&step.url);
        let what = format!("the body of {} {path} is left out: {why}", step.method);
        step.notes
            .push(format!("The body is left out: {why}; add it by hand."));
        draft.warnings.push(what);
        return Body::None;
    }
    if let Some(text) = data["text"].as_str().filter(|t| !t.is_empty()) {
        // Secrets are taken out later, when it is known what earlier answers gave.
        let mut nothing = Draft::default();
        return match serde_json::from_str::<Json>(text) {
            Ok(json) if kind.contains("json") && super::emit::fits(&json) => Body::Json(json),
            _ => match super::draft::form(text) {
                Some(pairs) if kind.starts_with("application/x-www-form-urlencoded") => {
                    Body::Form(pairs)
                }
                _ => body_of(text, &kind, step, &mut nothing),
            },
        };
    }
    let params = data["params"].as_array().into_iter().flatten();
    let pairs: Vec<(String, String)> = params
        .filter_map(|p| {
            Some((
                p["name"].as_str()?.to_owned(),
                p["value"].as_str().unwrap_or("").to_owned(),
            ))
        })
        .collect();
    match pairs.is_empty() {
        true => Body::None,
        false if kind.starts_with("multipart/") => {
            let path = super::path_of(&step.url);
            draft.warnings.push(format!(
                "the body of {} {path} is left out: its parts were not recorded",
                step.method
            ));
            Body::None
        }
        false => Body::Form(pairs),
    }
}

/// The JSON of an answer.
fn answered(response: &Json) -> Option<Json> {
    use base64::Engine as _;
    let content = &response["content"];
    let text = content["text"].as_str()?;
    if content["encoding"] == "base64" {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()?;
        return serde_json::from_slice(&bytes).ok();
    }
    serde_json::from_str(text).ok()
}

/// Takes out of a step what is secret and no earlier answer gave.
fn clean(step: &mut Step, secrets: &mut super::draft::Secrets) {
    step.url = secrets.clean_url(&step.url);
    match &mut step.body {
        Body::Json(json) => secrets.clean(json),
        Body::Form(pairs) => secrets.clean_pairs(pairs),
        Body::Text(text) => *text = secrets.clean_parts(text),
        Body::None => {}
    }
    let headers = std::mem::take(&mut step.headers);
    for (name, value) in headers {
        match secrets.header(&name, &value) {
            Header::Auth(auth) => step.auth = Some(auth),
            Header::Value(value) => step.headers.push((name, value)),
        }
    }
    hide(step, secrets);
}

/// Replaces the project's own secrets, in whatever field they stand.
fn hide(step: &mut Step, secrets: &super::draft::Secrets) {
    step.url = secrets.hide(&step.url);
    for (_, value) in &mut step.headers {
        *value = secrets.hide(value);
    }
    match &mut step.body {
        Body::Json(json) => secrets.hide_json(json),
        Body::Form(pairs) => {
            for (_, value) in pairs {
                *value = secrets.hide(value);
            }
        }
        Body::Text(text) => *text = secrets.hide(text),
        Body::None => {}
    }
}
