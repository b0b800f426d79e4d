//! Sources and captures: what they find, and what is told when they do not.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{FIELDS, refused, told_of};
use crate::check::Capture;
use crate::diag::Problem;
use crate::source::SourceFile;
use crate::template::{Document, Scope};
use crate::yaml::parse_one;

fn page() -> Document {
    Document::default()
        .with("status", 200)
        .with("headers", json!({
            "content-type": "text/html; charset=utf-8",
            "location": "/orders/42?page=3",
            "set-cookie": ["session=abc; Path=/; HttpOnly; Max-Age=60"],
        }))
        .with("cookies", json!({"session": "abc", "old": "1"}))
        .with("body", "<html><h1>Order 42</h1><p class=x>one<p>two</html>")
        .with("json", Json::Null)
        .with("size", 50)
        .with("certificate", json!({"subject": "CN=gateway", "expire_date": "2030-01-01T00:00:00Z", "subject_alt_name": ["DNS:gateway"]}))
}

fn holds(expect: &str) {
    assert_eq!(told_of(expect, &page()), [""; 0], "{expect}");
}

fn fails(expect: &str, said: &str) {
    assert_eq!(told_of(expect, &page()), [said], "{expect}");
}

#[test]
fn xpath_on_html() {
    holds("- { xpath: string(//h1), equals: Order 42 }");
    holds("- { xpath: //p, equals: [one, two], length: 2 }");
    holds("- { xpath: count(//p), gt: 1 }");
    holds("- { xpath: //p/@class, equals: x }");
    holds("- { xpath: //h2, exists: false }");
    fails(
        "- { xpath: //h1, equals: Order 43 }",
        "//h1: expected \"Order 43\", got \"Order 42\"",
    );
    fails(
        "- { xpath: //h2, exists: true }",
        "//h2: expected a value, got nothing is there (the path finds nothing in the body)",
    );
    let xml = Document::default()
        .with("headers", json!({"content-type": "application/xml"}))
        .with("body", "<a><b>1</b></a>");
    assert_eq!(told_of("- { xpath: /a/b, equals: \"1\" }", &xml), [""; 0]);
    let broken = Document::default()
        .with("headers", json!({"content-type": "application/xml"}))
        .with("body", "<a><b>");
    let said = told_of("- { xpath: /a/b, exists: true }", &broken);
    assert!(
        said[0].starts_with("/a/b: expected a value, got the text is not XML: "),
        "{said:?}"
    );
    assert_eq!(refused("- { xpath: '//h1[', exists: true }").len(), 1);
}

#[test]
fn cookies() {
    holds("- { cookie: session, equals: abc }");
    holds("- { cookie: 'session[HttpOnly]', equals: true }");
    holds("- { cookie: 'session[Max-Age]', le: 60 }");
    holds("- { cookie: 'session[Secure]', exists: false }");
    fails(
        "- { cookie: sessio, equals: abc }",
        "cookie sessio: expected is exactly this value, got nothing is there (the response sets session)",
    );
    fails(
        "- { cookie: 'session[Secure]', exists: true }",
        "cookie session[Secure]: expected a value, got nothing is there (the cookie is there without it)",
    );
    assert_eq!(
        refused("- { cookie: 'session[Secur]', exists: true }"),
        ["a cookie has no attribute `Secur` (did you mean `Secure`?)"]
    );
}

#[test]
fn regex_bytes_and_certificate() {
    holds("- { regex: 'Order (\\d+)', equals: \"42\" }");
    holds("- { regex: 'Order \\d+', equals: Order 42 }");
    fails(
        "- { regex: 'Bill (\\d+)', equals: \"42\" }",
        "regex Bill (\\d+): expected is exactly this value, got nothing is there (the body does not match)",
    );
    holds("- { bytes: true, size: 50, starts_with: 3c68 }");
    holds("- { bytes: { length: 50, contains: 68746d6c } }");
    let mut binary = page();
    binary.set("body", "\u{fffd}\u{fffd}");
    binary.raw = Some(Arc::from([0_u8, 159, 146, 150].as_slice()));
    assert_eq!(
        told_of(
            "- { bytes: true, equals: 009f9296, size: 4, contains: 9f92 }",
            &binary
        ),
        [""; 0]
    );
    assert_eq!(
        told_of("- { bytes: { equals: 12e4 } }", &binary),
        ["bytes: expected 12e+4, got \"009f9296\" (write the hexadecimal digits in quotes)"]
    );
    assert_eq!(
        told_of("- { bytes: { contains: 9296, starts_with: 009 } }", &binary),
        [
            "bytes: expected bytes with the hexadecimal digits 9296, got 4 bytes 009f9296 (write the digits in quotes)"
        ]
    );
    assert_eq!(
        told_of("- { bytes: true, contains: f929 }", &binary),
        ["bytes: expected bytes with f929, got 4 bytes 009f9296"]
    );
    assert_eq!(
        told_of("- { bytes: true, sha256: 0000000000000000000000000000000000000000000000000000000000000000 }", &binary).len(),
        1
    );
    holds("- { certificate: subject, contains: gateway }");
    holds("- { certificate: expire_date, after: now }");
    holds("- { certificate: subject_alt_name, contains: 'DNS:gateway' }");
    let plain = page().with("certificate", Json::Null);
    assert_eq!(
        told_of("- { certificate: issuer, exists: true }", &plain),
        ["certificate issuer: expected a value, got nothing is there (the connection has no TLS)"]
    );
    assert_eq!(
        refused("- { certificate: expires, exists: true }"),
        [
            "a certificate has no `expires` (it has subject, issuer, start_date, expire_date, serial_number, subject_alt_name, sha256)"
        ]
    );
}

