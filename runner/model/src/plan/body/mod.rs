//! What Docker Compose 2.40 sends to the engine for one container of a service.
//!
//! The body has the names of Engine API 1.41 (`Image`, `Env`, `HostConfig`,
//! `NetworkingConfig`…) and leaves out what is empty, as Compose does. Where Compose puts the
//! id of another service's container, the name stands for it, because only the engine knows
//! ids: `service:NAME` in a namespace mode, `NAME` in `VolumesFrom`.
//!
//! All networks stand in `NetworkingConfig.EndpointsConfig`, the first one first, although
//! engines before API 1.44 take the others only by a connection after the creation.

pub(super) mod config;
pub(super) mod fields;
mod health;
mod host;
mod limits;
pub(super) mod mounts;
mod network;
mod security;

use std::path::Path;

use serde_json::Value as Json;

use crate::diag::Problems;
use crate::mirror::{Mirror, Service};

use fields::Fields;
pub use mounts::{FileKind, ServiceFile, service_files};

/// Which names networks and volumes have in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Those that the engine has for them.
    Engine,
    /// The keys by which the spec calls them.
    Keys,
}

/// One container of a service.
#[derive(Debug, Clone, Copy)]
pub struct BodyRequest<'a> {
    /// The whole project.
    pub mirror: &'a Mirror,
    /// The service.
    pub service: &'a Service,
    /// Which of its containers, from 1.
    pub replica: u32,
    /// Name of the project: containers are called by it.
    pub project: &'a str,
    /// Directory that relative paths start at.
    pub project_dir: &'a Path,
    /// Which names networks and volumes have.
    pub naming: Naming,
}

/// A container as Docker Compose would create it.
#[derive(Debug, Clone, PartialEq)]
pub struct ComposeContainer {
    /// Its name.
    pub name: String,
    /// The body of the request.
    pub body: Json,
}

/// What Docker Compose sends for one container.
///
/// # Errors
/// What Docker Compose refuses on its side: a seccomp profile that cannot be read, a security
/// option without a value, `start_interval` without `start_period`, hardware addresses that
/// contradict each other, a network that is not declared.
pub fn compose_body(request: &BodyRequest<'_>) -> Result<ComposeContainer, Problems> {
    let mut problems = Problems::default();
    let mut body = Fields::new();
    config::put(request, &mut body, &mut problems);
    let mut host = Fields::new();
    host::put(request, &mut host, &mut problems);
    body.set("HostConfig", host.into_json());
    if let Some(endpoints) = network::endpoints(request, &mut problems) {
        let mut config = Fields::new();
        config.set("EndpointsConfig", endpoints);
        body.set("NetworkingConfig", config.into_json());
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(ComposeContainer {
        name: container_name(request.project, request.service, request.replica),
        body: body.into_json(),
    })
}

/// The name that Docker Compose gives to a container.
pub fn container_name(project: &str, service: &Service, replica: u32) -> String {
    match &service.container_name {
        Some(name) => name.value.clone(),
        None => format!("{project}-{}-{replica}", service.name.value),
    }
}
