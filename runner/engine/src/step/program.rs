//! Compiled scenarios: every step decoded, every expression and template compiled.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use prodmirror_model::check::{Expectation, Expr};
use prodmirror_model::diag::Problem;
use prodmirror_model::event::CaseId;
use prodmirror_model::scenario::{Body, Reading, Scenario, Section, Step, read};
use prodmirror_model::source::{SourceFile, Span};

use super::target::Target;
use super::{Act, kind};

/// A scenario that is ready to run.
pub struct Program {
    /// What was read.
    pub scenario: Scenario,
    acts: HashMap<String, Box<dyn Act>>,
    kept: Kept,
}

/// The usual expectations of each kind.
static USUAL: LazyLock<HashMap<&'static str, Vec<Expectation>>> = LazyLock::new(|| {
    let usual = super::KINDS.iter().filter_map(|k| {
        let e = Expr::new(k.usual?, &Span::generated()).ok()?;
        Some((k.name, vec![Expectation::Expr(e)]))
    });
    usual.collect()
});

/// Which steps' results later ones use.
enum Kept {
    /// Those with these ids.
    Some(HashSet<String>),
    /// Any: an id is computed somewhere.
    All,
}

/// Reads and compiles a file.
pub fn compile(file: &Arc<SourceFile>) -> (Vec<Program>, Vec<Problem>) {
    compile_with(file, &super::infos())
}

/// Reads and compiles files, problems in the order of the files.
pub fn compile_all(files: &[Arc<SourceFile>]) -> (Vec<Program>, Vec<Problem>) {
    let infos = super::infos();
    let mut programs = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let (p, q) = compile_with(file, &infos);
        programs.extend(p);
        problems.extend(q);
    }
    (programs, problems)
}

fn compile_with(
    file: &Arc<SourceFile>,
    infos: &[prodmirror_model::scenario::KindInfo],
) -> (Vec<Program>, Vec<Problem>) {
    let Reading {
        scenarios,
        mut problems,
    } = read(file, infos);
    let mut programs = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let mut acts = HashMap::new();
        for section in [
            Section::Setup,
            Section::Invariants,
            Section::Steps,
            Section::Finally,
        ] {
            for step in scenario.section(section) {
                acts_of(step, &mut acts, &mut problems);
            }
        }
        let kept = kept(&scenario);
        programs.push(Program {
            scenario,
            acts,
            kept,
        });
    }
    problems.sort_by_key(|p| p.span.as_ref().map_or((0, 0), |s| (s.line, s.col)));
    problems.dedup();
    (programs, problems)
}

fn acts_of(step: &Step, acts: &mut HashMap<String, Box<dyn Act>>, problems: &mut Vec<Problem>) {
    match &step.body {
        Body::Kind { kind: name, node } => {
            let Some(kind) = kind(name) else { return };
            match (kind.compile)(node) {
                Ok(c) => {
                    problems.extend(c.warnings);
                    acts.insert(step.path.clone(), c.act);
                }
                Err(p) => problems.extend(p.into_iter().map(|p| p.or_at(&node.span))),
            }
        }
        Body::Race(race) => {
            race.before
                .iter()
                .chain(&race.after)
                .for_each(|s| acts_of(s, acts, problems));
            race.branches
                .iter()
                .flat_map(|b| &b.steps)
                .for_each(|s| acts_of(s, acts, problems));
        }
        Body::Parallel(branches) => {
            branches
                .iter()
                .flat_map(|b| &b.steps)
                .for_each(|s| acts_of(s, acts, problems));
        }
        Body::Again { .. } => {}
    }
}

impl Program {
    /// Which case it is.
    pub fn case(&self) -> CaseId {
        CaseId {
            file: self.scenario.file.name.clone(),
            name: self.scenario.name.value.clone(),
        }
    }

    /// What is expected of a step that does not say so.
    pub fn usual(&self, step: &Step) -> &'static [Expectation] {
        if let Some(own) = self.act(step).and_then(Act::usual) {
            return own;
        }
        match &step.body {
            Body::Kind { kind, .. } => USUAL.get(kind.value.as_str()).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Whether the result of the step with this id is used by others.
    pub fn keeps(&self, id: &str) -> bool {
        match &self.kept {
            Kept::Some(ids) => ids.contains(id),
            Kept::All => true,
        }
    }

    /// The act of a step.
    pub fn act(&self, step: &Step) -> Option<&dyn Act> {
        self.acts.get(&step.path).map(AsRef::as_ref)
    }

    /// The step with an id, wherever it stands.
    pub fn step(&self, id: &str) -> Option<&Step> {
        [Section::Setup, Section::Steps, Section::Finally]
            .into_iter()
            .find_map(|s| find(self.scenario.section(s), id))
    }

    /// The names of services and hosts that its steps use, for
    /// [`check_targets`](super::check_targets).
    pub fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut paths: Vec<&String> = self.acts.keys().collect();
        paths.sort();
        for path in paths {
            self.acts[path].targets(&mut targets);
        }
        targets
    }

    /// What a step is called in reports: its name, its id, or what it does.
    pub fn title(&self, step: &Step) -> String {
        if let Some(name) = &step.name {
            return name.clone();
        }
        match (&step.body, &step.id) {
            (_, Some(id)) => id.value.clone(),
            (Body::Again { id }, None) => id.value.clone(),
            (Body::Race(r), None) => format!("race of {} branches", r.branches.len()),
            (Body::Parallel(b), None) => format!("{} parallel branches", b.len()),
            (Body::Kind { kind, .. }, None) => self
                .act(step)
                .map_or_else(|| kind.value.clone(), Act::title),
        }
    }
}

/// Looks for `steps.<id>` in the text of the file, and for results of parallel branches.
fn kept(scenario: &Scenario) -> Kept {
    let text = &scenario.file.text;
    let mut ids = HashSet::new();
    for (at, _) in text.match_indices("steps") {
        let rest = &text[at + "steps".len()..];
        if let Some(name) = rest.strip_prefix('.') {
            let end = name
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(name.len());
            ids.insert(name[..end].to_owned());
        } else if !rest.starts_with(':') {
            // Such as `steps[name]`, or `steps` as a whole.
            return Kept::All;
        }
    }
    if text.contains("parallel") {
        Kept::All
    } else {
        Kept::Some(ids)
    }
}

fn find<'s>(steps: &'s [Step], id: &str) -> Option<&'s Step> {
    steps.iter().find_map(|s| {
        if s.id.as_ref().is_some_and(|i| i.value == id) {
            return Some(s);
        }
        match &s.body {
            Body::Race(r) => find(&r.before, id)
                .or_else(|| r.branches.iter().find_map(|b| find(&b.steps, id)))
                .or_else(|| find(&r.after, id)),
            Body::Parallel(b) => b.iter().find_map(|b| find(&b.steps, id)),
            _ => None,
        }
    })
}
