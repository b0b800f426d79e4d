//! The normal form of Compose, read into the model and written from it.

mod codec;
mod keyed;
mod objects;
mod records;
mod scalar;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

pub(crate) use scalar::condition_name;

use codec::{Context, Field, JsonMap, Reader};

use super::{Input, Mirror, Sourced};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::{SourceFile, Span};
use crate::yaml::{Node, Value as Yaml};

/// Reads a whole project.
pub(super) fn read(node: &Node) -> Result<Mirror, Problems> {
    let Some(map) = node.as_map() else {
        let message = format!("expected a mapping with services, found {}", node.kind());
        return Err(Problem::at(ProblemKind::WrongType, &node.span, message).into());
    };
    let mut cx = Context::default();
    let mut reader = Reader::new(map);
    let name: Option<Sourced<String>> = reader.field("name", &mut cx);
    let mut mirror = Mirror {
        name: name.unwrap_or_default(),
        inputs: inputs(node),
        services: reader.field("services", &mut cx),
        networks: reader.field("networks", &mut cx),
        volumes: reader.field("volumes", &mut cx),
        config_files: reader.field("configs", &mut cx),
        secrets: reader.field("secrets", &mut cx),
        models: reader.field("models", &mut cx),
        extensions: reader.extensions(),
        unmapped: Vec::new(),
    };
    reader.finish(&mut cx);
    for (name, service) in &mut mirror.services {
        service.name.value.clone_from(name);
    }
    mirror.unmapped = cx.unmapped;
    if cx.problems.has_errors() {
        Err(cx.problems)
    } else {
        Ok(mirror)
    }
}

/// Writes a whole project.
pub(super) fn write(mirror: &Mirror) -> Json {
    let mut out = JsonMap::new();
    out.insert("name".into(), Json::String(mirror.name.value.clone()));
    // A project without services still has the key.
    out.insert("services".into(), Json::Object(JsonMap::new()));
    mirror.services.write_field("services", &mut out);
    mirror.networks.write_field("networks", &mut out);
    mirror.volumes.write_field("volumes", &mut out);
    mirror.config_files.write_field("configs", &mut out);
    mirror.secrets.write_field("secrets", &mut out);
    mirror.models.write_field("models", &mut out);
    for (key, node) in &mirror.extensions {
        out.insert(key.clone(), node.to_json());
    }
    Json::Object(out)
}

/// All files that a tree was read from, by name.
fn inputs(node: &Node) -> Vec<Input> {
    let mut files = Files::default();
    files.walk(node);
    let mut inputs: Vec<_> = files.found.iter().map(|f| input(f)).collect();
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    inputs
}

fn input(file: &SourceFile) -> Input {
    let digest = Sha256::digest(file.text.as_bytes());
    Input {
        path: file.name.clone(),
        sha256: digest.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

#[derive(Default)]
struct Files {
    seen: HashSet<*const SourceFile>,
    found: Vec<Arc<SourceFile>>,
}

impl Files {
    fn add(&mut self, span: &Span) {
        if span.is_real() && self.seen.insert(Arc::as_ptr(&span.file)) {
            self.found.push(span.file.clone());
        }
    }

    fn walk(&mut self, node: &Node) {
        self.add(&node.span);
        let mut via = node.via.as_ref();
        while let Some(step) = via {
            self.add(&step.span);
            via = step.before.as_ref();
        }
        match &node.value {
            Yaml::Seq(items) => items.iter().for_each(|n| self.walk(n)),
            Yaml::Map(map) => map.iter().for_each(|(_, n)| self.walk(n)),
            _ => {}
        }
    }
}
