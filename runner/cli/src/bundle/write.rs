//! Writing the bundles of a run: one for each case that did not pass.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_engine::live::Remains;
use prodmirror_engine::run::Aftermath;
use prodmirror_engine::step::Program;
use prodmirror_model::bundle::{
    DataFacts, EVIDENCE, FORMAT, HostFacts, IMAGES, ImageFacts, Manifest, PROJECT, RunFacts,
    SOURCES, SecretFacts, SecretFrom, Signature, VERSION,
};
use prodmirror_model::check::snapshot::slug;
use prodmirror_model::compile::Stack;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::CaseId;
use prodmirror_model::project::SecretSource;
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;
use prodmirror_model::source::io_reason;
use prodmirror_model::stack::Variable;
use prodmirror_model::summary::Summary;
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::archive::{Content, pack};
use super::gather::Gathered;
use super::secrets::Scan;
use crate::open::Opened;
use crate::report::replay;
use crate::runs::RunDir;

/// Lines of events that are kept, in bytes: a bundle is to be sent around.
const MOST_EVENTS: u64 = 256 << 20;

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
    /// The snapshots of volumes, by volume.
    pub data: BTreeMap<String, DataFacts>,
    /// How it was run, but for the time.
    pub run: RunFacts,
    /// The images as an archive, when they are to be in it.
    pub saved: Option<PathBuf>,
    /// Snapshots as files, by their names in the bundle, when they are to be in it.
    pub exported: BTreeMap<String, PathBuf>,
}

/// A bundle that was written, or why it was not.
pub type Written = Result<PathBuf, Problem>;

