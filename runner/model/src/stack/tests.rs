use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::assemble::{Assembled, assemble};
use super::template;
use crate::diag::Problems;
use crate::project::ProjectPath;
use crate::source::Span;
use crate::yaml::{Spanned, parse_all};

fn render(files: &[(&str, &str)], context: &Json) -> Result<Assembled, Problems> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let path = ProjectPath {
        written: Spanned::new(format!("t/{}", files[0].0), Span::generated()),
        path: dir.path().join(files[0].0),
    };
    assemble(&template::run(Some(&path), context)?)
}

fn one(text: &str, context: Json) -> Result<Assembled, Problems> {
    render(&[("a.tera", text)], &context)
}

fn yaml(a: &Assembled) -> Vec<Json> {
    parse_all(&a.file)
        .unwrap()
        .iter()
        .map(|n| n.to_json())
        .collect()
}

#[test]
fn values_take_the_form_of_their_place() {
    let a = one(
        concat!(
            "{{ k }}: {{ s }}\n",
            "map: {{ m }}\n",
            "alone:\n  {{ m }}\n  more: 1\n",
            "list:\n  {{ l }}\n",
            "in: [ {{ s }}, {{ m }} ]\n",
            "item:\n  - {{ m }}\n  - k: {{ l }}\n",
            "empty: {{ e }}\n",
            "num: {{ n }} # {{ s }}\n",
            "text: {{ t }}\n",
        ),
        json!({"k": "a b", "s": "x$y: z", "m": {"p": [1, {"q": "r"}]}, "l": ["1", 1], "e": {}, "n": 1.5, "t": "a\nb\n"}),
    )
    .unwrap();
    insta::assert_snapshot!(a.file.text, @r#"
    "a b": "x$$y: z"
    map:
      p:
        - 1
        - q: r
    alone:
      p:
        - 1
        - q: r
      more: 1
    list:
      - "1"
      - 1
    in: [ "x$$y: z", { p: [1, { q: r }] } ]
    item:
      - { p: [1, { q: r }] }
      - k:
          - "1"
          - 1
    empty: {}
    num: 1.5 # "x$$y: z"
    text: |
      a
      b
    "#);
}

#[test]
fn a_project_extends_the_built_in_template() {
    let context = json!({
        "name": "shop-mirror",
        "services": [{"name": "db", "config": {"image": "postgres:15", "networks": {"default": null}}}],
        "networks": {"default": {"internal": true}}, "volumes": {}, "configs": {}, "secrets": {},
        "extension": {"version": 1},
    });
    let files = [
        (
            "mine.tera",
            concat!(
                "{% extends \"stack.yaml.tera\" %}\n",
                "{% block extra_services %}\n  adminer:\n    image: {{ \"adminer:\" ~ 4 }}\n{% endblock %}\n",
                "{% block overrides %}{% include \"parts.tera\" %}{% endblock %}\n",
            ),
        ),
        (
            "parts.tera",
            "---\nservices:\n  db:\n    environment: {{ {\"A\": name} }}\n",
        ),
    ];
    let a = render(&files, &context).unwrap();
    insta::assert_snapshot!(a.file.text, @r#"
    # Rendered by prodmirror. Safe to run with plain Docker Compose: nothing in it leads out.
    name: shop-mirror

    services:
      db:
        image: postgres:15
        networks:
          default: null

      adminer:
        image: adminer:4

    networks:
      default:
        internal: true

    x-prodmirror:
      version: 1
    ---
    services:
      db:
        environment:
          A: shop-mirror
    "#);
}

fn problem(text: &str) -> String {
    one(text, json!({"s": "x", "m": {"a": 1}}))
        .unwrap_err()
        .to_string()
}

#[test]
fn no_value_gets_out_raw() {
    for (text, says) in [
        ("a: {{ s | safe }}\n", "`safe` is not for stack templates"),
        (
            "a: {{ s | escape }}\n",
            "`escape` is not for stack templates",
        ),
        ("a: \"{{ s }}\"\n", "stands in quotes"),
        ("a: x-{{ s }}\n", "stands inside of a text"),
        ("a: |\n  {{ s }}\n", "stands inside of a text"),
        ("{{ m }}: 1\n", "cannot be a key"),
        ("a: {{ nosuch }}\n", "defined"),
        ("a: {{ s | nosuch }}\n", "nosuch"),
        ("a: {{ m.b.c }}\n", "b"),
        ("a: {{ s\n", "is not closed"),
        ("a: {% if s %}\n", ""),
        ("{% include \"none.tera\" %}\n", "cannot read t/none.tera"),
        ("{% include \"../none.tera\" %}\n", "leads out"),
    ] {
        let said = problem(text);
        assert!(said.contains(says), "{text:?} gives {said}");
        assert!(
            said.contains("t/a.tera:"),
            "{text:?} has no place in the template: {said}"
        );
        assert!(
            !said.contains(super::scan::is_mark) && !said.contains("yaml(at="),
            "{said}"
        );
    }
    // What the template makes itself may be printed, but not taken apart.
    let a = one(
        "{% set b %}k: {{ s }}{% endset %}{{ b }}\n",
        json!({"s": "- $"}),
    )
    .unwrap();
    assert_eq!(yaml(&a), [json!({"k": "- $$"})]);
    let a = one(
        "a: {{ [s, s] | join(sep=\": \") }}\n",
        json!({"s": "\n- x"}),
    )
    .unwrap();
    assert_eq!(yaml(&a), [json!({"a": "\n- x: \n- x"})]);
    let a = one("a: {{ s | yaml }}\n", json!({"s": ": "})).unwrap();
    assert_eq!(yaml(&a), [json!({"a": ": "})]);
}

#[test]
fn invalid_yaml_shows_both_lines() {
    let said = problem(
        "ok: 1\n{% for i in [1, 2] %}\n{% if i == 2 %}\n  bad: [ {{ s }}\n{% endif %}\n{% endfor %}\nnext: 2\n",
    );
    assert!(said.contains("the template renders invalid YAML"), "{said}");
    assert!(said.contains("t/a.tera:"), "{said}");
    let said = problem("a:\n  b: {{ s }}\n c: 1\n");
    assert!(said.contains("`c: 1`"), "{said}");
    assert!(
        said.contains("t/a.tera:3:2: this line of the template made it"),
        "{said}"
    );
}

#[test]
fn mappings_can_be_edited() {
    let a = one(
        "a: {{ m | without(key=\"x\") | with(key=\"z\", value=[1]) }}\nb: {{ {\"k\": {\"l\": 1} } }}\n",
        json!({"m": {"x": 1, "y": 2}}),
    )
    .unwrap();
    assert_eq!(
        yaml(&a),
        [json!({"a": {"y": 2, "z": [1]}, "b": {"k": {"l": 1}}})]
    );
}

fn doubled(value: &Json) -> Json {
    match value {
        Json::String(s) => json!(s.replace('$', "$$")),
        Json::Array(a) => a.iter().map(doubled).collect(),
        Json::Object(o) => Json::Object(o.iter().map(|(k, v)| (k.clone(), doubled(v))).collect()),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_value_survives_any_place(
        t in any::<String>(),
        marks in "[\u{e000}-\u{e003}0-9{}%#$'\"\\n -]{0,24}",
        k in "[^<]{1,12}",
    ) {
        for s in [t, marks] {
            let v = json!({"v": s, "deep": [s, {"x": s}]});
            let a = one(
                "a: {{ v }}\nb:\n  {{ o }}\nc: [ {{ v }}, {{ v }} ]\nd:\n  - {{ v }}\n  - e: {{ o }} \n{{ k }}k: \n# {{ v }} {{ o }}\nf:\n  {{ kk }}: {{ v }}\n".replace("{{ k }}k: \n", "").as_str(),
                json!({"v": s, "o": v, "kk": k}),
            ).unwrap();
            let (s, v) = (doubled(&json!(s)), doubled(&v));
            prop_assert_eq!(yaml(&a), [json!({
                "a": s, "b": v, "c": [s, s], "d": [s, {"e": v}], "f": {k.as_str(): s},
            })]);
        }
    }
}
