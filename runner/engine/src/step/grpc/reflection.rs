//! Descriptors from the server itself, by `grpc.reflection`.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use tokio::sync::mpsc::UnboundedSender;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Streaming};

use super::call::LARGEST;
use super::channel::Channel;
use super::codec::Raw;
use crate::step::StepError;

/// The services that answer, the newest first. Their messages are the same.
const SERVICES: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Files that a service may be described by.
const MOST: usize = 2000;

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(oneof = "Ask", tags = "3, 4, 7")]
    ask: Option<Ask>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Ask {
    #[prost(string, tag = "3")]
    File(String),
    #[prost(string, tag = "4")]
    Symbol(String),
    #[prost(string, tag = "7")]
    Services(String),
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(oneof = "Told", tags = "4, 6, 7")]
    told: Option<Told>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Told {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Failed(Failed),
}

#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Failed {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Asks the server what a service is.
///
/// # Errors
/// A server without reflection or without this service is a problem at `span`.
pub(super) async fn service(
    channel: &Channel,
    metadata: &MetadataMap,
    name: &str,
    span: &Span,
) -> Result<ServiceDescriptor, StepError> {
    let ask = Ask::Symbol(name.to_owned());
    let (mut talk, told) = Talk::open(channel, metadata, &ask, span).await?;
    let files = match told {
        Told::Files(files) => files,
        Told::Failed(_) => return Err(talk.unknown_service(name, span).await),
        Told::Services(_) => return Err(talk.odd()),
    };
    let mut found: HashMap<String, FileDescriptorProto> = HashMap::new();
    let mut bytes = 0;
    let mut fresh = files;
    let mut asked = HashSet::new();
    loop {
        for file in &fresh.files {
            bytes += file.len();
            let file = FileDescriptorProto::decode(file.as_slice()).map_err(|e| {
                StepError::transport(format!(
                    "the descriptors from {} cannot be read: {e}",
                    channel.endpoint
                ))
            })?;
            found.insert(file.name().to_owned(), file);
        }
        if found.len() > MOST || bytes > LARGEST {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                span,
                format!("{} describes `{name}` by too many files", channel.endpoint),
            )
            .help("name the files that matter in `proto`")
            .into());
        }
        let missing = found
            .values()
            .flat_map(|f| &f.dependency)
            .find(|d| !found.contains_key(*d) && !asked.contains(*d));
        let Some(missing) = missing.cloned() else {
            break;
        };
        asked.insert(missing.clone());
        fresh = match talk.ask(&Ask::File(missing.clone())).await? {
            Told::Files(files) => files,
            Told::Services(_) => return Err(talk.odd()),
            Told::Failed(why) => match well_known(&missing) {
                Some(file) => {
                    found.insert(missing, file);
                    Files::default()
                }
                None => {
                    return Err(Problem::at(
                        ProblemKind::Unsupported,
                        span,
                        format!(
                            "{} does not describe `{name}` wholly: {missing} is missing ({})",
                            channel.endpoint, why.message
                        ),
                    )
                    .help("name the service's files in `proto`")
                    .into());
                }
            },
        };
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(in_order(found))
        .map_err(|e| {
            Problem::at(
                ProblemKind::Unsupported,
                span,
                format!("the descriptors from {} are wrong: {e}", channel.endpoint),
            )
            .help("name the service's files in `proto`")
        })?;
    match pool.get_service_by_name(name) {
        Some(service) => Ok(service),
        // The name of a message, or of something else that is no service.
        None => Err(talk.unknown_service(name, span).await),
    }
}

/// Files that every implementation has built in.
fn well_known(name: &str) -> Option<FileDescriptorProto> {
    let pool = DescriptorPool::global();
    let file = pool.get_file_by_name(name)?;
    Some(file.file_descriptor_proto().clone())
}

