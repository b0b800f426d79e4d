//! What the executor makes of steps: captures, repeats, branches, races, the end.

use std::time::{Duration, Instant};

use prodmirror_engine::run::{CaseOptions, Stop};
use prodmirror_model::event::{Outcome, What};
use serde_json::json;

use super::local::Local;
use super::site::{closed, site};
use super::{fails, passes, played, played_with, programs};

#[tokio::test]
async fn retry_is_for_lost_connections_only() {
    let world = Local::default()
        .host("gateway", 80, site().await)
        .host("gone", 80, closed().await)
        .world();
    let step = fails(
        &world,
        "  - retry: { times: 2, delay: 10ms }\n    http: { url: \"http://gone/\" }\n",
    )
    .await;
    assert_eq!((step.outcome, step.attempts), (Outcome::Errored, 3));
    let step = fails(
        &world,
        "  - retry: { times: 2, delay: 10ms }\n    http: { url: \"http://gateway/status/503\" }\n",
    )
    .await;
    assert_eq!((step.outcome, step.attempts), (Outcome::Failed, 1));
}

#[tokio::test]
async fn eventually_is_for_expectations() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let played = passes(
        &world,
        r#"
  - eventually: { within: 5s, every: 10ms }
    http: { url: "http://gateway/ready/a/4" }
    expect: [ status == 200, json.asked == 4 ]
"#,
    )
    .await;
    assert_eq!(played.steps()[0].attempts, 4);

    let begun = Instant::now();
    let step = fails(
        &world,
        r#"
  - eventually: { within: 200ms, every: 20ms }
    http: { url: "http://gateway/ready/b/1000" }
    expect: status == 200
"#,
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(step.attempts > 3 && begun.elapsed() < Duration::from_secs(3));
    let hint = step.mismatches[0].hint.clone().unwrap();
    assert!(hint.starts_with("it did not hold within 200ms ("), "{hint}");
}

#[tokio::test]
async fn the_first_failure_ends_the_steps_but_not_finally() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let played = played(
        &world,
        r#"
scenario: a
steps:
  - http: { url: "http://gateway/status/500" }
    soft: true
  - http: { url: "http://gateway/status/404" }
    if: 1 == 2
  - http: { url: "http://gateway/status/503" }
  - http: { url: "http://gateway/" }
finally:
  - http: { url: "http://gateway/status/502" }
  - http: { url: "http://gateway/" }
"#,
    )
    .await;
    let outcomes: Vec<(String, Outcome)> = played
        .steps()
        .into_iter()
        .map(|s| (s.path, s.outcome))
        .collect();
    let expected = [
        ("steps[0]", Outcome::Failed),
        ("steps[1]", Outcome::Skipped),
        ("steps[2]", Outcome::Failed),
        ("finally[0]", Outcome::Failed),
        ("finally[1]", Outcome::Passed),
    ];
    assert_eq!(outcomes, expected.map(|(p, o)| (p.to_owned(), o)));
    assert_eq!(
        played.end.reason.as_deref(),
        Some("steps[0] (GET http://gateway/status/500): status < 400: expected < 400, got 500")
    );
}

#[tokio::test]
async fn invariants_hold_after_every_step() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let text = |limit: u32| {
        format!(
            r#"
scenario: a
invariants:
  - http: {{ url: "http://gateway/count/i" }}
    expect: json.count < {limit}
steps:
  - http: {{ url: "http://gateway/" }}
  - http: {{ url: "http://gateway/" }}
  - http: {{ url: "http://gateway/" }}
"#
        )
    };
    assert_eq!(
        played(&world, &text(100)).await.end.outcome,
        Outcome::Passed
    );
    let broken = played(&world, &text(6)).await;
    let steps = broken.steps();
    assert_eq!(
        steps.iter().map(|s| s.path.as_str()).collect::<Vec<_>>(),
        ["steps[0]", "steps[1]", "steps[2]", "invariants[0]"]
    );
    assert!(broken.events.iter().any(|e| matches!(e, What::StepStarted { title, .. } if title.starts_with("invariant after steps[2]"))));
}

#[tokio::test]
async fn parallel_branches_run_at_the_same_time() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let begun = Instant::now();
    let played = passes(
        &world,
        r#"
  - parallel:
      - id: one
        http: { url: "http://gateway/slow/300" }
      - - http: { url: "http://gateway/slow/300" }
          capture: { slow: json.slow }
      - http: { url: "http://gateway/slow/300" }
    expect: branches[0].status == 200
  - http: { url: "http://gateway/" }
    expect: [ slow, steps.one.status == 200, steps.one.duration >= duration("300ms") ]
"#,
    )
    .await;
    assert!(
        begun.elapsed() < Duration::from_millis(800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(played.steps().len(), 5);

    let step = fails(
        &world,
        r#"
  - parallel:
      - http: { url: "http://gateway/" }
      - http: { url: "http://gateway/status/500" }
"#,
    )
    .await;
    assert_eq!(step.path, "steps[0]");
    assert_eq!(step.mismatches[0].path.as_deref(), Some("branches[1]"));
}

fn race(how: &str) -> String {
    format!(
        r#"
  - id: order
    http: {{ method: POST, url: "http://gateway/buy/mug/{how}" }}
    expect: status in [201, 409]
  - race:
      before: {{ http: {{ url: "http://gateway/restock/mug" }} }}
      branches: [ {{ step: order }}, {{ step: order }}, {{ step: order }} ]
      runs: 8
      seed: 7
      spread: 1ms
    expect:
      - branches.filter(b, b.status == 201).size() == 1
"#
    )
}

#[tokio::test]
async fn a_race_counts_its_hits() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(&world, &race("carefully")).await;

    let step = fails(&world, &race("carelessly")).await;
    assert_eq!(step.outcome, Outcome::Failed);
    let first = &step.mismatches[0];
    assert_eq!(
        (first.kind.as_str(), first.expected.as_str()),
        ("race", "0 hits in 8 runs")
    );
    assert_eq!(
        first.actual,
        "8 hits in 8 runs (the first in run 0, seed 7)"
    );
    assert_eq!(
        step.mismatches[1].path.as_deref(),
        Some("run 0: branches.filter(b, b.status == 201).size()"),
        "{:?}",
        step.said()
    );
    assert!(
        step.evidence
            .contains("run 0, branch 1: request: POST http://gateway/buy/mug"),
        "{}",
        step.evidence
    );
}

