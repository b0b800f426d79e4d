//! Variables in the values of a document, and the types that values get afterwards.

use std::sync::LazyLock;

use super::dotenv::template_problem;
use super::request::{Environment, ValueSource};
use super::rules::{Rules, Trail};
use super::session::Notes;
use super::template::{Outcome, Scope, substitute};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Node, Value, ViaKind};

/// What a text becomes once its variables are replaced.
#[derive(Clone, Copy)]
enum Cast {
    Int,
    Float,
    Single,
    Bool,
}

static CASTS: LazyLock<Rules<Cast>> = LazyLock::new(|| {
    Rules::new(&[
        ("services.*.cpu_count", Cast::Int),
        ("services.*.cpu_percent", Cast::Float),
        ("services.*.cpu_period", Cast::Int),
        ("services.*.cpu_quota", Cast::Int),
        ("services.*.cpu_rt_period", Cast::Int),
        ("services.*.cpu_rt_runtime", Cast::Int),
        ("services.*.cpus", Cast::Single),
        ("services.*.cpu_shares", Cast::Int),
        ("services.*.init", Cast::Bool),
        ("services.*.deploy.replicas", Cast::Int),
        ("services.*.deploy.update_config.parallelism", Cast::Int),
        (
            "services.*.deploy.update_config.max_failure_ratio",
            Cast::Float,
        ),
        ("services.*.deploy.rollback_config.parallelism", Cast::Int),
        (
            "services.*.deploy.rollback_config.max_failure_ratio",
            Cast::Float,
        ),
        ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
        (
            "services.*.deploy.placement.max_replicas_per_node",
            Cast::Int,
        ),
        ("services.*.healthcheck.retries", Cast::Int),
        ("services.*.healthcheck.disable", Cast::Bool),
        ("services.*.oom_kill_disable", Cast::Bool),
        ("services.*.oom_score_adj", Cast::Int),
        ("services.*.pids_limit", Cast::Int),
        ("services.*.ports.*.target", Cast::Int),
        ("services.*.privileged", Cast::Bool),
        ("services.*.read_only", Cast::Bool),
        ("services.*.scale", Cast::Int),
        ("services.*.stdin_open", Cast::Bool),
        ("services.*.tty", Cast::Bool),
        ("services.*.ulimits.*", Cast::Int),
        ("services.*.ulimits.*.hard", Cast::Int),
        ("services.*.ulimits.*.soft", Cast::Int),
        ("services.*.volumes.*.read_only", Cast::Bool),
        ("services.*.volumes.*.volume.nocopy", Cast::Bool),
        ("networks.*.external", Cast::Bool),
        ("networks.*.internal", Cast::Bool),
        ("networks.*.attachable", Cast::Bool),
        ("networks.*.enable_ipv4", Cast::Bool),
        ("networks.*.enable_ipv6", Cast::Bool),
        ("volumes.*.external", Cast::Bool),
        ("secrets.*.external", Cast::Bool),
        ("configs.*.external", Cast::Bool),
    ])
});

/// Replaces the variables of every text in a document (keys are left alone), and gives the
/// texts at typed places their type.
pub(super) fn interpolate(
    document: &mut Node,
    env: &Environment,
    notes: &mut Notes,
) -> Result<(), Problem> {
    Walk { env, notes }.node(document, Some(&CASTS), &Trail::Top)
}

struct Walk<'a> {
    env: &'a Environment,
    notes: &'a mut Notes,
}

