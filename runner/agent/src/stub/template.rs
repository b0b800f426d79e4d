//! Texts with `{{…}}` that are filled from the request.

use serde_json::Value;

use super::matching::Request;

/// What a template is filled from.
#[derive(Debug)]
pub struct Context<'a> {
    /// The request.
    pub request: &'a Request,
    /// What the route's path matched.
    pub groups: &'a [String],
    /// Number of the request, from 1.
    pub counter: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// A text in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Plain(String),
    Field(Field),
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Method,
    Path,
    Match(usize),
    Query(String),
    Header(String),
    Json(String),
    Counter,
    Now,
}

/// A JSON value whose texts are templates.
#[derive(Debug, Clone)]
pub enum Tree {
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// An object; its keys are no templates.
    Map(Vec<(String, Tree)>),
    /// Anything else.
    Fixed(Value),
}

impl Field {
    fn read(name: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "template: unknown `{{{{{name}}}}}`; there are method, path, match.N, query.NAME, \
                 header.NAME, json./POINTER, counter and now"
            )
        };
        Ok(match (name, name.split_once('.')) {
            ("method", _) => Self::Method,
            ("path", _) => Self::Path,
            ("counter", _) => Self::Counter,
            ("now", _) => Self::Now,
            (_, Some(("match", number))) => Self::Match(number.parse().map_err(|_| unknown())?),
            (_, Some(("query", name))) => Self::Query(name.to_owned()),
            (_, Some(("header", name))) => Self::Header(name.to_ascii_lowercase()),
            (_, Some(("json", at))) if at.is_empty() || at.starts_with('/') => {
                Self::Json(at.to_owned())
            }
            _ => return Err(unknown()),
        })
    }

    fn fill(&self, context: &Context<'_>) -> Value {
        let request = context.request;
        match self {
            Self::Method => Value::from(request.method.as_str()),
            Self::Path => Value::from(request.path.as_str()),
            Self::Match(number) => context.groups.get(*number).map(String::as_str).into(),
            Self::Query(name) => request.query.get(name).map(String::as_str).into(),
            Self::Header(name) => request.header(name).into(),
            Self::Json(at) => request.json.pointer(at).cloned().unwrap_or_default(),
            Self::Counter => Value::from(context.counter),
            Self::Now => Value::from(rfc3339(context.now)),
        }
    }
}

impl Text {
    /// Reads a template.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(format!("template: `{{{{` without `}}}}` in `{text}`"));
            };
            if !before.is_empty() {
                parts.push(Part::Plain(before.to_owned()));
            }
            parts.push(Part::Field(Field::read(name.trim())?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The filled text. Texts stand bare, null as nothing, the rest as JSON.
    pub fn fill(&self, context: &Context<'_>) -> String {
        let fill = |part: &Part| match part {
            Part::Plain(text) => text.clone(),
            Part::Field(field) => match field.fill(context) {
                Value::Null => String::new(),
                Value::String(text) => text,
                other => other.to_string(),
            },
        };
        self.0.iter().map(fill).collect()
    }

    /// The filled text; a template that is one field alone keeps that field's type.
    fn fill_typed(&self, context: &Context<'_>) -> Value {
        match self.0.as_slice() {
            [Part::Field(field)] => field.fill(context),
            _ => Value::from(self.fill(context)),
        }
    }
}

impl Tree {
    /// Reads the texts of a value as templates.
    pub fn compile(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Text::compile(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::compile).collect::<Result<_, _>>()?)
            }
            Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| Ok((key.clone(), Self::compile(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => Self::Fixed(other.clone()),
        })
    }

    /// The filled value.
    pub fn fill(&self, context: &Context<'_>) -> Value {
        match self {
            Self::Text(text) => text.fill_typed(context),
            Self::List(items) => items.iter().map(|item| item.fill(context)).collect(),
            Self::Map(map) => {
                let filled = map
                    .iter()
                    .map(|(key, value)| (key.clone(), value.fill(context)));
                Value::Object(filled.collect())
            }
            Self::Fixed(value) => value.clone(),
        }
    }
}

/// Seconds since 1970 as RFC 3339, in UTC.
fn rfc3339(seconds: u64) -> String {
    let (day, time) = (seconds / 86_400, seconds % 86_400);
    // Days are counted in eras of 400 years that begin on 1 March of the year 0.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month_day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{month_day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> Request {
        let built = hyper::Request::builder()
            .method("POST")
            .uri("/v1/7?q=a%20b")
            .header("X-Id", "9");
        let body = br#"{"amount":12.50,"who":{"name":"x"}}"#.to_vec();
        Request::new(built.body(()).unwrap().into_parts().0, body)
    }

    fn fill(value: Value) -> Value {
        let request = request();
        let groups = ["/v1/7".to_owned(), "7".to_owned()];
        let context = Context {
            request: &request,
            groups: &groups,
            counter: 3,
            now: 1_700_000_000,
        };
        Tree::compile(&value).unwrap().fill(&context)
    }

    #[test]
    fn fields_are_filled_and_keep_their_type() {
        let filled = fill(json!({
            "id": "ch_{{counter}}", "n": "{{ counter }}", "amount": "{{json./amount}}",
            "who": ["{{json./who}}"], "of": "{{match.1}}", "q": "{{query.q}}", "x": "<{{header.X-ID}}>",
            "none": "{{json./none}}", "text": "a{{json./none}}b", "is": "{{method}} {{path}}", "fixed": 1,
        }));
        assert_eq!(filled["id"], "ch_3");
        assert_eq!(filled["n"], 3);
        assert_eq!(filled["amount"].to_string(), "12.50");
        assert_eq!(filled["who"][0]["name"], "x");
        assert_eq!(filled["of"], "7");
        assert_eq!(filled["q"], "a b");
        assert_eq!(filled["x"], "<9>");
        assert_eq!(filled["none"], Value::Null);
        assert_eq!(filled["text"], "ab");
        assert_eq!(filled["is"], "POST /v1/7");
        assert_eq!(filled["fixed"], 1);
    }

    #[test]
    fn unknown_and_open_fields_are_refused() {
        for bad in [
            "{{nothing}}",
            "{{match.x}}",
            "{{json.a}}",
            "a {{method",
            "{{}}",
        ] {
            assert!(Text::compile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
