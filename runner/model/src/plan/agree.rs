//! Whether a running container is what Docker Compose would have created, but for the
//! deviation table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::deviations::{DEVIATIONS, Pair};
use super::facts::Facts;
use super::rules::host::CPU_PERIOD;
use super::split::{NETWORK_FIELDS, NETWORK_HOST_FIELDS, NETWORK_SYSCTLS};

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct AgreeRequest<'a> {
    /// The body that Docker Compose would send.
    pub body: &'a Json,
    /// `docker inspect` of the service's container.
    pub service: &'a Json,
    /// `docker inspect` of its sandbox, when it has one.
    pub sandbox: Option<&'a Json>,
    /// `docker image inspect` of its image: what the body leaves out comes from there. Absent =
    /// such fields are not compared.
    pub image: Option<&'a Json>,
    /// Names of networks on the engine, with the name that the body has for each.
    pub networks: &'a BTreeMap<String, String>,
    /// Paths in the container at which Docker Compose copies files, which no body shows.
    pub copied: &'a [String],
}

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Path of the field, as in `docker inspect`.
    pub field: String,
    /// What Docker Compose would have.
    pub expected: Option<Json>,
    /// What the container has.
    pub actual: Option<Json>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agreement {
    /// Differences that no rule explains.
    pub differences: Vec<Difference>,
    /// Names of the rules that explain the others.
    pub deviations: BTreeSet<&'static str>,
    /// Fields that differ by these rules.
    pub explained: Vec<String>,
}

/// Fields that the engine fills in by itself, with the values that it may give; none = any.
const ENGINE_OWN: [(&str, &[&str]); 13] = [
    ("Hostname", &[]),
    ("MacAddress", &[]),
    ("StopSignal", &["\"SIGTERM\""]),
    ("HostConfig.CgroupnsMode", &["\"host\"", "\"private\""]),
    ("HostConfig.ConsoleSize", &[]),
    ("HostConfig.IpcMode", &["\"private\"", "\"shareable\""]),
    ("HostConfig.LogConfig.Type", &["\"json-file\"", "\"local\""]),
    ("HostConfig.MaskedPaths", &["\"default\""]),
    ("HostConfig.MemorySwappiness", &["-1"]),
    ("HostConfig.ReadonlyPaths", &["\"default\""]),
    ("HostConfig.RestartPolicy", &["{\"Name\":\"no\"}"]),
    ("HostConfig.Runtime", &["\"runc\""]),
    ("HostConfig.ShmSize", &["67108864"]),
];

/// Fields that come from the image when the body leaves them out.
const IMAGE_OWN: [&str; 13] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// Fields with what is mounted.
const MOUNT_FIELDS: [&str; 2] = ["HostConfig.Binds", "HostConfig.Mounts"];

/// Compares a container with the body that Docker Compose would send.
pub fn agree(request: &AgreeRequest<'_>) -> Agreement {
    let body = match request.image {
        Some(image) => with_image(request.body, &image["Config"]),
        None => request.body.clone(),
    };
    let mut expected = Facts::of_body(&body).0;
    let mut actual = container_facts(request);
    let mut agreement = Agreement::default();
    if processors(&expected, &mut actual) {
        agreement.deviations.insert("processors");
        agreement.explained.push("HostConfig.NanoCpus".into());
    }
    if mounts(request, &mut expected, &mut actual) {
        agreement.deviations.insert("mounts");
        let fields = MOUNT_FIELDS.iter().map(|field| (*field).to_owned());
        agreement.explained.extend(fields);
    }
    let paths: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    for path in paths {
        let pair = Pair {
            path,
            expected: expected.get(path),
            actual: actual.get(path),
        };
        if pair.expected == pair.actual || is_own(&pair, request.image.is_some()) {
            continue;
        }
        let rule = DEVIATIONS
            .iter()
            .find(|rule| path.starts_with(rule.field) && (rule.allows)(pair));
        match rule {
            Some(rule) => {
                agreement.deviations.insert(rule.name);
                agreement.explained.push(path.clone());
            }
            None => agreement.differences.push(Difference {
                field: path.clone(),
                expected: pair.expected.cloned(),
                actual: pair.actual.cloned(),
            }),
        }
    }
    agreement
}

