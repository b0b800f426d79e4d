//! Compiled scenarios: every step decoded, every expression and template compiled.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use prodmirror_model::check::{Expectation, Expr};
use prodmirror_model::diag::Problem;
use prodmirror_model::event::CaseId;
use prodmirror_model::flags::Choices;
use prodmirror_model::scenario::{Body, Files, Reading, Scenario, Section, Step, read_with};
use prodmirror_model::source::{SourceFile, Span};

use super::target::Target;
use super::{Act, kind};

/// A scenario that is ready to run.
pub struct Program {
    /// What was read.
    pub scenario: Scenario,
    acts: HashMap<String, Box<dyn Act>>,
    kept: Kept,
    /// Scenarios that must have passed before.
    needs: Vec<CaseId>,
}

const SECTIONS: [Section; 4] = [
    Section::Setup,
    Section::Invariants,
    Section::Steps,
    Section::Finally,
];

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
    compile_all(std::slice::from_ref(file))
}

/// Reads and compiles files, problems in the order of the files.
pub fn compile_all(files: &[Arc<SourceFile>]) -> (Vec<Program>, Vec<Problem>) {
    compile_files(files, Files::default())
}

/// As [`compile_all`], of a project with these feature flags.
pub fn compile_with_flags(
    files: &[Arc<SourceFile>],
    flags: Arc<Choices>,
) -> (Vec<Program>, Vec<Problem>) {
    compile_files(files, Files::with_flags(flags))
}

fn compile_files(files: &[Arc<SourceFile>], mut read: Files) -> (Vec<Program>, Vec<Problem>) {
    let infos = super::infos();
    let mut programs = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let (p, q) = compile_with(file, &infos, &mut read);
        programs.extend(p);
        problems.extend(q);
    }
    super::needs::resolve(&mut programs, &mut problems);
    // What is wrong in a fragment is found wherever it is used.
    let mut told = HashSet::new();
    problems.retain(|p: &Problem| {
        let place = p
            .span
            .as_ref()
            .map(|s| (s.file.name.clone(), s.line, s.col));
        told.insert((place, p.message.clone()))
    });
    (programs, problems)
}

fn compile_with(
    file: &Arc<SourceFile>,
    infos: &[prodmirror_model::scenario::KindInfo],
    read: &mut Files,
) -> (Vec<Program>, Vec<Problem>) {
    let Reading {
        scenarios,
        mut problems,
    } = read_with(file, infos, read);
    let mut programs = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let mut acts = HashMap::new();
        acts_of_scenario(&scenario, &mut acts, &mut problems);
        let kept = kept(&scenario);
        if !scenario.is_fragment {
            programs.push(Program {
                scenario,
                acts,
                kept,
                needs: Vec::new(),
            });
        }
    }
    problems.sort_by_key(|p| p.span.as_ref().map_or((0, 0), |s| (s.line, s.col)));
    (programs, problems)
}

fn acts_of_scenario(
    scenario: &Scenario,
    acts: &mut HashMap<String, Box<dyn Act>>,
    problems: &mut Vec<Problem>,
) {
    for section in SECTIONS {
        for step in scenario.section(section) {
            acts_of(step, acts, problems);
        }
    }
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
        Body::Use(u) => acts_of_scenario(&u.fragment, acts, problems),
        body => inner(body).for_each(|s| acts_of(s, acts, problems)),
    }
}

/// The steps inside of a step that share its names.
fn inner(body: &Body) -> Box<dyn Iterator<Item = &Step> + '_> {
    match body {
        Body::Race(r) => Box::new(
            r.before
                .iter()
                .chain(r.branches.iter().flat_map(|b| &b.steps))
                .chain(&r.after),
        ),
        Body::Parallel(b) => Box::new(b.iter().flat_map(|b| &b.steps)),
        Body::Group { steps, .. } => Box::new(steps.iter()),
        Body::Loop(l) => Box::new(l.steps.iter()),
        Body::Kind { .. }
        | Body::Again { .. }
        | Body::Use(_)
        | Body::Set(_)
        | Body::Print(_)
        | Body::Assert => Box::new(std::iter::empty()),
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

    /// Where the first step of a kind stands, if there is one.
    pub fn first_of(&self, kind: &str) -> Option<Span> {
        first_of(&self.scenario, kind)
    }

    /// The act of a step.
    pub fn act(&self, step: &Step) -> Option<&dyn Act> {
        self.acts.get(&step.path).map(AsRef::as_ref)
    }

    /// The step at a position, wherever it stands.
    pub fn step(&self, path: &str) -> Option<&Step> {
        find_in(&self.scenario, path)
    }

    /// Scenarios that must have passed before this one.
    pub fn needs(&self) -> &[CaseId] {
        &self.needs
    }

    pub(super) fn set_needs(&mut self, needs: Vec<CaseId>) {
        self.needs = needs;
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
            (Body::Again { id, .. }, None) => id.value.clone(),
            (Body::Group { steps, key }, None) => format!("{key}: {} steps", steps.len()),
            (Body::Loop(l), None) => match (l.over.turns(), l.steps.first()) {
                (Some(n), Some(s)) => format!("{n} times {}", self.title(s)),
                (None, Some(s)) => format!("for each {}: {}", l.name, self.title(s)),
                (_, None) => l.over.key().to_owned(),
            },
            (Body::Use(u), None) => u.fragment.base_name.clone(),
            (Body::Set(v), None) => {
                let names: Vec<&str> = v.iter().map(|(n, _)| n.as_str()).collect();
                format!("set {}", names.join(", "))
            }
            (Body::Print(_), None) => "print".into(),
            (Body::Assert, None) => "assert".into(),
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
    let mut ids = HashSet::new();
    for file in &scenario.sources {
        if !names_in(&file.text, &mut ids) {
            return Kept::All;
        }
    }
    Kept::Some(ids)
}

/// The ids in one text; false when they are computed somewhere.
fn names_in(text: &str, ids: &mut HashSet<String>) -> bool {
    for (at, _) in text.match_indices("steps") {
        let rest = &text[at + "steps".len()..];
        if let Some(name) = rest.strip_prefix('.') {
            let end = name
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(name.len());
            ids.insert(name[..end].to_owned());
        } else if !rest.starts_with(':') {
            // Such as `steps[name]`, or `steps` as a whole.
            return false;
        }
    }
    !text.contains("parallel")
}

fn first_of(scenario: &Scenario, kind: &str) -> Option<Span> {
    fn of(step: &Step, wanted: &str) -> Option<Span> {
        match &step.body {
            Body::Kind { kind, .. } => (kind.value == wanted).then(|| kind.span.clone()),
            Body::Use(u) => first_of(&u.fragment, wanted),
            body => inner(body).find_map(|s| of(s, wanted)),
        }
    }
    let steps = SECTIONS.into_iter().flat_map(|s| scenario.section(s));
    steps.into_iter().find_map(|s| of(s, kind))
}

fn find_in<'s>(scenario: &'s Scenario, path: &str) -> Option<&'s Step> {
    SECTIONS
        .into_iter()
        .flat_map(|s| scenario.section(s))
        .find_map(|s| find(s, path))
}

fn find<'s>(step: &'s Step, path: &str) -> Option<&'s Step> {
    if step.path == path {
        return Some(step);
    }
    // What is inside of a step has its position as a beginning.
    if !path.starts_with(&step.path) {
        return None;
    }
    match &step.body {
        Body::Use(u) => find_in(&u.fragment, path),
        body => inner(body).find_map(|s| find(s, path)),
    }
}
