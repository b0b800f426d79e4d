//! The committed schemas are those of the program, and they are right about files.

use std::path::Path;

use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::parse_all;
use serde_json::Value;

use super::{root, shop};

fn committed(of: &str) -> Value {
    let path = root().join(format!("docs/schema/{of}.json"));
    let said = shop(&[]).run(&["schema", of]);
    assert_eq!(said.code, 0, "{}", said.err);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &said.out).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, said.out,
        "docs/schema/{of}.json is old: `prodmirror schema {of} > docs/schema/{of}.json`"
    );
    serde_json::from_str(&text).unwrap()
}

/// What the schema says of each document of a file; a text that is no YAML is not valid.
fn errors(schema: &Value, path: &Path) -> Vec<String> {
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let file = SourceFile::read(path, path.display().to_string()).unwrap();
    let documents = match parse_all(&file) {
        Ok(d) => d,
        Err(p) => return vec![p.to_string()],
    };
    if documents.is_empty() {
        return vec!["nothing".into()];
    }
    let mut all = Vec::new();
    for d in documents.iter().filter(|d| !d.is_null()) {
        let json = d.to_json();
        all.extend(
            validator
                .iter_errors(&json)
                .map(|e| format!("{}: {e}", e.instance_path())),
        );
    }
    all
}

fn yaml(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<_> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    all.sort();
    all
}

#[test]
fn every_scenario_of_the_repository_is_valid() {
    let schema = committed("scenario");
    jsonschema::meta::validate(&schema).unwrap();
    let all = yaml(&root().join("scenarios"));
    assert!(all.len() >= 8);
    for path in all {
        assert_eq!(errors(&schema, &path), [""; 0], "{}", path.display());
    }
}

/// The pages on kinds of steps, as they are committed.
fn pages() -> Vec<std::path::PathBuf> {
    let dir = root().join("docs/reference/steps");
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    all.sort();
    all
}

#[test]
fn the_pages_on_kinds_are_those_of_the_program() {
    let made = tempfile::tempdir().unwrap();
    let out = made.path().join("a/steps");
    let said = shop(&[]).run(&["schema", "reference", "--out", out.to_str().unwrap()]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    let dir = root().join("docs/reference/steps");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(&dir).unwrap();
        for old in pages() {
            std::fs::remove_file(old).unwrap();
        }
        for page in std::fs::read_dir(&out).unwrap().map(|e| e.unwrap()) {
            std::fs::copy(page.path(), dir.join(page.file_name())).unwrap();
        }
    }
    let read = |dir: &Path| -> std::collections::BTreeMap<String, String> {
        let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
        entries
            .map(|e| {
                let name = e.file_name().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(e.path()).unwrap())
            })
            .collect()
    };
    let (made, committed) = (read(&out), read(&dir));
    let names =
        |m: &std::collections::BTreeMap<String, String>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&committed));
    for (name, text) in made {
        assert_eq!(
            text, committed[&name],
            "{name} is old: `prodmirror schema reference --out docs/reference/steps`"
        );
    }
    // Where nothing can be written, it says so.
    let said = shop(&[]).run(&["schema", "reference", "--out", "/proc/none"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("cannot write /proc/none"), "{}", said.err);
}

#[test]
fn the_pages_lead_to_each_other_and_to_nothing_that_is_not_there() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let to = link.split([')', '#']).next().unwrap();
            assert!(page.with_file_name(to).exists(), "{}: {to}", page.display());
        }
    }
    let guide = std::fs::read_to_string(root().join("docs/reference/scenario.md")).unwrap();
    for page in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            guide.contains(&format!("(steps/{name})")),
            "no link to {name}"
        );
    }
}

#[test]
fn the_scenarios_of_the_reference_are_valid() {
    let mut steps = valid_steps(&root().join("docs/reference/scenario.md"));
    for page in pages() {
        let found = valid_steps(&page);
        assert!(
            found >= 2 || page.ends_with("README.md"),
            "{}",
            page.display()
        );
        steps += found;
    }
    assert!(steps >= 100, "{steps}");
}

/// Checks the steps of a page, and counts them.
fn valid_steps(page: &Path) -> usize {
    let schema = committed("scenario");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    let mut steps = 0;
    for block in page.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        // Lists of steps stand alone in the reference; other blocks are parts of a step.
        if !text.starts_with("- ") && !text.starts_with("scenario:") {
            continue;
        }
        let text = match text.starts_with('-') {
            true => format!("scenario: a\nsteps:\n{text}"),
            false => text.to_owned(),
        };
        let documents = parse_all(&SourceFile::new("page", text.as_str())).unwrap();
        let json = documents[0].to_json();
        steps += json["steps"].as_array().unwrap().len();
        let found: Vec<String> = validator
            .iter_errors(&json)
            .map(|e| e.to_string())
            .collect();
        assert_eq!(found, [""; 0], "{text}");
    }
    steps
}

#[test]
fn most_mistakes_are_not_valid() {
    let schema = committed("scenario");
    let all = yaml(&root().join("runner/model/tests/fixtures/scenario/mistakes"));
    let valid: Vec<String> = all
        .iter()
        .filter(|p| errors(&schema, p).is_empty())
        .map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    // What is left are mistakes in texts: expressions, templates, names of other places.
    assert!(
        valid.len() * 2 < all.len(),
        "{} of {}: {valid:?}",
        valid.len(),
        all.len()
    );
}

#[test]
fn every_project_of_the_repository_is_valid() {
    let schema = committed("mirror");
    jsonschema::meta::validate(&schema).unwrap();
    let all: Vec<_> = yaml(&root())
        .into_iter()
        .filter(|p| p.to_string_lossy().ends_with("mirror.yaml"))
        .collect();
    assert!(all.len() >= 7);
    for path in all {
        assert_eq!(errors(&schema, &path), [""; 0], "{}", path.display());
    }
}
