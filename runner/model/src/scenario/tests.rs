//! What is read, and that nothing makes the reader panic.

use proptest::prelude::*;

use super::{Body, KindInfo, Reading, Scenario, read};
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

fn one(text: &str) -> Scenario {
    let Reading {
        mut scenarios,
        problems,
    } = read(&SourceFile::new("s.yaml", text), &KINDS);
    // What is captured here is for nothing but to be read.
    let told: Vec<_> = problems.iter().filter(|p| p.is_error()).collect();
    assert!(told.is_empty(), "{told:?}");
    scenarios.swap_remove(0)
}

#[test]
fn an_envelope_with_everything() {
    let s = one(r#"
scenario: checkout charges once
description: What a customer expects.
labels: [checkout, slow]
data: { db: orders-2026-11 }
vars: { sku: A1, twice: "{{ sku }}{{ sku }}" }
isolation: file
timeout: 2m
requires: { services: [worker] }
x-common: &get { retry: 2, timeout: 5s }
invariants:
  - sql: { service: db, query: "select 1 as n" }
    expect: rows[0].n == 1
setup:
  - http: { url: "http://gateway/" }
    capture: { token: { header: x-token } }
steps:
  - id: order
    <<: *get
    http: { url: "http://gateway/{{ token }}" }
    expect:
      - status == 201
      - { jsonpath: $.id, exists: true }
    capture: { order_id: { jsonpath: $.id }, first: "json.items[0].sku" }
  - eventually: { within: 30s, every: 500ms }
    sql: { service: db, query: "select 1", params: ["{{ order_id }}"] }
    expect: size(rows) == 1
    soft: true
    if: order_id != ""
  - race: { branches: [ { step: order }, [ { step: order }, { logs: { service: a, none: x } } ] ], runs: 5, seed: 7 }
    expect: branches.filter(b, b.status == 201).size() == 1
finally:
  - http: { url: "http://gateway/{{ steps.order.json.id }}" }
"#);
    assert_eq!(s.name.value, "checkout charges once");
    assert_eq!(s.labels, ["checkout", "slow"]);
    assert_eq!(s.timeout.unwrap().as_secs(), 120);
    assert_eq!(s.steps[0].retry.as_ref().unwrap().times, 2);
    assert_eq!(s.steps[1].eventually.unwrap().every.as_millis(), 500);
    assert!(s.steps[1].soft && s.steps[1].condition.is_some());
    let Body::Race(race) = &s.steps[2].body else {
        panic!()
    };
    assert_eq!((race.runs, race.seed, race.branches.len()), (5, Some(7), 2));
    assert_eq!(race.branches[1].steps[1].path, "steps[2].race[1][1]");
    assert_eq!(s.finally[0].path, "finally[0]");
}

#[test]
fn several_scenarios_in_a_file() {
    let text = "scenario: a\nsteps:\n  - http: { url: x }\n---\nscenario: b\nsteps:\n  - http: { url: x }\n---\n";
    let r = read(&SourceFile::new("s.yaml", text), &KINDS);
    assert!(r.problems.is_empty(), "{:?}", r.problems);
    let names: Vec<&str> = r.scenarios.iter().map(|s| s.name.value.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

/// Lines from which files are put together.
const LINES: [&str; 42] = [
    "scenario: a",
    "steps:",
    "  - http: { url: \"http://a/{{ x }}\" }",
    "    expect: status == 200",
    "    expect:",
    "      - { jsonpath: $.a, equals: 1 }",
    "      - json.a ==",
    "    capture: { x: json.x }",
    "    id: a",
    "    retry: 3",
    "    eventually: 3s",
    "  - race: { branches: [ { step: a }, { step: a } ] }",
    "  - parallel: [ { step: a } ]",
    "vars: { x: 1, y: \"{{ x }}\" }",
    "finally:",
    "---",
    "fragment: f",
    "matrix: { a: [1, 2], exclude: [{ a: 1 }] }",
    "params: [p]",
    "fake: { m: email, n: { int: [1, 2] } }",
    "load: { d: nothing.csv }",
    "needs: [a]",
    "skip: { if: x, reason: y }",
    "outputs: { o: x }",
    "  - for_each: { i: [1, 2] }",
    "  - for_each: { i: \"x\" }",
    "    steps:",
    "      - set: { x: 1 }",
    "  - repeat: 100000",
    "  - use: \"#f\"",
    "    with: { p: 1 }",
    "  - include: s.yaml",
    "  - print: \"{{ x }}\"",
    "  - assert: x == 1",
    "invariants:",
    "  - sql: {}",
    "isolation: file",
    "timeout: 1",
    "  - {{ x }}",
    "  - [",
    "\t",
    "*a",
];

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}") {
        let _ = read(&SourceFile::new("s.yaml", text), &KINDS);
    }

    #[test]
    fn any_lines_are_read_without_panic(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..20)) {
        let r = read(&SourceFile::new("s.yaml", lines.join("\n")), &KINDS);
        for p in &r.problems {
            let _ = p.to_string();
        }
    }
}
