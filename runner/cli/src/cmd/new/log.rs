//! `--from-log`: what one client asked for, of access logs, as steps in order.

mod key;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use self::key::{Kind, keys_of_json, keys_of_text, time_of_json, time_of_text};
use super::draft::{Draft, Secrets, Step};
use super::files;
use super::host::Hosts;

/// Steps that are made at most.
const MOST: usize = 100;

/// A request that was logged.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Seen {
    method: String,
    path: String,
    status: u16,
    host: Option<String>,
}

/// A line of a log.
#[derive(Debug, Clone)]
struct Line {
    seen: Seen,
    /// When.
    at: Option<Timestamp>,
    /// Who asked, and as part of what.
    keys: Vec<(Kind, String)>,
    /// The line, where it is JSON.
    json: Json,
}

impl Line {
    /// Whether it has this value for a key: a word of [`Kind`], or a field.
    fn has(&self, key: &str, value: &str) -> bool {
        if let Some(kind) = Kind::of(key)
            && self.keys.iter().any(|(k, v)| *k == kind && v == value)
        {
            return true;
        }
        let own = match key {
            "method" => self.seen.method == value,
            "path" => self.seen.path.split('?').next() == Some(value),
            "status" => self.seen.status.to_string() == value,
            _ => false,
        };
        own || field(&self.json, &[key]).and_then(text_of).as_deref() == Some(value)
    }

    fn key(&self, kind: Kind) -> Option<&str> {
        let mut keys = self.keys.iter().filter(|(k, _)| *k == kind);
        keys.next().map(|(_, v)| v.as_str())
    }
}

/// Reads files, or lines.
///
/// # Errors
/// Nothing in them is a request, or none is as it was asked for.
pub fn draft(
    given: &[String],
    (matches, cwd): (&[(String, String)], &Path),
    hosts: &mut Hosts,
) -> Result<Draft, String> {
    let mut draft = Draft::default();
    let mut lines: Vec<Line> = Vec::new();
    let (mut unread, mut first_unread) = (0, None);
    for given in given {
        let path = cwd.join(given);
        let is_file = !given.contains('\n') && given.len() < 4096 && path.is_file();
        let text = match is_file {
            true => files::source(&path)?,
            false => given.to_owned(),
        };
        let before = lines.len();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            match read(line) {
                Some(line) => lines.push(line),
                None => {
                    unread += 1;
                    first_unread.get_or_insert_with(|| line.to_owned());
                }
            }
        }
        if lines.len() == before {
            return Err(match is_file {
                true => {
                    format!("no line of {given} is a request in the form of nginx, Apache or JSON")
                }
                false => "it is neither a file nor a line of an access log (nginx, Apache or JSON)"
                    .into(),
            });
        }
    }
    if let Some(line) = first_unread {
        let shown: String = line.chars().take(60).filter(|c| !c.is_control()).collect();
        draft.warnings.push(format!(
            "left out: {unread} lines that are no requests, such as `{shown}`"
        ));
    }
    let all = lines.len();
    let of = match matches.is_empty() {
        true => of_most(&mut lines, &mut draft.warnings),
        false => {
            let had = counts(&lines);
            lines.retain(|l| matches.iter().all(|(k, v)| l.has(k, v)));
            let asked: Vec<String> = matches.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let asked = asked.join(" and ");
            if lines.is_empty() {
                return Err(format!(
                    "none of {all} requests has {asked}; there are: {had}"
                ));
            }
            draft
                .warnings
                .push(format!("{} of {all} requests have {asked}", lines.len()));
            "Made from the requests of an access log that match."
        }
    };
    draft.about.push(of.into());
    // Files may overlap, and servers write a line when a request ends.
    if lines.iter().all(|l| l.at.is_some()) {
        lines.sort_by_key(|l| l.at);
    }
    steps(&lines, &mut draft, hosts);
    let without = "an access log holds no bodies, cookies or other headers: none is made up";
    draft
        .about
        .push("It holds no bodies, cookies or other headers: none is made up.".into());
    draft.warnings.push(without.into());
    draft.name = match &draft.steps[..] {
        [one] => format!(
            "{} {} is answered as it was logged",
            one.method,
            super::path_of(&one.url)
        ),
        all => format!("{} requests are answered as they were logged", all.len()),
    };
    Ok(draft)
}

