//! Fidelity from what runs: what was read back from a container, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value as Json;

use super::Plan;
use super::agree::{AgreeRequest, Agreement, agree};
use super::body::{BodyRequest, Naming, compose_body};
use super::facts::Facts;
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::Mirror;
use crate::stack::Extension;

/// How many characters of a value a record shows.
const SHOWN: usize = 200;

/// What an engine shows of one container of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Its service.
    pub service: String,
    /// Its replica, from 1.
    pub replica: u32,
    /// `docker inspect` of it.
    pub own: Json,
    /// `docker inspect` of its sandbox, when it owns one.
    pub sandbox: Option<Json>,
}

/// What an engine shows of a running stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Its containers.
    pub containers: Vec<Observed>,
    /// Names of its networks on the engine, with the key of each.
    pub networks: BTreeMap<String, String>,
}

/// Records of all containers of a running stack, see [`read_back`]. `mirror` is the stack's,
/// with the values of its secrets; `dir` is the directory of the project.
///
/// Replicas of a service are alike: a field of which one is otherwise than it should be is
/// told as that.
pub fn read_back_stack(
    mirror: &Mirror,
    plan: &Plan,
    dir: &Path,
    observation: &Observation,
) -> Vec<Record> {
    let mut records: BTreeMap<(String, String), Record> = BTreeMap::new();
    for observed in &observation.containers {
        for record in container(mirror, plan, dir, observation, observed) {
            let field = (record.object.clone(), record.field.clone());
            match records.get(&field) {
                Some(known) if known.class != Class::Mirrored => {}
                _ => {
                    records.insert(field, record);
                }
            }
        }
    }
    records.into_values().collect()
}

fn container(
    mirror: &Mirror,
    plan: &Plan,
    dir: &Path,
    observation: &Observation,
    observed: &Observed,
) -> Vec<Record> {
    let planned = plan
        .containers
        .iter()
        .find(|c| c.service == observed.service && c.replica == observed.replica);
    let (Some(planned), Some(service)) = (planned, mirror.services.get(&observed.service)) else {
        return Vec::new();
    };
    let extension = Extension::of(mirror).unwrap_or_default();
    // A stub is none of production's services: what it stands for has a record.
    if extension.stubs.contains_key(&observed.service) {
        return Vec::new();
    }
    // Production's name, as in the plan: containers and aliases are called by it.
    let name = extension.production;
    let request = BodyRequest {
        mirror,
        service,
        replica: observed.replica,
        project: if name.is_empty() {
            &mirror.name.value
        } else {
            &name
        },
        project_dir: dir,
        naming: Naming::Keys,
    };
    // The plan was made from the same body: what is wrong with it was said then.
    let Ok(composed) = compose_body(&request) else {
        return Vec::new();
    };
    let copied: Vec<String> = planned.files.iter().map(|f| f.target.clone()).collect();
    read_back(
        &format!("service:{}", observed.service),
        &AgreeRequest {
            body: &composed.body,
            service: &with_names(observed, &observation.containers),
            sandbox: observed.sandbox.as_ref(),
            image: None,
            networks: &observation.networks,
            copied: &copied,
        },
    )
}

/// What is shown of a container, with names in the place of other containers' ids, as a body
/// has them.
fn with_names(observed: &Observed, all: &[Observed]) -> Json {
    let mut own = observed.own.clone();
    let id = |shown: &Json| shown["Id"].as_str().unwrap_or_default().to_owned();
    let host = &mut own["HostConfig"];
    for other in all.iter().filter(|o| o.service != observed.service) {
        let mut ids = vec![id(&other.own)];
        ids.extend(other.sandbox.as_ref().map(id));
        for id in ids.iter().filter(|id| !id.is_empty()) {
            for field in ["NetworkMode", "IpcMode", "PidMode", "UsernsMode"] {
                if host[field].as_str() == Some(&format!("container:{id}")) {
                    host[field] = format!("service:{}", other.service).into();
                }
            }
            for from in host["VolumesFrom"].as_array_mut().into_iter().flatten() {
                let named = from
                    .as_str()
                    .map(|t| t.replace(id.as_str(), &other.service));
                *from = named.map_or(Json::Null, Json::from);
            }
        }
    }
    own
}

/// Records of a running container: one for each field that Docker Compose would set and that
/// is as it would be, and one for each difference that no rule of the deviation table
/// explains. (Those that a rule explains are in the plan's own records.)
///
/// `object` is the service as records call it, such as `service:db`. Values of environment
/// variables and labels are never shown, only how many there are.
pub fn read_back(object: &str, request: &AgreeRequest<'_>) -> Vec<Record> {
    let found = agree(request);
    let expected = Facts::of_body(request.body);
    let mut records = mirrored(object, &expected, &found);
    for difference in &found.differences {
        let mut record = Record::new(
            object,
            difference.field.clone(),
            Class::Substituted,
            Severity::High,
        );
        record.declared = shown(&difference.field, difference.expected.as_ref());
        record.actual = shown(&difference.field, difference.actual.as_ref());
        record.reason = "the container is not what was asked for".into();
        records.push(record);
    }
    records
}

