//! Loops, matrices, fragments, data files and what they draw: the flow of a scenario.

use std::path::Path;
use std::sync::Arc;

use prodmirror_engine::run::{CaseOptions, Stop};
use prodmirror_engine::step::{Program, World, compile_all};
use prodmirror_model::event::{Outcome, What};
use prodmirror_model::source::SourceFile;

use super::local::Local;
use super::site::{closed, site};
use super::{Played, fails, passes, played, played_with, programs};

async fn world() -> Arc<dyn World> {
    Local::default().host("gateway", 80, site().await).world()
}

fn paths(played: &Played) -> Vec<String> {
    played.steps().into_iter().map(|s| s.path).collect()
}

/// Compiles the first of several files that stand beside each other.
fn compiled(dir: &Path, files: &[(&str, &str)]) -> (Vec<Program>, Vec<String>) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let first = SourceFile::read(&dir.join(files[0].0), files[0].0).unwrap();
    let (programs, problems) = compile_all(&[first]);
    (programs, problems.iter().map(ToString::to_string).collect())
}

async fn run(program: &Program, world: &Arc<dyn World>) -> Played {
    played_with(world, program, &CaseOptions::default(), &Stop::new()).await
}

#[tokio::test]
async fn a_step_is_done_for_each_item() {
    let world = world().await;
    let played = passes(
        &world,
        r#"
  - for_each: { code: [200, 201, 204] }
    name: it answers
    http: { url: "http://gateway/status/{{ code }}" }
    expect: status == code && each.count == 3
    capture: { last: status }
  - assert: last == 204
  - for_each: "[1, 2].map(n, n * 100)"
    assert: item == (each.index + 1) * 100
  - for_each: { n: { from: 3, to: 1 } }
    assert: n == 3 - each.index && each.last == (n == 1)
  - for_each: { pair: { a: 1, b: 2 } }
    assert: pair.key == ["a", "b"][each.index]
  - repeat: 2
    steps:
      - set: { doubled: "{{ each.index * 2 }}" }
      - repeat: 2
        assert: doubled in [0, 2]
"#,
    )
    .await;
    let paths = paths(&played);
    assert_eq!(
        paths[..4],
        ["steps[0][0]", "steps[0][1]", "steps[0][2]", "steps[0]"]
    );
    let inner = paths
        .iter()
        .filter(|p| p.starts_with("steps[5][1].steps[1]["));
    assert_eq!(inner.count(), 2, "{paths:?}");
}

