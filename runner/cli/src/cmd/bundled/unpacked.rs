//! A bundle on this disk: where it is, and the stack that is made of it.

use std::path::PathBuf;

use prodmirror_engine::agent;
use prodmirror_engine::docker::Engine;
use prodmirror_model::bundle::{Manifest, PROJECT};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::{SourceFile, io_reason};
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::place::Place;
use crate::bundle::archive::Reading;
use crate::cmd::Session;

/// A bundle on this disk.
#[derive(Debug)]
pub struct Unpacked {
    /// Where it is.
    pub path: PathBuf,
    /// Keeps others out of it.
    place: Place,
    /// The directory of its project.
    pub root: PathBuf,
    /// What messages call it.
    pub shown: String,
}

impl Unpacked {
    /// Unpacks it below `.prodmirror/repro/`, in the place of what an earlier one left there.
    /// `mark` is the end of the directory's name.
    pub fn make(session: &Session, bundle: &Reading, mark: &str) -> Result<Self, Problem> {
        let digest = bundle.digest.as_str();
        let short = digest.rsplit(':').next().unwrap_or(digest);
        let below = session.context.cwd.join(".prodmirror").join("repro");
        let cannot = |e: std::io::Error| {
            let text = format!("cannot unpack {}: {}", bundle.name, io_reason(&e));
            Problem::new(ProblemKind::MissingFile, text)
        };
        let name = format!("{}{mark}", short.get(..12).unwrap_or(short));
        let place = Place::take(&below, &name).map_err(cannot)?;
        let path = place.path.clone();
        std::fs::create_dir_all(&path).map_err(cannot)?;
        if let Err(p) = bundle.unpack(&path) {
            let _ = place.remove();
            return Err(p);
        }
        let root = path.join(PROJECT).join(&bundle.manifest.root);
        // Runs are this machine's own: none may come along.
        match std::fs::remove_dir_all(root.join(".prodmirror")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(e)),
            _ => {}
        }
        let shown = path.strip_prefix(&session.context.cwd).unwrap_or(&path);
        let shown = shown.display().to_string();
        Ok(Self {
            path,
            place,
            root,
            shown,
        })
    }

    /// Takes it from this disk again.
    pub fn remove(&self) {
        let _ = self.place.remove();
    }

    /// Writes the project file anew. That of the bundle could allow what a stack of somebody
    /// else must not have: only what it says of feature flags is taken over.
    pub fn write_project(&self, m: &Manifest) -> Result<(), Problem> {
        let path = self.root.join("mirror.yaml");
        let file = SourceFile::read(&path, "mirror.yaml (of the bundle)".to_owned())?;
        let secrets: serde_json::Map<String, Json> = m
            .secrets
            .keys()
            .map(|name| (name.clone(), json!({ "env": name })))
            .collect();
        let mut project = json!({ "project": m.project, "production": ["stack.yaml"] });
        if !secrets.is_empty() {
            project["secrets"] = Json::Object(secrets);
        }
        if let Some(flags) = parse_one(&file)?.get("flags") {
            project["flags"] = flags.to_json();
        }
        let text = serde_json::to_string_pretty(&project).unwrap_or_default();
        std::fs::write(&path, text).map_err(|e| {
            let text = format!("cannot write {}: {}", path.display(), io_reason(&e));
            Problem::new(ProblemKind::MissingFile, text)
        })
    }
}

/// The stack of a bundle.
pub fn stack(dir: &Unpacked, m: &Manifest) -> Result<Json, Problem> {
    let file = SourceFile::read(
        &dir.root.join("stack.yaml"),
        "stack.yaml (of the bundle)".to_owned(),
    )?;
    let document = parse_one(&file)?.to_json();
    alone(&document)?;
    for service in document["services"]
        .as_object()
        .into_iter()
        .flat_map(|s| s.keys())
    {
        let agent = document["services"][service]["image"]
            .as_str()
            .is_some_and(crate::open::is_own);
        if !agent && !m.images.contains_key(service) {
            let text = format!("the bundle does not say which image `{service}` had");
            return Err(Problem::new(ProblemKind::Syntax, text).help("get the bundle again"));
        }
    }
    Ok(document)
}

/// Refuses what no rendered stack has: words that read other files of this machine, or build.
fn alone(document: &Json) -> Result<(), Problem> {
    let refuse = |what: String| {
        let text = format!("the bundle's stack has {what}, which no stack of a bundle has");
        Err(Problem::new(ProblemKind::Forbidden, text)
            .help("nothing was started: a stack of somebody else gets nothing of this machine"))
    };
    if document.get("include").is_some() {
        return refuse("`include`".to_owned());
    }
    let services = document["services"].as_object();
    for (name, service) in services.into_iter().flatten() {
        let other = ["build", "develop", "env_file", "extends", "label_file"];
        if let Some(key) = other.iter().find(|key| service.get(**key).is_some()) {
            return refuse(format!("`{key}` in the service `{name}`"));
        }
    }
    Ok(())
}

/// Puts the very images, and the agent of this version, into a stack.
pub fn put_images(
    document: &mut Json,
    images: &std::collections::BTreeMap<String, String>,
    engine: &Engine,
) -> Result<(), Problem> {
    let own = agent::image_tag(&engine.facts().arch)?;
    let services = document["services"].as_object_mut();
    for (name, service) in services.into_iter().flatten() {
        let is_own = service["image"].as_str().is_some_and(crate::open::is_own);
        let image = if is_own { Some(&own) } else { images.get(name) };
        if let Some(image) = image {
            service["image"] = json!(image);
        }
    }
    Ok(())
}