#[tokio::test]
async fn step_runs_a_step_again() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(
        &world,
        r#"
  - id: ask
    http: { url: "http://gateway/count/again" }
    expect: json.count > 0
    capture: { n: json.count }
  - step: ask
  - step: ask
    expect: json.count == 3
    capture: { m: json.count }
  - http: { url: "http://gateway/" }
    expect: [ n == 3, m == 3, steps.ask.json.count == 3 ]
"#,
    )
    .await;
}

#[tokio::test]
async fn variables_can_be_replaced_from_outside() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let program = programs("scenario: a\nvars: { n: 1, twice: \"{{ n * 2 }}\" }\nsteps:\n  - http: { url: \"http://gateway/echo\", query: { n: \"{{ twice }}\" } }\n    expect: json.query.n == \"42\"\n").remove(0);
    let options = CaseOptions {
        vars: [("n".to_owned(), json!(21))].into(),
        ..CaseOptions::default()
    };
    let played = played_with(&world, &program, &options, &Stop::new()).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
}

const LONG: &str = r#"
scenario: a
timeout: 300ms
steps:
  - http: { url: "http://gateway/slow/20000" }
finally:
  - http: { url: "http://gateway/count/cleaned" }
"#;

#[tokio::test]
async fn a_scenario_that_takes_too_long_still_cleans_up() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let played = played(&world, LONG).await;
    assert_eq!(played.end.outcome, Outcome::TimedOut);
    assert_eq!(
        played.end.reason.as_deref(),
        Some("the scenario took longer than 300ms")
    );
    let steps: Vec<(String, Outcome)> = played
        .steps()
        .into_iter()
        .map(|s| (s.path, s.outcome))
        .collect();
    assert_eq!(
        steps,
        [
            ("steps[0]".to_owned(), Outcome::TimedOut),
            ("finally[0]".to_owned(), Outcome::Passed)
        ]
    );
}

#[tokio::test]
async fn the_first_signal_runs_finally_and_the_second_does_not() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let program = programs(
        &LONG
            .replace("300ms", "60s")
            .replace("count/cleaned", "slow/400"),
    )
    .remove(0);
    for (signals, last) in [(1, Outcome::Passed), (2, Outcome::Errored)] {
        let stop = Stop::new();
        let signal = stop.clone();
        tokio::spawn(async move {
            for _ in 0..signals {
                tokio::time::sleep(Duration::from_millis(100)).await;
                signal.signal();
            }
        });
        let begun = Instant::now();
        let played = played_with(&world, &program, &CaseOptions::default(), &stop).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(played.end.reason.as_deref(), Some("interrupted"));
        let outcomes: Vec<Outcome> = played.steps().into_iter().map(|s| s.outcome).collect();
        assert_eq!(outcomes, [Outcome::Errored, last], "{signals} signals");
    }
}

#[tokio::test]
async fn what_a_scenario_requires_may_be_missing() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let played = played(&world, "scenario: a\nrequires: { services: [cache] }\nsteps:\n  - http: { url: \"http://gateway/\" }\n").await;
    assert_eq!(played.end.outcome, Outcome::Skipped);
    assert_eq!(
        played.end.reason.as_deref(),
        Some("it requires the service `cache`, which the stack does not have")
    );
}

#[tokio::test]
async fn wait_for_what_must_happen() {
    let world = Local::default()
        .host("gateway", 80, site().await)
        .host("gone", 80, closed().await)
        .world();
    passes(
        &world,
        r#"
  - wait: { for: { tcp: "gateway:80" } }
  - wait: { for: { http: "http://gateway/ready/w/3" }, every: 10ms }
    expect: attempts == 3
  - wait: { for: { http: { url: "http://gateway/count/w2" }, until: json.count >= 2 }, every: 10ms }
  - wait: { for: 10ms }
"#,
    )
    .await;
    let step = fails(
        &world,
        "  - wait: { for: { tcp: \"gone:80\" }, within: 100ms, every: 20ms }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(step.said()[0].starts_with("wait for a connection to gone:80: expected a connection to gone:80 within 100ms, got could not connect to gone:80"), "{:?}", step.said());
}