#[tokio::test]
async fn a_loop_ends_at_the_first_turn_that_fails() {
    let world = world().await;
    let step = fails(
        &world,
        "  - for_each: [200, 404, 500]\n    http: { url: \"http://gateway/status/{{ item }}\" }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(step.said()[0].starts_with("turn 1 of 3 passes: expected that it passes, got steps[0][1] (GET http://gateway/status/"), "{:?}", step.said());
    // An error inside is an error of the loop, and no verdict.
    let gone = Local::default().host("gone", 80, closed().await).world();
    let step = fails(
        &gone,
        "  - repeat: 2\n    http: { url: \"http://gone/\" }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    let step = fails(&world, "  - for_each: \"size('abc')\"\n    print: x\n").await;
    assert_eq!(
        step.error(),
        "a loop goes over a list or an object, and this is 3"
    );
}

#[tokio::test]
async fn loops_cannot_run_for_ever() {
    let world = world().await;
    let text = r#"
scenario: it
vars: { thousand: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }
steps:
  - for_each: { a: thousand }
    steps:
      - for_each: { b: { from: 1, to: 2000 } }
        steps:
          - for_each: { c: thousand }
            steps:
              - for_each: { d: thousand }
                set: { x: 1 }
"#;
    let played = played(&world, text).await;
    assert_eq!(played.end.outcome, Outcome::Errored);
    let reason = played.end.reason.unwrap();
    assert!(
        reason.contains("came to more than 200000 turns"),
        "{reason}"
    );
}

#[tokio::test]
async fn steps_as_one_are_tried_again_together() {
    let world = world().await;
    let played = passes(
        &world,
        r#"
  - eventually: { within: 5s, every: 10ms }
    steps:
      - http: { url: "http://gateway/ready/together/3" }
        capture: { asked: json.asked }
      - assert: asked >= 3
"#,
    )
    .await;
    let steps = played.steps();
    assert_eq!(
        (steps.len(), steps[0].attempts),
        (1, 3),
        "{}",
        played.told()
    );
}

#[tokio::test]
async fn a_matrix_is_one_case_for_each_combination() {
    let text = r#"
scenario: it answers
matrix:
  code: [200, 201, 404]
  way: [status, echo]
  exclude: [{ way: echo }, { code: 404 }]
  include: [{ code: 204, way: status }]
steps:
  - http: { url: "http://gateway/{{ way }}/{{ code }}" }
    expect: status == code
"#;
    let programs = programs(text);
    let names: Vec<&str> = programs.iter().map(|p| p.scenario.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "it answers [code=200, way=status]",
            "it answers [code=201, way=status]",
            "it answers [code=204, way=status]"
        ]
    );
    let world = world().await;
    for p in &programs {
        let played = run(p, &world).await;
        assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    }
}

#[tokio::test]
async fn fragments_have_names_of_their_own_and_give_outputs() {
    let dir = tempfile::tempdir().unwrap();
    let (programs, problems) = compiled(
        dir.path(),
        &[
            (
                "a.yaml",
                r#"
scenario: it
vars: { user: outer, code: 200 }
steps:
  - id: first
    use: parts/ask.yaml
    with: { code: "{{ code + 1 }}" }
    capture: { seen: outputs.seen }
  - assert:
      - seen == 201
      - user == "outer"
      - steps.first.outputs.user == "inner"
  - include: parts/steps.yaml
  - assert: included == 204
"#,
            ),
            (
                "parts/ask.yaml",
                r#"
fragment: ask
params: [code]
vars: { user: inner }
outputs: { seen: "steps.ask.status", user: user }
steps:
  - id: ask
    http: { url: "http://gateway/status/{{ code }}" }
  - use: deeper.yaml
"#,
            ),
            (
                "parts/deeper.yaml",
                "fragment: deeper\nsteps:\n  - http: { url: \"http://gateway/status/202\" }\n",
            ),
            (
                "parts/steps.yaml",
                "- http: { url: \"http://gateway/status/204\" }\n  capture: { included: status }\n",
            ),
        ],
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(programs[0].scenario.sources.len(), 4);
    let world = world().await;
    let played = run(&programs[0], &world).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    assert_eq!(
        paths(&played)[..4],
        [
            "steps[0].use.steps[0]",
            "steps[0].use.steps[1].use.steps[0]",
            "steps[0].use.steps[1]",
            "steps[0]"
        ]
    );
}

#[tokio::test]
async fn a_failure_in_a_fragment_points_into_its_file_and_finally_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (programs, _) = compiled(
        dir.path(),
        &[
            ("a.yaml", "scenario: it\nsteps:\n  - use: f.yaml\n"),
            (
                "f.yaml",
                "fragment: f\nsteps:\n  - http: { url: \"http://gateway/status/500\" }\nfinally:\n  - http: { url: \"http://gateway/status/200\" }\n",
            ),
        ],
    );
    let played = run(&programs[0], &world().await).await;
    let steps = played.steps();
    assert_eq!(steps[0].outcome, Outcome::Failed);
    let place = played.events.iter().find_map(|e| match e {
        What::StepStarted { step, place, .. } if step == "steps[0].use.steps[0]" => {
            Some(place.clone())
        }
        _ => None,
    });
    let place = place.unwrap();
    assert_eq!((place.file.as_str(), place.line), ("f.yaml", 3));
    assert_eq!(steps[1].path, "steps[0].use.finally[0]");
    assert_eq!(played.end.outcome, Outcome::Failed);
}

#[test]
fn circles_and_bombs_of_fragments_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, problems) = compiled(
        dir.path(),
        &[
            ("a.yaml", "scenario: it\nsteps:\n  - use: b.yaml\n"),
            ("b.yaml", "fragment: b\nsteps:\n  - use: c.yaml\n"),
            ("c.yaml", "fragment: c\nsteps:\n  - use: b.yaml\n"),
        ],
    );
    assert_eq!(
        problems,
        [
            "c.yaml:3:10: b.yaml comes back to itself: a.yaml → b.yaml → c.yaml → b.yaml\n  help: a fragment cannot use itself; `for_each` and `repeat` do things again"
        ]
    );
    let mut files: Vec<(String, String)> = vec![(
        "0.yaml".into(),
        "scenario: it\nsteps:\n  - include: 1.yaml\n".into(),
    )];
    for n in 1..40 {
        files.push((
            format!("{n}.yaml"),
            format!("- include: {0}.yaml\n- include: {0}.yaml\n", n + 1),
        ));
    }
    files.push(("40.yaml".into(), "- print: x\n".into()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let (_, problems) = compiled(dir.path(), &files);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("more than 20000 steps"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn data_files_are_values() {
    let dir = tempfile::tempdir().unwrap();
    let (programs, problems) = compiled(
        dir.path(),
        &[
            (
                "s/a.yaml",
                r#"
scenario: it
load: { rows: ../data/codes.csv, doc: ../data/doc.json, list: ../data/list.yaml, lines: ../data/lines.jsonl }
steps:
  - for_each: { row: rows }
    http: { url: "http://gateway/status/{{ row.code }}" }
    expect: status == int(row.code)
  - assert:
      - size(rows) == 2
      - rows[1].note == "with, comma"
      - doc.answer == 42
      - list == [1, "two"]
      - lines[1].b == 2
"#,
            ),
            (
                "data/codes.csv",
                "code,note\n200,plain\n201,\"with, comma\"\n",
            ),
            ("data/doc.json", "{\"answer\": 42}"),
            ("data/list.yaml", "- 1\n- two\n"),
            ("data/lines.jsonl", "{\"a\": 1}\n\n{\"b\": 2}\n"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    let played = run(&programs[0], &world().await).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());

    for (name, text, said) in [
        (
            "bad.csv",
            "a,b\n1,2\n3\n",
            "bad.csv:3:1: this row has 1 field, and the first line names 2",
        ),
        (
            "bad.json",
            "{\n  \"a\": }\n",
            "bad.json:2:8: bad.json is not JSON",
        ),
        (
            "bad.jsonl",
            "{}\n{\n",
            "bad.jsonl:2:1: this line is not JSON",
        ),
        ("bad.txt", "x", "bad.txt is no data file that can be read"),
    ] {
        let scenario =
            format!("scenario: it\nload: {{ x: {name} }}\nsteps:\n  - print: \"{{{{ x }}}}\"\n");
        let (_, problems) = compiled(dir.path(), &[("b.yaml", scenario.as_str()), (name, text)]);
        assert!(
            problems.iter().any(|p| p.contains(said)),
            "{name}: {problems:?}"
        );
    }
}

#[tokio::test]
async fn what_is_drawn_is_the_same_for_the_same_seed() {
    let text = "scenario: it\nfake: { mail: email, n: { int: [1, 1000000] } }\nsteps:\n  - print: \"{{ mail }} {{ n }}\"\n";
    let world = world().await;
    let program = programs(text).remove(0);
    let mut said = Vec::new();
    for seed in [1, 1, 2] {
        let options = CaseOptions {
            seed,
            ..CaseOptions::default()
        };
        let played = played_with(&world, &program, &options, &Stop::new()).await;
        let text = played.events.iter().find_map(|e| match e {
            What::Printed { text, .. } => Some(text.clone()),
            _ => None,
        });
        said.push(text.unwrap());
    }
    assert_eq!(said[0], said[1]);
    assert_ne!(said[0], said[2]);
    assert!(said[0].contains("@example.com "), "{said:?}");
}

#[tokio::test]
async fn what_is_skipped_says_why() {
    let world = world().await;
    let skipped = played(
        &world,
        "scenario: it\nskip: until it is ready\nsteps:\n  - assert: 1 == 2\n",
    )
    .await;
    assert_eq!(skipped.end.outcome, Outcome::Skipped);
    assert_eq!(skipped.end.reason.as_deref(), Some("until it is ready"));
    let text = "scenario: it\nmatrix: { os: [linux, mac] }\nskip: { if: os == 'mac', reason: no mac here }\nsteps:\n  - assert: os == 'linux'\n";
    let mut ends = Vec::new();
    for p in &programs(text) {
        ends.push(run(p, &world).await.end.outcome);
    }
    assert_eq!(ends, [Outcome::Passed, Outcome::Skipped]);
    let played = passes(&world, "  - skip: not today\n    assert: 1 == 2\n").await;
    let step = played.steps().remove(0);
    assert_eq!(
        (step.outcome, step.error()),
        (Outcome::Skipped, "not today")
    );
}

#[tokio::test]
async fn retries_can_be_given_up() {
    let gone = Local::default().host("gone", 80, closed().await).world();
    let step = fails(
        &gone,
        "  - retry: { times: 50, delay: 1ms, jitter: 0.5, unless: 'attempt >= 3' }\n    http: { url: \"http://gone/\" }\n",
    )
    .await;
    assert_eq!((step.outcome, step.attempts), (Outcome::Errored, 3));
}
