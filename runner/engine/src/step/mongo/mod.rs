//! `mongo`: documents of MongoDB.

mod answer;
mod args;
mod connect;
mod hello;

use std::time::Instant;

use bson::{Bson, Document as Bdoc, RawDocumentBuf};
use mongodb::options::{FindOptions, UpdateModifications, UpdateOptions};
use mongodb::{Collection, Database};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::Node;
use serde_json::Value as Json;

use self::answer::{Failure, ServerError, document_of, documents_of, json_of};
use self::args::{Fails, Find, MongoAct, Operation, Update};
use self::connect::{Pool, Who};
use super::credentials::Environment;
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Documents that a step may read.
const MOST: usize = 10_000;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "mongo",
    fields: &[
        "docs",
        "count",
        "inserted_ids",
        "matched",
        "modified",
        "upserted_id",
        "deleted",
        "result",
        "error",
        "duration",
    ],
    help: "reads, changes and counts documents of MongoDB, and runs its commands",
    example: "mongo: { service: mongo, database: shop, collection: orders, find: { filter: { _id: \"{{ order_id }}\" } } }",
    usual: None,
    compile,
};

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    Ok(args::act(node)?.into())
}

impl MongoAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: text(&self.user)?,
            password: text(&self.password)?,
            auth_database: text(&self.auth_database)?,
        })
    }

    /// The database that the step says, or that the service's environment does.
    async fn database(&self, context: &Context<'_>) -> Result<String, StepError> {
        if let Some(name) = &self.database {
            return Ok(name.render(context.scope)?);
        }
        let env = Environment::of(context.world, &self.service.value);
        let named = env
            .first(&["MONGO_INITDB_DATABASE", "MONGODB_DATABASE"])
            .await?;
        named.ok_or_else(|| {
            let text = format!(
                "the step does not say in which `database`, and the environment of {} names none",
                self.service.value
            );
            Problem::at(ProblemKind::Missing, &self.service.span, text)
                .help("add `database: name`")
                .into()
        })
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let who = self.who(context.scope)?;
        let database = self.database(context).await?;
        let collection = self.collection.as_ref().map(|c| c.render(context.scope));
        let collection = collection.transpose()?;
        named(&database, collection.as_deref(), self)?;
        let pool = context.sessions.own::<Pool>();
        let client = pool.get(context.world, &who).await?;
        let place = match &collection {
            Some(c) => format!("{database}.{c}"),
            None => database.clone(),
        };
        let name = self.operation.name();
        context.trail.add("operation", format!("{name} in {place}"));
        let begun = Instant::now();
        let ran = self
            .operate(&client.database(&database), collection.as_deref(), context)
            .await;
        let took = begun.elapsed();
        let (mut document, error) = match ran {
            Ok(document) => (document, None),
            Err(Failure::Server(e)) => (Document::default(), Some(e)),
            Err(Failure::Step(e)) => return Err(e),
            Err(Failure::Lost(e)) => {
                pool.forget(&who).await;
                return Err(e);
            }
        };
        document.set("error", error.as_ref().map_or(Json::Null, |e| e.json()));
        context
            .trail
            .add("answer", shown(&document, error.as_deref()));
        document.took(took);
        Ok(Done {
            document,
            mismatches: self.judge(&place, error.as_deref()),
        })
    }

    async fn operate(
        &self,
        database: &Database,
        collection: Option<&str>,
        context: &mut Context<'_>,
    ) -> Result<Document, Failure> {
        let scope = context.scope;
        let documents = database.collection::<RawDocumentBuf>(collection.unwrap_or_default());
        let mut asked = |key: &str, data: &Data| -> Result<Bdoc, Failure> {
            let value = data.render(scope)?;
            context.trail.add(key, value.to_string());
            Ok(document_of(value, key, data.span())?)
        };
        let document = match &self.operation {
            Operation::Find(f) => find(&documents, f, &mut asked).await?,
            Operation::Count(c) => {
                let filter = c.filter.as_ref().map(|f| asked("filter", f));
                let filter = filter.transpose()?.unwrap_or_default();
                Document::default().with("count", documents.count_documents(filter).await?)
            }
            Operation::Aggregate(stages) => {
                let value = stages.render(scope)?;
                context.trail.add("stages", value.to_string());
                let stages = documents_of(value, "aggregate", stages.span())?;
                let cursor = match collection {
                    Some(_) => documents.aggregate(stages).with_type().await?,
                    None => database.aggregate(stages).with_type().await?,
                };
                of_documents(answer::all(cursor).await?)
            }
            Operation::Insert(given) => {
                let value = given.render(scope)?;
                context.trail.add("documents", value.to_string());
                let given = documents_of(value, "insert", given.span())?;
                let into = documents.clone_with_type::<Bdoc>();
                let mut ids: Vec<(usize, Bson)> = into
                    .insert_many(given)
                    .await?
                    .inserted_ids
                    .into_iter()
                    .collect();
                ids.sort_by_key(|(i, _)| *i);
                let ids: Vec<Json> = ids.into_iter().map(|(_, id)| json_of(id)).collect();
                let count = ids.len();
                Document::default()
                    .with("inserted_ids", ids)
                    .with("count", count)
            }
            Operation::Update(u) => {
                let filter = asked("filter", &u.filter)?;
                let value = u.update.render(scope)?;
                context.trail.add("update", value.to_string());
                update(&documents, u, filter, value).await?
            }
            Operation::Delete(d) => {
                let filter = asked("filter", &d.filter)?;
                let done = match d.many {
                    true => documents.delete_many(filter).await?,
                    false => documents.delete_one(filter).await?,
                };
                Document::default().with("deleted", done.deleted_count)
            }
            Operation::Command(c) => {
                let command = asked("command", c)?;
                let result = database.run_command(command).await?;
                Document::default().with("result", json_of(Bson::Document(result)))
            }
        };
        Ok(document)
    }

    fn judge(&self, place: &str, error: Option<&ServerError>) -> Vec<Mismatch> {
        let expected = match (&self.fails, error) {
            (Fails::No, None) | (Fails::Somehow, Some(_)) => return Vec::new(),
            (Fails::With(code), Some(e)) if e.is(code) => return Vec::new(),
            (Fails::No, Some(_)) => "that the operation succeeds".to_owned(),
            (Fails::Somehow, None) => "that the operation fails".to_owned(),
            (Fails::With(code), _) => format!("that the operation fails with error {code}"),
        };
        vec![Mismatch {
            expectation: format!("{} in {place}", self.operation.name()),
            kind: "mongo".into(),
            place: Some((&self.service.span).into()),
            expected,
            actual: error.map_or_else(|| "it succeeded".to_owned(), ServerError::text),
            path: None,
            hint: None,
        }]
    }
}

