//! What a `mongo` step says.

use super::{KIND, MOST};
use crate::step::fields::args;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::Value as Json;

/// MongoDB's port.
const PORT: u16 = 27017;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    password: Option<Text>,
    #[serde(default)]
    auth_database: Option<Text>,
    #[serde(default)]
    database: Option<Text>,
    #[serde(default)]
    collection: Option<Text>,
    #[serde(default)]
    find: Option<Find>,
    #[serde(default)]
    count: Option<Count>,
    #[serde(default)]
    aggregate: Option<Data>,
    #[serde(default)]
    insert: Option<Data>,
    #[serde(default)]
    update: Option<Update>,
    #[serde(default)]
    delete: Option<Delete>,
    #[serde(default)]
    command: Option<Data>,
    #[serde(default)]
    fails: Option<Node>,
}

/// Which documents are read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    #[serde(default)]
    pub filter: Option<Data>,
    #[serde(default)]
    pub sort: Option<Data>,
    #[serde(default)]
    pub projection: Option<Data>,
    #[serde(default)]
    pub skip: Option<u64>,
    #[serde(default)]
    pub limit: Option<Spanned<usize>>,
}

/// Which documents are counted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Count {
    #[serde(default)]
    pub filter: Option<Data>,
}

/// How documents are changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    pub filter: Data,
    pub update: Data,
    #[serde(default)]
    pub many: bool,
    #[serde(default)]
    pub upsert: bool,
}

/// Which documents are deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delete {
    pub filter: Data,
    #[serde(default)]
    pub many: bool,
}

/// What is done.
pub(super) enum Operation {
    Find(Box<Find>),
    Count(Count),
    Aggregate(Data),
    Insert(Data),
    Update(Box<Update>),
    Delete(Delete),
    Command(Data),
}

impl Operation {
    /// Its key in a step.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Find(_) => "find",
            Operation::Count(_) => "count",
            Operation::Aggregate(_) => "aggregate",
            Operation::Insert(_) => "insert",
            Operation::Update(_) => "update",
            Operation::Delete(_) => "delete",
            Operation::Command(_) => "command",
        }
    }
}

/// Whether the operation is meant to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fails {
    No,
    Somehow,
    /// With an error of this number or of this name.
    With(String),
}

/// An operation, ready to run.
pub(super) struct MongoAct {
    pub service: Spanned<String>,
    pub port: u16,
    pub user: Option<Text>,
    pub password: Option<Text>,
    pub auth_database: Option<Text>,
    pub database: Option<Text>,
    pub collection: Option<Text>,
    pub operation: Operation,
    pub fails: Fails,
}

/// Decodes an operation.
pub(super) fn act(node: &Node) -> Result<MongoAct, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let mut bad = |kind, text: &str, help: &str| {
        problems.push(Problem::at(kind, &node.span, text).help(help));
    };
    let mut operations = Vec::new();
    operations.extend(a.find.map(|f| Operation::Find(Box::new(f))));
    operations.extend(a.count.map(Operation::Count));
    operations.extend(a.aggregate.map(Operation::Aggregate));
    operations.extend(a.insert.map(Operation::Insert));
    operations.extend(a.update.map(|u| Operation::Update(Box::new(u))));
    operations.extend(a.delete.map(Operation::Delete));
    operations.extend(a.command.map(Operation::Command));
    const ONE: &str = "give one of: find, count, aggregate, insert, update, delete, command";
    match operations.len() {
        1 => {}
        0 => bad(ProblemKind::Missing, "this `mongo` step does nothing", ONE),
        _ => bad(ProblemKind::Conflict, "a `mongo` step does one thing", ONE),
    }
    let operation = operations.pop();
    match (&operation, &a.collection) {
        (Some(Operation::Command(_)), Some(_)) => bad(
            ProblemKind::Conflict,
            "a `command` names its collection itself",
            "leave out `collection`: `command: { collStats: orders }`",
        ),
        // The first stage of an aggregation may need none.
        (None | Some(Operation::Command(_) | Operation::Aggregate(_)), _) | (_, Some(_)) => {}
        _ => bad(
            ProblemKind::Missing,
            "the step does not say in which `collection`",
            "add `collection: name`",
        ),
    }
    if a.user.is_some() != a.password.is_some() {
        bad(
            ProblemKind::Missing,
            "a user goes with a password",
            "give `user` and `password`, or neither",
        );
    }
    if let Some(operation) = &operation {
        shapes(operation, &mut problems);
    }
    let fails = fails(a.fails.as_ref()).map_err(|p| problems.push(*p));
    match (operation, fails) {
        (Some(operation), Ok(fails)) if problems.is_empty() => Ok(MongoAct {
            service: a.service,
            port: a.port.unwrap_or(PORT),
            user: a.user,
            password: a.password,
            auth_database: a.auth_database,
            database: a.database,
            collection: a.collection,
            operation,
            fails,
        }),
        _ => Err(problems),
    }
}

