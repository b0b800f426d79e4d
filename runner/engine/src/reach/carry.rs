//! The way out: connections to a replaced service, handed to the process of this host that took
//! its place. They come over the engine's own connection, so any engine can be anywhere.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use prodmirror_agent::mux::{self, Incoming};
use prodmirror_agent::wire::PROGRAM_PATH;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::replace::Carried;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::tunnel::stdout_of;
use crate::docker::{Engine, ExecIo, ExecSpec};
use crate::live::label::{REPLACED, ROLE, RUN, Role};

/// How long the process may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often it is looked which containers there are, beside what the engine tells.
const LOOK: Duration = Duration::from_secs(2);

/// Carries the connections of all replaced services of a run to their processes, for ever.
pub async fn carry_run(engine: &Engine, run: &str) {
    let labels = [format!("{RUN}={run}"), REPLACED.to_owned()];
    let mut tasks = JoinSet::new();
    let mut carried: BTreeMap<String, tokio::task::AbortHandle> = BTreeMap::new();
    let mut events = engine.events(&labels, now(engine));
    loop {
        for (id, ports) in replaced(engine, &labels).await {
            let runs = carried.get(&id).is_some_and(|task| !task.is_finished());
            if !runs {
                let (engine, of) = (engine.clone(), id.clone());
                let task = tasks.spawn(async move {
                    // It ends with its container, or with the engine's connection; then it is
                    // looked again.
                    let _ = carry(&engine, &of, &ports).await;
                });
                carried.insert(id, task);
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            told = events.next() => if told.is_none() {
                tokio::time::sleep(LOOK).await;
                events = engine.events(&labels, now(engine));
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The engine's time, a little before.
fn now(engine: &Engine) -> i64 {
    let now = jiff::Timestamp::now().as_millisecond() + engine.facts().clock_ahead_ms;
    (now - 1000).saturating_mul(1_000_000)
}

/// The containers that stand in for services and run, with what each carries.
async fn replaced(engine: &Engine, labels: &[String]) -> Vec<(String, Vec<Carried>)> {
    let found = engine.find_containers(labels).await.unwrap_or_default();
    let ours = found
        .into_iter()
        .filter(|f| f.state == "running" && f.label(ROLE) == Role::Service.text());
    ours.filter_map(|f| {
        let ports: Vec<Carried> = serde_json::from_str(f.label(REPLACED)).ok()?;
        Some((f.id, ports))
    })
    .collect()
}

/// Carries the connections to one container until it, or the engine's connection, ends.
///
/// # Errors
/// The engine refuses, or the container has no agent of this version.
pub async fn carry(engine: &Engine, container: &str, ports: &[Carried]) -> Result<(), Problem> {
    let mut command = vec![PROGRAM_PATH.to_owned(), "reverse".to_owned()];
    command.extend(ports.iter().map(|c| c.port.to_string()));
    let spec = ExecSpec {
        container: container.to_owned(),
        command,
        stdin: true,
        ..ExecSpec::default()
    };
    let doing = "carry the connections to a replaced service";
    let io = engine.exec(&spec).await.map_err(|e| e.problem(doing))?;
    let ExecIo { output, input, .. } = io;
    let to: BTreeMap<String, String> = ports
        .iter()
        .map(|c| (c.port.to_string(), c.to.clone()))
        .collect();
    let to = Arc::new(to);
    let served = mux::serve(stdout_of(output), input, move |incoming| {
        tokio::spawn(join(incoming, to.clone()));
    });
    served
        .await
        .map_err(|e| Problem::new(ProblemKind::Start, format!("could not {doing}: {e}")))
}

/// Connects a stream to its process and moves bytes until both sides have ended.
async fn join(incoming: Incoming, to: Arc<BTreeMap<String, String>>) {
    let mut stream = incoming.stream;
    let Some(to) = to.get(&incoming.target) else {
        // The agent is told which ports there are; anything else is none of it.
        return stream.refuse("no such port is carried");
    };
    let mut process = match connect(to).await {
        Ok(process) => process,
        Err(why) => return stream.refuse(&why),
    };
    stream.accept();
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut process, 32768, 32768).await;
}

async fn connect(to: &str) -> Result<TcpStream, String> {
    match tokio::time::timeout(CONNECT, TcpStream::connect(to)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
            Err(format!("nothing listens on {to}"))
        }
        Ok(Err(e)) => Err(format!("{to}: {e}")),
        Err(_) => Err(format!("{to} did not take the connection in time")),
    }
}

/// Whether a process takes connections there.
pub async fn is_listening(to: &str) -> bool {
    connect(to).await.is_ok()
}
