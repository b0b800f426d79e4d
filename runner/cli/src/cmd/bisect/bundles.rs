//! A bundle as an environment: the stack of another failure, or of another release. It is
//! trusted with nothing, neither by itself nor in a combination.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prodmirror_engine::docker::Engine;
use prodmirror_model::bundle::{Manifest, Signature};
use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::hybrid::Side;
use prodmirror_model::project::{Allow, Project};
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::environment::{Environment, only_sound};
use crate::args::BisectArgs;
use crate::bundle::from_root;
use crate::cmd::Session;
use crate::cmd::bundled::{Bundled, Stopped, Terms, plain_name};
use crate::open::Opened;

/// What a bundle says besides what its stack is.
pub struct OfBundle {
    /// Its stack, with whole paths: a combination stands in another directory.
    pub document: Json,
    /// The file of the scenario that failed.
    pub scenario: PathBuf,
    /// The name of that scenario.
    pub case: String,
    /// How it failed.
    pub failure: Signature,
    pub seed: u64,
    pub vars: BTreeMap<String, Json>,
    /// Values of `--flag`, each `NAME=VALUE`.
    pub flags: Vec<String>,
}

/// Whether a text of the command line names a bundle.
pub fn is_bundle(cwd: &Path, text: &str) -> bool {
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    is_address || (text.ends_with(".bundle") && cwd.join(text).is_file())
}

/// Opens a bundle, which is unpacked below a directory.
///
/// # Errors
/// What it lacks here, or may not have.
pub async fn open(
    session: &Session,
    (args, engine): (&BisectArgs, &Engine),
    (text, images): (&str, &[String]),
    dir: &Path,
) -> Result<Environment, Stopped> {
    let bundle = Bundled::get(session, text).await?;
    session.note(&bundle.about(false));
    let m = bundle.manifest();
    let mut below = Session {
        global: session.global.clone(),
        context: session.context.clone(),
    };
    // Secrets of the project at hand are found where it is, not where the bundle is put.
    let at_hand = match &below.global.project {
        Some(path) => Some(session.context.cwd.join(path)),
        None => Project::find(&session.context.cwd).ok(),
    };
    below.global.project = at_hand;
    below.context.cwd = dir.to_owned();
    let terms = Terms {
        trust: &args.trust,
        offline: args.offline,
        command: "prodmirror bisect",
        mark: "",
    };
    let taken = bundle.take(&below, engine, terms).await?;
    let (global, context) = (&taken.session.global, &taken.session.context);
    let opened = Opened::open(global, context, &engine.facts().arch)?;
    only_sound(&opened)?;
    let Some(stack) = opened.stack() else {
        let text = format!("{text} has no stack that could be started");
        return Err(Problem::new(ProblemKind::NothingRuns, text).into());
    };
    let mut document = parse_one(&stack.text.file)?.to_json();
    whole_paths(&mut document, &opened.project.root);
    names_of_images(&mut document, m, engine).await?;
    let all = session.global.image.iter().chain(images).cloned();
    put_images(&mut document, &all.collect::<Vec<_>>(), text)?;
    let of = OfBundle {
        document,
        scenario: taken.dir.root.join(from_root(&m.root, &m.case.file)),
        case: plain_name(&m.case.name),
        failure: m.failure.clone(),
        seed: m.run.seed,
        vars: m.run.vars.clone(),
        flags: m.run.flags.clone(),
    };
    Ok(Environment {
        name: text.to_owned(),
        prefix: format!("{text}:"),
        opened,
        bundle: Some(of),
        written: None,
    })
}

/// Makes relative paths whole: those of binds, and of files of configs and secrets.
fn whole_paths(document: &mut Json, root: &Path) {
    let root = root.display().to_string().replace('$', "$$");
    let whole = |path: &mut Json| {
        if let Json::String(text) = path
            && !Path::new(text.as_str()).is_absolute()
            && !text.starts_with("${")
        {
            *text = format!("{root}/{}", text.trim_start_matches("./"));
        }
    };
    let services = document["services"].as_object_mut().into_iter().flatten();
    let mounts = services.filter_map(|(_, s)| s.get_mut("volumes")?.as_array_mut());
    for mount in mounts.flatten().filter(|m| m["type"] == "bind") {
        mount.get_mut("source").map(whole);
    }
    for section in ["configs", "secrets"] {
        let all = document[section].as_object_mut().into_iter().flatten();
        all.filter_map(|(_, d)| d.get_mut("file")).for_each(whole);
    }
}

/// An image that still has its name here is called by it, not by its identity.
async fn names_of_images(
    document: &mut Json,
    m: &Manifest,
    engine: &Engine,
) -> Result<(), Problem> {
    for (service, facts) in &m.images {
        let Some(image) = document["services"].get_mut(service) else {
            continue;
        };
        let image = &mut image["image"];
        let given = identity(engine, image.as_str().unwrap_or_default()).await?;
        if given.is_some() && identity(engine, &facts.reference).await? == given {
            *image = json!(facts.reference);
        }
    }
    Ok(())
}

async fn identity(engine: &Engine, reference: &str) -> Result<Option<String>, Problem> {
    let found = engine.image(reference).await;
    let found = found.map_err(|e| e.problem("look for an image"))?;
    Ok(found.map(|image| image.id))
}

/// Puts other images into a stack.
fn put_images(document: &mut Json, given: &[String], name: &str) -> Result<(), Problem> {
    for (service, image) in crate::open::images(given)? {
        let services = document["services"].as_object_mut();
        let known: Vec<String> = services.iter().flat_map(|s| s.keys().cloned()).collect();
        let Some(found) = services.and_then(|s| s.get_mut(&service)) else {
            let what = format!("{name} has no service `{service}`");
            let problem = Problem::new(ProblemKind::UnknownReference, what);
            return Err(match nearest(&service, known.iter().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("its services: {}", known.join(", "))),
            });
        };
        found["image"] = json!(image);
    }
    Ok(())
}

/// Where both sides name the same image, by a name or by its identity, they are given one name:
/// it is no difference.
///
/// # Errors
/// The engine cannot be asked.
pub async fn level_images(engine: &Engine, a: &Side, b: &mut Side) -> Result<(), Problem> {
    let services = b.document["services"].as_object_mut().into_iter().flatten();
    for (name, service) in services {
        let ours = &a.document["services"][name.as_str()]["image"];
        let (Some(one), Some(other)) = (ours.as_str(), service["image"].as_str()) else {
            continue;
        };
        if one == other {
            continue;
        }
        let known = identity(engine, one).await?;
        if known.is_some() && identity(engine, other).await? == known {
            service["image"] = ours.clone();
        }
    }
    Ok(())
}

/// Whether an environment has nothing that a stack of somebody else must not have: beside a
/// bundle, what it brings would get it, too.
///
/// # Errors
/// All that it has.
pub fn nothing_allowed(environment: &Environment, allowed: &[String]) -> Result<(), Problems> {
    let Some(stack) = environment.opened.stack() else {
        return Ok(());
    };
    let mut project = environment.opened.project.clone();
    project.allow = Allow::default();
    let mut found = stack.dangers(&project, allowed);
    found.0.retain(Problem::is_error);
    for p in &mut found.0 {
        let of_user = p.help.as_ref().is_some_and(|h| h.contains("--allow-"));
        if !of_user {
            let help = format!(
                "{} allows it, and a combination with a bundle would give it to what the bundle runs: take it out, or bisect without the bundle",
                environment.name
            );
            p.help = Some(help);
        }
    }
    if found.0.is_empty() {
        Ok(())
    } else {
        Err(found)
    }
}
