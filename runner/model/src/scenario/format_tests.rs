//! Formatting: what it does, and that it never changes what a file means.

use proptest::prelude::*;

use super::{KindInfo, format, read};
use crate::source::SourceFile;

const KINDS: [KindInfo; 3] = [
    KindInfo {
        name: "http",
        fields: &["status", "json", "headers", "body", "duration"],
    },
    KindInfo {
        name: "sql",
        fields: &["rows", "count"],
    },
    KindInfo {
        name: "logs",
        fields: &["lines", "count"],
    },
];

fn formatted(text: &str) -> String {
    format(&SourceFile::new("s.yaml", text)).unwrap().text
}

#[track_caller]
fn becomes(text: &str, wanted: &str) {
    let once = formatted(text);
    assert_eq!(once, wanted);
    assert_eq!(formatted(&once), once, "it is not idempotent");
}

/// What the reader makes of a text, without places.
fn model(text: &str) -> String {
    let file = SourceFile::new("s.yaml", text);
    let reading = read(&file, &KINDS);
    let mut out = String::new();
    for mut s in reading.scenarios {
        s.file = SourceFile::new("", "");
        s.sources.clear();
        out.push_str(&format!("{s:?}\n"));
    }
    let mut problems: Vec<String> = reading.problems.iter().map(|p| p.message.clone()).collect();
    problems.sort();
    out.push_str(&problems.join("\n"));
    let place = regex::Regex::new(r"s\.yaml:\d+:\d+").unwrap();
    let out = place.replace_all(&out, "@").into_owned();
    // A fragment keeps the text that it stands in.
    let file = r#"SourceFile \{ name: "(?:[^"\\]|\\.)*", text: "(?:[^"\\]|\\.)*", path: None \}"#;
    let file = regex::Regex::new(file).unwrap();
    file.replace_all(&out, "@").into_owned()
}

#[test]
fn keys_are_put_in_order_with_their_comments() {
    becomes(
        "\
# About this file.

# Why these steps.
steps:
- expect: status == 200   # or so
  # The request.
  http: {url:  'http://a/'}
  # Its name.
  id: a


- {expect: json.a, http: { url: x }, name: b}
# The end.
labels: [a,   b]
scenario:   one
",
        "\
# About this file.

scenario: one
# The end.
labels: [a, b]

# Why these steps.
steps:
  # Its name.
  - id: a
    # The request.
    http: { url: 'http://a/' }
    expect: status == 200   # or so

  - { name: b, http: { url: x }, expect: json.a }
",
    );
}

#[test]
fn an_alias_keeps_its_anchor_before_it() {
    let text = "\
steps:
  - http: &h { url: x }
  - http: *h
x-more: &m { retry: 2 }
scenario: a
finally:
  - <<: *m
    http: *h
";
    let file = SourceFile::new("s.yaml", text);
    let done = format(&file).unwrap();
    assert_eq!(done.text.lines().next(), Some("scenario: a"));
    assert!(done.kept.is_empty());
    let text = "steps:\n  - http: &h { url: x }\nscenario: a\nsetup:\n  - http: *h\n";
    let done = format(&SourceFile::new("s.yaml", text)).unwrap();
    assert_eq!(done.text, text);
    assert_eq!(done.kept.len(), 1);
}

#[test]
fn scalars_of_all_kinds_keep_their_text() {
    becomes(
        "\
scenario: 'it''s'
description: >
    folded
    text

      deeper


vars:
      a: |2-
          two more
      b: \"x \\
         y\"
      c: plain
         over lines
      d: |+
        kept

      e:
      f: ~ # nothing
      g: !!str 12
",
        "\
scenario: 'it''s'
description: >
  folded
  text

    deeper

vars:
  a: |2-
      two more
  b: \"x \\
    y\"
  c: plain
    over lines
  d: |+
    kept

  e:
  f: ~ # nothing
  g: !!str 12
",
    );
}

#[test]
fn brackets_over_lines_have_a_line_for_each_item() {
    becomes(
        "scenario: a\nsteps:\n- http:\n    json: { a: 1,   # one\n      b: [1,\n 2 ], c: {} }\n",
        "\
scenario: a
steps:
  - http:
      json: {
        a: 1,   # one
        b: [
          1,
          2
        ],
        c: {}
      }
",
    );
}

