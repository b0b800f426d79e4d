//! What is decided about snapshots, with files in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use super::{Decision, Held, Masks, SnapshotStore, decide, slug};
use crate::check::{Hooks, check, read_expectations};
use crate::source::SourceFile;
use crate::template::{Document, Scope};
use crate::yaml::parse_one;

#[derive(Default)]
struct Memory {
    files: Mutex<BTreeMap<String, String>>,
    updates: bool,
}

impl SnapshotStore for Memory {
    fn read(&self, file: &str) -> Result<Option<String>, String> {
        Ok(self.files.lock().unwrap().get(file).cloned())
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        assert!(self.updates, "nobody asked for that");
        self.files.lock().unwrap().insert(file.into(), text.into());
        Ok(())
    }

    fn updates(&self) -> bool {
        self.updates
    }

    fn name(&self, file: &str) -> String {
        format!("snaps/{file}")
    }
}

const FIELDS: [&str; 6] = ["status", "headers", "body", "json", "duration", "rows"];

struct Bench {
    files: BTreeMap<String, String>,
    document: Document,
}

impl Bench {
    fn of(json: Json) -> Self {
        Self {
            files: BTreeMap::new(),
            document: Document::default().with("json", json).with("body", "x"),
        }
    }

    fn text(body: &str) -> Self {
        Self {
            files: BTreeMap::new(),
            document: Document::default()
                .with("json", Json::Null)
                .with("body", body),
        }
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.into(), text.into());
        self
    }

    /// What is told, and the files afterwards.
    fn run(&self, expect: &str, updates: bool) -> (Vec<String>, BTreeMap<String, String>) {
        let node = parse_one(&SourceFile::new("s.yaml", format!("expect:\n{expect}"))).unwrap();
        let read = read_expectations(node.get("expect").unwrap(), &FIELDS).unwrap();
        let store = Arc::new(Memory {
            files: Mutex::new(self.files.clone()),
            updates,
        });
        let mut scope = Scope::default();
        scope.set_hooks(Hooks {
            snapshots: Some(store.clone()),
            coverage: None,
        });
        scope.stand_at(Some("The order"));
        let told = check(&read, &self.document, &scope)
            .unwrap()
            .mismatches
            .into_iter()
            .map(|m| {
                let hint = m.hint.map_or_else(String::new, |h| format!(" ({h})"));
                let path = m.path.map_or_else(String::new, |p| format!("{p}: "));
                format!("{path}expected {}, got {}{hint}", m.expected, m.actual)
            })
            .collect();
        let files = store.files.lock().unwrap().clone();
        (told, files)
    }
}

const HOW: &str = "if this is right now, run with --update-snapshots";

#[test]
fn a_missing_snapshot_fails_and_says_how_to_write_it() {
    let (told, files) = Bench::of(json!({"a": 1})).run("- snapshot: first order", false);
    assert_eq!(
        told,
        [
            "expected a snapshot in snaps/first-order.json, got there is none (write it with `prodmirror run --update-snapshots`, look at it, and commit it)"
        ]
    );
    assert!(files.is_empty());
}

#[test]
fn an_update_writes_what_people_can_read() {
    let bench =
        Bench::of(json!({"b": [1.50], "a": {"id": "b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e"}}));
    let (told, files) = bench.run("- { snapshot: true, mask: uuid }", true);
    assert_eq!(told, [""; 0]);
    assert_eq!(
        files["the-order.json"],
        "{\n  \"a\": {\n    \"id\": \"<uuid>\"\n  },\n  \"b\": [\n    1.5\n  ]\n}\n"
    );
    let again = Bench {
        files,
        document: bench.document,
    };
    assert_eq!(
        again.run("- { snapshot: true, mask: uuid }", false).0,
        [""; 0]
    );
}

#[test]
fn every_difference_is_told() {
    let bench = Bench::of(json!({"id": 8, "items": [{"qty": "2"}], "new": true}))
        .file("o.json", "{\"id\": 7, \"items\": [{\"qty\": 2}]}");
    assert_eq!(
        bench.run("- snapshot: o", false).0,
        [
            format!("snaps/o.json.id: expected 7, got 8 ({HOW})"),
            format!(
                "snaps/o.json.items[0].qty: expected 2, got \"2\" (\"2\" is text here, not a number; {HOW})"
            ),
            format!("snaps/o.json.new: expected nothing, got true ({HOW})"),
        ]
    );
    let (told, files) = bench.run("- snapshot: o", true);
    assert_eq!(told, [""; 0]);
    assert!(files["o.json"].contains("\"new\": true"), "{files:?}");
}

#[test]
fn a_wrong_result_does_not_become_a_snapshot() {
    let bench = Bench::of(json!({"id": 8}));
    let (told, files) = bench.run("- snapshot: o\n- json.id == 7", true);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(files.is_empty());
}

#[test]
fn texts_line_by_line() {
    let bench = Bench::text("a\nB\nc\n").file("p.txt", "a\nb\nc\n");
    assert_eq!(
        bench.run("- snapshot: p", false).0,
        [format!(
            "snaps/p.txt line 2: expected \"b\", got \"B\" ({HOW})"
        )]
    );
    let bench = Bench::text("a\r\nb").file("p.txt", "a\nb");
    assert_eq!(
        bench.run("- snapshot: p", false).0,
        [format!(
            "snaps/p.txt: expected the same end of the last line, got it differs in line breaks only ({HOW})"
        )]
    );
}

