//! `repro`: a failure again, from the file that it left.

mod fetch;
mod images;
mod place;
mod values;
mod verdict;

use std::path::PathBuf;

use prodmirror_engine::agent;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::store::Catalogue;
use prodmirror_model::bundle::{IMAGES, Manifest, PROJECT};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use prodmirror_model::snapshot::bytes;
use prodmirror_model::source::{SourceFile, io_reason};
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::Session;
use super::run as running;
use crate::args::{GivenStack, PauseOn, ReproArgs};
use crate::bundle::archive::Reading;
use crate::bundle::from_root;
use crate::bundle::sign::PublicKey;
use crate::exit::Exit;
use crate::report::look::count;
use crate::runs::Runs;

/// Runs it.
pub async fn run(session: &Session, args: &ReproArgs) -> Exit {
    match go(session, args).await {
        Ok(exit) | Err(Stopped::Told(exit)) => exit,
        Err(Stopped::Problems(problems)) => {
            session.tell(&problems, &Redactor::new());
            let has = |kind| problems.0.iter().any(|p| p.kind == kind);
            if has(ProblemKind::Engine) {
                Exit::Engine
            } else if has(ProblemKind::Start) {
                Exit::Stack
            } else {
                Exit::Invalid
            }
        }
    }
}

/// Why it ended before its time.
enum Stopped {
    /// It was told already.
    Told(Exit),
    /// It is still to be told.
    Problems(Problems),
}

impl From<Problem> for Stopped {
    fn from(p: Problem) -> Self {
        Self::Problems(p.into())
    }
}

impl From<Problems> for Stopped {
    fn from(p: Problems) -> Self {
        Self::Problems(p)
    }
}

impl From<Exit> for Stopped {
    fn from(e: Exit) -> Self {
        Self::Told(e)
    }
}

async fn go(session: &Session, args: &ReproArgs) -> Result<Exit, Stopped> {
    let trusted = trusted(session, args)?;
    let fetched = fetch::fetch(session, &args.bundle).await?;
    let bundle = Reading::open(fetched.path(), &fetch::shown(&args.bundle))?;
    if let Some((keys, file)) = &trusted {
        bundle.verify(keys, file)?;
    }
    let m = &bundle.manifest;
    session.note(&about(&bundle));
    session.note(&signed(&bundle, trusted.is_some()));
    let engine = session.engine().await?;
    fits(session, m, &engine)?;
    if m.run.allow_shell && !args.allow_shell {
        session.note(
            "note: it was run with --allow-shell; give it here, too, if you trust the bundle\n",
        );
    }
    let dir = Unpacked::make(session, &bundle, args.dry_run)?;
    let done = play(session, args, m, &engine, &dir).await;
    if done.is_err() || args.dry_run {
        // Nothing was done in it.
        let _ = dir.place.remove();
    }
    done
}

/// Runs what was unpacked, and says what came of it.
async fn play(
    session: &Session,
    args: &ReproArgs,
    m: &Manifest,
    engine: &Engine,
    dir: &Unpacked,
) -> Result<Exit, Stopped> {
    let values = values::find(session, m, args)?;
    dir.write_project(m)?;
    let mut document = stack(dir, m)?;
    let images = images::find(session, engine, (m, args), &dir.path.join(IMAGES)).await?;
    put_images(&mut document, &images, engine)?;
    data(session, engine, m, dir).await?;
    let mut inner = Session {
        global: session.global.clone(),
        context: session.context.clone(),
    };
    inner.context.cwd.clone_from(&dir.root);
    inner.context.env.extend(values);
    inner.global.project = Some(dir.root.join("mirror.yaml"));
    inner.global.image.clear();
    inner.global.stack = Some(GivenStack {
        text: serde_json::to_string_pretty(&document).unwrap_or_default(),
        name: "stack.yaml (of the bundle)".to_owned(),
        variables: m.secrets.keys().cloned().collect(),
        untrusted: Some(args.allow_egress.clone()),
    });
    let arguments = arguments(m, args);
    if args.dry_run {
        let opened = inner.open(&engine.facts().arch)?;
        inner.tell(&opened.problems, &opened.redactor);
        return Ok(if opened.problems.has_errors() {
            Exit::Invalid
        } else {
            Exit::Ok
        });
    }
    let exit = running::run(&inner, &arguments).await;
    let last = Runs::of(&dir.root).last();
    match (exit, last) {
        (Exit::Ok | Exit::Failed | Exit::Stack, Some(last)) => {
            let told = verdict::tell(session, m, (&dir.shown, &last));
            told.map_err(Into::into)
        }
        (exit, _) => Ok(exit),
    }
}

