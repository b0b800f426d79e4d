//! `file`: what stands at a path of a service.

use std::time::Instant;

use jiff::Timestamp;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Document, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::context::reach_error;
use super::evidence::cut;
use super::fields::args;
use super::target::Target;
use super::world::{FileKind, FileRequest, ServiceFile};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Bytes of a text that expectations see.
const LONGEST: usize = 4 * 1024 * 1024;
/// Bytes of JSON that are read.
const LARGEST_JSON: usize = 16 * 1024 * 1024;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "file",
    fields: &[
        "exists", "kind", "content", "json", "size", "sha256", "mode", "uid", "gid", "modified",
        "link", "entries", "duration",
    ],
    help: "looks at a file or directory in a container of a service, whether it runs or not",
    example: "file: { service: orders, path: /data/out.csv }",
    usual: Some("exists"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    path: Text,
    #[serde(default)]
    replica: Option<u32>,
    #[serde(default)]
    follow: Option<bool>,
}

struct FileAct {
    service: Spanned<String>,
    path: Text,
    replica: u32,
    follow: bool,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    if let Some(path) = a.path.plain() {
        absolute(path, &a.path).map_err(|p| vec![p])?;
    }
    Ok(FileAct {
        service: a.service,
        path: a.path,
        replica: a.replica.unwrap_or(0),
        follow: a.follow.unwrap_or(true),
    }
    .into())
}

/// What has no place of its own cannot be found.
fn absolute(path: &str, written: &Text) -> Result<(), Problem> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(());
    }
    let message = format!("`{path}` is no absolute path in the container");
    Err(
        Problem::at(ProblemKind::InvalidValue, written.span(), message)
            .help("write `path: /data/out.csv`"),
    )
}

impl FileAct {
    async fn look(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let path = self.path.render(context.scope)?;
        absolute(&path, &self.path)?;
        context
            .trail
            .add("path", format!("{}: {path}", self.service.value));
        let ask = FileRequest {
            service: self.service.value.clone(),
            replica: self.replica,
            path,
            link_itself: !self.follow,
        };
        let begun = Instant::now();
        let found = context.world.read_file(&ask).await.map_err(reach_error)?;
        let took = begun.elapsed();
        let mut document = document(found.as_ref());
        document.took(took);
        let facts = match &found {
            None => "there is nothing".to_owned(),
            Some(f) => format!(
                "{}, {} bytes, mode {:04o}, owner {}:{}",
                f.kind.as_str(),
                f.size,
                f.mode,
                f.uid,
                f.gid
            ),
        };
        context.trail.add("found", facts);
        if let Some(Json::String(text)) = document.get("content") {
            context.trail.add("content", text);
        }
        Ok(document.into())
    }
}

fn document(found: Option<&ServiceFile>) -> Document {
    let exists = found.is_some();
    let regular = found.filter(|f| f.kind == FileKind::File);
    let bytes = regular.map(|f| &f.bytes[..]);
    let some = |of: fn(&ServiceFile) -> Json| found.map_or(Json::Null, of);
    let content = bytes.and_then(|b| std::str::from_utf8(b).ok());
    let json = bytes
        .filter(|b| b.len() <= LARGEST_JSON)
        .and_then(|b| serde_json::from_slice(b).ok());
    let sum = bytes.map(|b| {
        let digest = Sha256::digest(b);
        digest
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    });
    Document::default()
        .with("exists", exists)
        .with("kind", some(|f| f.kind.as_str().into()))
        .with("content", content.map(|c| cut(c, LONGEST)))
        .with("json", json.unwrap_or(Json::Null))
        .with("size", regular.map(|f| f.size))
        .with("sha256", sum)
        .with("mode", some(|f| format!("{:04o}", f.mode).into()))
        .with("uid", some(|f| f.uid.into()))
        .with("gid", some(|f| f.gid.into()))
        .with("modified", some(|f| time(f.modified)))
        .with("link", some(|f| f.link.clone().into()))
        .with(
            "entries",
            some(|f| match f.kind {
                FileKind::Directory => f.entries.clone().into(),
                _ => Json::Null,
            }),
        )
}

fn time(seconds: u64) -> Json {
    let at = i64::try_from(seconds).ok();
    let at = at.and_then(|s| Timestamp::from_second(s).ok());
    at.map_or(Json::Null, |t| t.to_string().into())
}

impl Act for FileAct {
    fn title(&self) -> String {
        format!("{}: {}", self.service.value, self.path.source())
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::service(&self.service));
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.look(context))
    }
}
