//! How long the trivial stack of five takes: a chain of three with health checks, and two
//! beside it.

use std::time::Instant;

use prodmirror_model::plan::Condition;

use super::plan::{echo, plan};
use super::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn five_trivial_services() {
    on_engine(|rig| async move {
        let (mut ups, mut downs) = (Vec::new(), Vec::new());
        let rounds = std::env::var("ROUNDS")
            .ok()
            .and_then(|r| r.parse().ok())
            .unwrap_or(5);
        for _ in 0..rounds {
            let chain = plan([
                echo("a").healthy_when_listening(),
                echo("b")
                    .healthy_when_listening()
                    .needs("a", Condition::Healthy),
                echo("c")
                    .healthy_when_listening()
                    .needs("b", Condition::Healthy),
                echo("d").healthy_when_listening(),
                echo("e").healthy_when_listening(),
            ]);
            let begun = Instant::now();
            let stack = rig.up(chain).await.unwrap_or_else(|e| panic!("{e}"));
            ups.push(begun.elapsed().as_millis());
            let report = stack.down(None).await;
            downs.push(report.took.as_millis());
        }
        ups.sort_unstable();
        downs.sort_unstable();
        println!("up {ups:?} ms, down {downs:?} ms");
    })
    .await;
}
