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

#[test]
fn the_scenarios_of_the_reference_are_valid() {
    let schema = committed("scenario");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let page = std::fs::read_to_string(root().join("docs/reference/scenario.md")).unwrap();
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
    assert!(steps >= 30, "{steps}");
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
