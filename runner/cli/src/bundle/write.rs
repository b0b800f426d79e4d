//! Writing the bundles of a run: one for each case that did not pass.

mod evidence;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_engine::live::Remains;
use prodmirror_engine::run::Aftermath;
use prodmirror_engine::step::Program;
use prodmirror_model::bundle::{
    DataFacts, FORMAT, HostFacts, IMAGES, ImageFacts, Manifest, PROJECT, RunFacts, SecretFacts,
    SecretFrom, Signature, VERSION,
};
use prodmirror_model::check::snapshot::slug;
use prodmirror_model::compile::Stack;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::CaseId;
use prodmirror_model::project::SecretSource;
use prodmirror_model::redact::Redactor;
use prodmirror_model::scenario::Isolation;
use prodmirror_model::secret::Secret;
use prodmirror_model::source::{SourceFile, io_reason};
use prodmirror_model::stack::Variable;
use prodmirror_model::summary::{Case, Summary};
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::archive::{Content, pack};
use super::gather::Gathered;
use super::secrets::Scan;
use super::sign::Signer;
use crate::open::Opened;
use crate::report::replay;
use crate::runs::RunDir;

/// Keeps what was seen of stacks until the bundles are written.
#[derive(Default)]
pub struct Bundler {
    remains: Mutex<BTreeMap<CaseId, Vec<Remains>>>,
}

impl Aftermath for Bundler {
    fn failed(&self, case: &CaseId, remains: Vec<Remains>) {
        let mut all = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(case.clone(), remains);
    }
}

/// What the bundles of a run have in common.
pub struct Facts {
    /// The images of the stack, by service.
    pub images: BTreeMap<String, ImageFacts>,
    /// The machine.
    pub host: HostFacts,
    /// The snapshots that volumes start from unless a scenario names others, by volume.
    pub volumes: BTreeMap<String, String>,
    /// What is known of these snapshots, by name.
    pub snapshots: BTreeMap<String, DataFacts>,
    /// How it was run, but for the time.
    pub run: RunFacts,
    /// The images as an archive, when they are to be in it.
    pub saved: Option<PathBuf>,
    /// Snapshots as files, by their names in the bundle, when they are to be in it.
    pub exported: BTreeMap<String, PathBuf>,
    /// All files of scenarios that were read for the run.
    pub files: Vec<Arc<SourceFile>>,
    /// Who signs them.
    pub signer: Option<Arc<Signer>>,
}

/// A bundle that was written, or why it was not.
pub type Written = Result<PathBuf, Problem>;

/// A case that did not pass, and what it is a case of.
pub struct Failed {
    case: CaseId,
    failure: Signature,
    /// What was played.
    pub program: Arc<Program>,
    /// What was played on its stack before it, by name.
    before: Vec<String>,
}

/// The cases of a run that did not pass, of which each leaves a bundle.
///
/// # Errors
/// The events cannot be read.
pub fn failed(dir: &RunDir, programs: &[Arc<Program>]) -> Result<(Summary, Vec<Failed>), Problem> {
    let summary = replay::read(&dir.path.join("events.jsonl"))?.summary;
    let mut all = Vec::new();
    for case in &summary.cases {
        let failure = Signature::of(case);
        // What was never begun is no failure that could be had again.
        if !failure.is_failure() || failure.outcome.is_none() {
            continue;
        }
        // A repetition is the same program.
        if let Some(program) = programs.iter().find(|p| is_of(&case.id, p)) {
            all.push(Failed {
                case: case.id.clone(),
                failure,
                program: program.clone(),
                before: before(&summary, programs, (case, program)),
            });
        }
    }
    Ok((summary, all))
}

/// The cases of a file that were played before one on the same stack: it begins with what they
/// left there.
fn before(
    summary: &Summary,
    programs: &[Arc<Program>],
    (case, program): (&Case, &Program),
) -> Vec<String> {
    if program.scenario.isolation != Isolation::File || case.stack.is_none() {
        return Vec::new();
    }
    let earlier = |c: &&Case| {
        c.id.file == case.id.file && c.stack == case.stack && c.started_ms < case.started_ms
    };
    let mut earlier: Vec<&Case> = summary.cases.iter().filter(earlier).collect();
    earlier.sort_by_key(|c| c.started_ms);
    let of = |c: &Case| programs.iter().find(|p| is_of(&c.id, p));
    let mut names: Vec<String> = Vec::new();
    for program in earlier.into_iter().filter_map(of) {
        let name = program.case().name;
        // A repetition of the case itself comes again with it.
        if !names.contains(&name) && !is_of(&case.id, program) {
            names.push(name);
        }
    }
    names
}

