//! What a recipe is, as one number: two images with the same are the same.

use std::collections::BTreeMap;
use std::path::Path;

use prodmirror_model::diag::{Problem, ProblemKind};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::context::{ContextFile, files};
use super::manifest::{Entry, Recipes, Source};

/// The label that holds the hash of an image's recipe.
pub const LABEL: &str = "dev.prodmirror.recipe";

/// The hashes of all recipes, by image.
pub(super) type Hashes = BTreeMap<String, String>;

/// The hash of each recipe: its folder's files, its arguments, its parent's hash.
pub(super) fn hashes(recipes: &Recipes) -> Result<Hashes, Problem> {
    let mut done = Hashes::new();
    for entry in &recipes.entries {
        let hash = hash(&recipes.dir, entry, &done).map_err(|e| {
            Problem::new(
                ProblemKind::MissingFile,
                format!("cannot read the recipe of `{}`: {e}", entry.name),
            )
        })?;
        done.insert(entry.name.clone(), hash);
    }
    Ok(done)
}

fn hash(dir: &Path, entry: &Entry, parents: &Hashes) -> std::io::Result<String> {
    #[derive(Serialize)]
    struct Root<'a> {
        args: BTreeMap<&'a str, &'a str>,
        rootfs: BTreeMap<&'a str, &'a str>,
    }
    #[derive(Serialize)]
    struct Folder<'a> {
        args: &'a BTreeMap<String, String>,
        folder: String,
        parent: Option<&'a String>,
        rootfs: (),
    }
    let text = match &entry.source {
        Source::Rootfs(root) => canonical(&Root {
            args: BTreeMap::new(),
            rootfs: BTreeMap::from([
                ("registry", root.registry.as_str()),
                ("suite", root.suite.as_str()),
            ]),
        }),
        Source::Folder {
            folder,
            parent,
            args,
        } => canonical(&Folder {
            args,
            folder: folder_hash(&files(&dir.join(folder))?),
            parent: parent.as_ref().and_then(|p| parents.get(p)),
            rootfs: (),
        }),
    }?;
    Ok(hex(Sha256::digest(text).as_slice())[..32].to_owned())
}

fn folder_hash(files: &[ContextFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let head = format!(
            "{}\0{:o}\0{}\0",
            file.path,
            file.execute,
            file.content.len()
        );
        hash.update(head);
        hash.update(&file.content);
    }
    hex(hash.finalize().as_slice())
}

/// JSON with sorted keys and a blank after `,` and `:`.
fn canonical(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut text, Spaced,
        ))
        .map_err(std::io::Error::other)?;
    Ok(text)
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(b": ")
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes(dir: &Path, version: &str) -> Hashes {
        let text = format!(
            "images:\n- {{ name: root, rootfs: {{ registry: d, suite: s }} }}\n\
             - {{ name: a, folder: a, parent: root, args: {{ V: '{version}' }} }}\n\
             - {{ name: b, folder: b, parent: a }}\n- {{ name: c, folder: b, parent: root }}\n"
        );
        std::fs::write(dir.join("images.yaml"), text).unwrap();
        hashes(&Recipes::read(dir).unwrap()).unwrap()
    }

    #[test]
    fn a_change_changes_what_is_built_on_it_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "b"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("Dockerfile"), "FROM x").unwrap();
        }
        let first = recipes(dir.path(), "1");
        assert_eq!(first, recipes(dir.path(), "1"));

        let changed = recipes(dir.path(), "2");
        let differ = |name: &str| first[name] != changed[name];
        assert_eq!(
            ["root", "a", "b", "c"].map(differ),
            [false, true, true, false]
        );

        std::fs::write(dir.path().join("b/more"), "").unwrap();
        let more = recipes(dir.path(), "1");
        let differ = |name: &str| first[name] != more[name];
        assert_eq!(
            ["root", "a", "b", "c"].map(differ),
            [false, false, true, true]
        );
    }
}
