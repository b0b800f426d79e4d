//! What is told of expectations that do not hold.

use serde_json::json;

use super::{Verdict, check, read_expectations};
use crate::source::SourceFile;
use crate::template::{Document, Scope};
use crate::yaml::parse_one;

mod hostile;
mod sources;
mod values;

const FIELDS: [&str; 10] = [
    "status",
    "headers",
    "body",
    "json",
    "rows",
    "duration",
    "stdout",
    "size",
    "request",
    "certificate",
];

fn document() -> Document {
    let mut d = Document::default()
        .with("status", 201)
        .with("headers", json!({"content-type": "application/json"}))
        .with("body", "Hello World")
        .with(
            "json",
            json!({
                "id": 7, "total": 12.5, "code": "200", "ok": true, "none": null, "name": "Ann",
                "uuid": "b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e",
                "items": [{"sku": "A1", "qty": 1}, {"sku": "B2", "qty": 0}],
                "tags": ["x", "y"], "at": "2024-02-29T12:00:00Z"
            }),
        )
        .with("rows", json!([{"state": "paid", "n": 3}]));
    d.took(std::time::Duration::from_micros(812_400));
    d
}

fn verdict(expect: &str) -> Verdict {
    verdict_of(expect, &document())
}

fn verdict_of(expect: &str, document: &Document) -> Verdict {
    let mut scope = Scope::default();
    scope.set("sku", json!("A1"));
    scope.set("want", json!(7));
    let node = parse_one(&SourceFile::new("s.yaml", format!("expect:\n{expect}"))).unwrap();
    let read = read_expectations(node.get("expect").unwrap(), &FIELDS).unwrap();
    check(&read, document, &scope).unwrap()
}

/// `path: expected … got … (hint)` of each mismatch.
fn told(expect: &str) -> Vec<String> {
    told_of(expect, &document())
}

fn told_of(expect: &str, document: &Document) -> Vec<String> {
    verdict_of(expect, document)
        .mismatches
        .into_iter()
        .map(|m| {
            let hint = m.hint.map_or_else(String::new, |h| format!(" ({h})"));
            format!(
                "{}: expected {}, got {}{hint}",
                m.path.unwrap_or_default(),
                m.expected,
                m.actual
            )
        })
        .collect()
}

/// What is told of an expectation that cannot be read: each message with its help.
fn refused(expect: &str) -> Vec<String> {
    let node = parse_one(&SourceFile::new("s.yaml", format!("expect:\n{expect}"))).unwrap();
    let problems = read_expectations(node.get("expect").unwrap(), &FIELDS).unwrap_err();
    problems
        .into_iter()
        .map(|p| match p.help {
            Some(h) => format!("{} ({h})", p.message),
            None => p.message,
        })
        .collect()
}

#[test]
fn what_holds_says_nothing() {
    for expect in [
        "- status == 201",
        "- status in [200, 201]",
        "- json.total > 0 && json.total == 12.5",
        "- json.id == want",
        "- json.id == 7.0",
        "- duration < duration(\"1s\") && duration > duration(\"800ms\")",
        "- rows[0].state == \"paid\"",
        "- size(json.items) == 2",
        "- json.items.exists(i, i.sku == sku)",
        "- json.items.all(i, i.qty >= 0)",
        "- json.items.map(i, i.sku) == [\"A1\", \"B2\"]",
        "- has(json.none) && !has(json.nothing)",
        "- json.name.matches(\"^A\") && json.name.lowerAscii() == \"ann\"",
        "- headers[\"content-type\"].startsWith(\"application/json\")",
        "- json.tags == [\"x\", \"y\"]",
        "- timestamp(json.at) < timestamp(\"2025-01-01T00:00:00Z\")",
        "- vars.want == 7",
        "- { jsonpath: $.items, contains: { sku: A1 } }",
        "- { jsonpath: $.items, length: 2 }",
        "- { jsonpath: $.items, length: { gt: 1, le: 2 } }",
        "- { jsonpath: \"$.items[*].sku\", unordered: [B2, A1] }",
        "- { jsonpath: $.id, equals: \"{{ want }}\" }",
        "- { jsonpath: $.total, approx: { value: 12.4, within: 0.2 }, type: number }",
        "- { jsonpath: $.total, approx: { value: 12, within: 5% } }",
        "- { jsonpath: $.nothing, exists: false }",
        "- { jsonpath: $.none, exists: true, type: \"null\" }",
        "- { jsonpath: $.uuid, type: uuid }",
        "- { jsonpath: $.at, type: timestamp }",
        "- { jsonpath: $.items, each: { type: object } }",
        "- { jsonpath: $.items, any: { contains: { qty: 0 } } }",
        "- { jsonpath: $.name, not: { starts_with: B } }",
        "- { jsonpath: $.name, one_of: [Bob, Ann] }",
        "- { header: Content-Type, starts_with: application/json }",
        "- { body: { contains: World, not_contains: Moon, matches: '^H.*d$', ends_with: ld } }",
        "- { status: 201 }",
        "- { value: size(rows), equals: 1 }",
        "- { jsonpath: $, schema: { type: object, required: [id] } }",
        "- { jsonpath: $.tags, not_contains: z }",
        "- { json: { contains: { ok: true, items: [ { sku: A1, qty: 1 }, { qty: 0 } ] } } }",
    ] {
        assert_eq!(told(expect), [""; 0], "{expect}");
    }
}

