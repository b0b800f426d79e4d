//! Which services start, and which are worth starting first.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::plan::{Condition, ContainerPlan, NetworkOf, Plan};

use super::body::needs_containers;

/// The services of a stack and how they hang together.
#[derive(Debug, Default)]
pub struct Order {
    /// Positions in `Plan::containers` of what is started; long chains of dependents first.
    pub containers: Vec<usize>,
    /// Services whose failure fails nobody: all that depend on them can do without.
    pub optional: BTreeSet<String>,
    /// Services that somebody needs healthy.
    pub wanted_healthy: BTreeSet<String>,
    /// Services that somebody needs completed.
    pub wanted_completed: BTreeSet<String>,
    /// Service to the services that depend on it directly.
    pub dependents: BTreeMap<String, BTreeSet<String>>,
    /// Service to the dependents that restart when it does (`restart: true`).
    pub restarted_with: BTreeMap<String, BTreeSet<String>>,
}

impl Order {
    /// Chooses the services (all if none are named) with all that they need.
    ///
    /// # Errors
    /// A name that is not in the plan, or a circle.
    pub fn of(plan: &Plan, wanted: &[String]) -> Result<Self, Problem> {
        let needs = needs(plan);
        let chosen = closure(&needs, wanted)?;
        let mut order = Self::default();
        for c in plan
            .containers
            .iter()
            .filter(|c| chosen.contains(&c.service))
        {
            for d in &c.depends_on {
                order
                    .dependents
                    .entry(d.service.clone())
                    .or_default()
                    .insert(c.service.clone());
                if d.restart {
                    let with = order.restarted_with.entry(d.service.clone());
                    with.or_default().insert(c.service.clone());
                }
                match d.condition {
                    Condition::Healthy => order.wanted_healthy.insert(d.service.clone()),
                    Condition::CompletedSuccessfully => {
                        order.wanted_completed.insert(d.service.clone())
                    }
                    Condition::Started | Condition::Ended => false,
                };
            }
        }
        order.optional = optional(plan, &chosen);
        let heights = heights(&needs, &chosen)?;
        let mut containers: Vec<usize> = (0..plan.containers.len())
            .filter(|i| chosen.contains(&plan.containers[*i].service))
            .collect();
        containers.sort_by_key(|i| {
            std::cmp::Reverse(heights.get(plan.containers[*i].service.as_str()).copied())
        });
        order.containers = containers;
        Ok(order)
    }
}

/// Service to all services that must be there before or with it.
fn needs(plan: &Plan) -> BTreeMap<&str, BTreeSet<String>> {
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for c in &plan.containers {
        let of = needs.entry(&c.service).or_default();
        for d in &c.depends_on {
            of.insert(d.service.clone());
        }
        for other in needs_containers(c).into_iter().chain(network_of(c)) {
            of.insert(other);
        }
    }
    needs
}

fn network_of(c: &ContainerPlan) -> Option<String> {
    match &c.network {
        NetworkOf::Service(s) => Some(s.clone()),
        NetworkOf::Own | NetworkOf::None | NetworkOf::Foreign(_) => None,
    }
}

fn closure(
    needs: &BTreeMap<&str, BTreeSet<String>>,
    wanted: &[String],
) -> Result<BTreeSet<String>, Problem> {
    let mut open: Vec<String> = if wanted.is_empty() {
        needs.keys().map(|s| (*s).to_owned()).collect()
    } else {
        if let Some(name) = wanted.iter().find(|w| !needs.contains_key(w.as_str())) {
            return Err(no_such_service(name, needs.keys().copied()));
        }
        wanted.to_vec()
    };
    let mut chosen = BTreeSet::new();
    while let Some(service) = open.pop() {
        if !chosen.insert(service.clone()) {
            continue;
        }
        // A service without replicas has no container, and nobody waits for it.
        let of = needs.get(service.as_str()).into_iter().flatten();
        open.extend(of.filter(|o| needs.contains_key(o.as_str())).cloned());
    }
    Ok(chosen)
}

/// The problem of a service name that nobody has.
pub fn no_such_service<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let known: Vec<&str> = known.collect();
    let message = format!("there is no service `{name}`");
    let problem = Problem::new(ProblemKind::UnknownReference, message);
    match nearest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("the services are {}", known.join(", "))),
    }
}

/// Services that are depended on, but nowhere as required.
fn optional(plan: &Plan, chosen: &BTreeSet<String>) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
    for c in plan
        .containers
        .iter()
        .filter(|c| chosen.contains(&c.service))
    {
        for d in &c.depends_on {
            *seen.entry(&d.service).or_default() |= d.required;
        }
        if let Some(name) = network_of(c).and_then(|other| chosen.get(&other)) {
            seen.insert(name, true);
        }
    }
    seen.into_iter()
        .filter(|(_, required)| !required)
        .map(|(s, _)| s.to_owned())
        .collect()
}

