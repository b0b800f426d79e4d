//! Stopping services the way production would: dependents first, with their own signal,
//! grace and last commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use prodmirror_model::plan::Hook;
use serde::Deserialize;

use super::exec;
use super::label;
use super::options::Teardown;
use crate::docker::{Engine, ExecSpec, Found};

/// How much of a last command's output is read.
const KEPT_OUTPUT: usize = 4096;

/// Stops all services that carry these labels, dependents before what they depend on. What
/// does not stop in time is left to the killing that follows.
pub async fn stop_in_order(engine: &Engine, labels: &[String], how: &Teardown) {
    let Ok(found) = engine.find_containers(labels).await else {
        return;
    };
    let services: Vec<Found> = found
        .into_iter()
        .filter(|f| f.label(label::ROLE) == "service" && f.state == "running")
        .collect();
    let all = stop_all(engine, services, how.grace);
    let _ = tokio::time::timeout(how.deadline, all).await;
}

/// Stops containers of services, dependents before what they depend on.
pub async fn stop_all(engine: &Engine, services: Vec<Found>, grace: Option<Duration>) {
    for wave in waves(services) {
        join_all(wave.iter().map(|c| stop(engine, c, grace))).await;
    }
}

async fn stop(engine: &Engine, container: &Found, grace: Option<Duration>) {
    for hook in pre_stop(container) {
        let spec = ExecSpec {
            container: container.id.clone(),
            command: hook.command,
            env: hook.environment,
            user: hook.user,
            working_dir: hook.working_dir,
            privileged: hook.privileged,
            ..ExecSpec::default()
        };
        // Its failure does not keep the service from being stopped.
        let _ = exec::run(engine, &spec, None, KEPT_OUTPUT).await;
    }
    let own = container.label(label::GRACE).parse().ok();
    let grace = grace.or(own.map(Duration::from_secs));
    let _ = engine.stop_container(&container.id, grace).await;
}

/// A hook as its label has it.
#[derive(Deserialize)]
struct LabelledHook {
    command: Vec<String>,
    user: Option<String>,
    privileged: bool,
    working_dir: Option<String>,
    environment: Vec<String>,
}

fn pre_stop(container: &Found) -> Vec<Hook> {
    let hooks: Vec<LabelledHook> =
        serde_json::from_str(container.label(label::PRE_STOP)).unwrap_or_default();
    hooks
        .into_iter()
        .map(|h| Hook {
            command: h.command,
            user: h.user,
            privileged: h.privileged,
            working_dir: h.working_dir,
            environment: h.environment,
        })
        .collect()
}

/// Groups of containers that may stop together; each after all that depend on it.
fn waves(mut left: Vec<Found>) -> Vec<Vec<Found>> {
    let mut waves = Vec::new();
    while !left.is_empty() {
        let names: BTreeSet<String> = left
            .iter()
            .map(|f| f.label(label::SERVICE).to_owned())
            .collect();
        let held: BTreeMap<String, bool> = left
            .iter()
            .map(|f| {
                let service = f.label(label::SERVICE).to_owned();
                let dependents = f.label(label::DEPENDENTS);
                let held = dependents
                    .split(' ')
                    .any(|d| d != service && names.contains(d));
                (service, held)
            })
            .collect();
        let (later, now): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|f| held.get(f.label(label::SERVICE)).copied().unwrap_or(false));
        if now.is_empty() {
            // A circle cannot have been started; should labels say so, all stop at once.
            waves.push(later);
            break;
        }
        waves.push(now);
        left = later;
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::FoundKind;

    fn container(service: &str, dependents: &str) -> Found {
        let labels = [(label::SERVICE, service), (label::DEPENDENTS, dependents)];
        Found {
            kind: FoundKind::Container,
            id: service.into(),
            name: service.into(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            created: None,
            state: "running".into(),
            status: String::new(),
            image: String::new(),
        }
    }

    #[test]
    fn dependents_stop_first() {
        let all = vec![
            container("db", "api worker"),
            container("api", "web"),
            container("web", ""),
            container("worker", "gone"),
        ];
        let waves: Vec<Vec<String>> = waves(all)
            .into_iter()
            .map(|w| w.into_iter().map(|f| f.id).collect())
            .collect();
        assert_eq!(waves, [vec!["web", "worker"], vec!["api"], vec!["db"]]);
    }
}
