//! Step kinds: one file each, one line each in [`KINDS`].
//!
//! A kind decodes its arguments when a scenario is compiled, before anything starts; what
//! comes out is an [`Act`] that can be run any number of times.

mod amqp;
pub mod catalog;
mod container;
mod context;
mod credentials;
mod data;
mod dns;
mod evidence;
mod exec;
mod fields;
mod file;
mod files;
mod filter;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
#[cfg(any(feature = "mqtt", feature = "nats", feature = "websocket"))]
mod inbox;
#[cfg(feature = "kafka")]
mod kafka;
mod logs;
mod mail;
mod metrics;
#[cfg(feature = "mongo")]
mod mongo;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod needs;
mod payload;
mod program;
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod service;
mod session;
mod shell;
mod sql;
mod stack;
mod target;
mod tcp;
mod wait;
#[cfg(feature = "websocket")]
mod websocket;
pub mod world;

use std::fmt;
use std::time::Duration;

use prodmirror_model::check::Expectation;
use prodmirror_model::diag::Problem;
use prodmirror_model::event::Mismatch;
use prodmirror_model::scenario::KindInfo;
use prodmirror_model::template::Document;
use prodmirror_model::yaml::Node;

pub use context::{Context, Marks};
pub use evidence::{Trail, cut};
pub use program::{Program, compile, compile_all, compile_with_flags};
pub use session::Sessions;
pub use stack::StackWorld;
pub use target::{Known, Target, TargetKind, check_targets};
pub use world::{Later, World};

/// A kind of step.
pub struct Kind {
    /// Its key in a step.
    pub name: &'static str,
    /// The fields of its result.
    pub fields: &'static [&'static str],
    /// What it does, in one sentence.
    pub help: &'static str,
    /// A step of this kind, as YAML.
    pub example: &'static str,
    /// What a step without `expect` expects.
    pub usual: Option<&'static str>,
    /// Decodes its arguments.
    pub compile: fn(&Node) -> Result<Compiled, Vec<Problem>>,
}

/// All kinds.
pub static KINDS: &[&Kind] = &[
    &http::KIND,
    &sql::KIND,
    &redis::KIND,
    &amqp::KIND,
    #[cfg(feature = "grpc")]
    &grpc::KIND,
    #[cfg(feature = "kafka")]
    &kafka::KIND,
    #[cfg(feature = "mongo")]
    &mongo::KIND,
    #[cfg(feature = "s3")]
    &s3::KIND,
    &tcp::KIND,
    #[cfg(feature = "websocket")]
    &websocket::KIND,
    #[cfg(feature = "nats")]
    &nats::KIND,
    #[cfg(feature = "mqtt")]
    &mqtt::KIND,
    &exec::KIND,
    &logs::KIND,
    &wait::KIND,
    &metrics::KIND,
    &container::KIND,
    &file::KIND,
    &mail::KIND,
    &dns::KIND,
    &shell::KIND,
    &service::PROCESS,
    &service::RESTART,
    &service::SCALE,
    &data::SNAPSHOT,
    &data::RESTORE,
];

/// The kind of a name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.name == name)
}

/// What the reader of scenarios must know of all kinds.
pub fn infos() -> Vec<KindInfo> {
    KINDS
        .iter()
        .map(|k| KindInfo {
            name: k.name,
            fields: k.fields,
        })
        .collect()
}

/// Decoded arguments, with what is doubtful about them.
pub struct Compiled {
    /// What to do.
    pub act: Box<dyn Act>,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

impl<A: Act + 'static> From<A> for Compiled {
    fn from(act: A) -> Self {
        Self {
            act: Box::new(act),
            warnings: Vec::new(),
        }
    }
}

/// Something to do, decoded and ready.
pub trait Act: Send + Sync {
    /// What it does, in a few words: `GET http://gateway/orders`.
    fn title(&self) -> String;

    /// Hosts and services that it names without a template.
    fn targets(&self, _to: &mut Vec<Target>) {}

    /// How long one attempt may take unless the step says otherwise.
    fn limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// What a step without `expect` expects, where that is not the usual of its kind.
    fn usual(&self) -> Option<&'static [Expectation]> {
        None
    }

    /// Does it once.
    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>>;
}

/// What an act gave.
#[derive(Debug, Default)]
pub struct Done {
    /// Its result.
    pub document: Document,
    /// What the act itself expected and did not find (`logs`, `wait`).
    pub mismatches: Vec<Mismatch>,
}

impl From<Document> for Done {
    fn from(document: Document) -> Self {
        Self {
            document,
            mismatches: Vec::new(),
        }
    }
}

/// Why an act gave nothing: not a verdict on the software.
#[derive(Debug, Clone)]
pub enum StepError {
    /// No answer came; `retry` tries again.
    Transport(String),
    /// It cannot be done at all: a template without a value, an unknown service.
    Refused(Box<Problem>),
}

impl StepError {
    /// No answer came.
    pub fn transport(what: impl Into<String>) -> Self {
        StepError::Transport(what.into())
    }
}

impl From<Problem> for StepError {
    fn from(p: Problem) -> Self {
        StepError::Refused(Box::new(p))
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Transport(what) => f.write_str(what),
            StepError::Refused(p) => fmt::Display::fmt(p, f),
        }
    }
}

impl std::error::Error for StepError {}
