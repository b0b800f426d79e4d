//! A scenario before it is written: requests, what is expected of them, and what is not said.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Where an expression of a template begins and ends in a text; neither stands in real texts.
const OPENS: char = '\u{E000}';
/// See [`OPENS`].
const CLOSES: char = '\u{E001}';

/// An expression that is rendered when the step runs.
pub fn mark(expression: &str) -> String {
    format!("{OPENS}{expression}{CLOSES}")
}

/// A text as a template: expressions in braces, and braces of the text kept as they are.
pub fn template(text: &str) -> String {
    let mut out = String::new();
    let literal = |part: &str, out: &mut String| {
        let braces = ["{{", "{%", "{#"].iter().any(|b| part.contains(b));
        match braces {
            true => out.push_str(&format!("{{% raw %}}{part}{{% endraw %}}")),
            false => out.push_str(part),
        }
    };
    let mut rest = text;
    while let Some(i) = rest.find(OPENS) {
        literal(&rest[..i], &mut out);
        rest = &rest[i + OPENS.len_utf8()..];
        let end = rest.find(CLOSES).unwrap_or(rest.len());
        out.push_str(&format!("{{{{ {} }}}}", &rest[..end]));
        rest = rest[end..].trim_start_matches(CLOSES);
    }
    literal(rest, &mut out);
    out
}

/// A text with something else in the place of expressions.
pub fn without_marks(text: &str, instead: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split(OPENS).enumerate() {
        match part.split_once(CLOSES).filter(|_| i > 0) {
            Some((_, rest)) => {
                out.push_str(instead);
                out.push_str(rest);
            }
            None => out.push_str(part),
        }
    }
    out
}

/// Whether anything of a text is rendered.
pub fn is_marked(text: &str) -> bool {
    text.contains(OPENS)
}

/// A scenario.
#[derive(Debug, Default)]
pub struct Draft {
    /// Its name, when nobody gave one.
    pub name: String,
    /// Comments at its top.
    pub about: Vec<String>,
    /// Variables.
    pub vars: Vec<(String, Json)>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The values that are not written.
    pub secrets: Secrets,
    /// What was left out, and what is doubtful.
    pub warnings: Vec<String>,
}

/// A step: a request.
#[derive(Debug, Default)]
pub struct Step {
    /// What it does.
    pub name: Option<String>,
    /// Comments before it.
    pub notes: Vec<String>,
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// Who asks.
    pub auth: Option<Auth>,
    /// Any certificate is taken.
    pub insecure: bool,
    /// How many redirects are followed.
    pub redirects: Option<u32>,
    /// HTTP/2 from the start.
    pub http2: bool,
    /// How long a connection may take.
    pub connect_timeout: Option<String>,
    /// How long it may take.
    pub timeout: Option<String>,
    /// What is expected: expressions, and matchers as YAML.
    pub expect: Vec<String>,
    /// The schema of the response.
    pub schema: Option<Json>,
    /// Comments behind what is expected.
    pub hints: Vec<String>,
    /// Values for later steps, as YAML.
    pub capture: Vec<(String, String)>,
    /// A statement in the place of the request.
    pub sql: Option<Sql>,
}

/// A statement of a database.
#[derive(Debug)]
pub struct Sql {
    /// The database.
    pub service: String,
    /// The statement.
    pub query: String,
    /// Values of its parameters.
    pub params: Vec<Json>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A user and a password.
    Basic(String, Option<String>),
    /// A token.
    Bearer(String),
}

/// What a request carries.
#[derive(Debug, Default, Clone)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(Json),
    /// A form.
    Form(Vec<(String, String)>),
    /// A text.
    Text(String),
}

/// Values that do not belong into a file, each with the name that stands for it.
#[derive(Debug, Default)]
pub struct Secrets {
    named: BTreeMap<String, String>,
    /// Those that the project gives already: value and name, longest value first.
    known: Vec<(String, String)>,
}

/// A shorter value is found by chance.
const SHORTEST: usize = 6;

impl Secrets {
    /// Takes a secret that the project gives.
    pub fn know(&mut self, name: &str, value: &str) {
        if value.len() >= SHORTEST {
            self.known.push((value.to_owned(), name.to_owned()));
            self.known.sort_by_key(|(v, _)| std::cmp::Reverse(v.len()));
        }
    }

    /// A text with the project's secrets replaced, wherever they stand in it.
    pub fn hide(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (value, name) in &self.known {
            let with = mark(&format!("secrets.{name}"));
            // What is rendered is left as it is.
            let parts: Vec<String> = out
                .split_inclusive(CLOSES)
                .map(|part| match part.split_once(OPENS) {
                    Some((text, marked)) => {
                        format!("{}{OPENS}{marked}", text.replace(value.as_str(), &with))
                    }
                    None => part.replace(value.as_str(), &with),
                })
                .collect();
            out = parts.concat();
        }
        out
    }

