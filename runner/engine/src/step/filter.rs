//! `where`: fields of a JSON document, each a value or predicates.

use prodmirror_model::check::predicate::Asked;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::Scope;
use prodmirror_model::yaml::Node;
use prodmirror_model::yaml::de::carried;
use serde::Deserialize;
use serde_json::Value as Json;

use super::StepError;

/// What must hold of the fields of a document: `{ level: error, http.status: { ge: 500 } }`.
#[derive(Debug, Default)]
pub(super) struct Where(Vec<(Vec<String>, Vec<Asked>)>);

impl Where {
    /// Reads a mapping of fields.
    pub fn read(node: &Node) -> Result<Self, Vec<Problem>> {
        let Some(map) = node.as_map() else {
            return Err(vec![
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`where` is a mapping of fields, found {}", node.kind()),
                )
                .help("write `where: { level: error, order_id: \"{{ order_id }}\" }`"),
            ]);
        };
        let (mut fields, mut problems) = (Vec::new(), Vec::new());
        for (field, e) in &map.0 {
            let path: Vec<String> = field.split('.').map(str::to_owned).collect();
            let asked = match e.node.as_map() {
                Some(m) => {
                    m.0.iter()
                        .map(|(k, v)| Asked::read(k, &v.key, &v.node))
                        .collect::<Result<Vec<_>, _>>()
                }
                None => Asked::read("equals", &e.key, &e.node).map(|a| vec![a]),
            };
            match asked {
                Ok(a) => fields.push((path, a)),
                Err(p) => problems.extend(p),
            }
        }
        if problems.is_empty() {
            Ok(Self(fields))
        } else {
            Err(problems)
        }
    }

    /// Whether a document is meant; what is no JSON is meant only when nothing is asked.
    pub fn meets(&self, json: Option<&Json>, scope: &Scope) -> Result<bool, StepError> {
        for (path, asked) in &self.0 {
            let Some(json) = json else {
                return Ok(false);
            };
            let value = at(json, path);
            for a in asked {
                let mut found = Vec::new();
                a.check(value, scope, &mut found)?;
                if !found.is_empty() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In words.
    pub fn words(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|(p, _)| p.join(".")).collect();
        format!("where {}", names.join(" and "))
    }
}

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Where::read(&Node::deserialize(d)?).map_err(|mut p| carried(p.swap_remove(0)))
    }
}

/// A field by its path; a name with dots in it is tried first.
fn at<'j>(json: &'j Json, path: &[String]) -> Option<&'j Json> {
    if path.len() > 1
        && let Some(v) = json.get(path.join("."))
    {
        return Some(v);
    }
    path.iter().try_fold(json, |j, k| j.get(k))
}
