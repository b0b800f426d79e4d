//! What a scenario file says.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use crate::check::{Capture, Expectation, Expr};
use crate::snapshot::DataNeed;
use crate::source::{SourceFile, Span};
use crate::template::Data;
use crate::yaml::{Node, Spanned};

/// What the reader must know of a step kind.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Its key in a step.
    pub name: &'static str,
    /// The fields of its result, which expectations and captures may use.
    pub fields: &'static [&'static str],
}

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// The file that it stands in.
    pub file: Arc<SourceFile>,
    /// Where it stands.
    pub span: Span,
    /// Its name: the name of the JUnit case.
    pub name: Spanned<String>,
    /// What it is about, for people.
    pub description: Option<String>,
    /// Labels, for selection.
    pub labels: Vec<String>,
    /// Snapshots of data volumes, by volume.
    pub data: IndexMap<String, Spanned<String>>,
    /// Variables, in order; later ones may use earlier ones.
    pub vars: IndexMap<String, Data>,
    /// What must hold after every step.
    pub invariants: Vec<Step>,
    /// Steps before the steps.
    pub setup: Vec<Step>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Steps that run whatever happened.
    pub finally: Vec<Step>,
    /// How long all of it may take, `finally` apart.
    pub timeout: Option<Duration>,
    /// With whom it shares its stack.
    pub isolation: Isolation,
    /// What it needs to make sense.
    pub requires: Requires,
}

impl Scenario {
    /// All steps of a section.
    pub fn section(&self, section: Section) -> &[Step] {
        match section {
            Section::Invariants => &self.invariants,
            Section::Setup => &self.setup,
            Section::Steps => &self.steps,
            Section::Finally => &self.finally,
        }
    }
}

/// Parts of a scenario that hold steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `invariants`
    Invariants,
    /// `setup`
    Setup,
    /// `steps`
    Steps,
    /// `finally`
    Finally,
}

impl Section {
    /// Its key.
    pub fn key(self) -> &'static str {
        match self {
            Section::Invariants => "invariants",
            Section::Setup => "setup",
            Section::Steps => "steps",
            Section::Finally => "finally",
        }
    }
}

/// With whom a scenario shares its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// A stack of its own, with fresh data.
    #[default]
    Scenario,
    /// One stack for the scenarios of a file, which run in their order.
    File,
    /// One stack for all scenarios that say so.
    Shared,
}

/// What a scenario needs to make sense.
#[derive(Debug, Clone, Default)]
pub struct Requires {
    /// Services of the stack; it is skipped where one is not there.
    pub services: Vec<Spanned<String>>,
    /// What must be true of the data; it proves nothing where it is not, and is an error.
    pub data: Vec<Spanned<DataNeed>>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Position: `steps[2]`, `steps[3].race[1]`.
    pub path: String,
    /// Where it stands.
    pub span: Span,
    /// Its id, by which later steps name its result.
    pub id: Option<Spanned<String>>,
    /// What it does, for people.
    pub name: Option<String>,
    /// What it does.
    pub body: Body,
    /// What must hold of its result.
    pub expect: Vec<Expectation>,
    /// Values for later.
    pub capture: Vec<Capture>,
    /// Repeats where no answer comes.
    pub retry: Option<Retry>,
    /// Repeats until the expectations hold.
    pub eventually: Option<Eventually>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// Whether the scenario goes on when it fails.
    pub soft: bool,
    /// It is skipped unless this is true.
    pub condition: Option<Expr>,
}

/// What a step does.
#[derive(Debug)]
pub enum Body {
    /// An act of a kind, which decodes the node.
    Kind {
        /// The kind's name and its place.
        kind: Spanned<String>,
        /// Its arguments.
        node: Node,
    },
    /// Branches at the same time, over and over.
    Race(Race),
    /// Branches at the same time.
    Parallel(Vec<Branch>),
    /// Another step of this scenario again.
    Again {
        /// Its id.
        id: Spanned<String>,
    },
}

impl Body {
    /// The key of the body.
    pub fn kind(&self) -> &str {
        match self {
            Body::Kind { kind, .. } => kind,
            Body::Race(_) => "race",
            Body::Parallel(_) => "parallel",
            Body::Again { .. } => "step",
        }
    }
}

/// One of several branches: steps in order.
#[derive(Debug)]
pub struct Branch {
    /// Its steps.
    pub steps: Vec<Step>,
}

/// Branches that run at the same time, over and over.
#[derive(Debug)]
pub struct Race {
    /// Before every run.
    pub before: Vec<Step>,
    /// At the same time.
    pub branches: Vec<Branch>,
    /// After every run: what must hold then.
    pub after: Vec<Step>,
    /// How many runs.
    pub runs: u32,
    /// Seed of the branches' order and offsets.
    pub seed: Option<u64>,
    /// How far apart the branches start at most.
    pub spread: Duration,
}

/// Repeats of an act that got no answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts after the first.
    pub times: u32,
    /// Before the second attempt.
    pub delay: Duration,
    /// By how much the delay grows each time.
    pub backoff: f64,
    /// The longest delay.
    pub max_delay: Duration,
}

/// Repeats of an act until its expectations hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eventually {
    /// How long to try.
    pub within: Duration,
    /// From one attempt's end to the next.
    pub every: Duration,
}
