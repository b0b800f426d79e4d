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
        // Its own volumes are kept by the new one.
        let gone = engine.remove_but_volumes(&member.id).await;
        gone.map_err(|e| e.problem(&doing))?;
        let new = NewContainer {
            name: member.name.clone(),
            body,
            platform: None,
        };
        let made = engine.create_container(&new).await;
        let id = made.map_err(|e| e.problem(&doing))?.id;
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
    keep_volumes(&mut host, shown);
    body.insert("HostConfig".to_owned(), Value::Object(host));
    Value::Object(body)
}

/// Lets the new container have the volumes that only the old one knew.
fn keep_volumes(host: &mut Map<String, Value>, shown: &Value) {
    let volume_at = |target: &str| {
        let all = shown["Mounts"].as_array().into_iter().flatten();
        let mut at = all.filter(|m| m["Destination"].as_str() == Some(target));
        at.next()?["Name"].as_str().map(str::to_owned)
    };
    // A volume without a name got one.
    let mounts = host.get_mut("Mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let nameless = mount["Source"].as_str().is_none_or(str::is_empty);
        let is_volume = mount["Type"].as_str() == Some("volume");
        let target = mount["Target"].as_str().unwrap_or_default();
        if let Some(name) = volume_at(target).filter(|_| nameless && is_volume) {
            mount["Source"] = json!(name);
        }
    }
    let binds = host.get("Binds").and_then(Value::as_array).cloned();
    let mut mounts = host
        .get("Mounts")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let named = |target: &str| {
        let mut binds = binds.iter().flatten().filter_map(Value::as_str);
        binds.any(|b| b.split(':').nth(1) == Some(target))
            || mounts.iter().any(|m| m["Target"].as_str() == Some(target))
    };
    let all = shown["Mounts"].as_array().into_iter().flatten();
    let own: Vec<Value> = all
        .filter(|m| m["Type"].as_str() == Some("volume"))
        .filter_map(|m| Some((m["Name"].as_str()?, m["Destination"].as_str()?)))
        .filter(|(_, target)| !named(target))
        .map(|(name, target)| json!({"Type": "volume", "Source": name, "Target": target}))
        .collect();
    mounts.extend(own);
    host.insert("Mounts".to_owned(), Value::Array(mounts));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_variables_stays() {
        let shown = json!({
            "Image": "sha256:1",
            "Config": {"Hostname": "x", "Image": "a:1", "Env": ["A=1", "B=2"], "Cmd": ["c"],
                       "Labels": {"l": "1"}},
            "HostConfig": {"NetworkMode": "container:n", "Dns": [], "Binds": ["v:/v:rw"],
                           "Memory": 5, "Mounts": [{"Type": "volume", "Target": "/own"}]},
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
        let anonymous = json!([
            {"Type": "volume", "Source": "own", "Target": "/own"},
            {"Type": "volume", "Source": "anon", "Target": "/cache"},
        ]);
        assert_eq!(body["HostConfig"]["Mounts"], anonymous);
        assert_eq!(body["Labels"]["l"], "1");
    }
}