impl Bundler {
    /// Writes a bundle of each case, into the directory of the run.
    pub fn write(
        &self,
        dir: &RunDir,
        opened: &Opened,
        (summary, failed): (&Summary, &[Failed]),
        facts: &Facts,
    ) -> Vec<Written> {
        let Some(stack) = &opened.compiled.stack else {
            return Vec::new();
        };
        let mut remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = Vec::new();
        let mut written = Vec::new();
        for of in failed {
            let one = One {
                dir,
                opened,
                stack,
                program: &of.program,
                facts,
                summary,
                case: &of.case,
                failure: of.failure.clone(),
                before: of.before.clone(),
                remains: remains.remove(&of.case).unwrap_or_default(),
            };
            let name = free_name(&of.case, &mut names);
            written.push(one.write(&dir.path.join(name)));
        }
        written
    }
}

/// Whether a case is one of a program: itself, or a repetition.
fn is_of(case: &CaseId, program: &Program) -> bool {
    let of = program.case();
    case.file == of.file
        && case
            .name
            .strip_prefix(&of.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ["))
}

/// `checkout-a-customer-buys.bundle`, which no other case of the run has.
fn free_name(case: &CaseId, taken: &mut Vec<String>) -> String {
    let stem = Path::new(&case.file).file_stem().unwrap_or_default();
    let stem = format!("{}-{}", slug(&stem.to_string_lossy()), slug(&case.name));
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    let name = std::iter::once(stem.clone())
        .chain(numbered)
        .find(|n| !taken.contains(n))
        .unwrap_or(stem);
    taken.push(name.clone());
    format!("{name}.bundle")
}

/// One bundle.
struct One<'a> {
    dir: &'a RunDir,
    opened: &'a Opened,
    stack: &'a Stack,
    program: &'a Program,
    facts: &'a Facts,
    summary: &'a Summary,
    case: &'a CaseId,
    failure: Signature,
    before: Vec<String>,
    remains: Vec<Remains>,
}

impl One<'_> {
    fn write(mut self, to: &Path) -> Written {
        let cannot = |e: &std::io::Error| {
            let text = format!("no bundle was written: {}", io_reason(e));
            Problem::new(ProblemKind::MissingFile, text)
        };
        let root = &self.opened.project.root;
        let mut gathered = Gathered::of(root, self.program, &self.facts.files);
        let mut document = parse_one(&self.stack.text.file)?.to_json();
        gathered.stack(&mut document);
        let mut entries: BTreeMap<String, Content> = BTreeMap::new();
        let at = match gathered.root.as_str() {
            "" => PROJECT.to_owned(),
            root => format!("{PROJECT}{root}/"),
        };
        // For readers that know no extension: where their values come from.
        for (key, variable) in &self.stack.extension.secret_files {
            if let Some(object) = document["secrets"][key].as_object_mut() {
                object.remove("file");
                object.insert("environment".to_owned(), json!(variable));
            }
        }
        let flags = self.flags(&mut gathered);
        entries.insert(format!("{at}stack.yaml"), pretty(&document));
        entries.insert(format!("{at}mirror.yaml"), self.project(flags));
        for (place, file) in &gathered.files {
            entries.insert(format!("{PROJECT}{place}"), Content::File(file.clone()));
        }
        let scan = Scan::new(&self.secrets());
        self.evidence(&mut entries).map_err(|e| cannot(&e))?;
        self.sources(&mut entries);
        if let Some(saved) = &self.facts.saved {
            entries.insert(IMAGES.to_owned(), Content::File(saved.clone()));
        }
        let data = self.data();
        for name in data.values().filter_map(|d| d.file.as_ref()) {
            if let Some(file) = self.facts.exported.get(name) {
                entries.insert(name.clone(), Content::File(file.clone()));
            }
        }
        // All of it, also what was redacted and what others wrote.
        for (name, content) in &entries {
            if name == IMAGES {
                continue;
            }
            if let Some(secret) = scan.look(content).map_err(|e| cannot(&e))? {
                return Err(refused(name.strip_prefix(&at).unwrap_or(name), secret));
            }
        }
        let mut manifest = self.manifest(&gathered);
        let signer = self.facts.signer.as_deref();
        pack(to, &mut manifest, &entries, signer).map_err(|e| cannot(&e))?;
        Ok(to.to_owned())
    }

    fn manifest(&self, gathered: &Gathered) -> Manifest {
        let case = self.summary.cases.iter().find(|c| c.id == *self.case);
        let variables = self.stack.variables.iter();
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            project: self.stack.extension.project.clone(),
            root: gathered.root.clone(),
            case: CaseId {
                file: gathered.place(&self.program.scenario.file),
                name: self.program.case().name,
            },
            before: self.before.clone(),
            also: gathered.scenarios.clone(),
            failure: self.failure.clone(),
            run: RunFacts {
                took_ms: case.map_or(0, |c| c.took_ms),
                egress: self.stack.extension.egress.allow.clone(),
                ..self.facts.run.clone()
            },
            images: self.facts.images.clone(),
            data: self.data(),
            secrets: self
                .only_in_scenarios()
                .chain(variables.map(|(n, v)| (n.clone(), of_variable(n, v))))
                .collect(),
            host: self.facts.host.clone(),
            files: BTreeMap::new(),
        }
    }

    /// The snapshots that the volumes of its stack started from.
    fn data(&self) -> BTreeMap<String, DataFacts> {
        let mut volumes = self.facts.volumes.clone();
        for (volume, snapshot) in &self.program.scenario.data {
            volumes.insert(volume.clone(), snapshot.value.clone());
        }
        let known = &self.facts.snapshots;
        let facts = |(volume, snapshot)| Some((volume, known.get(&snapshot)?.clone()));
        volumes.into_iter().filter_map(facts).collect()
    }

    /// Secrets that the stack does not ask for.
    fn only_in_scenarios(&self) -> impl Iterator<Item = (String, SecretFacts)> {
        let project = &self.opened.project;
        let names = self.opened.secrets.keys();
        names.map(|n| {
            let from = project
                .secret(n)
                .map_or(SecretFrom::Env, |s| of_source(&s.value));
            (
                n.clone(),
                SecretFacts {
                    name: Some(n.clone()),
                    from,
                },
            )
        })
    }

    /// A project of nothing but the stack.
    fn project(&self, flags: Option<Json>) -> Content {
        let names = self.stack.variables.keys();
        let mut secrets: BTreeMap<String, Json> =
            names.map(|n| (n.clone(), json!({ "env": n }))).collect();
        // Secrets that only scenarios use.
        for name in self.opened.secrets.keys() {
            secrets
                .entry(name.clone())
                .or_insert_with(|| json!({ "env": name }));
        }
        let mut project = json!({
            "project": self.stack.extension.project,
            "production": ["stack.yaml"],
        });
        if !secrets.is_empty() {
            project["secrets"] = json!(secrets);
        }
        if let Some(flags) = flags {
            project["flags"] = flags;
        }
        pretty(&project)
    }

    /// The project's section on feature flags, with the place of its file in the bundle.
    fn flags(&self, gathered: &mut Gathered) -> Option<Json> {
        let project = &self.opened.project;
        let mut section = parse_one(&project.file).ok()?.get("flags")?.to_json();
        let file = project.flags.as_ref()?.file.as_ref();
        if let Some(file) = file {
            let place = gathered.take(&file.path);
            match section.as_object_mut() {
                Some(map) => map.insert("file".to_owned(), json!(place)),
                None => {
                    section = json!({ "file": place });
                    None
                }
            };
        }
        Some(section)
    }

    /// All secrets that are known, by name.
    fn secrets(&self) -> BTreeMap<String, Secret> {
        let texts = self.stack.variables.iter().filter_map(|(name, v)| match v {
            Variable::Text(secret) => Some((name.clone(), secret.clone())),
            _ => None,
        });
        let declared = self.opened.secrets.iter();
        let masks = self.opened.mask_key.iter();
        texts
            .chain(declared.map(|(n, s)| (n.clone(), s.clone())))
            .chain(masks.map(|s| ("mask_key".to_owned(), s.clone())))
            .collect()
    }

    fn redactor(&self) -> &Redactor {
        &self.opened.redactor
    }
}

fn of_variable(name: &str, variable: &Variable) -> SecretFacts {
    match variable {
        Variable::Declared { secret, source } => SecretFacts {
            name: Some(secret.clone()),
            from: of_source(source),
        },
        Variable::Environment => SecretFacts {
            name: Some(name.to_owned()),
            from: SecretFrom::Env,
        },
        Variable::Text(_) => SecretFacts {
            name: None,
            from: SecretFrom::Production,
        },
    }
}

fn of_source(source: &SecretSource) -> SecretFrom {
    match source {
        SecretSource::Stub(_) => SecretFrom::Stub,
        SecretSource::Env(_) => SecretFrom::Env,
        SecretSource::File(_) => SecretFrom::File,
    }
}

fn refused(file: &str, secret: &str) -> Problem {
    let text = format!("no bundle was written: {file} holds the value of the secret {secret}");
    Problem::new(ProblemKind::Forbidden, text).help(
        "a bundle is sent around: take the value from `secrets.NAME` in a scenario, and from a \
         variable or a file under `secrets` in production's specs",
    )
}

fn pretty(document: &Json) -> Content {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    Content::Bytes(text.into_bytes())
}
