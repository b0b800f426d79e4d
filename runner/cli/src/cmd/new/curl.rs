//! `--from-curl`: a curl command as steps.

use std::path::Path;

use serde_json::Value as Json;

use super::draft::{Auth, Body, Draft, Header, Step, form, is_marked};
use super::emit::fits;
use super::files;
use super::host::Hosts;
use super::options::{Kind, Seen, options};
use super::shell;

/// Reads a command.
///
/// # Errors
/// It is no curl command, or names no URL.
pub fn draft(command: &str, hosts: &mut Hosts, cwd: &Path) -> Result<Draft, String> {
    let mut draft = Draft::default();
    let parsed = shell::words(command)?;
    draft.warnings = parsed.warnings;
    let mut words = parsed.words.into_iter().peekable();
    // A prompt, and variables that are set for the command only.
    while words
        .next_if(|w| w == "$" || w == "%" || is_assignment(w))
        .is_some()
    {}
    match words.next() {
        Some(w) if w == "curl" || w.ends_with("/curl") || w == "curl.exe" => {}
        Some(w) => return Err(format!("the command is `{w}`, not `curl`")),
        None => return Err("the command is empty".into()),
    }
    let all: Vec<Seen> = options(words, &mut draft.warnings)?;
    for group in all.split(|s| s.name == "next") {
        let mut request = Request::default();
        for seen in group {
            request.take(seen, cwd, &mut draft.warnings);
        }
        request.steps(&mut draft, hosts)?;
    }
    if draft.steps.is_empty() {
        return Err("the command names no URL".into());
    }
    draft.about.push("Made from a curl command.".into());
    draft.name = match &draft.steps[..] {
        [one] => format!("{} {} is answered", one.method, super::path_of(&one.url)),
        all => format!("{} requests are answered", all.len()),
    };
    Ok(draft)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
    })
}

/// What the options of one request say.
#[derive(Default)]
struct Request {
    urls: Vec<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    data: Vec<String>,
    json: bool,
    parts: Vec<Part>,
    query: Vec<String>,
    auth: Option<Auth>,
    cookies: Vec<String>,
    insecure: bool,
    follows: bool,
    most_redirects: Option<u32>,
    get: bool,
    head: bool,
    http2: bool,
    connect_timeout: Option<String>,
    timeout: Option<String>,
}

/// A part of a form with files.
struct Part {
    name: String,
    value: String,
    file: Option<String>,
    kind: Option<String>,
}

