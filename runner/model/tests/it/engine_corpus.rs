//! What we would send to the engine is what Docker Compose sends, for every stack of the
//! corpus that Compose was seen to create.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use prodmirror_model::mirror::{Mirror, Service, Sourced};
use prodmirror_model::plan::body::{BodyRequest, Naming, compose_body};
use prodmirror_model::plan::facts::Facts;
use prodmirror_model::plan::{AgreeRequest, Difference, agree};
use serde_json::{Value, json};

use crate::corpus_files::{files, normal_form, trial};

/// What was reached; it may not fall.
const FLOOR: usize = 895;
/// How many containers the corpus has.
const ALL: usize = 895;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("engine_corpus::bodies_are_those_of_compose", bodies),
        trial("engine_corpus::running_containers_agree", running),
    ]
}

/// Containers that Docker Compose has created and started are what the body says, without any
/// deviation.
fn running(corpus: &Path) -> Result<(), Failed> {
    let dir = corpus.join("self-captured-inspect");
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(dir.join(name)).unwrap()).unwrap()
    };
    let (containers, images) = (read("containers.json"), read("images.json"));
    let mirror = Mirror::from_compose(&normal_form(&dir.join("compose.oracle.json"))).unwrap();
    let mut wrong = Vec::new();
    for inspect in containers.as_array().unwrap() {
        let labels = &inspect["Config"]["Labels"];
        let service = labels["com.docker.compose.service"].as_str().unwrap();
        let replica = labels["com.docker.compose.container-number"]
            .as_str()
            .unwrap();
        let request = BodyRequest {
            mirror: &mirror,
            service: &mirror.services[service],
            replica: replica.parse().unwrap(),
            project: &mirror.name.value,
            project_dir: &dir,
            naming: Naming::Engine,
        };
        let body = compose_body(&request).unwrap().body;
        let image = images
            .as_array()
            .unwrap()
            .iter()
            .find(|i| i["Id"] == inspect["Image"]);
        let found = agree(&AgreeRequest {
            body: &body,
            service: inspect,
            sandbox: None,
            image,
            networks: &BTreeMap::new(),
            copied: &[],
        });
        let shared = mirror.services[service].network.mode.is_some();
        let differences = found.differences.into_iter().filter(|d| !is_known(d));
        wrong.extend(differences.map(|d| format!("{service} {replica}: {d:?}")));
        // One that shares a network looks like one that has a sandbox.
        if found
            .deviations
            .iter()
            .any(|rule| !(shared && *rule == "sandbox"))
        {
            wrong.push(format!("{service} {replica}: {:?}", found.deviations));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn bodies(corpus: &Path) -> Result<(), Failed> {
    let engine = corpus.join("_engine");
    let oracles = files(&engine, ".engine.json");
    let (mut containers, mut stacks, mut wrong) = (0, 0, Vec::new());
    for path in &oracles {
        let relative = path.strip_prefix(&engine).unwrap().to_str().unwrap();
        let spec = corpus.join(relative.replace(".engine.json", ".oracle.json"));
        // The project's name while the oracle was made is left in the names of links.
        let text = std::fs::read_to_string(path)
            .unwrap()
            .replace(":pmo-", ":@PROJECT@-");
        let oracle: Value = serde_json::from_str(&text).unwrap();
        let differences = stack(&spec, &oracle);
        containers += oracle["containers"].as_array().unwrap().len();
        containers -= differences.len();
        stacks += usize::from(differences.is_empty());
        for (name, what) in differences {
            wrong.push(format!("{relative} {name}: {what}"));
        }
    }
    println!(
        "engine bodies equal {containers}/{ALL} containers in {stacks}/{} stacks",
        oracles.len()
    );
    if containers < FLOOR {
        return Err(format!("fewer than {FLOOR}:\n{}", wrong.join("\n")).into());
    }
    Ok(())
}

/// What Docker Compose knows only when it runs: hashes, places, ids, and the order of a map.
fn is_known(difference: &Difference) -> bool {
    let id = |value: &Option<Value>| value.as_ref().is_some_and(|v| v.to_string().len() > 64);
    match difference.field.as_str() {
        "HostConfig.PidMode" | "HostConfig.VolumesFrom" => id(&difference.actual),
        field => field
            .strip_prefix("Labels.com.docker.compose.")
            .is_some_and(|label| label == "depends_on" || difference.expected.is_none()),
    }
}

/// Containers of a stack that are not as they should be, with what is wrong.
fn stack(spec: &Path, oracle: &Value) -> BTreeMap<String, String> {
    let mut mirror = Mirror::from_compose(&normal_form(spec)).unwrap();
    mirror.name.value = "@PROJECT@".into();
    let notes = Notes::of(oracle);
    for (name, service) in &mut mirror.services {
        notes.apply(name, service);
    }
    for (key, secret) in &mut mirror.secrets {
        if secret.is_external() && notes.has(&format!("external secret {key}:")) {
            secret.external = None;
            secret.file = Some(Sourced::generated(format!("@EXTERNAL@/{key}")));
        }
    }
    let mut made = BTreeMap::new();
    for service in mirror.services.values() {
        for replica in 1..=service.replicas() {
            let request = BodyRequest {
                mirror: &mirror,
                service,
                replica,
                project: &mirror.name.value,
                project_dir: Path::new("/"),
                naming: Naming::Engine,
            };
            let container = compose_body(&request).map(|c| (format!("/{}", c.name), c.body));
            match container {
                Ok((name, body)) => made.insert(name, ours(&mirror, &body)),
                Err(problems) => made.insert(service.name.value.clone(), {
                    let mut facts = Facts::default();
                    facts.0.insert("error".into(), json!(problems.to_string()));
                    facts
                }),
            };
        }
    }
    let mut wrong = BTreeMap::new();
    for container in oracle["containers"].as_array().unwrap() {
        let name = container["Name"].as_str().unwrap();
        let theirs = theirs(container);
        let difference = match made.remove(name) {
            None => Some("not made".to_owned()),
            Some(ours) => difference(&ours, &theirs),
        };
        wrong.extend(difference.map(|d| (name.to_owned(), d)));
    }
    wrong.extend(
        made.into_keys()
            .map(|name| (name, "not in the oracle".into())),
    );
    wrong
}

/// The changes that were forced on a spec so that Compose could create it here.
struct Notes(Vec<String>);

impl Notes {
    fn of(oracle: &Value) -> Self {
        let notes = oracle["notes"].as_array().unwrap();
        Self(
            notes
                .iter()
                .map(|n| n.as_str().unwrap().to_owned())
                .collect(),
        )
    }

    fn has(&self, what: &str) -> bool {
        self.0.iter().any(|n| n.contains(what))
    }

    fn apply(&self, name: &str, service: &mut Service) {
        if self.has(&format!("{name}: start_interval dropped")) {
            service.health.as_mut().unwrap().value.start_interval = None;
        }
        if self.has(&format!("{name}: volumes_from dropped")) {
            service.mounts.volumes_from.clear();
        }
        if self.has(&format!("{name}: external_links dropped")) {
            service.network.external_links.clear();
        }
        if self.has(&format!("{name}: log driver")) {
            service.logging = None;
        }
    }
}

fn ours(mirror: &Mirror, body: &Value) -> Facts {
    let mut facts = Facts::of_body(body);
    for key in [
        "HostConfig.NetworkMode",
        "HostConfig.IpcMode",
        "HostConfig.PidMode",
    ] {
        let Some(Value::String(mode)) = facts.0.get(key) else {
            continue;
        };
        if let Some(service) = mode.strip_prefix("service:") {
            let name = match &mirror.services[service].container_name {
                Some(name) => name.value.clone(),
                None => format!("@PROJECT@-{service}-1"),
            };
            facts
                .0
                .insert(key.into(), json!(format!("container:@ID:{name}@")));
        }
    }
    // The oracle does not show what every container has, nor the image, nor the project. The
    // engine had version 1 of cgroups, where the host's namespace is the usual one.
    for key in ["Image", "AttachStdout", "AttachStderr"] {
        facts.0.remove(key);
    }
    if facts.0.get("HostConfig.CgroupnsMode") == Some(&json!("host")) {
        facts.0.remove("HostConfig.CgroupnsMode");
    }
    for label in ["project", "oneoff"] {
        facts
            .0
            .remove(&format!("Labels.com.docker.compose.{label}"));
    }
    settle(facts)
}

fn theirs(container: &Value) -> Facts {
    let mut facts = Facts::of_inspect(container);
    if facts.0.get("Cmd") == Some(&json!("<from image>")) {
        facts.0.remove("Cmd");
    }
    // In the host's network a container has the name of the host that the oracle was made on.
    if facts.0.contains_key("Networks.host") && facts.0.get("Hostname") == Some(&json!("vm")) {
        facts.0.remove("Hostname");
    }
    settle(facts)
}

/// Brings both sides to the same order where Compose has none.
fn settle(mut facts: Facts) -> Facts {
    if let Some(Value::String(list)) = facts.0.get_mut("Labels.com.docker.compose.depends_on") {
        let mut parts: Vec<_> = list.split(',').collect();
        parts.sort_unstable();
        *list = parts.join(",");
    }
    facts
}

fn difference(ours: &Facts, theirs: &Facts) -> Option<String> {
    let mut lines = Vec::new();
    for (key, value) in &ours.0 {
        match theirs.0.get(key) {
            Some(other) if other == value => {}
            Some(other) => lines.push(format!("{key}: {value} should be {other}")),
            None => lines.push(format!("{key}: {value} should not be")),
        }
    }
    for (key, value) in &theirs.0 {
        if !ours.0.contains_key(key) {
            lines.push(format!("{key}: missing {value}"));
        }
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}
