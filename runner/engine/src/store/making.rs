//! Making snapshots with the service that production runs: its image, version and configuration
//! load a dump, and what is sealed is what it left after a clean stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::plan::{ContainerPlan, Plan, VolumePlan};
use prodmirror_model::project::{Grow, Subset};
use prodmirror_model::secret::Secret;
use prodmirror_model::snapshot::{Database, ImageUsed, MaskRule, Masked};
use prodmirror_model::yaml::Spanned;
use serde_json::{Value, json};

use super::dump::{Dump, DumpKind, FILES};
use super::helper::Progress;
use super::postgres::{self, Finding, Server};
use super::source::{Pause, Sealed, SourceVolume, seal};
use super::{Clones, archive};
use crate::bus::Sink;
use crate::docker::Engine;
use crate::live::label::Tags;
use crate::live::lease::Hold;
use crate::live::{LiveError, LiveStack, UpOptions, up};

/// Key of the volume of files in plans.
const SCRATCH: &str = "prodmirror-files";
/// How long the service may take to be ready.
const START: Duration = Duration::from_secs(300);

/// What makes a snapshot.
pub struct Making<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the stack consists of.
    pub plan: &'a Plan,
    /// The service that loads and serves the data.
    pub service: &'a str,
    /// Database; empty = the one that the service makes.
    pub database: &'a str,
    /// Name of the store's volume.
    pub store: &'a str,
    /// Tags of the run: what is made on the way is removed by them.
    pub tags: &'a Tags,
    /// The run's identity, as `tags` have it.
    pub run: &'a str,
    /// Where facts go.
    pub sink: Arc<dyn Sink>,
    /// Is told what is being done, and how far it is.
    pub say: &'a (dyn Fn(&str) + Send + Sync),
    /// Takes the number of bytes that were sealed so far.
    pub progress: Progress<'a>,
}

/// What becomes of the data before it is sealed.
#[derive(Debug, Default)]
pub struct Treatment<'a> {
    /// What is kept.
    pub subset: Option<&'a Spanned<Subset>>,
    /// What is masked.
    pub mask: &'a [Spanned<MaskRule>],
    /// With which key.
    pub key: Option<&'a Secret>,
    /// How large tables become.
    pub grow: &'a [Spanned<Grow>],
    /// Whether nothing may be left that looks personal.
    pub public: bool,
}

impl Treatment<'_> {
    /// Whether rows are changed: then they are loaded into a fresh cluster before it is sealed,
    /// so that nothing of what they were comes along.
    pub fn changes(&self) -> bool {
        self.subset.is_some() || !self.mask.is_empty() || !self.grow.is_empty()
    }
}