fn mirrored(object: &str, expected: &Facts, found: &Agreement) -> Vec<Record> {
    let other: BTreeSet<&str> = found
        .differences
        .iter()
        .map(|d| d.field.as_str())
        .chain(found.explained.iter().map(String::as_str))
        .collect();
    let same = expected
        .0
        .iter()
        .filter(|(path, _)| !other.contains(path.as_str()));
    same.map(|(path, value)| {
        let mut record = Record::new(object, path.clone(), Class::Mirrored, Severity::Info);
        record.declared = shown(path, Some(value));
        record.actual = record.declared.clone();
        record
    })
    .collect()
}

/// A value as a record shows it.
fn shown(field: &str, value: Option<&Json>) -> String {
    let text = match value {
        None => return String::new(),
        Some(Json::Array(list)) if field == "Env" => format!("{} variables", list.len()),
        Some(_) if field.starts_with("Labels.") => "***".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::plan::{PlanOptions, plan};
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    #[test]
    fn what_is_read_back_is_told_field_by_field() {
        let body = json!({
            "Image": "i", "User": "7", "Env": ["KEY=s3cret"],
            "HostConfig": {"Memory": 64, "RestartPolicy": {"Name": "always"}},
        });
        let inspect = json!({
            "Config": {"Image": "i", "User": "8", "Env": ["KEY=s3cret"]},
            "HostConfig": {"Memory": 64, "MemorySwap": 128, "NetworkMode": "container:x"},
        });
        let records = read_back(
            "service:a",
            &AgreeRequest {
                body: &body,
                service: &inspect,
                sandbox: None,
                image: None,
                networks: &BTreeMap::new(),
                copied: &[],
            },
        );
        let told: Vec<_> = records
            .iter()
            .map(|r| (r.field.as_str(), r.class, r.actual.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("Env", Class::Mirrored, "1 variables"),
                ("HostConfig.Memory", Class::Mirrored, "64"),
                ("HostConfig.MemorySwap", Class::Mirrored, "128"),
                ("Image", Class::Mirrored, "i"),
                ("User", Class::Substituted, "8"),
            ]
        );
    }

    /// What an engine would show of a container that is as planned, but for its user.
    fn observed(service: &str, replica: u32, id: &str, user: &str, ipc: &str) -> Observed {
        Observed {
            service: service.into(),
            replica,
            own: json!({
                "Id": id,
                "Config": {"Image": "i", "User": user},
                "HostConfig": {"IpcMode": ipc},
            }),
            sandbox: None,
        }
    }

    #[test]
    fn replicas_stubs_and_ids_of_a_stack() {
        let text = "name: t\nx-prodmirror: {version: 1, project: t, stubs: {s: {host: h.example, ports: [443], config: k}}}\nservices:\n  \
             a: {image: i, user: '7', scale: 2}\n  b: {image: i, ipc: 'service:c'}\n  \
             c: {image: i, ipc: shareable}\n  s: {image: i}\n\
             networks: {default: {name: t_default}}\n";
        let node = parse_one(&SourceFile::new("c.yaml", text)).unwrap();
        let mirror = Mirror::from_compose(&node).unwrap();
        let plan = plan(&mirror, &PlanOptions::default()).unwrap();
        let observation = Observation {
            containers: vec![
                observed("a", 1, "ida1", "7", "private"),
                observed("a", 2, "ida2", "8", "private"),
                observed("b", 1, "idb", "", "container:idc"),
                observed("c", 1, "idc", "", "shareable"),
                observed("s", 1, "ids", "9", "private"),
            ],
            networks: BTreeMap::new(),
        };
        let records = read_back_stack(&mirror, &plan, Path::new("/"), &observation);
        let of = |object: &str, field: &str| {
            let found = records
                .iter()
                .find(|r| r.object == object && r.field == field);
            found.map(|r| (r.class, r.actual.clone()))
        };
        assert_eq!(
            of("service:a", "User"),
            Some((Class::Substituted, "8".into()))
        );
        let ipc = of("service:b", "HostConfig.IpcMode");
        assert_eq!(ipc, Some((Class::Mirrored, "service:c".into())));
        assert!(
            records.iter().all(|r| r.object != "service:s"),
            "{records:?}"
        );
    }
}
