//! A container as a service.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::at::At;
use super::build::{Build, text_list};
use super::dict::{Dict, list};
use super::env::{self, Env};
use super::expand::expand;
use super::pod::{Pod, Role};
use super::quantity::Quantity;
use super::workload::Kind;
use super::{network, probe, security, volume};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::yaml::Node;

/// Seconds that a pod gets to end, when it does not say.
const GRACE: i64 = 30;
/// How often a job is tried again, when it does not say.
const BACKOFF_LIMIT: i64 = 6;
/// Microseconds over which the limit of processor time holds.
const CPU_PERIOD: i64 = 100_000;

/// Reads a container of a pod.
pub fn read(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at, role): (&Container, At<'_>, Role),
    name: &str,
) -> Dict {
    let mut service = Dict::at(at.span());
    if let Some(image) = &c.image {
        service.text("image", image.clone(), at.get("image").span());
    }
    if let Some(policy) = &c.image_pull_policy {
        let policy = match policy.as_str() {
            "Always" => "always",
            "Never" => "never",
            _ => "missing",
        };
        service.text("pull_policy", policy, at.get("imagePullPolicy").span());
    }
    let env = env::read(build, pod, c, at);
    for (key, from, argv) in [
        ("entrypoint", "command", &c.command),
        ("command", "args", &c.args),
    ] {
        let argv = argv.iter().flatten().enumerate();
        let argv: Vec<Node> = argv
            .map(|(i, a)| {
                let text = expand(a, |name| env.get(name));
                Node::str(text, at.get(from).item(i).span().clone())
            })
            .collect();
        if !argv.is_empty() {
            service.node(key, list(argv, at.get(from).span()));
        }
    }
    service.dict("environment", env.dict(at.get("env").span()));
    if let Some(dir) = c.working_dir.as_ref().filter(|d| !d.is_empty()) {
        service.text("working_dir", dir.clone(), at.get("workingDir").span());
    }
    for (key, from, value) in [("tty", "tty", c.tty), ("stdin_open", "stdin", c.stdin)] {
        if value == Some(true) {
            service.bool(key, true, at.get(from).span());
        }
    }
    if pod.holder.is_none() {
        network::resolver(pod, &mut service);
    }
    security::context(build, pod, (c, at), name, &mut service);
    resources(build, (c, at), name, &mut service);
    life(build, pod, (c, at, role), name, &mut service);
    probe::read(build, pod, (c, at, role), name, &mut service);
    volume::mount(build, pod, (c, at), &env, name, &mut service);
    service
}

/// What it may use: quota and period instead of a number of processors, which an engine with
/// fewer refuses.
fn resources(build: &mut Build<'_>, (c, at): (&Container, At<'_>), name: &str, service: &mut Dict) {
    let Some(resources) = &c.resources else {
        return;
    };
    let object = format!("service:{name}");
    let at = at.get("resources");
    let mut shares = None;
    for (side, values) in [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ] {
        for (what, quantity) in values.iter().flatten() {
            let place = at.get(side).get(what);
            let Some(amount) = Quantity::parse(&quantity.0) else {
                let message = format!("`{}` is no quantity", quantity.0.escape_debug());
                build.once(
                    Problem::at(ProblemKind::InvalidValue, place.span(), message)
                        .help("write a number with a unit such as `100m`, `1.5Gi` or `128M`"),
                );
                continue;
            };
            let span = place.span();
            match (side, what.as_str()) {
                // Kubernetes takes it for no limit.
                ("limits", "cpu" | "memory") if amount.milli() == 0 => {}
                ("requests", "cpu") => shares = Some((amount, span.clone())),
                ("limits", "cpu") => {
                    let quota = amount.milli().saturating_mul(CPU_PERIOD / 1000).max(1000);
                    service.int("cpu_period", CPU_PERIOD, span);
                    service.int("cpu_quota", quota, span);
                    // A limit without a request is a request as well.
                    shares.get_or_insert((amount, span.clone()));
                }
                ("limits", "memory") => {
                    service.int("mem_limit", amount.units(), span);
                    // Pods have no swap.
                    service.int("memswap_limit", amount.units(), span);
                }
                ("requests", "memory") => {}
                (_, other) => {
                    let severity = match other {
                        "ephemeral-storage" => Severity::Info,
                        _ => Severity::High,
                    };
                    build.record(
                        (&object, &format!("resources.{side}.{other}")),
                        (Class::Dropped, severity),
                        (&quantity.0, "the engine has no such resource"),
                        span,
                    );
                }
            }
        }
    }
    if let Some((amount, span)) = shares {
        let shares = amount.milli().saturating_mul(1024) / 1000;
        service.int("cpu_shares", shares.clamp(2, 262_144), &span);
    }
}

/// How it is started again, how it is stopped, and what runs then.
fn life(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at, role): (&Container, At<'_>, Role),
    name: &str,
    service: &mut Dict,
) {
    let (spec, place) = (&pod.workload.pod, pod.workload.spec());
    let grace = spec.termination_grace_period_seconds.unwrap_or(GRACE);
    let span = place.get("terminationGracePeriodSeconds").span();
    service.text("stop_grace_period", format!("{}s", grace.max(0)), span);
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let span = place.get("restartPolicy").span();
    let restart = match (role, policy) {
        (Role::Sidecar, _) => "always".to_owned(),
        (Role::Init, "Never") | (Role::Main, "Never") if !pod.workload.kind.ends() => {
            "no".to_owned()
        }
        (Role::Init, _) => "on-failure".to_owned(),
        (Role::Main, _) if pod.workload.kind.ends() => {
            let job = match pod.workload.kind {
                Kind::CronJob => pod.workload.object.spec().get("jobTemplate").get("spec"),
                _ => pod.workload.object.spec(),
            };
            let limit = job.get("backoffLimit").node().and_then(Node::as_int);
            match limit.unwrap_or(BACKOFF_LIMIT) {
                ..=0 => "no".to_owned(),
                n => format!("on-failure:{n}"),
            }
        }
        (Role::Main, "OnFailure") => "on-failure".to_owned(),
        (Role::Main, _) => "always".to_owned(),
    };
    if restart != "no" {
        build.beyond.extension.patient.push(name.to_owned());
    }
    service.text("restart", restart, span);
    let Some(lifecycle) = &c.lifecycle else {
        return;
    };
    let at = at.get("lifecycle");
    for (key, from, handler) in [
        ("post_start", "postStart", &lifecycle.post_start),
        ("pre_stop", "preStop", &lifecycle.pre_stop),
    ] {
        let at = at.get(from);
        let Some(handler) = handler else { continue };
        if let Some(hook) = hook(handler, at) {
            service.list(key, vec![hook], at.span());
        } else {
            let (severity, declared) = match (from, &handler.sleep) {
                ("preStop", Some(sleep)) => (Severity::Low, format!("sleep {}s", sleep.seconds)),
                _ => (Severity::Medium, String::new()),
            };
            build.record(
                (&format!("service:{name}"), &format!("lifecycle.{from}")),
                (Class::Dropped, severity),
                (&declared, "only commands run there"),
                at.span(),
            );
        }
    }
}

fn hook(handler: &LifecycleHandler, at: At<'_>) -> Option<Node> {
    let command = handler.exec.as_ref()?.command.as_ref()?;
    let span = at.get("exec").get("command").span();
    let mut hook = Dict::at(span);
    hook.node("command", text_list(command.iter().cloned(), span));
    Some(hook.done())
}

/// The variables that a text names; for mounts with `subPathExpr`.
pub fn expanded(text: &str, env: &Env) -> String {
    expand(text, |name| env.get(name))
}