/// Whether a field is none that the body decides.
fn is_own(pair: &Pair<'_>, image_known: bool) -> bool {
    let (None, Some(actual)) = (pair.expected, pair.actual) else {
        // Without the image only what the body adds can be looked for.
        return !image_known
            && IMAGE_OWN.contains(&pair.path)
            && contains(pair.actual, pair.expected);
    };
    let top = pair.path.split('.').next().unwrap_or("");
    if !image_known && IMAGE_OWN.contains(&top) {
        return true;
    }
    // The engine adds its own default options of the driver.
    if pair.path.starts_with("HostConfig.LogConfig.Config.") {
        return true;
    }
    ENGINE_OWN.iter().any(|(path, values)| {
        *path == pair.path && (values.is_empty() || values.contains(&actual.to_string().as_str()))
    })
}

/// Whether a list or mapping has all entries of another one.
fn contains(whole: Option<&Json>, part: Option<&Json>) -> bool {
    match (whole, part) {
        (Some(Json::Array(whole)), Some(Json::Array(part))) => {
            part.iter().all(|item| whole.contains(item))
        }
        (Some(Json::Object(whole)), Some(Json::Object(part))) => {
            part.iter().all(|(k, v)| whole.get(k) == Some(v))
        }
        _ => false,
    }
}

/// What the container says, its network as the sandbox says it.
fn container_facts(request: &AgreeRequest<'_>) -> BTreeMap<String, Json> {
    let mut facts = Facts::of_inspect(request.service).0;
    let mode = facts.get("HostConfig.NetworkMode").and_then(Json::as_str);
    if mode.is_some_and(|mode| mode.starts_with("container:")) {
        // The engine shows the names of whoever owns the network.
        facts.remove("Hostname");
        facts.remove("Domainname");
    }
    if let Some(sandbox) = request.sandbox {
        facts.retain(|path, _| !is_network(path) || path == "HostConfig.NetworkMode");
        for (path, value) in Facts::of_inspect(sandbox).0 {
            if path == "ExposedPorts" {
                merge_ports(&mut facts, value);
            } else if is_network(&path) && path != "HostConfig.NetworkMode" {
                facts.insert(path, value);
            }
        }
    }
    let renamed = facts.into_iter().map(|(path, value)| {
        let renamed = path.strip_prefix("Networks.").and_then(|rest| {
            let (name, field) = rest
                .split_once('.')
                .map_or((rest, None), |(n, f)| (n, Some(f)));
            let name = request.networks.get(name)?;
            Some(match field {
                Some(field) => format!("Networks.{name}.{field}"),
                None => format!("Networks.{name}"),
            })
        });
        (renamed.unwrap_or(path), value)
    });
    renamed.collect()
}

/// Ports of the image stay the service's, those of the spec are the sandbox's.
fn merge_ports(facts: &mut BTreeMap<String, Json>, ports: Json) {
    let all = facts
        .entry("ExposedPorts".into())
        .or_insert_with(|| json!({}));
    if let (Some(all), Json::Object(ports)) = (all.as_object_mut(), ports) {
        all.extend(ports);
        all.sort_keys();
    }
}

/// Whether a field belongs to whoever owns the network.
fn is_network(path: &str) -> bool {
    if path == "ExposedPorts" {
        return false;
    }
    let sysctl = path.strip_prefix("HostConfig.Sysctls.");
    path.starts_with("Networks.")
        || NETWORK_FIELDS.contains(&path)
        || sysctl.is_some_and(|name| name.starts_with(NETWORK_SYSCTLS))
        || path
            .strip_prefix("HostConfig.")
            .is_some_and(|field| NETWORK_HOST_FIELDS.contains(&field))
}

/// Writes a quota as the number of processors that it stands for; whether there was one.
fn processors(expected: &BTreeMap<String, Json>, actual: &mut BTreeMap<String, Json>) -> bool {
    const FIELD: &str = "HostConfig.NanoCpus";
    let number = |path: &str| actual.get(path).and_then(Json::as_i64);
    let period = number("HostConfig.CpuPeriod");
    let (Some(quota), Some(CPU_PERIOD)) = (number("HostConfig.CpuQuota"), period) else {
        return false;
    };
    if !expected.contains_key(FIELD) || actual.contains_key(FIELD) {
        return false;
    }
    actual.remove("HostConfig.CpuQuota");
    actual.remove("HostConfig.CpuPeriod");
    let nano = quota.saturating_mul(1_000_000_000 / CPU_PERIOD);
    actual.insert(FIELD.into(), json!(nano));
    true
}

