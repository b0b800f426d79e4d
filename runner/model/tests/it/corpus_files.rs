//! The corpus of real production specs, a directory named by `PRODMIRROR_CORPUS`.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::{self, Node, Value};

/// The corpus, when there is one.
pub fn root() -> Option<PathBuf> {
    std::env::var_os("PRODMIRROR_CORPUS")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
}

/// A trial over the corpus, ignored where there is none.
pub fn trial(name: &str, test: fn(&Path) -> Result<(), Failed>) -> Trial {
    match root() {
        Some(dir) => Trial::test(name, move || test(&dir)),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind("set PRODMIRROR_CORPUS"),
    }
}

/// All files below a directory whose name ends so, sorted.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Reads what `docker compose config --format json` printed: there every literal `$` is
/// doubled, here it is not.
pub fn normal_form(path: &Path) -> Node {
    let text = std::fs::read_to_string(path).unwrap();
    let mut node = yaml::parse_one(&SourceFile::new(path.to_string_lossy(), text)).unwrap();
    undouble(&mut node);
    node
}

fn undouble(node: &mut Node) {
    match &mut node.value {
        Value::Str(text) => *text = text.replace("$$", "$"),
        Value::Seq(items) => items.iter_mut().for_each(undouble),
        Value::Map(map) => map.iter_mut().for_each(|(_, n)| undouble(n)),
        _ => {}
    }
}
