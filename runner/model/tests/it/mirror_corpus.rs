//! The mirror loses nothing: every normal form of the corpus comes back as it went in.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::mirror::Mirror;
use serde_json::Value;

use crate::corpus_files::{files, normal_form, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial("mirror::corpus_round_trip", round_trip)]
}

fn round_trip(corpus: &Path) -> Result<(), Failed> {
    let oracles = files(corpus, ".oracle.json");
    let mut wrong = Vec::new();
    for path in &oracles {
        let node = normal_form(path);
        let mirror = match Mirror::from_compose(&node) {
            Ok(mirror) => mirror,
            Err(problems) => {
                wrong.push(format!("{}: {problems}", path.display()));
                continue;
            }
        };
        for left in &mirror.unmapped {
            wrong.push(format!(
                "{}: unmapped {}",
                path.display(),
                left.path.join(".")
            ));
        }
        differences("", &node.to_json(), &mirror.to_compose(), &mut |what| {
            wrong.push(format!("{}: {what}", path.display()));
        });
    }
    println!(
        "mirrors round {}/{}",
        oracles.len() - wrong.len().min(oracles.len()),
        oracles.len()
    );
    if oracles.len() < 170 || !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    Ok(())
}

fn differences(path: &str, a: &Value, b: &Value, say: &mut impl FnMut(String)) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            for (key, left) in x {
                match y.get(key) {
                    Some(right) => differences(&format!("{path}/{key}"), left, right, say),
                    None => say(format!("{path}/{key}: {left} is lost")),
                }
            }
            for key in y.keys().filter(|k| !x.contains_key(*k)) {
                say(format!("{path}/{key}: {} is new", y[key]));
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (left, right)) in x.iter().zip(y).enumerate() {
                differences(&format!("{path}/{i}"), left, right, say);
            }
        }
        _ if a == b => {}
        _ => say(format!("{path}: {a} became {b}")),
    }
}
