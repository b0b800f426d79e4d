//! How many files containers may have open. The engine does not say; a container that may not
//! have as many as it asks for does not start. So it is tried, with the agent.

use futures_util::StreamExt;
use prodmirror_agent::wire::Event;
use prodmirror_model::diag::Problem;
use serde_json::{Value, json};

use super::follow::Lines;
use super::label::{Role, Tags};
use super::lease::{Hold, Owner};
use crate::docker::{Engine, EngineError, NewContainer};

const DOING: &str = "find out how many files a container may have open";

/// The limit of open files that containers get at most, when the engine refuses one of
/// `wanted` (-1 = no limit). Nothing when it grants it. `run` marks what is made to find out.
///
/// # Errors
/// The engine was lost, or starts no container at all.
pub async fn nofile_limit(
    engine: &Engine,
    (project, run): (&str, &str),
    wanted: i64,
) -> Result<Option<u64>, Problem> {
    let image = engine.load_agent().await?;
    let tags = Tags::new(project, run, "", Hold::Run, &Owner::this_process());
    let probe = |ulimits: Value| {
        let body = json!({
            "Image": image,
            "Cmd": ["limits"],
            "Labels": tags.labels(Role::Probe),
            "HostConfig": {
                "NetworkMode": "none",
                "AutoRemove": true,
                "ReadonlyRootfs": true,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Ulimits": ulimits,
            },
        });
        let name = tags.name("limits");
        NewContainer {
            name,
            body,
            platform: None,
        }
    };
    let asked = json!([{"Name": "nofile", "Soft": wanted, "Hard": wanted}]);
    match ask(engine, probe(asked)).await {
        Ok(_) => Ok(None),
        Err(e) if e.is_lost() => Err(e.problem(DOING)),
        Err(_) => match ask(engine, probe(Value::Null)).await {
            Ok(own) => Ok(own),
            Err(e) => Err(e.problem(DOING)),
        },
    }
}

/// Runs the probe, which is gone afterwards; gives the limit that it had.
async fn ask(engine: &Engine, probe: NewContainer) -> Result<Option<u64>, EngineError> {
    let id = engine.create_container(&probe).await?.id;
    let told = listen(engine, &id).await;
    // It removes itself, if it was started at all.
    while engine.inspect_container(&id).await.is_ok() {
        if engine.remove_container(&id).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    told
}

async fn listen(engine: &Engine, id: &str) -> Result<Option<u64>, EngineError> {
    let mut attached = engine.attach(id, false).await?;
    engine.start_container(id).await?;
    let mut lines = Lines::default();
    while let Some(piece) = attached.output.next().await {
        for line in lines.push(&piece?) {
            if let Ok(Event::Limits { nofile }) = serde_json::from_str(&line.text) {
                return Ok(nofile);
            }
        }
    }
    let what = "the agent did not tell its limits".to_owned();
    Err(EngineError::Garbled(what))
}