/// Leaves the lines of whoever asked most; all, where nothing tells who asked.
fn of_most(lines: &mut Vec<Line>, warnings: &mut Vec<String>) -> &'static str {
    let all = lines.len();
    for kind in Kind::DEFAULTS {
        let ranking = ranking(lines, kind);
        let known: usize = ranking.iter().map(|(_, n)| n).sum();
        let Some((value, most)) = ranking.first().cloned() else {
            continue;
        };
        // Of a key that few lines have, nothing follows for the others.
        if known * 2 < all || (most == 1 && all > 1) {
            continue;
        }
        if most < all {
            lines.retain(|l| l.key(kind) == Some(value.as_str()));
            let (word, value) = (kind.word(), kind.shown(&value));
            warnings.push(format!(
                "{most} of {all} requests are taken, those of {word}={value}, which asked most; --match KEY=VALUE takes others"
            ));
            return "Made from the requests of one client in an access log.";
        }
        break;
    }
    "Made from an access log."
}

/// Values of a key, the most frequent first; of equal ones the first.
fn ranking(lines: &[Line], kind: Kind) -> Vec<(String, usize)> {
    let mut at: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut all: Vec<(String, usize)> = Vec::new();
    for value in lines.iter().filter_map(|l| l.key(kind)) {
        let i = *at.entry(value).or_insert_with(|| {
            all.push((value.to_owned(), 0));
            all.len() - 1
        });
        all[i].1 += 1;
    }
    all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    all
}

/// What there is to ask for.
fn counts(lines: &[Line]) -> String {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let shown = ranking(lines, kind).into_iter().take(3);
        all.extend(shown.map(|(v, n)| format!("{}={} ({n})", kind.word(), kind.shown(&v))));
    }
    match all.is_empty() {
        true => "no keys, only fields such as method, path and status".into(),
        false => all.join(", "),
    }
}

fn steps(lines: &[Line], draft: &mut Draft, hosts: &mut Hosts) {
    let mut at = 0;
    let mut before: Option<&Line> = None;
    while let Some(line) = lines.get(at) {
        let again = lines[at..]
            .iter()
            .take_while(|l| l.seen == line.seen)
            .count();
        if draft.steps.len() == MOST {
            let more = lines.len() - at;
            draft.warnings.push(format!(
                "left out: the last {more} of {} requests, beyond {MOST} steps",
                lines.len()
            ));
            return;
        }
        let mut step = step(
            &line.seen,
            again,
            (&mut draft.secrets, &mut draft.warnings),
            hosts,
        );
        let gap = before.and_then(|b| Some(line.at?.duration_since(b.at?)));
        let gap = gap.and_then(|g| Duration::try_from(g).ok());
        if let Some(note) = gap.and_then(super::after) {
            step.notes.insert(0, note);
        }
        draft.steps.push(step);
        at += again;
        before = lines.get(at - 1);
    }
}

fn step(
    seen: &Seen,
    n: usize,
    (secrets, warnings): (&mut Secrets, &mut Vec<String>),
    hosts: &mut Hosts,
) -> Step {
    let url = match &seen.host {
        Some(host) => hosts.rewrite(&format!("http://{host}{}", seen.path), warnings),
        None => format!("{}{}", hosts.front(), seen.path),
    };
    let mut step = Step {
        method: seen.method.clone(),
        url: secrets.clean_url(&url),
        ..Step::default()
    };
    if n > 1 {
        step.notes.push(format!("Logged {n} times in a row."));
    }
    if ["POST", "PUT", "PATCH"].contains(&seen.method.as_str()) {
        step.notes
            .push("A log does not have the body: add `json:`, `form:` or `body:`.".into());
    }
    if (300..400).contains(&seen.status) {
        step.redirects = Some(0);
    }
    step.expect.push(format!("status == {}", seen.status));
    step
}