impl Bundler {
    /// Writes the bundles of all cases that did not pass, into the directory of the run.
    pub fn write(
        &self,
        dir: &RunDir,
        opened: &Opened,
        programs: &[Arc<Program>],
        facts: &Facts,
    ) -> Vec<Written> {
        let events = dir.path.join("events.jsonl");
        let summary = match replay::read(&events) {
            Ok(replay) => replay.summary,
            Err(p) => return vec![Err(p)],
        };
        let Some(stack) = &opened.compiled.stack else {
            return Vec::new();
        };
        let mut remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = Vec::new();
        let mut written = Vec::new();
        for case in &summary.cases {
            let failure = Signature::of(case);
            // What was never begun is no failure that could be had again.
            if !failure.is_failure() || failure.outcome.is_none() {
                continue;
            }
            // A repetition is the same program.
            let Some(program) = programs.iter().find(|p| is_of(&case.id, p)) else {
                continue;
            };
            let one = One {
                dir,
                opened,
                stack,
                program,
                facts,
                summary: &summary,
                case: &case.id,
                failure,
                remains: remains.remove(&case.id).unwrap_or_default(),
            };
            let name = free_name(&case.id, &mut names);
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
    remains: Vec<Remains>,
}

impl One<'_> {
    fn write(mut self, to: &Path) -> Written {
        let cannot = |e: &std::io::Error| {
            let text = format!("no bundle was written: {}", io_reason(e));
            Problem::new(ProblemKind::MissingFile, text)
        };
        let root = &self.opened.project.root;
        let mut gathered = Gathered::of(root, self.program);
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
        for (name, file) in &self.facts.exported {
            entries.insert(name.clone(), Content::File(file.clone()));
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
        pack(to, &mut manifest, &entries).map_err(|e| cannot(&e))?;
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
            failure: self.failure.clone(),
            run: RunFacts {
                took_ms: case.map_or(0, |c| c.took_ms),
                egress: self.stack.extension.egress.allow.clone(),
                ..self.facts.run.clone()
            },
            images: self.facts.images.clone(),
            data: self.facts.data.clone(),
            secrets: self
                .only_in_scenarios()
                .chain(variables.map(|(n, v)| (n.clone(), of_variable(n, v))))
                .collect(),
            host: self.facts.host.clone(),
            files: BTreeMap::new(),
        }
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
        texts
            .chain(declared.map(|(n, s)| (n.clone(), s.clone())))
            .collect()
    }

    fn redactor(&self) -> &Redactor {
        &self.opened.redactor
    }

    /// What was seen: events, logs, containers.
    fn evidence(&mut self, entries: &mut BTreeMap<String, Content>) -> std::io::Result<()> {
        let stack = self.summary.cases.iter().find(|c| c.id == *self.case);
        let stack = stack.and_then(|c| c.stack.clone());
        let mut events = String::new();
        let mut logs: BTreeMap<String, String> = BTreeMap::new();
        let file = File::open(self.dir.path.join("events.jsonl"))?;
        for line in BufReader::new(file).lines() {
            let line = line?;
            let Ok(event) = serde_json::from_str::<Json>(&line) else {
                continue;
            };
            if !self.is_ours(&event, stack.as_deref()) {
                continue;
            }
            if event["event"] == "log" {
                let name = format!("{}-{}", text(&event["service"]), event["replica"]);
                let log = logs.entry(name).or_default();
                let told = format!(
                    "{:>8} {} {}\n",
                    event["ms"],
                    text(&event["stream"]),
                    text(&event["line"])
                );
                log.push_str(&told);
            }
            if (events.len() as u64) < MOST_EVENTS {
                events.push_str(&line);
                events.push('\n');
            }
        }
        entries.insert(format!("{EVIDENCE}events.jsonl"), self.safe(&events));
        for (name, log) in logs {
            entries.insert(
                format!("{EVIDENCE}logs/{}.log", slug(&name)),
                self.safe(&log),
            );
        }
        for r in std::mem::take(&mut self.remains) {
            let name = format!("{EVIDENCE}containers/{}-{}", slug(&r.service), r.replica);
            let documents = [(r.shown, "inspect"), (r.usage, "usage")];
            for (document, what) in documents {
                if let Some(json) = document {
                    let text = serde_json::to_string_pretty(&json).unwrap_or_default();
                    entries.insert(format!("{name}.{what}.json"), self.safe(&text));
                }
            }
            if let Some(changes) = r.changes {
                entries.insert(
                    format!("{name}.changes.txt"),
                    self.safe(&changes.join("\n")),
                );
            }
        }
        for name in ["fidelity.json", "stack.yaml"] {
            if let Ok(text) = std::fs::read_to_string(self.dir.path.join(name)) {
                entries.insert(format!("{EVIDENCE}{name}"), self.safe(&text));
            }
        }
        Ok(())
    }

    /// Whether an event is one of this case, of its stack, or of the whole run.
    fn is_ours(&self, event: &Json, stack: Option<&str>) -> bool {
        let case = &event["case"];
        let case = case.is_null()
            || (case["file"] == self.case.file.as_str() && case["name"] == self.case.name.as_str());
        let of = event["stack"].as_str();
        case && (of.is_none() || of == stack)
    }

    /// Production's files as they are, without secrets, for people.
    fn sources(&self, entries: &mut BTreeMap<String, Content>) {
        let project = &self.opened.project;
        let inputs = self.opened.compiled.production.inputs.iter();
        let mut paths: Vec<PathBuf> = inputs.map(|i| project.root.join(&i.path)).collect();
        paths.push(project.path.clone());
        paths.push(project.root.join(prodmirror_model::lock::FILE_NAME));
        for path in paths {
            // What is elsewhere, or was made by other programs, is in the stack.
            let Ok(inside) = path.strip_prefix(&project.root) else {
                continue;
            };
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let name = inside.to_string_lossy().replace('\\', "/");
            entries.insert(format!("{SOURCES}{name}"), self.safe(&text));
        }
    }

    /// A text without secrets.
    fn safe(&self, text: &str) -> Content {
        let mut text = text.to_owned();
        self.redactor().redact_shown(&mut text);
        Content::Bytes(text.into_bytes())
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

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}