impl Request {
    fn take(&mut self, seen: &Seen, cwd: &Path, warnings: &mut Vec<String>) {
        let value = seen.value.clone().unwrap_or_default();
        match seen.name.as_str() {
            "url" => self.urls.push(value),
            "request" => self.method = Some(value.to_ascii_uppercase()),
            "header" => match value.split_once(':') {
                Some((name, text)) if !text.trim().is_empty() => {
                    self.headers.push((name.trim().into(), text.trim().into()));
                }
                _ if value.starts_with('@') => {
                    warnings.push(format!("-H {value}: headers of a file are left out"));
                }
                _ => match value.strip_suffix(';') {
                    Some(name) => self.headers.push((name.into(), String::new())),
                    None => warnings.push(format!(
                        "-H '{value}' removes a header that curl sends; a step does not send it"
                    )),
                },
            },
            "data" | "data-ascii" => match value.strip_prefix('@') {
                Some(file) => {
                    if let Some(text) = files::inline(cwd, file, "-d", warnings) {
                        self.data.push(text.replace(['\n', '\r'], ""));
                    }
                }
                None => self.data.push(value),
            },
            "data-raw" => self.data.push(value),
            "data-binary" | "json" => {
                self.json |= seen.name == "json";
                match value.strip_prefix('@') {
                    Some(file) => self
                        .data
                        .extend(files::inline(cwd, file, &format!("--{}", seen.name), warnings)),
                    None => self.data.push(value),
                }
            }
            "data-urlencode" => self.data.extend(encoded(&value, cwd, warnings)),
            "url-query" => match value.strip_prefix('+') {
                Some(raw) => self.query.push(raw.to_owned()),
                None => self.query.extend(encoded(&value, cwd, warnings)),
            },
            "form" | "form-string" => {
                self.parts.extend(part(&value, seen.name == "form", cwd, warnings));
            }
            "user" => {
                let (user, password) = match value.split_once(':') {
                    Some((u, p)) => (u.to_owned(), Some(p.to_owned())),
                    None => (value, None),
                };
                self.auth = Some(Auth::Basic(user, password));
            }
            "oauth2-bearer" => self.auth = Some(Auth::Bearer(value)),
            "cookie" if value.contains('=') => self.cookies.push(value),
            "cookie" => warnings.push(format!(
                "-b {value}: cookies of a file are left out; a scenario keeps the cookies that it is given"
            )),
            "user-agent" => self.headers.push(("User-Agent".into(), value)),
            "referer" => self
                .headers
                .push(("Referer".into(), value.trim_end_matches(";auto").into())),
            "insecure" => self.insecure = true,
            "location" | "location-trusted" => self.follows = true,
            "max-redirs" => self.most_redirects = value.parse().ok(),
            "get" => self.get = true,
            "head" => self.head = true,
            "http2" | "http2-prior-knowledge" => self.http2 = true,
            "http1.1" | "http1.0" | "compressed" => {}
            "max-time" | "connect-timeout" => {
                let time = seconds(&value);
                if time.is_none() {
                    warnings.push(format!("--{} {value} is left out: it is no number", seen.name));
                }
                match seen.name.as_str() {
                    "max-time" => self.timeout = time,
                    _ => self.connect_timeout = time,
                }
            }
            // What is left was told when it was read.
            _ => debug_assert!(seen.kind != Kind::Known, "{}", seen.name),
        }
    }

    fn steps(mut self, draft: &mut Draft, hosts: &mut Hosts) -> Result<(), String> {
        let urls = std::mem::take(&mut self.urls);
        for url in urls {
            let step = self.step(&url, draft, hosts)?;
            draft.steps.push(step);
        }
        Ok(())
    }

    fn step(&self, url: &str, draft: &mut Draft, hosts: &mut Hosts) -> Result<Step, String> {
        let mut url = url.to_owned();
        if !url.contains("://") {
            url = format!("http://{url}");
        }
        let mut auth = self.auth.clone();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", ""));
        if !matches!(scheme, "http" | "https") {
            return Err(format!("`{url}` is no URL of HTTP"));
        }
        if let Some((who, host)) = rest.split_once('@').filter(|(who, _)| !who.contains('/')) {
            let (user, password) = match who.split_once(':') {
                Some((u, p)) => (u.to_owned(), Some(p.to_owned())),
                None => (who.to_owned(), None),
            };
            auth.get_or_insert(Auth::Basic(user, password));
            url = format!("{scheme}://{host}");
        }
        let mut query = self.query.clone();
        let body_data = !self.data.is_empty() && !self.get && !self.head;
        if !body_data {
            query.extend(self.data.iter().cloned());
        }
        if !query.is_empty() {
            let (bare, fragment) = url
                .split_once('#')
                .map_or((url.as_str(), ""), |(a, b)| (a, b));
            let sign = if bare.contains('?') { '&' } else { '?' };
            let _ = fragment;
            url = format!("{bare}{sign}{}", query.join("&"));
        }
        let mut step = Step {
            insecure: self.insecure,
            http2: self.http2,
            connect_timeout: self.connect_timeout.clone(),
            timeout: self.timeout.clone(),
            // curl follows redirects only when it is told to.
            redirects: match (self.follows, self.most_redirects) {
                (false, _) => Some(0),
                (true, most) => most,
            },
            ..Step::default()
        };
        let content_type = self.headers(&mut step, &mut auth, draft);
        self.body(&mut step, content_type, body_data, draft);
        step.auth = auth.map(|a| match a {
            Auth::Basic(user, Some(p)) if !is_marked(&p) => {
                Auth::Basic(user, Some(draft.secrets.put("password", &p)))
            }
            Auth::Bearer(t) if !is_marked(&t) => Auth::Bearer(draft.secrets.put("token", &t)),
            other => other,
        });
        let has_body = !matches!(step.body, Body::None);
        step.method = match &self.method {
            Some(m) => m.clone(),
            None if self.head => "HEAD".into(),
            None if has_body || body_data => "POST".into(),
            None => "GET".into(),
        };
        step.url = draft
            .secrets
            .clean_url(&hosts.rewrite(&url, &mut draft.warnings));
        step.expect.push("status < 400".into());
        step.hints.push(
            "Say what users rely on, such as: - status == 201, - json.total > 0, - { jsonpath: $.id, exists: true }"
                .into(),
        );
        Ok(step)
    }

