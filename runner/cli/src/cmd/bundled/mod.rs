//! Bundles that are run here: the stack of one made ready on this machine, which trusts it with
//! nothing.

mod fetch;
mod images;
mod kept;
mod place;
mod unpacked;
mod values;

use std::collections::BTreeMap;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::store::Catalogue;
use prodmirror_model::bundle::{IMAGES, Manifest};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use prodmirror_model::snapshot::bytes;

use self::fetch::Fetched;
pub use self::fetch::shown;
pub use self::kept::Kept;
pub use self::unpacked::Unpacked;
use self::unpacked::{put_images, stack};
use super::Session;
use crate::args::{GivenStack, TrustArgs};
use crate::bundle::archive::Reading;
use crate::exit::Exit;
use crate::report::look::count;

/// Why it ended before its time.
pub enum Stopped {
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

impl Stopped {
    /// Tells what is still to be told; the exit code that fits it.
    pub fn tell(self, session: &Session) -> Exit {
        let problems = match self {
            Self::Told(exit) => return exit,
            Self::Problems(problems) => problems,
        };
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

/// How a bundle is taken.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What it may have here.
    pub trust: &'a TrustArgs,
    /// Whether no registry is asked.
    pub offline: bool,
    /// The command that is at work, for messages: `prodmirror repro`.
    pub command: &'a str,
    /// What the name of its directory ends with: what is kept for one purpose is not replaced
    /// for another.
    pub mark: &'a str,
}

/// A bundle that was fetched and looked into.
pub struct Bundled {
    /// What was read of it.
    pub reading: Reading,
    /// Where it is as long as it is needed.
    _fetched: Fetched,
}

impl Bundled {
    /// Gets the bundle that the command line names.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub async fn get(session: &Session, from: &str) -> Result<Self, Problem> {
        let fetched = fetch::fetch(session, from).await?;
        let reading = Reading::open(fetched.path(), &shown(from))?;
        Ok(Self {
            reading,
            _fetched: fetched,
        })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.reading.manifest
    }

    /// What it is, for people. `verified` says whether its signature was looked at.
    pub fn about(&self, verified: bool) -> String {
        about(&self.reading) + &signed(&self.reading, verified)
    }

    /// Unpacks it, and makes its stack ready: the very images, the data, values of its secrets.
    /// Nothing of it stays when that is not to be had.
    ///
    /// # Errors
    /// What it lacks here, or may not have.
    pub async fn take(
        &self,
        session: &Session,
        engine: &Engine,
        terms: Terms<'_>,
    ) -> Result<Taken, Stopped> {
        let m = self.manifest();
        fits(session, m, engine)?;
        let dir = Unpacked::make(session, &self.reading, terms.mark)?;
        match ready(session, engine, (m, &dir), terms).await {
            Ok(inner) => Ok(Taken {
                session: inner,
                dir,
            }),
            Err(stopped) => {
                dir.remove();
                Err(stopped)
            }
        }
    }
}

/// A bundle whose stack can be started.
pub struct Taken {
    /// The session in which it is the project.
    pub session: Session,
    /// Where it is on this disk.
    pub dir: Unpacked,
}

/// The session in which the stack of a bundle is the project.
async fn ready(
    session: &Session,
    engine: &Engine,
    (m, dir): (&Manifest, &Unpacked),
    terms: Terms<'_>,
) -> Result<Session, Stopped> {
    let given = given_images(session, m)?;
    let values = values::find(session, m, terms)?;
    dir.write_project(m)?;
    let mut document = stack(dir, m)?;
    let saved = dir.path.join(IMAGES);
    let mut images = images::find(session, engine, (m, terms, &given), &saved).await?;
    images.extend(given);
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
        untrusted: Some(terms.trust.allow_egress.clone()),
    });
    Ok(inner)
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

/// By whom a bundle is signed, for people.
fn signed(bundle: &Reading, verified: bool) -> String {
    let Some(key) = &bundle.signed_by else {
        return String::new();
    };
    let known = match verified {
        true => "",
        false => ", whoever has that: `prodmirror repro --verify` tells",
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

/// The images that the command line gives to services in place of those that failed.
fn given_images(session: &Session, m: &Manifest) -> Result<BTreeMap<String, String>, Problems> {
    let given: BTreeMap<String, String> = crate::open::images(&session.global.image)?
        .into_iter()
        .collect();
    let mut problems = Problems::default();
    for (service, image) in &given {
        if m.images.contains_key(service) {
            session.note(&format!("not as where it failed: {service} runs {image}\n"));
        } else {
            let what =
                format!("`--image {service}={image}`: the bundle has no service `{service}`");
            let known: Vec<&str> = m.images.keys().map(String::as_str).collect();
            let help = format!("it has {}", known.join(", "));
            problems.push(Problem::new(ProblemKind::UnknownReference, what).help(help));
        }
    }
    match problems.0.is_empty() {
        true => Ok(given),
        false => Err(problems),
    }
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

/// The name of a case without the mark of its repetition: `checkout [2-5]`.
pub fn plain_name(name: &str) -> String {
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