impl Walk<'_> {
    fn node(
        &mut self,
        node: &mut Node,
        rules: Option<&Rules<Cast>>,
        trail: &Trail<'_>,
    ) -> Result<(), Problem> {
        match &mut node.value {
            Value::Map(map) => map.iter_mut().try_for_each(|(key, child)| {
                self.node(child, rules.and_then(|r| r.key(key)), &trail.key(key))
            }),
            Value::Seq(items) => items.iter_mut().enumerate().try_for_each(|(i, child)| {
                self.node(child, rules.and_then(Rules::item), &trail.item(i))
            }),
            Value::Str(text) => {
                if text.contains('$') {
                    let text = std::mem::take(text);
                    self.text(node, &text)?;
                }
                match rules.and_then(Rules::here) {
                    Some(cast) => self.cast(node, cast, trail),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, node: &mut Node, text: &str) -> Result<(), Problem> {
        let mut scope = ValueScope {
            env: self.env,
            notes: self.notes,
            node,
            noted: Vec::new(),
        };
        let result = substitute(text, &mut scope);
        let text = result.map_err(|e| template_problem(e, &node.span))?;
        node.value = Value::Str(text);
        Ok(())
    }

    fn cast(&mut self, node: &mut Node, cast: Cast, trail: &Trail<'_>) -> Result<(), Problem> {
        let text = node.as_str().unwrap_or("");
        let cast_value = match cast {
            Cast::Int => text.parse::<i64>().ok().map(|value| Value::Int {
                value,
                raw: value.to_string(),
            }),
            Cast::Float => text.parse::<f64>().ok().map(float),
            Cast::Single => text.parse::<f32>().ok().map(|f| float(widened(f))),
            Cast::Bool => self.boolean(text, &node.span).map(Value::Bool),
        };
        match cast_value {
            Some(value) => {
                node.value = value;
                Ok(())
            }
            None => {
                let kind = match cast {
                    Cast::Int => "a whole number",
                    Cast::Float | Cast::Single => "a number",
                    Cast::Bool => "true or false",
                };
                let what = if text.is_empty() {
                    format!("`{trail}` must be {kind}, but is empty")
                } else {
                    format!("`{trail}`: `{text}` is not {kind}")
                };
                Err(Problem::at(ProblemKind::InvalidValue, &node.span, what))
            }
        }
    }

    fn boolean(&mut self, text: &str, span: &Span) -> Option<bool> {
        let (value, old) = read_boolean(text)?;
        if old {
            self.notes.warn(Problem::at(
                ProblemKind::Deprecated,
                span,
                format!("`{text}` is not a YAML 1.2 boolean; write {value}"),
            ));
        }
        Some(value)
    }
}

/// A boolean in words, and whether it is a word of YAML 1.1 only.
pub(super) fn read_boolean(text: &str) -> Option<(bool, bool)> {
    match text.to_lowercase().as_str() {
        "true" => Some((true, false)),
        "false" => Some((false, false)),
        "y" | "yes" | "on" => Some((true, true)),
        "n" | "no" | "off" => Some((false, true)),
        _ => None,
    }
}

/// A single-precision number as the double that is written the same way (0.1, not
/// 0.10000000149).
pub(super) fn widened(single: f32) -> f64 {
    single.to_string().parse().unwrap_or(f64::from(single))
}

fn float(value: f64) -> Value {
    Value::Float {
        value,
        raw: value.to_string(),
    }
}

struct ValueScope<'a> {
    env: &'a Environment,
    notes: &'a mut Notes,
    node: &'a mut Node,
    /// Names that the value's history tells of.
    noted: Vec<String>,
}

/// How many variables the history of one value tells of.
const MAX_NOTED: usize = 32;

impl Scope for ValueScope<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|s| s.text.clone())
    }

    fn note(&mut self, name: &str, outcome: Outcome) {
        let source = match (outcome, self.env.get(name)) {
            (Outcome::Value, Some(setting)) => setting.source.clone(),
            (Outcome::Default, _) => ValueSource::Default,
            _ => ValueSource::Unset,
        };
        let defined_at = match &source {
            ValueSource::File { span, .. } => span.clone(),
            _ => Span::generated(),
        };
        let via = ViaKind::Variable {
            name: name.to_owned(),
            from: source.to_string(),
        };
        self.notes.used(name, &self.node.span, source);
        if self.noted.len() < MAX_NOTED && !self.noted.iter().any(|n| n == name) {
            self.noted.push(name.to_owned());
            self.node.add_via(via, defined_at);
        }
    }
}