/// What a bundle is, for people.
fn about(bundle: &Reading) -> String {
    let m = &bundle.manifest;
    let mut text = format!(
        "{}: `{}` of {} in {}, which failed at\n  {}\n  on {}/{} with {}, {} CPUs, {}\n",
        bundle.name,
        m.case.name,
        m.case.file,
        m.project,
        m.failure.text(),
        m.host.os,
        m.host.arch,
        m.host.engine,
        m.host.cpus,
        bytes(m.host.memory),
    );
    text.push_str(&format!("  {}", count(m.images.len(), "service")));
    if !m.run.flags.is_empty() {
        text.push_str(&format!(", flags {}", m.run.flags.join(", ")));
    }
    if !m.data.is_empty() {
        let all: Vec<String> = m.data.values().map(|d| d.snapshot.clone()).collect();
        text.push_str(&format!(", data {}", all.join(", ")));
    }
    text.push_str(&format!(", seed {}\n", m.run.seed));
    text
}

/// The keys by which a bundle must be signed, and what messages call their file.
fn trusted(
    session: &Session,
    args: &ReproArgs,
) -> Result<Option<(Vec<PublicKey>, String)>, Problem> {
    let Some(path) = &args.verify else {
        return Ok(None);
    };
    let shown = path.display().to_string();
    let keys = PublicKey::read_all(&session.context.cwd.join(path), &shown)?;
    Ok(Some((keys, shown)))
}

/// By whom a bundle is signed, for people.
fn signed(bundle: &Reading, trusted: bool) -> String {
    let Some(key) = &bundle.signed_by else {
        return String::new();
    };
    let known = match trusted {
        true => "",
        false => ", whoever has that: --verify tells",
    };
    format!("  signed with the key {}{known}\n", key.fingerprint())
}

/// Whether this machine can run it.
fn fits(session: &Session, m: &Manifest, engine: &Engine) -> Result<(), Problem> {
    let here = engine.facts();
    if (here.os.as_str(), here.arch.as_str()) != (&m.host.os, &m.host.arch) {
        let text = format!(
            "it failed on {}/{}, and this engine is {}/{}: its images do not run here",
            m.host.os, m.host.arch, here.os, here.arch
        );
        return Err(Problem::new(ProblemKind::Unsupported, text)
            .help("use an engine of that architecture: DOCKER_HOST names another one"));
    }
    let wanted = m.host.limits.min(m.host.memory);
    if here.memory < wanted {
        let text = format!(
            "warning: its services may use {}, and this engine has {}: what fails may be for want of memory\n",
            bytes(wanted),
            bytes(here.memory)
        );
        session.note(&text);
    }
    if u64::from(here.cpus) < m.host.cpus {
        let text = format!(
            "warning: it failed on {} CPUs, and this engine has {}: it may be slower here\n",
            m.host.cpus, here.cpus
        );
        session.note(&text);
    }
    Ok(())
}

/// A bundle on this disk.
struct Unpacked {
    path: PathBuf,
    /// Keeps others out of it.
    place: place::Place,
    /// The directory of its project.
    root: PathBuf,
    /// What messages call it.
    shown: String,
}

