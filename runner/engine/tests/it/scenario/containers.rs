//! `container`, `process`, `restart`, `scale`: what steps do with containers; and `shell` and
//! `metrics`.

use std::sync::Arc;

use prodmirror_engine::run::{CaseOptions, Stop};
use prodmirror_engine::step::{StackWorld, World, compile_all};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::Plan;
use prodmirror_model::source::SourceFile;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::local::Local;
use super::{fails, passes, played_with, programs};
use crate::live::plan::{plan, service};
use crate::live::rig::on_engine;

/// A service that says when it begins and when it is told to end.
const SERVE: &str =
    "trap 'echo asked to end; exit 0' TERM; echo begun; while true; do sleep 0.1; done";

fn stack() -> Plan {
    let worker = |replica| {
        service("worker", &[]).with(move |c| {
            c.image = "registry.shop.example/debian:bookworm".into();
            c.replica = replica;
            c.body["Cmd"] = json!(["sh", "-c", SERVE]);
        })
    };
    plan([worker(1), worker(2)])
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_on_containers() {
    on_engine(|rig| async move {
        let plan = stack();
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        processes(&world).await;
        restarts(&world).await;
        scales(&world).await;
        containers(&world).await;
        tests_in_containers(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn processes(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - process: { service: worker, contains: trap }
    expect:
      - count == 1
      - processes[0].user == "root"
      - processes[0].memory_kib > 0 && processes[0].pid > 1
  - process: { service: worker, contains: no such thing }
    expect: count == 0
"#,
    )
    .await;
    let step = fails(world, "  - process: { service: worker, replica: 7 }\n").await;
    assert_eq!(step.error(), "service `worker` has no replica 7");
}

async fn restarts(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - id: again
    restart: { service: worker }
  - logs: { service: worker, select: { contains: asked to end }, since: again }
    expect: count == 2
  - logs: { service: worker, any: begun, since: again }
"#,
    )
    .await;
}

async fn scales(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - scale: { service: worker, replicas: 0 }
    expect: before == 2 && running == 0
  - scale: { service: worker, replicas: 2 }
    expect: before == 0
  - process: { service: worker, replica: 2, contains: trap }
    expect: count == 1
"#,
    )
    .await;
    let step = fails(world, "  - scale: { service: worker, replicas: 3 }\n").await;
    assert!(
        step.error()
            .starts_with("production runs 2 of `worker`, and not 3"),
        "{}",
        step.error()
    );
}

async fn containers(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - container:
      image: registry.shop.example/debian:bookworm
      beside: worker
      cmd: "echo $GREETING; cat /etc/hostname; echo bad >&2; exit 3"
      env: { GREETING: hello }
    expect:
      - exit_code == 3
      - stdout.startsWith("hello\n")
      - stderr == "bad\n"
"#,
    )
    .await;
    let step = fails(world, "  - container: { image: registry.shop.example/debian:bookworm, beside: worker, cmd: [\"false\"] }\n").await;
    assert_eq!(step.said(), ["exit_code: expected == 0, got 1"]);
    let step = fails(
        world,
        "  - container: { image: 127.0.0.1:1/nothing:1, beside: worker }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("pull `127.0.0.1:1/nothing:1`"),
        "{}",
        step.error()
    );
    // What takes too long is removed as well.
    let step = fails(world, "  - timeout: 500ms\n    container: { image: registry.shop.example/debian:bookworm, beside: worker, cmd: [sleep, \"600\"] }\n").await;
    assert_eq!(step.outcome, Outcome::TimedOut);
}

async fn tests_in_containers(world: &Arc<dyn World>) {
    let dir = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\ncat > /out.xml <<X\n<testsuite><testcase name=\"adds\"/><testcase name=\"divides\"><failure message=\"by zero\"/></testcase></testsuite>\nX\n";
    std::fs::write(dir.path().join("t.sh"), script).unwrap();
    std::fs::write(
        dir.path().join("a.yaml"),
        "scenario: it\nsteps:\n  - container:\n      image: registry.shop.example/debian:bookworm\n      beside: worker\n      cmd: [/t.sh]\n      files: { /t.sh: t.sh }\n      junit: /out.xml\n    expect: size(tests) == 2 && tests[0].passed\n",
    )
    .unwrap();
    let file = SourceFile::read(&dir.path().join("a.yaml"), "a.yaml").unwrap();
    let (programs, problems) = compile_all(&[file]);
    assert!(problems.is_empty(), "{problems:?}");
    let played = played_with(world, &programs[0], &CaseOptions::default(), &Stop::new()).await;
    let step = played.steps().remove(0);
    assert_eq!(
        step.said(),
        ["divides: expected that it passes, got by zero"],
        "{}",
        played.told()
    );
}

#[tokio::test]
async fn shell_runs_only_where_it_is_allowed() {
    let world = Local::default().world();
    let step = fails(&world, "  - shell: { cmd: \"echo hi\" }\n").await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("that was not allowed"),
        "{}",
        step.error()
    );
    let program = programs(
        "scenario: it\nsteps:\n  - shell: { cmd: 'cat; echo $X >&2; exit 4', stdin: in, env: { X: out } }\n    expect: [ exit_code == 4, stdout == 'in', stderr.trim() == 'out' ]\n  - shell: { cmd: [\"/no/such/program\"] }\n    soft: true\n  - shell: { cmd: 'kill -9 $$' }\n    expect: exit_code == 137\n",
    )
    .remove(0);
    let options = CaseOptions {
        allow_shell: true,
        ..CaseOptions::default()
    };
    let played = played_with(&world, &program, &options, &Stop::new()).await;
    let steps = played.steps();
    assert_eq!(steps[0].outcome, Outcome::Passed, "{}", played.told());
    assert!(
        steps[1]
            .error()
            .starts_with("could not run `/no/such/program`: "),
        "{}",
        steps[1].error()
    );
    assert_eq!(steps[2].outcome, Outcome::Passed, "{}", played.told());
}

/// Answers every request with one page.
async fn page(body: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn metrics_are_samples_and_their_sum() {
    let text = "# TYPE orders_total counter\norders_total{state=\"paid\"} 3\norders_total{state=\"failed\"} 1\nup 1\n";
    let world = Local::default()
        .host("orders", 9100, page(text).await)
        .host("gateway", 80, page("<html>").await)
        .world();
    passes(
        &world,
        r#"
  - id: before
    metrics: { url: "http://orders:9100/metrics", name: orders_total }
    expect: [ value == 4.0, count == 2, '"up" in names' ]
  - metrics: { url: "http://orders:9100/metrics", name: orders_total, where: { state: failed } }
    expect: [ value == 1.0, 'samples[0].labels.state == "failed"', value < steps.before.value ]
  - metrics: { url: "http://orders:9100/metrics", name: nothing }
    expect: value == null && count == 0
"#,
    )
    .await;
    let step = fails(&world, "  - metrics: { url: \"http://gateway/\" }\n").await;
    assert_eq!(
        step.error(),
        "http://gateway/: line 1 is no sample of Prometheus' text format: <html>"
    );
}
