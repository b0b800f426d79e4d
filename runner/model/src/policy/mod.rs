//! No way out: what of production could reach production, the engine's host or others is
//! refused or gets a harmless stand-in, and is reported; the project can allow it by name.
//!
//! [`table::RULES`] has one small function for each way out. What no rule and no field of the
//! model knows is refused as well.

mod data;
mod egress;
pub mod externals;
mod files;
mod holders;
mod images;
mod mounts;
mod namespaces;
mod net;
mod relay;
mod rights;
pub mod rule;
pub mod sensitive;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use egress::{STUB_CONFIG, names_of};
pub use externals::{Decision, External, Mention};
pub use files::variable_of;
pub use images::MISSING as MISSING_IMAGE;
pub use relay::{RELAY_CONFIG, WAY_OUT};
pub use rule::{Does, Look, Rule};
pub use table::RULES;

use self::rule::{Case, Report};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::fidelity::Fidelity;
use crate::mirror::{Mirror, MountKind, Network, Service, Ulimit};
use crate::project::{Images, Project};
use crate::spec::Beyond;
use crate::stack::extension::{Extension, KEY, VERSION};
use crate::yaml::Node;

/// What the policy is applied to.
#[derive(Debug)]
pub struct Request<'r> {
    /// Production.
    pub mirror: Mirror,
    /// The project.
    pub project: &'r Project,
    /// Images by which the mirror differs from production: the project's, and those of the
    /// command line.
    pub images: &'r Images,
    /// Reference of the agent's image, which stubs run.
    pub agent_image: &'r str,
    /// Variables of production's project, for configs and secrets with `environment:`.
    pub environment: &'r BTreeMap<String, String>,
    /// What production says that Compose has no word for.
    pub beyond: &'r Beyond,
}

/// The mirror as it may run.
#[derive(Debug)]
pub struct Applied {
    /// Production without ways out, with the stubs.
    pub mirror: Mirror,
    /// What the stack says beyond Compose; it is in the mirror's extensions too.
    pub extension: Extension,
    /// What differs from production.
    pub fidelity: Fidelity,
    /// Hosts outside of the mirror that values name.
    pub externals: Vec<External>,
    /// What refuses the spec, and warnings.
    pub problems: Problems,
}

/// The name of the stack of a mirror: never production's own, whose containers and volumes
/// plain Compose would take it for.
pub fn stack_name(mirror: &Mirror, project: &Project) -> String {
    let name = project_name(mirror, project);
    if name.ends_with("-mirror") {
        name
    } else {
        format!("{name}-mirror")
    }
}

fn project_name(mirror: &Mirror, project: &Project) -> String {
    match &project.name {
        Some(name) => name.value.clone(),
        None => mirror.name.value.clone(),
    }
}

/// Takes every way out from a mirror.
pub fn apply(request: Request<'_>) -> Applied {
    let Request {
        mut mirror,
        project,
        images,
        agent_image,
        environment,
        beyond,
    } = request;
    let mut report = Report::default();
    let externals = externals::find(&mirror, project);
    let mut extension = Extension {
        version: VERSION,
        project: project_name(&mirror, project),
        production: mirror.name.value.clone(),
        ..beyond.extension.clone()
    };
    let closed = closed_networks(&mirror);
    let pinned = relay::pinned(&mirror);
    unmapped(&mirror, &mut report);
    images::apply(&mut mirror, images, &mut report);
    holders::apply(&mut mirror, beyond, agent_image);
    tidy(&mut mirror);
    let stack = stack_name(&mirror, project);
    let production = mirror.name.value.clone();
    let mut walk = Walk {
        project,
        stack: &stack,
        production: &production,
        environment,
        report: &mut report,
    };
    table::CONTENT
        .iter()
        .for_each(|r| walk.look(r, &mut mirror));
    RULES.iter().for_each(|r| walk.look(r, &mut mirror));
    add_missing_objects(&mut mirror, &stack, &mut report);
    data::apply(&mirror, project, &mut extension, &mut report);
    sensitive::mark(&mut mirror, project);
    let helper = egress::Helper {
        agent_image,
        closed: &closed,
        stack: &stack,
    };
    egress::apply(&mut mirror, project, &helper, &mut extension, &mut report);
    relay::apply(
        &mut mirror,
        project,
        &pinned,
        &helper,
        &mut extension,
        &mut report,
    );
    mirror.name.value = stack;
    describe(&mirror, &report, &mut extension);
    check_allow(&mirror, project, &mut report);
    for e in &externals {
        report.problems.0.extend(e.problem());
        report.records.extend(e.record());
    }
    set_extension(&mut mirror, &extension);
    let mut fidelity = Fidelity {
        records: report.records,
    };
    fidelity.accept(&project.fidelity);
    Applied {
        mirror,
        extension,
        fidelity,
        externals,
        problems: report.problems,
    }
}