/// Where the data comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A dump.
    Dump(&'a Dump),
    /// A script of SQL, or a program for the service's container.
    Script(&'a Path),
    /// A sealed content.
    Content(&'a str),
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// What is sealed; nothing when the sealed content is used as it is.
    pub sealed: Option<Sealed>,
    /// What is in it.
    pub databases: Vec<Database>,
    /// What was masked.
    pub masked: Vec<Masked>,
    /// What looks personal and is not masked.
    pub findings: Vec<Finding>,
    /// The image that wrote it.
    pub image: Option<ImageUsed>,
}

/// A service that was started for the data.
struct Serving {
    stack: LiveStack,
    volume: String,
    image: Option<ImageUsed>,
}

impl Making<'_> {
    /// Makes it.
    ///
    /// # Errors
    /// All that is wrong with the data and the rules, or the engine's. What was made on the way
    /// carries the run's tags.
    pub async fn make(
        &self,
        origin: Origin<'_>,
        treatment: &Treatment<'_>,
    ) -> Result<Made, Problems> {
        let scratch = archive::scratch(self.engine, self.tags).await?;
        self.fill(&scratch, origin).await?;
        let clones = Arc::new(Clones::new(
            self.engine,
            self.store,
            self.tags.labels(crate::live::label::Role::Store),
        ));
        let made = self
            .with_scratch(origin, treatment, &scratch, &clones)
            .await;
        clones.close().await;
        made
    }

    async fn with_scratch(
        &self,
        origin: Origin<'_>,
        treatment: &Treatment<'_>,
        scratch: &str,
        clones: &Arc<Clones>,
    ) -> Result<Made, Problems> {
        let content = match origin {
            Origin::Content(hash) => Some(hash),
            _ => None,
        };
        (self.say)(&format!("starting `{}`", self.service));
        let first = self.start("load", content, scratch, clones).await?;
        let loaded = self.load(&first, origin, treatment).await;
        let (made, again) = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                first.stack.down(None).await;
                return Err(problems);
            }
        };
        if !again {
            let sealed = match content {
                None => Some(self.stop_and_seal(&first).await),
                Some(_) => None,
            };
            first.stack.down(None).await;
            let sealed = sealed.transpose()?;
            return Ok(Made { sealed, ..made });
        }
        first.stack.down(None).await;
        (self.say)("loading the changed rows into a fresh database");
        let second = self.start("seal", None, scratch, clones).await?;
        let finished = self.reload(&second).await;
        let sealed = match finished {
            Ok(databases) => {
                let sealed = self.stop_and_seal(&second).await;
                sealed.map(|sealed| (sealed, databases))
            }
            Err(problem) => Err(problem),
        };
        second.stack.down(None).await;
        let (sealed, databases) = sealed?;
        Ok(Made {
            sealed: Some(sealed),
            databases,
            image: second.image,
            ..made
        })
    }

    /// Loads and treats; gives what is known then, and whether it must be loaded again.
    async fn load(
        &self,
        serving: &Serving,
        origin: Origin<'_>,
        treatment: &Treatment<'_>,
    ) -> Result<(Made, bool), Problems> {
        let server = self.server(serving);
        let postgres = super::others::has(&serving.stack, self.service, "psql").await;
        if postgres {
            server.ready().await?;
        }
        match origin {
            Origin::Dump(dump) => {
                (self.say)(&format!("loading {}", dump.shown));
                match dump.kind {
                    DumpKind::PlainSql
                    | DumpKind::PostgresArchive
                    | DumpKind::PostgresDirectory => postgres::load(&server, dump).await?,
                    _ => {
                        super::others::load(&serving.stack, self.service, self.database, dump)
                            .await?
                    }
                }
            }
            Origin::Script(path) => {
                let shown = path.display().to_string();
                (self.say)(&format!("running {shown}"));
                if path.extension().is_some_and(|e| e == "sql") {
                    postgres::script(&server, &shown, "script.sql").await?;
                } else {
                    super::others::program(&serving.stack, self.service, &shown).await?;
                }
            }
            Origin::Content(_) => {}
        }
        let mut made = Made {
            sealed: None,
            databases: Vec::new(),
            masked: Vec::new(),
            findings: Vec::new(),
            image: serving.image.clone(),
        };
        if !postgres {
            if treatment.changes() || treatment.public {
                let message = format!(
                    "`{}` is no PostgreSQL: its data can be sealed, and not masked, cut or grown",
                    self.service
                );
                return Err(Problem::new(ProblemKind::Unsupported, message).into());
            }
            made.databases = super::others::measure(&serving.stack, self.service).await?;
            return Ok((made, false));
        }
        if let Some(subset) = treatment.subset {
            (self.say)("taking the subset");
            postgres::subset(&server, subset).await?;
        }
        if !treatment.mask.is_empty() {
            (self.say)("masking");
            let none = Secret::new("");
            let key = treatment.key.unwrap_or(&none);
            made.masked = postgres::mask(&server, treatment.mask, key).await?;
        }
        if !treatment.grow.is_empty() {
            (self.say)("growing");
            postgres::grow(&server, treatment.grow).await?;
        }
        (self.say)("looking for personal data");
        made.findings = postgres::scan(&server, &made.masked).await?;
        if treatment.public && !made.findings.is_empty() {
            return Err(personal(&made.findings));
        }
        if treatment.changes() {
            (self.say)("writing the changed rows");
            postgres::dump(&server, &format!("{FILES}/changed")).await?;
            return Ok((made, true));
        }
        (self.say)("measuring");
        made.databases = vec![postgres::measure(&server).await?];
        Ok((made, false))
    }

    async fn reload(&self, serving: &Serving) -> Result<Vec<Database>, Problem> {
        let server = self.server(serving);
        let changed = Dump {
            path: FILES.into(),
            shown: "the changed rows".to_owned(),
            name: "changed".to_owned(),
            kind: DumpKind::PostgresDirectory,
            digest: String::new(),
            bytes: 0,
            gzip: false,
            is_tar: false,
            cluster: false,
            server_major: None,
            roles: Vec::new(),
        };
        server.ready().await?;
        postgres::load(&server, &changed).await?;
        (self.say)("measuring");
        Ok(vec![postgres::measure(&server).await?])
    }

    fn server<'s>(&'s self, serving: &'s Serving) -> Server<'s> {
        Server {
            stack: &serving.stack,
            service: self.service,
            database: self.database,
        }
    }

    /// Stops the service as production would, and seals what it left.
    async fn stop_and_seal(&self, serving: &Serving) -> Result<Sealed, Problem> {
        (self.say)(&format!("stopping `{}`", self.service));
        let mut ended = Vec::new();
        for id in serving.stack.containers(self.service)? {
            let doing = format!("stop `{}`", self.service);
            let grace = self.grace();
            let stopped = self.engine.stop_container(&id, grace).await;
            stopped.map_err(|e| e.problem(&doing))?;
            let state = self.engine.inspect_container(&id).await;
            ended.push(state.map_err(|e| e.problem(&doing))?);
        }
        // Killed for not ending in time, or for its memory: what it left is not consistent.
        if let Some(state) = ended.iter().find(|s| s.exit_code == 137 || s.oom) {
            let message = format!(
                "`{}` did not stop cleanly (exit code {}): its data is not sealed",
                self.service, state.exit_code
            );
            return Err(Problem::new(ProblemKind::Start, message)
                .help("give it more time (`stop_grace_period`) or memory in production's spec"));
        }
        (self.say)("sealing");
        let store = (
            self.store,
            self.tags.labels(crate::live::label::Role::Store),
        );
        let volume = SourceVolume::Volume(&serving.volume);
        seal(self.engine, store, volume, Pause::Refuse, self.progress).await
    }

    fn grace(&self) -> Option<Duration> {
        let plan = self.container()?;
        // A database that was just loaded may have much to write.
        Some(
            plan.stop_grace
                .unwrap_or_default()
                .max(Duration::from_secs(120)),
        )
    }

    fn container(&self) -> Option<&ContainerPlan> {
        let mut all = self.plan.containers.iter();
        all.find(|c| c.service == self.service)
    }

    /// Starts the service on an empty volume, or on a clone of a content, with the scratch
    /// volume at [`FILES`].
    async fn start(
        &self,
        stack: &str,
        content: Option<&str>,
        scratch: &str,
        clones: &Arc<Clones>,
    ) -> Result<Serving, Problem> {
        let (plan, key) = self.loading_plan(scratch)?;
        let mut options = UpOptions::new(self.run, stack);
        options.hold = Hold::Run;
        options.services = vec![self.service.to_owned()];
        options.timeout = START;
        options.data = Some(clones.clone());
        if let Some(content) = content {
            options.contents.insert(key.clone(), content.to_owned());
        }
        let started = up(self.engine, Arc::new(plan), options, self.sink.clone()).await;
        let stack = started.map_err(|e| self.not_started(&e))?;
        let volume = stack.volume(&key).unwrap_or_default().to_owned();
        let image = self.image_of(&stack).await;
        Ok(Serving {
            stack,
            volume,
            image,
        })
    }

    fn not_started(&self, e: &LiveError) -> Problem {
        let mut problem = e.problem();
        let log: Vec<&str> = e.log().iter().map(String::as_str).collect();
        if !log.is_empty() {
            let tail = &log[log.len().saturating_sub(8)..];
            problem.message = format!("{}\n{}", problem.message, tail.join("\n"));
        }
        problem
    }

    async fn image_of(&self, stack: &LiveStack) -> Option<ImageUsed> {
        let plan = self.container()?;
        let id = stack.containers(self.service).ok()?.into_iter().next()?;
        let shown = self.engine.show_container(&id).await.ok()?;
        let digest = shown["Image"].as_str().unwrap_or_default().to_owned();
        Some(ImageUsed {
            reference: plan.image.clone(),
            digest,
        })
    }

    /// The plan with the service alone, its data volume empty, and the volume of files.
    fn loading_plan(&self, scratch: &str) -> Result<(Plan, String), Problem> {
        let container = self.container().ok_or_else(|| {
            let names: Vec<&str> = self
                .plan
                .containers
                .iter()
                .map(|c| c.service.as_str())
                .collect();
            let message = format!("production has no service `{}`", self.service);
            Problem::new(ProblemKind::UnknownReference, message)
                .help(format!("services: {}", names.join(", ")))
        })?;
        let key = data_volume(container, &self.plan.volumes).ok_or_else(|| {
            let message = format!("the service `{}` has no volume for its data", self.service);
            Problem::new(ProblemKind::Missing, message)
                .help("a snapshot is of a named volume that the service writes to")
        })?;
        let mut plan = self.plan.clone();
        plan.containers
            .retain(|c| c.service == self.service && c.replica == 1);
        for container in &mut plan.containers {
            // Nobody else is there: what it waits for fills the data that is made here.
            container.depends_on.clear();
            mount(&mut container.body);
        }
        for volume in &mut plan.volumes {
            volume.snapshot = None;
        }
        plan.volumes.push(VolumePlan {
            key: SCRATCH.to_owned(),
            labels: Default::default(),
            options: Default::default(),
            external: Some(scratch.to_owned()),
            root: None,
            snapshot: None,
        });
        Ok((plan, key))
    }

    /// Puts what is loaded into the scratch volume. Everybody may write to its top: the
    /// service's user is not known.
    async fn fill(&self, scratch: &str, origin: Origin<'_>) -> Result<(), Problem> {
        let (path, name) = match origin {
            Origin::Dump(dump) => (Some(dump.path.clone()), dump.name.as_str()),
            Origin::Script(path) if path.extension().is_some_and(|e| e == "sql") => {
                (Some(path.to_owned()), "script.sql")
            }
            Origin::Script(path) => (Some(path.to_owned()), "script"),
            Origin::Content(_) => (None, ""),
        };
        if let Some(path) = path {
            (self.say)(&format!("sending {}", path.display()));
            let packed = archive::pack_as(path, name);
            archive::fill(self.engine, self.tags, scratch, packed).await?;
        }
        archive::open_up(self.engine, self.tags, scratch).await
    }
}