fn read(line: &str) -> Option<Line> {
    let line = line.trim();
    // A log driver may have put something before it.
    match line.find('{') {
        Some(i) if line.ends_with('}') => {
            let json: Json = serde_json::from_str(&line[i..]).ok()?;
            Some(Line {
                seen: of_json(&json)?,
                at: time_of_json(&json),
                keys: keys_of_json(&json),
                json,
            })
        }
        _ => Some(Line {
            seen: of_text(line)?,
            at: time_of_text(line),
            keys: keys_of_text(line),
            json: Json::Null,
        }),
    }
}

/// `1.2.3.4 - ann [time] "GET /path HTTP/1.1" 200 512 "referer" "agent"`.
fn of_text(line: &str) -> Option<Seen> {
    for (at, _) in line.match_indices('"') {
        let rest = &line[at + 1..];
        let Some(end) = closing(rest) else { continue };
        let Some((method, path)) = request(&rest[..end]) else {
            continue;
        };
        let mut behind = rest[end + 1..].split_whitespace();
        let status = behind
            .next()?
            .parse()
            .ok()
            .filter(|s| (100..600).contains(s))?;
        return Some(Seen {
            method,
            path,
            status,
            host: None,
        });
    }
    None
}

/// The quote that ends a text in which quotes are escaped.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(i, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(i)
    })
}

/// `GET /path HTTP/1.1`.
fn request(text: &str) -> Option<(String, String)> {
    let mut words = text.split(' ');
    let method = words.next()?;
    let path = words.next()?;
    let version = words.next();
    let version_fits = version.is_none_or(|v| v.starts_with("HTTP/"));
    Some((method_of(method)?, path_of(path)?)).filter(|_| version_fits && words.next().is_none())
}

fn method_of(text: &str) -> Option<String> {
    let fits =
        !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_alphabetic());
    fits.then(|| text.to_ascii_uppercase())
        .filter(|m| m != "CONNECT")
}

/// The path of a target, which may be a whole URL.
fn path_of(text: &str) -> Option<String> {
    let path = match text.contains("://") && !text.starts_with('/') {
        true => super::draft::split_url(text).1,
        false => text,
    };
    let path = path.split('#').next().unwrap_or("");
    path.starts_with('/').then(|| path.to_owned())
}

/// One of some fields; a dot in a name is a field of a field, or stands in the name.
fn field<'j>(json: &'j Json, names: &[&str]) -> Option<&'j Json> {
    names.iter().find_map(|name| {
        let whole = json.get(name);
        let found = whole.or_else(|| name.split('.').try_fold(json, |j, k| j.get(k)));
        found.filter(|v| !v.is_null() && *v != "")
    })
}