/// Looks at a stack that was read back: a template may have brought in a way out.
///
/// What it gives are errors, each for something that [`apply`] would have taken away.
/// `expected` is what [`apply`] gave: its relays, and only they, may be in their network.
pub fn recheck(stack: &Mirror, expected: &Mirror, project: &Project) -> Problems {
    let mut mirror = stack.clone();
    let mut report = Report {
        problems: relay::seal(&mut mirror, expected),
        ..Report::default()
    };
    unmapped(&mirror, &mut report);
    let name = mirror.name.value.clone();
    let mut walk = Walk {
        project,
        stack: &name,
        production: &name,
        environment: &BTreeMap::new(),
        report: &mut report,
    };
    RULES.iter().for_each(|r| walk.look(r, &mut mirror));
    let brought_in = report.records.iter().zip(&report.spans);
    let substituted = brought_in
        .filter(|(r, _)| r.class != crate::fidelity::Class::Mirrored && !r.raise.is_empty());
    let mut problems = report.problems;
    for (r, span) in substituted {
        let refused = RULES
            .iter()
            .any(|rule| rule.name == r.rule && rule.does == Does::Refuse);
        if !refused {
            let (kind, object) = r.object.split_once(':').unwrap_or(("", &r.object));
            problems.push(
                Problem::at(
                    ProblemKind::Forbidden,
                    span,
                    format!(
                        "{kind} `{object}`: `{}: {}` stands in the rendered stack: {}",
                        r.field, r.declared, r.reason
                    ),
                )
                .help(r.raise.clone()),
            );
        }
    }
    problems
}

/// Puts the extension into a mirror.
fn set_extension(mirror: &mut Mirror, extension: &Extension) {
    let json = serde_json::to_value(extension).unwrap_or_default();
    let node = Node::from_json(&json, &crate::source::Span::generated());
    mirror.extensions.insert(KEY.to_owned(), node);
}

struct Walk<'w> {
    project: &'w Project,
    stack: &'w str,
    production: &'w str,
    environment: &'w BTreeMap<String, String>,
    report: &'w mut Report,
}

impl Walk<'_> {
    fn look(&mut self, rule: &'static Rule, mirror: &mut Mirror) {
        match rule.look {
            Look::Service(f) => mirror
                .services
                .iter_mut()
                .for_each(|(k, o)| f(o, &mut self.case(rule, k))),
            Look::Network(f) => mirror
                .networks
                .iter_mut()
                .for_each(|(k, o)| f(o, &mut self.case(rule, k))),
            Look::Volume(f) => mirror
                .volumes
                .iter_mut()
                .for_each(|(k, o)| f(o, &mut self.case(rule, k))),
            Look::Config(f) => mirror
                .config_files
                .iter_mut()
                .for_each(|(k, o)| f(o, &mut self.case(rule, k))),
            Look::Secret(f) => mirror
                .secrets
                .iter_mut()
                .for_each(|(k, o)| f(o, &mut self.case(rule, k))),
        }
    }

    fn case<'c>(&'c mut self, rule: &'static Rule, object: &'c str) -> Case<'c> {
        Case {
            rule,
            object,
            project: self.project,
            stack: self.stack,
            production: self.production,
            environment: self.environment,
            report: self.report,
        }
    }
}

/// Networks that production itself keeps closed.
fn closed_networks(mirror: &Mirror) -> Vec<String> {
    mirror
        .networks
        .iter()
        .filter(|(_, n)| n.internal.as_ref().is_some_and(|i| i.value))
        .map(|(k, _)| k.clone())
        .collect()
}

/// Refuses what the model has no place for: it could be a way out that no rule knows yet.
fn unmapped(mirror: &Mirror, report: &mut Report) {
    for u in mirror.unmapped.iter().filter(|u| !u.is_extension()) {
        report.problems.push(
            Problem::at(
                ProblemKind::Unsupported,
                &u.span,
                format!(
                    "`{}` is not known here: it could lead out of the mirror",
                    u.path.join(".")
                ),
            )
            .help("remove it from what the mirror reads, or use a version that knows it"),
        );
    }
}

/// Takes away what is no part of what runs: build-time keys, profiles (those that are not
/// active are gone already), extensions.
fn tidy(mirror: &mut Mirror) {
    mirror.extensions.clear();
    mirror.unmapped.clear();
    for s in mirror.services.values_mut() {
        s.extensions.clear();
        s.develop = None;
        s.profiles.clear();
        s.env_files.clear();
        s.label_files.clear();
        normalise(s);
    }
}

/// Writes out what the normal form leaves out and Compose does not read back.
pub(crate) fn normalise(s: &mut Service) {
    for limit in s.limits.ulimits.values_mut() {
        if let Ulimit::Pair { soft, hard } = &mut limit.value {
            soft.get_or_insert(0);
            hard.get_or_insert(0);
        }
    }
}