fn mount(body: &mut Value) {
    let mounts = &mut body["HostConfig"]["Mounts"];
    if !mounts.is_array() {
        *mounts = json!([]);
    }
    if let Some(mounts) = mounts.as_array_mut() {
        mounts.push(json!({
            "Type": "volume", "Source": SCRATCH, "Target": FILES,
            "VolumeOptions": {"NoCopy": true},
        }));
    }
}

/// The named volume that a container writes its data to: the only one, or that of the longest
/// known path of a database.
fn data_volume(container: &ContainerPlan, volumes: &[VolumePlan]) -> Option<String> {
    let named = |key: &str| {
        let plain = |v: &&VolumePlan| v.external.is_none() && v.options.is_empty();
        volumes.iter().filter(plain).any(|v| v.key == key)
    };
    let host = container.body.get("HostConfig")?;
    let mut found: Vec<(String, String)> = Vec::new();
    let binds = host.get("Binds").and_then(Value::as_array);
    for bind in binds.into_iter().flatten().filter_map(Value::as_str) {
        let mut parts = bind.split(':');
        if let (Some(source), Some(target)) = (parts.next(), parts.next())
            && named(source)
        {
            found.push((source.to_owned(), target.to_owned()));
        }
    }
    let mounts = host.get("Mounts").and_then(Value::as_array);
    for mount in mounts.into_iter().flatten() {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("Type") == "volume" && named(text("Source")) {
            found.push((text("Source").to_owned(), text("Target").to_owned()));
        }
    }
    let known = ["/var/lib/", "/bitnami", "/data"];
    let best = found
        .iter()
        .find(|(_, target)| known.iter().any(|k| target.starts_with(k)));
    best.or(found.first()).map(|(key, _)| key.clone())
}

fn personal(findings: &[Finding]) -> Problems {
    let list = findings.iter().map(|f| {
        let message = format!(
            "a public snapshot must not hold a person's data: {}",
            f.words()
        );
        Problem::new(ProblemKind::Forbidden, message)
            .help(format!("mask it in mirror.yaml: `{}`", f.rule()))
    });
    Problems(list.collect())
}
