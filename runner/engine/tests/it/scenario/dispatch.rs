//! What becomes of cases when something goes wrong around them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prodmirror_engine::bus::Collected;
use prodmirror_engine::run::{
    Case, CaseOptions, Dispatcher, Finished, Limits, Need, RunEnd, Stack, StackFactory,
    StackRefused, Stop,
};
use prodmirror_engine::step::world::{Later, World};
use prodmirror_model::event::{Outcome, What};

use super::local::Local;
use super::programs;
use super::site::site;

/// Stacks of one world; counts what is started and what is removed.
struct Worlds {
    world: Arc<dyn World>,
    refuse: Option<StackRefused>,
    finish: Finished,
    started: Mutex<Vec<Need>>,
    removed: Arc<AtomicUsize>,
}

impl Worlds {
    async fn new() -> Self {
        let mut local = Local::default().host("gateway", 80, site().await);
        local.breaks = Some("boom".into());
        Self {
            world: local.world(),
            refuse: None,
            finish: Finished::default(),
            started: Mutex::default(),
            removed: Arc::default(),
        }
    }

    fn stacks(&self) -> Vec<String> {
        let started = self.started.lock().unwrap();
        started.iter().map(|n| n.stack.clone()).collect()
    }
}

impl StackFactory for Worlds {
    fn start<'a>(
        &'a self,
        need: &'a Need,
        _: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>> {
        self.started.lock().unwrap().push(need.clone());
        let started = match &self.refuse {
            Some(refused) => Err(refused.clone()),
            None => Ok(Box::new(OneWorld {
                world: self.world.clone(),
                finish: self.finish.clone(),
                removed: self.removed.clone(),
            }) as Box<dyn Stack>),
        };
        Box::pin(async { started })
    }
}

struct OneWorld {
    world: Arc<dyn World>,
    finish: Finished,
    removed: Arc<AtomicUsize>,
}

impl Stack for OneWorld {
    fn world(&self) -> Arc<dyn World> {
        self.world.clone()
    }

    fn finish(self: Box<Self>, _: bool) -> Later<'static, Finished> {
        self.removed.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { self.finish })
    }
}

fn cases(text: &str, repetition: Option<(u32, u32)>) -> Vec<Case> {
    let programs = programs(text).into_iter();
    programs
        .map(|p| Case {
            unmet: None,
            program: Arc::new(p),
            options: CaseOptions {
                repetition,
                ..CaseOptions::default()
            },
        })
        .collect()
}

async fn dispatched(
    worlds: &Arc<Worlds>,
    cases: Vec<Case>,
    limits: Limits,
    stop: &Stop,
) -> (RunEnd, Vec<(String, Outcome, String)>) {
    let sink = Arc::new(Collected::default());
    let dispatcher = Dispatcher::new(worlds.clone(), sink.clone(), limits, stop.clone());
    let end = dispatcher.run(cases).await;
    let ends = sink.all().into_iter().filter_map(|e| match e {
        What::CaseFinished {
            case,
            outcome,
            reason,
            ..
        } => Some((case.name, outcome, reason.unwrap_or_default())),
        _ => None,
    });
    (end, ends.collect())
}

const FAULTY: &str = r#"
scenario: breaks
steps:
  - http: { url: "http://boom/" }
---
scenario: passes
steps:
  - http: { url: "http://gateway/" }
"#;

#[tokio::test]
async fn a_fault_of_the_runner_is_an_error_of_one_case() {
    let worlds = Arc::new(Worlds::new().await);
    let (end, ends) = dispatched(
        &worlds,
        cases(FAULTY, None),
        Limits::default(),
        &Stop::new(),
    )
    .await;
    assert_eq!((end.counts.errored, end.counts.passed), (1, 1));
    let (name, outcome, why) = &ends[0];
    assert_eq!((name.as_str(), *outcome), ("breaks", Outcome::Errored));
    assert!(why.contains("prodmirror itself broke down"), "{why}");
    assert!(why.contains("a fault on purpose"), "{why}");
    assert_eq!(worlds.removed.load(Ordering::SeqCst), 2);
}

const THREE: &str = r#"
scenario: first
steps:
  - http: { url: "http://gateway/" }
---
scenario: second
steps:
  - http: { url: "http://gateway/slow/20000" }
finally:
  - http: { url: "http://gateway/slow/20000" }
---
scenario: third
steps:
  - http: { url: "http://gateway/" }
"#;

#[tokio::test]
async fn a_lost_engine_ends_all_and_keeps_what_ended() {
    let worlds = Arc::new(Worlds::new().await);
    let stop = Stop::new();
    let soon = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        soon.lose("the engine was lost: it is unplugged");
    });
    let (end, ends) = dispatched(&worlds, cases(THREE, None), Limits::default(), &stop).await;
    let outcomes: Vec<Outcome> = ends.iter().map(|e| e.1).collect();
    assert_eq!(
        outcomes,
        [Outcome::Passed, Outcome::Errored, Outcome::Errored]
    );
    assert_eq!(ends[1].2, "the engine was lost: it is unplugged");
    assert_eq!(ends[2].2, "not run: the engine was lost: it is unplugged");
    assert!(end.lost.is_some() && !end.interrupted, "{end:?}");
    assert_eq!(worlds.stacks(), ["s1", "s2"]);
}

