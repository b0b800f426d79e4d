//! Stacks that another process started, found by their labels, and what can be done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::PortPlan;
use serde::Deserialize;

use super::label::{self, read_lease};
use super::lease::{Hold, Life, Owner};
use super::order::no_such_service;
use super::sweep::{DownReport, remove_all, sweep};
use super::{Teardown, down};
use crate::docker::{Engine, ExecIo, ExecSpec, Found};

/// Pause between attempts at what the engine does not let go of yet.
const PAUSE: Duration = Duration::from_millis(100);

/// A stack that runs, whoever started it.
#[derive(Debug, Clone)]
pub struct Standing {
    pub(super) engine: Engine,
    /// Project name.
    pub project: String,
    /// Run that it belongs to.
    pub run: String,
    /// Its identity within the run.
    pub stack: String,
    /// Who keeps it.
    pub hold: Hold,
    pub(super) containers: Vec<Found>,
}

/// One container of a stack, as `ps` shows it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Service.
    pub service: String,
    /// Replica, from 1.
    pub replica: u32,
    /// Whether it is the stand-in of an external service.
    pub is_stub: bool,
    /// Container id.
    pub id: String,
    /// Container name.
    pub name: String,
    /// Image.
    pub image: String,
    /// `running`, `exited`…
    pub state: String,
    /// The engine's words (`Up 3 seconds (healthy)`).
    pub status: String,
    /// Ports that the spec publishes.
    pub ports: Vec<PortPlan>,
    /// Whether a process beside the tool took its place.
    pub is_replaced: bool,
}

/// Finds the stacks of a project (of all projects, if none is named), in a stable order.
///
/// # Errors
/// The engine cannot be asked.
pub async fn standing(engine: &Engine, project: Option<&str>) -> Result<Vec<Standing>, Problem> {
    let filter = match project {
        Some(project) => format!("{}={project}", label::PROJECT),
        None => label::PROJECT.to_owned(),
    };
    let found = engine
        .find_containers(&[filter, label::STACK.to_owned()])
        .await;
    let found = found.map_err(|e| e.problem("look for stacks"))?;
    let mut stacks: BTreeMap<(String, String, String), Vec<Found>> = BTreeMap::new();
    for container in found {
        let text = |name: &str| container.label(name).to_owned();
        let key = (text(label::PROJECT), text(label::RUN), text(label::STACK));
        stacks.entry(key).or_default().push(container);
    }
    Ok(stacks
        .into_iter()
        .map(|((project, run, stack), containers)| {
            let lease = containers.first().map_or("", |c| c.label(label::LEASE));
            let hold = read_lease(lease).unwrap_or(Hold::Run);
            Standing {
                engine: engine.clone(),
                project,
                run,
                stack,
                hold,
                containers,
            }
        })
        .collect())
}