#[test]
fn a_name_that_is_a_field_and_a_predicate() {
    holds("- { size: 50 }");
    holds("- { size: { gt: 10 } }");
    holds("- { body: true, size: 50 }");
    fails("- { size: 51 }", "size: expected 51, got 50");
}

#[test]
fn filters_before_predicates() {
    holds("- { header: location, filters: [ { regex: 'orders/(\\d+)' }, to_int ], gt: 41 }");
    holds("- { header: location, filters: { url_param: page }, equals: \"3\" }");
    holds("- { body: { filters: [ { xpath: //h1 }, { split: ' ' }, last ], equals: \"42\" } }");
    holds("- { bytes: true, filters: sha256, length: 64 }");
    holds("- { xpath: //h2, filters: { default: none }, equals: none }");
    fails(
        "- { header: location, filters: [ { regex: 'bills/(\\d+)' }, to_int ], gt: 41 }",
        "header location: expected is greater than, got nothing is there (`regex`: \"/orders/42?page=3\" does not match bills/(\\d+))",
    );
    fails(
        "- { header: location, filters: to_int, gt: 41 }",
        "header location: expected the text of a whole number for `to_int`, got \"/orders/42?page=3\"",
    );
    assert_eq!(
        refused("- { header: location, filters: [ trm ], equals: a }"),
        ["unknown filter `trm` (did you mean `trim`?)"]
    );
    assert_eq!(
        refused("- { jsonpath: $.a, regex: 'x', equals: y }"),
        [
            "a matcher looks at one thing (write `matches` to ask for a regular expression, or `filters: [ { regex: … } ]` to take a part)"
        ]
    );
    assert_eq!(
        refused("- { header: location, filtres: [ trim ], equals: a }"),
        ["unknown key `filtres` in a matcher (did you mean `filters`?)"]
    );
}

fn capture(text: &str) -> Result<Capture, Vec<Problem>> {
    let node = parse_one(&SourceFile::new("s.yaml", format!("n: {text}"))).unwrap();
    let map = node.as_map().unwrap();
    let entry = map.0.get("n").unwrap();
    Capture::read("n", &entry.key, &entry.node, &FIELDS)
}

fn taken(text: &str) -> Result<Json, String> {
    let mut scope = Scope::default();
    scope.set("order", json!(9));
    capture(text).unwrap().take(&page(), &scope).map_err(|m| {
        let hint = m.hint.map_or_else(String::new, |h| format!(" ({h})"));
        format!("expected {}, got {}{hint}", m.expected, m.actual)
    })
}

#[test]
fn captures_with_filters() {
    assert_eq!(
        taken("{ header: location, filters: [ { regex: 'orders/(\\d+)' }, to_int ] }"),
        Ok(json!(42))
    );
    assert_eq!(
        taken("{ header: location, regex: 'orders/(\\d+)', filters: to_int }"),
        Ok(json!(42))
    );
    assert_eq!(taken("{ regex: 'Order (\\d+)' }"), Ok(json!("42")));
    assert_eq!(
        taken("{ cookie: session, filters: upper }"),
        Ok(json!("ABC"))
    );
    assert_eq!(taken("{ xpath: //p }"), Ok(json!(["one", "two"])));
    assert_eq!(
        taken("{ bytes: true, filters: sha256 }").map(|v| v.as_str().unwrap().len()),
        Ok(64)
    );
    assert_eq!(taken("{ certificate: subject }"), Ok(json!("CN=gateway")));
    assert_eq!(
        taken("{ jsonpath: $.nope, default: \"{{ order }}\" }"),
        Ok(json!(9))
    );
    assert_eq!(
        taken("{ header: location, filters: to_int, default: 0 }"),
        Ok(json!(0))
    );
    assert_eq!(
        taken("{ header: location, regex: 'bills/(\\d+)' }"),
        Err("expected a value at header location, got \"/orders/42?page=3\" does not match bills/(\\d+)".into())
    );
    assert_eq!(
        taken("{ header: locaton }"),
        Err(
            "expected a value at header locaton, got nothing is there (there is `location`)".into()
        )
    );
    assert_eq!(
        taken("{ body: true, filters: [ { split: x }, { nth: 9 } ] }"),
        Err("expected a value at body, got `nth`: the list has 2 items".into())
    );
    assert_eq!(
        taken("{ header: location, filters: to_int }"),
        Err("expected the text of a whole number for `to_int`, got \"/orders/42?page=3\"".into())
    );
    let said: Vec<String> = capture("{ header: location, filter: [trim] }")
        .unwrap_err()
        .into_iter()
        .map(|p| format!("{} ({})", p.message, p.help.unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        ["unknown key `filter` in a capture (did you mean `filters`?)"]
    );
}