/// Names that the driver would take, and the server would not.
fn named(database: &str, collection: Option<&str>, act: &MongoAct) -> Result<(), StepError> {
    let bad =
        |text: String| Err(Problem::at(ProblemKind::InvalidValue, &act.service.span, text).into());
    if database.is_empty() || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
        return bad(format!("{database:?} cannot be the name of a database"));
    }
    match collection {
        Some(c) if c.is_empty() || c.contains(['$', '\0']) => {
            bad(format!("{c:?} cannot be the name of a collection"))
        }
        _ => Ok(()),
    }
}

async fn find(
    documents: &Collection<RawDocumentBuf>,
    find: &Find,
    asked: &mut (dyn FnMut(&str, &Data) -> Result<Bdoc, Failure> + Send),
) -> Result<Document, Failure> {
    let mut part = |key, data: &Option<Data>| data.as_ref().map(|d| asked(key, d)).transpose();
    let filter = part("filter", &find.filter)?.unwrap_or_default();
    let mut options = FindOptions::default();
    options.sort = part("sort", &find.sort)?;
    options.projection = part("projection", &find.projection)?;
    options.skip = find.skip;
    // One more than may be read tells that there are more.
    let limit = find.limit.as_ref().map_or(MOST + 1, |l| l.value);
    options.limit = i64::try_from(limit).ok();
    let cursor = documents.find(filter).with_options(options).await?;
    Ok(of_documents(answer::all(cursor).await?))
}

async fn update(
    documents: &Collection<RawDocumentBuf>,
    update: &Update,
    filter: Bdoc,
    value: Json,
) -> Result<Document, Failure> {
    let span = update.update.span();
    let change = match value {
        stages @ Json::Array(_) => {
            UpdateModifications::Pipeline(documents_of(stages, "update", span)?)
        }
        one => {
            let document = document_of(one, "update", span)?;
            if !document.keys().all(|k| k.starts_with('$')) || document.is_empty() {
                let text = "an `update` has operators, and this one has something else";
                return Err(Problem::at(ProblemKind::InvalidValue, span, text)
                    .help("write `update: { $set: { state: paid } }`")
                    .into());
            }
            UpdateModifications::Document(document)
        }
    };
    let mut options = UpdateOptions::default();
    options.upsert = Some(update.upsert);
    let done = match update.many {
        true => documents.update_many(filter, change).with_options(options),
        false => documents.update_one(filter, change).with_options(options),
    }
    .await?;
    Ok(Document::default()
        .with("matched", done.matched_count)
        .with("modified", done.modified_count)
        .with("upserted_id", done.upserted_id.map_or(Json::Null, json_of)))
}

fn of_documents(documents: Vec<Json>) -> Document {
    let count = documents.len();
    Document::default()
        .with("docs", documents)
        .with("count", count)
}

/// The first documents, one a line; or the other fields.
fn shown(document: &Document, error: Option<&ServerError>) -> String {
    const SHOWN: usize = 20;
    if let Some(e) = error {
        return e.text();
    }
    let Some(docs) = document.get("docs").and_then(Json::as_array) else {
        let fields = KIND
            .fields
            .iter()
            .filter_map(|f| Some((f, document.get(f)?)));
        let texts: Vec<String> = fields
            .filter(|(f, _)| **f != "error")
            .map(|(f, v)| format!("{f} = {v}"))
            .collect();
        return texts.join("\n");
    };
    let mut text = format!("{} documents", docs.len());
    for d in docs.iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&d.to_string());
    }
    if docs.len() > SHOWN {
        text.push_str(&format!("\n… ({} documents more)", docs.len() - SHOWN));
    }
    text
}

impl Act for MongoAct {
    fn title(&self) -> String {
        let collection = self
            .collection
            .as_ref()
            .map_or_else(String::new, |c| format!(" {}", c.source()));
        format!(
            "{}: {}{collection}",
            self.service.value,
            self.operation.name()
        )
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
