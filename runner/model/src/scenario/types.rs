//! What a scenario file says.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::check::{Capture, Expectation, Expr};
use crate::event::Mismatch;
use crate::flags::Choice;
use crate::snapshot::DataNeed;
use crate::source::{SourceFile, Span};
use crate::template::{Data, Document, Scope};
use crate::yaml::{Node, Spanned};

use super::fake::Fake;

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
    /// Its file and all files that it includes, uses or loads.
    pub sources: Vec<Arc<SourceFile>>,
    /// Where it stands.
    pub span: Span,
    /// Its name: the name of the JUnit case; of a combination of a matrix with its values.
    pub name: Spanned<String>,
    /// The name as it was written.
    pub base_name: String,
    /// Whether others use it and it is not run by itself.
    pub is_fragment: bool,
    /// Names that whoever uses the fragment must give.
    pub params: Vec<Spanned<String>>,
    /// What a fragment gives back.
    pub outputs: Vec<(String, Expr)>,
    /// The values of this combination of the matrix.
    pub matrix: IndexMap<String, Json>,
    /// The feature flags of this case that are varied or set.
    pub flags: Vec<Choice>,
    /// The values of all feature flags of the project, for templates and expressions.
    pub flag_values: serde_json::Map<String, Json>,
    /// What data files hold, by name.
    pub load: IndexMap<String, Json>,
    /// Values that are drawn by the seed.
    pub fake: IndexMap<String, Fake>,
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
    /// Scenarios that must have passed before.
    pub needs: Vec<Spanned<String>>,
    /// It never runs at the same time as another scenario with one of these locks.
    pub locks: Vec<String>,
    /// Why it is not run, and when.
    pub skip: Option<Skip>,
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
    /// Why it is not done, and when.
    pub skip: Option<Skip>,
}

/// What is not done, for now.
#[derive(Debug)]
pub struct Skip {
    /// Why, for people.
    pub reason: String,
    /// Only when this is true.
    pub condition: Option<Expr>,
}

impl Skip {
    /// Why it is not done, if it is not.
    ///
    /// # Errors
    /// A condition that has no answer.
    pub fn reason(&self, scope: &Scope) -> Result<Option<String>, Mismatch> {
        let skipped = match &self.condition {
            None => true,
            Some(e) => e.is_true(&Document::default(), scope)?,
        };
        Ok(skipped.then(|| self.reason.clone()))
    }
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
        /// Its position.
        target: String,
    },
    /// Steps in order, as one step.
    Group {
        /// `steps`, or `include` when they stand in another file.
        key: &'static str,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Steps over and over.
    Loop(Loop),
    /// A fragment, with names of its own.
    Use(Box<Use>),
    /// Sets variables, in order.
    Set(Vec<(String, Data)>),
    /// Tells something.
    Print(Data),
    /// Only expects.
    Assert,
}

impl Body {
    /// The key of the body.
    pub fn kind(&self) -> &str {
        match self {
            Body::Kind { kind, .. } => kind,
            Body::Race(_) => "race",
            Body::Parallel(_) => "parallel",
            Body::Again { .. } => "step",
            Body::Group { key, .. } => key,
            Body::Loop(l) => l.over.key(),
            Body::Use(_) => "use",
            Body::Set(_) => "set",
            Body::Print(_) => "print",
            Body::Assert => "assert",
        }
    }
}

/// Steps over and over.
#[derive(Debug)]
pub struct Loop {
    /// Over what.
    pub over: Over,
    /// The name of the present item.
    pub name: String,
    /// The steps of one turn.
    pub steps: Vec<Step>,
}

/// What a loop goes over.
#[derive(Debug)]
pub enum Over {
    /// So many turns.
    Times(u64),
    /// Whole numbers, the last included.
    Range {
        /// The first.
        from: i64,
        /// The last, if the steps meet it.
        to: i64,
        /// From one to the next; never 0.
        by: i64,
    },
    /// The items of a value.
    Value(Data),
    /// The items of what an expression gives.
    Expr(Expr),
}

impl Over {
    /// The key under which it stands.
    pub fn key(&self) -> &'static str {
        match self {
            Over::Times(_) => "repeat",
            _ => "for_each",
        }
    }

    /// How many turns there are, where that is known before.
    pub fn turns(&self) -> Option<u64> {
        match self {
            Over::Times(n) => Some(*n),
            Over::Range { from, to, by } => {
                let (from, to, by) = (i128::from(*from), i128::from(*to), i128::from(*by));
                let turns = if (to - from).signum() * by.signum() < 0 {
                    0
                } else {
                    (to - from) / by + 1
                };
                Some(u64::try_from(turns).unwrap_or(u64::MAX))
            }
            Over::Value(d) => match d {
                Data::Plain(Json::Array(a), _) => Some(a.len() as u64),
                Data::Plain(Json::Object(o), _) => Some(o.len() as u64),
                Data::List(a, _) => Some(a.len() as u64),
                Data::Map(m, _) => Some(m.len() as u64),
                _ => None,
            },
            Over::Expr(_) => None,
        }
    }
}

/// The use of a fragment.
#[derive(Debug)]
pub struct Use {
    /// How it was named.
    pub name: Spanned<String>,
    /// The fragment, read at its place in this scenario.
    pub fragment: Scenario,
    /// What it is given.
    pub with: Vec<(String, Data)>,
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
#[derive(Debug)]
pub struct Retry {
    /// Attempts after the first.
    pub times: u32,
    /// Before the second attempt.
    pub delay: Duration,
    /// By how much the delay grows each time.
    pub backoff: f64,
    /// The longest delay.
    pub max_delay: Duration,
    /// By which part of itself a delay is longer or shorter, at random (0 to 1).
    pub jitter: f64,
    /// No further attempt is made when this is true of `error` and `attempt`.
    pub unless: Option<Expr>,
}

/// Repeats of an act until its expectations hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eventually {
    /// How long to try.
    pub within: Duration,
    /// From one attempt's end to the next.
    pub every: Duration,
}
