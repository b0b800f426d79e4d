//! `metrics`: what a service says of itself in the text format of Prometheus.

use std::collections::BTreeMap;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Document, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::fields::{Pairs, args};
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "metrics",
    fields: &["value", "count", "samples", "names", "duration"],
    help: "reads metrics in Prometheus' text format: the samples of a name, and their sum",
    example: "metrics: { url: \"http://gateway/metrics\", name: http_requests_total, where: { status: \"500\" } }",
    usual: None,
    compile,
};

/// Samples of one page at most.
const MOST: usize = 100_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    url: Node,
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    r#where: Pairs,
    #[serde(default)]
    headers: Option<Node>,
}

struct MetricsAct {
    page: Box<dyn Act>,
    url: String,
    name: Option<String>,
    labels: Vec<(Text, Data)>,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    if let Some(n) = &a.name
        && !n
            .value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    {
        let text = format!("`{}` is no name of a metric", n.value);
        return Err(vec![
            Problem::at(ProblemKind::InvalidValue, &n.span, text)
                .help("labels stand under `where`: `name: http_requests_total, where: { status: \"500\" }`"),
        ]);
    }
    let mut page = Node::map(node.span.clone());
    let map = page.as_map_mut().into_iter();
    for m in map {
        m.insert("url", a.url.clone());
        if let Some(h) = &a.headers {
            m.insert("headers", h.clone());
        }
    }
    let Some(http) = super::kind("http") else {
        return Err(Vec::new());
    };
    let compiled = (http.compile)(&page)?;
    Ok(MetricsAct {
        page: compiled.act,
        url: a.url.scalar_text().unwrap_or_default(),
        name: a.name.map(|n| n.value),
        labels: a.r#where.0,
    }
    .into())
}

/// One line of the format.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl MetricsAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let mut wanted = Vec::new();
        for (name, value) in &self.labels {
            wanted.push((
                name.render(context.scope)?,
                value.render_text(context.scope)?,
            ));
        }
        let page = self.page.run(context).await?;
        let status = page
            .document
            .get("status")
            .and_then(Json::as_u64)
            .unwrap_or(0);
        if status != 200 {
            return Err(StepError::transport(format!(
                "{} answered {status}",
                self.url
            )));
        }
        let body = page
            .document
            .get("body")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let samples =
            parse(body).map_err(|why| StepError::transport(format!("{}: {why}", self.url)))?;
        let names: std::collections::BTreeSet<&str> =
            samples.iter().map(|s| s.name.as_str()).collect();
        let names: Vec<Json> = names.into_iter().map(Json::from).collect();
        let found: Vec<&Sample> = samples
            .iter()
            .filter(|s| self.name.as_ref().is_none_or(|n| *n == s.name))
            .filter(|s| wanted.iter().all(|(k, v)| s.labels.get(k) == Some(v)))
            .collect();
        let sum: f64 = found.iter().map(|s| s.value).sum();
        let mut document = Document::default()
            .with(
                "value",
                if found.is_empty() {
                    Json::Null
                } else {
                    number(sum)
                },
            )
            .with("count", found.len())
            .with(
                "samples",
                found
                    .iter()
                    .map(|s| json!({"name": s.name, "labels": s.labels, "value": number(s.value)}))
                    .collect::<Vec<_>>(),
            )
            .with("names", names);
        document.took(page.document.duration);
        Ok(document.into())
    }
}

/// Infinity and NaN have no number in JSON; they are told by their names.
fn number(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| Json::from(value.to_string()), Json::Number)
}

/// Reads the text format (Prometheus, "Exposition formats", text-based format 0.0.4; of
/// OpenMetrics what it shares with it).
fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if samples.len() == MOST {
            return Err(format!("more than {MOST} samples"));
        }
        let wrong = || {
            format!(
                "line {} is no sample of Prometheus' text format: {}",
                i + 1,
                super::cut(line, 80)
            )
        };
        samples.push(sample(line).ok_or_else(wrong)?);
    }
    Ok(samples)
}

fn sample(line: &str) -> Option<Sample> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = line.find(|c| !is_name(c))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner.trim_start();
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once('=')?;
            let (value, after) = quoted(after.trim_start())?;
            labels.insert(label.trim().to_owned(), value);
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        rest = &rest[1..];
    }
    if name.is_empty() {
        return None;
    }
    let value = rest.split_whitespace().next()?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse().ok()?,
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// A value in quotes, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &inner[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

impl Act for MetricsAct {
    fn title(&self) -> String {
        match &self.name {
            Some(n) => format!("{n} of {}", self.url),
            None => format!("metrics of {}", self.url),
        }
    }

    fn targets(&self, to: &mut Vec<Target>) {
        self.page.targets(to);
    }

    fn limit(&self) -> Duration {
        self.page.limit()
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format_is_read() {
        let text = r#"
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400",} 3
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
rpc_duration_seconds{quantile="0.99"} NaN
"#;
        let samples = parse(text).unwrap();
        assert_eq!(samples.len(), 6);
        assert_eq!(
            (samples[0].value, samples[0].labels["code"].as_str()),
            (1027.0, "200")
        );
        assert_eq!(
            samples[2].labels["error"],
            "Cannot find file:\n\"FILE.TXT\""
        );
        assert_eq!(samples[2].labels["path"], r"C:\DIR\FILE.TXT");
        assert!(samples[4].value.is_infinite() && samples[5].value.is_nan());
        for bad in ["<html>", "a{b=\"c} 1", "a", "a b", "{x=\"y\"} 1", "a{b} 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
