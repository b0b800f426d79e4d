//! The short form of a mount: `source:target:options`.

use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// A mount in parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mount {
    /// A path or a volume's name; empty for an anonymous volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    read_only: bool,
    no_copy: bool,
    propagation: Option<String>,
    selinux: Option<String>,
    /// A path of one or two characters is not looked at any further.
    bare: bool,
}

/// Takes the short form apart.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn parse(spec: &str) -> Result<Mount, String> {
    let mut mount = Mount::default();
    match spec.len() {
        0 => return Err("this mount is empty".into()),
        1 | 2 => {
            mount.target = spec.to_owned();
            mount.bare = true;
            return Ok(mount);
        }
        _ => {}
    }
    let sections = sections(spec);
    let last = sections.len() - 1;
    for (i, section) in sections.into_iter().enumerate() {
        let invalid = |why: &str| format!("`{spec}` is not a mount: {why}");
        if section.is_empty() {
            return Err(invalid("there is nothing between two colons"));
        }
        if mount.source.is_empty() && i == last {
            mount.target = section;
        } else if mount.source.is_empty() {
            mount.source = section;
        } else if mount.target.is_empty() {
            mount.target = section;
        } else if i < last {
            return Err(invalid("it has too many colons"));
        } else {
            section.split(',').for_each(|option| mount.option(option));
        }
    }
    Ok(mount)
}

/// The parts between colons. The colon of a Windows drive and those inside of `${…}` do not
/// count.
fn sections(spec: &str) -> Vec<String> {
    let mut sections = Vec::new();
    let mut section = String::new();
    let mut variables = 0;
    let mut chars = spec.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' if chars.peek() == Some(&'{') => variables += 1,
            '}' if variables > 0 => variables -= 1,
            ':' if variables == 0 && !is_drive(&section) => {
                sections.push(std::mem::take(&mut section));
                continue;
            }
            _ => {}
        }
        section.push(c);
    }
    sections.push(section);
    sections
}

fn is_drive(section: &str) -> bool {
    let mut chars = section.chars();
    matches!((chars.next(), chars.next()), (Some(c), None) if c.is_alphabetic())
}

impl Mount {
    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.no_copy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                self.propagation = Some(option.to_owned());
            }
            "z" | "Z" => self.selinux = Some(option.to_owned()),
            // Compose ignores options that it does not know.
            _ => {}
        }
    }

    /// Whether the source is a path, not the name of a volume.
    fn is_bind(&self) -> bool {
        let mut chars = self.source.chars();
        match chars.next() {
            None => false,
            Some('.' | '/' | '~') => true,
            Some('\\') if self.source.starts_with("\\\\") => true,
            Some(c) => c.is_alphabetic() && chars.next() == Some(':'),
        }
    }

    /// The long form, all of it at one place.
    pub fn into_node(self, span: &Span) -> Node {
        let text = |text: String| Node::str(text, span.clone());
        let mut map = Mapping::default();
        let bind = self.is_bind();
        map.insert("type", text(if bind { "bind" } else { "volume" }.into()));
        if !self.source.is_empty() {
            map.insert("source", text(self.source));
        }
        map.insert("target", text(super::lexical::clean(&self.target)));
        if self.read_only {
            map.insert("read_only", Node::bool(true, span.clone()));
        }
        let mut options = Mapping::default();
        if let Some(selinux) = self.selinux {
            options.insert("selinux", text(selinux));
        }
        if let Some(propagation) = self.propagation {
            options.insert("propagation", text(propagation));
        }
        if bind {
            // The short form makes the path on the host when it is not there.
            options.insert("create_host_path", Node::bool(true, span.clone()));
        }
        if bind || !options.is_empty() {
            map.insert("bind", Node::new(Value::Map(options), span.clone()));
        }
        if (!bind && !self.bare) || self.no_copy {
            let mut volume = Mapping::default();
            if self.no_copy {
                volume.insert("nocopy", Node::bool(true, span.clone()));
            }
            map.insert("volume", Node::new(Value::Map(volume), span.clone()));
        }
        Node::new(Value::Map(map), span.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn long(spec: &str) -> serde_json::Value {
        parse(spec).unwrap().into_node(&Span::generated()).to_json()
    }

    #[test]
    fn short_forms_become_long_ones() {
        assert_eq!(long("/a"), json!({"type": "volume", "target": "/a"}));
        assert_eq!(
            long("/abc"),
            json!({"type": "volume", "target": "/abc", "volume": {}})
        );
        assert_eq!(
            long("data:/x/:ro,nocopy"),
            json!({"type": "volume", "source": "data", "target": "/x", "read_only": true,
                   "volume": {"nocopy": true}})
        );
        assert_eq!(
            long("./d:/x:z,rshared"),
            json!({"type": "bind", "source": "./d", "target": "/x",
                   "bind": {"selinux": "z", "propagation": "rshared", "create_host_path": true}})
        );
        assert_eq!(long(r"C:\d:/x")["source"], json!(r"C:\d"));
    }

    #[test]
    fn what_is_refused() {
        for spec in ["", "ab::/b", ":/ab", "ab:/b:ro:x", "abc:"] {
            assert!(parse(spec).is_err(), "{spec}");
        }
    }
}
