//! Predicates on values: verdicts and messages.

use serde_json::{Value as Json, json};

use super::{refused, told_of};
use crate::template::Document;

/// What is told of one predicate on one value.
fn asked(value: Json, predicate: &str) -> Vec<String> {
    let document = Document::default().with("json", json!({ "v": value }));
    told_of(&format!("- {{ jsonpath: $.v, {predicate} }}"), &document)
}

fn holds(value: Json, predicate: &str) {
    assert_eq!(
        asked(value.clone(), predicate),
        [""; 0],
        "{value} {predicate}"
    );
}

/// `said` begins after the path.
fn fails(value: Json, predicate: &str, said: &str) {
    assert_eq!(
        asked(value.clone(), predicate),
        [format!("$.v: {said}")],
        "{value} {predicate}"
    );
}

#[test]
fn types_and_formats() {
    for (name, yes, no) in [
        ("text", json!("a"), json!(1)),
        ("integer", json!(1), json!(1.5)),
        ("decimal", json!(1.5), json!(1)),
        ("boolean", json!(true), json!(0)),
        ("list", json!([]), json!({})),
        ("object", json!({}), json!([])),
        ("\"null\"", json!(null), json!(0)),
        (
            "uuid",
            json!("b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e"),
            json!("b9c9e3f20d5e4b9c8f6a0c8e2d1a5b7e"),
        ),
        ("date", json!("2024-02-29"), json!("2023-02-29")),
        (
            "timestamp",
            json!("2024-02-29T12:00:00.5+01:00"),
            json!("2024-02-29T25:00:00Z"),
        ),
        ("ip", json!("::1"), json!("1.2.3")),
        ("ipv4", json!("10.0.0.1"), json!("10.0.0.256")),
        ("ipv6", json!("fe80::1"), json!("fe80:::1")),
        (
            "url",
            json!("https://a.example/x?y#z"),
            json!("a.example/x"),
        ),
        (
            "email",
            json!("ann.b+c@mail.example"),
            json!("ann@@mail.example"),
        ),
        ("hex", json!("00fFa9"), json!("0x00")),
        ("base64", json!("aGk="), json!("aGk")),
    ] {
        let predicate = format!("type: {name}");
        holds(yes, &predicate);
        assert_eq!(asked(no.clone(), &predicate).len(), 1, "{no} {name}");
    }
    holds(json!([]), "type: [list, object]");
    fails(
        json!("10"),
        "type: integer",
        "expected a value of type integer, got \"10\" (\"10\" is text here, not a number)",
    );
    fails(
        json!(true),
        "type: [list, object]",
        "expected a value of type list or object, got true (this is a boolean)",
    );
    fails(
        json!("::1"),
        "type: ipv4",
        "expected a value of type ipv4, got \"::1\" (this is an IPv6 address)",
    );
    fails(
        json!("10.0.0.1"),
        "type: ipv6",
        "expected a value of type ipv6, got \"10.0.0.1\" (this is an IPv4 address)",
    );
    fails(
        json!("/orders/7"),
        "type: url",
        "expected a value of type url, got \"/orders/7\" (this is a path, without scheme and host)",
    );
    fails(
        json!("2024-02-29"),
        "type: timestamp",
        "expected a value of type timestamp, got \"2024-02-29\" (this is a date without a time)",
    );
    fails(
        json!("2024-02-29T12:00:00"),
        "type: timestamp",
        "expected a value of type timestamp, got \"2024-02-29T12:00:00\" (this has no time zone, such as Z)",
    );
    fails(
        json!("2024-02-29T12:00:00Z"),
        "type: date",
        "expected a value of type date, got \"2024-02-29T12:00:00Z\" (this is a date with a time)",
    );
    for no in [
        "ann@",
        "@mail.example",
        "ann",
        "a b@mail.example",
        ".a@mail.example",
        "a..b@m.example",
        "ann@-m.example",
        "ann@mail..example",
    ] {
        assert_eq!(asked(json!(no), "type: email").len(), 1, "{no}");
    }
    for no in ["", "http://", "//a.example", " https://a.example"] {
        assert_eq!(asked(json!(no), "type: url").len(), 1, "{no}");
    }
    assert_eq!(
        refused("- { jsonpath: $.v, type: emial }"),
        ["unknown type `emial` (did you mean `email`?)"]
    );
    assert_eq!(
        refused("- { jsonpath: $.v, type: [text, float] }"),
        ["unknown type `float` (did you mean `decimal`?)"]
    );
}

