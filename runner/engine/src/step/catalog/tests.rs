//! That the tables are what the kinds take and give.

use std::collections::BTreeSet;

use prodmirror_model::diag::Problem;
use prodmirror_model::source::Span;
use prodmirror_model::yaml::Node;
use serde_json::{Map, Value, json};

use super::*;

/// A key that nobody has, and that is near to nothing.
const NOBODY: &str = "qqqqqqqqqqqqqqqqqqqq";

fn problems(kind: &Kind, args: &Value) -> Vec<Problem> {
    let node = Node::from_json(args, &Span::generated());
    (kind.compile)(&node).err().unwrap_or_default()
}

/// The keys that a kind's reader knows where it found [`NOBODY`].
fn known(problems: &[Problem]) -> Result<BTreeSet<String>, String> {
    let named = problems.iter().find(|p| p.message.contains(NOBODY));
    let help = named.and_then(|p| p.help.as_deref());
    let names = help.and_then(|h| h.strip_prefix("known here: "));
    match names {
        Some(names) => Ok(names.split(", ").map(str::to_owned).collect()),
        None => Err(format!("{problems:?}")),
    }
}

/// The keys that must be there, each with a value that fits, and one more.
fn beside(keys: &[Arg], name: &str, value: Value) -> Value {
    let mut all = Map::new();
    all.insert(name.to_owned(), value);
    for a in keys.iter().filter(|a| a.required) {
        all.entry(a.name).or_insert_with(|| a.sample());
    }
    Value::Object(all)
}

fn wrap(shape: Shape, inner: Value) -> Value {
    match shape {
        Shape::List(of) => json!([wrap(*of, inner)]),
        Shape::Map(of) => json!({ "x": wrap(*of, inner) }),
        Shape::Either(of) => {
            let with = of.iter().find(|s| s.keys().is_some());
            with.map_or(Value::Null, |s| wrap(*s, inner))
        }
        _ => inner,
    }
}

/// Compares the keys of a mapping, and of the mappings in it.
fn walk(
    kind: &Kind,
    keys: &'static [Arg],
    path: &str,
    document: &dyn Fn(Value) -> Value,
    wrong: &mut Vec<String>,
) {
    let args = document(beside(keys, NOBODY, json!(1)));
    let listed: BTreeSet<String> = keys.iter().map(|a| a.name.to_owned()).collect();
    match known(&problems(kind, &args)) {
        Ok(found) if found == listed => {}
        Ok(found) => wrong.push(format!(
            "{path}: the reader knows {found:?}, the table {listed:?}"
        )),
        Err(said) => wrong.push(format!("{path}: nobody minds an unknown key: {said}")),
    }
    for a in keys {
        if let Some(inner) = a.shape.keys() {
            let deeper = |v: Value| document(beside(keys, a.name, wrap(a.shape, v)));
            walk(kind, inner, &format!("{path}.{}", a.name), &deeper, wrong);
        }
    }
}