/// Removes the stacks of a project that `up` started (or that were kept), and nothing of what
/// another process still works on: that is told in the report.
///
/// # Errors
/// The engine cannot be asked.
pub async fn down_project(
    engine: &Engine,
    project: &str,
    how: &Teardown,
) -> Result<DownReport, Problem> {
    let begun = Instant::now();
    let filter = [format!("{}={project}", label::PROJECT)];
    if how.graceful {
        for stack in standing(engine, Some(project)).await? {
            let given_up = |c| held_by(c).is_none();
            if stack.hold != Hold::Run && stack.containers.iter().all(given_up) {
                down::stop_in_order(engine, &stack.filters(), how).await;
            }
        }
    }
    let mut report = DownReport::default();
    loop {
        let found = engine
            .find(&filter)
            .await
            .map_err(|e| e.problem("look for stacks"))?;
        let mut ours = Vec::new();
        for object in found {
            let living = held_by(&object);
            let lease = read_lease(object.label(label::LEASE));
            if let Some(process) = living {
                let run = object.label(label::RUN).to_owned();
                report.alive.insert(run, process);
            } else if matches!(lease, Some(Hold::Kept | Hold::For(_))) {
                ours.push(object);
            }
        }
        report.removed += remove_all(engine, ours, &mut report.left).await;
        if report.left.is_empty() || begun.elapsed() > how.deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    report.took = begun.elapsed();
    Ok(report)
}

/// The other process on this host that made an object and still runs.
fn held_by(object: &Found) -> Option<u32> {
    let owner = Owner::from_json(object.label(label::OWNER))?;
    let another = owner.pid != std::process::id() && owner.life() == Life::Alive;
    another.then_some(owner.pid)
}

/// Published ports as their label has them.
#[derive(Deserialize)]
struct LabelledPort {
    target: u16,
    protocol: String,
    published: Option<u16>,
}

fn ports_of(container: &Found) -> Vec<PortPlan> {
    let ports: Vec<LabelledPort> =
        serde_json::from_str(container.label(label::PORTS)).unwrap_or_default();
    ports
        .into_iter()
        .map(|p| PortPlan {
            target: p.target,
            protocol: p.protocol,
            published: p.published,
        })
        .collect()
}

impl Standing {
    /// The engine it runs on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its services and stubs, as they were when it was found.
    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self
            .containers
            .iter()
            .filter(|c| matches!(c.label(label::ROLE), "service" | "stub"))
            .map(|c| Member {
                service: c.label(label::SERVICE).to_owned(),
                replica: c.label(label::REPLICA).parse().unwrap_or(1),
                is_stub: c.label(label::ROLE) == "stub",
                id: c.id.clone(),
                name: c.name.clone(),
                image: c.image.clone(),
                state: c.state.clone(),
                status: c.status.clone(),
                ports: ports_of(c),
                is_replaced: !c.label(label::REPLACED).is_empty(),
            })
            .collect();
        members.sort_by(|a, b| (&a.service, a.replica).cmp(&(&b.service, b.replica)));
        members
    }

    /// The members of these services (all, if none is named).
    ///
    /// # Errors
    /// There is no such service.
    pub fn members_of(&self, services: &[String]) -> Result<Vec<Member>, Problem> {
        let all = self.members();
        let known: BTreeSet<&str> = all.iter().map(|m| m.service.as_str()).collect();
        if let Some(unknown) = services.iter().find(|s| !known.contains(s.as_str())) {
            return Err(no_such_service(unknown, known.into_iter()));
        }
        let wanted = |m: &Member| services.is_empty() || services.contains(&m.service);
        Ok(all.iter().filter(|m| wanted(m)).cloned().collect())
    }

    /// One replica of a service.
    ///
    /// # Errors
    /// There is no such service or replica.
    pub fn member(&self, service: &str, replica: u32) -> Result<Member, Problem> {
        let members = self.members_of(&[service.to_owned()])?;
        members
            .into_iter()
            .find(|m| m.replica == replica)
            .ok_or_else(|| {
                let message = format!("service `{service}` has no replica {replica}");
                Problem::new(ProblemKind::UnknownReference, message)
            })
    }

    /// All published ports, each with its service.
    pub fn ports(&self) -> Vec<(String, PortPlan)> {
        let members = self.members();
        let mut ports: Vec<(String, PortPlan)> = members
            .into_iter()
            .flat_map(|m| m.ports.into_iter().map(move |p| (m.service.clone(), p)))
            .collect();
        ports.dedup();
        ports
    }

    /// Starts a command in a service, with its input and output connected. Its exit code is
    /// [`exit_code`](super::exit_code) once the output has ended.
    ///
    /// # Errors
    /// There is no such service or replica, or it does not run. `spec.container` is filled in.
    pub async fn exec(
        &self,
        service: &str,
        replica: u32,
        mut spec: ExecSpec,
    ) -> Result<ExecIo, Problem> {
        spec.container = self.member(service, replica)?.id;
        let started = self.engine.exec(&spec).await;
        started.map_err(|e| e.problem(format!("run `{}` in `{service}`", spec.command.join(" "))))
    }

    /// Restarts services (all, if none is named), as `docker restart` does, and after them the
    /// dependents that production restarts with them. Networks, addresses and names stay.
    ///
    /// # Errors
    /// There is no such service, or the engine refuses.
    pub async fn restart(&self, services: &[String]) -> Result<(), Problem> {
        let mut wave = self.members_of(services)?;
        wave.retain(|m| !m.is_stub || !services.is_empty());
        let mut done: BTreeSet<String> = BTreeSet::new();
        while !wave.is_empty() {
            try_join_all(wave.iter().map(|m| self.restart_member(m))).await?;
            done.extend(wave.iter().map(|m| m.service.clone()));
            let next: BTreeSet<String> = wave
                .iter()
                .flat_map(|m| self.label_of(m, label::RESTARTS).split(' '))
                .filter(|s| !s.is_empty() && !done.contains(*s))
                .map(str::to_owned)
                .collect();
            wave = self.members();
            wave.retain(|m| next.contains(&m.service));
        }
        Ok(())
    }

    async fn restart_member(&self, member: &Member) -> Result<(), Problem> {
        let grace = self.label_of(member, label::GRACE).parse().ok();
        let grace = grace.map(Duration::from_secs);
        let restarted = self.engine.restart_container(&member.id, grace).await;
        restarted.map_err(|e| e.problem(format!("restart `{}`", member.service)))
    }

    fn label_of(&self, member: &Member, name: &str) -> &str {
        let found = self.containers.iter().find(|c| c.id == member.id);
        found.map_or("", |c| c.label(name))
    }

    /// Removes it.
    pub async fn down(&self, how: &Teardown) -> DownReport {
        let begun = Instant::now();
        if how.graceful {
            down::stop_in_order(&self.engine, &self.filters(), how).await;
        }
        let mut report = sweep(&self.engine, &self.filters(), how.deadline).await;
        report.took = begun.elapsed();
        report
    }

    /// Whether any of its containers is still there.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn is_there(&self) -> Result<bool, Problem> {
        let found = self.engine.find_containers(&self.filters()).await;
        Ok(!found
            .map_err(|e| e.problem("look for the stack"))?
            .is_empty())
    }

    /// Labels of something that is made for it, and goes with it.
    pub(super) fn labels(&self, role: label::Role) -> BTreeMap<String, String> {
        let first = self.containers.first();
        let mut labels = first.map(|c| c.labels.clone()).unwrap_or_default();
        let common = [
            label::PROJECT,
            label::RUN,
            label::STACK,
            label::OWNER,
            label::LEASE,
        ];
        labels.retain(|name, _| common.contains(&name.as_str()));
        labels.insert(label::ROLE.to_owned(), role.text().to_owned());
        labels
    }

    /// The beginning of the names of its volumes.
    pub(super) fn prefix(&self) -> String {
        let mut tags = label::Tags::new(
            &self.project,
            &self.run,
            &self.stack,
            self.hold,
            &Owner::this_process(),
        );
        // A stack with plain names has them for its containers, too.
        let plain = tags.clone().plain();
        let before = |tags: &label::Tags| {
            let name = tags.name("k");
            name.strip_suffix('k').unwrap_or(&name).to_owned()
        };
        let begins = |tags: &label::Tags| {
            let prefix = before(tags);
            self.containers.iter().any(|c| c.name.starts_with(&prefix))
        };
        if !begins(&tags) && begins(&plain) {
            tags = plain;
        }
        before(&tags)
    }

    pub(super) fn filters(&self) -> Vec<String> {
        vec![
            format!("{}={}", label::RUN, self.run),
            format!("{}={}", label::STACK, self.stack),
        ]
    }
}