#[test]
fn formats_of_dates() {
    holds(json!("2024-02-29"), "format: '%Y-%m-%d'");
    holds(json!("29.02.2024 12:30"), "format: '%d.%m.%Y %H:%M'");
    holds(json!("12:30"), "format: '%H:%M'");
    fails(
        json!("2024-02-29"),
        "format: '%d.%m.%Y'",
        "expected a date of the format %d.%m.%Y, got \"2024-02-29\" (in this format it would be \"29.02.2024\")",
    );
    fails(
        json!("soon"),
        "format: '%Y'",
        "expected a date of the format %Y, got \"soon\"",
    );
    fails(
        json!(2024),
        "format: '%Y'",
        "expected a date of the format %Y, got 2024 (this is a number)",
    );
    let said = refused("- { jsonpath: $.v, format: 'Y-m-d' }");
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with(
            "`Y-m-d` is no format of a date: it has no part such as %Y (for example: "
        ),
        "{said:?}"
    );
    assert_eq!(refused("- { jsonpath: $.v, format: '%!' }").len(), 1);
}

#[test]
fn before_and_after() {
    holds(json!("2024-02-29T12:00:00Z"), "before: 2024-03-01");
    holds(
        json!("2024-02-29T12:00:00Z"),
        "after: 2024-02-29, before: now",
    );
    holds(
        json!("2024-02-29T12:00:00+02:00"),
        "before: '2024-02-29T11:00:00Z'",
    );
    holds(
        json!("Thu, 29 Feb 2024 12:00:00 GMT"),
        "after: '2024-02-29T11:59:59Z'",
    );
    holds(json!(1_709_208_000), "before: '2024-02-29T12:00:01Z'");
    holds(json!("9999-01-01"), "after: now + 30days");
    fails(
        json!("2024-02-29"),
        "before: '2024-02-28'",
        "expected a time before 2024-02-28, got \"2024-02-29\"",
    );
    fails(
        json!("2024-02-29T12:00:00Z"),
        "after: '2024-02-29T13:00:00+01:00'",
        "expected a time after 2024-02-29T13:00:00+01:00, got \"2024-02-29T12:00:00Z\" (it is the same time)",
    );
    fails(
        json!("soon"),
        "before: 2024-02-28",
        "expected a time before 2024-02-28, got \"soon\" (this is text, not a date or time)",
    );
    let said = asked(json!("2024-02-29"), "after: now - 1h");
    assert!(
        said[0].starts_with("$.v: expected a time after now - 1h (20"),
        "{said:?}"
    );
    assert_eq!(
        refused("- { jsonpath: $.v, before: tomorrow }"),
        [
            "`before` takes a point in time, and \"tomorrow\" is none (write now, now + 1h, 2024-02-29, 2024-02-29T12:00:00Z, or seconds since 1970)"
        ]
    );
}

#[test]
fn near_a_time() {
    let now = jiff::Timestamp::now().to_string();
    holds(json!(now), "within: 5s of now");
    holds(
        json!("2024-02-29T12:00:04Z"),
        "within: '5s of 2024-02-29T12:00:00Z'",
    );
    fails(
        json!("2024-02-29T12:00:06Z"),
        "within: '5s of 2024-02-29T12:00:00Z'",
        "expected a time within 5s of 2024-02-29T12:00:00Z, got \"2024-02-29T12:00:06Z\" (it is 6s after that)",
    );
    fails(
        json!("2024-02-28"),
        "within: 1h of 2024-02-29",
        "expected a time within 1h of 2024-02-29, got \"2024-02-28\" (it is 1day before that)",
    );
    assert_eq!(
        refused("- { jsonpath: $.v, within: 5 seconds }"),
        [
            "`within` takes how far and from what, and `5 seconds` is not that (write `within: 5s of now` or `within: 1day of 2024-02-29T12:00:00Z`)"
        ]
    );
}

#[test]
fn hashes_and_sizes() {
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    holds(json!("hello"), &format!("sha256: {hash}"));
    holds(json!("hello"), &format!("sha256: {}", hash.to_uppercase()));
    fails(
        json!("hallo"),
        &format!("sha256: {hash}"),
        &format!(
            "expected SHA-256 {hash}, got SHA-256 d3751d33f9cd5049c4af2b462735457e4d3baf130bcbb87f389e349fbaeb20b9 of \"hallo\""
        ),
    );
    fails(
        json!(1),
        &format!("sha256: {hash}"),
        "expected a text or bytes, got 1 (this is a number)",
    );
    assert_eq!(
        refused("- { jsonpath: $.v, sha256: abc }"),
        [
            "a SHA-256 has 64 hexadecimal digits, and this is 3 characters (`sha256sum FILE` tells that of a file; other hashes: filter the value first)"
        ]
    );
    holds(json!("é"), "size: 2, length: 1");
    holds(json!("abc"), "size: { ge: 3, lt: 4 }");
    fails(json!("é"), "size: 1", "expected size 1, got size 2: \"é\"");
    fails(
        json!("abc"),
        "size: { gt: 3 }",
        "expected size more than 3, got size 3: \"abc\"",
    );
    fails(
        json!([1]),
        "size: 1",
        "expected a text or bytes, got [1] (this is a list; `length` counts its items)",
    );
}