/// Values that cannot be what the operation takes, whatever their templates give.
fn shapes(operation: &Operation, problems: &mut Vec<Problem>) {
    let mut check = |data: Option<&Data>, key: &str, wanted: Wanted| {
        problems.extend(data.and_then(|d| wanted.refuses(d, key)));
    };
    match operation {
        Operation::Find(f) => {
            check(f.filter.as_ref(), "filter", Wanted::Document);
            check(f.sort.as_ref(), "sort", Wanted::Document);
            check(f.projection.as_ref(), "projection", Wanted::Document);
        }
        Operation::Count(c) => check(c.filter.as_ref(), "filter", Wanted::Document),
        Operation::Aggregate(stages) => check(Some(stages), "aggregate", Wanted::List),
        Operation::Insert(documents) => check(Some(documents), "insert", Wanted::Either),
        Operation::Update(u) => {
            check(Some(&u.filter), "filter", Wanted::Document);
            check(Some(&u.update), "update", Wanted::Either);
        }
        Operation::Delete(d) => check(Some(&d.filter), "filter", Wanted::Document),
        Operation::Command(c) => check(Some(c), "command", Wanted::Document),
    }
    if let Operation::Find(f) = operation
        && let Some(limit) = f.limit.as_ref().filter(|l| l.value == 0 || l.value > MOST)
    {
        let text = format!("`limit` is from 1 to {MOST}");
        problems.push(Problem::at(ProblemKind::InvalidValue, &limit.span, text));
    }
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Document,
    List,
    Either,
}

impl Wanted {
    fn refuses(self, data: &Data, key: &str) -> Option<Problem> {
        let (document, list) = match data {
            Data::Map(..) | Data::Plain(Json::Object(_), _) => (true, false),
            Data::List(..) | Data::Plain(Json::Array(_), _) => (false, true),
            // What an expression gives is known when it runs.
            Data::Value(_) => (true, true),
            _ => (false, false),
        };
        let (fits, what) = match self {
            Wanted::Document => (document, "a mapping"),
            Wanted::List => (list, "a list of mappings"),
            Wanted::Either => (document || list, "a mapping, or a list of mappings"),
        };
        let text = format!("`{key}` takes {what}");
        let p = Problem::at(ProblemKind::WrongType, data.span(), text);
        (!fits).then(|| p.help(format!("for example: {}", example(key))))
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "sort" => "sort: { at: -1 }",
        "projection" => "projection: { state: 1 }",
        "aggregate" => "aggregate: [{ $match: { state: paid } }, { $count: n }]",
        "insert" => "insert: { _id: 7, state: new }",
        "update" => "update: { $set: { state: paid } }",
        "command" => "command: { ping: 1 }",
        _ => "filter: { state: paid }",
    }
}

fn fails(node: Option<&Node>) -> Result<Fails, Box<Problem>> {
    let Some(node) = node else {
        return Ok(Fails::No);
    };
    if let Some(b) = node.as_bool() {
        return Ok(if b { Fails::Somehow } else { Fails::No });
    }
    let fits = |c: &str| !c.is_empty() && c.bytes().all(|b| b.is_ascii_alphanumeric());
    match node.scalar_text() {
        Some(code) if fits(&code) => Ok(Fails::With(code)),
        _ => Err(Box::new(
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                "`fails` is true, the number of an error, or its name",
            )
            .help("for example `fails: 11000` for a duplicate key, or `fails: NamespaceNotFound`"),
        )),
    }
}
