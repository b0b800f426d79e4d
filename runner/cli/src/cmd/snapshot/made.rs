//! Snapshots that the service of production makes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_engine::bus::{BusOptions, Sink};
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::lease::Lease;
use prodmirror_engine::store::dump::Dump;
use prodmirror_engine::store::{Made, Making, Origin, Sealed, Treatment};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::{Grow, Project, Recipe};
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;
use prodmirror_model::yaml::Spanned;

use super::Work;
use super::create::Known;
use crate::cmd::engine::host_arch;
use crate::cmd::planned;
use crate::open::{Opened, value_of};

/// Where a project keeps the key of its masks, when it names none.
const KEY_FILE: &str = ".prodmirror/mask.key";

/// What becomes of the data.
pub(super) struct Wanted<'a> {
    pub service: Option<String>,
    pub database: String,
    pub public: bool,
    pub recipe: Option<&'a Recipe>,
}

impl Wanted<'_> {
    /// Whether it is more than to be sealed.
    pub fn is_more(&self) -> bool {
        let of = |r: &Recipe| {
            !r.mask.is_empty() || r.subset.is_some() || !r.grow.is_empty() || r.grow_like.is_some()
        };
        self.public || self.recipe.is_some_and(of)
    }
}

impl Work<'_> {
    pub(super) async fn loaded(
        &self,
        dump: &Dump,
        wanted: &Wanted<'_>,
    ) -> Result<(Sealed, Known), Problems> {
        let (made, known) = self.made(Origin::Dump(dump), wanted).await?;
        Ok((sealed(made)?, known))
    }

    pub(super) async fn scripted(
        &self,
        path: &Path,
        wanted: &Wanted<'_>,
    ) -> Result<(Sealed, Known), Problems> {
        let (made, known) = self.made(Origin::Script(path), wanted).await?;
        Ok((sealed(made)?, known))
    }

    /// A content that is there: measured, and changed where that is wanted.
    pub(super) async fn of_content(
        &self,
        raw: Sealed,
        wanted: &Wanted<'_>,
    ) -> Result<(Sealed, Known), Problems> {
        let hash = raw.content.hash.clone();
        let (made, known) = self.made(Origin::Content(&hash), wanted).await?;
        Ok((made.unwrap_or(raw), known))
    }

    async fn made(
        &self,
        origin: Origin<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<(Option<Sealed>, Known), Problems> {
        let Some(service) = &wanted.service else {
            let message = "nothing says which service loads the data";
            return Err(Problem::new(ProblemKind::Missing, message)
                .help("name it: `service: db` in the recipe, or --service db")
                .into());
        };
        let opened = Opened::open(&self.session.global, &self.session.context, host_arch())?;
        if opened.problems.has_errors() {
            return Err(opened.problems);
        }
        let (plan, _) = planned::bare_plan(self.session, &opened, &self.engine).await?;
        let key = match wanted.recipe.filter(|r| !r.mask.is_empty()) {
            Some(_) => Some(self.mask_key(&opened.project)?),
            None => None,
        };
        if let Some(key) = &key {
            opened.redactor.add("the key of masks", key);
        }
        let mut images = planned::images_of(&plan, opened.lock.as_ref(), false);
        let its = plan.containers.iter().find(|c| c.service == *service);
        images.retain(|i| its.is_some_and(|c| c.image == i.reference));
        let bus = BusOptions::new(opened.redactor.clone()).start();
        let bus = bus.map_err(|e| Problem::new(ProblemKind::Start, e.to_string()))?;
        let sink: Arc<dyn Sink> = Arc::new(bus);
        let logins = self.session.logins();
        provide_all(&self.engine, &images, (&logins, &*sink)).await?;
        let lease = self.session.lease("snapshot", &self.run, None);
        let lease = Lease::take(&self.engine, &lease, sink.clone()).await?;
        let progress = self.progress("sealing");
        let say = |what: &str| self.say(&format!("{what}\n"));
        let making = Making {
            engine: &self.engine,
            plan: &plan,
            service,
            database: &wanted.database,
            store: self.store(),
            tags: &self.tags,
            run: &self.run,
            sink,
            say: &say,
            progress: &progress,
        };
        let none = Vec::new();
        let mut grow = wanted.recipe.map_or_else(Vec::new, |r| r.grow.clone());
        if let Some(like) = wanted.recipe.and_then(|r| r.grow_like.as_ref()) {
            grow.extend(self.rows_of(like).await?);
        }
        let treatment = Treatment {
            subset: wanted.recipe.and_then(|r| r.subset.as_ref()),
            mask: wanted.recipe.map_or(&none, |r| &r.mask),
            key: key.as_ref(),
            grow: &grow,
            public: wanted.public,
        };
        let made = making.make(origin, &treatment).await;
        lease.release().await;
        let made = made.map_err(|problems| redacted(problems, &opened.redactor))?;
        self.tell_findings(&made);
        let known = Known {
            image: made.image,
            databases: made.databases,
            masked: made.masked,
            public: wanted.public,
        };
        Ok((made.sealed, known))
    }

    /// How many rows the tables of a snapshot have, by its manifest.
    async fn rows_of(&self, snapshot: &Spanned<String>) -> Result<Vec<Spanned<Grow>>, Problem> {
        let entry = self.catalogue.get(snapshot.as_str()).await;
        let entry = entry.map_err(|p| {
            let mut problem = p;
            problem.span = Some(snapshot.span.clone());
            problem
        })?;
        let databases = entry.manifest.databases.iter();
        let tables = databases.flat_map(|d| &d.tables).filter(|t| t.rows > 0);
        let grow = tables.map(|t| {
            let grow = Grow {
                table: t.name.clone(),
                rows: t.rows,
            };
            Spanned::new(grow, snapshot.span.clone())
        });
        Ok(grow.collect())
    }

    fn tell_findings(&self, made: &Made) {
        for finding in &made.findings {
            self.say(&format!(
                "warning: {}; mask it in mirror.yaml: `{}`\n",
                finding.words(),
                finding.rule()
            ));
        }
    }

    /// The key of the project's masks: as it says, or one that was drawn for it once.
    fn mask_key(&self, project: &Project) -> Result<Secret, Problem> {
        if let Some(source) = &project.mask_key {
            return value_of(&source.value, &self.session.context).map_err(|why| {
                let message = format!("the key of the masks has no value: {why}");
                Problem::at(ProblemKind::Missing, &source.span, message)
            });
        }
        let path = project.root.join(KEY_FILE);
        key_of(&path).map_err(|e| {
            let message = format!(
                "cannot keep the key of the masks in {}: {e}",
                path.display()
            );
            Problem::new(ProblemKind::MissingFile, message)
                .help("name one: `mask_key: { env: NAME }` in mirror.yaml")
        })
    }
}

fn sealed(made: Option<Sealed>) -> Result<Sealed, Problem> {
    made.ok_or_else(|| Problem::new(ProblemKind::Start, "nothing was sealed"))
}

/// The key in a file that only its owner may read; drawn when there is none.
fn key_of(path: &PathBuf) -> std::io::Result<Secret> {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(Secret::new(text.trim())),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        Err(_) => {}
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut drawn = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut drawn)?;
    let text: String = drawn.iter().map(|b| format!("{b:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    match opened {
        Ok(mut file) => {
            file.write_all(text.as_bytes())?;
            Ok(Secret::new(text))
        }
        // Another was faster.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(Secret::new(std::fs::read_to_string(path)?.trim()))
        }
        Err(e) => Err(e),
    }
}

fn redacted(mut problems: Problems, redactor: &Redactor) -> Problems {
    for problem in &mut problems.0 {
        problem.message = redactor.redact(&problem.message).into_owned();
    }
    problems
}