#[test]
fn order_and_repetition() {
    holds(json!([1, 2, 2, 3.5]), "sorted: true");
    holds(json!(["b", "a"]), "sorted: desc");
    holds(json!([]), "sorted: asc, unique: true");
    assert_eq!(
        asked(json!([1, 3, 2, 1]), "sorted: true"),
        [
            "$.v[2]: expected at least 3, the item before it, got 2",
            "$.v[3]: expected at least 2, the item before it, got 1"
        ]
    );
    fails(
        json!([1, "2"]),
        "sorted: asc",
        "expected a list of numbers or of texts, got [1,\"2\"] (1 and \"2\" have no order; name the key, such as $.items[*].id)",
    );
    fails(
        json!("ab"),
        "sorted: true",
        "expected a list, got \"ab\" (this is text)",
    );
    holds(
        json!([{"a": 1, "b": 2}, {"b": 1, "a": 2}, 1, "1"]),
        "unique: true",
    );
    assert_eq!(
        asked(
            json!([{"a": 1, "b": 2}, 1, {"b": 2, "a": 1}, 1.0]),
            "unique: true"
        ),
        [
            "$.v[2]: expected an item that is there once, got {\"b\":2,\"a\":1}, as at [0]",
            "$.v[3]: expected an item that is there once, got 1.0, as at [1]"
        ]
    );
    holds(json!([1, 1]), "unique: false");
    fails(
        json!([1, 2]),
        "unique: false",
        "expected an item that is there twice, got [1,2]",
    );
    assert_eq!(
        refused("- { jsonpath: $.v, sorted: up }"),
        ["`sorted` takes true, asc or desc, found a string"]
    );
}

#[test]
fn partial_tells_all_places_at_once() {
    let value = json!({"id": 7, "total": "12.5", "items": [{"sku": "A1", "qty": 1}, {"sku": "B2", "qty": 0}], "x": 1});
    holds(
        value.clone(),
        "partial: { id: 7, items: [ { sku: A1 }, { qty: 0 } ] }",
    );
    assert_eq!(
        asked(
            value,
            "partial: { id: 8, total: 12.5, items: [ { sku: A2 }, { qty: 0 } ], itemz: 1 }"
        ),
        [
            "$.v.id: expected 8, got 7",
            "$.v.total: expected 12.5, got \"12.5\" (\"12.5\" is text here, not a number)",
            "$.v.items[0].sku: expected \"A2\", got \"A1\"",
            "$.v.itemz: expected 1, got nothing",
        ]
    );
    assert_eq!(
        refused("- { jsonpath: $.v, partial: 7 }"),
        ["`partial` takes an object or a list of objects, found an integer"]
    );
}

#[test]
fn values_that_differ_by_type_only() {
    let text = "\"200\" is text here, not a number";
    fails(
        json!("200"),
        "equals: 200",
        &format!("expected 200, got \"200\" ({text})"),
    );
    fails(
        json!("200.0"),
        "equals: 200",
        "expected 200, got \"200.0\" (\"200.0\" is text here, not a number)",
    );
    fails(
        json!(200),
        "equals: '200'",
        "expected \"200\", got 200 (200 is a number here, not text)",
    );
    fails(
        json!("true"),
        "equals: true",
        "expected true, got \"true\" (\"true\" is text here, not a boolean)",
    );
    fails(
        json!("null"),
        "equals: null",
        "expected null, got \"null\" (this is the text \"null\")",
    );
    fails(
        json!(["a"]),
        "equals: a",
        "expected \"a\", got [\"a\"] (this is a list with that one item)",
    );
    fails(
        json!("a"),
        "equals: [a]",
        "expected [\"a\"], got \"a\" (this is that item itself, not a list of it)",
    );
    fails(
        json!("200"),
        "one_of: [200, 201]",
        &format!("expected one of [200,201], got \"200\" ({text})"),
    );
    fails(
        json!(["200"]),
        "contains: 200",
        &format!("expected an item 200, got [\"200\"] ({text})"),
    );
    assert_eq!(
        asked(json!(["200"]), "unordered: [200]"),
        [
            format!("$.v: expected an item 200, got no such item ({text})"),
            "$.v[0]: expected no such item, got \"200\"".to_owned()
        ]
    );
    assert_eq!(
        asked(json!({"a": {"b": "200"}}), "equals: { a: { b: 200 } }"),
        [format!("$.v.a.b: expected 200, got \"200\" ({text})")]
    );
}
