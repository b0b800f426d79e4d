//! Reading a lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Content, Digest, FILE_NAME, Facts, Hashes, Lock, Passed, Pin, Platform, VERSION};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::mirror::Sourced;
use crate::source::SourceFile;
use crate::yaml::{Mapping, Node, parse_one};

const AGAIN: &str = "`prodmirror lock` writes it anew";
const KEYS: [&str; 8] = [
    "version", "tool", "images", "project", "sources", "configs", "env", "data",
];

/// Reads the lock of a project; nothing when there is none.
///
/// # Errors
/// As [`read`], and when the file cannot be read.
pub fn load(root: &Path) -> Result<Option<Lock>, Problems> {
    let path = root.join(FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    read(&SourceFile::read(&path, FILE_NAME)?).map(Some)
}

/// Reads a lock.
///
/// # Errors
/// All that is wrong in it, each with its place; a format that is newer than this version.
pub fn read(file: &Arc<SourceFile>) -> Result<Lock, Problems> {
    let node = parse_one(file).map_err(|p| {
        let conflict = file.text.lines().any(|l| l.starts_with("<<<<<<< "));
        p.help(if conflict {
            "it holds an unfinished merge: keep one side of each conflict, or delete the file and run `prodmirror lock`"
        } else {
            AGAIN
        })
    })?;
    let mut reader = Reader::default();
    let lock = reader.lock(&node);
    if reader.problems.0.is_empty() {
        Ok(lock)
    } else {
        Err(reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    problems: Problems,
}

impl Reader {
    fn lock(&mut self, node: &Node) -> Lock {
        let none = Mapping::default();
        let map = self.map(node, FILE_NAME).unwrap_or(&none);
        match map.get("version").and_then(Node::as_int) {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => {
                let what = format!(
                    "the lock has format {newer}; this version reads up to format {VERSION}"
                );
                let help = "use the version of prodmirror that wrote it, or a newer one";
                self.problems
                    .push(Problem::at(ProblemKind::Unsupported, &node.span, what).help(help));
                return Lock::default();
            }
            _ => self.wrong(node, "the lock does not say its format (`version: 1`)"),
        }
        for (name, entry) in map.iter() {
            if !KEYS.contains(&name) {
                let help = nearest(name, KEYS)
                    .map_or(AGAIN.to_owned(), |k| format!("did you mean `{k}`?"));
                let what = format!("a lock has no key `{name}`");
                self.problems
                    .push(Problem::at(ProblemKind::UnknownKey, &entry.span, what).help(help));
            }
        }
        Lock {
            tool: map
                .get("tool")
                .and_then(Node::scalar_text)
                .unwrap_or_default(),
            images: self.section(map, "images", Self::pin),
            facts: Facts {
                project: self.hashes(map, "project"),
                sources: self.hashes(map, "sources"),
                configs: self.hashes(map, "configs"),
                env: self.section(map, "env", Self::passed),
                data: self.section(map, "data", Self::content),
            },
        }
    }

    fn hashes(&mut self, map: &Mapping, section: &str) -> Hashes {
        self.section(map, section, Self::hash)
    }

    fn section<T>(
        &mut self,
        map: &Mapping,
        section: &str,
        read: fn(&mut Self, &Node) -> Option<T>,
    ) -> BTreeMap<String, Sourced<T>> {
        let Some(node) = map.get(section).filter(|n| !n.is_null()) else {
            return BTreeMap::new();
        };
        let Some(entries) = self.map(node, section) else {
            return BTreeMap::new();
        };
        let read = entries.iter().filter_map(|(name, node)| {
            let value = read(self, node)?;
            Some((name.to_owned(), Sourced::of_node(value, node)))
        });
        read.collect()
    }

    fn pin(&mut self, node: &Node) -> Option<Pin> {
        let map = self.map(node, "an image")?;
        if let Some(id) = map.get("local") {
            let id = self.digest(id)?;
            let platform = match map.get("platform") {
                Some(p) => Some(self.platform(&p.scalar_text().unwrap_or_default(), p)?),
                None => None,
            };
            return Some(Pin::Local { id, platform });
        }
        let Some(digest) = map.get("digest") else {
            self.wrong(
                node,
                "an image has a `digest`, or the id of a `local` image",
            );
            return None;
        };
        let digest = self.digest(digest)?;
        let mut platforms = BTreeMap::new();
        for (name, node) in map.iter().filter(|(name, _)| *name != "digest") {
            let platform = self.platform(name, node)?;
            let manifest = match node.is_null() {
                true => None,
                false => Some(self.digest(node)?),
            };
            platforms.insert(platform, manifest);
        }
        Some(Pin::Registry { digest, platforms })
    }

    fn platform(&mut self, text: &str, node: &Node) -> Option<Platform> {
        let platform = Platform::parse(text);
        if platform.is_none() {
            self.wrong(node, format!("`{text}` is not a platform (linux/amd64)"));
        }
        platform
    }

    fn digest(&mut self, node: &Node) -> Option<Digest> {
        let digest = node.as_str().and_then(Digest::parse);
        if digest.is_none() {
            self.wrong(
                node,
                "this is not a digest (`sha256:` and 64 hexadecimal digits)",
            );
        }
        digest
    }

    fn hash(&mut self, node: &Node) -> Option<Digest> {
        match self.map(node, "this")?.get("digest") {
            Some(digest) => self.digest(digest),
            None => {
                self.wrong(node, "the `digest` is missing");
                None
            }
        }
    }

    fn passed(&mut self, node: &Node) -> Option<Passed> {
        let map = self.map(node, "a variable")?;
        if let Some(digest) = map.get("digest") {
            return self.digest(digest).map(Passed::Hash);
        }
        if let Some(text) = map.get("value").and_then(Node::as_str) {
            return Some(Passed::Text(text.to_owned()));
        }
        if map.get("unset").and_then(Node::as_bool) == Some(true) {
            return Some(Passed::Unset);
        }
        self.wrong(
            node,
            "a variable has a `value` that is a text, a `digest`, or is `unset: true`",
        );
        None
    }

    fn content(&mut self, node: &Node) -> Option<Content> {
        let map = self.map(node, "the data of a volume")?;
        let manifest = match map.get("manifest") {
            Some(node) => Some(self.digest(node)?),
            None => None,
        };
        let snapshot = map.get("snapshot").and_then(Node::scalar_text);
        if snapshot.is_none() && map.get("empty").and_then(Node::as_bool) != Some(true) {
            self.wrong(node, "a volume holds a `snapshot`, or is `empty: true`");
            return None;
        }
        Some(Content { snapshot, manifest })
    }

    fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Mapping> {
        let map = node.as_map();
        if map.is_none() {
            self.wrong(node, format!("{what} is a mapping, not {}", node.kind()));
        }
        map
    }

    fn wrong(&mut self, node: &Node, what: impl Into<String>) {
        self.problems
            .push(Problem::at(ProblemKind::InvalidValue, &node.span, what).help(AGAIN));
    }
}
