//! Every kind's own example, and every example of the reference, is a valid step.

use std::path::Path;

use prodmirror_engine::step::{KINDS, catalog, compile};
use prodmirror_model::source::SourceFile;

use super::tls::Authority;

fn problems(text: &str) -> Vec<String> {
    let (_, problems) = compile(&SourceFile::new("example.yaml", text));
    // What an example captures is used by what the reader writes next.
    let errors = problems.iter().filter(|p| p.is_error());
    errors.map(ToString::to_string).collect()
}

#[test]
fn the_examples_of_all_kinds_compile() {
    let mut names = Vec::new();
    for kind in KINDS {
        assert!(!names.contains(&kind.name), "{} twice", kind.name);
        names.push(kind.name);
        let vars = "vars: { order_id: 1, sku: A1 }";
        let text = format!("scenario: it\n{vars}\nsteps:\n  - {}\n", kind.example);
        assert_eq!(problems(&text), [""; 0], "{text}");
    }
}

/// Blocks marked `yaml` are whole files, or steps, or keys of a step or of an envelope.
#[test]
fn the_examples_of_the_reference_compile() {
    for (page, least) in [
        ("reference/scenario.md", 15),
        ("tutorial.md", 1),
        ("cookbook.md", 10),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let mut examples = 0;
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            examples += 1;
            assert_eq!(problems(&whole(block)), [""; 0], "{page}: {}", whole(block));
        }
        assert!(examples >= least, "only {examples} examples in {page}");
    }
}

/// The examples of a kind's page compile in a file, beside the files that they name.
#[test]
fn the_examples_of_the_pages_compile() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, file) = (Authority::new(), dir.path().join("example.yaml"));
    let pair = authority.pair("ann", |_| {});
    let proto = "syntax = \"proto3\";\npackage shop;\nmessage Nothing {}\nservice Orders { rpc List(Nothing) returns (Nothing); }\n";
    for (name, text) in [
        ("data/orders.csv", "id\n7\n"),
        ("data/orders.sql", "select 1;\n"),
        ("data/mug.png", "png"),
        ("load.js", "// k6\n"),
        ("protos/shop/orders.proto", proto),
        ("tls/ca.pem", &authority.pem),
        ("tls/ann.pem", &pair.cert),
        ("tls/ann.key", &pair.key),
    ] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut examples = 0;
    for (page, text) in catalog::pages() {
        let blocks: Vec<&str> = text.split("```yaml\n").skip(1).collect();
        assert!(page == "README.md" || blocks.len() >= 3, "{page}");
        for block in blocks {
            let scenario = whole(block.split("```").next().unwrap());
            std::fs::write(&file, &scenario).unwrap();
            let (programs, problems) = compile(&SourceFile::read(&file, "example.yaml").unwrap());
            let errors: Vec<String> = problems
                .iter()
                .filter(|p| p.is_error())
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, [""; 0], "{page}\n{scenario}");
            assert_eq!(programs.len(), 1, "{page}");
            examples += 1;
        }
    }
    assert!(examples >= KINDS.len() * 3, "only {examples} examples");
}

/// Makes a file of a piece of one.
fn whole(block: &str) -> String {
    let lines = |prefix: &str| {
        block
            .lines()
            .map(|l| format!("{prefix}{l}\n"))
            .collect::<String>()
    };
    let vars = "vars: { sku: A1, order_id: 1, want: 3 }";
    let order = "  - id: order\n    http: { url: \"http://gateway/orders\" }\n    capture: { token: json.token }\n";
    if block.starts_with("scenario:") || block.starts_with('#') {
        block.to_owned()
    } else if block.starts_with("- ") {
        format!("scenario: it\n{vars}\nsteps:\n{order}{}", lines("  "))
    } else if block.starts_with("expect:")
        || block.starts_with("capture:")
        || block.starts_with("eventually:")
        || block.starts_with("retry:")
    {
        format!(
            "scenario: it\n{vars}\nsteps:\n{order}  - http: {{ url: \"http://gateway/\" }}\n{}",
            {
                let body = lines("    ");
                if block.contains("expect:") {
                    body
                } else {
                    format!("{body}    expect: status == 200\n")
                }
            }
        )
    } else {
        let own_vars = if block.contains("vars:") { "" } else { vars };
        format!("scenario: it\n{own_vars}\n{block}steps:\n{order}")
    }
}