#[tokio::test]
async fn a_start_and_a_removal_tell_of_a_lost_engine() {
    let mut worlds = Worlds::new().await;
    worlds.refuse = Some(StackRefused {
        reason: "no answer".into(),
        lost: true,
    });
    let all = cases(FAULTY, None);
    let (end, ends) = dispatched(&Arc::new(worlds), all, Limits::default(), &Stop::new()).await;
    assert_eq!(end.stack_refused, None);
    assert_eq!(
        end.lost.as_deref(),
        Some("the stack did not start: no answer")
    );
    assert_eq!(ends.len(), 2);

    let mut worlds = Worlds::new().await;
    worlds.finish = Finished {
        left: true,
        lost: Some("no answer".into()),
    };
    let one = cases(
        "scenario: a\nsteps:\n  - http: { url: \"http://gateway/\" }\n",
        None,
    );
    let (end, ends) = dispatched(&Arc::new(worlds), one, Limits::default(), &Stop::new()).await;
    assert_eq!(ends[0].1, Outcome::Passed);
    assert_eq!(end.lost.as_deref(), Some("the engine was lost: no answer"));
    assert!(end.left);
}

#[tokio::test]
async fn repetitions_are_cases_with_stacks_of_their_own() {
    let worlds = Arc::new(Worlds::new().await);
    let text = "scenario: a\nisolation: file\nsteps:\n  - http: { url: \"http://gateway/ready/r/2\" }\n    expect: json.asked >= 2\n";
    let mut all = cases(text, Some((1, 2)));
    all.extend(cases(text, Some((2, 2))));
    let limits = Limits {
        retries: 1,
        ..Limits::default()
    };
    let (end, ends) = dispatched(&worlds, all, limits, &Stop::new()).await;
    let names: Vec<&str> = ends.iter().map(|e| e.0.as_str()).collect();
    // The first is tried again, which is no repetition.
    assert_eq!(names, ["a [1-2]", "a [1-2]", "a [2-2]"]);
    assert_eq!((end.counts.passed, end.counts.flaky), (2, 1));
    assert_eq!(worlds.stacks(), ["s1", "s2"]);
}

const CHAIN: &str = r#"
scenario: ships
needs: [pays]
steps:
  - http: { url: "http://gateway/status/200" }
---
scenario: pays
needs: [orders]
steps:
  - http: { url: "http://gateway/status/CODE" }
---
scenario: orders
steps:
  - http: { url: "http://gateway/status/200" }
---
scenario: something else
steps:
  - http: { url: "http://gateway/status/200" }
"#;

#[tokio::test]
async fn what_is_needed_runs_before_and_what_needs_a_failure_does_not_run() {
    for jobs in [1, 3] {
        let limits = Limits {
            jobs,
            ..Limits::default()
        };
        let worlds = Arc::new(Worlds::new().await);
        let all = cases(&CHAIN.replace("CODE", "200"), None);
        let (end, ends) = dispatched(&worlds, all, limits, &Stop::new()).await;
        assert_eq!(end.counts.passed, 4);
        let at = |name: &str| ends.iter().position(|e| e.0 == name).unwrap();
        assert!(
            at("orders") < at("pays") && at("pays") < at("ships"),
            "{ends:?}"
        );

        let worlds = Arc::new(Worlds::new().await);
        let all = cases(&CHAIN.replace("CODE", "500"), None);
        let (end, ends) = dispatched(&worlds, all, limits, &Stop::new()).await;
        let c = end.counts;
        assert_eq!((c.passed, c.failed, c.skipped, c.not_run), (2, 1, 1, 0));
        let ships = ends.iter().find(|e| e.0 == "ships").unwrap();
        assert_eq!(ships.1, Outcome::Skipped);
        assert_eq!(ships.2, "it needs `pays`, which did not pass");
        // No stack is started for what does not run.
        assert_eq!(worlds.stacks().len(), 3);
    }
}

#[tokio::test]
async fn scenarios_with_the_same_lock_do_not_run_at_the_same_time() {
    let text: String = (0..6)
        .map(|n| {
            let lock = if n % 2 == 0 { "lock: [terminal]\n" } else { "" };
            format!("scenario: s{n}\n{lock}steps:\n  - http: {{ url: \"http://gateway/slow/50\" }}\n---\n")
        })
        .collect();
    let worlds = Arc::new(Worlds::new().await);
    let sink = Arc::new(Collected::default());
    let limits = Limits {
        jobs: 4,
        ..Limits::default()
    };
    let dispatcher = Dispatcher::new(worlds, sink.clone(), limits, Stop::new());
    let end = dispatcher.run(cases(&text, None)).await;
    assert_eq!(end.counts.passed, 6, "{:?}", sink.all());
    let (mut held, mut together, mut most) = (0, 0, 0);
    for e in sink.all() {
        let (case, by) = match &e {
            What::CaseStarted { case, .. } => (case, 1),
            What::CaseFinished { case, .. } => (case, -1),
            _ => continue,
        };
        together += by;
        most = most.max(together);
        if ["s0", "s2", "s4"].contains(&case.name.as_str()) {
            held += by;
            assert!(held <= 1, "two with the lock at once");
        }
    }
    assert!(most >= 2, "nothing ran at the same time");
}
