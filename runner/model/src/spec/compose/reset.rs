//! `!reset` and `!override`: what a file takes back from the files before it.

use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Node, Value};

const RESET: &str = "!reset";
const OVERRIDE: &str = "!override";

/// Places that a document resets or overrides, as chains of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Resets(Vec<Vec<String>>);

/// Finds the tags of a document, takes the values tagged `!reset` out of it, and tells the
/// places of both.
pub(super) fn collect(document: &mut Node) -> Resets {
    let mut resets = Resets::default();
    let mut path = Vec::new();
    if let Value::Map(_) | Value::Seq(_) = document.value {
        walk(document, Some(&mut path), &mut resets);
    }
    resets
}

/// `path` is none inside of lists and of what an alias stands for: a tag there acts on its
/// own document only.
fn walk(node: &mut Node, mut path: Option<&mut Vec<String>>, resets: &mut Resets) {
    match &mut node.value {
        Value::Map(map) => {
            let mut gone = Vec::new();
            for (key, child) in map.iter_mut() {
                let tag = child.tag.as_deref();
                if tag == Some(RESET) {
                    gone.push(key.to_owned());
                }
                if let (Some(RESET | OVERRIDE), Some(path)) = (tag, &path) {
                    let place = path.iter().map(String::as_str).chain([key]);
                    resets.0.push(place.map(str::to_owned).collect());
                }
                if tag.is_some_and(|t| t == RESET || t == OVERRIDE) {
                    continue;
                }
                match &mut path {
                    Some(path) => {
                        path.push(key.to_owned());
                        walk(child, Some(path), resets);
                        path.pop();
                    }
                    None => walk(child, None, resets),
                }
            }
            for key in gone {
                map.remove(&key);
            }
        }
        Value::Seq(items) => {
            items.retain(|item| item.tag.as_deref() != Some(RESET));
            items.iter_mut().for_each(|item| walk(item, None, resets));
        }
        _ => {}
    }
}

impl Resets {
    /// Takes the places out of what was loaded before.
    pub fn apply(&self, loaded: &mut Node) {
        for place in &self.0 {
            remove(loaded, place);
        }
    }

    /// Takes the places under one service out of what it extends.
    pub fn apply_to_service(&self, name: &str, service: &mut Node) {
        for place in &self.0 {
            if let [services, of, rest @ ..] = place.as_slice()
                && services == "services"
                && of == name
            {
                remove(service, rest);
            }
        }
    }
}

fn remove(node: &mut Node, place: &[String]) {
    match (node.as_map_mut(), place) {
        (Some(map), [last]) => {
            map.remove(last);
        }
        (Some(map), [first, rest @ ..]) => {
            if let Some(child) = map.get_mut(first) {
                remove(child, rest);
            }
        }
        _ => {}
    }
}

/// Refuses keys that are not text, wherever they stand.
pub(super) fn require_text_keys(node: &Node) -> Result<(), Problem> {
    match &node.value {
        Value::Map(map) => map.0.iter().try_for_each(|(key, entry)| {
            if entry.key_is_string {
                return require_text_keys(&entry.node);
            }
            Err(Problem::at(
                ProblemKind::WrongType,
                &entry.key,
                format!("the key `{key}` is not text"),
            )
            .help(format!("put it in quotes: \"{key}\"")))
        }),
        Value::Seq(items) => items.iter().try_for_each(require_text_keys),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn tags_take_back_what_was_before() {
        let read = |text: &str| crate::yaml::parse_one(&SourceFile::new("t", text)).unwrap();
        let mut over = read("a: {b: !reset null, c: !override [1], l: [!reset 1, 2]}");
        let resets = collect(&mut over);
        assert_eq!(
            over.to_json(),
            serde_json::json!({"a": {"c": [1], "l": [2]}})
        );
        let mut base = read("a: {b: 1, c: [0], d: 2}\nb: 3");
        resets.apply(&mut base);
        assert_eq!(base.to_json(), serde_json::json!({"a": {"d": 2}, "b": 3}));
    }
}