#[test]
fn every_kind_is_here_with_the_keys_that_it_reads() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        match args(kind.name) {
            Some(shape) => match shape.keys() {
                Some(keys) => walk(kind, keys, kind.name, &|v| v, &mut wrong),
                None => wrong.push(format!("{}: its shape has no keys", kind.name)),
            },
            None => {
                let keys = known(&problems(kind, &json!({ NOBODY: 1 })));
                let lines: Vec<String> = keys
                    .unwrap_or_default()
                    .iter()
                    .map(|k| format!("        text(\"{k}\", \"…\"),\n"))
                    .collect();
                wrong.push(format!(
                    "`{}` is missing in CATALOG of catalog.rs:\n(\n    \"{}\",\n    Shape::Object(&[\n{}    ]),\n),",
                    kind.name,
                    kind.name,
                    lines.concat()
                ));
            }
        }
    }
    for e in CATALOG {
        // A tool may be built without some kinds.
        if crate::step::kind(e.kind).is_none() && cfg!(feature = "kafka") {
            wrong.push(format!("there is no kind `{}`", e.kind));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_are_valid_and_compile() {
    let schema = prodmirror_model::schema::scenario(&docs());
    for kind in KINDS {
        let text = format!("scenario: a\nsteps:\n  - {}\n", kind.example);
        let file = prodmirror_model::source::SourceFile::new("e.yaml", text);
        let node = prodmirror_model::yaml::parse_one(&file).unwrap();
        let step = node.get("steps").unwrap().as_seq().unwrap()[0].get(kind.name);
        let args = step.unwrap();
        assert!((kind.compile)(args).is_ok(), "{}", kind.example);
        let own = &schema["$defs"][format!("kind.{}", kind.name)];
        assert!(own["description"].is_string(), "{}", kind.name);
    }
}

#[test]
fn the_fields_of_the_table_are_those_of_the_kind() {
    for kind in KINDS {
        let e = entry(kind.name).unwrap();
        let listed: Vec<&str> = e.results.iter().map(|(n, _)| *n).collect();
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        assert_eq!(
            sorted(listed),
            sorted(kind.fields.to_vec()),
            "{}",
            kind.name
        );
        assert!(e.results.iter().all(|(_, help)| !help.is_empty()));
        assert!((2..=4).contains(&e.examples.len()), "{}", kind.name);
    }
}

/// What is told of all keys, at any depth.
fn every(shape: Shape, look: &mut dyn FnMut(&Arg)) {
    match shape {
        Shape::Object(keys) | Shape::One(keys, _) | Shape::Open(keys) | Shape::Loose(keys) => {
            for a in keys {
                look(a);
                every(a.shape, look);
            }
        }
        Shape::List(of) | Shape::Map(of) => every(*of, look),
        Shape::Either(of) => of.iter().for_each(|s| every(*s, look)),
        _ => {}
    }
}

#[test]
fn every_key_has_help_and_an_example_that_is_json() {
    for e in CATALOG {
        every(e.shape, &mut |a| {
            assert!(a.help.len() > 3, "{}: {}", e.kind, a.name);
            let json = serde_json::from_str::<Value>(a.example);
            assert!(
                a.example.is_empty() || json.is_ok(),
                "{}: {}",
                e.kind,
                a.name
            );
            assert!(
                !a.required || a.default.is_empty(),
                "{}: {}",
                e.kind,
                a.name
            );
            assert!(!a.help.contains("unless said"), "{}: {}", e.kind, a.name);
        });
    }
}

#[test]
fn keys_of_which_there_is_one_are_those_that_the_reader_wants() {
    for kind in KINDS {
        let Some(Shape::One(keys, one)) = args(kind.name) else {
            continue;
        };
        // Two of them are too many, and none is too few.
        let nothing = problems(kind, &beside(keys, keys[0].name, keys[0].sample()));
        assert!(!nothing.is_empty(), "{}", kind.name);
        for key in one {
            let a = keys.iter().find(|a| a.name == *key).unwrap();
            let mut with = beside(keys, key, a.sample());
            for (more, but) in [("bucket", "create_bucket"), ("collection", "command")] {
                if keys.iter().any(|a| a.name == more) && *key != but {
                    with[more] = json!("x");
                }
            }
            if keys.iter().any(|a| a.name == "service") {
                with["service"] = json!("x");
            }
            let found = problems(kind, &with);
            let other = found.iter().find(|p| !p.message.contains("cannot read"));
            assert!(other.is_none(), "{} {with}: {other:?}", kind.name);
        }
    }
}

/// What is made of the tables and committed is made again where `UPDATE_FIXTURES` is set.
#[test]
fn the_committed_schema_and_pages_are_those_of_the_tables() {
    let docs_dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let schema = prodmirror_model::schema::scenario(&docs());
    let mut all = vec![("schema/scenario.json".to_owned(), format!("{schema:#}\n"))];
    all.extend(
        pages()
            .into_iter()
            .map(|(name, text)| (format!("reference/steps/{name}"), text)),
    );
    for (name, text) in &all {
        let path = docs_dir.join(name);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(*text == there, "{name} is old: run `prodmirror schema`");
    }
    let files = std::fs::read_dir(docs_dir.join("reference/steps")).unwrap();
    assert_eq!(files.count(), all.len() - 1, "a page of no kind");
}
