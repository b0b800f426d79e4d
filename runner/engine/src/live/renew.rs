//! A service of a stack that stands, made again with other variables: its sandbox, files and
//! volumes stay.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{NETWORK_FIELDS, NETWORK_HOST_FIELDS};
use serde_json::{Map, Value, json};

use super::health;
use super::label;
use super::standing::{Member, Standing};
use crate::docker::NewContainer;

/// How long a service may take to be ready again.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

impl Standing {
    /// The variables of a service's container.
    ///
    /// # Errors
    /// The engine's.
    pub async fn variables(&self, member: &Member) -> Result<BTreeMap<String, String>, Problem> {
        let shown = self.engine().show_container(&member.id).await;
        let shown = shown.map_err(|e| e.problem(format!("look at `{}`", member.service)))?;
        let env = shown["Config"]["Env"].as_array().into_iter().flatten();
        let env = env.filter_map(|v| v.as_str()?.split_once('='));
        Ok(env.map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    /// Makes the container of a service again, with other values of variables, and waits until
    /// it is ready.
    ///
    /// # Errors
    /// The engine's, or the service does not get ready.
    pub async fn renew(
        &self,
        member: &Member,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let doing = format!("make `{}` again", member.service);
        let engine = self.engine();
        let shown = engine.show_container(&member.id).await;
        let shown = shown.map_err(|e| e.problem(&doing))?;
        let body = body(&shown, variables);
        self.stop(std::slice::from_ref(member)).await?;
        // Both are there for a moment, so that the new one can take over its volumes.
        let aside = format!("{}-before", member.name);
        let moved = engine.rename_container(&member.id, &aside).await;
        moved.map_err(|e| e.problem(&doing))?;
        let new = NewContainer {
            name: member.name.clone(),
            body,
            platform: None,
        };
        let id = match engine.create_container(&new).await {
            Ok(made) => made.id,
            Err(e) => {
                let _ = engine.rename_container(&member.id, &member.name).await;
                return Err(e.problem(&doing));
            }
        };
        let gone = engine.remove_but_volumes(&member.id).await;
        gone.map_err(|e| e.problem(&doing))?;
        let started = engine.start_container(&id).await;
        started.map_err(|e| e.problem(&doing))?;
        self.ready(&member.service, &id).await
    }

    /// Waits until a container runs, and is healthy if it has a check.
    ///
    /// # Errors
    /// It ended, or is not ready in time.
    pub(super) async fn ready(&self, service: &str, id: &str) -> Result<(), Problem> {
        let begun = Instant::now();
        let failed = |why: String| {
            Problem::new(
                ProblemKind::Start,
                format!("`{service}` is not ready: {why}"),
            )
            .help(format!("`prodmirror logs {service}` shows what it says"))
        };
        loop {
            let state = self.engine().inspect_container(id).await;
            let state = state.map_err(|e| e.problem(format!("look at `{service}`")))?;
            if !state.running && state.status == "exited" {
                return Err(failed(format!(
                    "it ended with exit code {}",
                    state.exit_code
                )));
            }
            let Some(check) = state.check.filter(|_| state.running) else {
                if state.running {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
                continue;
            };
            if state.health.as_deref() == Some("healthy") {
                return Ok(());
            }
            let left = READY_WITHIN.saturating_sub(begun.elapsed());
            let mut last = String::new();
            let checked = health::first_success(self.engine(), id, &check, |said| last = said);
            return match tokio::time::timeout(left, checked).await {
                Ok(()) => Ok(()),
                Err(_) => Err(failed(format!("its health check does not pass: {last}"))),
            };
        }
    }
}

/// What makes a container like the one that is shown, with other values of variables.
fn body(shown: &Value, variables: &BTreeMap<String, String>) -> Value {
    let mut body = shown["Config"].as_object().cloned().unwrap_or_default();
    for key in NETWORK_FIELDS {
        body.shift_remove(key);
    }
    let mut env: Vec<String> = body
        .get("Env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    for (name, value) in variables {
        let entry = format!("{name}={value}");
        let same = |e: &&mut String| e.split('=').next() == Some(name.as_str());
        match env.iter_mut().find(same) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    body.insert("Env".to_owned(), json!(env));
    // The name may stand for another image by now.
    body.insert("Image".to_owned(), shown["Image"].clone());
    let mut labels = body
        .get("Labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.insert(label::RENEWED.to_owned(), json!("yes"));
    body.insert("Labels".to_owned(), Value::Object(labels));
    let mut host = shown["HostConfig"].as_object().cloned().unwrap_or_default();
    for key in NETWORK_HOST_FIELDS.iter().filter(|k| **k != "NetworkMode") {
        host.shift_remove(*key);
    }
    take_volumes(&mut host, shown);
    body.insert("HostConfig".to_owned(), Value::Object(host));
    Value::Object(body)
}

/// Lets the new container have the volumes of the old one. Those without a name have to stay
/// without: the engine removes them with their container, and nothing else would.
fn take_volumes(host: &mut Map<String, Value>, shown: &Value) {
    let is_nameless = |mount: &Value| {
        mount["Type"].as_str() == Some("volume")
            && mount["Source"].as_str().is_none_or(str::is_empty)
    };
    if let Some(mounts) = host.get_mut("Mounts").and_then(Value::as_array_mut) {
        // It would be another volume at the same place.
        mounts.retain(|mount| !is_nameless(mount));
    }
    // What the old one had from others is among its own by now.
    host.insert("VolumesFrom".to_owned(), json!([shown["Id"]]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_variables_stays() {
        let shown = json!({
            "Id": "c1",
            "Image": "sha256:1",
            "Config": {"Hostname": "x", "Image": "a:1", "Env": ["A=1", "B=2"], "Cmd": ["c"],
                       "Labels": {"l": "1"}},
            "HostConfig": {"NetworkMode": "container:n", "Dns": [], "Binds": ["v:/v:rw"],
                           "Memory": 5, "VolumesFrom": ["c0"],
                           "Mounts": [{"Type": "volume", "Target": "/own"},
                                      {"Type": "bind", "Source": "/x", "Target": "/y"}]},
            "Mounts": [
                {"Type": "volume", "Name": "v", "Destination": "/v"},
                {"Type": "volume", "Name": "anon", "Destination": "/cache"},
                {"Type": "volume", "Name": "own", "Destination": "/own"},
                {"Type": "bind", "Source": "/x", "Destination": "/y"},
            ],
        });
        let variables = BTreeMap::from([
            ("B".to_owned(), "3".to_owned()),
            ("C".to_owned(), "4".to_owned()),
        ]);
        let body = body(&shown, &variables);
        assert_eq!(body["Env"], json!(["A=1", "B=3", "C=4"]));
        assert_eq!(body["Image"], "sha256:1");
        assert!(body.get("Hostname").is_none());
        assert_eq!(body["HostConfig"]["NetworkMode"], "container:n");
        assert_eq!(body["HostConfig"]["Memory"], 5);
        assert_eq!(body["HostConfig"]["Binds"], json!(["v:/v:rw"]));
        let named = json!([{"Type": "bind", "Source": "/x", "Target": "/y"}]);
        assert_eq!(body["HostConfig"]["Mounts"], named);
        assert_eq!(body["HostConfig"]["VolumesFrom"], json!(["c1"]));
        assert_eq!(body["Labels"]["l"], "1");
    }
}
