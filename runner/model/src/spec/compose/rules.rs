//! Rules by place, and where a walk is.

use std::collections::HashMap;
use std::fmt;

/// Rules that hold at places of the Compose format, as a tree. A place is a dotted path of
/// keys in which `*` stands for any key or any item of a list.
pub(super) struct Rules<T> {
    here: Option<T>,
    named: HashMap<&'static str, Rules<T>>,
    any: Option<Box<Rules<T>>>,
}

impl<T: Copy> Rules<T> {
    /// Reads a table of places and what holds there.
    pub fn new(table: &[(&'static str, T)]) -> Self {
        let mut root = Self::empty();
        for (place, rule) in table {
            let mut at = &mut root;
            for part in place.split('.') {
                at = if part == "*" {
                    at.any.get_or_insert_with(|| Box::new(Self::empty()))
                } else {
                    at.named.entry(part).or_insert_with(Self::empty)
                };
            }
            at.here = Some(*rule);
        }
        root
    }

    fn empty() -> Self {
        Self {
            here: None,
            named: HashMap::new(),
            any: None,
        }
    }

    /// The rule of this place.
    pub fn here(&self) -> Option<T> {
        self.here
    }

    /// The rules under a key.
    pub fn key(&self, key: &str) -> Option<&Self> {
        self.named.get(key).or(self.any.as_deref())
    }

    /// The rules of a list's items.
    pub fn item(&self) -> Option<&Self> {
        self.any.as_deref()
    }
}

/// Where a walk is in the document: shown as `services.web.ports[0]`.
#[derive(Clone, Copy)]
pub(super) enum Trail<'a> {
    /// At the top.
    Top,
    /// Under a key.
    Key(&'a Trail<'a>, &'a str),
    /// At an item of a list.
    Item(&'a Trail<'a>, usize),
}

impl<'a> Trail<'a> {
    /// Under a key.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// At an item.
    pub fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("the file"),
            Self::Key(Self::Top, key) => f.write_str(key),
            Self::Key(before, key) => write!(f, "{before}.{key}"),
            Self::Item(before, index) => write!(f, "{before}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_by_key_and_by_any() {
        let rules = Rules::new(&[("services.*.ports", 1), ("services.*.ports.*.target", 2)]);
        let ports = rules
            .key("services")
            .and_then(|r| r.key("web"))
            .and_then(|r| r.key("ports"))
            .unwrap();
        assert_eq!(ports.here(), Some(1));
        let target = ports.item().and_then(|r| r.key("target")).unwrap();
        assert_eq!(target.here(), Some(2));
        assert!(rules.key("volumes").is_none());
    }

    #[test]
    fn a_trail_reads_like_a_path() {
        let (a, top) = ("services", Trail::Top);
        let a = top.key(a);
        let b = a.key("web");
        assert_eq!(b.key("ports").item(3).to_string(), "services.web.ports[3]");
    }
}
