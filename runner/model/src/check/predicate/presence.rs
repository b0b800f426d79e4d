//! `exists`, `type`.

use serde_json::Value as Json;

use super::format::{TYPES, Type};
use super::{Finding, Predicate};
use crate::check::show::{kind, show};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::template::Scope;
use crate::yaml::Node;

#[derive(Debug)]
struct Exists(bool);

pub(super) fn exists(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match node.as_bool() {
        Some(b) => Ok(Box::new(Exists(b))),
        None => Err(super::wrong_type(node, "`exists` takes true or false")),
    }
}

impl Predicate for Exists {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        match (self.0, value) {
            (true, None) => out.push(Finding::new("", "a value", "nothing is there")),
            (false, Some(v)) => out.push(Finding::new("", "nothing", show(v))),
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug)]
struct TypeOf(Vec<&'static Type>);

pub(super) fn type_of(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let nodes: Vec<&Node> = match node.as_seq() {
        Some([]) => return Err(super::wrong_type(node, "`type` takes the name of a type")),
        Some(several) => several.iter().collect(),
        None => vec![node],
    };
    let mut types = Vec::with_capacity(nodes.len());
    let mut problems = Vec::new();
    for n in nodes {
        match named(n) {
            Ok(t) => types.push(t),
            Err(p) => problems.push(p),
        }
    }
    if problems.is_empty() {
        Ok(Box::new(TypeOf(types)))
    } else {
        Err(problems)
    }
}

fn named(node: &Node) -> Result<&'static Type, Problem> {
    let Some(name) = node.as_str() else {
        let mut problem = super::wrong_type(node, "`type` takes the name of a type").swap_remove(0);
        if node.is_null() {
            problem.help = Some("write \"null\" in quotes for the type null".into());
        }
        return Err(problem);
    };
    TYPES.iter().find(|t| t.name == name).ok_or_else(|| {
        let known = TYPES.iter().map(|t| t.name);
        let other = match name {
            "int" => Some("integer"),
            "bool" => Some("boolean"),
            "str" => Some("text"),
            "float" | "double" => Some("decimal"),
            "map" | "dict" => Some("object"),
            "datetime" | "time" => Some("timestamp"),
            "mail" => Some("email"),
            "uri" => Some("url"),
            _ => nearest(name, known.clone()),
        };
        let help = match other {
            Some(n) => format!("did you mean `{n}`?"),
            None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
        };
        Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            format!("unknown type `{name}`"),
        )
        .help(help)
    })
}

impl Predicate for TypeOf {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(v) = value else { return Ok(()) };
        if !self.0.iter().any(|t| (t.test)(v)) {
            let names: Vec<&str> = self.0.iter().map(|t| t.name).collect();
            let why = self.0.iter().find_map(|t| (t.why)(v));
            out.push(
                Finding::new(
                    "",
                    format!("a value of type {}", names.join(" or ")),
                    show(v),
                )
                .hint(Some(why.unwrap_or_else(|| format!("this is {}", kind(v))))),
            );
        }
        Ok(())
    }
}
