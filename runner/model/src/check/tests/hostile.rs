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