impl Unpacked {
    /// Unpacks it below `.prodmirror/repro/`, in the place of what an earlier one left there.
    fn make(session: &Session, bundle: &Reading, dry_run: bool) -> Result<Self, Problem> {
        let digest = bundle.digest.as_str();
        let short = digest.rsplit(':').next().unwrap_or(digest);
        let below = session.context.cwd.join(".prodmirror").join("repro");
        let cannot = |e: std::io::Error| {
            let text = format!("cannot unpack {}: {}", bundle.name, io_reason(&e));
            Problem::new(ProblemKind::MissingFile, text)
        };
        let short = short.get(..12).unwrap_or(short);
        // To look at one is no reason to remove what an earlier run of it left.
        let name = format!("{short}{}", if dry_run { "-dry-run" } else { "" });
        let place = place::Place::take(&below, &name);
        let place = place.map_err(cannot)?;
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

    /// Writes the project file anew. That of the bundle could allow what a stack of somebody
    /// else must not have: only what it says of feature flags is taken over.
    fn write_project(&self, m: &Manifest) -> Result<(), Problem> {
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
fn stack(dir: &Unpacked, m: &Manifest) -> Result<Json, Problem> {
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
fn put_images(
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

/// Brings the snapshots of a bundle, and says which are missing.
async fn data(
    session: &Session,
    engine: &Engine,
    m: &Manifest,
    dir: &Unpacked,
) -> Result<(), Problems> {
    if m.data.is_empty() {
        return Ok(());
    }
    let mut problems = Problems::default();
    for (volume, facts) in &m.data {
        let catalogue = Catalogue::of(engine, &session.global.store);
        let (entries, _) = catalogue.list().await?;
        let there = entries.iter().find(|e| e.manifest.name == facts.snapshot);
        match (there, &facts.file) {
            (Some(entry), _) if entry.digest.to_string() == facts.digest => {}
            (None, Some(file)) => {
                super::snapshot::import_from(session, engine, &dir.path.join(file)).await?;
            }
            (Some(_), _) => {
                let text = format!(
                    "the snapshot {} of `{volume}` is another one here than the one on which it failed ({})",
                    facts.snapshot, facts.digest
                );
                let help = "remove or rename the one that is here, and bring that one: `prodmirror snapshot import|pull`";
                problems.push(Problem::new(ProblemKind::Drift, text).help(help));
            }
            (None, None) => {
                let text = format!(
                    "the snapshot {} of `{volume}` ({}) is neither here nor in the bundle",
                    facts.snapshot, facts.digest
                );
                let help = "bring it from where it failed (`prodmirror snapshot export` and `import`, or `push` and `pull`), or write the bundle with --with-data";
                problems.push(Problem::new(ProblemKind::Missing, text).help(help));
            }
        }
    }
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// What is run.
fn arguments(m: &Manifest, args: &ReproArgs) -> crate::args::RunArgs {
    let files = std::iter::once(&m.case.file).chain(&m.also);
    let mut given: Vec<String> = files.map(|f| from_root(&m.root, f)).collect();
    given.extend([
        "--seed".to_owned(),
        m.run.seed.to_string(),
        "--repeat".to_owned(),
        args.repeat.to_string(),
        "--bundle".to_owned(),
        "never".to_owned(),
    ]);
    for (name, value) in &m.run.vars {
        given.push(format!("--var={name}={value}"));
    }
    for flag in &m.run.flags {
        given.push(format!("--flag={flag}"));
    }
    let mut arguments = running::arguments(&given);
    arguments.allow_shell = args.allow_shell;
    arguments.offline = args.offline;
    arguments.again = Some(format!("prodmirror repro {}", fetch::shown(&args.bundle)));
    let case = plain_name(&m.case.name);
    let before = m.before.iter().cloned();
    arguments.only = Some(before.chain([case.clone()]).collect());
    if args.hold {
        arguments.inner.pause_on = Some(PauseOn::Fail);
    }
    if args.until {
        let step = m.failure.step.as_ref();
        arguments.inner.at = step.map(|s| (case, s.position.clone()));
    }
    arguments
}

/// The name of a case without the mark of its repetition: `checkout [2-5]`.
fn plain_name(name: &str) -> String {
    let marked = name.strip_suffix(']').and_then(|n| n.rsplit_once(" ["));
    let is_count = |mark: &str| {
        let counts = mark.split_once('-');
        counts.is_some_and(|(i, n)| {
            let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            digits(i) && digits(n)
        })
    };
    match marked {
        Some((plain, mark)) if is_count(mark) => plain.to_owned(),
        _ => name.to_owned(),
    }
}