    /// Headers that a step needs; the type of the body apart.
    fn headers(
        &self,
        step: &mut Step,
        auth: &mut Option<Auth>,
        draft: &mut Draft,
    ) -> Option<String> {
        let mut content_type = None;
        let cookies =
            (!self.cookies.is_empty()).then(|| ("Cookie".to_owned(), self.cookies.join("; ")));
        for (name, value) in self.headers.iter().cloned().chain(cookies) {
            match name.to_ascii_lowercase().as_str() {
                "content-type" => content_type = Some(value),
                "content-length" | "connection" | "accept-encoding" | "host" => {
                    draft.warnings.push(format!(
                        "the header {name} is left out: the step sets it by itself"
                    ));
                }
                _ => match draft.secrets.header(&name, &value) {
                    Header::Auth(a) => *auth = Some(a),
                    Header::Value(v) => step.headers.push((name, v)),
                },
            }
        }
        content_type
    }

    fn body(
        &self,
        step: &mut Step,
        content_type: Option<String>,
        has_data: bool,
        draft: &mut Draft,
    ) {
        let mut content_type = content_type;
        if !self.parts.is_empty() {
            let (kind, text) = multipart(&self.parts, draft);
            step.headers.push(("Content-Type".into(), kind));
            step.body = Body::Text(text);
            return;
        }
        if !has_data {
            if let Some(kind) = content_type {
                step.headers.push(("Content-Type".into(), kind));
            }
            return;
        }
        let text = self.data.join(if self.json { "" } else { "&" });
        if self.json {
            content_type.get_or_insert("application/json".into());
            if !step
                .headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case("accept"))
            {
                step.headers
                    .push(("Accept".into(), "application/json".into()));
            }
        }
        let kind = content_type.unwrap_or_else(|| "application/x-www-form-urlencoded".into());
        step.body = body_of(&text, &kind, step, draft);
    }
}

/// A body of a type, with its type as a header where the body does not say it.
pub fn body_of(text: &str, kind: &str, step: &mut Step, draft: &mut Draft) -> Body {
    let plain = kind
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    if plain == "application/json" || plain.ends_with("+json") {
        if let Ok(mut json) = serde_json::from_str::<Json>(text)
            && fits(&json)
        {
            draft.secrets.clean(&mut json);
            if plain != "application/json" {
                step.headers.push(("Content-Type".into(), kind.to_owned()));
            }
            return Body::Json(json);
        }
        step.headers.push(("Content-Type".into(), kind.to_owned()));
        return Body::Text(text.to_owned());
    }
    if plain == "application/x-www-form-urlencoded"
        && let Some(mut pairs) = form(text)
    {
        draft.secrets.clean_pairs(&mut pairs);
        return Body::Form(pairs);
    }
    if plain == "application/x-www-form-urlencoded" && text.trim_start().starts_with(['{', '[']) {
        step.notes.push("The body looks like JSON and is sent as a form, as curl does: use `json:` if JSON is meant.".into());
    }
    step.headers.push(("Content-Type".into(), kind.to_owned()));
    Body::Text(text.to_owned())
}