#[test]
fn masks() {
    let old = json!({"id": 7, "at": "2024-02-29T12:00:00Z", "note": "ref 17 of b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e", "items": [{"id": 1}, {"id": 2}]});
    let new = json!({"id": 9, "at": "2025-01-01 09:30:11.5+01:00", "note": "ref 18 of 00000000-0d5e-4b9c-8f6a-0c8e2d1a5b7e", "items": [{"id": 5}, {"id": 6}]});
    let bench = Bench::of(new).file("o.json", &old.to_string());
    let masked = "- { snapshot: o, mask: [$.id, \"$.items[*].id\", uuid, timestamp, { matches: 'ref \\d+' }] }";
    // Also what was written before there were masks is masked.
    assert_eq!(bench.run(masked, false).0, [""; 0]);
    let (told, _) = bench.run("- { snapshot: o, mask: [$.id, uuid, timestamp] }", false);
    assert_eq!(told.len(), 3, "{told:?}");
    let page =
        Bench::text("<p>Thu, 29 Feb 2024 12:00:00 GMT</p>").file("p.txt", "<p><timestamp></p>");
    assert_eq!(
        page.run("- { snapshot: p, mask: timestamp }", false).0,
        [""; 0]
    );
}

#[test]
fn parts_of_a_result() {
    let bench = Bench::of(json!({"items": [{"sku": "A1"}], "total": 3}))
        .file("skus.json", "[\"A1\"]")
        .file("total.json", "3");
    assert_eq!(
        bench
            .run("- { snapshot: skus, jsonpath: '$.items[*].sku' }", false)
            .0,
        [""; 0]
    );
    assert_eq!(
        bench
            .run("- { snapshot: total, value: json.total }", false)
            .0,
        [""; 0]
    );
    assert_eq!(
        bench.run("- { snapshot: x, jsonpath: $.nope }", false).0,
        [
            "$.nope: expected a value, got nothing is there (the path finds nothing in the JSON of the result)"
        ]
    );
    // A result without a body is kept without its times.
    let rows = Bench {
        files: BTreeMap::new(),
        document: Document::default()
            .with("rows", json!([{"n": 1}]))
            .with("duration", "5ms"),
    };
    let (_, files) = rows.run("- snapshot: rows", true);
    assert_eq!(
        files["rows.json"],
        "{\n  \"rows\": [\n    {\n      \"n\": 1\n    }\n  ]\n}\n"
    );
}

#[test]
fn mistakes() {
    let refused = |expect: &str| {
        let node = parse_one(&SourceFile::new("s.yaml", format!("expect:\n{expect}"))).unwrap();
        read_expectations(node.get("expect").unwrap(), &FIELDS)
            .unwrap_err()
            .into_iter()
            .map(|p| format!("{} ({})", p.message, p.help.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    for (expect, said) in [
        (
            "- snapshot: ../x",
            "`../x` cannot be the name of a snapshot (a name has letters, digits, `-`, `_`, `.` and blanks, and no template)",
        ),
        (
            "- snapshot: '{{ x }}'",
            "`{{ x }}` cannot be the name of a snapshot (a name has letters, digits, `-`, `_`, `.` and blanks, and no template)",
        ),
        (
            "- snapshot: [a]",
            "`snapshot` takes a name, or true for the step's id, found a list ()",
        ),
        (
            "- { snapshot: a, mask: uid }",
            "`uid` is no mask (did you mean `uuid`?)",
        ),
        (
            "- { snapshot: a, msk: uuid }",
            "unknown key `msk` beside `snapshot` (did you mean `mask`?)",
        ),
        (
            "- { snapshot: a, status: 201 }",
            "the snapshot says what is expected (write `status: true`, or an expectation of its own)",
        ),
    ] {
        assert_eq!(refused(expect), [said], "{expect}");
    }
    let broken = Bench::of(json!(1)).file("o.json", "{");
    let (told, _) = broken.run("- snapshot: o", false);
    assert!(
        told[0]
            .starts_with("snaps/o.json: expected a snapshot of JSON, got the file is not JSON: "),
        "{told:?}"
    );
}

#[test]
fn names_become_paths_that_lead_nowhere_else() {
    assert_eq!(slug("A customer buys 2 mugs!"), "a-customer-buys-2-mugs");
    assert_eq!(slug("../../etc/passwd"), "etc-passwd");
    assert_eq!(slug(".."), "snapshot");
    assert_eq!(slug("Über uns"), "über-uns");
    assert!(slug(&"x".repeat(500)).len() <= 100);
}

#[test]
fn decisions_are_pure() {
    let now = Held::Json(json!(1));
    let masks = Masks(&[]);
    assert_eq!(decide(&now, None, &masks, false), Decision::Missing);
    assert_eq!(
        decide(&now, None, &masks, true),
        Decision::Write("1\n".into())
    );
    assert_eq!(decide(&now, Some("1"), &masks, true), Decision::Same);
    assert_eq!(
        decide(&now, Some("2"), &masks, true),
        Decision::Write("1\n".into())
    );
    assert!(matches!(decide(&now, Some("2"), &masks, false), Decision::Differs(f) if f.len() == 1));
}
