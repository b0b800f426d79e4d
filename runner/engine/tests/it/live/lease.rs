use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::bus::NoSink;
use prodmirror_engine::docker::{Engine, NewNetwork};
use prodmirror_engine::live::label::{Role, Tags};
use prodmirror_engine::live::lease::{
    GcOptions, Hold, Lease, LeaseOptions, Owner, ReaperCommand, ReaperTask, gc, reap,
};
use prodmirror_engine::live::{UpOptions, label, up};
use rustix::process::{Pid, Signal, kill_process};

use super::plan::{echo, plan};
use super::rig::{Rig, engine_env, on_engine};

/// This test program, as a reaper.
fn reaper() -> ReaperCommand {
    ReaperCommand {
        program: std::env::current_exe().unwrap(),
        args: ["--ignored", "--exact", "live::lease::as_reaper"]
            .map(Into::into)
            .into(),
        env: Vec::new(),
        engine: engine_env(),
    }
}

/// What a runner of [`as_runner`] is told.
const RUN: &str = "LIVE_TEST_RUN";
const HANDS: &str = "LIVE_TEST_HANDS";

fn lease_options(run: &str, hands: &str) -> LeaseOptions {
    let mut options = LeaseOptions::new("live-test", run, Some(reaper()));
    if !hands.contains("reaper") {
        options.reaper = None;
    }
    if !hands.contains("keeper") {
        options.socket = None;
    }
    options
}