/// `name=value`, `=value`, `value`, `name@file`, `@file`.
fn encoded(text: &str, cwd: &Path, warnings: &mut Vec<String>) -> Option<String> {
    let keep = |s: &str| {
        if is_marked(s) {
            return s.to_owned();
        }
        percent_encoding::utf8_percent_encode(s, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%2E", ".")
            .replace("%2D", "-")
            .replace("%5F", "_")
            .replace("%7E", "~")
    };
    if let Some((name, value)) = text.split_once('=') {
        return Some(match name.is_empty() {
            true => keep(value),
            false => format!("{name}={}", keep(value)),
        });
    }
    if let Some((name, file)) = text.split_once('@') {
        let value = files::inline(cwd, file, "--data-urlencode", warnings)?;
        return Some(match name.is_empty() {
            true => keep(&value),
            false => format!("{name}={}", keep(&value)),
        });
    }
    Some(keep(text))
}

/// `name=value;type=…`, `name=@file;filename=…`, `name=<file`.
fn part(text: &str, files: bool, cwd: &Path, warnings: &mut Vec<String>) -> Option<Part> {
    let Some((name, value)) = text.split_once('=') else {
        warnings.push(format!("-F {text} is left out: it names no field"));
        return None;
    };
    let mut part = Part {
        name: name.to_owned(),
        value: value.to_owned(),
        file: None,
        kind: None,
    };
    if !files {
        return Some(part);
    }
    let mut words = value.split(';');
    let first = words.next().unwrap_or("").to_owned();
    let mut rest = Vec::new();
    for word in words {
        match word.trim().split_once('=') {
            Some(("type", kind)) => part.kind = Some(kind.to_owned()),
            Some(("filename", file)) => part.file = Some(file.trim_matches('"').to_owned()),
            _ => rest.push(word.to_owned()),
        }
    }
    let first = std::iter::once(first)
        .chain(rest)
        .collect::<Vec<_>>()
        .join(";");
    let (sign, file) = first.split_at(first.chars().next().map_or(0, char::len_utf8));
    match sign {
        "@" | "<" => {
            part.value = files::inline(cwd, file, "-F", warnings)?;
            if sign == "@" {
                let name = Path::new(file).file_name();
                let name = name.map_or_else(|| file.to_owned(), |n| n.to_string_lossy().into());
                part.file.get_or_insert(name);
                part.kind.get_or_insert("application/octet-stream".into());
            }
        }
        _ => part.value = first,
    }
    Some(part)
}

fn multipart(parts: &[Part], draft: &mut Draft) -> (String, String) {
    let all: String = parts.iter().map(|p| p.value.as_str()).collect();
    let mut boundary = "prodmirror-part".to_owned();
    while all.contains(&boundary) {
        boundary.push('x');
    }
    let mut text = String::new();
    for p in parts {
        let secret = super::draft::is_secret(&p.name) && p.file.is_none() && !is_marked(&p.value);
        let value = match secret {
            true => draft.secrets.put(&p.name, &p.value),
            false => p.value.clone(),
        };
        let file = p
            .file
            .as_ref()
            .map_or(String::new(), |f| format!("; filename=\"{f}\""));
        let kind = p
            .kind
            .as_ref()
            .map_or(String::new(), |k| format!("Content-Type: {k}\r\n"));
        text.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n{kind}\r\n{value}\r\n",
            p.name
        ));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    (format!("multipart/form-data; boundary={boundary}"), text)
}

/// `2` and `0.5` as durations.
fn seconds(text: &str) -> Option<String> {
    let seconds: f64 = text.parse().ok()?;
    let millis = (seconds * 1000.0).round();
    if !(1.0..=600_000_000.0).contains(&millis) {
        return None;
    }
    Some(match millis % 1000.0 == 0.0 {
        true => format!("{}s", millis / 1000.0),
        false => format!("{millis}ms"),
    })
}
