//! In which order services start: who waits for whom.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Dependency;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Condition, Mirror, Service, Sourced};
use crate::source::Span;

/// Who waits for whom.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order {
    /// All services, each one after those that it waits for; otherwise in the spec's order.
    pub services: Vec<String>,
    /// What each service waits for, in the spec's order.
    pub waits_for: BTreeMap<String, Vec<Dependency>>,
}

/// A dependency with the place that says so.
struct Edge<'a> {
    span: &'a Span,
    rule: Dependency,
}

/// Finds the order from `depends_on`, links, and shared namespaces and mounts.
///
/// # Errors
/// Services that are not there, and circles, with the places of the whole chain.
pub fn order(mirror: &Mirror) -> Result<Order, Problems> {
    let mut problems = Problems::default();
    let mut edges: IndexMap<&str, Vec<Edge<'_>>> = IndexMap::new();
    for (name, service) in &mirror.services {
        edges.insert(name, edges_of(mirror, service, &mut problems));
    }
    let mut walk = Walk {
        edges: &edges,
        state: BTreeMap::new(),
        sorted: Vec::with_capacity(edges.len()),
        problems,
    };
    for name in edges.keys() {
        walk.from(name);
    }
    if walk.problems.has_errors() {
        return Err(walk.problems);
    }
    let services = walk.sorted.iter().map(|s| (*s).to_owned()).collect();
    let waits_for = edges
        .into_iter()
        .map(|(name, edges)| (name.to_owned(), edges.into_iter().map(|e| e.rule).collect()))
        .collect();
    Ok(Order {
        services,
        waits_for,
    })
}

/// All that a service waits for: what it says itself first, then what follows from the rest.
fn edges_of<'a>(mirror: &Mirror, service: &'a Service, problems: &mut Problems) -> Vec<Edge<'a>> {
    let mut edges: Vec<Edge<'a>> = Vec::new();
    for dependency in &service.depends_on {
        let (target, required) = (&dependency.service, dependency.required());
        match mirror.services.get(&target.value) {
            None if !required => continue,
            None => problems.push(unknown(mirror, service, target)),
            Some(other) => problems.0.extend(never(service, other, dependency)),
        }
        edges.push(Edge {
            span: &target.span,
            rule: Dependency {
                service: target.value.clone(),
                condition: dependency.condition(),
                required,
                restart: dependency.restart(),
            },
        });
    }
    for (target, span) in implied(service) {
        if edges.iter().any(|e| e.rule.service == target) {
            continue;
        }
        if !mirror.services.contains_key(target) {
            let target = Sourced::new(target.to_owned(), span.clone());
            problems.push(unknown(mirror, service, &target));
        }
        edges.push(Edge {
            span,
            rule: Dependency {
                service: target.to_owned(),
                condition: Condition::Started,
                required: true,
                restart: false,
            },
        });
    }
    edges
}

/// Services whose namespaces, mounts or names are used.
fn implied(service: &Service) -> Vec<(&str, &Span)> {
    let mut found = Vec::new();
    let spaces = &service.namespaces;
    let modes = [&service.network.mode, &spaces.ipc, &spaces.pid];
    for mode in modes.into_iter().flatten() {
        found.extend(mode.service().map(|target| (target, &mode.span)));
    }
    for link in &service.network.links {
        found.push((link.target.as_str(), &link.span));
    }
    for from in &service.mounts.volumes_from {
        if !from.starts_with("container:") {
            let name = from.split(':').next().unwrap_or_default();
            found.push((name, &from.span));
        }
    }
    found
}

fn unknown(mirror: &Mirror, service: &Service, target: &Sourced<String>) -> Problem {
    let message = format!(
        "service {} depends on {}, which is not a service",
        service.name.value, target.value
    );
    let problem = Problem::at(ProblemKind::UnknownReference, &target.span, message);
    let known = mirror.services.keys().map(String::as_str);
    match crate::diag::nearest(&target.value, known) {
        Some(near) => problem.help(format!("did you mean {near}?")),
        None => problem,
    }
}

/// A condition that can never come true.
fn never(
    service: &Service,
    other: &Service,
    dependency: &crate::mirror::Dependency,
) -> Option<Problem> {
    let health = other.health.as_ref()?;
    let off = health.disable.as_ref().is_some_and(|d| d.value)
        || (health.test.as_ref()).is_some_and(|t| t.first().is_some_and(|t| t.as_str() == "NONE"));
    if !off || dependency.condition() != Condition::Healthy || !dependency.required() {
        return None;
    }
    let message = format!(
        "service {} waits until {} is healthy, which has no health check",
        service.name.value, other.name.value
    );
    Some(
        Problem::at(ProblemKind::Conflict, &dependency.service.span, message)
            .related(&health.span, "the health check is turned off here"),
    )
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Open,
    Done,
}