/// Each file after those that it imports.
fn in_order(mut files: HashMap<String, FileDescriptorProto>) -> Vec<FileDescriptorProto> {
    let mut ordered = Vec::with_capacity(files.len());
    let mut names: Vec<String> = files.keys().cloned().collect();
    names.sort();
    // A name is looked at twice: before and after its imports. Circles end at names that are
    // taken already.
    let mut open: Vec<(String, bool)> = names.into_iter().map(|n| (n, false)).collect();
    let mut entered = HashSet::new();
    while let Some((name, ready)) = open.pop() {
        if ready {
            ordered.extend(files.remove(&name));
            continue;
        }
        if !entered.insert(name.clone()) {
            continue;
        }
        let imports = files.get(&name).map(|f| f.dependency.clone());
        open.push((name, true));
        open.extend(imports.unwrap_or_default().into_iter().map(|n| (n, false)));
    }
    ordered
}

/// Questions and answers over one stream.
struct Talk {
    channel: Channel,
    questions: UnboundedSender<Bytes>,
    answers: Streaming<Bytes>,
}

impl Talk {
    /// Asks the first question, by the newest protocol that the server has.
    async fn open(
        channel: &Channel,
        metadata: &MetadataMap,
        ask: &Ask,
        span: &Span,
    ) -> Result<(Self, Told), StepError> {
        for service in SERVICES {
            let channel = channel.another();
            let (questions, asked) = tokio::sync::mpsc::unbounded_channel();
            let _ = questions.send(encode(ask));
            let path = super::call::path(service, "ServerReflectionInfo")?;
            let mut request = tonic::Request::new(UnboundedReceiverStream::new(asked));
            *request.metadata_mut() = metadata.clone();
            let mut client = super::call::client(&channel)?;
            let opened = client.streaming(request, path, Raw).await;
            let failed = match opened {
                Ok(response) => {
                    let mut talk = Self {
                        channel: channel.clone(),
                        questions,
                        answers: response.into_inner(),
                    };
                    match talk.next().await {
                        Ok(told) => return Ok((talk, told)),
                        Err(status) => status,
                    }
                }
                Err(status) => status,
            };
            if !channel.answered() {
                return Err(channel.no_answer(&failed));
            }
            if failed.code() != Code::Unimplemented {
                return Err(StepError::transport(format!(
                    "{} does not describe its services: {} {}",
                    channel.endpoint,
                    super::status::name(failed.code()),
                    failed.message()
                )));
            }
        }
        Err(Problem::at(
            ProblemKind::Unsupported,
            span,
            format!("{} has no server reflection", channel.endpoint),
        )
        .help("name the service's files: `proto: [orders.proto]`")
        .into())
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Told, StepError> {
        let _ = self.questions.send(encode(ask));
        let next = self.next().await;
        next.map_err(|status| self.channel.no_answer(&status))
    }

    async fn next(&mut self) -> Result<Told, tonic::Status> {
        let odd = |what: &str| tonic::Status::internal(format!("server reflection: {what}"));
        let bytes = self.answers.message().await?;
        let bytes = bytes.ok_or_else(|| odd("the stream ended"))?;
        let answer = Answer::decode(bytes).map_err(|e| odd(&e.to_string()))?;
        answer.told.ok_or_else(|| odd("an empty answer"))
    }

    async fn unknown_service(&mut self, name: &str, span: &Span) -> StepError {
        let all: Vec<String> = match self.ask(&Ask::Services(String::new())).await {
            Ok(Told::Services(s)) => s.services.into_iter().map(|s| s.name).collect(),
            Ok(_) => Vec::new(),
            Err(e) => return e,
        };
        let all: Vec<&str> = all
            .iter()
            .map(String::as_str)
            .filter(|s| !s.starts_with("grpc.reflection."))
            .collect();
        let p = Problem::at(
            ProblemKind::UnknownReference,
            span,
            format!("{} has no service `{name}`", self.channel.endpoint),
        );
        match nearest(name, all.iter().copied()) {
            Some(n) => p.help(format!("did you mean `{n}`?")).into(),
            None => p.help(format!("its services: {}", all.join(", "))).into(),
        }
    }

    fn odd(&self) -> StepError {
        StepError::transport(format!(
            "server reflection of {}: an answer to another question",
            self.channel.endpoint
        ))
    }
}

fn encode(ask: &Ask) -> Bytes {
    let question = Question {
        ask: Some(ask.clone()),
    };
    question.encode_to_vec().into()
}
