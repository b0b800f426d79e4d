//! How long the trivial stack of five takes: a chain of three with health checks, and two
//! beside it. With `COMPOSE` naming a Docker Compose v2 program, it runs the same in turns.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use prodmirror_model::plan::Condition;
use serde_json::json;

use super::plan::{Service, plan, service};
use super::rig::{Rig, on_engine};

const IMAGE: &str = "registry.shop.example/redis:7.0";
const CHAIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../ci/bench.d/chain.compose.yaml"
);

fn redis(name: &str) -> Service {
    service(name, &[]).with(|c| {
        c.image = IMAGE.into();
        c.body["Cmd"] = json!(["redis-server", "--save", "", "--appendonly", "no"]);
        c.body["Healthcheck"] = json!({
            "Test": ["CMD", "redis-cli", "ping"],
            "Interval": 1_000_000_000u64, "Timeout": 1_000_000_000u64, "Retries": 30,
        });
    })
}

async fn ours(rig: &Rig) -> (Duration, Duration) {
    let chain = plan([
        redis("a"),
        redis("b").needs("a", Condition::Healthy),
        redis("c").needs("b", Condition::Healthy),
        redis("d"),
        redis("e"),
    ]);
    let begun = Instant::now();
    let stack = rig.up(chain).await.unwrap_or_else(|e| panic!("{e}"));
    let up = begun.elapsed();
    (up, stack.down(None).await.took)
}

fn theirs(compose: &str) -> (Duration, Duration) {
    let run = |args: &[&str]| {
        let begun = Instant::now();
        let status = Command::new(compose)
            .args(["-p", "live-bench", "-f", CHAIN])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        begun.elapsed()
    };
    (
        run(&["up", "-d", "--wait"]),
        run(&["down", "-v", "-t", "0"]),
    )
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn five_trivial_services() {
    on_engine(|rig| async move {
        let compose = std::env::var("COMPOSE").ok();
        let rounds = std::env::var("ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(5);
        let (mut our, mut their) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for _ in 0..rounds {
            let (up, down) = ours(&rig).await;
            our.0.push(up);
            our.1.push(down);
            if let Some(compose) = &compose {
                let (up, down) = theirs(compose);
                their.0.push(up);
                their.1.push(down);
            }
        }
        println!("up {:?}, down {:?}", our.0, our.1);
        if compose.is_some() {
            println!("Compose: up {:?}, down {:?}", their.0, their.1);
            let (up, down) = (median(our.0), median(our.1));
            let (their_up, their_down) = (median(their.0), median(their.1));
            println!(
                "median: up {up:.2} / {their_up:.2} = {:.2}, down {down:.2} / {their_down:.2} = {:.2}",
                up / their_up,
                down / their_down
            );
        }
    })
    .await;
}