/// A walk along the edges, deepest first.
struct Walk<'a> {
    edges: &'a IndexMap<&'a str, Vec<Edge<'a>>>,
    state: BTreeMap<&'a str, Mark>,
    sorted: Vec<&'a str>,
    problems: Problems,
}

impl<'a> Walk<'a> {
    /// Walks from a service, with a stack of its own: a chain may be as long as the spec.
    fn from(&mut self, start: &'a str) {
        if self.state.contains_key(start) {
            return;
        }
        let mut path: Vec<(&'a str, usize)> = vec![(start, 0)];
        self.state.insert(start, Mark::Open);
        while let Some((name, next)) = path.last_mut() {
            let name = *name;
            let edge = self.edges.get(name).and_then(|list| list.get(*next));
            *next += 1;
            let Some(edge) = edge else {
                self.state.insert(name, Mark::Done);
                self.sorted.push(name);
                path.pop();
                continue;
            };
            let Some((target, _)) = self.edges.get_key_value(edge.rule.service.as_str()) else {
                continue;
            };
            match self.state.get(target) {
                Some(Mark::Done) => {}
                Some(Mark::Open) => self.circle(&path, target),
                None => {
                    self.state.insert(target, Mark::Open);
                    path.push((target, 0));
                }
            }
        }
    }

    /// Notes a circle that ends where it began, at `target`.
    fn circle(&mut self, path: &[(&'a str, usize)], target: &str) {
        let from = path.iter().position(|(name, _)| *name == target);
        let chain = &path[from.unwrap_or(0)..];
        let mut names: Vec<&str> = chain.iter().map(|(name, _)| *name).collect();
        names.push(target);
        let message = format!("services wait for each other: {}", names.join(" -> "));
        let mut problem =
            Problem::new(ProblemKind::Cycle, message).help("take one of these dependencies out");
        for (name, next) in chain {
            let edge = self.edges.get(name).and_then(|list| list.get(next - 1));
            let Some(edge) = edge else { continue };
            if problem.span.is_none() {
                problem = problem.or_at(edge.span);
            } else {
                let says = format!("{name} waits for {}", edge.rule.service);
                problem = problem.related(edge.span, says);
            }
        }
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    fn mirror(services: &str) -> Mirror {
        let text = format!("name: t\nservices:\n{services}");
        Mirror::from_compose(&parse_one(&SourceFile::new("c.yaml", text)).unwrap()).unwrap()
    }

    #[test]
    fn a_service_comes_after_what_it_needs() {
        let m = mirror(
            "  web: {depends_on: {api: {condition: service_healthy, required: true}}}\n  \
             side: {network_mode: 'service:web'}\n  \
             api: {links: ['db:store'], volumes_from: ['seed:ro']}\n  \
             db: {}\n  seed: {}\n",
        );
        let order = order(&m).unwrap();
        assert_eq!(order.services, ["db", "seed", "api", "web", "side"]);
        assert_eq!(order.waits_for["web"][0].condition, Condition::Healthy);
        assert_eq!(order.waits_for["side"][0].service, "web");
        assert_eq!(order.waits_for["api"].len(), 2);
    }

    #[test]
    fn a_circle_is_shown_with_all_its_places() {
        let m = mirror(
            "  a: {depends_on: {b: {required: true}}}\n  \
             b: {depends_on: {c: {required: true}}}\n  \
             c: {depends_on: {b: {required: true}}}\n",
        );
        let problems = order(&m).unwrap_err();
        assert_eq!(
            problems.to_string(),
            "c.yaml:4:20: services wait for each other: b -> c -> b\n  \
             c.yaml:5:20: c waits for b\n  help: take one of these dependencies out"
        );
    }

    #[test]
    fn what_is_not_there_is_named_unless_it_need_not_be() {
        let m = mirror(
            "  a: {depends_on: {databse: {required: true}, gone: {required: false}}}\n  database: {}\n",
        );
        let problems = order(&m).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        assert_eq!(
            problems.0[0].help.as_deref(),
            Some("did you mean database?")
        );
    }

    #[test]
    fn who_waits_for_health_needs_a_check() {
        let m = mirror(
            "  a: {depends_on: {b: {condition: service_healthy, required: true}}}\n  \
             b: {healthcheck: {disable: true}}\n",
        );
        assert_eq!(order(&m).unwrap_err().0[0].kind, ProblemKind::Conflict);
    }

    #[test]
    fn long_chains_need_no_deep_stack() {
        let mut text = String::new();
        for i in 0..20_000 {
            text += &format!("  s{i}: {{depends_on: {{s{}: {{}}}}}}\n", i + 1);
        }
        text += "  s20000: {}\n";
        assert_eq!(order(&mirror(&text)).unwrap().services[0], "s20000");
    }
}