#[test]
fn several_documents_and_comments_between_them() {
    becomes(
        "# head\nscenario: a\nsteps: []\n# tail\n\n--- # second\n\nscenario: b\n\n\n\nsteps: []\n---\n",
        "# head\nscenario: a\nsteps: []\n# tail\n--- # second\nscenario: b\n\nsteps: []\n---\n",
    );
}

#[test]
fn comments_at_the_end_of_a_block_stay_there() {
    becomes(
        "\
scenario: a
steps:
- http: { url: x }
  # last of the step
# about the key
finally:
  - # of the step
    http: { url: y }
  # last of the list
",
        "\
scenario: a
steps:
  - http: { url: x }
    # last of the step
# about the key
finally:
  # of the step
  - http: { url: y }
  # last of the list
",
    );
}

#[test]
fn races_and_branches_are_formatted_too() {
    becomes(
        "scenario: a\nsteps:\n- race:\n    runs: 2\n    branches:\n    - - {expect: json.a, step: x}\n    - expect: json.a\n      http: {}\n  name: r\n",
        "\
scenario: a
steps:
  - name: r
    race:
      runs: 2
      branches:
        - - { step: x, expect: json.a }
        - http: {}
          expect: json.a
",
    );
}

#[test]
fn what_is_unusual_is_left_alone_and_named() {
    for (text, what) in [
        ("scenario: a\n? x-a\n: 1\nsteps: []\n", "a key with `?`"),
        ("%YAML 1.1\n---\nscenario: a\n", "a directive"),
        ("scenario: a\nsteps: []\n...\n", "the end of a document"),
    ] {
        let p = format(&SourceFile::new("s.yaml", text)).unwrap_err();
        assert!(p.message.contains(what), "{p}");
    }
}

#[test]
fn every_scenario_of_the_repository_means_the_same() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mistakes = "runner/model/tests/fixtures/scenario/mistakes";
    let mut count = 0;
    for dir in ["scenarios", mistakes] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            match format(&SourceFile::new("s.yaml", text.as_str())) {
                Ok(done) => {
                    assert_eq!(model(&text), model(&done.text), "{}", path.display());
                    assert_eq!(formatted(&done.text), done.text, "{}", path.display());
                    count += 1;
                }
                // Only what is no YAML at all is refused.
                Err(p) => assert_ne!(p.kind, crate::diag::ProblemKind::Unsupported, "{p}"),
            }
        }
    }
    assert!(count > 50, "{count}");
}

