//! The corpus of real production specs, a directory named by `PRODMIRROR_CORPUS`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::{self, Node, Value};
use serde_json::Value as Json;

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

/// What a user would add to `mirror.yaml` when told to: the very blocks of the help, with the
/// values filled in.
pub fn supplied(problems: &Problems) -> String {
    let mut sections: BTreeMap<String, Json> = BTreeMap::new();
    for p in &problems.0 {
        let Some(help) = p.help.as_ref().filter(|_| p.kind == ProblemKind::Missing) else {
            continue;
        };
        let Some((_, block)) = help.split_once('\n') else {
            continue;
        };
        let filled = block
            .replace("{ file: PATH }", "{ content: 'A=1' }")
            .replace("VALUE", "stand-in")
            .replace("REFERENCE", "registry.example/under-test:1");
        let node = yaml::parse_one(&SourceFile::new("help", filled)).unwrap();
        merge(&mut sections, node.to_json());
    }
    sections
        .iter()
        .fold(String::new(), |mut out, (key, value)| {
            let _ = writeln!(out, "{key}: {value}");
            out
        })
}

fn merge(into: &mut BTreeMap<String, Json>, from: Json) {
    fn deep(a: &mut Json, b: Json) {
        match (a, b) {
            (Json::Object(a), Json::Object(b)) => {
                for (key, value) in b {
                    deep(a.entry(key).or_insert(Json::Null), value);
                }
            }
            (a, b) => *a = b,
        }
    }
    if let Json::Object(from) = from {
        for (key, value) in from {
            deep(into.entry(key).or_insert(Json::Null), value);
        }
    }
}
