//! Names as a service resolves them: asked in its own network.

use std::time::Duration;

use prodmirror_agent::wire::{Event, PROGRAM_PATH, Resolved};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::NetworkOf;

use super::context::key_of;
use super::exec;
use super::stack::LiveStack;
use crate::docker::ExecSpec;

/// Bytes of an answer: no DNS message says more.
const KEPT: usize = 1 << 20;
/// Longer than all servers together may be silent.
const WITHIN: Duration = Duration::from_secs(60);

/// A name, and who asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The service that asks.
    pub service: String,
    /// Its replica; 0 = the first.
    pub replica: u32,
    /// The name.
    pub name: String,
    /// `A`, `AAAA`, …
    pub kind: String,
}

impl LiveStack {
    /// What a service is told about a name. The service need not run.
    ///
    /// # Errors
    /// Unknown service, one without a network of the stack, a resolver that does not answer.
    pub async fn resolve(&self, ask: &Lookup) -> Result<Resolved, Problem> {
        let doing = format!("resolve `{}` for `{}`", ask.name, ask.service);
        let fail = |kind, why: &str| Problem::new(kind, format!("could not {doing}: {why}"));
        let key = self.key(&ask.service, ask.replica)?;
        let ctx = self.context();
        let plan = ctx.plan.containers.iter().find(|p| key_of(p) == key);
        let owner = match plan.map(|p| &p.network) {
            Some(NetworkOf::Own) => Some(key),
            Some(NetworkOf::Service(other)) => ctx.sandboxes.owner(other, key.1),
            _ => None,
        };
        let Some(sandbox) = owner.and_then(|o| ctx.sandboxes.get(&o)) else {
            let why = "it has no network of the stack";
            return Err(fail(ProblemKind::Unsupported, why));
        };
        let words = [PROGRAM_PATH, "resolve", &ask.name, &ask.kind];
        let spec = ExecSpec {
            container: sandbox.id,
            command: words.map(str::to_owned).to_vec(),
            ..ExecSpec::default()
        };
        let run = tokio::time::timeout(WITHIN, exec::run(&ctx.engine, &spec, None, KEPT));
        let done = match run.await {
            Ok(done) => done.map_err(|e| e.problem(&doing))?,
            Err(_) => return Err(fail(ProblemKind::Start, "no answer in time")),
        };
        let said = String::from_utf8_lossy(&done.stdout);
        if done.exit_code != 0 {
            let why = match said.lines().find_map(Event::parse) {
                Some(Event::Error { why, .. }) => why,
                _ => done.summary(),
            };
            return Err(fail(ProblemKind::Start, &why));
        }
        serde_json::from_str(&said).map_err(|e| fail(ProblemKind::Engine, &e.to_string()))
    }
}