fn text_of(json: &Json) -> Option<String> {
    match json {
        Json::String(s) => Some(s.clone()),
        Json::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn of_json(json: &Json) -> Option<Seen> {
    const METHOD: [&str; 12] = [
        "method",
        "request_method",
        "http_method",
        "RequestMethod",
        "verb",
        "req.method",
        "request.method",
        "http.request.method",
        "http.method",
        "httpRequest.requestMethod",
        "requestMethod",
        "cs-method",
    ];
    const PATH: [&str; 18] = [
        "request_uri",
        "uri",
        "path",
        "url",
        "target",
        "RequestPath",
        "request_path",
        "req.url",
        "request.uri",
        "request.url",
        "request.path",
        "url.original",
        "url.path",
        "http.url",
        "http.target",
        "httpRequest.requestUrl",
        "requestUrl",
        "cs-uri-stem",
    ];
    const STATUS: [&str; 15] = [
        "status",
        "status_code",
        "statusCode",
        "http_status",
        "response_code",
        "DownstreamStatus",
        "code",
        "res.statusCode",
        "response.status",
        "response.status_code",
        "http.response.status_code",
        "http.status_code",
        "httpRequest.status",
        "sc-status",
        "resp_status",
    ];
    const HOST: [&str; 9] = [
        "host",
        "http_host",
        "RequestHost",
        "server_name",
        "vhost",
        "req.headers.host",
        "request.host",
        "url.domain",
        "authority",
    ];
    let status = field(json, &STATUS).and_then(text_of)?;
    let status = status.parse().ok().filter(|s| (100..600).contains(s))?;
    let line = field(json, &["request", "request_line", "requestLine"]).and_then(Json::as_str);
    let (method, path) = match line.and_then(request) {
        Some(both) => both,
        None => {
            let method = field(json, &METHOD).and_then(text_of)?;
            let mut path = path_of(&field(json, &PATH).and_then(text_of)?)?;
            let query =
                field(json, &["query_string", "args", "query", "url.query"]).and_then(text_of);
            if let Some(q) = query.filter(|q| !path.contains('?') && q != "-" && q != "?") {
                path = format!("{path}?{}", q.trim_start_matches('?'));
            }
            (method_of(&method)?, path)
        }
    };
    let host = field(json, &HOST).and_then(text_of).filter(|h| {
        !h.is_empty()
            && h != "_"
            && h.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'))
    });
    Some(Seen {
        method,
        path,
        status,
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(line: &str, wanted: &str) {
        let seen = read(line).map(|l| l.seen);
        let seen = seen.map(|s| format!("{} {} {} {:?}", s.method, s.path, s.status, s.host));
        assert_eq!(seen.as_deref(), Some(wanted), "{line}");
    }

    #[test]
    fn forms_of_logs() {
        is(
            r#"203.0.113.9 - ann [10/Oct/2026:13:55:36 +0000] "GET /orders?page=2 HTTP/1.1" 200 512 "https://x.example/" "Mozilla/5.0 (\"x\")""#,
            "GET /orders?page=2 200 None",
        );
        is(
            r#"::1 - - [10/Oct/2026:13:55:36 +0000] "post /a HTTP/2.0" 201 -"#,
            "POST /a 201 None",
        );
        is(
            r#"shop.example:443 1.2.3.4 - - [x] "GET http://shop.example/b HTTP/1.1" 304 0"#,
            "GET /b 304 None",
        );
        is(
            r#"{"time":"x","request":"DELETE /o/7 HTTP/1.1","status":"204","host":"shop.example"}"#,
            "DELETE /o/7 204 Some(\"shop.example\")",
        );
        is(
            r#"web-1  | {"method":"GET","uri":"/a","args":"b=1","status":200}"#,
            "GET /a?b=1 200 None",
        );
        is(
            r#"{"request":{"method":"GET","host":"s.example:8443","uri":"/c?d=1"},"status":404}"#,
            "GET /c?d=1 404 Some(\"s.example:8443\")",
        );
        is(
            r#"{"RequestMethod":"GET","RequestPath":"/t","DownstreamStatus":502,"RequestHost":"_"}"#,
            "GET /t 502 None",
        );
        is(
            r#"{"http.request.method":"PUT","url.original":"/e","http.response.status_code":200}"#,
            "PUT /e 200 None",
        );
        for none in [
            "hello",
            r#"1.2.3.4 - - [x] "\x16\x03\x01" 400 0"#,
            r#"1.2.3.4 - - [x] "-" 408 0"#,
            r#"{"level":"info","status":200}"#,
            r#"{"method":"GET","path":"/a","status":"ok"}"#,
            "",
        ] {
            assert!(read(none).is_none(), "{none}");
        }
    }
}