#[tokio::test]
#[ignore = "the body of the reapers that the tests below start by this name"]
async fn as_reaper() {
    let task: ReaperTask = match std::env::args()
        .next_back()
        .map(|a| serde_json::from_str(&a))
    {
        Some(Ok(task)) => task,
        _ => return,
    };
    reap(&task, tokio::io::stdin()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the body of the runners that the tests below start by this name, and kill"]
async fn as_runner() {
    let Ok(run) = std::env::var(RUN) else { return };
    let hands = std::env::var(HANDS).unwrap();
    let engine = Engine::connect(&engine_env()).await.unwrap();
    let lease = Lease::take(&engine, &lease_options(&run, &hands), Arc::new(NoSink))
        .await
        .unwrap();
    println!("\nreaper {}", lease.reaper_pid().unwrap_or(0));
    let agent = engine.load_agent().await.unwrap();
    let agent = engine.image_id(&agent).await.unwrap().unwrap();
    let mut plan = plan([echo("web"), echo("db").healthy_when_listening()]);
    plan.containers
        .iter_mut()
        .for_each(|c| c.image = agent.clone());
    let _stack = up(
        &engine,
        Arc::new(plan),
        UpOptions::new(run, "1"),
        Arc::new(NoSink),
    )
    .await
    .unwrap();
    println!("\nup");
    std::future::pending::<()>().await;
}

struct Runner {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    reaper: i32,
}

impl Runner {
    fn start(run: &str, hands: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "live::lease::as_runner",
                "--nocapture",
            ])
            .env(RUN, run)
            .env(HANDS, hands)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut runner = Self {
            child,
            lines,
            reaper: 0,
        };
        let line = runner.await_line("reaper ");
        runner.reaper = line.trim_start_matches("reaper ").parse().unwrap();
        runner
    }

    fn await_line(&mut self, begin: &str) -> String {
        let found = self
            .lines
            .by_ref()
            .map_while(Result::ok)
            .find(|l| l.starts_with(begin));
        found.unwrap_or_else(|| panic!("the runner ended before it said `{begin}`"))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until nothing is left of a run, and stays so.
async fn assert_swept(rig: &Rig, run: &str) -> Duration {
    let begun = Instant::now();
    let gone = async {
        while !rig.left(run).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let swept = tokio::time::timeout(Duration::from_secs(30), gone).await;
    if swept.is_err() {
        panic!("left: {:#?}", rig.left(run).await);
    }
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    rig.assert_clean(run).await;
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_killed_runner() {
    on_engine(|rig| async move {
        // A run beside it, which must not be touched.
        let beside = rig
            .up(plan([echo("web")]))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let there = rig.left(beside.run()).await.len();
        for hands in ["keeper", "reaper", "keeper and reaper"] {
            let run = rig.run();
            let mut runner = Runner::start(&run, hands);
            runner.await_line("up");
            assert!(!rig.left(&run).await.is_empty());
            runner.kill();
            let took = assert_swept(&rig, &run).await;
            println!("{hands}: clean {took:?} after the kill");
        }
        assert_eq!(rig.left(beside.run()).await.len(), there);
        beside.down(None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_killed_while_it_starts_leaves_nothing() {
    on_engine(|rig| async move {
        for after_ms in [0, 60, 150, 300, 500, 800] {
            let run = rig.run();
            let mut runner = Runner::start(&run, "keeper and reaper");
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            runner.kill();
            assert_swept(&rig, &run).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_is_killed_is_replaced() {
    on_engine(|rig| async move {
        let run = rig.run();
        let options = lease_options(&run, "reaper");
        let lease = Lease::take(&rig.engine, &options, Arc::new(NoSink))
            .await
            .unwrap();
        let first = lease.reaper_pid().unwrap();
        kill_process(Pid::from_raw(first.cast_signed()).unwrap(), Signal::KILL).unwrap();
        let another = async {
            while lease.reaper_pid() == Some(first) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), another)
            .await
            .unwrap();
        lease.release().await;

        // The reaper, then at once the runner: the keeper is left.
        let run = rig.run();
        let mut runner = Runner::start(&run, "keeper and reaper");
        runner.await_line("up");
        kill_process(Pid::from_raw(runner.reaper).unwrap(), Signal::KILL).unwrap();
        runner.kill();
        assert_swept(&rig, &run).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_lease_leaves_what_is_kept() {
    on_engine(|rig| async move {
        let run = rig.run();
        let options = lease_options(&run, "keeper and reaper");
        let lease = Lease::take(&rig.engine, &options, Arc::new(NoSink))
            .await
            .unwrap();
        let mut up_options = UpOptions::new(run.clone(), "1");
        up_options.hold = Hold::Kept;
        let stack = rig.up_with(plan([echo("web")]), up_options).await;
        let stack = stack.unwrap_or_else(|e| panic!("{e}"));
        lease.release().await;
        let left = rig.left(&run).await;
        assert!(
            left.iter().all(|o| o.label(label::ROLE) != "keeper"),
            "{left:#?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(stack.reach().connect("web", 7000).await.is_ok());
        stack.down(None).await;
        rig.assert_clean(&run).await;
    })
    .await;
}

/// Runner, reaper and keeper that die together leave nobody; the reaper of a run beside sees it.
/// What cannot be removed of another dead run does not keep it from that.
#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_reaper_removes_what_nobody_is_left_for() {
    on_engine(|rig| async move {
        let guest = rig.up(plan([echo("web")])).await;
        let guest = guest.unwrap_or_else(|e| panic!("{e}"));
        let stuck = stuck_network(&rig, guest.run()).await;
        let dead = rig.run();
        let mut runner = Runner::start(&dead, "nobody");
        runner.await_line("up");
        runner.kill();
        let beside = rig.run();
        let mut neighbour = Runner::start(&beside, "reaper");
        neighbour.await_line("up");
        assert_gone_within(&rig, &dead, Duration::from_secs(60)).await;
        assert!(!rig.left(&stuck).await.is_empty());
        assert!(!rig.left(&beside).await.is_empty());
        neighbour.kill();
        assert_gone_within(&rig, &beside, Duration::from_secs(120)).await;
        guest.down(None).await;
    })
    .await;
}

/// A dead run of one network, which the engine does not remove as long as a container of the
/// run `guest` is attached to it.
async fn stuck_network(rig: &Rig, guest: &str) -> String {
    let run = rig.run();
    let me = Owner::this_process();
    let dead = Owner {
        start: me.start + 1,
        ..me
    };
    let tags = Tags::new("live-test", &run, "1", Hold::Run, &dead);
    let network = NewNetwork {
        name: tags.name("stuck"),
        subnet: "10.213.77.0/29".into(),
        gateway: [10, 213, 77, 1].into(),
        internal: true,
        labels: tags.labels(Role::Network),
        options: BTreeMap::new(),
    };
    let network = rig.engine.create_network(&network).await.unwrap();
    let left = rig.left(guest).await;
    let holder = left
        .iter()
        .find(|o| o.label(label::ROLE) == Role::Sandbox.text())
        .unwrap();
    let endpoint = serde_json::json!({});
    let attached = rig.engine.connect_network(&network, &holder.id, &endpoint);
    attached.await.unwrap();
    run
}

/// Waits until nothing is left of a run; otherwise says what is, and how it is judged.
async fn assert_gone_within(rig: &Rig, run: &str, limit: Duration) {
    let begun = Instant::now();
    while !rig.left(run).await.is_empty() {
        if begun.elapsed() > limit {
            let left = rig.left(run).await;
            let options = GcOptions {
                dry_run: true,
                ..GcOptions::default()
            };
            let judged = gc(&rig.engine, &options).await.map(|r| r.kept);
            panic!("still there after {limit:?}: {left:#?}\n{judged:#?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_takes_what_dead_runners_left_and_nothing_else() {
    on_engine(|rig| async move {
        let live = rig
            .up(plan([echo("web")]))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let mut up_options = UpOptions::new(rig.run(), "kept");
        up_options.hold = Hold::Kept;
        let kept = rig.up_with(plan([echo("web")]), up_options).await;
        let kept = kept.unwrap_or_else(|e| panic!("{e}"));
        // A runner without anybody who cleans up after it.
        let dead = rig.run();
        let mut runner = Runner::start(&dead, "nobody");
        runner.await_line("up");
        runner.kill();
        let is_dead = |o: &prodmirror_engine::docker::Found| o.label(label::RUN) == dead;

        let options = GcOptions {
            dry_run: true,
            ..GcOptions::default()
        };
        let would = gc(&rig.engine, &options).await.unwrap();
        assert!(
            would.removed.iter().filter(|o| is_dead(o)).count() >= 5,
            "{would:#?}"
        );
        assert!(!rig.left(&dead).await.is_empty());
        let reason = |run: &str| {
            would
                .kept
                .iter()
                .find(|(r, _)| r == run)
                .map(|(_, why)| why.clone())
        };
        assert!(reason(live.run()).unwrap().contains("its runner lives"));
        assert!(reason(kept.run()).unwrap().contains("prodmirror down"));
        let owner = Owner::this_process().to_json();
        assert!(would.removed.iter().all(|o| o.label(label::OWNER) != owner));

        // Others test beside us on the same engine; their dead runs are theirs to look at.
        let ours = would.removed.iter().all(is_dead);
        if ours {
            gc(&rig.engine, &GcOptions::default()).await.unwrap();
            rig.assert_clean(&dead).await;
        }
        assert!(live.reach().connect("web", 7000).await.is_ok());
        assert!(kept.reach().connect("web", 7000).await.is_ok());
        live.down(None).await;
        kept.down(None).await;
    })
    .await;
}