#[test]
fn both_sides_are_shown() {
    for (expect, said) in [
        ("- status == 200", "status: expected == 200, got 201"),
        ("- 200 == status", "status: expected == 200, got 201"),
        (
            "- json.id == vars.want + 1",
            "json.id: expected == 8 (vars.want + 1), got 7",
        ),
        (
            "- duration < duration(\"800ms\")",
            "duration: expected < 800ms, got 812.4ms",
        ),
        (
            "- json.name == \"ann\"",
            "json.name: expected == \"ann\", got \"Ann\" (they differ in upper and lower case only)",
        ),
        (
            "- json.code == 200",
            "json.code: expected == 200, got \"200\" (\"200\" is text here, not a number)",
        ),
        (
            "- status in [200, 204]",
            "status: expected one of [200,204], got 201",
        ),
        (
            "- json.name.startsWith(\"B\")",
            "json.name: expected startsWith(\"B\"), got \"Ann\"",
        ),
        ("- size(rows) == 2", "size(rows): expected == 2, got 1"),
        (
            "- \"!json.ok\"",
            "json.ok: expected not json.ok, got it is true (the value is true)",
        ),
        (
            "- json.items.all(i, i.qty > 0)",
            "json.items[1]: expected each of the 2 items with i.qty > 0, got 1 of them without; the first is item 1: {\"qty\":0,\"sku\":\"B2\"}",
        ),
        (
            "- json.items.exists(i, i.sku == \"C3\")",
            "json.items: expected at least one of the 2 items with i.sku == \"C3\", got [{\"qty\":1,\"sku\":\"A1\"},{\"qty\":0,\"sku\":\"B2\"}]",
        ),
        (
            "- has(json.itms)",
            "json: expected a key `itms`, got {\"at\":",
        ),
        (
            "- json.itms == 1",
            "json.itms: expected a value, got json has no `itms`: {\"at\":",
        ),
        (
            "- rows[3].state == \"x\"",
            "rows[3]: expected a value, got rows has 1 items",
        ),
        (
            "- json.name > 3",
            "json.name > 3: expected a value, got `>` does not go with these: json.name is text (\"Ann\"), 3 is a number (3)",
        ),
        (
            "- json.total * 2 == 25.0",
            "json.total * 2: expected a value, got `*` does not go with these: json.total is a number (12.5), 2 is a number (2) (whole numbers and decimals do not mix in arithmetic: write `2.0` for `2`, or `double(x)`)",
        ),
        (
            "- json.id",
            ": expected true or false, got 7 (an expectation is a comparison, such as `json.total > 0`)",
        ),
    ] {
        let got = told(expect);
        assert_eq!(got.len(), 1, "{expect}: {got:?}");
        assert!(got[0].starts_with(said), "{expect}\n{}\n{said}", got[0]);
    }
}

#[test]
fn every_part_of_an_and_is_told() {
    assert_eq!(
        told("- status == 200 && json.id == 8 && json.ok"),
        [
            "status: expected == 200, got 201",
            "json.id: expected == 8, got 7"
        ]
    );
}

#[test]
fn matchers_tell_paths_inside_the_value() {
    assert_eq!(
        told("- { jsonpath: $.items, equals: [ { sku: A1, qty: 2 }, { sku: B2 } ] }"),
        [
            "$.items[0].qty: expected 2, got 1",
            "$.items[1].qty: expected nothing, got 0",
        ]
    );
    assert_eq!(
        told("- { jsonpath: $.items, contains: { sku: A1, qty: 9 } }"),
        [
            "$.items: expected an item {\"sku\":\"A1\",\"qty\":9}, got [{\"sku\":\"A1\",\"qty\":1},{\"sku\":\"B2\",\"qty\":0}] (the nearest item has 1 at [0].qty)"
        ]
    );
    assert_eq!(
        told("- { jsonpath: $.items, each: { contains: { qty: 1 } } }"),
        ["$.items[1].qty: expected 1, got 0"]
    );
    assert_eq!(
        told("- { jsonpath: $.code, equals: 200 }"),
        ["$.code: expected 200, got \"200\" (\"200\" is text here, not a number)"]
    );
    assert_eq!(
        told("- { jsonpath: $.itemz, length: 2 }"),
        [
            "$.itemz: expected has this many characters, items or keys (a number, or predicates on it), got nothing is there (the path finds nothing in the JSON of the result)"
        ]
    );
    assert_eq!(
        told("- { jsonpath: \"$.items[*].sku\", unordered: [A1, C3] }"),
        [
            "$.items[*].sku: expected an item \"C3\", got no such item",
            "$.items[*].sku[1]: expected no such item, got \"B2\""
        ]
    );
    assert_eq!(
        told("- { jsonpath: $, schema: { type: object, required: [nope], properties: { id: { type: string } } } }").len(),
        2
    );
    assert_eq!(
        told("- { header: content-type, equals: text/html }"),
        ["header content-type: expected \"text/html\", got \"application/json\""]
    );
}

#[test]
fn all_mismatches_come_at_once_with_their_places() {
    let v = verdict("- status == 200\n- json.ok\n- { jsonpath: $.id, equals: 8, type: text }\n");
    let places: Vec<u32> = v
        .mismatches
        .iter()
        .filter_map(|m| m.place.as_ref().map(|p| p.line))
        .collect();
    assert_eq!(places, [2, 4, 4]);
    assert_eq!(v.mismatches[0].kind, "status");
    assert_eq!(v.mismatches[1].kind, "jsonpath");
    assert_eq!(
        v.mismatches[1].expectation,
        "{ jsonpath: $.id, equals: 8, type: text"
    );
}
