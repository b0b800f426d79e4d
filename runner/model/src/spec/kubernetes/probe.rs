//! Probes: who asks a container whether it has started and is ready.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::at::At;
use super::build::Build;
use super::dict::{Dict, texts};
use super::pod::{Pod, Role};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::stack::extension::{ProbeAction, ProbeSpec, Probes};
use crate::yaml::Node;

/// How long a rollout may take until Kubernetes gives it up, in seconds.
const PROGRESS_DEADLINE: i64 = 600;

/// Reads the probes of a container. A command that says whether it is ready becomes the health
/// check; everything else is asked by the tool.
pub fn read(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at, role): (&Container, At<'_>, Role),
    name: &str,
    service: &mut Dict,
) {
    let mut probes = Probes::default();
    let mut check = None;
    if role != Role::Init {
        let startup = c.startup_probe.as_ref();
        let at_startup = at.get("startupProbe");
        probes.startup = startup.and_then(|p| spec(build, (c, p), at_startup, name));
        if let Some(p) = &c.readiness_probe {
            let at = at.get("readinessProbe");
            match p.exec.as_ref().and_then(|e| e.command.as_ref()) {
                Some(command) if !command.is_empty() => check = Some((p, command.clone(), at)),
                _ => probes.ready.extend(spec(build, (c, p), at, name)),
            }
        }
        if let Some(p) = &c.liveness_probe {
            let at = at.get("livenessProbe");
            probes.ready.extend(spec(build, (c, p), at, name));
            build.record(
                (&format!("service:{name}"), "livenessProbe"),
                (Class::Substituted, Severity::Low),
                ("", "it must succeed once; a container that fails it later is not restarted, so that a test sees it"),
                at.span(),
            );
        }
    }
    for probe in &mut probes.ready {
        // What is not ready is not given up either.
        probe.failures = None;
        probe.delay = 0;
    }
    healthcheck(pod, check, at, service);
    if probes != Probes::default() {
        build
            .beyond
            .extension
            .probes
            .insert(name.to_owned(), probes);
    }
}

/// Kubernetes ignores the health check of an image.
fn healthcheck(
    pod: &Pod<'_>,
    check: Option<(&Probe, Vec<String>, At<'_>)>,
    at: At<'_>,
    service: &mut Dict,
) {
    let Some((probe, command, at)) = check else {
        let mut none = Dict::at(at.span());
        none.bool("disable", true, at.span());
        service.dict("healthcheck", none);
        return;
    };
    let deadline = pod
        .workload
        .object
        .spec()
        .get("progressDeadlineSeconds")
        .node();
    let deadline = deadline.and_then(Node::as_int).unwrap_or(PROGRESS_DEADLINE);
    let mut health = Dict::at(at.span());
    let span = at.get("exec").get("command").span();
    let test = std::iter::once("CMD".to_owned()).chain(command);
    health.list("test", texts(test, span), span);
    let seconds = |n: Option<i32>, default: i32| format!("{}s", n.unwrap_or(default).max(1));
    health.text(
        "interval",
        seconds(probe.period_seconds, 10),
        at.get("periodSeconds").span(),
    );
    health.text(
        "timeout",
        seconds(probe.timeout_seconds, 1),
        at.get("timeoutSeconds").span(),
    );
    let failures = i64::from(probe.failure_threshold.unwrap_or(3).max(1));
    health.int("retries", failures, at.get("failureThreshold").span());
    // A container that is not ready yet has not failed until the rollout has.
    health.text("start_period", format!("{}s", deadline.max(1)), at.span());
    service.dict("healthcheck", health);
}

fn spec(
    build: &mut Build<'_>,
    (c, probe): (&Container, &Probe),
    at: At<'_>,
    name: &str,
) -> Option<ProbeSpec> {
    let action = action(build, (c, probe), at, name)?;
    let number = |n: Option<i32>, default: u32| {
        n.and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .unwrap_or(default)
    };
    Some(ProbeSpec {
        action,
        period: number(probe.period_seconds, 10),
        timeout: number(probe.timeout_seconds, 1),
        failures: Some(number(probe.failure_threshold, 3)),
        delay: number(probe.initial_delay_seconds, 0),
        successes: number(probe.success_threshold, 1),
    })
}

fn action(
    build: &mut Build<'_>,
    (c, probe): (&Container, &Probe),
    at: At<'_>,
    name: &str,
) -> Option<ProbeAction> {
    if let Some(exec) = &probe.exec {
        return Some(ProbeAction::Exec(exec.command.clone()?));
    }
    if let Some(get) = &probe.http_get {
        let at = at.get("httpGet");
        let port = port(build, c, &get.port, at.get("port"), name)?;
        return Some(http(get, port));
    }
    if let Some(tcp) = &probe.tcp_socket {
        let at = at.get("tcpSocket").get("port");
        return Some(ProbeAction::Tcp {
            port: port(build, c, &tcp.port, at, name)?,
            host: tcp.host.clone().unwrap_or_default(),
        });
    }
    if let Some(grpc) = &probe.grpc {
        return Some(ProbeAction::Grpc {
            port: u16::try_from(grpc.port).ok()?,
            service: grpc.service.clone().unwrap_or_default(),
        });
    }
    build.record(
        (&format!("service:{name}"), "probe"),
        (Class::Dropped, Severity::Medium),
        ("", "it says nothing that could be asked"),
        at.span(),
    );
    None
}

fn http(get: &HTTPGetAction, port: u16) -> ProbeAction {
    let path = get.path.clone().filter(|p| !p.is_empty());
    let path = path.unwrap_or_else(|| "/".into());
    let headers = get.http_headers.iter().flatten();
    ProbeAction::Http {
        port,
        path: if path.starts_with('/') {
            path
        } else {
            format!("/{path}")
        },
        tls: get
            .scheme
            .as_deref()
            .is_some_and(|s| s.eq_ignore_ascii_case("https")),
        host: get.host.clone().unwrap_or_default(),
        headers: headers
            .map(|h| format!("{}: {}", h.name, h.value))
            .collect(),
    }
}

fn port(
    build: &mut Build<'_>,
    c: &Container,
    port: &IntOrString,
    at: At<'_>,
    name: &str,
) -> Option<u16> {
    let number = match port {
        IntOrString::Int(n) => Some(*n),
        IntOrString::String(text) => {
            let mut ports = c.ports.iter().flatten();
            let own = ports.find(|p| p.name.as_deref() == Some(text));
            own.map(|p| p.container_port).or_else(|| text.parse().ok())
        }
    };
    let number = number
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| *n > 0);
    if number.is_none() {
        let shown = match port {
            IntOrString::Int(n) => n.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        let message = format!(
            "a probe of `{name}` asks the port `{shown}`, which its container does not have"
        );
        build.once(
            Problem::at(ProblemKind::UnknownReference, at.span(), message)
                .help("name one of its `ports`, or write a number"),
        );
    }
    number
}
