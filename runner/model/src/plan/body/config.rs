//! The part of the body about the process itself.

use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, text_map};
use super::{BodyRequest, health, network};
use crate::diag::Problems;
use crate::mirror::{Argv, EnvVar, Service, condition_name};

/// Prefix of the labels that Docker Compose sets by itself.
pub(in crate::plan) const COMPOSE_LABELS: &str = "com.docker.compose.";

pub(super) fn put(request: &BodyRequest<'_>, body: &mut Fields, problems: &mut Problems) {
    let service = request.service;
    let process = &service.process;
    let net = &service.network;
    body.text("Hostname", &net.hostname);
    body.text("Domainname", &net.domainname);
    body.text("User", &process.user);
    body.set("AttachStdout", true);
    body.set("AttachStderr", true);
    body.map("ExposedPorts", network::exposed_ports(net));
    body.flag("Tty", &process.tty);
    body.flag("OpenStdin", &process.stdin_open);
    body.list("Env", service.env.iter().map(env_entry).collect());
    body.opt("Cmd", argv(&process.command));
    body.opt("Healthcheck", health::check(service, problems));
    body.set("Image", image(request));
    body.text("WorkingDir", &process.working_dir);
    body.opt("Entrypoint", argv(&process.entrypoint));
    if net
        .mode
        .as_ref()
        .is_some_and(|m| m.to_string() == "disabled")
    {
        body.set("NetworkDisabled", true);
    }
    body.opt("MacAddress", network::mac_address(net, problems));
    body.set("Labels", Json::Object(labels(request)));
    body.text("StopSignal", &process.stop_signal);
    body.opt(
        "StopTimeout",
        process.stop_grace.as_ref().map(|d| d.as_secs()),
    );
}

/// Absent for what the image says, an empty list to clear it.
fn argv(argv: &Argv) -> Option<Json> {
    match argv {
        Argv::Inherit => None,
        Argv::Clear => Some(json!([])),
        Argv::Set(args) => Some(args.iter().map(|a| a.value.clone()).collect()),
    }
}

/// `NAME=value`, or `NAME` to remove the image's variable.
pub(super) fn env_entry(var: &EnvVar) -> Json {
    match &var.value {
        Some(value) => Json::from(format!("{}={}", var.name.value, value.value)),
        None => Json::from(var.name.value.clone()),
    }
}

/// The reference of the image; one that is built has a name made of the project's.
pub(in crate::plan) fn image(request: &BodyRequest<'_>) -> String {
    match &request.service.image.reference {
        Some(reference) => reference.value.clone(),
        None => format!("{}-{}", request.project, request.service.name.value),
    }
}

fn labels(request: &BodyRequest<'_>) -> Map<String, Json> {
    let mut labels = text_map(&request.service.labels);
    let own = [
        ("project", request.project.to_owned()),
        ("service", request.service.name.value.clone()),
        ("container-number", request.replica.to_string()),
        ("oneoff", "False".to_owned()),
        ("depends_on", dependencies(request.service)),
    ];
    for (key, value) in own {
        labels.insert(format!("{COMPOSE_LABELS}{key}"), Json::from(value));
    }
    labels
}

fn dependencies(service: &Service) -> String {
    let list: Vec<_> = service
        .depends_on
        .iter()
        .map(|d| {
            format!(
                "{}:{}:{}",
                d.service.value,
                condition_name(d.condition()),
                d.restart()
            )
        })
        .collect();
    list.join(",")
}