/// A scenario file at random: steps with keys in any order, styles, comments, anchors.
fn file() -> impl Strategy<Value = String> {
    let comment = prop::sample::select(&["", "", "# one\n", "\n\n# two\n", "# a\n\n# b\n"][..]);
    let beside = prop::sample::select(&["", "", "", " # beside", "   # far: [x] {y}"][..]);
    let entry = prop::sample::select(
        &[
            "id: s@",
            "name: 'a name: #x'",
            "name: \"quo\\\"ted\\\n    over lines\"",
            "if: 1 == 1",
            "expect: status == 200",
            "expect:\n+- status == 200\n+- { jsonpath: $.a,equals:  [1,2 , {a: b}] }",
            "expect: [status == 200,\n  json.a == 1]",
            "capture: { v: json.a }",
            "capture:\n+   v: json.a\n+   # inner\n+   w: { header: x }",
            "retry: {times: 3,   delay: 1s}",
            "timeout: 5s",
            "soft: true",
            "<<: *common",
            "x-note: |\n+  text\n+    more\n+\n+  end",
            "x-kept: >+\n+  text\n+\n",
        ][..],
    );
    let kind = prop::sample::select(
        &[
            "http: { url: \"http://a/{{ x }}\" }",
            "http:\n+  url: http://a/\n+  # about\n+  json: {a: 1, b: [ ], c: {}}",
            "http: {url: x, json: {\n    a: 1, # one\n    b: 'two'}}",
            "sql: { service: db, query: 'select 1' }",
            "race:\n+- nothing",
            "parallel:\n+- http: {url: x}\n+- - expect: status == 1\n+    http: {url: y}",
        ][..],
    );
    let step = (
        prop::collection::vec((comment.clone(), entry, beside.clone()), 0..4),
        (comment.clone(), kind, beside),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    let head = prop::sample::select(
        &[
            "scenario: a\n",
            "scenario: a # beside\nlabels: [x,y]\n",
            "labels: [x]\n\n# name\nscenario: a\n",
        ][..],
    );
    (
        head,
        comment,
        prop::collection::vec(step, 1..4),
        0usize..3,
        any::<bool>(),
    )
        .prop_map(|(head, comment, steps, deep, first)| {
            let indent = " ".repeat(deep);
            let mut text = String::new();
            for (n, (mut entries, kind, at, gap)) in steps.into_iter().enumerate() {
                entries.insert(at.index(entries.len() + 1), kind);
                let mut seen = std::collections::HashSet::new();
                entries.retain(|(_, e, _)| {
                    let key = e.split(':').next().unwrap_or("");
                    seen.insert(key.to_owned())
                });
                if gap {
                    text.push_str("\n\n\n");
                }
                for (i, (comment, entry, beside)) in entries.iter().enumerate() {
                    let dash = if i == 0 { "- " } else { "  " };
                    for line in comment.lines() {
                        let pad = if i == 0 { "" } else { "  " };
                        text.push_str(&format!("{indent}{pad}{line}\n"));
                    }
                    let deeper = format!("{indent}    ");
                    let entry = entry.replace('@', &n.to_string()).replace('+', &deeper);
                    // A comment may stand behind the last line only where it ends a value.
                    let beside = if entry.contains('|') || entry.contains('>') {
                        ""
                    } else {
                        beside
                    };
                    text.push_str(&format!("{indent}{dash}{entry}{beside}\n"));
                }
            }
            let common = "x-common: &common { soft: true }\n";
            match first {
                true => format!("{head}{common}{comment}steps:\n{text}"),
                false => format!("{common}steps:\n{text}{comment}{head}"),
            }
        })
}

/// The random files are worth something only when most of them are files.
#[test]
fn most_random_files_can_be_formatted() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = file();
    let (mut done, mut changed) = (0, 0);
    for _ in 0..100 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        if let Ok(f) = format(&SourceFile::new("s.yaml", text.as_str())) {
            done += 1;
            changed += usize::from(f.text != text);
        }
    }
    assert!(
        done > 70 && changed > 60,
        "{done} formatted, {changed} changed"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_files_mean_the_same(text in file()) {
        let source = SourceFile::new("s.yaml", text.as_str());
        match format(&source) {
            Ok(done) => {
                prop_assert_eq!(model(&text), model(&done.text));
                prop_assert_eq!(formatted(&done.text), done.text);
            }
            Err(p) => prop_assert_ne!(p.kind, crate::diag::ProblemKind::Unsupported, "{}\n{}", p, text),
        }
    }

    #[test]
    fn any_text_is_formatted_or_refused(text in "([ab'\"#&*!|>%@`{}\\[\\]:,?~\\-\\\\\t\n ]|\\PC){0,80}") {
        if let Ok(done) = format(&SourceFile::new("s.yaml", text)) {
            prop_assert_eq!(formatted(&done.text), done.text);
        }
    }

    #[test]
    fn any_lines_are_formatted_or_refused(lines in prop::collection::vec(prop::sample::select(&[
        "scenario: a", "steps:", "  - a: 1", "  -", "- b", "    # c", "# d", "", "    k: |", "      text",
        "  x: &a {b: [1,", " 2]}", "*a", "---", "  - - c: *a", "    'q': \"z\" # e", "...", "? k", ": v",
        "    >-", "\t", "   - !t x",
    ][..]), 0..14)) {
        if let Ok(done) = format(&SourceFile::new("s.yaml", lines.join("\n"))) {
            prop_assert_eq!(formatted(&done.text), done.text);
        }
    }
}
