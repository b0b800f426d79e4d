//! Cookies that a response sets.

use std::fmt;

use serde_json::Value as Json;

use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::template::Document;

/// Attributes of a cookie, as `Set-Cookie` writes them.
const ATTRIBUTES: [&str; 8] = [
    "Value", "Expires", "Max-Age", "Domain", "Path", "Secure", "HttpOnly", "SameSite",
];

/// A cookie, and which part of it: `session`, `session[HttpOnly]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    name: String,
    attribute: Option<&'static str>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attribute {
            None => f.write_str(&self.name),
            Some(a) => write!(f, "{}[{a}]", self.name),
        }
    }
}

impl Wanted {
    /// Reads a name, with an attribute in brackets.
    ///
    /// # Errors
    /// An attribute that cookies do not have.
    pub fn read(text: &str, span: &Span) -> Result<Self, Problem> {
        let bad = |what: String| Problem::at(ProblemKind::InvalidValue, span, what);
        let (name, rest) = match text.split_once('[') {
            None => (text, None),
            Some((name, rest)) => (name, Some(rest)),
        };
        if name.trim().is_empty() {
            return Err(bad("`cookie` takes the name of a cookie".into())
                .help("write `cookie: session` or `cookie: session[HttpOnly]`"));
        }
        let attribute = match rest {
            None => None,
            Some(rest) => {
                let wanted = rest.strip_suffix(']').ok_or_else(|| {
                    bad(format!("`{text}` has a `[` without a `]`"))
                        .help("write `cookie: session[HttpOnly]`")
                })?;
                let known = ATTRIBUTES.iter().find(|a| a.eq_ignore_ascii_case(wanted));
                Some(*known.ok_or_else(|| {
                    let p = bad(format!("a cookie has no attribute `{wanted}`"));
                    match nearest(wanted, ATTRIBUTES) {
                        Some(n) => p.help(format!("did you mean `{n}`?")),
                        None => p.help(format!("it has {}", ATTRIBUTES.join(", "))),
                    }
                })?)
            }
        };
        Ok(Self {
            name: name.trim().to_owned(),
            attribute: attribute.filter(|a| *a != "Value"),
        })
    }

    /// What the response sets. Attributes without a value are `true`, `Max-Age` is a number.
    pub fn find(&self, document: &Document) -> Option<Json> {
        let set = set_cookies(document)
            .into_iter()
            .rfind(|c| c.name == self.name)?;
        let Some(attribute) = self.attribute else {
            return Some(Json::from(set.value));
        };
        let (_, value) = set
            .attributes
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(attribute))?;
        Some(match attribute {
            "Secure" | "HttpOnly" => Json::from(true),
            "Max-Age" => value
                .parse::<i64>()
                .map_or_else(|_| Json::from(*value), Json::from),
            _ => Json::from(*value),
        })
    }

    /// Which cookies there are, when this one is not.
    pub fn why_nothing(&self, document: &Document) -> Option<String> {
        let set = set_cookies(document);
        if set.iter().any(|c| c.name == self.name) {
            return Some("the cookie is there without it".into());
        }
        if set.is_empty() {
            let kept = document.get("cookies").and_then(|c| c.get(&self.name));
            return Some(match kept {
                Some(_) => {
                    "this response sets no cookies; one of an earlier response is in `cookies`"
                        .into()
                }
                None => "the response sets no cookies".into(),
            });
        }
        let names: Vec<&str> = set.iter().map(|c| c.name).collect();
        Some(format!("the response sets {}", names.join(", ")))
    }
}

struct Set<'d> {
    name: &'d str,
    value: &'d str,
    attributes: Vec<(&'d str, &'d str)>,
}

fn set_cookies(document: &Document) -> Vec<Set<'_>> {
    let header = document.get("headers").and_then(|h| h.get("set-cookie"));
    let texts: Vec<&str> = match header {
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(s)) => vec![s],
        _ => Vec::new(),
    };
    texts.into_iter().filter_map(parse).collect()
}

fn parse(text: &str) -> Option<Set<'_>> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    Some(Set {
        name: name.trim(),
        value,
        attributes: parts
            .map(|p| {
                let (k, v) = p.split_once('=').unwrap_or((p, ""));
                (k.trim(), v.trim())
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Document {
        Document::default().with(
            "headers",
            json!({"set-cookie": [
                "session=abc=1; Path=/; HttpOnly; Max-Age=3600",
                "theme=\"dark\"; Secure; SameSite=Lax; Expires=Thu, 29 Feb 2024 12:00:00 GMT",
            ]}),
        )
    }

    fn find(text: &str) -> Option<Json> {
        Wanted::read(text, &Span::generated())
            .unwrap()
            .find(&document())
    }

    #[test]
    fn values_and_attributes() {
        assert_eq!(find("session"), Some(json!("abc=1")));
        assert_eq!(find("session[Value]"), Some(json!("abc=1")));
        assert_eq!(find("session[httponly]"), Some(json!(true)));
        assert_eq!(find("session[Max-Age]"), Some(json!(3600)));
        assert_eq!(find("session[Secure]"), None);
        assert_eq!(find("theme"), Some(json!("dark")));
        assert_eq!(find("theme[SameSite]"), Some(json!("Lax")));
        assert_eq!(
            find("theme[Expires]"),
            Some(json!("Thu, 29 Feb 2024 12:00:00 GMT"))
        );
        assert_eq!(find("other"), None);
    }

    #[test]
    fn what_is_missing_is_explained() {
        let why = |text: &str| {
            Wanted::read(text, &Span::generated())
                .unwrap()
                .why_nothing(&document())
        };
        assert_eq!(
            why("sesion").as_deref(),
            Some("the response sets session, theme")
        );
        assert_eq!(
            why("session[Secure]").as_deref(),
            Some("the cookie is there without it")
        );
    }

    #[test]
    fn mistakes() {
        let p = Wanted::read("session[HttpOnle]", &Span::generated()).unwrap_err();
        assert_eq!(p.message, "a cookie has no attribute `HttpOnle`");
        assert_eq!(p.help.as_deref(), Some("did you mean `HttpOnly`?"));
        assert!(Wanted::read("session[HttpOnly", &Span::generated()).is_err());
        assert!(Wanted::read("", &Span::generated()).is_err());
    }
}
