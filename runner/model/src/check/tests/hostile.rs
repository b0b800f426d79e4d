//! Nothing that stands in an expression makes the tool panic, overflow its stack or hang.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::super::Expr;
use crate::source::Span;
use crate::template::{Document, Scope};

fn evaluate(text: &str) {
    let Ok(e) = Expr::new(text, &Span::generated()) else {
        return;
    };
    let document = Document::default()
        .with("status", 200)
        .with(
            "json",
            json!({"a": [1, "two", null, {"b": 1.5}], "deep": {"x": true}}),
        )
        .with("body", "text äöü");
    let mut scope = Scope::default();
    scope.set("x", json!(9_223_372_036_854_775_807_i64));
    let _ = e.value(&document, &scope);
    let _ = e.check(&document, &scope);
    let _ = e.is_true(&document, &scope);
}

#[test]
fn depth_is_refused_and_does_not_overflow() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("!", ""),
        ("-", ""),
        ("{1:", "}"),
        ("a.b(", ")"),
        ("a?b:", "c"),
    ] {
        for depth in [50, 1_000, 100_000] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            evaluate(&text);
        }
    }
    evaluate(&"1+".repeat(50_000));
    evaluate(&format!("1{}", "+1".repeat(50_000)));
    evaluate(&format!("a{}", ".b".repeat(50_000)));
    evaluate(&format!("a{}", "[0]".repeat(50_000)));
    evaluate(&format!("true{}", " && true".repeat(50_000)));
}

#[test]
fn bombs_end() {
    let begun = Instant::now();
    let list = format!("[{}]", vec!["1"; 60].join(","));
    evaluate(&format!("{list}.map(a, {list}.map(b, a + b))"));
    evaluate("'a'.replace('', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa')");
    evaluate("body.matches('(a+)+$')");
    evaluate("x + 1 == x * x || -x - 2 > 0 || x / 0 == 1 || x % 0 == 1");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// What an expression gives, in words.
fn said(text: &str, document: &Document) -> (String, Duration) {
    let e = Expr::new(text, &Span::generated()).unwrap();
    let begun = Instant::now();
    let told = match e.value(document, &Scope::default()) {
        Ok(v) => v.to_string(),
        Err(m) => format!("{} / {}", m.expected, m.hint.unwrap_or_default()),
    };
    let checked = e.check(document, &Scope::default());
    assert!(checked.len() <= 1, "{checked:?}");
    (told, begun.elapsed())
}

const ENOUGH: &str = " / ask the service for less, or put fewer of `map`, `filter`, `all` and `exists` into each other";

/// Six loops in each other, over lists of a thousand, end soon and say why.
#[test]
fn work_is_bounded() {
    let thousand: Vec<u32> = (0..1000).collect();
    let document = Document::default().with("list", json!(thousand));
    let written = json!(thousand).to_string();
    let nested = |list: &str, open: &str, inner: &str| {
        let opened: String = (0..6).map(|n| format!("{list}.{open}(i{n}, ")).collect();
        format!("{opened}{inner}{}", ")".repeat(6))
    };
    let filters = (0..6).fold("true".to_owned(), |inner, n| {
        format!("size(list.filter(i{n}, {inner})) > 0")
    });
    for text in [
        nested("list", "map", "i0 + i5"),
        nested("lists.range(1000)", "map", "i5"),
        nested(&written, "map", "1"),
        filters,
        nested("list", "all", "i0 + i5 >= 0"),
        nested("list", "exists", "i5 < 0"),
        nested("list", "exists_one", "i5 == 0"),
        nested("list", "exists", "i5 < 0 || false"),
        // An error may be made good by what stands beside it; not this one.
        format!("false || {}", nested("list", "exists", "i5 < 0")),
        format!("[{}]", nested("list", "all", "i0 >= 0")),
        // What doubles each time.
        format!("['aaaaaaaa']{}", ".map(a, a + a)".repeat(60)),
        format!("[1]{}", ".map(a, [a, a])".repeat(60)),
        format!("[{{'a': 1}}]{}", ".map(a, {'a': a, 'b': a})".repeat(30)),
        format!("'a'{}", ".replace('a', 'aaaaaaaaaa')".repeat(60)),
        "lists.range(1000000).map(x, 'a').join('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')".to_owned(),
        "lists.range(1000000).distinct()".to_owned(),
        "lists.range(1000).all(x, size(lists.range(1000000)) > 0)".to_owned(),
    ] {
        let (told, took) = said(&text, &document);
        let shown: String = text.chars().take(60).collect();
        assert!(told.starts_with("an expression that is done within 10") && told.ends_with(ENOUGH), "{shown}: {told:.100}");
        // Twice, by a build that is not optimised, on a machine that may be busy.
        assert!(took < Duration::from_secs(60), "{shown} took {took:?}");
    }
}

/// A bomb in the place of a reason is no way around.
#[test]
fn reasons_are_bounded() {
    let begun = Instant::now();
    let document = Document::default().with("list", json!((0..1000).collect::<Vec<u32>>()));
    let bomb = "list.all(a, list.all(b, list.all(c, list.all(d, a >= 0))))";
    for text in [
        format!("false && {bomb}"),
        format!("list.all(x, x < 0) && {bomb}"),
    ] {
        let e = Expr::new(&text, &Span::generated()).unwrap();
        assert!(!e.check(&document, &Scope::default()).is_empty());
    }
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "{:?}",
        begun.elapsed()
    );
}

/// What people do with a large result is not in the way.
#[test]
fn large_results_are_looked_at() {
    const STATES: [&str; 3] = ["new", "paid", "sent"];
    let rows: Vec<_> = (0..100_000)
        .map(|n| json!({"id": n, "state": STATES[n % 3], "items": [{"qty": 1}, {"qty": n % 7}]}))
        .collect();
    let document = Document::default().with("rows", json!(rows));
    for (text, value) in [
        ("size(rows.filter(r, r.state == 'paid'))", "33333"),
        ("rows.all(r, r.items.exists(i, i.qty == 1))", "true"),
        (
            "rows.map(r, r.items.map(i, i.qty)).filter(q, q[1] == 6).size()",
            "14285",
        ),
        (
            "rows.map(r, r.state).distinct().sort()",
            r#"["new","paid","sent"]"#,
        ),
        ("rows.exists_one(r, r.id == 77)", "true"),
        ("rows.map(r, r['id'] + 1)[99999]", "100000"),
    ] {
        assert_eq!(said(text, &document).0, value, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,60}") {
        evaluate(&text);
    }

    #[test]
    fn no_mixture_of_parts_is_too_odd(parts in prop::collection::vec(prop::sample::select(vec![
        "status", "json", "json.a[0]", "json.a[9]", "json.deep.x", "body", "x", "nothing", "steps.a.b",
        " == ", " != ", " < ", " in ", " && ", " || ", " ? ", " : ", " + ", " - ", " * ", " / ", " % ", "!", "(", ")", "[", "]",
        "{", "}", ",", ".", "size(", "int(", "string(", "double(", "duration(", "timestamp(", "has(", ".all(i, ", ".exists(i, ",
        ".map(i, ", ".filter(i, ", ".matches(", ".split(", ".substring(", ".format(", "1", "-1", "1.5", "1u", "0x7fffffffffffffff",
        "9223372036854775807", "'text'", "\"t\"", "b'x'", "r'\\d'", "null", "true", "false",
    ]), 0..14)) {
        evaluate(&parts.concat());
    }
}
