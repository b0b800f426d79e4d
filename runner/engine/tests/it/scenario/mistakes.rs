//! Every mistake that people make in a scenario file, with the exact words that they get.
//!
//! One case is `<name>.yaml` and `<name>.err` in `runner/model/tests/fixtures/scenario/mistakes`.
//! `UPDATE_FIXTURES=1` writes the `.err` files anew; read them before they are committed.

use std::path::{Path, PathBuf};

use prodmirror_engine::step::compile;
use prodmirror_model::source::SourceFile;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/scenario/mistakes")
}

fn messages(path: &Path) -> String {
    let file = SourceFile::read(path, path.file_name().unwrap().to_string_lossy()).unwrap();
    let (_, problems) = compile(&file);
    let text: String = problems.iter().map(|p| format!("{p}\n")).collect();
    // Where the repository is differs from machine to machine.
    text.replace(&folder().display().to_string(), "…")
}

#[test]
fn mistakes_get_the_words_that_help() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut wrong = Vec::new();
    let mut cases = 0;
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    for path in &names {
        let expected = path.with_extension("err");
        match path.extension().and_then(|e| e.to_str()) {
            Some("yaml") => {}
            Some("err") => {
                assert!(
                    path.with_extension("yaml").exists(),
                    "{} has no scenario",
                    path.display()
                );
                continue;
            }
            _ => panic!("{} does not belong here", path.display()),
        }
        cases += 1;
        let got = messages(path);
        assert!(!got.is_empty(), "{} has no mistake", path.display());
        if update {
            std::fs::write(&expected, &got).unwrap();
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if got != wanted {
            wrong.push(format!(
                "{}\n--- wanted\n{wanted}--- got\n{got}",
                path.display()
            ));
        }
    }
    assert!(cases >= 60, "only {cases} mistakes");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