fn add_missing_objects(mirror: &mut Mirror, stack: &str, report: &mut Report) {
    for (name, volume) in &report.new_volumes {
        mirror
            .volumes
            .entry(name.clone())
            .or_insert_with(|| volume.clone());
    }
    let mut missing = Vec::new();
    for s in mirror.services.values() {
        for (key, a) in &s.network.attachments {
            if !mirror.networks.contains_key(key) {
                missing.push((key.clone(), a.declared.clone()));
            }
        }
    }
    for (key, declared) in missing {
        let network = Network {
            declared,
            name: Some(format!("{stack}_{key}").into()),
            internal: Some(true.into()),
            ipam: Some(crate::mirror::Ipam::default().into()),
            ..Network::default()
        };
        mirror.networks.entry(key).or_insert(network);
    }
    for (key, object) in mirror
        .config_files
        .iter_mut()
        .chain(mirror.secrets.iter_mut())
    {
        object.name = Some(format!("{stack}_{key}").into());
    }
    if mirror.services.values().all(|s| s.models.is_empty()) {
        mirror.models.clear();
    }
}

/// What the stack must say about its services beyond Compose.
fn describe(mirror: &Mirror, report: &Report, extension: &mut Extension) {
    for (service, target) in &report.host_binds {
        extension
            .host_binds
            .entry(service.clone())
            .or_default()
            .push(target.clone());
    }
    for (key, s) in &mirror.services {
        if s.security.read_only_root.as_ref().is_some_and(|r| r.value) {
            for used in s.secrets.iter().filter_map(|u| u.source.as_ref()) {
                let object = mirror.secrets.get(used.as_str());
                if let Some(variable) = object.and_then(|o| o.environment.as_ref()) {
                    extension
                        .secret_files
                        .insert(used.value.clone(), variable.value.clone());
                }
            }
        }
        let secret: Vec<String> = s
            .env
            .iter()
            .filter(|v| v.sensitive)
            .map(|v| v.name.value.clone())
            .collect();
        if !secret.is_empty() {
            extension.sensitive.insert(key.clone(), secret);
        }
        let real = extension.host_binds.get(key);
        let copies: Vec<String> = s
            .mounts
            .list
            .iter()
            .filter(|m| m.kind.value == MountKind::Bind)
            .filter(|m| !m.read_only.as_ref().is_some_and(|r| r.value))
            .filter_map(|m| m.target.as_ref().map(|t| t.value.clone()))
            .filter(|t| !real.is_some_and(|real| real.contains(t)))
            .collect();
        if !copies.is_empty() {
            extension.writable_copies.insert(key.clone(), copies);
        }
    }
}

/// Reports permits that name nothing, and those that nothing needs.
fn check_allow(mirror: &Mirror, project: &Project, report: &mut Report) {
    for (section, object, permit) in project.allow.all() {
        let known: Vec<&str> = match section {
            "services" => mirror.services.keys().map(String::as_str).collect(),
            "networks" => mirror.networks.keys().map(String::as_str).collect(),
            "volumes" => mirror.volumes.keys().map(String::as_str).collect(),
            "configs" => mirror.config_files.keys().map(String::as_str).collect(),
            _ => mirror.secrets.keys().map(String::as_str).collect(),
        };
        if !known.contains(&object.as_str()) {
            report.problems.push(unknown(
                &object.span,
                format!(
                    "production has no {} `{}`",
                    section.trim_end_matches('s'),
                    object.as_str()
                ),
                &object.value,
                &known,
            ));
            continue;
        }
        let rules: Vec<&str> = RULES
            .iter()
            .filter(|r| r.look.section() == section)
            .map(|r| r.name)
            .collect();
        if !rules.contains(&permit.rule.as_str()) {
            report.problems.push(unknown(
                &permit.at.span,
                format!("there is no rule `{}` for {section}", permit.rule),
                &permit.rule,
                &rules,
            ));
        }
    }
    for (_, object, permit) in project.allow.unused() {
        let known = RULES.iter().any(|r| r.name == permit.rule);
        if known {
            report.problems.push(
                Problem::at(
                    ProblemKind::UnknownReference,
                    &permit.at.span,
                    format!(
                        "`{}` of `{}` needs no `{}`",
                        permit.rule,
                        object.as_str(),
                        permit.at.as_str()
                    ),
                )
                .warning()
                .help("remove it: nothing in production asks for it"),
            );
        }
    }
}

fn unknown(span: &crate::source::Span, message: String, name: &str, known: &[&str]) -> Problem {
    let help = match nearest(name, known.iter().copied()) {
        Some(k) => format!("did you mean `{k}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Problem::at(ProblemKind::UnknownReference, span, message).help(help)
}
