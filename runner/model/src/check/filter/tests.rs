//! Every filter: what it makes, and what it says of what it cannot take.

use serde_json::{Value as Json, json};

use super::{FILTERS, Filters};
use crate::check::Subject;
use crate::source::SourceFile;
use crate::template::Scope;
use crate::yaml::parse_one;

fn read(filters: &str) -> Result<Filters, Vec<String>> {
    let node = parse_one(&SourceFile::new("s.yaml", format!("filters: {filters}"))).unwrap();
    Filters::read(node.get("filters").unwrap()).map_err(|all| {
        all.into_iter()
            .map(|p| format!("{} ({})", p.message, p.help.unwrap_or_default()))
            .collect()
    })
}

/// A value, or why there is none.
fn made(value: Json, filters: &str) -> Result<Json, String> {
    let filters = read(filters).unwrap();
    let value = (value != json!("absent")).then(|| Subject::own(value));
    match filters.apply(value, &Scope::default()) {
        Ok(f) => f
            .value
            .map(Subject::into_json)
            .ok_or_else(|| f.lost.unwrap_or_else(|| "nothing".into())),
        Err(r) => Err(format!("{}, not {}", r.expected, r.actual)),
    }
}

#[test]
fn each_makes_what_it_says() {
    let cases = [
        (json!([1, 2, 3]), "first", json!(1)),
        (json!([1, 2, 3]), "last", json!(3)),
        (json!([1, 2, 3]), "{ nth: 1 }", json!(2)),
        (json!([1, 2, 3]), "{ nth: -3 }", json!(1)),
        (json!([1, 2, 3]), "count", json!(3)),
        (json!({"a": 1}), "count", json!(1)),
        (json!("é"), "count", json!(1)),
        (json!({"b": 1, "a": 2}), "keys", json!(["b", "a"])),
        (json!({"b": 1, "a": 2}), "values", json!([1, 2])),
        (json!([3, 1.5, 2]), "sort", json!([1.5, 2, 3])),
        (json!([1, 2, 1.0, 2]), "unique", json!([1, 2])),
        (json!(["a", 1, null]), "{ join: '-' }", json!("a-1-null")),
        (json!("a, b"), "{ split: ', ' }", json!(["a", "b"])),
        (json!(" a\n"), "trim", json!("a")),
        (json!("É"), "lower", json!("é")),
        (json!("é"), "upper", json!("É")),
        (
            json!("a.b.c"),
            "{ replace: { from: '.', to: '-' } }",
            json!("a-b-c"),
        ),
        (json!("a.b.c"), "{ replace: ['.', ''] }", json!("abc")),
        (
            json!("a1b22"),
            "{ replace: { regex: '(\\d+)', to: '<$1>' } }",
            json!("a<1>b<22>"),
        ),
        (json!("id=7;"), "{ regex: 'id=(\\d+)' }", json!("7")),
        (json!("id=7;"), "{ regex: 'id=\\d+' }", json!("id=7")),
        (
            json!("a7b8"),
            "{ regex: { pattern: '(\\d).(\\d)', group: 2 } }",
            json!("8"),
        ),
        (json!(1234), "{ regex: '^\\d\\d' }", json!("12")),
        (json!({"a": [1, 2]}), "{ jsonpath: '$.a[1]' }", json!(2)),
        (json!("{\"a\": 1}"), "{ jsonpath: $.a }", json!(1)),
        (
            json!("<a><b>x</b></a>"),
            "{ xpath: string(//b) }",
            json!("x"),
        ),
        (json!(" 42 "), "to_int", json!(42)),
        (json!(-1.9), "to_int", json!(-1)),
        (
            json!("18446744073709551615"),
            "to_int",
            json!(18_446_744_073_709_551_615_u64),
        ),
        (json!("1.5"), "to_float", json!(1.5)),
        (json!(2), "to_float", json!(2.0)),
        (json!(1.50), "to_text", json!("1.5")),
        (json!([1]), "to_text", json!("[1]")),
        (json!("[1, null]"), "to_json", json!([1, null])),
        (
            json!("29.02.2024"),
            "{ parse_date: '%d.%m.%Y' }",
            json!("2024-02-29T00:00:00Z"),
        ),
        (
            json!("2024-02-29T23:30:00-01:00"),
            "{ format_date: '%Y-%m-%d %H:%M' }",
            json!("2024-03-01 00:30"),
        ),
        (json!(0), "{ format_date: '%Y' }", json!("1970")),
        (json!("a b/ü?"), "url_encode", json!("a%20b/%C3%BC%3F")),
        (json!("a%20b%2F"), "url_decode", json!("a b/")),
        (
            json!("http://a/?x=1&y=a+b"),
            "{ url_param: y }",
            json!("a b"),
        ),
        (json!("/a?x=1"), "{ url_param: x }", json!("1")),
        (
            json!("<a href=\"x\">'&'"),
            "html_escape",
            json!("&lt;a href=&quot;x&quot;&gt;&#x27;&amp;&#x27;"),
        ),
        (
            json!("&lt;b&gt; &eacute;&#233; & <i>"),
            "html_unescape",
            json!("<b> éé & <i>"),
        ),
        (json!("hé"), "base64_encode", json!("aMOp")),
        (json!("aMOp"), "base64_decode", json!("hé")),
        (json!("aGk"), "base64_decode", json!("hi")),
        (json!("??>"), "base64url_encode", json!("Pz8-")),
        (json!("Pz8-"), "base64url_decode", json!("??>")),
        (json!("hi"), "hex_encode", json!("6869")),
        (json!("6869"), "hex_decode", json!("hi")),
        (
            json!("hello"),
            "sha256",
            json!("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ),
        (json!("absent"), "{ default: 7 }", json!(7)),
        (json!(1), "{ default: 7 }", json!(1)),
        // Bytes that are no text stay bytes until something writes them.
        (json!("/9j/"), "[ base64_decode, count ]", json!(3)),
        (json!("/9j/"), "base64_decode", json!("ffd8ff")),
        (
            json!("ffd8ff"),
            "[ hex_decode, base64_encode ]",
            json!("/9j/"),
        ),
        (json!([]), "[ first, { default: none } ]", json!("none")),
        (
            json!(["b,a", "c"]),
            "[ first, { split: ',' }, sort, { join: '' }, upper ]",
            json!("AB"),
        ),
    ];
    for (value, filters, expected) in cases.clone() {
        assert_eq!(
            made(value.clone(), filters),
            Ok(expected),
            "{value} | {filters}"
        );
    }
    for kind in FILTERS.iter().filter(|k| k.name != "days_from_now") {
        assert!(
            cases.iter().any(|(_, f, _)| f.contains(kind.name)),
            "no case for `{}`",
            kind.name
        );
    }
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(49)).to_string();
    assert_eq!(made(json!(soon), "days_from_now"), Ok(json!(2)));
}

#[test]
fn what_is_not_there_says_why() {
    for (value, filters, said) in [
        (json!([]), "first", "the list has 0 items"),
        (
            json!([1]),
            "[ { nth: 3 }, to_int ]",
            "`nth`: the list has 1 items",
        ),
        (json!("x"), "{ regex: 'y(.)' }", "\"x\" does not match y(.)"),
        (json!({"a": 1}), "{ jsonpath: $.b }", "$.b finds nothing"),
        (json!("<a/>"), "{ xpath: //b }", "//b finds nothing"),
        (
            json!("http://a/?x=1"),
            "{ url_param: y }",
            "the URL has no `y`",
        ),
        (json!("absent"), "[ trim, to_int ]", "nothing"),
    ] {
        assert_eq!(
            made(value.clone(), filters),
            Err(said.into()),
            "{value} | {filters}"
        );
    }
}

#[test]
fn what_cannot_be_taken_says_so() {
    for (value, filters, said) in [
        (json!(1), "first", "a list for `first`, not 1"),
        (json!(1), "trim", "a text for `trim`, not 1"),
        (
            json!(null),
            "count",
            "a list, an object or a text for `count`, not null",
        ),
        (json!([1]), "keys", "an object for `keys`, not [1]"),
        (
            json!([1, "a"]),
            "sort",
            "a list of numbers or of texts (it has 1 and \"a\") for `sort`, not [1,\"a\"]",
        ),
        (
            json!("1.5"),
            "to_int",
            "the text of a whole number for `to_int`, not \"1.5\"",
        ),
        (
            json!("a"),
            "to_float",
            "a number, or the text of one for `to_float`, not \"a\"",
        ),
        (
            json!("{"),
            "to_json",
            "a text of JSON for `to_json`, not \"{\"",
        ),
        (
            json!("%%%"),
            "base64_decode",
            "a text of base64 for `base64_decode`, not \"%%%\"",
        ),
        (
            json!("abc"),
            "hex_decode",
            "a text of hexadecimal digits for `hex_decode`, not \"abc\"",
        ),
        (
            json!("soon"),
            "{ format_date: '%Y' }",
            "a timestamp or a date for `format_date`, not \"soon\"",
        ),
        (
            json!("/9j/"),
            "[ base64_decode, upper ]",
            "a text (these bytes are not UTF-8) for `upper`, not 3 bytes ffd8ff",
        ),
        (
            json!("%ff"),
            "url_decode",
            "a URL-encoded text of UTF-8 for `url_decode`, not \"%ff\"",
        ),
    ] {
        assert_eq!(
            made(value.clone(), filters),
            Err(said.into()),
            "{value} | {filters}"
        );
    }
    let said = made(json!("x"), "{ parse_date: '%Y' }").unwrap_err();
    assert!(said.starts_with("a date of the format %Y ("), "{said}");
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    for (filters, said) in [
        ("tirm", "unknown filter `tirm` (did you mean `trim`?)"),
        ("toInt", "unknown filter `toInt` (did you mean `to_int`?)"),
        (
            "[ trim, length ]",
            "unknown filter `length` (did you mean `count`?)",
        ),
        (
            "split",
            "the filter `split` needs an argument (write `split: ','`)",
        ),
        (
            "{ trim: 3 }",
            "the filter `trim` takes no argument (write `trim` alone)",
        ),
        (
            "{ nth: a }",
            "`nth` takes a number, found a string (for example: `nth: 2`)",
        ),
        (
            "{ regex: '(' }",
            "invalid regular expression: unclosed group (in YAML, single quotes keep backslashes as they are: '\\d+')",
        ),
        (
            "{ split: '{{ x }}' }",
            "the argument of the filter `split` is taken as it stands, without templates (only `default` takes a template)",
        ),
        (
            "{ replace: { form: a, to: b } }",
            "unknown key `form` in `replace` (it has from, regex, to)",
        ),
        (
            "{ trim: , lower: }",
            "a filter is a name, or a name with its argument, found a mapping (write `filters: [ { regex: 'id=(\\d+)' }, to_int ]`)",
        ),
        (
            "[]",
            "`filters` is empty (write `filters: [ trim, to_int ]`, or remove the key)",
        ),
    ] {
        assert_eq!(read(filters).unwrap_err(), [said], "{filters}");
    }
    assert!(
        read("whatever_this_is").unwrap_err()[0]
            .starts_with("unknown filter `whatever_this_is` (known here: first, last, ")
    );
}
