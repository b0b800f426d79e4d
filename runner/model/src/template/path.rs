//! A plain path in an expression: `name`, `name.field`, `name.items[0].field`.

use serde_json::Value as Json;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// `.field`
    Field(String),
    /// `[0]`
    Index(usize),
}

/// A root name and the way from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The variable.
    pub root: String,
    /// The way inside it.
    pub rest: Vec<Segment>,
}

/// Where a lookup ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing<'v> {
    /// The text of the path up to the part that is there.
    pub found: String,
    /// The part that is not.
    pub wanted: String,
    /// The last value that was there.
    pub last: Option<&'v Json>,
}

impl Path {
    /// Reads a plain path; `None` for any other expression.
    pub fn parse(text: &str) -> Option<Self> {
        let (root, mut rest) = ident(text)?;
        if matches!(root, "true" | "false" | "none" | "null" | "not" | "loop") {
            return None;
        }
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let (name, tail) = ident(after)?;
                segments.push(Segment::Field(name.to_owned()));
                rest = tail;
            } else {
                let after = rest.strip_prefix('[')?;
                let (digits, tail) = after.split_once(']')?;
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                segments.push(Segment::Index(digits.parse().ok()?));
                rest = tail;
            }
        }
        Some(Self {
            root: root.to_owned(),
            rest: segments,
        })
    }

    /// Follows the path from the value of its root.
    pub fn follow<'v>(&self, root: &'v Json, skip: usize) -> Result<&'v Json, Missing<'v>> {
        let mut at = root;
        for (i, segment) in self.rest.iter().enumerate().skip(skip) {
            let next = match segment {
                Segment::Field(name) => at.get(name.as_str()),
                Segment::Index(n) => at.get(*n),
            };
            at = next.ok_or_else(|| Missing {
                found: self.text(i),
                wanted: segment.to_string(),
                last: Some(at),
            })?;
        }
        Ok(at)
    }

    /// The first `n` steps as text.
    pub fn text(&self, n: usize) -> String {
        let mut out = self.root.clone();
        for s in &self.rest[..n.min(self.rest.len())] {
            match s {
                Segment::Field(_) => {
                    out.push('.');
                    out.push_str(&s.to_string());
                }
                Segment::Index(_) => out.push_str(&s.to_string()),
            }
        }
        out
    }
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Segment::Field(name) => f.write_str(name),
            Segment::Index(n) => write!(f, "[{n}]"),
        }
    }
}

fn ident(text: &str) -> Option<(&str, &str)> {
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_alphabetic() || *c == '_' || (*i > 0 && c.is_ascii_digit())))
        .map_or(text.len(), |(i, _)| i);
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths() {
        assert_eq!(Path::parse("a.b[2].c").unwrap().text(9), "a.b[2].c");
        for other in [
            "a b",
            "a | upper",
            "a()",
            "1",
            "a.",
            "a[x]",
            "a[-1]",
            "true",
            "",
            "a + 1",
        ] {
            assert_eq!(Path::parse(other), None, "{other}");
        }
    }

    #[test]
    fn following_says_where_it_ended() {
        let v = serde_json::json!({"b": [{"c": 1}]});
        assert_eq!(
            Path::parse("a.b[0].c").unwrap().follow(&v, 0),
            Ok(&serde_json::json!(1))
        );
        let p = Path::parse("a.b[0].d").unwrap();
        let m = p.follow(&v, 0).unwrap_err();
        assert_eq!((m.found.as_str(), m.wanted.as_str()), ("a.b[0]", "d"));
    }
}