    /// Replaces the project's secrets in all texts of a JSON value.
    pub fn hide_json(&self, json: &mut Json) {
        match json {
            Json::String(s) => *s = self.hide(s),
            Json::Array(items) => items.iter_mut().for_each(|v| self.hide_json(v)),
            Json::Object(map) => map.values_mut().for_each(|v| self.hide_json(v)),
            _ => {}
        }
    }

    /// Takes the values of secret fields out of a body of parts.
    pub fn clean_parts(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(i) = rest.find("; name=\"") {
            let from = i + "; name=\"".len();
            out.push_str(&rest[..from]);
            rest = &rest[from..];
            let Some((name, behind)) = rest.split_once('"') else {
                break;
            };
            let is_field = is_secret(name) && !behind.starts_with("; filename");
            let value = behind.find("\r\n\r\n").map(|i| i + 4);
            let end = value.and_then(|v| Some(v + behind[v..].find("\r\n--")?));
            if let (true, Some(value), Some(end)) = (is_field, value, end)
                && value < end
                && !is_marked(&behind[value..end])
            {
                out.push_str(name);
                out.push('"');
                out.push_str(&behind[..value]);
                out.push_str(&self.put(name, &behind[value..end]));
                rest = &behind[end..];
            }
        }
        out.push_str(rest);
        out
    }

    /// The expression that stands for a secret value.
    pub fn put(&mut self, name: &str, value: &str) -> String {
        if let Some((_, known)) = self.known.iter().find(|(v, _)| v == value) {
            return mark(&format!("secrets.{known}"));
        }
        let wanted = constant(name);
        for n in 1.. {
            let name = match n {
                1 => wanted.clone(),
                n => format!("{wanted}_{n}"),
            };
            if self.known.iter().any(|(_, known)| *known == name) {
                continue;
            }
            match self.named.get(&name) {
                Some(v) if v == value => return mark(&format!("secrets.{name}")),
                Some(_) => {}
                None => {
                    self.named.insert(name.clone(), value.to_owned());
                    return mark(&format!("secrets.{name}"));
                }
            }
        }
        String::new()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Takes the values of secret fields out of a JSON value.
    pub fn clean(&mut self, json: &mut Json) {
        match json {
            Json::Object(map) => {
                for (key, value) in map.iter_mut() {
                    let text = match &*value {
                        Json::String(s) if !s.is_empty() && !is_marked(s) => Some(s.clone()),
                        Json::Number(n) => Some(n.to_string()),
                        _ => None,
                    };
                    match text {
                        Some(text) if is_secret(key) => *value = Json::from(self.put(key, &text)),
                        _ => self.clean(value),
                    }
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|v| self.clean(v)),
            _ => {}
        }
    }

    /// Takes the values of secret fields out of names with values.
    pub fn clean_pairs(&mut self, pairs: &mut [(String, String)]) {
        for (name, value) in pairs {
            if is_secret(name) && !value.is_empty() && !is_marked(value) {
                *value = self.put(name, value);
            }
        }
    }

    /// Takes the secret parameters out of a URL.
    pub fn clean_url(&mut self, url: &str) -> String {
        let Some((path, query)) = url.split_once('?') else {
            return url.to_owned();
        };
        let parts: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if is_secret(name) && !value.is_empty() => {
                    let value = match is_marked(value) {
                        true => value.to_owned(),
                        false => self.put(name, value),
                    };
                    format!("{name}={value}")
                }
                _ => pair.to_owned(),
            })
            .collect();
        format!("{path}?{}", parts.join("&"))
    }

    /// Takes secrets out of a header: who asks, or another value.
    pub fn header(&mut self, name: &str, value: &str) -> Header {
        use base64::Engine as _;
        let lower = name.to_ascii_lowercase();
        let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
        if lower == "authorization" && scheme.eq_ignore_ascii_case("bearer") {
            let token = match is_marked(rest) {
                true => rest.to_owned(),
                false => self.put("token", rest.trim()),
            };
            return Header::Auth(Auth::Bearer(token));
        }
        if lower == "authorization" && scheme.eq_ignore_ascii_case("basic") {
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(rest.trim())
                .ok()
                .and_then(|b| String::from_utf8(b).ok());
            if let Some((user, password)) = decoded.as_deref().and_then(|d| d.split_once(':')) {
                let password = self.put("password", password);
                return Header::Auth(Auth::Basic(user.to_owned(), Some(password)));
            }
        }
        if lower == "cookie" {
            let pairs: Vec<String> = value
                .split(';')
                .map(str::trim)
                .filter(|p| !p.is_empty())
                .map(|p| match p.split_once('=') {
                    Some((n, v)) if !is_marked(v) => {
                        format!("{n}={}", self.put(&format!("cookie_{n}"), v))
                    }
                    _ => p.to_owned(),
                })
                .collect();
            return Header::Value(pairs.join("; "));
        }
        let secret = lower == "authorization" || lower == "proxy-authorization" || is_secret(name);
        match secret && !value.is_empty() && !is_marked(value) {
            true => Header::Value(self.put(name, value)),
            false => Header::Value(value.to_owned()),
        }
    }
}

