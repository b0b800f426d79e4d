//! Relative paths become absolute.

use std::sync::LazyLock;

use super::files::{Store, is_remote};
use super::lexical::{absolute, expand_home, is_absolute, is_windows_absolute, join};
use super::rules::{Rules, Trail};
use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Node, Value};

#[derive(Clone, Copy)]
enum Rule {
    Path,
    /// A path that may be one of Windows.
    AnyPath,
    /// A path, or something that a builder fetches.
    Context,
    /// A path whose links are followed.
    Linked,
    /// A mount, of which bind sources are paths.
    Mount,
    /// A volume, whose local driver may bind a path.
    Volume,
}

static RULES: LazyLock<Rules<Rule>> = LazyLock::new(|| {
    Rules::new(&[
        ("services.*.build.context", Rule::Context),
        ("services.*.build.additional_contexts.*", Rule::Context),
        ("services.*.build.ssh.*", Rule::AnyPath),
        ("services.*.env_file.*.path", Rule::Path),
        ("services.*.label_file.*", Rule::Path),
        ("services.*.extends.file", Rule::Path),
        ("services.*.develop.watch.*.path", Rule::Linked),
        ("services.*.volumes.*", Rule::Mount),
        ("configs.*.file", Rule::AnyPath),
        ("secrets.*.file", Rule::AnyPath),
        ("volumes.*", Rule::Volume),
    ])
});

/// Where paths start.
pub(super) struct Base<'a> {
    /// The directory; absolute.
    pub dir: &'a str,
    /// What `~` stands for.
    pub home: Option<&'a str>,
    /// The files, for links.
    pub store: &'a Store<'a>,
}

impl Base<'_> {
    /// Makes every path of a document absolute.
    pub fn resolve(&self, document: &mut Node) -> Result<(), Problem> {
        self.walk(document, &RULES, &Trail::Top)
    }

    fn walk(&self, node: &mut Node, rules: &Rules<Rule>, trail: &Trail<'_>) -> Result<(), Problem> {
        if let Some(rule) = rules.here() {
            return self.apply(rule, node, trail);
        }
        match &mut node.value {
            Value::Map(map) => map.iter_mut().try_for_each(|(key, child)| {
                rules
                    .key(key)
                    .map_or(Ok(()), |below| self.walk(child, below, &trail.key(key)))
            }),
            Value::Seq(items) => match rules.item() {
                Some(below) => items
                    .iter_mut()
                    .enumerate()
                    .try_for_each(|(i, item)| self.walk(item, below, &trail.item(i))),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn apply(&self, rule: Rule, node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
        match rule {
            Rule::Mount => return self.mount(node, trail),
            Rule::Volume => {
                self.volume(node);
                return Ok(());
            }
            _ => {}
        }
        let Value::Str(text) = &mut node.value else {
            return match (rule, &node.value) {
                (Rule::AnyPath, _) => Ok(()),
                _ => Err(Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{trail}` must be a path, not {}", node.kind()),
                )),
            };
        };
        *text = match rule {
            Rule::Path => self.path(text),
            Rule::Context => self.context(text),
            Rule::Linked => self.store.follow_link(&self.path(text)),
            Rule::AnyPath | Rule::Mount | Rule::Volume => self.any_path(text),
        };
        Ok(())
    }

    /// An absolute path stays as it is written; an empty one stays empty.
    fn path(&self, text: &str) -> String {
        let text = expand_home(text, self.home);
        if text.is_empty() || is_absolute(&text) {
            text
        } else {
            absolute(self.dir, &text)
        }
    }

    fn any_path(&self, text: &str) -> String {
        let text = expand_home(text, self.home);
        if is_absolute(&text) || is_windows_absolute(&text) {
            text
        } else {
            join(self.dir, &text)
        }
    }

    fn context(&self, text: &str) -> String {
        if is_remote(text) || text.starts_with("service:") {
            text.to_owned()
        } else {
            self.path(text)
        }
    }

    fn mount(&self, node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
        if node.get("type").and_then(Node::as_str) != Some("bind") {
            return Ok(());
        }
        let span = node.span.clone();
        let source = node.as_map_mut().and_then(|m| m.get_mut("source"));
        match source.map(|n| &mut n.value) {
            Some(Value::Str(text)) => {
                *text = self.any_path(text);
                Ok(())
            }
            _ => Err(Problem::at(
                ProblemKind::Missing,
                &span,
                format!("`{trail}` is a bind mount without a source"),
            )),
        }
    }

    fn volume(&self, node: &mut Node) {
        if node.get("driver").and_then(Node::as_str) != Some("local")
            || node.at(&["driver_opts", "o"]).and_then(Node::as_str) != Some("bind")
        {
            return;
        }
        let options = node.as_map_mut().and_then(|m| m.get_mut("driver_opts"));
        let device = options
            .and_then(Node::as_map_mut)
            .and_then(|m| m.get_mut("device"));
        if let Some(Value::Str(text)) = device.map(|n| &mut n.value) {
            *text = self.any_path(text);
        }
    }
}
