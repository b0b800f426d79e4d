//! Every kind's own example, and every example of the reference, is a valid step.

use std::path::Path;

use prodmirror_engine::step::{KINDS, compile};
use prodmirror_model::source::SourceFile;

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
