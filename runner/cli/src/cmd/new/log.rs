//! `--from-log`: lines of access logs as steps.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use super::draft::{Draft, Step};
use super::files;
use super::host::Hosts;

/// Steps that are made at most.
const MOST: usize = 100;

/// A request that was logged.
#[derive(Debug, PartialEq, Eq, Clone, PartialOrd, Ord)]
struct Seen {
    method: String,
    path: String,
    status: u16,
    host: Option<String>,
}

/// Reads a file, or one line.
///
/// # Errors
/// Nothing in it is a request.
pub fn draft(given: &str, hosts: &mut Hosts, cwd: &Path) -> Result<Draft, String> {
    let path = cwd.join(given);
    let is_file = !given.contains('\n') && given.len() < 4096 && path.is_file();
    let text = match is_file {
        true => files::source(&path)?,
        false => given.to_owned(),
    };
    let mut draft = Draft::default();
    let mut counts: BTreeMap<Seen, usize> = BTreeMap::new();
    let mut order: Vec<Seen> = Vec::new();
    let (mut unread, mut first_unread) = (0, None);
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        match read(line) {
            Some(seen) => {
                let n = counts.entry(seen.clone()).or_default();
                if *n == 0 {
                    order.push(seen);
                }
                *n += 1;
            }
            None => {
                unread += 1;
                first_unread.get_or_insert(line);
            }
        }
    }
    if order.is_empty() {
        return Err(match is_file {
            true => "no line of it is a request in the form of nginx, Apache or JSON".into(),
            false => {
                "it is neither a file nor a line of an access log (nginx, Apache or JSON)".into()
            }
        });
    }
    if let Some(line) = first_unread {
        let shown: String = line.chars().take(60).filter(|c| !c.is_control()).collect();
        draft.warnings.push(format!(
            "left out: {unread} lines that are no requests, such as `{shown}`"
        ));
    }
    if order.len() > MOST {
        draft.warnings.push(format!(
            "left out: {} of {} different requests",
            order.len() - MOST,
            order.len()
        ));
        order.truncate(MOST);
    }
    for seen in order {
        let n = counts.get(&seen).copied().unwrap_or(1);
        draft.steps.push(step(
            &seen,
            n,
            &mut draft.secrets,
            &mut draft.warnings,
            hosts,
        ));
    }
    draft.about.push("Made from an access log.".into());
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

fn step(
    seen: &Seen,
    n: usize,
    secrets: &mut super::draft::Secrets,
    warnings: &mut Vec<String>,
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
        step.notes.push(format!("Logged {n} times."));
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

fn read(line: &str) -> Option<Seen> {
    let line = line.trim();
    // A log driver may have put something before it.
    match line.find('{') {
        Some(i) if line.ends_with('}') => {
            let json = serde_json::from_str(&line[i..]).ok()?;
            of_json(&json)
        }
        _ => of_text(line),
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
    let text = |v: &Json| match v {
        Json::String(s) => Some(s.clone()),
        Json::Number(n) => Some(n.to_string()),
        _ => None,
    };
    let status = field(json, &STATUS).and_then(text)?;
    let status = status.parse().ok().filter(|s| (100..600).contains(s))?;
    let line = field(json, &["request", "request_line", "requestLine"]).and_then(Json::as_str);
    let (method, path) = match line.and_then(request) {
        Some(both) => both,
        None => {
            let method = field(json, &METHOD).and_then(text)?;
            let mut path = path_of(&field(json, &PATH).and_then(text)?)?;
            let query = field(json, &["query_string", "args", "query", "url.query"]).and_then(text);
            if let Some(q) = query.filter(|q| !path.contains('?') && q != "-" && q != "?") {
                path = format!("{path}?{}", q.trim_start_matches('?'));
            }
            (method_of(&method)?, path)
        }
    };
    let host = field(json, &HOST).and_then(text).filter(|h| {
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
        let seen = read(line).map(|s| format!("{} {} {} {:?}", s.method, s.path, s.status, s.host));
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
            assert_eq!(read(none), None, "{none}");
        }
    }
}