/// Brings mounts to what they are for the container: a path that can be written or not.
/// Returns whether they differ before that.
fn mounts(
    request: &AgreeRequest<'_>,
    expected: &mut BTreeMap<String, Json>,
    actual: &mut BTreeMap<String, Json>,
) -> bool {
    let same = MOUNT_FIELDS
        .iter()
        .all(|f| expected.get(*f) == actual.get(*f));
    if same {
        return false;
    }
    for (side, copied) in [(expected, request.copied), (actual, &[])] {
        let mut seen: BTreeMap<String, Json> = BTreeMap::new();
        for target in copied {
            seen.insert(
                target.clone(),
                json!({ "Target": target, "ReadOnly": true }),
            );
        }
        for field in MOUNT_FIELDS {
            for mount in side
                .remove(field)
                .as_ref()
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
            {
                let mount = reduced(mount);
                seen.insert(mount["Target"].as_str().unwrap_or("").to_owned(), mount);
            }
        }
        side.insert(MOUNT_FIELDS[1].into(), seen.into_values().collect());
    }
    true
}

/// A mount without where its content lies.
fn reduced(mount: &Json) -> Json {
    if let Json::String(bind) = mount {
        let mut parts = bind.rsplitn(3, ':');
        let (last, middle) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        // Options may be missing: `source:/target`.
        let (target, options) = match last.starts_with('/') {
            true => (last, ""),
            false => (middle, last),
        };
        let read_only = options.split(',').any(|o| o == "ro");
        return json!({ "Target": target, "ReadOnly": read_only });
    }
    let read_only = mount["ReadOnly"].as_bool().unwrap_or(false);
    let mut kept = json!({ "Target": mount["Target"], "ReadOnly": read_only });
    if let Some(options) = mount.get("TmpfsOptions") {
        kept["TmpfsOptions"] = options.clone();
    }
    kept
}

/// A body with what the engine takes from the image.
fn with_image(body: &Json, image: &Json) -> Json {
    let mut body = body.as_object().cloned().unwrap_or_default();
    let of_image = |key: &str| image.get(key).filter(|v| !v.is_null()).cloned();
    // A program of one's own comes without the image's arguments.
    let empty = |body: &Map<String, Json>, key: &str| {
        body.get(key)
            .and_then(Json::as_array)
            .is_none_or(Vec::is_empty)
    };
    if empty(&body, "Entrypoint") {
        if empty(&body, "Cmd") {
            fill(&mut body, "Cmd", of_image("Cmd"));
        }
        if !body.contains_key("Entrypoint") {
            fill(&mut body, "Entrypoint", of_image("Entrypoint"));
        }
    }
    for key in ["User", "WorkingDir", "StopSignal", "Volumes", "OnBuild"] {
        if !body.contains_key(key) {
            fill(&mut body, key, of_image(key));
        }
    }
    for key in ["Labels", "ExposedPorts"] {
        union(&mut body, key, of_image(key));
    }
    match (body.get_mut("Healthcheck"), of_image("Healthcheck")) {
        (None, check) => fill(&mut body, "Healthcheck", check),
        (Some(Json::Object(check)), Some(Json::Object(of_image))) => {
            for (key, value) in of_image {
                check.entry(key).or_insert(value);
            }
        }
        _ => {}
    }
    environment(&mut body, of_image("Env"));
    Json::Object(body)
}

fn fill(body: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value);
    }
}

fn union(body: &mut Map<String, Json>, key: &str, of_image: Option<Json>) {
    let Some(Json::Object(of_image)) = of_image else {
        return;
    };
    let own = body.entry(key.to_owned()).or_insert_with(|| json!({}));
    if let Json::Object(own) = own {
        for (name, value) in of_image {
            own.entry(name).or_insert(value);
        }
    }
}

/// Variables of the image that the body says nothing about.
fn environment(body: &mut Map<String, Json>, of_image: Option<Json>) {
    let Some(Json::Array(of_image)) = of_image else {
        return;
    };
    let name = |entry: &Json| {
        let entry = entry.as_str().unwrap_or("");
        entry.split('=').next().unwrap_or("").to_owned()
    };
    let own = body.entry("Env").or_insert_with(|| json!([]));
    if let Json::Array(own) = own {
        let known: BTreeSet<String> = own.iter().map(name).collect();
        own.extend(
            of_image
                .into_iter()
                .filter(|entry| !known.contains(&name(entry))),
        );
    }
}