/// What a header says, without its secrets.
pub enum Header {
    /// Who asks.
    Auth(Auth),
    /// A value.
    Value(String),
}

/// Whether the value of a field of this name does not belong into a file.
pub fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    const PARTS: [&str; 12] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "apikey",
        "credential",
        "privatekey",
        "accesskey",
        "signature",
        "cardnumber",
    ];
    const WHOLE: [&str; 9] = [
        "pwd",
        "pass",
        "pin",
        "otp",
        "cvv",
        "cvc",
        "sid",
        "jwt",
        "sessionid",
    ];
    PARTS.iter().any(|p| plain.contains(p)) || WHOLE.contains(&plain.as_str())
}

/// `X-Api-Key` as `X_API_KEY`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
        before = c;
    }
    let out = out.trim_matches('_').to_owned();
    match out.chars().next() {
        Some(c) if c.is_ascii_digit() => format!("SECRET_{out}"),
        Some(_) => out,
        None => "SECRET".into(),
    }
}

/// A name that templates and expressions can use.
pub fn identifier(name: &str) -> String {
    let snake = constant(name).to_ascii_lowercase();
    match prodmirror_model::template::is_reserved(&snake) {
        true => format!("{snake}_value"),
        false => snake,
    }
}

/// `a=1&b=x%20y` as pairs; nothing when it is no form.
pub fn form(text: &str) -> Option<Vec<(String, String)>> {
    let pairs: Option<Vec<(String, String)>> = text
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| {
            let (k, v) = p.split_once('=')?;
            Some((decoded(k)?, decoded(v)?))
        })
        .collect();
    pairs.filter(|p| !p.is_empty())
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let bytes = percent_encoding::percent_decode_str(&text);
    Some(bytes.decode_utf8().ok()?.into_owned())
}

/// The scheme and host of a URL, and the rest of it.
pub fn split_url(url: &str) -> (&str, &str) {
    let from = url.find("://").map_or(0, |i| i + 3);
    let end = url[from..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |i| from + i);
    url.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_texts_are_no_templates() {
        assert_eq!(template("a {{ b }}"), "{% raw %}a {{ b }}{% endraw %}");
        assert_eq!(template(&format!("x{}y", mark("id"))), "x{{ id }}y");
        assert_eq!(template("{ a }"), "{ a }");
    }

    #[test]
    fn secrets_of_the_project_keep_their_names() {
        let mut s = Secrets::default();
        s.know("KEY", "s3cr3t-1");
        s.know("LONG", "s3cr3t-1-and-more");
        s.know("PIN", "12");
        let key = mark("secrets.KEY");
        assert_eq!(s.put("token", "s3cr3t-1"), key);
        assert_eq!(s.put("key", "other"), mark("secrets.KEY_2"));
        assert_eq!(s.names().collect::<Vec<_>>(), ["KEY_2"]);
        let text = format!("a s3cr3t-1 {} 12 s3cr3t-1-and-more", mark("s3cr3t-1"));
        let long = mark("secrets.LONG");
        let wanted = format!("a {key} {} 12 {long}", mark("s3cr3t-1"));
        assert_eq!(s.hide(&text), wanted);
        assert_eq!(without_marks(&wanted, "*"), "a * * 12 *");
    }

    #[test]
    fn secret_parts_of_a_body() {
        let mut s = Secrets::default();
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let text = format!(
            "{}{}--b--\r\n",
            part("user", "ann"),
            part("password", "hunter22")
        );
        let hidden = mark("secrets.PASSWORD");
        let wanted = format!(
            "{}{}--b--\r\n",
            part("user", "ann"),
            part("password", &hidden)
        );
        assert_eq!(s.clean_parts(&text), wanted);
        for odd in [
            "; name=\"",
            "; name=\"password\"",
            "; name=\"pin\"\r\n\r\n\r\n--",
            "",
        ] {
            assert_eq!(s.clean_parts(odd), odd);
        }
    }

    #[test]
    fn names_of_secrets() {
        let mut s = Secrets::default();
        assert_eq!(s.put("X-Api-Key", "a"), mark("secrets.X_API_KEY"));
        assert_eq!(s.put("X-Api-Key", "a"), mark("secrets.X_API_KEY"));
        assert_eq!(s.put("X-Api-Key", "b"), mark("secrets.X_API_KEY_2"));
        assert_eq!(s.put("1", "b"), mark("secrets.SECRET_1"));
        for (name, is) in [
            ("newPassword", true),
            ("api_key", true),
            ("access_token", true),
            ("pin", true),
            ("spinning", false),
            ("passenger", false),
            ("sku", false),
        ] {
            assert_eq!(is_secret(name), is, "{name}");
        }
    }
}