/// Length of the longest chain of services that wait for each service.
fn heights<'a>(
    needs: &BTreeMap<&'a str, BTreeSet<String>>,
    chosen: &BTreeSet<String>,
) -> Result<BTreeMap<&'a str, usize>, Problem> {
    let mut waiting: BTreeMap<&'a str, usize> = needs
        .keys()
        .filter(|s| chosen.contains(**s))
        .map(|s| (*s, 0))
        .collect();
    for service in chosen {
        for other in needs.get(service.as_str()).into_iter().flatten() {
            if let Some(n) = waiting.get_mut(other.as_str()) {
                *n += 1;
            }
        }
    }
    let mut heights: BTreeMap<&'a str, usize> = waiting.keys().map(|s| (*s, 0)).collect();
    let mut free: Vec<&'a str> = waiting
        .iter()
        .filter(|(_, n)| **n == 0)
        .map(|(s, _)| *s)
        .collect();
    let mut done = 0;
    while let Some(service) = free.pop() {
        done += 1;
        let height = heights.get(service).copied().unwrap_or(0);
        for other in needs.get(service).into_iter().flatten().map(String::as_str) {
            let Some((key, n)) = waiting.iter_mut().find(|(k, _)| **k == other) else {
                continue;
            };
            *n -= 1;
            if let Some(h) = heights.get_mut(*key) {
                *h = (*h).max(height + 1);
            }
            if *n == 0 {
                free.push(key);
            }
        }
    }
    if done == waiting.len() {
        return Ok(heights);
    }
    let stuck: Vec<&str> = waiting
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(s, _)| *s)
        .collect();
    Err(Problem::new(
        ProblemKind::Cycle,
        format!("these services wait for each other: {}", stuck.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use prodmirror_model::plan::Dependency;

    use super::*;

    fn container(service: &str, deps: &[(&str, bool)]) -> ContainerPlan {
        ContainerPlan {
            service: service.into(),
            replica: 1,
            body: serde_json::json!({}),
            depends_on: deps
                .iter()
                .map(|(s, required)| Dependency {
                    service: (*s).into(),
                    condition: Condition::Started,
                    required: *required,
                    restart: false,
                })
                .collect(),
            ..ContainerPlan::default()
        }
    }

    fn plan(containers: Vec<ContainerPlan>) -> Plan {
        Plan {
            project: "p".into(),
            containers,
            ..Plan::default()
        }
    }

    fn names(plan: &Plan, order: &Order) -> Vec<String> {
        order
            .containers
            .iter()
            .map(|i| plan.containers[*i].service.clone())
            .collect()
    }

    #[test]
    fn long_chains_come_first() {
        let p = plan(vec![
            container("lone", &[]),
            container("web", &[("api", true)]),
            container("api", &[("db", true)]),
            container("db", &[]),
        ]);
        let order = Order::of(&p, &[]).unwrap();
        assert_eq!(names(&p, &order), ["db", "api", "lone", "web"]);
    }

    #[test]
    fn named_services_bring_what_they_need() {
        let p = plan(vec![
            container("lone", &[]),
            container("api", &[("db", true), ("gone", false)]),
            container("db", &[]),
        ]);
        let order = Order::of(&p, &["api".into()]).unwrap();
        assert_eq!(names(&p, &order), ["db", "api"]);
        let p = Order::of(&p, &["apo".into()]).unwrap_err();
        assert_eq!(p.help.as_deref(), Some("did you mean `api`?"));
    }

    #[test]
    fn circles_are_refused_and_services_without_replicas_are_not_waited_for() {
        let p = plan(vec![
            container("a", &[("b", true)]),
            container("b", &[("a", true)]),
        ]);
        assert_eq!(Order::of(&p, &[]).unwrap_err().kind, ProblemKind::Cycle);
        let p = plan(vec![container("a", &[("b", true)])]);
        assert_eq!(names(&p, &Order::of(&p, &[]).unwrap()), ["a"]);
    }

    #[test]
    fn what_everybody_can_do_without_is_optional() {
        let p = plan(vec![
            container("a", &[("metrics", false), ("db", true)]),
            container("db", &[("metrics", false)]),
            container("metrics", &[]),
        ]);
        let optional = Order::of(&p, &[]).unwrap().optional;
        assert_eq!(optional.into_iter().collect::<Vec<_>>(), ["metrics"]);
    }
}
