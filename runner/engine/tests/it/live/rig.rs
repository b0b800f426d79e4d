//! Stacks of one test, all of which go when it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prodmirror_engine::bus::Collected;
use prodmirror_engine::docker::{Engine, EngineEnv, Found};
use prodmirror_engine::live::{LiveError, LiveStack, UpOptions, label, sweep, up};
use prodmirror_model::plan::Plan;

/// The engine, and the runs of one test.
pub struct Rig {
    pub engine: Engine,
    pub agent: String,
    pub sink: Arc<Collected>,
    runs: Mutex<Vec<String>>,
}

/// Runs a test on the engine, then removes what it made, whether it passed or not.
pub async fn on_engine<F, T>(test: T)
where
    T: FnOnce(Arc<Rig>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    if std::env::var_os("PRODMIRROR_NO_ENGINE").is_some() {
        println!("skipped: no engine");
        return;
    }
    let rig = Arc::new(Rig::connect().await);
    let ended = tokio::spawn(test(rig.clone())).await;
    let runs = std::mem::take(&mut *rig.runs.lock().unwrap());
    for run in &runs {
        sweep(&rig.engine, &[of_run(run)], Duration::from_secs(30)).await;
    }
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

pub fn engine_env() -> EngineEnv {
    let vars: BTreeMap<String, String> = std::env::vars().collect();
    EngineEnv::from_vars(|name| vars.get(name).map(String::as_str))
}

fn of_run(run: &str) -> String {
    format!("{}={run}", label::RUN)
}

impl Rig {
    async fn connect() -> Self {
        let engine = Engine::connect(&engine_env()).await.expect("an engine");
        let agent = engine.load_agent().await.expect("the agent's image");
        Self {
            engine,
            agent,
            sink: Arc::default(),
            runs: Mutex::default(),
        }
    }

    /// A new run.
    pub fn run(&self) -> String {
        let run = uuid::Uuid::new_v4().to_string();
        self.runs.lock().unwrap().push(run.clone());
        run
    }

    /// Starts a plan whose services without an image run the agent.
    pub async fn up(&self, plan: Plan) -> Result<LiveStack, LiveError> {
        self.up_with(plan, UpOptions::new(self.run(), "1")).await
    }

    pub async fn up_with(
        &self,
        mut plan: Plan,
        options: UpOptions,
    ) -> Result<LiveStack, LiveError> {
        for c in &mut plan.containers {
            if c.image.is_empty() {
                c.image = self.agent_as_a_service().await;
            }
        }
        up(&self.engine, Arc::new(plan), options, self.sink.clone()).await
    }

    /// The agent's image under its id: by its name it would be taken for a stub.
    async fn agent_as_a_service(&self) -> String {
        let found = self
            .engine
            .image_id(&self.agent)
            .await
            .expect("the agent's image");
        found.expect("the agent's image")
    }

    /// Everything that is left of a run.
    pub async fn left(&self, run: &str) -> Vec<Found> {
        self.engine.find(&[of_run(run)]).await.unwrap()
    }

    /// Asserts that nothing is left of a run.
    pub async fn assert_clean(&self, run: &str) {
        let left = self.left(run).await;
        assert!(left.is_empty(), "left: {left:#?}");
    }
}
