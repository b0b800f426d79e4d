//! What the command line asks to be opened, looked at before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prodmirror_engine::docker::Engine;
use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::plan::{ContainerPlan, NetworkOf, Plan};
use prodmirror_model::stack::extension::StubSpec;

use super::{Asked, Hosts, Port, loopback};
use crate::args::{DebugArgs, DoorArgs};

/// The ports of each service.
pub type Ports = BTreeMap<String, BTreeSet<u16>>;

/// The ports of TCP that services name: in the spec, or in their images, which are there.
///
/// # Errors
/// The engine's.
pub async fn ports_by_service(
    engine: &Engine,
    plan: &Plan,
    stubs: &BTreeMap<String, StubSpec>,
) -> Result<Ports, Problem> {
    let mut all = Ports::new();
    for c in plan.containers.iter().filter(|c| c.replica == 1) {
        let of = all.entry(c.service.clone()).or_default();
        of.extend(named(c));
        if let Some(stub) = stubs.get(&c.service) {
            of.extend(&stub.ports);
        }
        if !c.is_agent() {
            let config = engine.image_config(&c.image).await;
            let config = config.map_err(|e| e.problem(format!("look at the image {}", c.image)))?;
            of.extend(config.tcp);
        }
    }
    Ok(all)
}

/// The ports that the spec publishes or exposes.
fn named(c: &ContainerPlan) -> BTreeSet<u16> {
    let published = c.ports.iter().filter(|p| p.protocol == "tcp");
    let exposed = c.body.get("ExposedPorts").and_then(|e| e.as_object());
    let exposed = exposed.into_iter().flat_map(|e| e.keys());
    let exposed = exposed.filter_map(|p| match p.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => p.parse().ok(),
    });
    published.map(|p| p.target).chain(exposed).collect()
}

/// What is asked for, of a plan; `hosts` is where lines for the file of hosts are written.
///
/// # Errors
/// Services that there are none of, ports that are none.
pub fn ask(
    (doors, debug): (&DoorArgs, &DebugArgs),
    plan: &Plan,
    known: &Ports,
    hosts: &Path,
) -> Result<Asked, Problems> {
    let mut problems = Problems::default();
    let mut asked = Asked {
        declared: declared(plan),
        ..Asked::default()
    };
    let stand_ins: BTreeSet<String> = plan
        .containers
        .iter()
        .filter(|c| c.is_stand_in())
        .map(|c| c.service.clone())
        .collect();
    match doors.publish.as_deref() {
        None => {}
        Some([]) => {
            let own = known.iter().filter(|(s, _)| !stand_ins.contains(*s));
            asked.published = own
                .flat_map(|(s, ports)| ports.iter().map(|p| Port::tcp(s, *p)))
                .collect();
        }
        Some(wanted) => {
            for text in wanted {
                match publish(text, known) {
                    Ok(ports) => asked.published.extend(ports),
                    Err(p) => problems.push(p),
                }
            }
        }
    }
    for text in &debug.debug {
        let port = debugger(text, known).and_then(|port| {
            can_be_entered(plan, &port.service)?;
            Ok(port)
        });
        match port {
            Ok(port) => asked.debuggers.push(port),
            Err(p) => problems.push(p),
        }
    }
    if let Some(at) = &doors.proxy {
        match loopback("--proxy", at) {
            Ok(at) => asked.proxy = Some(at),
            Err(p) => problems.push(p),
        }
    }
    if doors.hosts {
        asked.hosts = Some(Hosts {
            project: plan.project.clone(),
            file: hosts.to_owned(),
            ports: known.clone(),
            stand_ins,
        });
    }
    match problems.0.is_empty() {
        true => Ok(asked),
        false => Err(problems),
    }
}

fn declared(plan: &Plan) -> Vec<Port> {
    let of = |c: &ContainerPlan| {
        let service = c.service.clone();
        c.ports.clone().into_iter().map(move |p| Port {
            service: service.clone(),
            target: p.target,
            protocol: p.protocol,
            published: p.published,
        })
    };
    plan.containers.iter().flat_map(of).collect()
}

/// `SERVICE` or `SERVICE:PORT`.
fn publish(text: &str, known: &Ports) -> Result<Vec<Port>, Problem> {
    let option = format!("`--publish {text}`");
    let (service, port) = match text.split_once(':') {
        Some((service, port)) => (service, Some(number(&option, port, "db:5432")?)),
        None => (text, None),
    };
    let ports = service_of(&option, service, known)?;
    let ports: Vec<Port> = match port {
        Some(port) => vec![Port::tcp(service, port)],
        None => ports.iter().map(|p| Port::tcp(service, *p)).collect(),
    };
    if ports.is_empty() {
        let what = format!(
            "{option}: neither production's spec nor the image of {service} names a port of TCP"
        );
        return Err(Problem::new(ProblemKind::Missing, what)
            .help(format!("say which: --publish {service}:8080")));
    }
    Ok(ports)
}

