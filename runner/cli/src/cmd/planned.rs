//! The plan of a stack on an engine, and the images that it needs.

use prodmirror_engine::agent::{RunCa, trust};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::{Policy, Wanted as WantedImage};
use prodmirror_engine::live::nofile_limit;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::lock::Lock;
use prodmirror_model::mirror::highest_nofile;
use prodmirror_model::plan::{self, Plan};

use super::{Session, fidelity};
use crate::exit::Exit;
use crate::open::{Opened, is_own};

/// A plan, and the certificates (DER) of the authorities that steps trust.
pub type Planned = (Plan, Vec<Vec<u8>>);

/// Plans the stack of an opened project for an engine; the fidelity gate is asked here.
pub async fn plan_of(session: &Session, opened: &Opened, engine: &Engine) -> Result<Planned, Exit> {
    let ca = authority(opened).map_err(|p| session.fail(p))?;
    plan_with(session, opened, engine, &ca).await
}

/// The authority that a plan's certificates are of: services that know it know none other.
///
/// # Errors
/// No key can be made.
pub fn authority(opened: &Opened) -> Result<RunCa, Problem> {
    let name = opened.stack().map(|s| s.mirror.name.value.as_str());
    RunCa::new(name.unwrap_or_default())
}

/// As [`plan_of`], with an authority that services know already.
pub async fn plan_with(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
    ca: &RunCa,
) -> Result<Planned, Exit> {
    let host = engine_facts(session, opened, engine).await?;
    let (plan, roots) = planned(opened, engine, host, ca).map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        let drifted = problems.0.iter().any(|p| p.kind == ProblemKind::Drift);
        if drifted { Exit::Gate } else { Exit::Invalid }
    })?;
    let over = fidelity::planned(opened, &plan).over(&opened.project.fidelity);
    if over.is_empty() {
        Ok((plan, roots))
    } else {
        Err(fidelity::gate(session, &over))
    }
}

/// As [`plan_of`], without asking the gate: where no scenario is run, nothing is claimed.
///
/// # Errors
/// All that is wrong.
pub async fn bare_plan(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
) -> Result<Planned, Problems> {
    let host = engine_facts(session, opened, engine).await;
    let host = host.map_err(|_| Problems::default())?;
    planned(opened, engine, host, &authority(opened)?)
}

fn planned(
    opened: &Opened,
    engine: &Engine,
    host: plan::HostFacts,
    ca: &RunCa,
) -> Result<Planned, Problems> {
    opened
        .stack()
        .ok_or_else(Problems::default)
        .and_then(|stack| {
            let values = opened.values(stack)?;
            let mut plan = stack.plan(&opened.project, &values, host)?;
            if let Some(lock) = &opened.lock {
                lock.pin(&mut plan, &engine.platform())?;
            }
            for secret in plan.secrets() {
                opened.redactor.add("a secret of the stack", secret);
            }
            let root = trust(&mut plan, &stack.extension.stubs, ca)?;
            Ok((plan, root.into_iter().collect()))
        })
}

/// What a plan depends on, of what is known of the engine.
async fn engine_facts(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
) -> Result<plan::HostFacts, Exit> {
    let mut nofile = None;
    if let Some(stack) = opened.stack()
        && let Some(wanted) = highest_nofile(stack.mirror.services.values())
    {
        let probe = format!("limits-{}", std::process::id());
        let marks = (stack.mirror.name.value.as_str(), probe.as_str());
        let known = nofile_limit(engine, marks, wanted).await;
        nofile = known.map_err(|p| session.fail(p))?;
    }
    Ok(engine.facts().for_plan(nofile))
}

/// The images that a plan needs, each once; those that a lock pins are never pulled by their tag.
pub fn images_of(plan: &Plan, lock: Option<&Lock>, offline: bool) -> Vec<WantedImage> {
    let mut wanted: Vec<WantedImage> = Vec::new();
    for c in &plan.containers {
        if wanted
            .iter()
            .any(|w| w.reference == c.image && w.platform == c.platform)
        {
            continue;
        }
        if is_own(&c.image) {
            continue;
        }
        let locked_for = lock.and_then(|l| l.name_of(&c.image)).map(str::to_owned);
        let policy = match Policy::from_spec(c.pull_policy.as_deref()) {
            _ if offline || c.image.starts_with("sha256:") => Policy::Never,
            // The same digest is the same image, however often it is pulled.
            Policy::Always if locked_for.is_some() => Policy::Missing,
            policy => policy,
        };
        wanted.push(WantedImage {
            reference: c.image.clone(),
            platform: c.platform.clone(),
            policy,
            locked_for,
        });
    }
    wanted
}
