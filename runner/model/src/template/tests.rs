//! What templates give.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Data, Document, Scope, Text};
use crate::source::{SourceFile, Span};
use crate::yaml::parse_one;

fn scope() -> Scope {
    let mut s = Scope::with_secrets([("TOKEN".to_owned(), json!("s3cret"))].into());
    s.set("n", json!(7));
    s.set("price", serde_json::from_str("12.50").unwrap());
    s.set(
        "big",
        serde_json::from_str("123456789012345678901234567890").unwrap(),
    );
    s.set("name", json!("Ann"));
    s.set("yes", json!(true));
    s.set("none", Json::Null);
    s.set("list", json!([1, "two", {"three": 3}]));
    let d = Document::default()
        .with("status", 201)
        .with("json", json!({"id": "o-1", "lines": [{"sku": "A1"}]}));
    s.keep("order", std::sync::Arc::new(d));
    s
}

fn data(yaml: &str) -> Result<Json, String> {
    let node = parse_one(&SourceFile::new("t.yaml", format!("v: {yaml}\n"))).unwrap();
    let data = Data::new(node.get("v").unwrap()).map_err(|p| p[0].to_string())?;
    data.render(&scope()).map_err(|p| p.to_string())
}

#[test]
fn a_single_expression_keeps_its_type() {
    for (yaml, expected) in [
        ("\"{{ n }}\"", json!(7)),
        ("\"{{n}}\"", json!(7)),
        ("\" {{ n }} \"", json!(7)),
        ("\"{{ yes }}\"", json!(true)),
        ("\"{{ none }}\"", Json::Null),
        ("\"{{ list }}\"", json!([1, "two", {"three": 3}])),
        ("\"{{ list[2].three }}\"", json!(3)),
        ("\"{{ n + 1 }}\"", json!(8)),
        ("\"{{ n > 3 }}\"", json!(true)),
        ("\"{{ name | upper }}\"", json!("ANN")),
        ("\"{{ missing | default(value=3) }}\"", json!(3)),
        ("\"{{ list | length }}\"", json!(3)),
        ("\"{{ steps.order.json.id }}\"", json!("o-1")),
        ("\"{{ steps.order.status }}\"", json!(201)),
        (
            "\"{{ steps.order.json.lines | first }}\"",
            json!({"sku": "A1"}),
        ),
        ("\"{{ vars.n }}\"", json!(7)),
        ("\"{{ secrets.TOKEN }}\"", json!("s3cret")),
        ("\"{{ name if yes else 0 }}\"", json!("Ann")),
        ("\"{{ [n, 2] }}\"", json!([7, 2])),
    ] {
        assert_eq!(data(yaml), Ok(expected), "{yaml}");
    }
}

#[test]
fn text_around_makes_a_text() {
    for (yaml, expected) in [
        ("\"order {{ n }}\"", "order 7"),
        ("\"{{ n }}{{ n }}\"", "77"),
        ("\"{{ price }} EUR\"", "12.50 EUR"),
        ("\"{{ name | lower }}-{{ n }}\"", "ann-7"),
        ("\"{% if yes %}a{% else %}b{% endif %}\"", "a"),
        ("\"{% raw %}{{ go }}{% endraw %}\"", "{{ go }}"),
        ("\"${VAR} $(VAR) {x}\"", "${VAR} $(VAR) {x}"),
        ("\"Bearer {{ secrets.TOKEN }}\"", "Bearer s3cret"),
        ("\"a{# not said #}b\"", "ab"),
        ("'{{ \"}}\" }} x'", "}} x"),
    ] {
        assert_eq!(data(yaml), Ok(json!(expected)), "{yaml}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    for (yaml, digits) in [
        ("\"{{ price }}\"", "12.50"),
        ("\"{{ big }}\"", "123456789012345678901234567890"),
        ("1.10", "1.10"),
    ] {
        assert_eq!(data(yaml).unwrap().to_string(), digits);
    }
}

#[test]
fn templates_inside_of_lists_and_mappings() {
    assert_eq!(
        data("{ a: [\"{{ n }}\", x], \"{{ name }}\": { b: \"{{ yes }}\" }, c: 1 }"),
        Ok(json!({"a": [7, "x"], "Ann": {"b": true}, "c": 1}))
    );
}

#[test]
fn what_is_not_there_names_the_nearest() {
    for (yaml, said) in [
        (
            "\"{{ nme }}\"",
            "t.yaml:1:8: template: `nme` is not defined\n  help: did you mean `name`?",
        ),
        (
            "\"a {{ nme }}\"",
            "t.yaml:1:10: template: `nme` is not defined\n  help: did you mean `name`?",
        ),
        (
            "\"{{ nme | upper }}\"",
            "t.yaml:1:8: template: `nme` is not defined\n  help: did you mean `name`?",
        ),
        (
            "\"{{ steps.ordr.json }}\"",
            "t.yaml:1:8: template: `steps.ordr` is not defined\n  help: did you mean `order`?",
        ),
        (
            "\"{{ steps.order.jsn }}\"",
            "t.yaml:1:8: template: `steps.order.jsn` is not defined\n  help: did you mean `json`?",
        ),
        (
            "\"{{ steps.order.json.ids }}\"",
            "t.yaml:1:8: template: `steps.order.json.ids` is not defined: `steps.order.json` has no `ids`\n  help: did you mean `id`?",
        ),
        (
            "\"{{ list[5] }}\"",
            "t.yaml:1:8: template: `list[5]` is not defined: `list` has no `[5]`\n  help: `list` has 3 items",
        ),
        (
            "\"{{ secrets.TOKN }}\"",
            "t.yaml:1:8: template: `secrets.TOKN` is not defined\n  help: did you mean `TOKEN`?",
        ),
        (
            "\"{{ n | uper }}\"",
            "t.yaml:1:12: template: unknown filter `uper`\n  help: did you mean `upper`?",
        ),
        ("\"{{ n\"", "t.yaml:1:5: template: `{{` is never closed"),
    ] {
        let got = data(yaml).unwrap_err();
        assert!(got.starts_with(said), "{yaml}\n{got}\n{said}");
    }
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[ -~]{0,12}".prop_map(Json::from),
    ]
}

fn value() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|m| Json::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The short way for plain paths gives what Tera gives.
    #[test]
    fn a_plain_path_is_what_tera_says(v in value()) {
        let mut scope = Scope::default();
        scope.set("v", v);
        let span = Span::generated();
        let short = Text::new("<{{ v }}>", &span).unwrap().render(&scope).unwrap();
        // Whitespace control makes it a template for Tera.
        let long = Text::new("<{{- v -}}>", &span).unwrap().render(&scope).unwrap();
        prop_assert_eq!(short, long);
    }

    /// Any value that goes through Tera as a whole comes back as it was.
    #[test]
    fn values_survive_tera(v in value()) {
        let mut scope = Scope::default();
        scope.set("v", v.clone());
        let node = crate::yaml::Node::str("{{ (v) }}", Span::generated());
        prop_assert_eq!(Data::new(&node).unwrap().render(&scope).unwrap(), v);
    }

    /// No text makes the reader of templates panic.
    #[test]
    fn any_text_is_read_without_panic(text in "[{}%#a-z\"'|. \\-\n]{0,40}") {
        let _ = Text::new(text, &Span::generated()).map(|t| t.render(&Scope::default()));
    }
}