/// `SERVICE=PORT`.
fn debugger(text: &str, known: &Ports) -> Result<Port, Problem> {
    let option = format!("`--debug {text}`");
    let Some((service, port)) = text.split_once('=') else {
        let what = format!("{option} is not SERVICE=PORT");
        return Err(
            Problem::new(ProblemKind::InvalidValue, what).help("for example --debug orders=5678")
        );
    };
    service_of(&option, service, known)?;
    Ok(Port::tcp(service, number(&option, port, "orders=5678")?))
}

/// Whether there is a way into the network of a service.
fn can_be_entered(plan: &Plan, service: &str) -> Result<(), Problem> {
    let Some(c) = plan.containers.iter().find(|c| c.service == service) else {
        return Ok(());
    };
    let why = match &c.network {
        _ if c.is_stand_in() => "stands in for a host outside, and has nothing to debug",
        NetworkOf::None => "has no network",
        NetworkOf::Foreign(_) => "has a network that is not the mirror's",
        NetworkOf::Own | NetworkOf::Service(_) => return Ok(()),
    };
    let what = format!("`--debug {service}=…`: `{service}` {why}");
    Err(Problem::new(ProblemKind::Unsupported, what)
        .help("debug it by `prodmirror exec`, inside of its container"))
}

fn number(option: &str, text: &str, example: &str) -> Result<u16, Problem> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => {
            let what = format!("{option}: `{text}` is no port of TCP");
            Err(Problem::new(ProblemKind::InvalidValue, what)
                .help(format!("a number from 1 to 65535, for example {example}")))
        }
    }
}

/// What is known of a service's ports.
fn service_of<'k>(
    option: &str,
    service: &str,
    known: &'k Ports,
) -> Result<&'k BTreeSet<u16>, Problem> {
    known.get(service).ok_or_else(|| {
        let what = format!("{option}: there is no service `{service}`");
        let problem = Problem::new(ProblemKind::UnknownReference, what);
        match nearest(service, known.keys().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => {
                let all: Vec<&str> = known.keys().map(String::as_str).collect();
                problem.help(format!("the services are {}", all.join(", ")))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Ports {
        Ports::from([
            ("db".to_owned(), BTreeSet::from([5432])),
            ("web".to_owned(), BTreeSet::from([80, 443])),
            ("worker".to_owned(), BTreeSet::new()),
        ])
    }

    fn asked(publish: Option<&[&str]>, debug: &[&str]) -> Result<Asked, Vec<String>> {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        let doors = DoorArgs {
            publish: publish.map(own),
            ..DoorArgs::default()
        };
        let debug = DebugArgs {
            debug: own(debug),
            ..DebugArgs::default()
        };
        let asked = ask((&doors, &debug), &Plan::default(), &known(), Path::new("h"));
        asked.map_err(|p| p.0.iter().map(|p| p.message.clone()).collect())
    }

    #[test]
    fn ports_are_asked_for_by_service_and_number() {
        let shown = |ports: &[Port]| -> Vec<String> {
            ports
                .iter()
                .map(|p| format!("{}:{}", p.service, p.target))
                .collect()
        };
        assert!(asked(None, &[]).unwrap().is_empty());
        let all = asked(Some(&[]), &[]).unwrap();
        assert_eq!(shown(&all.published), ["db:5432", "web:80", "web:443"]);
        let some = asked(Some(&["web", "db:9000"]), &["worker=5678"]).unwrap();
        assert_eq!(shown(&some.published), ["web:80", "web:443", "db:9000"]);
        assert_eq!(shown(&some.debuggers), ["worker:5678"]);
    }

    #[test]
    fn what_is_wrong_is_said_at_once() {
        let said = asked(
            Some(&["wbe", "worker", "db:0", "db:80/udp"]),
            &["db", "db=x"],
        );
        let said = said.unwrap_err();
        assert_eq!(
            said,
            [
                "`--publish wbe`: there is no service `wbe`",
                "`--publish worker`: neither production's spec nor the image of worker names a port of TCP",
                "`--publish db:0`: `0` is no port of TCP",
                "`--publish db:80/udp`: `80/udp` is no port of TCP",
                "`--debug db` is not SERVICE=PORT",
                "`--debug db=x`: `x` is no port of TCP",
            ]
        );
    }
}
