//! What must hold of a stub beyond its types.

use std::time::Duration;

use super::{MAX_DELAY, Raw, RawKind, Respond, Route, Stub};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::yaml::{Node, Spanned};

pub(super) fn check(stub: &Stub, node: &Node, problems: &mut Problems) {
    for route in &stub.routes {
        if let Err(p) = check_route(route) {
            problems.push(p);
        }
        check_respond(&route.respond, problems);
    }
    if let Some(default) = &stub.default {
        check_respond(default, problems);
    }
    let speaks_http = !stub.routes.is_empty() || stub.default.is_some();
    if stub.mail.is_some() && (speaks_http || stub.raw.is_some()) {
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &node.span,
            "a stub that takes mail (`mail`) speaks SMTP and nothing else: no `routes`, `default`, `raw`",
        ));
    }
    if let Some(raw) = &stub.raw {
        if speaks_http {
            problems.push(Problem::at(
                ProblemKind::Conflict,
                &node.span,
                "a stub speaks HTTP (`routes`, `default`) or raw bytes (`raw`), not both",
            ));
        }
        check_raw(raw, node, problems);
    }
}

fn check_raw(raw: &Raw, node: &Node, problems: &mut Problems) {
    let payloads = usize::from(raw.text.is_some()) + usize::from(raw.base64.is_some());
    if (raw.kind == RawKind::Bytes) != (payloads == 1) {
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &node.span,
            "`raw: { kind: bytes }` takes exactly one of `text` and `base64`; other kinds take none",
        ));
    }
    if let Some(b) = &raw.base64 {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        if let Err(e) = engine.decode(b.as_bytes()) {
            problems.push(Problem::at(
                ProblemKind::InvalidValue,
                &b.span,
                format!("`base64` does not decode: {e}").to_lowercase(),
            ));
        }
    }
}

fn check_route(route: &Route) -> Result<(), Problem> {
    let bad = |at: &Spanned<String>, what: String| {
        Err(Problem::at(ProblemKind::InvalidValue, &at.span, what))
    };
    if let Some(m) = &route.method
        && m.as_str() != "*"
        && !m.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
    {
        return bad(m, format!("`{}` is not an HTTP method", m.as_str()));
    }
    if let Some(pattern) = route.path.strip_prefix('~') {
        if let Err(e) = regex::Regex::new(pattern) {
            let why = e.to_string();
            let why = why
                .lines()
                .last()
                .unwrap_or("")
                .trim_start_matches("error: ");
            return bad(
                &route.path,
                format!("`{pattern}` is not a regular expression: {why}"),
            );
        }
    } else if !route.path.starts_with('/') {
        return bad(
            &route.path,
            format!(
                "a path begins with `/` (or with `~` for a regular expression), not `{}`",
                route.path.as_str()
            ),
        );
    }
    for (pointer, node) in &route.when.json {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                format!("`{pointer}` is not a JSON pointer: write `/{pointer}`"),
            ));
        }
    }
    Ok(())
}

fn check_respond(r: &Respond, problems: &mut Problems) {
    if let Some(s) = &r.status
        && !(100..=599).contains(&s.value)
    {
        problems.push(Problem::at(
            ProblemKind::InvalidValue,
            &s.span,
            format!("{} is not an HTTP status (100 to 599)", s.value),
        ));
    }
    if let (Some(_), Some(body)) = (&r.json, &r.body) {
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &body.span,
            "an answer has `json` or `body`, not both",
        ));
    }
    if let Some(d) = &r.delay
        && let Err(p) = delay_of(d)
    {
        problems.push(p);
    }
    for (name, v) in &r.headers {
        let token = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token || v.contains(['\r', '\n', '\0']) {
            problems.push(Problem::at(
                ProblemKind::InvalidValue,
                &v.span,
                format!("`{name}` is not a valid HTTP header"),
            ));
        }
    }
}

pub(super) fn delay_of(text: &Spanned<String>) -> Result<Duration, Problem> {
    let bad = |what: String| Problem::at(ProblemKind::InvalidValue, &text.span, what);
    let d = humantime::parse_duration(text).map_err(|e| {
        bad(format!("`{}` is not a duration: {e}", text.as_str())).help("write `20ms`, `1s`, `1m`")
    })?;
    if d > MAX_DELAY {
        return Err(bad(format!(
            "a delay of {} is longer than {}",
            text.as_str(),
            humantime::format_duration(MAX_DELAY)
        )));
    }
    Ok(d)
}
