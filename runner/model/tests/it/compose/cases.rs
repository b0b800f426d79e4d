//! Small cases of our own: each folder of `tests/fixtures/compose` holds the files of one
//! project, and what reading it must give: `expect.json` (the normal form), `expect.error`
//! (why it is refused), and `expect.warnings` when there are any. `case.yaml` says what is
//! asked for besides `compose.yaml`. `@CASE@` stands for the folder,
//! `@CASES@` for the one above it.
//!
//! With `PRODMIRROR_BLESS=1` the expectations are written instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use prodmirror_model::diag::Problem;
use prodmirror_model::source::SourceFile;
use prodmirror_model::spec::compose::{LoadRequest, load};
use prodmirror_model::yaml::{Node, parse_one};

/// The folder has at least so many cases.
const FLOOR: usize = 30;

pub fn trials() -> Vec<Trial> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let count = cases.len();
    let enough = Trial::test("compose::case::count", move || {
        if count < FLOOR {
            return Err(format!("{count} cases, at least {FLOOR} must be there").into());
        }
        Ok(())
    });
    let trial = |dir: PathBuf| {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        Trial::test(format!("compose::case::{name}"), move || run(&dir))
    };
    cases.into_iter().map(trial).chain([enough]).collect()
}

fn run(dir: &Path) -> Result<(), Failed> {
    let (mut form, mut error, warnings);
    (form, error) = (String::new(), String::new());
    match load(&request(dir)) {
        Ok(loaded) => {
            form = serde_json::to_string_pretty(&loaded.root.to_json())? + "\n";
            warnings = lines(&loaded.warnings);
        }
        Err(problems) => {
            let (errors, rest): (Vec<_>, Vec<_>) =
                problems.0.into_iter().partition(Problem::is_error);
            error = lines(&errors);
            warnings = lines(&rest);
        }
    }
    expect(dir, "expect.json", &form)?;
    expect(dir, "expect.error", &error)?;
    expect(dir, "expect.warnings", &warnings)
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|p| format!("{:?} {p}\n", p.kind))
        .collect()
}

fn expect(dir: &Path, name: &str, got: &str) -> Result<(), Failed> {
    let path = dir.join(name);
    let mut got = got.replace(&*dir.to_string_lossy(), "@CASE@");
    if let Some(cases) = dir.parent() {
        got = got.replace(&*cases.to_string_lossy(), "@CASES@");
    }
    if std::env::var_os("PRODMIRROR_BLESS").is_some() {
        if got.is_empty() {
            let _ = std::fs::remove_file(&path);
        } else {
            std::fs::write(&path, &got)?;
        }
        return Ok(());
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if want != got {
        return Err(format!("{name} differs; want:\n{want}\ngot:\n{got}").into());
    }
    Ok(())
}

fn request(dir: &Path) -> LoadRequest {
    let text = std::fs::read_to_string(dir.join("case.yaml")).unwrap_or_default();
    let case = parse_one(&SourceFile::new("case.yaml", text)).unwrap();
    let texts = |key: &str| -> Vec<String> {
        let items = case.get(key).and_then(Node::as_seq).unwrap_or(&[]);
        items.iter().filter_map(Node::scalar_text).collect()
    };
    let paths = |key: &str| texts(key).into_iter().map(PathBuf::from).collect();
    let mut shell = BTreeMap::from([("HOME".to_owned(), "/home/oracle".to_owned())]);
    if let Some(map) = case.get("shell").and_then(Node::as_map) {
        shell.extend(
            map.iter()
                .map(|(k, v)| (k.to_owned(), v.scalar_text().unwrap_or_default())),
        );
    }
    let mut files: Vec<PathBuf> = paths("files");
    if files.is_empty() {
        files.push("compose.yaml".into());
    }
    LoadRequest {
        working_dir: dir.to_owned(),
        project_dir: None,
        files,
        env_files: paths("env_files"),
        shell,
        profiles: texts("profiles"),
        services: texts("services"),
        project_name: Some(
            case.get("name")
                .and_then(Node::scalar_text)
                .unwrap_or("case".into()),
        ),
        ..LoadRequest::default()
    }
}
